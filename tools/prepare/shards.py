#!/usr/bin/env python
"""Images and their annotations -> tar shards, which WebDataset reads sequentially and this project in any order.

    python tools/prepare/shards.py --images data/vg_coco_pre/images.zip \
        --annotations data/vg_coco_pre/vg_cap_pre.json --out shards/images

writes ``000000.tar``, ``000001.tar``, ... of up to ``--size`` MiB. Each image is stored
under its name, followed by its item of the annotation file as ``NAME.json``;
without ``--annotations`` all images are stored, without items. An annotation file in the layout of
pretraining or VQA stays valid: name the folder as ``images`` of the dataset.

``shards.index`` in the folder holds the position of each member, and ``prepare_shards.json``
the inputs, so that a second call has nothing to do. All files appear
only when all are complete.
"""

import argparse
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from soho.datasets.records import NamedImage
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.json_files import MissingKeyError, stream_array
from soho.datasets.storage.json_records import item_place, to_record
from soho.datasets.storage.manifest import Manifest, hash_output
from soho.datasets.storage.names import check_name
from soho.datasets.storage.tar_shards import INDEX, TarShards, holds_images, shard_files
from soho.errors import UserError, clip, exit_on_user_error
from soho.files import scratch_folder

MIB = 1 << 20
_FORMAT = tarfile.GNU_FORMAT


def read_records(annotations: Path | None, store: ImageStore) -> list[dict[str, Any]]:
    """Return the items of an annotation file, a list or an object with ``data``; without one, of all images."""
    if annotations is None:
        return [dict(file_name=name) for name in store.names]
    key = None
    try:
        records = list(stream_array(annotations))
    except MissingKeyError:
        key = 'data'
        records = list(stream_array(annotations, key))
    for number, record in enumerate(records):
        check_name(to_record(record, NamedImage, item_place(annotations, key, number)).file_name)
    return records


def check_names(records: Sequence[dict[str, Any]]) -> None:
    """Raise for names that WebDataset, where a sample's name ends at the first dot, would merge.

    Raises:
        UserError: Two images have the same name before the first dot.
    """
    seen: dict[str, str] = {}
    for record in records:
        name = record['file_name']
        folder, _, base = name.rpartition('/')
        other = seen.setdefault(f'{folder}/{base.partition(".")[0]}', name)
        if other != name:
            raise UserError(
                f'{clip(other)} and {clip(name)} are the same up to the first dot, where the name of a sample ends '
                'in WebDataset: rename one of them'
            )


def members(records: Sequence[dict[str, Any]], store: ImageStore, annotated: bool) -> Iterator[list[tuple[str, bytes]]]:
    """Yield the files of each sample: the image, and all its items of the annotation file."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_name.setdefault(record['file_name'], []).append(record)
    for name, items in by_name.items():
        files = [(name, store.read(name))]
        if annotated:
            base = name.rpartition('/')[2]
            stem = name[: len(name) - len(base)] + base.partition('.')[0]
            item = items[0] if len(items) == 1 else items
            files.append((f'{stem}.json', json.dumps(item, ensure_ascii=False).encode()))
        yield files


def write_shards(folder: Path, samples: Iterator[list[tuple[str, bytes]]], size: int) -> int:
    """Write the samples into shards of up to ``size`` bytes; return the number of samples."""
    count, shards, tar, filled = 0, 0, None, 0
    # Two empty blocks end a tar, which is filled up to whole records.
    size = size // tarfile.RECORDSIZE * tarfile.RECORDSIZE - 2 * tarfile.BLOCKSIZE
    for files in samples:
        needed = sum(_blocks(name, data) for name, data in files) * tarfile.BLOCKSIZE
        if tar is None or filled + needed > size:
            if tar is not None:
                tar.close()
            tar, filled = tarfile.open(folder / f'{shards:06d}.tar', 'w', format=_FORMAT), 0
            shards += 1
        for name, data in files:
            tar.addfile(_member(name, data), io.BytesIO(data))
        filled += needed
        count += 1
    if tar is not None:
        tar.close()
    return count


def _member(name: str, data: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    return member


def _blocks(name: str, data: bytes) -> int:
    """Return the number of blocks of a file; the header of a long name has several."""
    header = len(_member(name, data).tobuf(_FORMAT))
    return header // tarfile.BLOCKSIZE + -(-len(data) // tarfile.BLOCKSIZE)


def prepare(args: argparse.Namespace) -> dict[str, int]:
    """Write the shards; return the counts."""
    store = ImageStore(args.images)
    if args.out.resolve() == Path(store.path).resolve():
        raise UserError(f'{args.out} is the folder that is read; write the shards to another one.')
    if args.out.is_dir() and holds_images(str(args.out)):
        raise UserError(
            f'{args.out} holds images or folders, which take precedence over shards; '
            'write the shards to another folder.'
        )
    inputs = [store.path, *([args.annotations] if args.annotations else [])]
    manifest = Manifest(args.out, 'shards', dict(size=args.size, shuffle=args.shuffle), inputs)
    if counts := manifest.counts_if_current():
        return counts
    records = read_records(args.annotations, store)
    if not records:
        raise UserError(f'{args.annotations or args.images} names no image.')
    check_names(records)
    if args.shuffle is not None:
        records = [records[i] for i in np.random.default_rng(args.shuffle).permutation(len(records))]
    with scratch_folder(args.out) as folder:
        count = write_shards(folder, members(records, store, bool(args.annotations)), int(args.size * MIB))
        shards = TarShards(str(folder)).shards
        for old in [*shard_files(str(args.out)), args.out / INDEX]:
            old.unlink(missing_ok=True)
        args.out.mkdir(exist_ok=True)
        for name in [*shards, INDEX]:
            (folder / name).replace(args.out / name)
    counts = dict(images=count, shards=len(shards))
    manifest.write({name: hash_output(args.out / name) for name in shards}, counts)
    return counts


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', required=True, help='folder or zip of the images')
    parser.add_argument('--annotations', type=Path, help='annotation file; default: all images, without annotations')
    parser.add_argument('--out', type=Path, required=True, help='folder of the shards')
    parser.add_argument('--size', type=float, default=1024, metavar='MIB', help='size of a shard (default: 1024)')
    parser.add_argument(
        '--shuffle',
        type=int,
        metavar='SEED',
        help='write the images in random order, as ShardSampler and WebDataset want them',
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error(args.out):
        counts = prepare(args)
    print(f'{counts["images"]} images in {counts["shards"]} shards')


if __name__ == '__main__':
    main()
