"""Sizes of images without decoding them: from COCO json files, or from the image headers."""

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

from soho.datasets.records import CocoImage, Listed
from soho.datasets.storage.image_header import read_header
from soho.datasets.storage.image_store import ImageDecodeError, ImageStore
from soho.datasets.storage.json_records import stream_records
from soho.errors import UserError, clip, quote
from soho.files import PathLike

RecordT = TypeVar('RecordT', bound=Listed)


def list_once(records: Iterable[RecordT], what: str, source: PathLike) -> dict[Any, RecordT]:
    """Return the records of a list of a COCO file by their ids.

    Args:
        records: The records.
        what: What they are, for the message.
        source: The file.

    Raises:
        UserError: Two of them have one id.
    """
    found: dict[Any, RecordT] = {}
    for record in records:
        if found.setdefault(record.id, record) is not record:
            raise UserError(f'{source} lists the {what} {quote(record.id)} twice')
    return found


class Size(NamedTuple):
    """File name and size in pixels, after EXIF rotation, of an image."""

    file_name: str
    height: int
    width: int


def coco_sizes(coco_files: Iterable[PathLike]) -> dict[int | str, Size]:
    """Return the sizes of images by id, from the lists ``images`` of COCO json files.

    Raises:
        UserError: A list is broken, or has an image twice.
    """
    return {
        number: Size(image.file_name, image.height, image.width)
        for path in coco_files
        for number, image in list_once(stream_records(path, CocoImage, 'images'), 'image', path).items()
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
        raise ImageDecodeError(f'the image {clip(name)} of {store.path} has no readable header: {error}') from error
    return Size(name, *header.upright_size)
