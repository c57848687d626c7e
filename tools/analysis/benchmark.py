"""How fast it is here, and how fast it could be: a table, and the same as json.

    python tools/analysis/benchmark.py                          all parts, at sizes for this device
    python tools/analysis/benchmark.py pretrain vqa --images 16 --sentences 4 --size 608x1024 --dtype bfloat16
    python tools/analysis/benchmark.py data loop --root data/world/demo

``floors``: a matrix product and a copy, in the same run as what is measured beside them.
``pretrain``, ``vqa``: a training step of the published recipe on random pictures and
words of one canvas size, split into forward, backward and optimizer, with its
FLOPs and the share of the matrix rate that it reaches. ``inference``: answers
at batch 1 and in batches. ``data``: a worker's pictures a second against bare
decoding of the same files. ``loop``: the whole training loop of the demo's
fine-tuning against its step alone. The last two need the generated world.

Medians over ``--repeat`` measurements after two that do not count; weights are random.
"""
import argparse
import gc
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from torch.utils.flop_counter import FlopCounterMode

from soho.datasets.decoding import decode_image, decode_reduced
from soho.engine import Runner, load_config
from soho.registry import DATASETS, FUNCTIONS, MODELS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
PARTS = ('floors', 'pretrain', 'vqa', 'inference', 'data', 'loop')
RECIPES = {'pretrain': 'Pretrain/soho_res18_pre_corrected.py', 'vqa': 'VQA/soho_res18_vqa_corrected.py'}
TEXT_LENGTH = {'pretrain': 20, 'vqa': 16}
Rows = list[tuple[str, float, str]]


class Bench:
    """What all measurements share: the device, the number type and how often.

    Args:
        args: The command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.device = torch.device(args.device)
        self.dtype = getattr(torch, args.dtype)
        self.matrix_rate = 0.0  # FLOP/s, once measured

    def sync(self) -> None:
        if self.device.type == 'cuda':
            torch.cuda.synchronize()

    def seconds(self, call: Callable[[], Any]) -> float:
        """Median seconds of a call."""
        return self.split([call])[0]

    def split(self, calls: Sequence[Callable[[], Any]]) -> list[float]:
        """Median seconds of each of several calls that follow each other."""
        times = []
        for _ in range(self.args.repeat + 2):
            marks = [self._now()]
            for call in calls:
                call()
                marks.append(self._now())
            times.append([after - before for before, after in zip(marks, marks[1:])])
        return [statistics.median(column) for column in zip(*times[2:])]

    def _now(self) -> float:
        self.sync()
        return time.perf_counter()

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def reset_memory(self) -> None:
        gc.collect()
        if self.device.type == 'cuda':
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak_memory(self) -> float:
        """Peak GiB: of the GPU since the last reset; without one of the whole process so far."""
        if self.device.type == 'cuda':
            return torch.cuda.max_memory_allocated() / 2**30
        scale = 1 if sys.platform == 'darwin' else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**30


def floors(bench: Bench) -> Rows:
    """A matrix product and a copy, as large as keeps the device busy."""
    side = 8192 if bench.device.type == 'cuda' else 2048
    a, b = (torch.randn(side, side, device=bench.device, dtype=bench.dtype) for _ in range(2))
    bench.matrix_rate = 2 * side**3 / bench.seconds(lambda: a @ b)
    source = torch.empty(2**28 if bench.device.type == 'cuda' else 2**26, device=bench.device)
    target = torch.empty_like(source)
    rate = 2 * source.nbytes / bench.seconds(lambda: target.copy_(source))
    return [(f'matrix product {side}', bench.matrix_rate / 1e12, 'TFLOP/s'), ('copy', rate / 1e9, 'GB/s')]


def random_batch(kind: str, images: int, sentences: int, size: tuple[int, int], vocab: int, answers: int = 0,
                 ) -> dict[str, torch.Tensor]:
    """A batch as the collate function makes it, see :mod:`soho.datasets.collate`; every cell and word counts."""
    generator = torch.Generator().manual_seed(0)

    def integers(high: int, *shape: int) -> torch.Tensor:
        return torch.randint(high, shape, generator=generator)

    length = TEXT_LENGTH[kind]
    ids = integers(vocab, images, sentences, length)
    batch = dict(
        image=integers(256, images, 3, *size).to(torch.uint8),
        image_size=torch.tensor([size] * images), pad_size=torch.tensor([size] * images),
        input_ids=ids, attention_mask=torch.ones_like(ids),
        sentence_mask=torch.ones(images, sentences, dtype=torch.bool))
    if kind == 'pretrain':
        hidden = torch.rand(ids.shape, generator=generator) < 0.15
        return dict(batch, mlm_labels=torch.where(hidden, ids, -100), itm_labels=integers(2, images, sentences),
                    mask_cell=torch.rand(images, generator=generator),
                    mask_rows=torch.rand(images, sentences, generator=generator) < 0.15)
    return dict(batch, question_id=integers(1000, images, sentences),
                answer_labels=integers(answers, images, sentences, 1),
                answer_scores=torch.ones(images, sentences, 1))


def build(bench: Bench, kind: str) -> tuple[torch.nn.Module, Any]:
    """The published model with random weights, and its config."""
    cfg = load_config(str(CONFIGS / RECIPES[kind]))
    cfg.model.backbone.init_cfg = None
    cfg.model.language.pretrained = None
    init_default_scope(cfg.default_scope)
    return MODELS.build(cfg.model).to(bench.device), cfg


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


@torch.inference_mode()
def inference(bench: Bench) -> Rows:
    """Answers, one question a picture."""
    model, _ = build(bench, 'vqa')
    model.eval()
    rows = []
    for images in (1, *bench.args.batches):
        batch = random_batch('vqa', images, 1, bench.args.size, model.language.config.vocab_size,
                             model.heads['vqa'].num_answers)

        def answer(batch: dict[str, torch.Tensor] = batch) -> None:
            with bench.autocast():
                model(mode='predict', **model.data_preprocessor(batch))

        seconds = bench.seconds(answer)
        name = f'vqa inference at {bench.args.size[0]}x{bench.args.size[1]}, batch {images}'
        rows += [(f'{name}: latency', 1000 * seconds, 'ms'), (f'{name}: answers', images / seconds, '1/s')]
    return rows


def data(bench: Bench) -> Rows:
    """Pictures a second of one worker, for the scale of the published recipe and for the demo's."""
    rows = []
    for long, short in ((1000, 600), (333, 200), (96, 72)):
        cfg = load_config(str(CONFIGS / 'demo' / 'vqa.py'))
        dataset = cfg.train_dataloader.dataset
        dataset.pipeline[0].reduce_to = dataset.pipeline[1].scale = (long, short)
        init_default_scope(cfg.default_scope)
        dataset = DATASETS.build(dataset)
        chosen = range(0, len(dataset), max(1, len(dataset) // 64))
        files = [dataset.store.read(dataset.images.file_names[dataset.item_image[i]]) for i in chosen]

        def bare(files: list[bytes] = files, scale: tuple[int, int] = (long, short)) -> None:
            for file in files:
                decode_reduced(file, scale)

        def full(files: list[bytes] = files) -> None:
            for file in files:
                decode_image(file)

        def samples(dataset: Any = dataset, chosen: range = chosen) -> None:
            for i in chosen:
                dataset[i]

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        fast, slow, whole = (len(files) / bench.seconds(call) for call in (bare, full, samples))
        torch.set_num_threads(threads)
        rows += [(f'data at {long}x{short}: pipeline, one core', whole, 'images/s'),
                 (f'data at {long}x{short}: of bare decoding at the reduced scale', 100 * whole / fast, '%'),
                 (f'data at {long}x{short}: of bare decoding in full', 100 * whole / slow, '%')]
    return rows


def loop(bench: Bench) -> Rows:
    """The training loop with its data, hooks and logging, against the same step on one batch that is there."""
    cfg = load_config(str(CONFIGS / 'demo' / 'vqa.py'))
    steps = 20 * bench.args.repeat
    cfg.update(load_from=None, work_dir=str(bench.args.out.parent / 'benchmark'),
               val_cfg=None, val_dataloader=None, val_evaluator=None,
               test_cfg=None, test_dataloader=None, test_evaluator=None, param_scheduler=None)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=steps)
    cfg.default_hooks.checkpoint = None
    init_default_scope(cfg.default_scope)
    answers = DATASETS.build(cfg.train_dataloader.dataset).metainfo['label2ans']
    cfg.model.heads.vqa.num_answers = len(answers)  # a world of another size may have fewer
    runner = Runner.from_cfg(cfg)
    started = time.perf_counter()
    runner.train()
    bench.sync()
    whole = (time.perf_counter() - started) / steps
    dataset = runner.train_dataloader.dataset
    collate = dict(cfg.train_dataloader.collate_fn)
    make = FUNCTIONS.get(collate.pop('type'))
    landscape = [i for i, ratio in enumerate(dataset.aspect_ratio) if 1.2 < ratio < 1.4]
    batch = make([dataset[i] for i in landscape[:cfg.train_dataloader.batch_size]], **collate)
    alone = bench.seconds(lambda: runner.model.train_step(batch, runner.optim_wrapper))
    return [('demo fine-tuning: loop', 1000 * whole, 'ms a step'), ('demo fine-tuning: step alone', 1000 * alone, 'ms'),
            ('demo fine-tuning: loop against the step', 100 * alone / whole, '%')]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('parts', nargs='*', metavar='PART', help=f'{", ".join(PARTS)} (default: all)')
    parser.add_argument('--device', default='cuda' if cuda else 'cpu')
    parser.add_argument('--dtype', choices=('float32', 'bfloat16', 'float16'),
                        default='bfloat16' if cuda else 'float32')
    parser.add_argument('--images', type=int, default=16 if cuda else 2, help='a step')
    parser.add_argument('--sentences', type=int, default=4, help='an image')
    parser.add_argument('--size', type=lambda text: tuple(map(int, text.split('x'))), default=(608, 1024),
                        metavar='HxW', help='of the canvas, default 608x1024')
    parser.add_argument('--batches', type=int, nargs='+', default=[8, 32, 128] if cuda else [4],
                        help='sizes of inference beside 1')
    parser.add_argument('--repeat', type=int, default=10 if cuda else 5)
    parser.add_argument('--root', help='the generated world; default: $SOHO_WORLD or data/world/demo')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/benchmark.json'))
    args = parser.parse_args(argv)
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f'there is no part {sorted(unknown)[0]!r}; the parts are {", ".join(PARTS)}')
    args.parts = args.parts or PARTS
    if args.root:
        os.environ['SOHO_WORLD'] = args.root
    return args


def describe(args: argparse.Namespace) -> dict[str, Any]:
    """Under which circumstances the figures came to be."""
    device = torch.cuda.get_device_name() if args.device == 'cuda' else platform.processor() or platform.machine()
    return dict(date=time.strftime('%Y-%m-%d'), device=device, dtype=args.dtype, threads=torch.get_num_threads(),
                torch=torch.__version__, command=' '.join(sys.argv))


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)
    bench = Bench(args)
    measure = dict(floors=floors, inference=inference, data=data, loop=loop,
                   **{kind: lambda bench, kind=kind: training_step(bench, kind) for kind in RECIPES})
    result = dict(describe(args), rows=[])
    print(', '.join(f'{name} {value}' for name, value in result.items() if name != 'rows'))
    for part in PARTS:
        if part in args.parts:
            for name, value, unit in measure[part](bench):
                print(f'{name:70}{value:>12.4g} {unit}', flush=True)
                result['rows'].append(dict(what=name, value=value, unit=unit))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + '\n')
    return result


if __name__ == '__main__':
    main()
