"""Readers of other people's files, fed with damaged ones: they accept them or say one short sentence.

``SOHO_FUZZ=5000 pytest tests/datasets/test_fuzz.py`` tries so many of each format instead of a few.
"""

import copy
import io
import json
import os
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from soho.datasets import (
    VOC07,
    CaptioningDataset,
    CocoDetection,
    ImageFolders,
    INaturalist,
    LabelledImages,
    LVISDetection,
    NLVR2Dataset,
    NLVRDataset,
    ObjectLabelsDataset,
    PretrainDataset,
    VOCDetection,
    VQADataset,
)
from soho.datasets.object_crops import Labels, read_photos
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.tables import read_table
from soho.errors import UserError
from soho.evaluation import LVISAP, CocoAP
from soho.evaluation.captions import load_references
from soho.evaluation.gqa import GQAAccuracy, read_choices
from soho.evaluation.gqa import check_submission as check_gqa
from soho.evaluation.vqa import check_submission, load_truth

EXAMPLES = int(os.environ.get('SOHO_FUZZ', 20))
LONGEST = 1200  # characters of a sentence
BOX = [5, 5, 20, 10]


def encode_runs(*counts):
    """Compressed run lengths of a mask of 60 x 40 pixels."""
    return coco_mask.frPyObjects(dict(size=[40, 60], counts=list(counts)), 40, 60)['counts'].decode()


IMAGES = [dict(id=i, file_name=f'{i}.jpg', height=40, width=60) for i in (7, 8)]
LVIS_IMAGES = [
    dict(
        id=i, coco_url=f'http://x/t/{i}.jpg', height=40, width=60, neg_category_ids=[2], not_exhaustive_category_ids=[]
    )
    for i in (7, 8)
]
CATEGORIES = [dict(id=i, name=f'c{i}', frequency='r') for i in (1, 2)]
OBJECTS = [
    dict(id=1, image_id=7, category_id=1, bbox=BOX, area=200.0, iscrowd=0, segmentation=[[5, 5, 25, 5, 25, 15]]),
    dict(id=2, image_id=8, category_id=2, bbox=BOX, segmentation=dict(size=[40, 60], counts=[200, 30, 2170])),
    dict(
        id=3, image_id=8, category_id=2, bbox=BOX, segmentation=dict(size=[40, 60], counts=encode_runs(200, 30, 2170))
    ),
]
SCENE = dict(file_name='1.jpg', image_id=1, height=48, width=64)
QUESTION = dict(question='what?', question_id=3, labels=[0, 1], scores=[1, 0.3])


EXAMPLE = dict(sentence='b', images=[f'{k}.png' for k in range(6)])
GQA_QUESTION = dict(
    question='what?',
    imageId='n1',
    isBalanced=True,
    answer='red',
    semantic=[dict(operation='select', argument='cat')],
    types=dict(structural='query', semantic='obj', detailed=None),
    groups={'global': 'color'},
    entailed=['2'],
)


def read_annotations(dataset):
    """Read all annotations, as training does."""
    for index in range(len(dataset)):
        dataset.get_annotation(index, np.random.default_rng(0))
    return dataset.metainfo


def read_samples(dataset):
    """Read all annotations and the sizes of the images, as training in batches of one shape does."""
    return read_annotations(dataset), dataset.aspect_ratio


def check_vqa(path):
    """Check a file of answers against questions that have been answered; those of EvalAI are too many."""
    questions = f'{path}.questions'
    with open(questions, 'w') as file:
        json.dump(dict(questions=[dict(question_id=i, image_id=1, question='?') for i in (1, 2)]), file)
    check_submission(path, questions)


def coco(images, **lists):
    return dict(images=images, categories=CATEGORIES, **lists)


FORMATS = {
    'pretraining': (
        [dict(SCENE, captions=['a', 'b']), dict(SCENE, image_id=2, captions=['c'])],
        lambda path: read_samples(PretrainDataset(path, None, [])),
    ),
    'questions': (
        dict(data=[dict(SCENE, vqa=[QUESTION])], label2ans=['yes', 'no'], ans2label=dict(yes=0, no=1)),
        lambda path: read_samples(VQADataset(path, None, [], test_mode=True)),
    ),
    'single questions': (
        dict(data=[dict(SCENE, **QUESTION)], label2ans={'0': 'yes', '1': 'no'}, ans2label=dict(yes=0, no=1)),
        lambda path: read_samples(VQADataset(path, None, [])),
    ),
    'coco captions': (
        coco(IMAGES, annotations=[dict(image_id=7, caption='a'), dict(image_id=8, caption='b')]),
        lambda path: (read_samples(CaptioningDataset(path, None, [], test_mode=True)), load_references(path)),
    ),
    'object labels': (
        coco(IMAGES, annotations=OBJECTS),
        lambda path: read_samples(ObjectLabelsDataset(path, None, [])),
    ),
    'coco instances': (coco(IMAGES, annotations=OBJECTS), lambda path: read_samples(CocoDetection(path, None, []))),
    'lvis': (coco(LVIS_IMAGES, annotations=OBJECTS), lambda path: read_samples(LVISDetection(path, None, []))),
    'coco truth': (coco(IMAGES, annotations=OBJECTS), lambda path: use_truth(CocoAP(path))),
    'lvis truth': (coco(LVIS_IMAGES, annotations=OBJECTS), lambda path: use_truth(LVISAP(path))),
    'crops': (
        coco(
            IMAGES,
            annotations=[dict(OBJECTS[0], attribute_ids=[1])],
            attributes=[dict(CATEGORIES[0], supercategory='s')],
        ),
        lambda path: read_photos(path, Labels(path)),
    ),
    'species': (
        coco(IMAGES, annotations=[dict(image_id=7, category_id=1)]),
        lambda path: read_samples(INaturalist(path, None, [])),
    ),
    'labels': (
        dict(data=[dict(SCENE, labels=[0, 1])], labels=dict(a=['x'], b=['y', 'z'])),
        lambda path: read_samples(LabelledImages(path, None, [])),
    ),
    'answers': (
        dict(annotations=[dict(question_id=1, answers=[dict(answer='a')], answer_type='other', question_type='what')]),
        load_truth,
    ),
    'plain answers': ({'17': 'red', '18': 'blue'}, load_truth),
    'gqa questions': ({'01': GQA_QUESTION, '2': dict(GQA_QUESTION, entailed=[])}, lambda path: GQAAccuracy(path)),
    'gqa choices': ({'01': dict(valid=['red', 'blue'], plausible=['red'])}, read_choices),
    'gqa predictions': ([dict(questionId='01', prediction='red')], check_gqa),
    'vqa predictions': ([dict(question_id=1, answer='red'), dict(question_id=2, answer='no')], check_vqa),
}
LINES = {
    'nlvr': (
        [dict(identifier='12-1', sentence='a', label='true', directory='4'), dict(EXAMPLE, identifier='13-0')],
        lambda path: read_annotations(NLVRDataset(path, None, [], test_mode=True)),
    ),
    'nlvr2': (
        [
            dict(identifier='dev-7-0-0', sentence='a', label='True', images=['a.png', 'b.png'], sizes=[[48, 64]] * 2),
            dict(identifier='dev-7-1-0', sentence='b', label='False', images=['c.png', 'd.png'], sizes=[[48, 64]] * 2),
        ],
        lambda path: read_samples(NLVR2Dataset(path, None, [], test_mode=True)),
    ),
    'table': ([dict(image='a.png', question='what?')] * 2, lambda path: list(read_table(path))),
}


def use_truth(metric):
    """Evaluate no detections at all, by boxes and masks."""
    from soho.evaluation.detection.records import Detections

    none = (np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), [])
    metric.compute_metrics([Detections(image, (40, 60), *none) for image in metric.truth.numbers])


VALUES = st.sampled_from(
    [None, True, '', ' ', 'x', '7', '60.0', 'nan', '\ud83d', 'a\0b', '../../etc/passwd', '/dev/zero', 'x' * 100_000]
    + [0, -1, 1, 7, 1.5, 60.0, float('nan'), float('inf'), 1e9, 1e300, 1 << 31, 1 << 63, 10**400]
    + [[], {}, [[]], [None], [1, 1], [1e9, 1e9], [-1] * 4, ['a'] * 4, {'size': [10**9, 10**9], 'counts': [1, 1]}]
)


def places(value, path=()):
    """Yield the path of every value inside of a JSON value."""
    yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


@st.composite
def damaged(draw, whole):
    """A JSON value with some values exchanged, left out or repeated."""
    value = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(places(value))))
        new = copy.deepcopy(draw(VALUES))
        if not path:
            return new
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        kind = draw(st.sampled_from(['exchange', 'exchange', 'exchange', 'drop', 'repeat']))
        if kind == 'drop':
            del parent[path[-1]]
        elif kind == 'repeat' and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[path[-1]]))
        else:
            parent[path[-1]] = new
    return value


def accepts_or_says(read, *args):
    """Check what a reader makes of a file."""
    try:
        read(*args)
    except (UserError, FileNotFoundError) as error:
        sentence = str(error)
        assert 0 < len(sentence) < LONGEST and '\n' not in sentence, sentence[:2000]


fuzz = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize('name', FORMATS)
@fuzz
@given(data=st.data())
def test_json(name, tmp_path, data):
    whole, read = FORMATS[name]
    path = tmp_path / 'file.json'
    path.write_text(json.dumps(whole))
    if not (tmp_path / 'read').exists():
        read(str(path))  # the whole file is accepted
        (tmp_path / 'read').touch()
    path.write_text(json.dumps(data.draw(damaged(whole))))
    accepts_or_says(read, str(path))


@pytest.mark.parametrize('name', LINES)
@fuzz
@given(data=st.data())
def test_lines(name, tmp_path, data):
    whole, read = LINES[name]
    path = tmp_path / 'dev.jsonl'

    def write(lines):
        path.write_text(''.join(json.dumps(line) + '\n' for line in lines) if isinstance(lines, list) else str(lines))

    write(whole)
    if not (tmp_path / 'read').exists():
        read(str(path))  # the whole file is accepted
        (tmp_path / 'read').touch()
    write(data.draw(damaged(whole)))
    accepts_or_says(read, str(path))


def change_bytes(data, whole):
    """Bytes with some exchanged, cut or put twice."""
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(changed) - 1))
        kind = data.draw(st.sampled_from(['bit', 'byte', 'cut', 'twice']))
        if kind == 'bit':
            changed[place] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == 'byte':
            changed[place] = data.draw(st.sampled_from([0, 9, 34, 45, 48, 57, 91, 123, 128, 255]))
        elif kind == 'cut':
            del changed[place : place + data.draw(st.integers(1, 40))]
        else:
            changed[place:place] = changed[place : place + data.draw(st.integers(1, 40))]
        if not changed:
            break
    return bytes(changed)


XML = (
    '<?xml version="1.0" encoding="UTF-8"?><annotation><size><width>60</width><height>40</height></size>'
    '<object><name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>60</xmax>'
    '<ymax>20.5</ymax></bndbox></object></annotation>'
)


@pytest.mark.parametrize('name', ['a.json', 'a.xml', 'trainval.txt', 'cat_trainval.txt', 'b.zip', '000000.tar'])
@fuzz
@given(data=st.data())
def test_bytes(name, tmp_path, data):
    main, annotations = tmp_path / 'ImageSets/Main', tmp_path / 'Annotations'
    for folder in (main, annotations, tmp_path / 'shards'):
        folder.mkdir(parents=True, exist_ok=True)
    (main / 'trainval.txt').write_text('a\n')
    (main / 'cat_trainval.txt').write_text('a  1\n')
    (annotations / 'a.xml').write_text(XML)
    archive, shard = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, 'w') as file:
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            file.writestr(f'c/{method}.jpg', b'x' * 500, method)
    with tarfile.open(fileobj=shard, mode='w') as file:
        info = tarfile.TarInfo('x.jpg')
        info.size = 9
        file.addfile(info, io.BytesIO(b'x' * 9))
    (tmp_path / 'a.json').write_text(json.dumps(FORMATS['coco instances'][0]))
    (tmp_path / 'b.zip').write_bytes(archive.getvalue())
    (tmp_path / 'shards/000000.tar').write_bytes(shard.getvalue()[: 3 * tarfile.BLOCKSIZE])
    path = next(tmp_path.rglob(name))
    path.write_bytes(change_bytes(data, path.read_bytes()))

    def read_members(root):
        store = ImageStore(root)
        for member in store.names:
            store.read(member)

    if name == 'a.json':
        accepts_or_says(lambda: read_samples(CocoDetection(str(path), None, [])))
    elif name == 'b.zip':
        accepts_or_says(read_members, path)
        accepts_or_says(ImageFolders, str(path), [])
    elif name == '000000.tar':
        accepts_or_says(read_members, path.parent)
    else:
        accepts_or_says(lambda: read_samples(VOCDetection(str(main / 'trainval.txt'), None, [])))
        (tmp_path / 'JPEGImages').mkdir(exist_ok=True)
        accepts_or_says(lambda: VOC07('trainval', str(tmp_path), []))
