"""How fast it is here, and how fast it could be: a table, and the same as json.

    python tools/analysis/benchmark.py                          all parts, at sizes for this device
    python tools/analysis/benchmark.py pretrain vqa --images 16 --sentences 4 --size 608x1024 --dtype bfloat16
    python tools/analysis/benchmark.py data loop --root data/world/demo
    python tools/analysis/benchmark.py data startup --photos data/coco_photos/permissive --captions 5800000

``floors``: a matrix product and a copy, in the same run as what is measured beside them.
``pretrain``, ``vqa``: a training step of the published recipe on random pictures and
words of one canvas size, split into forward, backward and optimizer, with its
FLOPs and the share of the matrix rate that it reaches. ``inference``: answers
at batch 1 and in batches. ``data``: a worker's pictures a second against bare
decoding of the same files, for the pipelines of the published recipes and, where a copy
of the official SOHO release is named, against its pipeline. ``startup``: from nothing to
the first batch with many captions. ``loop``: the whole training loop of the demo's
fine-tuning against its step alone. ``data`` and ``loop`` need the generated world, ``data``
reads other pictures where ``--photos`` names them.

Medians over ``--repeat`` measurements after two that do not count; weights are random.
"""
import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from soho.benchmark import MEASURE, PARTS, Bench


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
    parser.add_argument('--photos', metavar='PATH',
                        help='zip or folder of pictures, with their captions in PATH.json (default: of the world)')
    parser.add_argument('--captions', type=int, default=100_000, help='of the start-up')
    parser.add_argument('--official-soho', metavar='DIR', help='a copy of the official release that imports')
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
    result = dict(describe(args), rows=[])
    print(', '.join(f'{name} {value}' for name, value in result.items() if name != 'rows'))
    for part in PARTS:
        if part in args.parts:
            for name, value, unit in MEASURE[part](bench):
                print(f'{name:70}{value:>12.4g} {unit}', flush=True)
                result['rows'].append(dict(what=name, value=value, unit=unit))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=1) + '\n')
    return result


if __name__ == '__main__':
    main()
