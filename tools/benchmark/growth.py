"""Scaling of time and memory with image area, sentences, dictionary size, captions, their length, and ranks."""

import os
import tempfile
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel

from tools.benchmark.bench import Bench, Rows
from tools.benchmark.memory import in_a_fresh_process
from tools.benchmark.recipes import random_batch, random_captions, recipe
from tools.benchmark.startup import WORKERS, start_twice
from tools.benchmark.training import Step

AREAS = (0.25, 0.5, 1.0, 2.0)  # of the command line's size
SENTENCES = (1, 2, 4, 8, 16)
WORDS = (512, 2048, 8192, 32768)
LENGTHS = (10, 20, 30)
CAPTIONS = (10_000, 100_000, 1_000_000)
RANKS = (1, 2)  # a GPU each, where there are as many


def growth(bench: Bench) -> Rows:
    """Measure a training step, and a start, as one quantity grows; each point in new processes."""
    args = bench.args
    rows: Rows = []
    for factor in AREAS:
        size = tuple(max(64, round(side * factor**0.5 / 32) * 32) for side in args.size)
        rows += _point(f'growth with image area: {size[0]}x{size[1]}', pretraining, args, size, args.sentences)
    for sentences in SENTENCES:
        rows += _point(f'growth with sentences an image: {sentences}', pretraining, args, args.size, sentences)
    for words in WORDS:
        rows += _point(
            f'growth with dictionary size: {words} words', pretraining, args, args.size, args.sentences, words
        )
    for length in LENGTHS:
        rows += _point(f'growth with caption length: {length} tokens', captioning, args, length)
    for captions in CAPTIONS:
        rows += _start(captions)
    for ranks in RANKS:
        if args.device == 'cpu' or ranks <= torch.cuda.device_count():
            name = f'growth with ranks{", one thread each" if args.device == "cpu" else ""}: {ranks}'
            rows += _rows(name, *across_ranks(args, ranks))
    return rows


def _point(name: str, measure: Any, *args: Any) -> Rows:
    return _rows(name, *in_a_fresh_process(measure, *args))


def _rows(name: str, seconds: float, peak: float) -> Rows:
    return [(name, 1000 * seconds, 'ms a step'), (f'{name}, peak memory', peak, 'GiB')]


def _start(captions: int) -> Rows:
    """Measure the time to the first batch."""
    starts = start_twice(captions)
    name = f'growth with the number of captions: {starts.captions}'
    return [
        (f'{name}, first start', starts.first['first_batch'], 's'),
        (f'{name}, later start', starts.later['first_batch'], 's'),
        (f'{name}, memory of {WORKERS} workers', starts.later['workers'] / 2**20, 'MiB'),
        (f'{name}, memory of the main process', starts.later['main'] / 2**20, 'MiB'),
    ]


def pretraining(args: Any, size: tuple[int, int], sentences: int, words: int = 2048) -> tuple[float, float]:
    """Return seconds and peak GiB of a pretraining step."""
    bench = Bench(args)
    cfg = recipe('pretrain', args.cfg_options)
    cfg.model.neck.dictionary.num_words = words
    return _measure(bench, Step(bench, 'pretrain', random_batch('pretrain', cfg, args.images, sentences, size), cfg))


def captioning(args: Any, length: int) -> tuple[float, float]:
    """Return seconds and peak GiB of a captioning step whose captions all have this many tokens."""
    bench = Bench(args)
    cfg = recipe('virtex', args.cfg_options)
    batch = random_batch('virtex', cfg, args.images, 1, args.size)
    tokens = torch.randint(3, 10000, (args.images, length))
    batch.update(random_captions(tokens, torch.full((args.images,), length)))
    return _measure(bench, Step(bench, 'virtex', batch, cfg))


def _measure(bench: Bench, step: Step) -> tuple[float, float]:
    return bench.seconds(step), bench.memory.peak()


def across_ranks(args: Any, ranks: int) -> tuple[float, float]:
    """Return seconds of a pretraining step with the same batch on several ranks, and peak GiB of the first rank."""
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_rank, (args, ranks, folder), nprocs=ranks)
        return tuple(torch.load(os.path.join(folder, 'metrics')).tolist())


def _rank(rank: int, args: Any, ranks: int, folder: str) -> None:
    torch.set_num_threads(1)
    if args.device == 'cuda':
        torch.cuda.set_device(rank)
    backend = 'nccl' if args.device == 'cuda' else 'gloo'
    dist.init_process_group(backend, init_method=f'file://{folder}/store', rank=rank, world_size=ranks)
    bench = Bench(args)

    def wrap(model: torch.nn.Module) -> MMDistributedDataParallel:
        return MMDistributedDataParallel(
            model,
            device_ids=[rank] if args.device == 'cuda' else None,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,
        )

    cfg: Config = recipe('pretrain', args.cfg_options)
    step = Step(bench, 'pretrain', random_batch('pretrain', cfg, args.images, args.sentences, args.size), cfg, wrap)
    metrics = _measure(bench, step)
    if rank == 0:
        torch.save(torch.tensor(metrics), os.path.join(folder, 'metrics'))
    dist.barrier()
    dist.destroy_process_group()
