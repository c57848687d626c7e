"""The data set in the formats of further downloads agrees with its COCO files."""

import json
import runpy
import sys
from collections import Counter
from xml.etree import ElementTree

import cv2
import pytest

from soho.datasets.synthetic.exports.formats import EXPORTS
from soho.datasets.voc07 import read_voc07
from soho.paths import TOOLS

SHAPES = ['circle', 'heart', 'ring', 'square', 'star', 'triangle']


@pytest.fixture(scope='module')
def devkit(synthetic):
    EXPORTS['voc'](synthetic)
    return synthetic / 'VOCdevkit'


@pytest.fixture(scope='module')
def lvis(synthetic):
    EXPORTS['lvis'](synthetic)
    return {split: json.loads((synthetic / f'lvis/lvis_v1_{split}.json').read_text()) for split in ('train', 'val')}


def names(devkit, year, split):
    return (devkit / f'VOC{year}/ImageSets/Main/{split}.txt').read_text().split()


def test_voc_splits_are_disjoint_and_whole(devkit):
    for year in ('2007', '2012'):
        train, val = names(devkit, year, 'train'), names(devkit, year, 'val')
        assert train and val and sorted(train + val) == names(devkit, year, 'trainval')
    assert len(names(devkit, '2007', 'trainval')) + len(names(devkit, '2012', 'trainval')) == 24
    assert len(names(devkit, '2007', 'test')) == 8
    assert names(devkit, '2007', 'test')[0].isdigit() and names(devkit, '2012', 'train')[0].startswith('2012_')


def test_voc_pictures_boxes_and_labels_say_the_same(devkit):
    for split in ('trainval', 'test'):
        read = read_voc07(devkit / 'VOC2007', split)
        assert read.class_names == SHAPES
        for file_name, labels in zip(read.file_names, read.labels):
            tree = ElementTree.parse(devkit / 'VOC2007/Annotations' / file_name.replace('.jpg', '.xml'))
            height, width, _ = cv2.imread(str(devkit / 'VOC2007/JPEGImages' / file_name)).shape
            assert [int(tree.findtext(f'size/{side}')) for side in ('width', 'height')] == [width, height]
            states = {}
            for obj in tree.iterfind('object'):
                left, top, right, bottom = (int(obj.findtext(f'bndbox/{x}')) for x in ('xmin', 'ymin', 'xmax', 'ymax'))
                assert 1 <= left < right <= width and 1 <= top < bottom <= height
                states.setdefault(obj.findtext('name'), []).append(obj.findtext('difficult') == '1')
            # The reader says 1 present, 0 absent, -1 difficult.
            assert labels.tolist() == [0 if name not in states else -1 if all(states[name]) else 1 for name in SHAPES]


def test_lvis_lists_each_category_once_an_image(lvis, synthetic):
    for split, file in lvis.items():
        ids = {category['id'] for category in file['categories']}
        positive = {}
        for item in file['annotations']:
            positive.setdefault(item['image_id'], set()).add(item['category_id'])
        for image in file['images']:
            found = positive.get(image['id'], set())
            assert image['neg_category_ids'] and not found & set(image['neg_category_ids'])
            assert found >= set(image['not_exhaustive_category_ids'])
            assert found <= ids and 'file_name' not in image
            assert image['coco_url'].split('/')[-2] == dict(train='train2014', val='val2014')[split]
    coco = json.loads((synthetic / 'annotations/instances_val2014.json').read_text())
    assert len(lvis['val']['annotations']) == len(coco['annotations'])  # the tail is cut off in training alone


def test_lvis_frequency_follows_from_the_training_images(lvis):
    train = lvis['train']
    assert train['categories'] == lvis['val']['categories']
    images = Counter(category for _, category in {(a['image_id'], a['category_id']) for a in train['annotations']})
    for category in train['categories']:
        assert category['image_count'] == images[category['id']]
        assert category['frequency'] == ('r' if category['image_count'] < 10 else 'c')
        assert category['name'].split('_')[1] in SHAPES


def test_an_export_is_left_alone_and_the_tool_names_it(devkit, synthetic, monkeypatch, capsys):
    (devkit / 'VOC2007/mark').touch()
    monkeypatch.setattr(
        sys, 'argv', ['synthetic.py', '--size', 'tiny', '--out', str(synthetic), '--also', 'voc', 'lvis']
    )
    runpy.run_path(str(TOOLS / 'prepare/synthetic.py'), run_name='__main__')
    assert (devkit / 'VOC2007/mark').exists()
    assert capsys.readouterr().out.endswith(
        'voc: 8 VOC2007 trainval, 8 VOC2007 test, 16 VOC2012 trainval\nlvis: 24 train, 8 val\n'
    )
