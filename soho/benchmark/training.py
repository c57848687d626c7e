"""The training step, split into its parts."""
import torch
from mmengine.optim import build_optim_wrapper
from torch.utils.flop_counter import FlopCounterMode

from soho.benchmark.bench import Bench, Rows
from soho.benchmark.recipes import build, random_batch


def training_step(bench: Bench, kind: str) -> Rows:
    """A step of a published recipe."""
    args = bench.args
    bench.reset_memory()
    model, cfg = build(bench, kind)
    model.train()
    wrapper = build_optim_wrapper(model, dict(cfg.optim_wrapper, type='OptimWrapper', dtype=None, accumulative_counts=1)
                                  if cfg.optim_wrapper.type != 'OptimWrapper' else cfg.optim_wrapper)
    answers = model.heads['vqa'].num_answers if kind == 'vqa' else 0
    batch = random_batch(kind, args.images, args.sentences, args.size, model.language.config.vocab_size, answers)
    losses: list[torch.Tensor] = []

    def forward() -> None:
        with bench.autocast():
            outputs = model(mode='loss', **model.data_preprocessor(batch, True))
        losses[:] = [sum(value for name, value in outputs.items() if 'loss' in name)]

    def update() -> None:
        wrapper.step()
        wrapper.zero_grad()

    parts = bench.split([forward, lambda: losses[0].backward(), update])
    whole = sum(parts)
    with FlopCounterMode(display=False) as counter:
        forward()
        losses[0].backward()
    flops = counter.get_total_flops()
    name = f'{kind} {args.images}x{args.sentences} at {args.size[0]}x{args.size[1]}'
    rows = [(f'{name}: {part}', 1000 * value, 'ms')
            for part, value in zip(('forward', 'backward', 'optimizer', 'step'), (*parts, whole))]
    rows += [(f'{name}: images', args.images / whole, '1/s'), (f'{name}: peak memory', bench.peak_memory(), 'GiB'),
             (f'{name}: FLOPs', flops / 1e12, 'TFLOP')]
    if bench.matrix_rate:
        rows.append((f'{name}: of the matrix rate', 100 * flops / whole / bench.matrix_rate, '%'))
    return rows
