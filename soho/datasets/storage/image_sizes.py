"""Sizes of images without decoding them: from COCO json files, or from the image headers."""

from collections.abc import Iterable
from typing import NamedTuple

from soho.datasets.storage.image_header import read_header
from soho.datasets.storage.image_store import ImageDecodeError, ImageStore
from soho.datasets.storage.json_files import stream_array
from soho.files import PathLike


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
    """Return the size of an image from its header, upright as :func:`soho.datasets.storage.decoding.decode_image`.

    Raises:
        ImageError: There is no such image, or its header cannot be read.
    """
    data = store.read(name)
    try:
        header = read_header(data, 'the file')
    except ImageDecodeError as error:
        raise ImageDecodeError(f'the image {name} of {store.path} has no readable header: {error}') from error
    return Size(name, *header.upright_size)
