#!/usr/bin/env python
"""Images -> a zip of the same images, shrunk to the scale of a recipe.

    python tools/prepare/shrink.py --images data/vg_coco_pre/images.zip --out small/images.zip --scale 1000 600

An image that does not fit into the scale (long edge, short edge) is shrunk until it
does, by area averaging, and stored upright as JPEG; any other is copied byte by byte. Names
are kept, so that annotation files stay valid: their heights and widths, which
only group images by shape and filter out the smallest, may remain those of the
originals. Images that cannot be decoded are copied as well and listed, so that
training treats them as before.

A pipeline that resizes to the scale or less reads and decodes less. Its pixels are
those of a shrunk and compressed copy; docs/data.md has the differences.

``prepare_shrink_NAME.json`` beside the zip records the inputs, with which a second
call has nothing to do. The zip appears only when it is complete.
"""

import argparse
import functools
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from soho.datasets.storage.decoding import decode_image
from soho.datasets.storage.image_header import Size
from soho.datasets.storage.image_store import ImageDecodeError, ImageStore
from soho.datasets.storage.manifest import Manifest, hash_output
from soho.errors import UserError, clip, exit_on_user_error
from soho.files import atomic_path
from soho.platform import available_cores

BLOCK = 2048  # images in memory at a time


class Copy(NamedTuple):
    """Image of the new zip; ``outcome`` is ``shrunk``, ``copied`` or ``broken``."""

    name: str
    data: bytes
    outcome: str


def shrink(store: ImageStore, scale: Size, quality: int, max_pixels: int | None, name: str) -> Copy:
    """Return an image that fits into ``scale``, (long edge, short edge)."""
    try:
        data = store.read(name)
    except ImageDecodeError:  # a damaged member of a zip has no bytes to copy
        return Copy(name, b'', 'broken')
    try:
        image = decode_image(data, name=name, max_pixels=max_pixels)
    except ImageDecodeError:
        return Copy(name, data, 'broken')
    height, width = image.shape[:2]
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    if factor >= 1:
        return Copy(name, data, 'copied')
    size = (max(1, int(width * factor + 0.5)), max(1, int(height * factor + 0.5)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode('.jpg', cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return Copy(name, jpeg.tobytes(), 'shrunk')


def shrink_all(store: ImageStore, args: argparse.Namespace) -> Iterator[Copy]:
    """Yield all images in the order of their names."""
    job, names = functools.partial(shrink, store, tuple(args.scale), args.quality, args.max_pixels), store.names
    # OpenCV decodes and resizes without holding Python's lock, so threads are enough.
    with ThreadPoolExecutor(args.workers) as pool:
        for start in range(0, len(names), BLOCK):
            yield from pool.map(job, names[start : start + BLOCK])


def prepare(args: argparse.Namespace) -> dict[str, Any]:
    """Write the zip; return the counts and the names of broken images."""
    store = ImageStore(args.images)
    if args.out.suffix != '.zip':
        raise UserError(f'--out is the zip to write, but {args.out} does not end in .zip.')
    if args.out.resolve() == Path(store.path).resolve():
        raise UserError(f'{args.out} is the zip that is read; give the copy another name.')
    arguments = dict(scale=sorted(args.scale, reverse=True), quality=args.quality, max_pixels=args.max_pixels)
    manifest = Manifest(args.out.parent, f'shrink_{args.out.stem}', arguments, [store.path])
    if counts := manifest.counts_if_current():
        return counts
    cv2.setNumThreads(1)
    counts: dict[str, Any] = dict(shrunk=0, copied=0, broken=[])
    with atomic_path(args.out) as path, zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as file:
        for name, data, outcome in shrink_all(store, args):
            file.writestr(zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0)), data)
            if outcome == 'broken':
                counts['broken'].append(name)
            else:
                counts[outcome] += 1
    manifest.write({args.out.name: hash_output(args.out)}, counts)
    return counts


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', required=True, help='folder, zip or shards of the images')
    parser.add_argument('--out', type=Path, required=True, metavar='ZIP')
    parser.add_argument(
        '--scale', type=int, nargs=2, required=True, metavar=('LONG', 'SHORT'), help='largest scale of the recipe'
    )
    parser.add_argument('--quality', type=int, default=95, help='quality of the JPEGs (default: 95)')
    parser.add_argument(
        '--max-pixels',
        type=int,
        help='an image of more is copied as it is (default: by format, what 1 GiB of memory can decode)',
    )
    parser.add_argument('--workers', type=int, default=available_cores())
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error(args.out):
        counts = prepare(args)
    print(f'{args.out}: {counts["shrunk"]} images shrunk, {counts["copied"]} copied')
    if counts['broken']:
        print(f'{len(counts["broken"])} cannot be decoded: {", ".join(map(clip, counts["broken"][:20]))}')


if __name__ == '__main__':
    main()
