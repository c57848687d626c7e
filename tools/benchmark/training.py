"""The training step, split into its parts."""

from collections.abc import Callable

from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import Tensor
from torch.optim import Optimizer

from tools.benchmark.bench import Bench, Rows
from tools.benchmark.floors import copy_rate, matrix_rate, utilisation
from tools.benchmark.recipes import CROP, build, precision, random_batch, recipe


class Step:
    """A training step of a published recipe on one random batch; calling it takes the whole step.

    Args:
        bench: Device and number type.
        kind: ``'pretrain'``, ``'vqa'`` or ``'virtex'``.
        batch: Another batch than the one of the command line's size.
        cfg: Another recipe.
        wrap: What is laid around the model.
    """

    def __init__(
        self,
        bench: Bench,
        kind: str,
        batch: dict[str, Tensor] | None = None,
        cfg: Config | None = None,
        wrap: Callable = lambda model: model,
    ) -> None:
        args = bench.args
        cfg = cfg or recipe(kind, args.cfg_options)
        self.model = build(bench, cfg).train()
        self.whole = wrap(self.model)
        options = {
            key: value
            for key, value in cfg.optim_wrapper.items()
            if key not in ('type', 'dtype', 'accumulative_counts')
        }
        self.wrapper = build_optim_wrapper(self.model, dict(options, **precision(args)))
        self.batch = batch or random_batch(kind, cfg, args.images, args.sentences, args.size)
        self.inputs: dict[str, Tensor] = {}
        self.loss: Tensor

    def data(self) -> None:
        """To the device, and normalised there."""
        self.inputs = self.model.data_preprocessor(self.batch, True)

    def forward(self) -> None:
        with self.wrapper.optim_context(self.whole):
            self.loss, _ = self.model.parse_losses(self.whole(mode='loss', **self.inputs))

    def backward(self) -> None:
        self.wrapper.backward(self.loss)

    def update(self) -> None:
        """Clip, step, forget the gradients."""
        self.wrapper.step()
        self.wrapper.zero_grad()

    def gradients(self) -> None:
        """All that comes before the update."""
        self.data()
        self.forward()
        self.backward()

    def __call__(self) -> None:
        self.gradients()
        self.update()


def title(bench: Bench, kind: str) -> str:
    """What is measured, with its size."""
    args = bench.args
    if kind == 'virtex':
        return f'virtex step, {args.images} images of {CROP[0]}x{CROP[1]}'
    return f'{kind} step, {args.images} images x {args.sentences} sentences at {args.size[0]}x{args.size[1]}'


def update_bytes(optimizer: Optimizer) -> int:
    """What an update reads and writes at least: weights and their state (both ways), and gradients; each once."""
    return sum(
        3 * param.nbytes + 2 * sum(value.nbytes for value in state.values() if isinstance(value, Tensor))
        for param, state in optimizer.state.items()
    )


def training_step(bench: Bench, kind: str) -> Rows:
    """A step of a published recipe."""
    step = Step(bench, kind)
    rate = matrix_rate(bench)
    parts = bench.split([step.data, step.forward, step.backward, step.update])
    whole = sum(parts)
    memory = bench.memory.peak()
    name = title(bench, kind)
    rows = [
        (f'{name}: {part}', 1000 * value, 'ms')
        for part, value in zip(('data', 'forward', 'backward', 'optimizer', 'whole'), (*parts, whole))
    ]
    moved = update_bytes(step.wrapper.optimizer)
    return [
        *rows,
        (f'{name}: images', bench.args.images / whole, '1/s'),
        (f'{name}: peak memory', memory, 'GiB'),
        (f'{name}: least bytes of the optimizer', moved / 1e9, 'GB'),
        (f'{name}: optimizer, of the rate of a copy', 100 * moved / parts[-1] / copy_rate(bench), '%'),
        *utilisation(name, step.gradients, whole, rate),
    ]
