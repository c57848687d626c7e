"""Time of a training step and of its parts."""

from collections.abc import Callable

from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import Tensor
from torch.optim import Optimizer

from tools.benchmark.bench import Bench, Rows
from tools.benchmark.floors import copy_rate, matrix_rate, utilization
from tools.benchmark.recipes import CROP, build, precision, random_batch, recipe


class Step:
    """Training step of a published recipe on a random batch; call it to run the whole step.

    Args:
        bench: Device and dtype.
        kind: ``'pretrain'``, ``'vqa'`` or ``'virtex'``; with ``batch`` and ``cfg`` it is not read.
        batch: Batch; by default a random one of the command line's size.
        cfg: Config; by default that of the recipe.
        wrap: Function that wraps the model, for example for DDP.
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
        replaced = {'type', 'dtype', 'accumulative_counts'} | ({'loss_scale'} if args.dtype != 'float16' else set())
        options = {key: value for key, value in cfg.optim_wrapper.items() if key not in replaced}
        self.wrapper = build_optim_wrapper(self.model, dict(options, **precision(args)))
        self.batch = batch or random_batch(kind, cfg, args.images, args.sentences, args.size)
        self.inputs: dict[str, Tensor] = {}
        self.loss: Tensor

    def data(self) -> None:
        """Move the batch to the device and normalise it."""
        self.inputs = self.model.data_preprocessor(self.batch, True)

    def forward(self) -> None:
        """Compute the loss."""
        with self.wrapper.optim_context(self.whole):
            self.loss, _ = self.model.parse_losses(self.whole(mode='loss', **self.inputs))

    def backward(self) -> None:
        """Compute the gradients."""
        self.wrapper.backward(self.loss)

    def update(self) -> None:
        """Clip, update, and clear the gradients."""
        self.wrapper.step()
        self.wrapper.zero_grad()

    def gradients(self) -> None:
        """Run everything before the update."""
        self.data()
        self.forward()
        self.backward()

    def __call__(self) -> None:
        self.gradients()
        self.update()


def title(bench: Bench, kind: str) -> str:
    """Return the heading of a training step: its kind and size."""
    args = bench.args
    if kind == 'virtex':
        return f'virtex step, {args.images} images of {CROP[0]}x{CROP[1]}'
    return f'{kind} step, {args.images} images x {args.sentences} sentences at {args.size[0]}x{args.size[1]}'


def update_bytes(optimizer: Optimizer) -> int:
    """Return the least bytes that an update moves: weights and state are read and written, gradients read."""
    return sum(
        3 * param.nbytes + 2 * sum(value.nbytes for value in state.values() if isinstance(value, Tensor))
        for param, state in optimizer.state.items()
    )


def training_step(bench: Bench, kind: str) -> Rows:
    """Measure a training step of a published recipe."""
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
        *utilization(name, step.gradients, whole, rate),
    ]
