"""Sizes from headers are those of the picture as it is shown."""

import json

import pytest
from PIL import Image

from soho.datasets.storage.image_sizes import Size, coco_sizes, header_size
from soho.datasets.storage.image_store import ImageError, ImageStore


@pytest.mark.parametrize('orientation, size', [(1, (20, 30)), (3, (20, 30)), (6, (30, 20)), (8, (30, 20))])
def test_header_size_is_turned_as_exif_says(tmp_path, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new('RGB', (30, 20)).save(tmp_path / 'a.jpg', exif=exif)
    assert header_size(ImageStore(tmp_path), 'a.jpg') == Size('a.jpg', *size)


def test_not_an_image(tmp_path):
    (tmp_path / 'a.jpg').write_text('no picture')
    with pytest.raises(ImageError, match=r'the image a\.jpg of .* has no readable header'):
        header_size(ImageStore(tmp_path), 'a.jpg')


def test_coco_sizes(tmp_path):
    files = []
    for image_id in (1, 2):
        image = dict(id=image_id, file_name=f'{image_id}.jpg', height=10 * image_id, width=5, license=1)
        files.append(tmp_path / f'{image_id}.json')
        files[-1].write_text(json.dumps(dict(info={}, images=[image])))
    assert coco_sizes(files) == {1: Size('1.jpg', 10, 5), 2: Size('2.jpg', 20, 5)}
