"""Sizes of images without decoding them: from COCO json files, or from the image headers."""

import io
from collections.abc import Iterable
from typing import NamedTuple

from PIL import Image

from soho.datasets.storage.image_store import ImageDecodeError, ImageStore
from soho.datasets.storage.json_files import stream_array
from soho.files import PathLike

EXIF_ORIENTATION = 0x0112


class Size(NamedTuple):
    """File name and size in pixels, after EXIF rotation, of an image."""

    file_name: str
    height: int
    width: int


def coco_sizes(coco_files: Iterable[PathLike]) -> dict[int, Size]:
    """Return the sizes of images by id, from the lists ``images`` of COCO json files."""
    keys = ('id', 'file_name', 'height', 'width')
    return {
        image['id']: Size(image['file_name'], image['height'], image['width'])
        for path in coco_files
        for image in stream_array(path, 'images', required=keys)
    }


def header_size(store: ImageStore, name: str) -> Size:
    """Return the size of an image from its header, after EXIF rotation.

    Raises:
        ImageError: There is no such image, or its header cannot be read.
    """
    try:
        with Image.open(io.BytesIO(store.read(name))) as image:
            width, height = image.size
            if image.getexif().get(EXIF_ORIENTATION, 1) >= 5:  # rotated by 90 degrees
                width, height = height, width
    except (OSError, SyntaxError) as error:
        raise ImageDecodeError(f'the image {name} of {store.path} has no readable header') from error
    return Size(name, height, width)
