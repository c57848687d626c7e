"""What the header of an image file says: its size, how it is turned, and where its pixels begin; nothing is decoded.

Sizes and decoding both follow from :func:`read_header`, so that they agree whatever a file's metadata say.
"""

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

from PIL import ExifTags, Image, TiffImagePlugin

from soho.datasets.storage.image_store import ImageDecodeError

Size = tuple[int, int]

JPEG = b'\xff\xd8\xff'
PNG = b'\x89PNG\r\n\x1a\n'
_EXIF = b'Exif\0\0'
_APP1, _SOS = 0xE1, 0xDA
# Start-of-frame markers; C4, C8 and CC among them mean other things.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
RESTARTS = range(0xD0, 0xD8)


class ImageHeader(NamedTuple):
    """What a file says of its picture before the pixels."""

    size: Size
    """(h, w) in pixels as stored."""
    kind: str
    """Pillow's name of the format; ``'progressive JPEG'`` where a decoder keeps the coefficients of several scans."""
    orientation: int = 1
    """By EXIF, 1 to 8."""
    scan: int = 0
    """Offset of the pixel data of a JPEG."""
    tile: int = 0
    """Pixels of a tile of a TIFF, which a decoder reads as a whole even where the picture is smaller."""

    @property
    def upright_size(self) -> Size:
        """Size (h, w) of the picture as a viewer shows it."""
        return self.size[::-1] if self.orientation >= 5 else self.size


def read_header(data: bytes, name: str) -> ImageHeader:
    """Return the header of an image file.

    The orientation is that of the first EXIF block that states one, as with ``cv2.imread``; XMP has no say. A block
    that cannot be read states none.

    Args:
        data: Bytes of the file; its pixels may be missing.
        name: Name of the image in error messages.

    Raises:
        ImageDecodeError: The file is empty or no picture, or states no size.
    """
    if not data:
        raise ImageDecodeError(f'{name} is empty: its file has 0 bytes')
    if data[: len(JPEG)] == JPEG:
        return _read_jpeg(data, name)
    if data[: len(PNG)] == PNG:
        return _read_png(data, name)
    try:
        with open_with_pillow(data) as picture:
            # Pillow turns the pixels of a TIFF by itself, and states their size as turned.
            turned = isinstance(picture, TiffImagePlugin.TiffImageFile)
            orientation = None if turned else read_orientation(picture.info.get('exif'))
            tile = _tile_of(picture) if turned else 0
            return ImageHeader(picture.size[::-1], picture.format or '', orientation or 1, tile=tile)
    except Exception as error:  # plugins raise many kinds of errors on damaged bytes
        raise undecodable(data, name, error) from error


def read_orientation(exif: bytes | None) -> int | None:
    """Return the orientation, 1 to 8, that an EXIF block states; ``None`` where it states none or cannot be read."""
    if not exif:
        return None
    block = Image.Exif()
    try:
        block.load(exif)
        orientation = block.get(ExifTags.Base.Orientation)
    except Exception:  # what a damaged block makes the parser raise depends on its bytes
        return None
    return orientation if orientation in range(1, 9) else None


def _tile_of(picture: Image.Image) -> int:
    """Pixels of a tile of a TIFF, 0 where it has none."""
    tags = picture.tag_v2  # type: ignore[attr-defined]
    return int(tags.get(TiffImagePlugin.TILEWIDTH, 0)) * int(tags.get(TiffImagePlugin.TILELENGTH, 0))


# Pillow knows more. EPS among them starts another program, and an icon's picture is not of the size that it states.
FORMATS = {'AVIF', 'BMP', 'GIF', 'JPEG', 'JPEG2000', 'PNG', 'PPM', 'TIFF', 'WEBP'}


def open_with_pillow(data: bytes) -> Image.Image:
    """Open an image of one of :data:`FORMATS` as ``PIL.Image.open`` does, without its limit on pixels.

    That limit is one for the whole process, is not ours to change, and would refuse to state a size. Who decodes
    checks the size first.

    Raises:
        PIL.UnidentifiedImageError: None of these formats.
    """
    for prepare in (Image.preinit, Image.init):
        prepare()
        for kind in filter(FORMATS.__contains__, Image.ID):
            factory, accept = Image.OPEN[kind]
            accepted = accept is None or accept(data[:16])
            if not accepted or isinstance(accepted, str):  # a text says what is not installed
                continue
            try:
                return factory(io.BytesIO(data), '')
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue  # of another format that begins alike
    raise Image.UnidentifiedImageError


def undecodable(data: bytes, name: str, error: Exception) -> ImageDecodeError:
    """Return the error for a file that Pillow cannot read."""
    if isinstance(error, Image.UnidentifiedImageError):
        reason = 'no known image format'
    elif isinstance(error, (OSError, SyntaxError, Image.DecompressionBombError)):  # in which Pillow says what is wrong
        reason = str(error)
    else:  # of the kind that damaged bytes make a parser stumble over
        reason = 'damaged or cut short'
    return ImageDecodeError(f'{name} cannot be decoded ({reason}): its {len(data)} bytes begin with {data[:12]!r}')


def _read_jpeg(data: bytes, name: str) -> ImageHeader:
    size, orientation = None, None
    progressive, components = False, b''
    position = 2
    while True:
        # Bytes between segments are skipped, as libjpeg does; real files have some.
        position = data.find(b'\xff', position) + 1
        if not 0 < position < len(data) - 2:
            raise ImageDecodeError(f'{name} is truncated: its {len(data)} bytes end inside the JPEG header')
        marker = data[position]
        if marker in (0x00, 0x01, 0xD8, 0xFF) or marker in RESTARTS:
            position += marker != 0xFF
            continue
        start, position = position + 3, position + 1 + int.from_bytes(data[position + 1 : position + 3], 'big')
        if marker in _FRAMES and start + 5 <= len(data):
            size, components = struct.unpack_from('>HH', data, start + 1), data[start + 5 : start + 6]
            progressive = marker in _PROGRESSIVE
        elif marker == _APP1 and orientation is None and data.startswith(_EXIF, start):
            orientation = read_orientation(data[start:position])
        elif marker == _SOS:
            break
    if size is None or 0 in size:
        raise ImageDecodeError(f'{name} is damaged: its JPEG header states no picture size')
    progressive = progressive or data[start : start + 1] != components  # of which the first scan lacks some
    return ImageHeader(size, 'progressive JPEG' if progressive else 'JPEG', orientation or 1, position)


def _read_png(data: bytes, name: str) -> ImageHeader:
    size, orientation = None, None
    for kind, start, end in png_chunks(data):
        if kind == b'IHDR' and end - start >= 20:
            width, height = struct.unpack_from('>II', data, start + 8)
            size = size or (height, width)
        elif kind == b'eXIf' and orientation is None:  # which may stand behind the pixels
            orientation = read_orientation(data[start + 8 : end - 4])
    if size is None or 0 in size:
        raise ImageDecodeError(f'{name} is damaged: its PNG header states no picture size')
    return ImageHeader(size, 'PNG', orientation or 1)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of each chunk of a PNG; the last may end before it should."""
    start = len(PNG)
    while start + 8 <= len(data):
        length, kind = struct.unpack_from('>I4s', data, start)
        end = min(start + 12 + length, len(data))
        yield kind, start, end
        start = end
