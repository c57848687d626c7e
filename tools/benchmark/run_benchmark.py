"""Benchmark speed and memory on this machine, against its limits and other code; prints a table and writes json.

    python tools/benchmark/run_benchmark.py                      the usual parts, at sizes for this device
    python tools/benchmark/run_benchmark.py pretrain vqa --images 16 --sentences 4 --size 608x1024 --dtype bfloat16
    python tools/benchmark/run_benchmark.py pretrain --compile --cfg-options model.data_preprocessor.channels_last=False
    python tools/benchmark/run_benchmark.py official_soho --official-soho DIR
    python tools/benchmark/run_benchmark.py data loop --root data/synthetic/demo
    python tools/benchmark/run_benchmark.py data startup --photos data/coco_photos/permissive --captions 5800000
    python tools/benchmark/run_benchmark.py gpu_check [--official-soho DIR] [--official-virtex DIR]

``floors``: a matrix product and a copy. ``pretrain``, ``vqa``, ``virtex``: a training step of
the published recipe on random pictures and words, split into data (to the device, and
normalised), forward, backward and optimizer, with the share that it reaches of the rate of a
matrix product measured beside it. ``inference``, ``captions``: answers and captions. ``api``: what a call
of ``soho.VQA`` and others costs over the model alone, for one picture and for a folder.
``retrieval``: scores of image-text pairs, the image encoded once and for each pair again. ``every_pair``: all 1,000 x
5,000 of a test, by a tiny model, which takes minutes.
``operators``: shares of kinds of operators. ``growth``: scaling with images, sentences,
dictionary, captions and ranks. ``official_soho``, ``official_virtex``: steps, memory
and inference against the official releases in turns, in unchanged checkouts of researchmm/soho and
kdexd/virtex. ``alternatives``: ViLT, timm, and a detector with a BERT. ``data``: a worker's
pictures a second against bare decoding of the same files, for the pipelines of the published
recipes and, where a copy of the official SOHO release is named, against its pipeline.
``startup``: time to the first batch with many captions. ``loop``: the whole training
loops of the demo's fine-tuning and of the published pretraining against their steps alone.
``host``: what the host does around the step of the published trainings, at their number of samples.
``guards``: what looking for non-finite values and for signals adds to the pretraining step, in turns, and how long a
checkpoint holds it up.
``device_tests``: the tests of the recipes' steps on this device, and the memory that they took.
``gpu_check``: what is to be known of a machine with one GPU, in eight minutes: ``device_tests``, the floors, and the
pairs with the other code at few repetitions; without a GPU the same at a size for a CPU.
``data`` and ``loop`` need the synthetic data set, or read other pictures where ``--photos`` names them.

A part that fails says why in one sentence, the others go on, and the command ends with an error.
Medians over ``--repeat`` measurements after two that are discarded; weights are random. Each
part runs in a process of its own, so that the peak memory of one is not that of another:
GPU memory, or without a GPU the memory of the process beyond its libraries.
"""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from soho.engine import add_config_options
from soho.errors import USER_ERRORS, first_line, format_error
from soho.files import write_text
from tools.benchmark import PARTS, USUAL, gpu_check, measure
from tools.benchmark.bench import Rows
from tools.benchmark.memory import in_a_fresh_process


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'parts', nargs='*', metavar='PART', help=f'{", ".join(PARTS)}; or gpu_check (default: {", ".join(USUAL)})'
    )
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cuda' if cuda else 'cpu')
    parser.add_argument(
        '--dtype', choices=('float32', 'bfloat16', 'float16'), default='bfloat16' if cuda else 'float32'
    )
    parser.add_argument('--images', type=int, default=16 if cuda else 2, help='a step')
    parser.add_argument('--sentences', type=int, default=4, help='an image')
    parser.add_argument(
        '--size',
        type=lambda text: tuple(map(int, text.split('x'))),
        default=(608, 1024),
        metavar='HxW',
        help='of the canvas, default 608x1024',
    )
    parser.add_argument(
        '--batches', type=int, nargs='+', default=[8, 32, 128] if cuda else [4], help='sizes of inference beside 1'
    )
    parser.add_argument('--repeat', type=int, default=10 if cuda else 5)
    parser.add_argument('--compile', action='store_true', help='the parts of our models that a run compiles')
    add_config_options(parser, 'model.backbone.with_cp=True')
    parser.add_argument(
        '--root',
        help='folder of the synthetic data set; default: $SOHO_SYNTHETIC, or data/synthetic/demo in the current folder',
    )
    parser.add_argument(
        '--photos',
        metavar='PATH',
        help='zip or folder of pictures, with their captions in PATH.json (default: of the data set)',
    )
    parser.add_argument('--captions', type=int, default=100_000, help='of the start-up')
    parser.add_argument('--official-soho', metavar='DIR', help='a checkout of researchmm/soho')
    parser.add_argument('--official-virtex', metavar='DIR', help='a checkout of kdexd/virtex')
    parser.add_argument('--together', action='store_true', help='all parts in this process; peaks are then common')
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('work_dirs/benchmark.json'),
        help='json file; default: %(default)s in the current folder',
    )
    args = parser.parse_args(argv)
    args.minutes = None
    if 'gpu_check' in args.parts:
        parser.set_defaults(**gpu_check.SIZES[args.device])
        args = parser.parse_args(argv)
        args.minutes = gpu_check.MINUTES[args.device]
        args.parts = gpu_check.parts_of(args)
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f'there is no part {sorted(unknown)[0]!r}; the parts are {", ".join(PARTS)}')
    for part in ('official_soho', 'official_virtex'):
        if part in args.parts and not getattr(args, part):
            parser.error(f'{part} needs --{part.replace("_", "-")} DIR, a checkout of the official release')
    args.parts = args.parts or USUAL
    if args.root:
        os.environ['SOHO_SYNTHETIC'] = args.root
    return args


def conditions_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the conditions of the measurement: date, device, dtype, commit, versions, command."""
    packages = ('torch', 'torchvision', 'transformers', 'timm', 'mmengine', 'numpy')
    return dict(
        date=time.strftime('%Y-%m-%d'),
        device=device_name(args.device),
        dtype=args.dtype,
        threads=torch.get_num_threads(),
        commit=commit(),
        python=platform.python_version(),
        **{name: version(name) for name in packages},
        command=shlex.join(sys.argv),
    )


def device_name(device: str) -> str:
    """Return the name of the GPU or CPU."""
    if device == 'cuda':
        return torch.cuda.get_device_name()
    info = Path('/proc/cpuinfo')
    names = re.findall(r'model name\s*: (.*)', info.read_text()) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def commit() -> str:
    """Return the commit, with ``+`` if files differ from it; ``unknown`` outside of a checkout."""
    try:
        options = dict(cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
        name = subprocess.run(['git', 'rev-parse', '--short=10', 'HEAD'], **options).stdout.strip()
        changed = subprocess.run(['git', 'status', '--porcelain', '-uno'], **options).stdout
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'
    return name + ('+' if changed else '')


def show(rows: Rows, heading: str = '') -> str:
    """Print metrics under their headings, and return the last heading."""
    for what, value, unit in rows:
        group, _, name = what.partition(': ')
        if group != heading:
            print(f'\n{group}')
            heading = group
        print(f'    {name:56}{value:>12.4g} {unit}', flush=True)
    return heading


def reason(error: Exception) -> str:
    """Return one sentence for an error, with its class unless it is an error of the user."""
    message = first_line(format_error(error), '')
    return message if isinstance(error, USER_ERRORS) else f'{type(error).__name__}: {message}'


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    args = parse_args(argv)
    conditions = conditions_of(args)
    print(', '.join(f'{name} {value}' for name, value in conditions.items()))
    result = dict(conditions, rows=[], failed={})
    heading = ''
    started = time.monotonic()
    for part in PARTS:
        if part in args.parts:
            try:
                gpu_check.check_time(started, args.minutes)
                rows = measure(part, args) if args.together else in_a_fresh_process(measure, part, args)
            except Exception as error:
                if os.environ.get('SOHO_TRACEBACK'):
                    raise
                result['failed'][part] = reason(error)
                print(f'\nerror: {part}: {reason(error)}', file=sys.stderr)
                rows = []
            heading = show(rows, heading)
            result['rows'] += [dict(what=what, value=value, unit=unit) for what, value, unit in rows]
            write_text(args.out, json.dumps(result, indent=1) + '\n')
    if result['failed']:
        raise SystemExit(f'error: not measured: {", ".join(result["failed"])}; SOHO_TRACEBACK=1 stops at the first')
    return result


if __name__ == '__main__':
    main()
