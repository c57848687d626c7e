"""Convert a pretraining annotation file of SOHO to COCO's captions json, which VirTex and the caption metrics read.

Usage::

    python tools/prepare/captions.py data/coco_photos/permissive.json --out data/coco_photos/captions.json
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from soho.datasets.records import CaptionedImage
from soho.datasets.storage.json_files import write_json
from soho.datasets.storage.json_records import stream_records
from soho.errors import UserError, clip, exit_on_user_error, quote


def convert(source: Path, out: Path) -> tuple[int, int]:
    """Write COCO's json of a pretraining annotation file; return the numbers of images and captions.

    Captions are numbered from 1 in the order of the file. An ``image_id`` that is text becomes a number, as COCO's are.

    Args:
        source: Annotation file: a list of ``{file_name, image_id, width, height, captions: [...]}``.
        out: Path of the json to write.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The file is broken, lacks a key, or has an ``image_id`` that is not a number or is repeated.
    """
    images, annotations = {}, []
    for record in stream_records(source, CaptionedImage):
        name = str(record.image_id)
        if not (name.isascii() and name.isdecimal() and len(name) < 19):
            raise UserError(
                f'{source}: the image_id {quote(record.image_id)} of {clip(record.file_name)} is not a number, '
                'as it is in COCO'
            )
        image = int(name)
        if image in images:
            raise UserError(
                f'{source}: the image_id {image} is repeated, by {clip(images[image]["file_name"])} '
                f'and {clip(record.file_name)}'
            )
        images[image] = dict(id=image, file_name=record.file_name, width=record.width, height=record.height)
        annotations += [
            dict(id=number, image_id=image, caption=caption)
            for number, caption in enumerate(record.captions, start=len(annotations) + 1)
        ]
    write_json(out, dict(images=list(images.values()), annotations=annotations))
    return len(images), len(annotations)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('annotations', type=Path)
    parser.add_argument('--out', type=Path, required=True, help='the json to write')
    args = parser.parse_args(argv)
    with exit_on_user_error():
        print('{}: {} images, {} captions'.format(args.out, *convert(args.annotations, args.out)))


if __name__ == '__main__':
    main()
