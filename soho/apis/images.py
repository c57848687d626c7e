"""Pictures in whatever form a person has them: files, folders, zips, addresses, bytes, PIL images, arrays."""

import os
import urllib.request
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from soho.datasets.storage.image_store import ImageDecodeError, ImageError, ImageMissingError, ImageStore
from soho.datasets.storage.names import IMAGE_EXTENSIONS, is_image
from soho.errors import UserError, clip, count_of

TIMEOUT = 30  # seconds
LARGEST = 1 << 28  # bytes of a download
ON_ERROR = ('raise', 'skip')
NAMED = 5  # pictures in a sentence about those that could not be read


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
        ImageMissingError: There is no such file, or it cannot be read or downloaded.
        ImageDecodeError: A PIL image whose file turns out to be damaged.
        UserError: An array of another kind.
    """
    if isinstance(image, StoredImage):
        return dict(image_store=image.store, file_name=image.name)
    if isinstance(image, Image.Image):
        try:
            return dict(image=np.array(ImageOps.exif_transpose(image).convert('RGB')))
        except (OSError, SyntaxError, ValueError) as error:  # a file is read when its pixels are first wanted
            name = getattr(image, 'filename', '') or 'the PIL image given'
            raise ImageDecodeError(f'{name} cannot be decoded: {clip(error)}') from error
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
    except OSError as error:
        raise ImageMissingError(f'the image {path} cannot be read: {error.strerror}') from error


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
    names = [name for name in ImageStore(source).names if is_image(name)]
    if not names:
        raise UserError(f'{os.fspath(source)} has no images: no name in it ends in {", ".join(IMAGE_EXTENSIONS)}')
    return names


def open_images(source: str | os.PathLike, names: Sequence[str]) -> list[ImageInput]:
    """What the named images of a folder or a zip are given as; none is read yet."""
    if os.path.isdir(source):
        return [os.path.join(source, name) for name in names]
    store = ImageStore(source)
    return [StoredImage(store, name) for name in names]


def for_images(
    images: Any, predict: Callable[[list[ImageInput], bool], Iterable[Any]], on_error: str | None = None
) -> Any:
    """What a person gets for one picture, several, or a folder.

    Args:
        images: One picture, a list or tuple of them, or a folder or zip.
        predict: Returns a result for each of the pictures; and, where the second argument says so, an
            :class:`ImageError` in the place of a broken one's, which it otherwise raises.
        on_error: Of several pictures, whether one that is missing or damaged ends the call (``'raise'``) or has no
            result (``'skip'``), of which a warning tells; by default a folder's are skipped.

    Returns:
        One result; a list of them, with ``None`` for a picture that was skipped; or a dict by file name.

    Raises:
        ImageError: A picture is missing or damaged, and is not skipped.
        UserError: None of several pictures can be read; ``on_error`` is something else.
    """
    if on_error not in (None, *ON_ERROR):
        raise UserError(f'on_error is {on_error!r}; it is one of {", ".join(ON_ERROR)}')
    if is_collection(images):
        names = list_images(images)
        found = list(predict(open_images(images, names), on_error != 'raise'))
        broken = {name: result for name, result in zip(names, found) if isinstance(result, ImageError)}
        _warn_of_broken(broken, len(found))
        return {name: result for name, result in zip(names, found) if name not in broken}
    if isinstance(images, (list, tuple)):
        found = list(predict(list(images), on_error == 'skip'))
        broken = {str(place): result for place, result in enumerate(found) if isinstance(result, ImageError)}
        _warn_of_broken(broken, len(found))
        return [None if isinstance(result, ImageError) else result for result in found]
    (result,) = predict([images], False)
    return result


def name_some(names: Iterable[str]) -> str:
    """The first few names of many, for a sentence."""
    names = list(names)
    return ', '.join(names[:NAMED]) + (', ...' if len(names) > NAMED else '')


def _warn_of_broken(broken: Mapping[str, ImageError], total: int) -> None:
    """Tell of pictures that were skipped.

    Raises:
        UserError: All were.
    """
    if not broken:
        return
    first = next(iter(broken.values()))
    if len(broken) == total:
        raise UserError(f'none of the {count_of(total, "image")} can be read; of the first: {first}')
    said = f'{len(broken)} of {total} images could not be read and are left out: {name_some(broken)}'
    warnings.warn(f'{said}; of the first: {first}', stacklevel=4)  # where the inferencer is called


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
