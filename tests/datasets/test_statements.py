"""NLVR2 and NLVR: what a sample holds, the swap of a pair, wrong files."""

import json

import cv2
import numpy as np
import pytest

from soho.datasets.nlvr import NLVRDataset
from soho.datasets.nlvr2 import NLVR2Dataset, parse_identifier
from soho.datasets.storage.image_store import ImageMissingError

KEYS = ['question_id', 'answer_labels']


def write_images(folder, *names):
    """Grey images whose level is their number: 0, 10, 20, ..."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.full((40, 60, 3), 10 * number, np.uint8))


def pair(identifier, sentence='The left image is dark.', label='True', **rest):
    return dict(identifier=identifier, sentence=sentence, label=label, **rest)


@pytest.fixture
def nlvr2(tmp_path):
    names = ['dev-7-0-img0.png', 'dev-7-0-img1.png', 'dev-7-1-img0.png', 'dev-7-1-img1.png']
    write_images(tmp_path / 'dev', *names)

    def make(*records, transforms=(), **options):
        (tmp_path / 'dev.json').write_text('\n'.join(map(json.dumps, records)))
        pipeline = [dict(type='LoadImage'), *transforms, dict(type='PackSample', keys=[*KEYS, 'sentences'])]
        return NLVR2Dataset('dev.json', 'dev', pipeline, data_root=str(tmp_path), **options)

    return make


def levels(sample):
    return [int(image.mean()) for image in sample['image']]


def test_statements_of_a_pair_share_its_images(nlvr2):
    records = [
        pair('dev-7-1-0'),
        pair('dev-7-0-0', label='False'),
        pair('dev-7-0-1', 'Both are grey.'),
        pair('dev-7-1-1', label='false'),
    ]
    dataset = nlvr2(*records, sentence_group=2, test_mode=True)
    assert len(dataset) == 2 and dataset.num_images == 2
    first, second = dataset[0], dataset[1]
    assert levels(first) == [20, 30] and levels(second) == [0, 10]
    assert first['question_id'].tolist() == [0, 3] and second['question_id'].tolist() == [1, 2]
    assert first['answer_labels'].tolist() == [[1], [0]] and second['answer_labels'].tolist() == [[0], [1]]
    assert second['sentences'] == ['The left image is dark.', 'Both are grey.']
    info = dataset.metainfo
    assert info['identifiers'] == [record['identifier'] for record in records]
    assert info['groups'] == ['dev-7-0', 'dev-7-0', 'dev-7-1', 'dev-7-1']
    # What a checkpoint keeps of the training data is small and plain.
    assert nlvr2(*records).metainfo == dict(class_names=['False', 'True'])
    assert len(nlvr2(*records)) == 4


def test_images_are_swapped_in_training_with_whole_words_and_never_at_evaluation(nlvr2):
    sentence = 'The LEFT, leftmost one is brighter and upright.'
    swap = dict(type='SwapImages', prob=1.0)
    trained = nlvr2(pair('dev-7-0-0', sentence), transforms=[swap])[0]
    assert levels(trained) == [10, 0]
    assert trained['sentences'] == ['The RIGHT, rightmost one is brighter and upright.']
    evaluated = nlvr2(pair('dev-7-0-0', sentence), transforms=[swap], test_mode=True)[0]
    assert levels(evaluated) == [0, 10] and evaluated['sentences'] == [sentence]
    half = nlvr2(pair('dev-7-0-0'), transforms=[dict(swap, prob=0.5)])
    orders = [tuple(levels(half.prepare(0, np.random.default_rng(seed)))) for seed in range(40)]
    assert 10 < orders.count((10, 0)) < 30


def test_swap_averaging_adds_every_pair_in_reverse_order(nlvr2):
    dataset = nlvr2(pair('dev-7-0-0'), pair('dev-7-1-0'), test_mode=True, swap_averaging=True)
    assert [levels(sample) for sample in dataset] == [[0, 10], [20, 30], [10, 0], [30, 20]]
    assert [sample['question_id'].tolist() for sample in dataset] == [[0], [1], [0], [1]]
    assert dataset[2]['sentences'] == ['The right image is dark.']
    with pytest.raises(ValueError, match='swap_averaging is for evaluation'):
        nlvr2(pair('dev-7-0-0'), swap_averaging=True)


def test_prepared_names_and_sizes_are_used_and_small_images_left_out_of_training(nlvr2):
    names = ['dev-7-0-img1.png', 'dev-7-0-img0.png']
    records = [
        pair('dev-7-0-0', images=names, sizes=[[40, 60], [40, 60]]),
        pair('dev-7-1-0', sizes=[[40, 60], [20, 60]]),
    ]
    evaluated = nlvr2(*records, test_mode=True)
    assert levels(evaluated[0]) == [10, 0] and evaluated.aspect_ratio.tolist() == [[1.5, 1.5], [1.5, 3.0]]
    trained = nlvr2(*records)
    assert len(trained) == 1 and levels(trained[0]) == [10, 0]


def test_a_missing_image_of_a_pair_is_named(nlvr2):
    with pytest.raises(ImageMissingError, match='no image dev-9-0-img0.png'):
        nlvr2(pair('dev-9-0-0'), test_mode=True)[0]


@pytest.mark.parametrize(
    'record, message',
    [
        (pair('dev-7-0'), "has the identifier 'dev-7-0'; it must be"),
        (pair('dev-7-x-0'), "has the identifier 'dev-7-x-0'"),
        (
            pair('dev-7-0-0', label='maybe'),
            r"Line 1 of .*\(identifier 'dev-7-0-0'\) has the label 'maybe'; a label is True or False",
        ),
        (pair('dev-7-0-0', sentence=' '), r"\(identifier 'dev-7-0-0'\) has an empty sentence"),
        (pair('dev-7-0-0', images=['a.png']), r"images is \['a.png'\], where a list of 2 items is expected"),
        (dict(identifier='dev-7-0-0'), "Line 1 of .*dev.json has no key 'sentence'"),
    ],
)
def test_a_faulty_example_is_refused(nlvr2, record, message):
    with pytest.raises(ValueError, match=message):
        nlvr2(record)


def test_a_repeated_example_and_a_broken_line_are_refused(nlvr2, tmp_path):
    with pytest.raises(ValueError, match='holds the example dev-7-0-0 twice'):
        nlvr2(pair('dev-7-0-0'), pair('dev-7-0-0'))
    (tmp_path / 'dev.json').write_text(json.dumps(pair('dev-7-0-0')) + '\n\n{"identifier": ')
    with pytest.raises(ValueError, match='dev.json is broken JSON at line 3'):
        NLVR2Dataset('dev.json', 'dev', [], data_root=str(tmp_path))


def test_official_identifiers_name_sentence_and_pair():
    identifier = parse_identifier('test1-23-3-1', 'a file')
    assert (identifier.pair_name, identifier.group) == ('test1-23-3', 'test1-23-1')


@pytest.fixture
def nlvr(tmp_path):
    names = [f'4/dev-12-1-{k}.png' for k in range(6)]
    write_images(tmp_path / 'images', *names)

    def make(*records, **options):
        (tmp_path / 'dev.json').write_text('\n'.join(map(json.dumps, records)))
        pipeline = [dict(type='LoadImage'), dict(type='PackSample', keys=KEYS)]
        return NLVRDataset('dev.json', 'images', pipeline, data_root=str(tmp_path), **options)

    return make


def test_all_six_orders_of_the_boxes_are_samples(nlvr):
    record = dict(identifier='12-1', sentence='There is a box.', label='true', directory='4')
    dataset = nlvr(record, test_mode=True)
    assert [int(sample['image'].mean()) for sample in dataset] == [0, 10, 20, 30, 40, 50]
    assert [sample['question_id'].item() for sample in dataset] == list(range(6))
    assert all(sample['answer_labels'].item() == 1 for sample in dataset)
    info = dataset.metainfo
    assert [info['identifiers'][k] for k in (0, 5)] == ['dev-12-1-0.png', 'dev-12-1-5.png']
    assert {info['groups'][k] for k in range(6)} == {'12'}
    named = nlvr(dict(record, images=[f'4/dev-12-1-{k}.png' for k in range(5, -1, -1)]))
    assert int(named[0]['image'].mean()) == 50
    with pytest.raises(ValueError, match=r"images is \['a.png'\], where a list of 6 items is expected"):
        nlvr(dict(record, images=['a.png']))
    with pytest.raises(ValueError, match='has an identifier that is not N-M'):
        nlvr(dict(record, identifier='12'))
