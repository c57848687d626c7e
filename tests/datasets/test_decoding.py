import io

import cv2
import numpy as np
import pytest
from PIL import Image

from soho.datasets.storage.decoding import decode_image, decode_reduced
from soho.datasets.storage.image_store import ImageDecodeError


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
