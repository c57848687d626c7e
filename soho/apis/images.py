"""Pictures in whatever form a person has them: files, folders, zips, addresses, bytes, PIL images, arrays."""

import os
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from soho.datasets.storage.image_store import ImageDecodeError, ImageMissingError, ImageStore
from soho.errors import UserError

ENDINGS = ('.bmp', '.gif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
TIMEOUT = 30  # seconds
LARGEST = 1 << 28  # bytes of a download


class OneImage:
    """Bytes of a single image, read as :class:`soho.datasets.storage.image_store.ImageStore` reads those of a data set.

    Args:
        path: Name in messages.
        data: Bytes of the file.
    """

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data

    def read(self, name: str) -> bytes:
        return self.data


@dataclass(frozen=True)
class StoredImage:
    """An image of a zip, read when its turn comes."""

    store: ImageStore
    name: str


ImageInput = str | os.PathLike | bytes | np.ndarray | Image.Image | StoredImage


def image_entries(image: ImageInput) -> dict[str, Any]:
    """The entries of a sample that :class:`soho.datasets.transforms.image.LoadImage` reads.

    A file, an address and bytes are decoded as in an evaluation. An array is RGB and is taken as it is.

    Args:
        image: Path, ``http(s)://``, bytes of a file, PIL image, or array (H, W), (H, W, 3) or (H, W, 4) of uint8.

    Raises:
        ImageMissingError: There is no such file, or it cannot be downloaded.
        UserError: An array of another kind.
    """
    if isinstance(image, StoredImage):
        return dict(image_store=image.store, file_name=image.name)
    if isinstance(image, Image.Image):
        return dict(image=np.array(ImageOps.exif_transpose(image).convert('RGB')))
    if isinstance(image, np.ndarray):
        return dict(image=_rgb(image))
    if isinstance(image, (bytes, bytearray, memoryview)):
        return dict(image_store=OneImage('the bytes given', bytes(image)), file_name='')
    if not isinstance(image, (str, os.PathLike)):
        raise UserError(
            f'an image is a path, an address, bytes, a PIL image or an array, and this one is a {type(image).__name__}'
        )
    path = os.fspath(image)
    if path.startswith(('http://', 'https://')):
        return dict(image_store=OneImage(path, _download(path)), file_name=os.path.basename(path))
    try:
        with open(os.path.expanduser(path), 'rb') as file:
            return dict(
                image_store=OneImage(os.path.dirname(path) or '.', file.read()), file_name=os.path.basename(path)
            )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageMissingError(f'there is no image {path}') from error
    except IsADirectoryError as error:
        raise ImageMissingError(f'{path} is a folder, and a single image was expected') from error


def is_collection(source: Any) -> bool:
    """Whether a person means several images by it: a folder or a zip."""
    if not isinstance(source, (str, os.PathLike)):
        return False
    return os.path.isdir(source) or (os.fspath(source).endswith('.zip') and os.path.isfile(source))


def list_images(source: str | os.PathLike) -> list[str]:
    """Sorted names of the images in a folder or a zip, those in folders below among them.

    Raises:
        UserError: It has none.
        FileNotFoundError: There is no such folder or zip.
    """
    names = [name for name in ImageStore(source).names if name.lower().endswith(ENDINGS)]
    if not names:
        raise UserError(f'{os.fspath(source)} has no images: no name in it ends in {", ".join(ENDINGS)}')
    return names


def open_images(source: str | os.PathLike, names: Sequence[str]) -> list[ImageInput]:
    """What the named images of a folder or a zip are given as; none is read yet."""
    if os.path.isdir(source):
        return [os.path.join(source, name) for name in names]
    store = ImageStore(source)
    return [StoredImage(store, name) for name in names]


def for_images(images: Any, predict: Callable[[list[ImageInput]], Sequence[Any]]) -> Any:
    """What a person gets for one picture, several, or a folder.

    Args:
        images: One picture, a list or tuple of them, or a folder or zip.
        predict: Pictures to a result each.

    Returns:
        One result, what ``predict`` returns, or a dict by file name.
    """
    if is_collection(images):
        names = list_images(images)
        return dict(zip(names, predict(open_images(images, names))))
    if isinstance(images, (list, tuple)):
        return predict(list(images))
    return predict([images])[0]


def _rgb(image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8:
        raise UserError(f'an array of pixels is uint8, 0 to 255, and this one is {image.dtype}')
    if image.ndim == 2:
        return np.repeat(image[:, :, None], 3, axis=2)
    if image.ndim != 3 or image.shape[2] not in (3, 4) or 0 in image.shape:
        raise UserError(f'an array of pixels has the shape (height, width, 3), RGB, and this one {tuple(image.shape)}')
    return np.ascontiguousarray(image[:, :, :3])


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            data = answer.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise ImageMissingError(f'{url} could not be downloaded: {error}') from error
    if len(data) > LARGEST:
        raise ImageDecodeError(f'{url} is larger than {LARGEST >> 20} MiB and no image that is meant')
    return data
