"""Uploads: what is no picture, too large or damaged is refused with a sentence that names it."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

import soho
from soho.app import pictures
from soho.app.pictures import MAX_BYTES, read_picture
from soho.errors import UserError
from tests.datasets.pictures import jpeg_of_scans


def encode(kind, **options):
    rng = np.random.default_rng(0)
    data = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(data, kind, **options)
    return data.getvalue()


def claim_png(width, height):
    """A PNG of a few bytes that states a size."""

    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', pixels) + chunk(b'IEND', b'')


@pytest.mark.parametrize('kind', pictures.FORMATS)
def test_pictures_are_read_whatever_they_are_called(kind, tmp_path):
    (tmp_path / 'photo').write_bytes(encode(kind))
    assert read_picture(tmp_path / 'photo') == encode(kind)


def test_the_sample_is_read():
    assert read_picture(soho.sample_image())


@pytest.mark.parametrize(
    'data, sentence',
    [
        (b'', r'a\.jpg is not a picture that can be read: JPEG, PNG'),
        (b'just text', r'a\.jpg is not a picture that can be read: JPEG, PNG'),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 'is not a picture that can be read'),
        (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', 'is not a picture that can be read'),  # Ghostscript's
        (encode('ICO'), 'is not a picture that can be read'),  # Pillow reads it, and is not asked to
        (encode('JPEG')[:900], r'a\.jpg is truncated'),
        (encode('PNG')[:900], r'a\.jpg cannot be decoded'),
        (
            claim_png(9000, 9000),
            r'a\.jpg has 9000 x 9000 pixels, and a picture of its kind may have 64 million at most',
        ),
        (claim_png(60000, 60000), r'a\.jpg has more pixels than the 64 million of the largest picture'),
        (claim_png(64, 48), r'a\.jpg cannot be decoded'),  # fewer pixels than it states
        (claim_png(0, 0), r'a\.jpg'),
        (jpeg_of_scans(8000, 8000, 68), r'a\.jpg is damaged: it has 68 JPEG scans'),
    ],
)
def test_what_is_refused(data, sentence, tmp_path):
    (tmp_path / 'a.jpg').write_bytes(data)
    with pytest.raises(UserError, match=sentence) as refused:
        read_picture(tmp_path / 'a.jpg')
    assert str(tmp_path) not in str(refused.value) and len(str(refused.value).splitlines()) == 1


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'a.jpg')
    with pytest.raises(UserError, match=r'^a\.jpg is not a file'):
        read_picture(tmp_path / 'a.jpg')


def test_a_large_file_is_not_read(tmp_path):
    with open(tmp_path / 'a.jpg', 'wb') as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(UserError, match=r'a\.jpg has 26 MiB, and a picture may have 25 at most'):
        read_picture(tmp_path / 'a.jpg')
