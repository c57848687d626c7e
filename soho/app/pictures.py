"""Pictures that strangers upload: what is no picture, too large or damaged is refused with a sentence."""

import io
import os

from PIL import Image

from soho.datasets.storage.decoding import decode_image, limit_pixels
from soho.datasets.storage.image_header import read_header
from soho.errors import UserError, clip

MAX_BYTES = 25 << 20
MAX_PIXELS = 64_000_000
"""Height times width; the cameras of phones make up to 50 million pixels."""
FORMATS = ('JPEG', 'PNG', 'WEBP', 'GIF', 'BMP', 'TIFF')
"""Of all that Pillow reads these alone: among the others are some that hand the file to another program."""


def read_picture(path: str | os.PathLike) -> bytes:
    """The bytes of a picture, which was decoded once and will be decodable again.

    Args:
        path: A file of whatever contents; its name is shown.

    Raises:
        UserError: The file is no picture, too large, or damaged.
    """
    name = clip(os.path.basename(path))
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would be waited for
        raise UserError(f'{name} is not a file.')
    if (size := os.path.getsize(path)) > MAX_BYTES:
        raise UserError(f'{name} has {-(-size >> 20)} MiB, and a picture may have {MAX_BYTES >> 20} at most.')
    with open(path, 'rb') as file:
        data = file.read()
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
    except Image.DecompressionBombError as error:
        raise UserError(
            f'{name} has more pixels than the {MAX_PIXELS // 10**6} million of the largest picture.'
        ) from error
    except Exception as error:  # plugins raise many kinds of errors on damaged bytes
        raise UserError(
            f'{name} is not a picture that can be read: JPEG, PNG, WebP, GIF, BMP and TIFF files are.'
        ) from error
    header = read_header(data, name)
    most = min(MAX_PIXELS, limit_pixels(header))
    if width * height > most:
        raise UserError(
            f'{name} has {width} x {height} pixels, and a picture of its kind may have {most // 10**6} million at most.'
        )
    decode_image(data, name=name, max_pixels=most)
    return data
