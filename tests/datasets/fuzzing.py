"""Damaged files of every format that is read, and the public entries that read them.

Whatever a file holds, a reader accepts it or says one short sentence. ``test_fuzz.py`` tries a few of each, and
``soak.py`` as many as wanted.
"""

import copy
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image
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
from soho.datasets.storage.decoding import decode_image
from soho.datasets.storage.image_header import read_header
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.tables import read_table
from soho.datasets.tokenizer import BertTokenizer
from soho.engine.checkpoint.read import read_checkpoint
from soho.errors import UserError
from soho.evaluation import LVISAP, CocoAP
from soho.evaluation.captions import load_references
from soho.evaluation.gqa import GQAAccuracy, read_choices
from soho.evaluation.gqa import check_submission as check_gqa
from soho.evaluation.vqa import check_submission, load_truth
from soho.visualization.training_curves import read_curves
from tests.engine.damaged_states import go_on_from, saved_state

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
def damaged(draw, whole, values=VALUES):
    """A JSON value, or a checkpoint, with some of its ``values`` exchanged, left out or repeated."""
    value = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(places(value))))
        new = copy.deepcopy(draw(values))
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
    """Check what a reader makes of a file; returns the sentence, ``None`` where it accepts it."""
    try:
        read(*args)
    except (UserError, FileNotFoundError) as error:
        sentence = str(error)
        assert 0 < len(sentence) < LONGEST and '\n' not in sentence, sentence[:2000]
        return sentence
    return None


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


class Target(NamedTuple):
    """A format with what damages it and what reads it."""

    prepare: Callable[[Path], None]
    """Writes what stays as it is into a folder, and has the whole file read."""
    damage: Callable[[Path, Any], Callable[[], None]]
    """Writes a damaged file into the folder, with hypothesis's ``data``; returns the call that reads it."""


def json_target(whole, read):
    """JSON values exchanged, left out or repeated."""

    def prepare(folder):
        path = folder / 'file.json'
        path.write_text(json.dumps(whole))
        read(str(path))

    def damage(folder, data):
        path = folder / 'file.json'
        path.write_text(json.dumps(data.draw(damaged(whole))))
        return lambda: read(str(path))

    return Target(prepare, damage)


def lines_target(whole, read, name='dev.jsonl'):
    """The same of a file with a JSON value a line."""

    def write(folder, lines):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = ''.join(json.dumps(line) + '\n' for line in lines) if isinstance(lines, list) else str(lines)
        path.write_bytes(text.encode('utf-8', 'surrogatepass'))
        return str(path)

    def prepare(folder):
        read(write(folder, whole))

    def damage(folder, data):
        path = write(folder, data.draw(damaged(whole)))
        return lambda: read(path)

    return Target(prepare, damage)


def bytes_target(name, whole, read, surroundings=None):
    """Bytes exchanged, cut or put twice.

    Args:
        name: Path of the file in the folder.
        whole: Its sound contents.
        read: Gets the folder.
        surroundings: Contents of the files beside it, by path.
    """

    def write(folder, path, contents):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(contents)

    def prepare(folder):
        for path, contents in {**(surroundings or {}), name: whole}.items():
            write(folder, path, contents)
        read(folder)

    def damage(folder, data):
        write(folder, name, change_bytes(data, whole))
        return lambda: read(folder)

    return Target(prepare, damage)


def read_members(root):
    """Read all files of a store, which is told apart from its parts by the images that it holds."""
    store = ImageStore(root)
    for member in store.names:
        store.read(member)


def read_voc(folder):
    """Read VOC's lists and annotations for detection."""
    read_samples(VOCDetection(str(folder / 'ImageSets/Main/trainval.txt'), None, []))


def read_voc07(folder):
    """Read VOC's lists for the protocol of VOC07."""
    VOC07('trainval', str(folder), [])


def only_file(folder):
    """The bytes of the file in a folder."""
    (data,) = (path.read_bytes() for path in folder.iterdir())
    return data


def read_size(folder):
    """Read the size of a picture."""
    read_header(only_file(folder), 'the file')


def read_pixels(folder):
    """Read the pixels of a picture."""
    decode_image(only_file(folder), name='the file', max_pixels=1 << 20)


def zip_of(methods):
    """A zip with a member for each method of compression."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, 'w') as file:
        for method in methods:
            file.writestr(f'c/{method}.jpg', b'x' * 500, method)
    return archive.getvalue()


def tar_of_one():
    """A tar with one member, without its end."""
    shard = io.BytesIO()
    with tarfile.open(fileobj=shard, mode='w') as file:
        info = tarfile.TarInfo('x.jpg')
        info.size = 9
        file.addfile(info, io.BytesIO(b'x' * 9))
    return shard.getvalue()[: 3 * tarfile.BLOCKSIZE]


def picture(form):
    """A picture of 20 x 12 pixels that cannot be compressed away, with EXIF."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **({} if form in ('GIF', 'BMP') else dict(exif=exif)))
    return buffer.getvalue()


def weights():
    """A small checkpoint, as it is written."""
    buffer = io.BytesIO()
    torch.save(dict(state_dict={'a.weight': torch.arange(6.0), 'b': torch.ones(2)}, meta=dict(iter=3)), buffer)
    return buffer.getvalue()


TENSORS = st.sampled_from(
    [
        torch.zeros(()),
        torch.ones(3),
        torch.ones(4, 3),
        torch.full((4, 3), float('nan')),
        torch.ones(4, dtype=torch.int64),
    ]
    + [torch.ones(4, 3, dtype=torch.complex64), torch.ones(4, 3).to_sparse(), torch.ones(1).expand(4, 3)]
    + [torch.ones(4, 3, dtype=torch.float64), torch.ones(3, 4).T, torch.zeros(0), torch.tensor(10**15)]
)


def state_target(whole, read):
    """Values of a run's checkpoint exchanged, left out or repeated; tensors among them."""

    def prepare(folder):
        torch.save(whole, folder / 'iter_3.pth')
        read(str(folder / 'iter_3.pth'))

    def damage(folder, data):
        state = data.draw(damaged(whole, VALUES | TENSORS))
        torch.save(state, folder / 'iter_3.pth')
        return lambda: read(str(folder / 'iter_3.pth'))

    return Target(prepare, damage)


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
XML = (
    b'<?xml version="1.0" encoding="UTF-8"?><annotation><size><width>60</width><height>40</height></size>'
    b'<object><name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>60</xmax>'
    b'<ymax>20.5</ymax></bndbox></object></annotation>'
)
VOC = {
    'ImageSets/Main/trainval.txt': b'a\n',
    'ImageSets/Main/cat_trainval.txt': b'a  1\n',
    'Annotations/a.xml': XML,
    'JPEGImages/.keep': b'',
}
TABLE = 'image,question,answer\na.png,"what, then?",\u00e9t\u00e9\nb.png,who,x\n'.encode()
VOCABULARY = '\n'.join(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *'abcdefgh', '##a', '##b', '\u00e9']).encode()

TARGETS = {
    **{name: json_target(*parts) for name, parts in FORMATS.items()},
    **{name: lines_target(*parts) for name, parts in LINES.items()},
    **{
        f'{kind}, {Path(name).name}': bytes_target(name, VOC[name], read, VOC)
        for name in list(VOC)[:3]
        for kind, read in (('voc', read_voc), ('voc07', read_voc07))
    },
    **{
        f'{kind}, {form}': bytes_target('a', picture(form), read)
        for form in ('JPEG', 'PNG', 'WEBP', 'GIF', 'TIFF', 'BMP')
        for kind, read in (('picture', read_pixels), ('size of a picture', read_size))
    },
    'log': lines_target(
        [dict(lr=0.1, loss=2.5, time=0.2, epoch=1, iter=10, step=10), dict(accuracy=50.0, step=1)],
        lambda path: read_curves(Path(path).parents[2]).last(),
        'run/vis_data/scalars.json',
    ),
    'json bytes': bytes_target(
        'a.json',
        json.dumps(FORMATS['coco instances'][0]).encode(),
        lambda folder: read_samples(CocoDetection(str(folder / 'a.json'), None, [])),
    ),
    'zip': bytes_target('b.zip', zip_of(METHODS), lambda folder: read_members(folder / 'b.zip')),
    'zip of classes': bytes_target('b.zip', zip_of(METHODS), lambda folder: ImageFolders(str(folder / 'b.zip'), [])),
    'tar': bytes_target('shards/000000.tar', tar_of_one(), lambda folder: read_members(folder / 'shards')),
    'csv': bytes_target('a.csv', TABLE, lambda folder: list(read_table(folder / 'a.csv'))),
    'vocabulary': bytes_target(
        'vocab.txt', VOCABULARY, lambda folder: BertTokenizer(vocab=str(folder / 'vocab.txt')).encode(['a b'])
    ),
    'checkpoint': bytes_target('a.pth', weights(), lambda folder: read_checkpoint(str(folder / 'a.pth'))),
    'state of a run': state_target(saved_state(), go_on_from),
}
