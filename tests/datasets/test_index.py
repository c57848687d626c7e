"""The index of an annotation file says what the file says, notices that it has changed, and is shared."""

import json
import os
import pickle
import random
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from soho.datasets.sample_key import SampleKey
from soho.datasets.storage import checksums
from soho.datasets.storage import index as index_file
from soho.datasets.storage.prepared_tokens import find_tokens
from soho.errors import UserError
from soho.locks import file_lock
from soho.registry import DATASETS

KINDS = {
    'PretrainDataset': ('coco_cap_train_pre.json', 'captions'),
    'VQADataset': ('train_data_vqa.json', 'questions'),
    'CaptioningDataset': ('annotations/captions_train2014.json', 'coco_captions'),
    'ObjectLabelsDataset': ('annotations/instances_train2014.json', 'coco_objects'),
}


@pytest.fixture
def always(monkeypatch, tmp_path):
    """An index for the smallest file."""
    monkeypatch.setattr(index_file, 'SMALL', 0)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def build(kind, path, **options):
    return DATASETS.build(dict(dict(type=kind, ann_file=str(path), images=None, pipeline=[]), **options))


def samples(dataset):
    described = [dataset.get_annotation(i, SampleKey(0, 1, i).rng()) for i in range(len(dataset))]
    names = [dataset.images.file_names[image] for image in dataset.item_images[:, 0]]
    return [{'file_name': name, **sample} for name, sample in zip(names, described, strict=True)]


def same(one, other):
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a) for a, b in zip(one, other)
    )


def copy(synthetic, name, tmp_path):
    path = tmp_path / 'annotations.json'
    path.write_bytes((synthetic / name).read_bytes())
    return path


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('min_side', [0, 400])
def test_index_and_file_give_the_same_samples(kind, min_side, synthetic, tmp_path, monkeypatch, always):
    name, layout = KINDS[kind]
    monkeypatch.setattr('soho.datasets.base.MIN_SIDE', min_side)  # some of the images are smaller than 400
    monkeypatch.setattr(index_file, 'SMALL', 1 << 40)
    expected = build(kind, copy(synthetic, name, tmp_path))
    assert expected.index.path is None and not (tmp_path / f'annotations.json.{layout}.index').exists()
    assert (expected.images.dropped > 0) == (min_side > 0)
    monkeypatch.setattr(index_file, 'SMALL', 0)
    written = build(kind, tmp_path / 'annotations.json')
    monkeypatch.setattr(type(written), '_scan', None)  # from here on nothing reads the json
    opened = build(kind, tmp_path / 'annotations.json')
    spawned = pickle.loads(pickle.dumps(opened))
    assert opened.index.path == tmp_path / f'annotations.json.{layout}.index'
    for dataset in (written, opened, spawned):
        assert same(samples(dataset), samples(expected))
        assert np.array_equal(dataset.aspect_ratio, expected.aspect_ratio)


def test_worker_processes_open_the_index_instead_of_receiving_it(tmp_path, always):
    records = [
        dict(file_name=f'{i}.jpg', image_id=i, width=64, height=48, captions=['a caption ' * 50] * 4)
        for i in range(500)
    ]
    (tmp_path / 'a.json').write_text(json.dumps(records))
    dataset = build('PretrainDataset', tmp_path / 'a.json')
    assert os.path.getsize(dataset.index.path) > 10**6 > 50 * len(pickle.dumps(dataset))


def test_a_worker_does_not_open_what_has_changed_since(synthetic, tmp_path, always):
    path = copy(synthetic, 'coco_cap_train_pre.json', tmp_path)
    sent = pickle.dumps(build('PretrainDataset', path))
    replace_and_keep_the_date(path, 'red', 'RED')
    with pytest.raises(RuntimeError, match=r'annotations\.json has changed since this run opened it'):
        pickle.loads(sent)


@pytest.fixture
def said(monkeypatch):
    """What is told about indexes."""
    messages = []
    monkeypatch.setattr(index_file, 'print_log', lambda text, *_: messages.append(text))
    return messages


@pytest.mark.parametrize('change', ['shorter', 'damaged', 'cut', 'empty'])
def test_an_index_that_does_not_fit_is_made_anew(change, synthetic, tmp_path, always, said):
    path = copy(synthetic, 'coco_cap_train_pre.json', tmp_path)
    kept = build('PretrainDataset', path).index.path
    before = len(build('PretrainDataset', path))
    if change == 'shorter':
        path.write_text(json.dumps(json.loads(path.read_text())[1:]))
    else:
        data = kept.read_bytes()
        kept.write_bytes(dict(damaged=b'x' * 100 + data[100:], cut=data[: len(data) // 2], empty=b'')[change])
    said.clear()
    dataset = build('PretrainDataset', path)
    assert (len(dataset) == before) == (change != 'shorter')
    assert any('captions.index is damaged (' in message for message in said) == (change != 'shorter')
    assert 'annotations.json is read again, since it or its index has changed' in said[-1]
    assert index_file.load(kept, dataset.index.origin) is not None


def flip(path, bit):
    """Turn a bit of a file over and keep its date."""
    stat = os.stat(path)
    with open(path, 'r+b') as file:
        file.seek(bit // 8)
        (byte,) = file.read(1)
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def flip_and_count(path, opens, times=150):
    """How many of ``times`` files in which one bit has turned over are opened."""
    seed = random.randrange(10**6)
    rng, sound, believed = random.Random(seed), path.read_bytes(), []
    for _ in range(times):
        bit = rng.randrange(8 * len(sound))
        flip(path, bit)
        if opens():
            believed.append(bit)
        path.write_bytes(sound)
    assert opens(), 'the sound file is not'
    return believed, f'seed {seed}'


@pytest.mark.parametrize('kind', KINDS)
def test_no_flipped_bit_of_an_index_is_believed(kind, synthetic, tmp_path, always):
    index = build(kind, copy(synthetic, KINDS[kind][0], tmp_path)).index
    believed, seed = flip_and_count(index.path, lambda: index_file.load(index.path, index.origin))
    assert not believed, seed


def test_no_flipped_bit_of_a_file_that_is_remembered_is_believed(tmp_path, monkeypatch, always):
    monkeypatch.setattr(checksums, 'REMEMBERED', 0)
    builder = index_file.IndexBuilder()
    builder.numbers('n').extend(range(1000))
    assert index_file.save(tmp_path / 'a.index', builder.finish(dict(a=1)))
    believed, seed = flip_and_count(tmp_path / 'a.index', lambda: index_file.load(tmp_path / 'a.index', dict(a=1)), 50)
    assert not believed, seed


def test_a_large_file_is_read_once_a_day(tmp_path, monkeypatch, always):
    path, read = tmp_path / 'a', []
    path.write_bytes(b'abc')
    monkeypatch.setattr(checksums, 'REMEMBERED', 0)
    compute = checksums._checksum
    monkeypatch.setattr(checksums, '_checksum', lambda *args: read.append(1) or compute(*args))
    first = checksums.stamp_file(path)
    assert checksums.stamp_file(path) == first == dict(bytes=3, crc32=zlib.crc32(b'abc')) and len(read) == 1
    (place,) = (tmp_path / 'cache' / 'soho').iterdir()
    for damaged in ('', '[]', '{}', '{"identity": 1}', place.read_text().replace('"time": 1', '"time": ')):
        place.write_text(damaged)
        assert checksums.stamp_file(path) == first
    assert len(read) == 6
    os.utime(path, ns=(1, 1))
    assert checksums.stamp_file(path) == first and len(read) == 7


def replace_and_keep_the_date(path, old, new):
    """Exchange letters in a file whose size and time of modification stay, as ``cp -p`` and rsync leave them."""
    stat = os.stat(path)
    text = path.read_text()
    assert len(old) == len(new) and old in text
    path.write_text(text.replace(old, new))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_changed_file_of_equal_size_and_time_is_read_again(synthetic, tmp_path, always):
    path = copy(synthetic, 'coco_cap_train_pre.json', tmp_path)
    before = samples(build('PretrainDataset', path))
    replace_and_keep_the_date(path, 'red', 'RED')
    after = samples(build('PretrainDataset', path))
    assert not same(after, before)
    assert [str(sample).replace('RED', 'red') for sample in after] == [str(sample) for sample in before]


def test_a_copy_of_file_and_index_with_another_date_is_used(synthetic, tmp_path, monkeypatch, always):
    kept = build('PretrainDataset', copy(synthetic, 'coco_cap_train_pre.json', tmp_path)).index.path
    os.utime(tmp_path / 'annotations.json', ns=(1, 1))
    (tmp_path / 'elsewhere').mkdir()
    for path in (tmp_path / 'annotations.json', kept):
        path.rename(tmp_path / 'elsewhere' / path.name)
    monkeypatch.setattr(DATASETS.get('PretrainDataset'), '_scan', None)
    assert build('PretrainDataset', tmp_path / 'elsewhere' / 'annotations.json').index.path.parent.name == 'elsewhere'


def test_an_index_that_is_cut_off_while_it_is_open_is_said(synthetic, tmp_path, always):
    dataset = build('PretrainDataset', copy(synthetic, 'coco_cap_train_pre.json', tmp_path))
    os.truncate(dataset.index.path, 100)  # to read on would be SIGBUS
    with pytest.raises(UserError, match=r'captions\.index was cut off by another program, to 100 of \d+ bytes'):
        dataset.sample(0, SampleKey(0, 1, 0).rng())


def test_another_version_of_what_reads_one_kind_makes_that_kind_anew(tmp_path, always):
    (tmp_path / 'a.json').touch()
    read = []

    def note(kind, version, builder):
        read.append((kind, version))

    for kind, version in (('captions', 1), ('questions', 1), ('captions', 2), ('captions', 2), ('questions', 1)):
        index_file.open_index(str(tmp_path / 'a.json'), kind, partial(note, kind, version), version)
    assert read == [('captions', 1), ('questions', 1), ('captions', 2)]


def test_a_folder_that_cannot_be_written(synthetic, tmp_path, monkeypatch, always, said):
    path = copy(synthetic, 'coco_cap_train_pre.json', tmp_path)
    blocked = tmp_path / 'blocked'
    blocked.write_text('a file where a folder would have to be')
    beside, cached = index_file.index_places(str(path), 'captions')
    monkeypatch.setattr(index_file, 'index_places', lambda *_: [blocked / beside.name, cached])
    assert build('PretrainDataset', path).index.path == cached
    cached.unlink()
    monkeypatch.setattr(index_file, 'index_places', lambda *_: [blocked / beside.name, blocked / 'b' / cached.name])
    dataset = build('PretrainDataset', path)
    assert dataset.index.path is None and len(dataset)
    assert 'is read anew by every run, because its index can be written neither to' in said[-1]


def test_processes_that_start_at_once_read_the_file_once(synthetic, tmp_path, monkeypatch, always):
    path = copy(synthetic, 'coco_cap_train_pre.json', tmp_path)
    read = []
    finish = index_file.IndexBuilder.finish
    monkeypatch.setattr(index_file.IndexBuilder, 'finish', lambda *args: read.append(1) or finish(*args))
    with ThreadPoolExecutor(4) as pool:
        datasets = list(pool.map(lambda _: build('PretrainDataset', path), range(4)))
    assert len(read) == 1 and all(dataset.index.path for dataset in datasets)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['annotations.json', 'annotations.json.captions.index']


def test_no_newcomer_enters_beside_one_that_has_waited(tmp_path):
    inside, together = [], []

    def enter(_):
        for _ in range(200):
            with file_lock(tmp_path / 'a.index'):
                inside.append(1)
                together.append(len(inside))
                time.sleep(1e-5)
                inside.pop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(4)))
    assert max(together) == 1 and not list(tmp_path.iterdir())


def test_two_containers_may_have_processes_of_one_number(tmp_path, monkeypatch):
    used = []
    monkeypatch.setattr(
        index_file, 'save_file', lambda arrays, path, meta: used.append(path) or path.write_bytes(bytes(8))
    )
    for _ in range(2):
        assert index_file.save(tmp_path / 'a.index', index_file.Index({}, {}, {}))
    assert used[0] != used[1]


def test_a_broken_file_leaves_no_index(tmp_path, always):
    bad = dict(file_name='1.jpg', image_id=1, width=64, height=48, captions=[])
    (tmp_path / 'a.json').write_text(json.dumps([bad]))
    with pytest.raises(ValueError, match='has no caption'):
        build('PretrainDataset', tmp_path / 'a.json')
    assert [path.name for path in tmp_path.iterdir()] == ['a.json']


def tokenized(synthetic, kind, path):
    vocabulary = dict(vocab=str(synthetic / 'vocab.txt'), max_length=9)
    flip = dict(type='RandomFlip', prob=0.5)
    return build(kind, path, sentence_group=3, pipeline=[flip, dict(type='Tokenize', tokenizer=vocabulary)])


@pytest.mark.parametrize('kind', ['PretrainDataset', 'VQADataset'])
def test_prepared_tokens_are_those_of_the_tokenizer(kind, synthetic, tmp_path, always, load_tool):
    path = copy(synthetic, KINDS[kind][0], tmp_path)

    def ids(dataset):
        results = []
        for i in range(len(dataset)):
            sample = dict(dataset.sample(i, SampleKey(0, 0, i).rng()), image=np.zeros((2, 2, 3), np.uint8))
            results.append(dataset.pipeline(sample))
        return np.array([[r['input_ids'], r['attention_mask']] for r in results])

    dataset = tokenized(synthetic, kind, path)
    expected = ids(dataset)
    assert dataset.tokens is None
    prepare = load_tool('prepare/tokens').prepare
    assert 'sentences in' in prepare(dataset)
    dataset = pickle.loads(pickle.dumps(tokenized(synthetic, kind, path)))
    # Those of a mirrored picture whose words change are tokenised anew, so that nothing differs.
    assert dataset.tokens is not None and np.array_equal(ids(dataset), expected)
    assert prepare(dataset) == 'is up to date, nothing to do'
    (tokens,) = tmp_path.glob('*.tokens')
    believed, seed = flip_and_count(tokens, lambda: find_tokens(str(path), dataset.index, dataset.tokenizer))
    assert not believed, seed
    os.truncate(tokens, 100)
    with pytest.raises(UserError, match=r'tokens was cut off by another program'):
        dataset.tokens[0]
    replace_and_keep_the_date(path, 'red', 'RED')
    assert tokenized(synthetic, kind, path).tokens is None


def test_tokens_of_a_folder_that_cannot_be_written_go_to_the_cache(synthetic, tmp_path, monkeypatch, load_tool):
    cache = tmp_path / 'new' / 'cache'
    monkeypatch.setenv('XDG_CACHE_HOME', str(cache))
    path = copy(synthetic, 'coco_cap_train_pre.json', tmp_path)
    (tmp_path / 'blocked').touch()
    cached = index_file.cached_place(str(path), 'captions')
    for module in ('index', 'prepared_tokens'):
        monkeypatch.setattr(
            f'soho.datasets.storage.{module}.index_places', lambda *_: [tmp_path / 'blocked' / 'i', cached]
        )
    load_tool('prepare/tokens').prepare(tokenized(synthetic, 'PretrainDataset', path))
    assert sorted(file.suffix for file in (cache / 'soho').iterdir()) == ['.index', '.tokens']
    assert tokenized(synthetic, 'PretrainDataset', path).tokens is not None
