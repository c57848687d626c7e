import io
import json
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from soho.datasets.storage.decoding import BYTES_PER_PIXEL, OTHER_BYTES_PER_PIXEL, decode_image, decode_reduced
from soho.datasets.storage.image_sizes import header_size
from soho.datasets.storage.image_store import ImageDecodeError, ImageStore
from soho.datasets.transforms import LoadImage
from soho.paths import TOOLS
from tests.datasets.pictures import jpeg_of_scans, tiff_of_tile


def photo(height=90, width=130):
    """A smooth picture whose four corners all differ, RGB."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    channels = 40 + 170 * x / width, 30 + 200 * y / height, 120 + 80 * np.sin(x / 17 + y / 23)
    return np.stack(channels, -1).astype(np.uint8)


def encode(picture, **options):
    buffer = io.BytesIO()
    picture.save(buffer, **{'format': 'PNG', **options})
    return buffer.getvalue()


def jpeg(picture, **options):
    return encode(picture, format='JPEG', **{'quality': 92, **options})


PHOTO = photo()
JPEG = jpeg(Image.fromarray(PHOTO))


def cmyk(rgb):
    return Image.fromarray(rgb).convert('CMYK')


@pytest.mark.parametrize(
    'data',
    [
        JPEG,
        jpeg(Image.fromarray(PHOTO), subsampling=0, progressive=True),
        jpeg(Image.fromarray(PHOTO[..., 0])),
        jpeg(cmyk(PHOTO)),
        JPEG + b'\x00garbage after the end' * 30,
    ],
    ids=['baseline', 'progressive', 'grey', 'cmyk', 'trailing garbage'],
)
def test_jpeg_has_the_pixels_of_opencv(data):
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    image = decode_image(data)
    assert np.array_equal(image, expected)
    assert image.flags.c_contiguous and image.dtype == np.uint8


def test_cmyk_is_not_inverted():
    assert np.abs(decode_image(jpeg(cmyk(PHOTO))).astype(int) - PHOTO).mean() < 3


TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize('orientation', TURNS)
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP'])
def test_exif_orientation_is_applied(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(PHOTO)
    stored = decode_image(encode(picture, format=kind))
    assert np.array_equal(decode_image(encode(picture, format=kind, exif=exif)), TURNS[orientation](stored))


ALPHA = np.tile(np.linspace(0, 255, PHOTO.shape[1]).astype(np.uint8), (PHOTO.shape[0], 1))
PALETTE = Image.fromarray(PHOTO).quantize(32)


@pytest.mark.parametrize(
    'data, expected',
    [
        (encode(Image.fromarray(PHOTO)), PHOTO),
        (encode(Image.fromarray(PHOTO[..., 0])), PHOTO[..., [0, 0, 0]]),
        (encode(Image.fromarray(np.dstack([PHOTO, ALPHA]))), PHOTO),
        (encode(Image.fromarray(np.dstack([PHOTO[..., 0], ALPHA]))), PHOTO[..., [0, 0, 0]]),
        (encode(PALETTE), np.asarray(PALETTE.convert('RGB'))),
        (encode(PALETTE, transparency=3), np.asarray(PALETTE.convert('RGB'))),
        (encode(PALETTE, transparency=bytes(range(32))), np.asarray(PALETTE.convert('RGB'))),
        (encode(Image.fromarray(PHOTO[..., 0].astype(np.uint16) * 257)), PHOTO[..., [0, 0, 0]]),
        (cv2.imencode('.png', PHOTO[..., ::-1].astype(np.uint16) * 256 + 200)[1].tobytes(), PHOTO),
        (encode(Image.fromarray(PHOTO[..., 0] > 99)), np.where(PHOTO[..., [0, 0, 0]] > 99, 255, 0)),
        (encode(Image.fromarray(PHOTO), format='WEBP', lossless=True), PHOTO),
        (encode(PALETTE, format='GIF'), np.asarray(PALETTE.convert('RGB'))),
        (
            encode(PALETTE, format='GIF', save_all=True, append_images=[Image.new('P', PALETTE.size)]),
            np.asarray(PALETTE.convert('RGB')),
        ),
    ],
    ids=[
        'rgb',
        'grey',
        'rgba',
        'la',
        'palette',
        'transparent index',
        'palette alpha',
        '16 bit grey',
        '16 bit rgb',
        '1 bit',
        'webp',
        'gif',
        'animated gif',
    ],
)
def test_lossless_formats_give_the_stored_colours(data, expected):
    image = decode_image(data)
    assert image.dtype == np.uint8
    assert np.array_equal(image, expected)


def test_background_shows_through():
    data = encode(Image.fromarray(np.dstack([PHOTO, ALPHA])))
    image = decode_image(data, background=(255, 255, 255))
    assert (image[:, 0] == 255).all()
    assert np.array_equal(image[:, -1], PHOTO[:, -1])
    opaque = encode(Image.fromarray(PHOTO))
    assert np.array_equal(decode_image(opaque, background=(255, 255, 255)), PHOTO)


def overwritten(data, place, new):
    return data[:place] + new + data[place + len(new) :]


def with_thumbnail(data):
    """A JPEG with a whole other JPEG, end marker included, in its APP1 segment."""
    thumbnail = jpeg(Image.fromarray(PHOTO[::8, ::8]))
    return data[:2] + b'\xff\xe1' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail + data[2:]


SCAN = JPEG.index(b'\xff\xda')
PNG = encode(Image.fromarray(PHOTO))


@pytest.mark.parametrize(
    'data, message',
    [
        (b'', 'is empty'),
        (b'<html><body>404</body></html>', 'no known image format'),
        # Pillow starts another program for it.
        (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n', 'no known image format'),
        (JPEG[: len(JPEG) // 2], 'truncated'),
        (JPEG[:-2], 'truncated'),
        (JPEG[: len(JPEG) // 2] + bytes(500), 'truncated'),
        (with_thumbnail(JPEG)[:-2], 'truncated'),
        (jpeg(Image.fromarray(PHOTO), progressive=True)[:-900], 'truncated'),
        (JPEG[:100], 'end inside the JPEG header'),
        (JPEG[:3], 'end inside the JPEG header'),
        (JPEG[: SCAN + 14], 'truncated'),
        (JPEG[:2] + JPEG[SCAN:], 'no picture size'),
        (overwritten(JPEG, len(JPEG) - 500, b'\xff\x37'), 'impossible marker 0x37'),
        (PNG[: len(PNG) * 2 // 3], 'truncated'),
        (overwritten(PNG, len(PNG) // 2, bytes(20)), 'cannot be decoded'),
        (encode(Image.fromarray(PHOTO), format='WEBP')[:200], 'cannot be decoded'),
        (encode(Image.fromarray(PHOTO[..., 0].astype(np.float32)), format='TIFF'), '32-bit samples'),
    ],
    ids=[
        'empty',
        'html',
        'another program',
        'half',
        'no end marker',
        'zero-filled',
        'end marker of a thumbnail',
        'progressive',
        'header',
        'signature',
        'empty scan',
        'no frame',
        'marker in scan',
        'half png',
        'bad png',
        'half webp',
        'float',
    ],
)
def test_what_is_no_whole_picture_is_refused_by_name(data, message):
    with pytest.raises(ImageDecodeError, match=message) as error:
        decode_image(data, name='image 7.jpg')
    assert str(error.value).startswith('image 7.jpg ')
    assert '\n' not in str(error.value)


def test_complete_jpegs_with_odd_headers_decode():
    whole = decode_image(JPEG)
    assert np.array_equal(decode_image(with_thumbnail(JPEG)), whole)
    tables = JPEG.index(b'\xff\xdb')
    assert np.array_equal(decode_image(JPEG[:tables] + b'junk' + JPEG[tables:]), whole)
    with_restarts = jpeg(Image.fromarray(PHOTO), restart_marker_blocks=2)
    assert b'\xff\xd3' in with_restarts[with_restarts.index(b'\xff\xda') :]
    assert np.array_equal(decode_image(with_restarts), whole)


@pytest.mark.parametrize('orientation', [1, 6])
@pytest.mark.parametrize(
    'scale, reduction',
    [((400, 300), 1), ((202, 151), 1), ((151, 201), 2), ((150, 75), 4), ((1000, 20), 8), ((10, 10), 8)],
)
def test_reduced_decoding_never_goes_below_the_scale(orientation, scale, reduction):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(Image.fromarray(photo(301, 402)), exif=exif)
    image, full_size = decode_reduced(data, scale)
    assert full_size == ((301, 402) if orientation == 1 else (402, 301))
    assert image.shape[:2] == tuple(-(-side // reduction) for side in full_size)


def test_reduced_decoding_is_close_and_full_where_it_does_not_apply():
    picture = photo(480, 640)
    image, _ = decode_reduced(jpeg(Image.fromarray(picture)), (160, 120))
    averaged = cv2.resize(picture, (160, 120), interpolation=cv2.INTER_AREA)
    assert np.abs(image.astype(int) - averaged).mean() < 2
    image, full_size = decode_reduced(PNG, (10, 10))
    assert np.array_equal(image, PHOTO) and full_size == PHOTO.shape[:2]
    with pytest.raises(ImageDecodeError, match='truncated'):
        decode_reduced(jpeg(Image.fromarray(picture))[:-2], (160, 120))


def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def with_segments(*blocks, marker=b'\xff\xe1'):
    """JPEG with these APP1 segments."""
    segments = [marker + (len(block) + 2).to_bytes(2, 'big') + block for block in blocks]
    return JPEG[:2] + b''.join(segments) + JPEG[2:]


def with_chunk(kind, contents, place, crc=None):
    """PNG with one more chunk, at byte ``place``."""
    crc = zlib.crc32(kind + contents) if crc is None else crc
    return PNG[:place] + struct.pack('>I', len(contents)) + kind + contents + struct.pack('>I', crc) + PNG[place:]


NO_BLOCK = b'Exif\0\0nothing that can be read'
XMP = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
HEAD, END = PNG.index(b'IDAT') - 4, PNG.index(b'IEND') - 4
METADATA = {
    'doubled': (with_segments(exif(1), exif(6)), 1),
    'doubled the other way': (with_segments(exif(6), exif(1)), 6),
    'first unreadable': (with_segments(NO_BLOCK, exif(6)), 6),
    'unreadable': (with_segments(NO_BLOCK), 1),
    'no orientation of EXIF': (with_segments(exif(9)), 1),
    'XMP alone': (with_segments(XMP), 1),
    'cut': (with_segments(exif(6)[:20]), 1),
    'PNG': (with_chunk(b'eXIf', exif(6)[6:], HEAD), 6),
    'PNG, behind the pixels': (with_chunk(b'eXIf', exif(6)[6:], END), 6),
    'PNG, unreadable': (with_chunk(b'eXIf', b'MM', HEAD), 1),
    'PNG, wrong checksum of a text': (with_chunk(b'tEXt', b'a\0b', HEAD, crc=7), 1),
    'PNG, cut resolution': (with_chunk(b'pHYs', b'12', HEAD), 1),
    'PNG, text of a gigabyte': (with_chunk(b'zTXt', b'a\0\0' + zlib.compress(bytes(1 << 27)), HEAD), 1),
    'WebP': (encode(Image.fromarray(PHOTO), format='WEBP', lossless=True, exif=exif(6)), 6),
    'WebP, unreadable': (encode(Image.fromarray(PHOTO), format='WEBP', lossless=True, exif=NO_BLOCK), 1),
    'TIFF': (encode(Image.fromarray(PHOTO), format='TIFF', exif=exif(6)), 6),
}


@pytest.mark.parametrize('kind', METADATA)
def test_sizes_and_pixels_agree_whatever_the_metadata_say(kind, tmp_path):
    data, orientation = METADATA[kind]
    upright = TURNS[orientation](decode_image(JPEG) if data[:3] == JPEG[:3] else PHOTO)
    assert np.array_equal(decode_image(data), upright)
    (tmp_path / 'a').write_bytes(data)
    assert header_size(ImageStore(tmp_path), 'a')[1:] == upright.shape[:2]
    assert decode_reduced(data, (20, 20))[1] == upright.shape[:2]


def huge_png(height, width):
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return with_chunk(b'IHDR', header, 8)[: 8 + 25] + PNG[HEAD:]


def huge_jpeg(height, width):
    frame = JPEG.index(b'\xff\xc0') + 5
    return overwritten(JPEG, frame, struct.pack('>HH', height, width))


@pytest.mark.parametrize(
    'data',
    [
        huge_png(13500, 14000),
        huge_jpeg(13500, 14000),
        overwritten(encode(PALETTE, format='GIF'), 6, struct.pack('<HH', 14000, 13500)),
        overwritten(encode(Image.fromarray(PHOTO), format='BMP'), 18, struct.pack('<ii', 14000, 13500)),
    ],
    ids=['png', 'jpeg', 'gif', 'bmp'],
)
@pytest.mark.filterwarnings('error')
def test_too_many_pixels_are_refused_before_any_is_decoded(data, tmp_path, monkeypatch):
    monkeypatch.setattr(Image.Image, 'load', lambda self: pytest.fail('decoded'))
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    (tmp_path / 'a.jpg').write_bytes(data)
    store = ImageStore(tmp_path)
    assert header_size(store, 'a.jpg')[1:] == (13500, 14000)  # a size may be asked of any
    for load in (LoadImage(), LoadImage(reduce_to=(100, 100))):
        with pytest.raises(
            ImageDecodeError, match=r'image a\.jpg of .* has 189000000 pixels .*LoadImage\(max_pixels='
        ) as e:
            load(dict(image_store=store, file_name='a.jpg'))
        assert '\n' not in str(e.value)


@pytest.mark.parametrize(
    'data, kind, most',
    [
        (huge_jpeg(12400, 12400), 'JPEG', 153391689),
        (jpeg_of_scans(9500, 9500, 2), 'progressive JPEG', 89478485),
        (huge_png(11600, 11600), 'PNG', 134217728),
        (tiff_of_tile(8200, 8200, 16), 'TIFF', 67108864),
        (encode(Image.new('RGB', (9, 9)), format='WEBP', lossless=True), 'WEBP', 53687091),
    ],
)
def test_formats_that_take_more_memory_may_have_fewer_pixels(data, kind, most):
    if kind == 'WEBP':  # 14 bits for either edge less one
        data = overwritten(data, data.index(b'VP8L') + 9, (7399 | 7399 << 14).to_bytes(4, 'little'))
    with pytest.raises(ImageDecodeError, match=f'more than max_pixels={most}, above which no {kind} is decoded'):
        decode_image(data)


def test_tiles_larger_than_the_picture_count():
    data = tiff_of_tile(64, 64, 64, zlib.compress(bytes(64 * 64 * 3)))
    assert not decode_image(data).any()
    assert not decode_image(data, max_pixels=64 * 64).any()
    said = 'has tiles of 419430400 pixels, more than max_pixels=67108864, above which no TIFF is decoded'
    with pytest.raises(ImageDecodeError, match=said):
        decode_image(tiff_of_tile(64, 64, 20480))


def test_of_two_headers_none_gets_around_the_limit(monkeypatch):
    monkeypatch.setattr(Image.Image, 'load', lambda self: pytest.fail('decoded'))
    second = huge_png(60000, 60000)[8:HEAD]
    with pytest.raises(ImageDecodeError, match='states 130 x 90 pixels, and it holds 60000 x 60000'):
        decode_image(PNG[:HEAD] + second + PNG[HEAD:])


def test_decoding_takes_no_more_memory_than_is_stated():
    command = [sys.executable, '-m', 'tests.datasets.decoding_memory', '2000']
    said = subprocess.run(command, cwd=TOOLS.parent, capture_output=True, text=True, check=True).stdout
    for name, (kind, needed) in json.loads(said).items():
        assert 1 < needed < BYTES_PER_PIXEL.get(kind, OTHER_BYTES_PER_PIXEL) + 1.25, name  # 5 MB are for libraries


def test_a_jpeg_of_countless_scans_is_refused_before_any_is_decoded(monkeypatch):
    assert decode_image(jpeg_of_scans(40, 30, 5000)).shape == (30, 40, 3)  # 11 bytes each, and little to go over
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('decoded'))
    said = r'it has 478 JPEG scans, and a picture of 3000 x 3000 pixels has 477 at most'
    for decode in (decode_image, lambda data: decode_reduced(data, (100, 100))):
        with pytest.raises(ImageDecodeError, match=said):
            decode(jpeg_of_scans(3000, 3000, 478))


def test_the_limit_on_pixels_is_the_configs(tmp_path):
    (tmp_path / 'a.png').write_bytes(PNG)
    sample = dict(image_store=ImageStore(tmp_path), file_name='a.png')
    height, width = PHOTO.shape[:2]
    assert LoadImage(max_pixels=height * width)(dict(sample))['image_size'] == (height, width)
    with pytest.raises(ImageDecodeError, match=f'max_pixels={height * width - 1}'):
        LoadImage(max_pixels=height * width - 1)(dict(sample))


def test_a_size_needs_the_header_alone(tmp_path):
    (tmp_path / 'a.png').write_bytes(PNG[: HEAD + 20])
    (tmp_path / 'a.jpg').write_bytes(JPEG[: SCAN + 20])
    for name in ('a.png', 'a.jpg'):
        assert header_size(ImageStore(tmp_path), name)[1:] == PHOTO.shape[:2]


def test_a_header_that_lies_about_the_size_is_damage(monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: np.zeros((5, 7, 3), np.uint8))
    with pytest.raises(ImageDecodeError, match='is damaged: its header states 130 x 90 pixels, and it holds 7 x 5'):
        decode_image(JPEG)
