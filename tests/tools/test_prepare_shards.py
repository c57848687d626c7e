"""tools/prepare/shards.py: folder, zip and shards give the same samples, in this project and in WebDataset's order."""

import errno
import json
import tarfile

import numpy as np
import pytest

from soho.datasets.sample_key import SampleKey
from soho.datasets.samplers import ShardSampler
from soho.datasets.storage.image_store import ImageStore
from soho.registry import DATASETS


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('prepare/shards')


def make(tool, out, images, *options):
    tool.main(['--images', str(images), '--out', str(out), '--size', '0.125', *map(str, options)])
    return out


@pytest.mark.parametrize('annotations', ['coco_cap_train_pre.json', 'test_data_vqa.json'])
def test_samples_are_those_of_the_zip(tool, synthetic, tmp_path, annotations):
    images = 'train2014' if 'train' in annotations else 'test2015'
    shards = make(tool, tmp_path / 's', synthetic / images, '--annotations', synthetic / annotations, '--shuffle', 3)
    assert len(list(shards.glob('*.tar'))) > 1
    kind = 'PretrainDataset' if 'cap' in annotations else 'VQADataset'
    zipped, sharded = (
        DATASETS.build(
            dict(type=kind, ann_file=str(synthetic / annotations), images=str(store), pipeline=[dict(type='LoadImage')])
        )
        for store in (synthetic / images, shards)
    )
    assert sharded.store.sharded and len(set(sharded.shard)) > 1
    for i in range(0, len(zipped), 7):
        one, other = (dataset[SampleKey(0, 0, i)] for dataset in (zipped, sharded))
        assert np.array_equal(one['image'], other['image']) and one['sentences'] == other['sentences']


def test_webdataset_finds_each_image_and_its_annotation_behind_each_other(tool, synthetic, tmp_path):
    annotations = synthetic / 'coco_cap_train_pre.json'
    shards = make(tool, tmp_path / 's', synthetic / 'train2014', '--annotations', annotations)
    found = []
    for path in sorted(shards.glob('*.tar')):
        assert path.stat().st_size <= 1 << 17
        with tarfile.open(path, 'r|') as tar:  # as a stream
            found += [(member.name, tar.extractfile(member).read()) for member in tar]
    records = json.loads(annotations.read_text())
    store = ImageStore(synthetic / 'train2014')
    for record, (name, image), (other, item) in zip(records, found[::2], found[1::2], strict=True):
        assert name == record['file_name'] and other == name.partition('.')[0] + '.json'
        assert image == store.read(name) and json.loads(item) == record


def test_all_images_without_annotations_and_nothing_to_do_twice(tool, synthetic, tmp_path, capsys):
    shards = make(tool, tmp_path / 's', synthetic / 'train2014')
    assert ImageStore(shards).names == ImageStore(synthetic / 'train2014').names
    before = {path: path.stat().st_mtime_ns for path in shards.iterdir()}
    make(tool, shards, synthetic / 'train2014')
    assert 'nothing to do' in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in shards.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ['s']


def test_an_image_that_may_be_missing_stops_no_sampler(tool, synthetic, tmp_path):
    shards = make(tool, tmp_path / 's', synthetic / 'train2014')
    records = json.loads((synthetic / 'coco_cap_train_pre.json').read_text())
    records[3]['file_name'] = 'gone.jpg'
    (tmp_path / 'a.json').write_text(json.dumps(records))
    dataset = DATASETS.build(
        dict(
            type='PretrainDataset',
            ann_file=str(tmp_path / 'a.json'),
            images=str(shards),
            max_broken_images=1,
            pipeline=[dict(type='LoadImage')],
        )
    )
    served = [dataset[key] for key in ShardSampler(dataset, window=1, seed=0)]
    assert len(served) == len(dataset) and dataset.broken_images == 1


def test_no_shard_is_larger_than_asked_for(tool, tmp_path):
    size = 5 * tarfile.RECORDSIZE - 1
    samples = [[('folder/' + 'long' * 40 + f'{i}.jpg', b'x' * (i % 700))] for i in range(100)]
    assert tool.write_shards(tmp_path, iter(samples), size) == 100
    sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
    assert max(sizes) <= size and set(sizes[:-1]) == {4 * tarfile.RECORDSIZE}


def test_a_full_disk_is_said_and_leaves_nothing(tool, synthetic, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(tarfile.TarFile, 'addfile', full)
    with pytest.raises(SystemExit, match='s could not be made: .*No space left on device'):
        make(tool, tmp_path / 's', synthetic / 'train2014')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'records, message',
    [
        (
            [dict(file_name='a.b.jpg'), dict(file_name='a.c.jpg')],
            r'a\.b\.jpg and a\.c\.jpg are the same up to the first',
        ),
        ([dict(file_name='x.jpg')], r'has no image x\.jpg; near it are a\.b\.jpg'),
        ([], 'names no image'),
        ([dict(name='a.jpg')], r"Item 0 of the list in .* has no key 'file_name'"),
    ],
)
def test_what_is_wrong_is_said(tool, tmp_path, records, message):
    (tmp_path / 'i').mkdir()
    for name in ('a.b.jpg', 'a.c.jpg'):
        (tmp_path / 'i' / name).write_bytes(b'picture')
    (tmp_path / 'a.json').write_text(json.dumps(records))
    with pytest.raises(SystemExit, match=message):
        make(tool, tmp_path / 's', tmp_path / 'i', '--annotations', tmp_path / 'a.json')
    with pytest.raises(SystemExit, match='i is the folder that is read; write the shards to another one'):
        make(tool, tmp_path / 'i', tmp_path / 'i')
    with pytest.raises(SystemExit, match='holds images or folders, which take precedence over shards'):
        make(tool, tmp_path, tmp_path / 'i')
    assert not list((tmp_path / 's').glob('*.tar')) and not (tmp_path / '.s.part').exists()
