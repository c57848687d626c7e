"""tools/prepare/shrink.py: names stay, no image is larger than asked for, small ones are the same bytes."""

import errno
import os
import zipfile

import cv2
import numpy as np
import pytest

from soho.datasets.storage.decoding import decode_image
from soho.datasets.storage.image_store import ImageStore

SIZES = {
    'large.jpg': (90, 120),
    'tall.png': (130, 50),
    'wide/strip.jpg': (20, 200),
    'fits.jpg': (30, 40),
    'fits.png': (40, 25),
}


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('prepare/shrink')


@pytest.fixture
def images(tmp_path):
    """Smooth pictures, and one file that is none."""
    folder = tmp_path / 'images'
    for name, (height, width) in SIZES.items():
        y, x = np.mgrid[0:height, 0:width]
        picture = np.stack([x * 255 / width, y * 255 / height, 0 * x + 90], -1).astype(np.uint8)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), picture)
    (folder / 'broken.jpg').write_bytes(b'no picture')
    return folder


def test_no_image_is_larger_than_asked_for(tool, images, tmp_path, capsys):
    out = tmp_path / 'small' / 'images.zip'
    tool.main(['--images', str(images), '--out', str(out), '--scale', '40', '30'])
    before, after = ImageStore(images), ImageStore(out)
    assert after.names == before.names == sorted([*SIZES, 'broken.jpg'])
    sizes = {name: decode_image(after.read(name)).shape[:2] for name in SIZES}
    assert sizes == {
        'large.jpg': (30, 40),
        'tall.png': (40, 15),
        'wide/strip.jpg': (4, 40),
        'fits.jpg': (30, 40),
        'fits.png': (40, 25),
    }
    for name in ('fits.jpg', 'fits.png', 'broken.jpg'):
        assert after.read(name) == before.read(name)
    averaged = cv2.resize(decode_image(before.read('large.jpg')), (40, 30), interpolation=cv2.INTER_AREA)
    assert np.abs(decode_image(after.read('large.jpg')).astype(int) - averaged).mean() < 3
    said = capsys.readouterr().out
    assert '3 images shrunk, 2 copied\n1 cannot be decoded: broken.jpg' in said
    assert {info.compress_type for info in zipfile.ZipFile(out).infolist()} == {zipfile.ZIP_STORED}
    first = out.read_bytes()
    tool.main(['--images', str(images), '--out', str(out), '--scale', '40', '30'])
    assert 'nothing to do' in capsys.readouterr().out
    tool.main(['--images', str(images), '--out', str(out), '--scale', '30', '40', '--quality', '80'])
    assert out.read_bytes() != first


def test_annotations_of_the_original_sizes_stay_valid(tool, synthetic, tmp_path):
    from soho.registry import DATASETS

    tool.main(
        ['--images', str(synthetic / 'train2014'), '--out', str(tmp_path / 'train2014.zip'), '--scale', '96', '72']
    )
    pipeline = [dict(type='LoadImage'), dict(type='ResizeKeepRatio', scale=(96, 72))]
    large, small = (
        DATASETS.build(
            dict(
                type='PretrainDataset',
                data_root=str(synthetic),
                ann_file='coco_cap_train_pre.json',
                images=str(images),
                pipeline=pipeline,
            )
        )
        for images in (synthetic / 'train2014', tmp_path / 'train2014')
    )
    for i in range(0, len(large), 9):
        one, other = large[i], small[i]
        assert one['image'].shape == other['image'].shape and one['sentences'] == other['sentences']


def test_a_full_disk_is_said_and_leaves_nothing(tool, synthetic, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(zipfile.ZipFile, 'writestr', full)
    with pytest.raises(SystemExit, match=r'small\.zip could not be made: .*No space left on device'):
        tool.main(
            ['--images', str(synthetic / 'train2014'), '--out', str(tmp_path / 'small.zip'), '--scale', '40', '30']
        )
    assert not list(tmp_path.iterdir())


def test_as_many_workers_as_the_container_has_cores(tool, monkeypatch):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: {2, 5, 7}, raising=False)
    assert tool.parse_args(['--images', 'i', '--out', 'o.zip', '--scale', '4', '3']).workers == 3


@pytest.mark.parametrize(
    'out, message',
    [
        ('images.tar', r'--out is the zip to write, but .*images\.tar does not end in \.zip'),
        ('train2014.zip', r'train2014\.zip is the zip that is read; give the copy another name'),
    ],
)
def test_what_is_wrong_is_said(tool, synthetic, tmp_path, out, message):
    out = synthetic / out if out == 'train2014.zip' else tmp_path / out
    with pytest.raises(SystemExit, match=message):
        tool.main(['--images', str(synthetic / 'train2014'), '--out', str(out), '--scale', '40', '30'])
