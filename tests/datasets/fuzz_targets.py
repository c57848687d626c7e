"""Every format that is read, with a sound file of it and the public entry that reads it.

``test_fuzz.py`` damages a few of each, and ``soak.py`` as many as wanted; :mod:`tests.datasets.fuzzing` says how.
"""

import gzip
import io
import json
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from tokenizers.implementations import BertWordPieceTokenizer

from soho.apis.model_zoo import read_metafile
from soho.apis.tables import open_results
from soho.app.pictures import FORMATS as UPLOADED
from soho.app.pictures import read_picture
from soho.datasets import (
    VOC07,
    CaptioningDataset,
    CocoDetection,
    ImageFolders,
    INaturalist,
    LabeledImages,
    LVISDetection,
    NLVR2Dataset,
    NLVRDataset,
    ObjectLabelsDataset,
    PretrainDataset,
    RetrievalDataset,
    SNLIVEDataset,
    VOCDetection,
    VQADataset,
)
from soho.datasets.answer_list import read_answer_lines
from soho.datasets.object_crops import Labels, read_photos
from soho.datasets.sentence_piece import train_vocabulary
from soho.datasets.storage import index as index_module
from soho.datasets.storage.decoding import decode_image
from soho.datasets.storage.image_header import PNG, png_chunks, read_header
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.index import IndexBuilder
from soho.datasets.storage.manifest import Manifest
from soho.datasets.storage.prepared_tokens import PreparedTokens
from soho.datasets.storage.tables import read_table
from soho.datasets.synthetic.generate import MANIFEST as SYNTHETIC
from soho.datasets.synthetic.generate import VERSION, find_synthetic
from soho.datasets.tokenizer import BertTokenizer, SentencePieceTokenizer
from soho.engine.checkpoint.inference_spec import read_spec
from soho.engine.checkpoint.newest import newest_checkpoint
from soho.engine.checkpoint.read import read_checkpoint
from soho.engine.config import load_config
from soho.engine.config_file import read_config
from soho.evaluation import LVISAP, CocoAP
from soho.evaluation.captions import load_references
from soho.evaluation.gqa import GQAAccuracy, read_choices
from soho.evaluation.gqa import check_submission as check_gqa
from soho.evaluation.logits import load_logits
from soho.evaluation.prediction_targets import read_predictions
from soho.evaluation.statements import read_categories, read_submission
from soho.evaluation.vqa import check_submission, load_truth
from soho.visualization.training_curves import read_curves
from tests.datasets.fuzzing import VALUES, Target, bytes_target, damaged, json_target, lines_target, packed_target
from tests.engine.damaged_states import go_on_from, saved_state
from tools import report
from tools.prepare import captions, gqa, nlvr2, pretrain, retrieval, snli_ve, split, vqa

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


ENTAILMENT = dict(Flickr30K_ID='1', gold_label='neutral', sentence2='a', pairID='1#0', height=48, width=64)
NLVR2_LINES = [
    dict(identifier='dev-7-0-0', sentence='a', label='True', images=['a.png', 'b.png'], sizes=[[48, 64]] * 2),
    dict(identifier='dev-7-1-0', sentence='b', label='False', images=['c.png', 'd.png'], sizes=[[48, 64]] * 2),
]
CAPTIONS = [dict(SCENE, captions=['a', 'b']), dict(SCENE, image_id=2, captions=['c'])]
ASKED = dict(questions=[dict(question_id=i, image_id=1, question='?') for i in (1, 2)])
ROWS = [dict(image='x', name='\u00e9.jpg', question='q'), dict(image='y', name='b.jpg', question='r')]


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
    questions = Path(f'{path}.questions')
    questions.write_text(json.dumps(ASKED))
    check_submission(path, questions)


def prepare_coco(path):
    """Read captions as ``tools/prepare/pretrain.py`` does."""
    found, counts = pretrain.read_coco(path), Counter()
    list(pretrain.coco_items(path, found, {}, set(), counts))


def prepare_regions(path):
    """Read Visual Genome's regions as ``tools/prepare/pretrain.py`` does."""
    images = Path(f'{path}.images')
    images.write_text(json.dumps([dict(image_id=i, height=3, width=4, coco_id=None) for i in (1, 2)]))
    list(pretrain.vg_items(Path(path), images, set(), set(), 'keep', {}, Counter()))


def store_of(path, *names):
    """Images beside a file."""
    folder = path.parent / 'images'
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(picture('PNG'))
    return ImageStore(folder)


def prepare_nlvr2(path):
    """Read examples as ``tools/prepare/nlvr2.py`` does."""
    sizes = nlvr2.Sizes(store_of(path, 'a.png', 'b.png', 'c.png', 'd.png'))
    list(nlvr2.read_examples(path, sizes, defaultdict(int)))


def prepare_snli_ve(path):
    """Read statements as ``tools/prepare/snli_ve.py`` does."""
    list(snli_ve.check(path, store_of(path, '1.jpg'), Counter()))


def go_on_with_results(path):
    """Go on with the results of ``soho ask``."""
    with open_results(str(path), ROWS, ('image', 'question')):
        pass


def coco(images, **lists):
    return dict(images=images, categories=CATEGORIES, **lists)


FORMATS = {
    'pretraining': (CAPTIONS, lambda path: read_samples(PretrainDataset(path, None, []))),
    'retrieval': (CAPTIONS, lambda path: read_samples(RetrievalDataset(path, None, [], negatives=1))),
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
        lambda path: read_samples(LabeledImages(path, None, [])),
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
    'predictions to report': ([dict(question_id=1, answer='red'), dict(question_id=2, answer='no')], read_predictions),
    'reported confidences': ({'1': ['red', 0.5]}, lambda path: report.read_confidences(path, None)),
    'table.json': (ROWS, lambda path: list(read_table(path))),
    'config.json': (dict(model=dict(type='SOHO'), a=[1, 2]), read_config),
    'karpathy download': (
        dict(
            images=[
                dict(filename='a.jpg', split='train', sentences=[dict(raw='x')], filepath='train2014', cocoid=3),
                dict(filename='b.jpg', split='restval', sentences=[dict(raw='y')]),
            ]
        ),
        lambda path: retrieval.read_karpathy(Path(path), 'images'),
    ),
    'gqa download': ({'01': GQA_QUESTION, '2': GQA_QUESTION}, lambda path: gqa.read_split(Path(path))),
    'coco download': (
        coco(IMAGES, annotations=[dict(image_id=7, caption='a'), dict(image_id=8, caption='b')]),
        lambda path: prepare_coco(Path(path)),
    ),
    'test images': (ASKED, lambda path: pretrain.read_ids(Path(path))),
    'genome images': (
        [dict(image_id=1, height=3, width=4, coco_id=None)],
        lambda path: pretrain.read_photos(Path(path)),
    ),
    'genome regions': (
        [dict(id=1, regions=[dict(phrase='a'), dict(phrase='b')]), dict(id=2, regions=[])],
        prepare_regions,
    ),
    'vqa download, questions': (ASKED, lambda path: vqa.read_questions(Path(path))),
    'vqa download, annotations': (
        dict(
            annotations=[
                dict(question_id=1, image_id=1, multiple_choice_answer='a', answers=[dict(answer='a'), dict(answer=2)])
            ]
        ),
        lambda path: vqa.read_answers(Path(path)),
    ),
    'label2ans': (['yes', 'no'], lambda path: vqa.read_answer_list(Path(path))),
    'ans2label': (dict(yes=0, no=1), lambda path: vqa.read_answer_list(Path(path))),
    'captions to convert': (CAPTIONS, lambda path: captions.convert(Path(path), Path(f'{path}.out'))),
    'annotations to split': (CAPTIONS, lambda path: split.split(Path(path), 0.5)),
    'record of a preparation': (
        dict(version='0', arguments={}, inputs={}, outputs={'a': dict(sha256='0')}, counts=dict(a=1)),
        lambda path: Manifest(Path(path).parent, 'x', {}, []).counts_if_current(),
    ),
    'synthetic': (
        dict(version=VERSION, size='demo', seed=0),
        lambda path: find_synthetic(Path(path).parent, 'demo', 0),
    ),
}
JSON_NAMES = {  # those that are read by a fixed name
    'record of a preparation': 'prepare_x.json',
    'synthetic': SYNTHETIC,
}
LINES = {
    'nlvr': (
        [dict(identifier='12-1', sentence='a', label='true', directory='4'), dict(EXAMPLE, identifier='13-0')],
        lambda path: read_annotations(NLVRDataset(path, None, [], test_mode=True)),
    ),
    'nlvr2': (NLVR2_LINES, lambda path: read_samples(NLVR2Dataset(path, None, [], test_mode=True))),
    'nlvr2 download': (NLVR2_LINES, lambda path: prepare_nlvr2(Path(path))),
    'snli-ve': (
        [ENTAILMENT, dict(ENTAILMENT, gold_label='-')],
        lambda path: read_samples(SNLIVEDataset(path, None, [], test_mode=True)),
    ),
    'snli-ve download': ([ENTAILMENT, dict(ENTAILMENT, gold_label='-')], lambda path: prepare_snli_ve(Path(path))),
    'table': ([dict(image='a.png', question='what?')] * 2, lambda path: list(read_table(path))),
    'begun results': ([dict(image='\u00e9.jpg', question='q', answers=['a'])], lambda path: go_on_with_results(path)),
}


def use_truth(metric):
    """Evaluate no detections at all, by boxes and masks."""
    from soho.evaluation.detection.records import Detections

    none = (np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), [])
    metric.compute_metrics([Detections(image, (40, 60), *none) for image in metric.truth.numbers])


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


def read_upload(folder):
    """Read a picture of the web page."""
    read_picture(next(folder.iterdir()))


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


def pack_zip(members):
    """A zip of uncompressed members."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, 'w') as file:
        for name, contents in members.items():
            file.writestr(name, contents)
    return archive.getvalue()


def unpack_zip(archive):
    """The members of a zip."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


def tar_of(form, *names):
    """A tar of pictures, without its end."""
    shard = io.BytesIO()
    with tarfile.open(fileobj=shard, mode='w', format=form) as file:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 9
            file.addfile(info, io.BytesIO(b'x' * 9))
        size = file.offset
    return shard.getvalue()[:size]


def split_tar(shard):
    """The blocks of a tar."""
    return {f'{start:05d}': shard[start : start + 512] for start in range(0, len(shard), 512)}


def pack_tar(blocks):
    """A tar whose headers have the right checksums."""
    shard = bytearray(b''.join(block[:512].ljust(512, b'\0') for _, block in sorted(blocks.items())))
    for start in range(0, len(shard), 512):
        if shard[start + 257 : start + 262] == b'ustar':
            shard[start + 148 : start + 156] = b' ' * 8
            shard[start + 148 : start + 156] = b'%06o\0 ' % sum(shard[start : start + 512])
    return bytes(shard)


def picture(form):
    """A picture of 20 x 12 pixels that cannot be compressed away, with EXIF where its format has it."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    named = dict(exif=exif) if form in ('JPEG', 'PNG', 'WEBP', 'TIFF', 'AVIF') else {}
    Image.fromarray(pixels).save(buffer, form, **named)
    return buffer.getvalue()


def split_png(data):
    """Kind and contents of the chunks of a PNG."""
    return {f'{number}': data[start + 4 : end - 4] for number, (_, start, end) in enumerate(png_chunks(data))}


def pack_png(chunks):
    """A PNG whose chunks have the right lengths and checksums."""
    parts = [
        len(chunk[4:]).to_bytes(4, 'big') + chunk + zlib.crc32(chunk).to_bytes(4, 'big') for chunk in chunks.values()
    ]
    return PNG + b''.join(parts)


def weights():
    """A small checkpoint, as it is written."""
    buffer = io.BytesIO()
    meta = dict(iter=3, cfg=CONFIG.decode(), dataset_meta=dict(class_names=['a']), vocabulary=dict(wordpiece='[PAD]\n'))
    torch.save(dict(state_dict={'a.weight': torch.arange(6.0), 'b': torch.ones(2)}, meta=meta), buffer)
    return buffer.getvalue()


def read_description(path):
    """Read a checkpoint and what it says of itself."""
    read_spec(read_checkpoint(str(path)), 'the checkpoint')


def described(text):
    """A file of safetensors with this description."""
    return safetensors.torch.save({'a.weight': torch.arange(6.0)}, dict(inference=text))


def arrays():
    """A dump of a classifier."""
    buffer = io.BytesIO()
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.savez(buffer, question_id=np.arange(4), logits=values, confidence=values[:, 0])
    return buffer.getvalue()


def sentence_pieces():
    """A small SentencePiece model."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'v.model')
        train_vocabulary(['a cat sits on a mat', 'dogs and cats are here', 'the red square is left'] * 9, path, 60)
        return path.read_bytes()


def index_file():
    """The file of an index with a text and a number for each of two images."""
    with tempfile.TemporaryDirectory() as folder:
        builder, path = IndexBuilder(), Path(folder, 'a.index')
        for number in (1, 2):
            builder.image(dict(SCENE, image_id=number))
            builder.texts('caption').append('a caption')
            builder.numbers('caption_end').append(number)
        assert index_module.save(path, builder.finish(dict(kind='x')))
        return path.read_bytes()


def token_file():
    """Prepared tokens of a sentence and of the empty one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'a.tokens')
        values = dict(ids=np.arange(4, dtype=np.uint16), ends=np.array([2, 4]))
        assert index_module.save(path, index_module.Index(values, {}, dict(kind='x')))
        return path.read_bytes()


def read_index(folder):
    """Read an index that is damaged or not; a damaged one is none."""
    index = index_module.load(folder / 'a.index', dict(kind='x'))
    if index is not None:
        assert [index.texts('caption')[row] for row in range(2)] == ['a caption'] * 2
        assert index['caption_end'].tolist() == [1, 2]


def read_tokens(folder):
    """Read prepared tokens that are damaged or not; damaged ones are none."""
    index = index_module.load(folder / 'a.tokens', dict(kind='x'))
    if index is not None:
        tokens = PreparedTokens(index)
        assert [tokens[row].tolist() for row in (0, 1)] == [[0, 1], [2, 3]]


def read_token_file(folder):
    """Read Flickr's captions and the list of a split."""
    retrieval.read_tokens(folder / 'a.token', dict(train=folder / 'train.txt'), 'images', {})


def read_saved_config(folder):
    """Read a config as a checkpoint holds it."""
    text = (folder / 'a.txt').read_bytes().decode('utf-8', 'replace')
    read_spec(dict(meta=dict(cfg=text)), 'the checkpoint')


def description_target():
    """The JSON that describes the model of a file of safetensors, with values exchanged, left out or repeated."""
    return Target(
        'a.safetensors',
        described(json.dumps(DESCRIPTION)),
        lambda data: described(json.dumps(data.draw(damaged(DESCRIPTION)))),
        lambda folder: read_description(folder / 'a.safetensors'),
    )


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
    + [torch.ones(1).expand(10**11), torch.ones(3, device='meta')]
)


def state_target(state, read):
    """Values of a run's checkpoint exchanged, left out or repeated; tensors among them."""

    def encode(value):
        buffer = io.BytesIO()
        torch.save(value, buffer)
        return buffer.getvalue()

    return Target(
        'iter_3.pth',
        encode(state),
        lambda data: encode(data.draw(damaged(state, VALUES | TENSORS))),
        lambda folder: read(str(folder / 'iter_3.pth')),
    )


def config_target(values):
    """A config in Python with values exchanged, left out or repeated."""

    def encode(values):
        lines = (
            [f'{name} = {value!r}\n' for name, value in values.items()] if isinstance(values, dict) else [repr(values)]
        )
        return ''.join(lines).encode('utf-8', 'surrogatepass')

    return Target(
        'a.py',
        encode(values),
        lambda data: encode(data.draw(damaged(values))),
        lambda folder: load_config(str(folder / 'a.py')),
    )


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
PIECES = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *'abcdefgh', '##a', '##b', '\u00e9']
TOKENIZER = BertWordPieceTokenizer({piece: number for number, piece in enumerate(PIECES)}).to_str()
CONFIG = b"""_base_ = []
model = dict(type='SOHO', neck=dict(type='PlainNeck', in_channels=64, pool=1), heads=dict())
test_dataloader = dict(dataset=dict(type='VQADataset', pipeline=[dict(type='LoadImage')]))
load_from = None
"""
CONFIG_VALUES = dict(
    model=dict(type='SOHO', neck=dict(type='PlainNeck', in_channels=64, pool=1)),
    train_dataloader=dict(batch_size=2, num_workers=0, dataset=dict(type='PretrainDataset', ann_file='a', pipeline=[])),
    train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=1),
    custom_imports=dict(imports=['json']),
    load_from='a.pth',
)
DESCRIPTION = dict(model=dict(type='SOHO'), pipeline=[dict(type='LoadImage')], class_names=['a'], facts=dict(epoch=1))
METAFILE = b"""Models:
  - Name: a
    In Collection: SOHO
    Config: configs/VQA/a.py
    Weights: https://x/a.pth
    Metadata: {Note: a}
    Results:
      - {Task: VQA, Dataset: VQA v2, Metrics: {accuracy: 73.25}}
"""
CATEGORY_LINES = b'A dog.\n* negation\n* spatial\n\nA cat.\n'
FORMS = ('JPEG', 'PNG', 'WEBP', 'GIF', 'TIFF', 'BMP', 'AVIF', 'JPEG2000', 'PPM')

TARGETS = {
    **{name: json_target(*parts) for name, parts in FORMATS.items() if name not in JSON_NAMES},
    **{name: json_target(*FORMATS[name], file) for name, file in JSON_NAMES.items()},
    **{name: lines_target(*parts) for name, parts in LINES.items()},
    **{
        Path(name).name: bytes_target(name, VOC[name], read, VOC)
        for name, read in zip(VOC, (read_voc, read_voc07, read_voc))
    },
    **{
        f'{kind}, {form}': bytes_target('a', picture(form), read)
        for form in FORMS
        for kind, read in (('picture', read_pixels), ('size of a picture', read_size))
    },
    **{f'uploaded picture, {form}': bytes_target('a', picture(form), read_upload) for form in UPLOADED},
    'picture, chunks of a PNG': packed_target('a', split_png(picture('PNG')), pack_png, read_pixels),
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
    'json lines, bytes': bytes_target(
        'a.jsonl',
        ''.join(json.dumps(line) + '\n' for line in NLVR2_LINES).encode(),
        lambda folder: read_samples(NLVR2Dataset(str(folder / 'a.jsonl'), None, [], test_mode=True)),
    ),
    'zip': bytes_target('b.zip', zip_of(METHODS), lambda folder: read_members(folder / 'b.zip')),
    'zip of classes': bytes_target('b.zip', zip_of(METHODS), lambda folder: ImageFolders(str(folder / 'b.zip'), [])),
    'tar': bytes_target(
        'shards/000000.tar', tar_of(tarfile.GNU_FORMAT, 'x.jpg'), lambda folder: read_members(folder / 'shards')
    ),
    **{
        f'headers of a tar, {form}': packed_target(
            'shards/000000.tar',
            split_tar(tar_of(number, 'x.jpg', f'{"long/" * 40}\u00e9.jpg', 'y.jpg')),
            pack_tar,
            lambda folder: read_members(folder / 'shards'),
        )
        for form, number in (('gnu', tarfile.GNU_FORMAT), ('pax', tarfile.PAX_FORMAT))
    },
    'csv': bytes_target('a.csv', TABLE, lambda folder: list(read_table(folder / 'a.csv'))),
    'tsv': bytes_target('a.tsv', TABLE.replace(b',', b'\t'), lambda folder: list(read_table(folder / 'a.tsv'))),
    'vocabulary': bytes_target(
        'vocab.txt',
        '\n'.join(PIECES).encode(),
        lambda folder: BertTokenizer(vocab=str(folder / 'vocab.txt')).encode(['a b']),
    ),
    'tokenizer.json': json_target(
        json.loads(TOKENIZER), lambda path: BertTokenizer(vocab=path).encode(['a b']), 'tokenizer.json'
    ),
    'tokenizer.json, bytes': bytes_target(
        'tokenizer.json',
        TOKENIZER.encode(),
        lambda folder: BertTokenizer(vocab=str(folder / 'tokenizer.json')).encode(['a b']),
    ),
    'sentencepiece': bytes_target(
        'v.model',
        sentence_pieces(),
        lambda folder: SentencePieceTokenizer(str(folder / 'v.model')).encode(['a cat \u00e9']),
    ),
    'answer lines': bytes_target(
        'a.txt', 'yes\nno\n\u00e9t\u00e9\n'.encode(), lambda folder: read_answer_lines(folder / 'a.txt')
    ),
    'statement submission': bytes_target(
        'a.csv', b'dev-1-0-0,True\ndev-1-1-0,False\n', lambda folder: read_submission(folder / 'a.csv')
    ),
    'categories': bytes_target('a.txt', CATEGORY_LINES, lambda folder: read_categories(folder / 'a.txt')),
    'packed categories': bytes_target(
        'a.txt.gz', gzip.compress(CATEGORY_LINES, mtime=0), lambda folder: read_categories(folder / 'a.txt.gz')
    ),
    'begun results, bytes': bytes_target(
        'a.jsonl',
        (json.dumps(dict(image='\u00e9.jpg', question='q', answers=[1]), ensure_ascii=False) + '\n').encode(),
        lambda folder: go_on_with_results(folder / 'a.jsonl'),
    ),
    'logits': bytes_target('a.npz', arrays(), lambda folder: load_logits(folder / 'a.npz')),
    'arrays of logits': packed_target(
        'a.npz', unpack_zip(arrays()), pack_zip, lambda folder: load_logits(folder / 'a.npz')
    ),
    'tokens of captions': bytes_target(
        'a.token', 'a.jpg#0\ta dog\na.jpg#1\ta caf\u00e9\n'.encode(), read_token_file, {'train.txt': b'a.jpg\n'}
    ),
    'list of a split': bytes_target(
        'train.txt', b'a.jpg\n', read_token_file, {'a.token': b'a.jpg#0\ta dog\nb.jpg#0\ta cat\n'}
    ),
    'list of test images': bytes_target(
        'a.txt', b'a_0012.jpg 12\n13\n', lambda folder: pretrain.read_ids(folder / 'a.txt')
    ),
    'index': bytes_target('a.index', index_file(), read_index),
    'prepared tokens': bytes_target('a.tokens', token_file(), read_tokens),
    'metafile': bytes_target('metafile.yml', METAFILE, lambda folder: list(read_metafile(folder / 'metafile.yml'))),
    'config': bytes_target('a.py', CONFIG, lambda folder: read_config(str(folder / 'a.py'))),
    'values of a config': config_target(CONFIG_VALUES),
    'config.yaml': bytes_target(
        'a.yaml', b'a:\n  type: X\nb: [1, 2]\n', lambda folder: read_config(str(folder / 'a.yaml'))
    ),
    'checkpoint': bytes_target('a.pth', weights(), lambda folder: read_description(folder / 'a.pth')),
    'parts of a checkpoint': packed_target(
        'a.pth', unpack_zip(weights()), pack_zip, lambda folder: read_description(folder / 'a.pth')
    ),
    'config in a checkpoint': bytes_target('a.txt', CONFIG, read_saved_config),
    'safetensors': bytes_target(
        'a.safetensors', described(json.dumps(DESCRIPTION)), lambda folder: read_description(folder / 'a.safetensors')
    ),
    'description in safetensors': description_target(),
    'state of a run': state_target(saved_state(), go_on_from),
    'newest checkpoint': state_target(saved_state(), lambda path: newest_checkpoint([Path(path).parent])),
}
