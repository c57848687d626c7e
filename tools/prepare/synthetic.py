#!/usr/bin/env python
"""Generate the synthetic data set: pictures, captions, questions and regions in the formats of the public downloads.

    python tools/prepare/synthetic.py --size demo

Sizes: tiny (46 images, for tests), demo (9,200 images, about a minute), large
(116,000 images, for a GPU). Same size and seed give the same bytes. ``--also``
exports it to the formats of further downloads.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from soho.datasets.synthetic import SIZES, generate_synthetic
from soho.datasets.synthetic.exports.formats import EXPORTS
from soho.errors import exit_on_user_error


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', choices=SIZES, default='demo')
    parser.add_argument('--out', type=Path, help='folder to write; default: data/synthetic/SIZE in the current folder')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--workers', type=int, help='processes; default: one a CPU')
    parser.add_argument(
        '--also',
        nargs='+',
        choices=EXPORTS,
        default=[],
        metavar='FORMAT',
        help=f'further formats: {", ".join(EXPORTS)}',
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    out = args.out or Path('data/synthetic') / args.size
    started = time.monotonic()
    with exit_on_user_error():
        manifest = generate_synthetic(out, args.size, args.seed, args.workers, progress=True)
        exported = {name: EXPORTS[name](out) for name in args.also}
    images = ', '.join(f'{number} {split}' for split, number in manifest['images'].items())
    blind = manifest['blind']
    seconds = time.monotonic() - started
    print(
        f'{out}: images {images}; {sum(manifest["questions"].values())} questions; vocabulary of '
        f'{manifest["vocabulary"]}; {manifest["bytes"] / 2**20:.1f} MiB; {seconds:.1f} s'
    )
    print(f'accuracy without the picture: {blind["accuracy"]:.1f} %')
    for kind, metrics in blind['kinds'].items():
        print(f'  {kind:15s} {metrics["accuracy"]:5.1f} %  of {metrics["share"]:4.1f} % of the questions')
    for name, counts in exported.items():
        print(f'{name}: ' + ', '.join(f'{number} {part}' for part, number in counts.items()))


if __name__ == '__main__':
    main()
