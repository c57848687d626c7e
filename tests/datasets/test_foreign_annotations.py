"""Annotation files as other people write them: what is unambiguous is read, anything else is one sentence."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from soho.datasets import (
    VOC07,
    CaptioningDataset,
    CocoDetection,
    ConcatDataset,
    INaturalist,
    LabeledImages,
    LVISDetection,
    PretrainDataset,
    VOCDetection,
    VQADataset,
)
from soho.datasets.object_crops import Labels, object_numbers, read_photos
from soho.datasets.object_table import check_polygon, outline, run_lengths
from soho.datasets.records import CaptionedImage, RunLengths
from soho.datasets.storage.json_files import load_members
from soho.datasets.storage.json_records import stream_records
from soho.errors import UserError
from soho.evaluation import VQAAccuracy

BOX = [5, 5, 20, 10]
SCENE = dict(file_name='1.jpg', image_id=1, height=48, width=64)


def written(tmp_path, content, name='file.json'):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return str(path)


def captions(tmp_path, **changes):
    path = written(
        tmp_path, [dict(SCENE, captions=['a'], **changes) if 'captions' not in changes else dict(SCENE, **changes)]
    )
    return PretrainDataset(path, None, [], replace_prob=0)


def sentences(dataset, index=0):
    return dataset.get_annotation(index, np.random.default_rng(0))['sentences']


# --- texts and numbers ---


def test_escapes_that_are_no_character_become_the_replacement_character(tmp_path):
    for text, read in (
        (r'a dog \ud83d', 'a dog \ufffd'),
        (r'\uDC00 a', '\ufffd a'),
        (r'a\u0000b', 'a\ufffdb'),
        (r'\ud83d\ude00', '\U0001f600'),
        (r'a \\ud83d', r'a \ud83d'),  # an escaped backslash
        (r'\ud83d\ud83d\ude00', '\ufffd\U0001f600'),
    ):
        source = json.dumps([dict(SCENE, captions=['CAPTION'])]).replace('CAPTION', text)
        dataset = PretrainDataset(written(tmp_path, source.encode()), None, [], sentence_group=1, replace_prob=0)
        assert sentences(dataset) == [read]


@pytest.mark.parametrize('value', [60, 60.0, '60', '60.0'])
def test_a_size_may_be_written_as_decimal_or_text(value, tmp_path):
    assert captions(tmp_path, height=value).images.sizes.tolist() == [[60, 64]]


@pytest.mark.parametrize(
    'changes, sentence',
    [
        (dict(height=None), 'height is None, where a whole number is expected'),
        (dict(height=''), "height is '', where a whole number is expected"),
        (dict(height=1.5), 'height is 1.5, where a whole number'),
        (dict(width=-100), 'width is -100, where a whole number of at least 1'),
        (dict(width=1 << 31), 'width is 2147483648, where a whole number of at most 2147483647'),
        (dict(captions=5), 'captions is 5, where a list is expected'),
        (dict(captions=['a', ['b']]), r"captions\[1\] is \['b'\], where a text is expected"),
        (dict(image_id=None), 'image_id is None, where a whole number or a text'),
        (dict(image_id=1 << 64), 'image_id is 18446744073709551616, where a whole number of at most'),
        (
            dict(file_name='../../etc/passwd'),
            r"\.json: the file name '../../etc/passwd' does not stay below the folder",
        ),
        (dict(file_name='/dev/zero'), "the file name '/dev/zero' does not stay below the folder"),
        (dict(file_name='a/../../b.jpg'), 'does not stay below the folder'),
        (dict(captions=['x' * 1_000_000, 7]), r'captions\[1\] is 7'),
        (dict(height='x' * 1_000_000), r"height is 'x{20,40}\.\.\.x{20,40}', where"),
    ],
)
def test_a_wrong_value_is_one_short_sentence(changes, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence) as caught:
        captions(tmp_path, **changes)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('[' * 100_000, 'values are nested too deeply'),
        ('1' * 5000, 'a number has thousands of digits'),
        ('1, 5: 2', 'expected the name of a member in quotation marks'),
    ],
)
def test_limits_of_json_are_sentences(text, sentence, tmp_path):
    path = written(tmp_path, f'{{"a": {text}, "data": []}}'.encode())
    for read in (lambda: list(stream_records(path, CaptionedImage, 'data')), lambda: load_members(path, 'data')):
        with pytest.raises(UserError, match=rf'file\.json is broken JSON at line 1, character \d+: {sentence}'):
            read()


def test_single_members_are_read_without_the_rest(tmp_path):
    path = written(tmp_path, dict(data=[1, [2]], labels={'a': 1}, more=[{'labels': 2}]))
    assert load_members(path, 'labels') == dict(labels={'a': 1})
    with pytest.raises(UserError, match=r"has no key 'b'; it has 'data', 'labels', 'more'"):
        load_members(path, 'b')


# --- ids ---


def coco(images=((7, 'a.jpg'), (8, 'b.jpg')), **lists):
    listed = [dict(id=i, file_name=name, height=40, width=60) for i, name in images]
    return dict(dict(images=listed, categories=[dict(id=3, name='cat')]), **lists)


def test_ids_that_are_texts_are_numbered_and_mapped_back(tmp_path):
    ids = ['1000092795.jpg', 12, '12', -3]
    images = [(image, f'{number}.jpg') for number, image in enumerate(ids)]
    path = written(tmp_path, coco(images, annotations=[dict(image_id=image, caption=f'{image!r}') for image in ids]))
    dataset = CaptioningDataset(path, None, [], test_mode=True)
    numbers = [dataset.get_annotation(i, None)['image_id'] for i in range(4)]
    assert [dataset.metainfo['image_ids'][number] for number in numbers] == ids and len(set(numbers)) == 4
    assert CaptioningDataset(path, None, []).metainfo == {}  # checkpoints contain it
    assert [sentences(dataset, i) for i in range(4)] == [[repr(image)] for image in ids]


def test_ids_of_several_data_sets_that_could_become_one_are_refused(tmp_path):
    path = written(tmp_path, coco([('a', 'a.jpg')], annotations=[dict(image_id='a', caption='a')]))
    with pytest.raises(UserError, match='predictions for several data sets .* could not be told apart'):
        ConcatDataset([CaptioningDataset(path, None, [], test_mode=True)] * 2).metainfo  # noqa: B018


def test_question_ids_that_are_texts(tmp_path):
    questions = [dict(question='what?', question_id=number, labels=[0], scores=[1]) for number in ('q1', 5, '5')]
    content = dict(data=[dict(SCENE, vqa=questions)], label2ans=['yes'], ans2label=dict(yes=0))
    dataset = VQADataset(written(tmp_path, content), None, [], sentence_group=3, test_mode=True)
    assert dataset.get_annotation(0, None)['question_id'].tolist() == [0, 1, 2]
    assert dataset.metainfo['question_ids'] == ['q1', 5, '5']
    metric = VQAAccuracy(written(tmp_path, {'q1': 'yes'}, 'truth.json'))
    metric.dataset_meta = dataset.metainfo
    assert metric.original_id('question_ids', 2) == '5' and list(metric.truth) == ['q1']


def test_a_question_is_asked_once(tmp_path):
    question = dict(question='what?', question_id=5)
    content = dict(data=[dict(SCENE, vqa=[question, question])], label2ans=['yes'], ans2label=dict(yes=0))
    with pytest.raises(UserError, match='question 5 is listed twice'):
        VQADataset(written(tmp_path, content), None, [])


def test_a_question_has_a_label_once(tmp_path):
    question = dict(question='what?', question_id=5, labels=[0, 1, 0], scores=[1, 0.3, 0.6])
    content = dict(data=[dict(SCENE, vqa=[question])], label2ans=['yes', 'no'], ans2label=dict(yes=0, no=1))
    with pytest.raises(UserError, match='question 5 has the label 0 twice; an answer has one score'):
        VQADataset(written(tmp_path, content), None, [])


@pytest.mark.parametrize('score', [float('nan'), -1, 7, '', None])
def test_scores_lie_between_0_and_1(score, tmp_path):
    question = dict(question='what?', question_id=5, labels=[0], scores=[score])
    content = dict(data=[dict(SCENE, vqa=[question])], label2ans=['yes'], ans2label=dict(yes=0))
    with pytest.raises(UserError, match=r'vqa\[0\]\.scores\[0\] is .*, where a number'):
        VQADataset(written(tmp_path, content), None, [])


# --- answer lists ---


@pytest.mark.parametrize(
    'label2ans, ans2label, sentence',
    [
        ({'1': 'yes', '2': 'no'}, None, "has the label '2', but its labels should go from 0 to 1"),
        ({'0': 'yes', '2': 'no'}, None, "has the label '2'"),
        ({'0': 'yes', '00': 'no'}, None, "has the label '00'"),
        (['yes', 'no'], dict(yes=1, no=0), "label 0 is 'yes' in 'label2ans' and 'no' in 'ans2label'"),
        (['yes', 'no'], dict(yes=0), "'label2ans' has 2 answers and 'ans2label' 1"),
        (['yes', 'yes'], None, "holds the answer 'yes' twice"),
        (['yes', None], None, r'\[1\] is None, where'),
        (5, None, 'is 5, where a list is expected'),
        (['yes', 'no'], dict(yes=0, no=7), "Label 7 of 'no' in .* is outside of the answer list"),
    ],
)
def test_both_forms_of_an_answer_list_agree(label2ans, ans2label, sentence, tmp_path):
    content = dict(data=[], label2ans=label2ans, ans2label=dict(yes=0, no=1) if ans2label is None else ans2label)
    with pytest.raises(UserError, match=sentence):
        VQADataset(written(tmp_path, content), None, [])


def test_answers_may_be_numbers(tmp_path):
    question = dict(question='what?', question_id=5, labels=[0], scores=[1])
    content = dict(data=[dict(SCENE, vqa=[question])], label2ans=[2, 'no', 2.5], ans2label={'2': 0, 'no': 1, '2.5': 2})
    assert VQADataset(written(tmp_path, content), None, []).label2ans == ['2', 'no', '2.5']


def test_a_list_of_answers_may_begin_with_a_byte_order_mark(load_tool, tmp_path):
    path = tmp_path / 'answers.txt'
    path.write_bytes('\ufeffyes\r\nno\u2028maybe\r\n\r\n'.encode())
    assert load_tool('prepare/vqa').read_answer_list(path) == ['yes', 'no\u2028maybe']
    path.write_bytes('yes\nn\xf6\n'.encode('latin-1'))
    with pytest.raises(UserError, match=r'answers\.txt is not UTF-8 text \(.* at byte 5\)'):
        load_tool('prepare/vqa').read_answer_list(path)


# --- objects ---


def detection(tmp_path, *objects, kind=CocoDetection, **options):
    things = [
        dict(dict(id=1, image_id=7, category_id=3, bbox=BOX, segmentation=[[5, 5, 25, 5, 25, 15]]), **o)
        for o in objects
    ]
    return kind(written(tmp_path, coco(annotations=things)), None, [], **options)


@pytest.mark.parametrize(
    'thing, sentence',
    [
        (dict(bbox=[]), r'bbox is \[\], where a list of 4 items'),
        (dict(bbox=['a', 1, 2, 3]), r"bbox\[0\] is 'a', where a number"),
        (dict(bbox=[1, 2, -3, 4]), r'bbox\[2\] is -3, where a number of at least 0'),
        (dict(bbox=[float('nan'), 2, 3, 4]), r'bbox\[0\] is nan, where a number'),
        (dict(category_id=1.5), 'category_id is 1.5, where a whole number'),
        (dict(iscrowd=2), 'iscrowd is 2, where'),
        (
            dict(segmentation=dict(size=[60, 40], counts=[2400])),
            'run lengths of 40 x 60 pixels .* its image has 60 x 40',
        ),
        (dict(segmentation=dict(size=[1e9, 1e9], counts=[1, 1])), 'run lengths of 1000000000 x 1000000000'),
        (dict(segmentation=dict(size=[40, 60], counts=[-5, 2405])), 'a run of -5 pixels'),
        (dict(segmentation=dict(size=[40, 60], counts=[1 << 62] * 4 + [2400])), 'a run of 4611686018427387904 pixels'),
        (dict(segmentation=dict(size=[40, 60], counts=[5, 5])), 'runs of 10 pixels together in an image of 60 x 40'),
        (dict(segmentation=dict(size=[40, 60], counts='oooooooo0')), 'a number has more than 35 bits'),
        (dict(segmentation=dict(size=[40, 60], counts='\u20ac')), 'compressed form: its characters should lie'),
        (dict(segmentation=dict(size=[40, 60], counts='0o')), 'it ends inside a number'),
        (dict(segmentation=[[1e8, 2, 3, 4, 5, 6]]), r'a polygon whose points lie between 2 and 1e\+08'),
    ],
)
def test_a_broken_object_is_refused_or_left_out_and_counted(thing, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        detection(tmp_path, thing)
    data = detection(tmp_path, thing, {}, max_broken_objects=1)
    assert data.get_annotation(0, None)['boxes'].tolist() == [[5, 5, 25, 15]]
    assert data.broken_objects == 1
    with pytest.raises(
        UserError, match='2 objects of .* could not be used, more than max_broken_objects=1; the last: '
    ):
        detection(tmp_path, thing, {}, thing, max_broken_objects=1)


def test_run_lengths_are_decoded_as_by_pycocotools():
    rng = np.random.default_rng(0)
    for share in (0, 0.05, 0.5, 0.95, 1):
        for height, width in ((1, 1), (7, 31), (90, 60)):
            bitmap = np.asfortranarray(np.kron(rng.random((height, width)) < share, np.ones((3, 2))).astype(np.uint8))
            size, counts = coco_mask.encode(bitmap).values()
            lengths = run_lengths(RunLengths(tuple(size), counts.decode()), *size)
            assert (np.repeat(np.arange(len(lengths)) % 2, lengths).reshape(bitmap.shape[::-1]).T == bitmap).all()
            rings = outline(RunLengths(tuple(size), lengths.tolist()), *size)
            assert sum((ring[2] - ring[0]).prod() for ring in rings) == bitmap.sum()


@pytest.mark.parametrize('kind', ['images', 'categories'])
def test_what_is_listed_twice_is_refused(kind, tmp_path):
    content = coco(annotations=[])
    content[kind] *= 2
    with pytest.raises(UserError, match=r'file\.json lists the \w+ \d twice'):
        CocoDetection(written(tmp_path, content), None, [], test_mode=True)


def test_an_image_has_one_species(tmp_path):
    content = coco(annotations=[dict(image_id=7, category_id=3), dict(image_id=7, category_id=4)])
    content['categories'].append(dict(id=4, name='dog'))
    with pytest.raises(UserError, match='image 7 is of two categories'):
        INaturalist(written(tmp_path, content), None, [])


def test_a_url_ends_in_folder_and_name(tmp_path):
    image = dict(id=1, coco_url='a.jpg', height=40, width=60)
    content = dict(images=[image], categories=[dict(id=1, name='c')], annotations=[])
    with pytest.raises(UserError, match=r'the coco_url of image 1 is a\.jpg; it should end in folder and name'):
        LVISDetection(written(tmp_path, content), None, [], test_mode=True)


@pytest.mark.parametrize(
    'labels, sentence', [([0], 'has 1 labels, but there are 2'), ([0, 1.5], r'labels\[1\] is 1\.5')]
)
def test_an_image_has_a_label_of_each_attribute(labels, sentence, tmp_path):
    content = dict(data=[dict(SCENE, labels=labels)], labels=dict(a=['x'], b=['y', 'z']))
    with pytest.raises(UserError, match=sentence):
        LabeledImages(written(tmp_path, content), None, [])


def test_cut_outs_are_numbered_whatever_the_ids_are(tmp_path):
    assert object_numbers([5, 0, 7]) == [5, 0, 7]
    for ids in (['a', 'b'], [5, 5], [None, 3], [-1, 2]):
        assert list(object_numbers(ids)) == [1, 2]
    things = [dict(id=i, image_id=7, category_id=3, bbox=[0, 0, 30, 30]) for i in ('a', 'b')]
    path = written(tmp_path, coco(annotations=things))
    photos, labels = read_photos(path, Labels(path))
    assert [box[0] for box in photos[0].boxes] == [1, 2] and labels == {1: [0], 2: [0]}


# --- VOC ---


@pytest.fixture
def devkit(tmp_path):
    """Write a devkit of one image a name, and return the file of its split."""

    def make(*names, xml=None):
        for folder in ('ImageSets/Main', 'Annotations'):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        main = tmp_path / 'ImageSets/Main'
        (main / 'test.txt').write_bytes(('\ufeff' + '\r\n'.join(names)).encode())
        (main / 'cat_test.txt').write_bytes(('\ufeff' + ''.join(f'{name} 1\r\n' for name in names)).encode())
        (main / '._cat_test.txt').write_bytes(b'\0\5\xff')
        (main / '.hidden_test.txt').write_text('')
        box = '<xmin>1</xmin><ymin> 2.0 </ymin><xmax>60</xmax><ymax>20.5</ymax>'
        whole = (
            '<annotation><size><width>60.0</width><height>40</height></size>'
            f'<object><name>cat</name><bndbox>{box}</bndbox></object></annotation>'
        )
        for name in names:
            (tmp_path / f'Annotations/{name}.xml').write_bytes(whole.encode() if xml is None else xml)
        return str(main / 'test.txt')

    return make


def test_names_of_voc_need_not_be_numbers(devkit, tmp_path):
    for names, ids in (
        (['000001', '2008_000002'], [1, 2008000002]),
        (['a', '000001'], ['a', '000001']),
        (['1', '01'], ['1', '01']),
    ):
        data = VOCDetection(devkit(*names), None, [], test_mode=True)
        numbers = [data.get_annotation(i, None)['image_id'] for i in range(2)]
        assert [data.metainfo.get('image_ids', {n: n for n in numbers})[n] for n in numbers] == ids
        assert data.class_names == ['cat'] and data.images.sizes.tolist() == [[40, 60]] * 2


def test_byte_order_marks_and_litter_in_lists_of_voc(devkit, tmp_path):
    devkit('a')
    (tmp_path / 'JPEGImages').mkdir()
    data = VOC07('test', str(tmp_path), [])
    assert data.classes == ['cat'] and data.images.file_names[0] == 'a.jpg'


@pytest.mark.parametrize(
    'xml, sentence',
    [
        (
            b'<annotation><size><width>1.5</width><height>40</height></size></annotation>',
            "width is '1.5', where a whole",
        ),
        (b'<annotation><size><width>-3</width><height>40</height></size></annotation>', "width is '-3', where a whole"),
        (b'<?xml version="1.0" encoding="utf-7"?><annotation/>', 'states an encoding that cannot be read'),
        (b'<annotation>\xff</annotation>', r'a\.xml is broken XML'),
        (b'', r'a\.xml is broken XML'),
    ],
)
def test_xml_of_others(xml, sentence, devkit):
    with pytest.raises(UserError, match=sentence):
        VOCDetection(devkit('a', xml=xml), None, [])


def test_xml_in_the_encoding_that_it_states(devkit):
    size = '<size><width>60</width><height>40</height></size>'
    xml = f'<?xml version="1.0" encoding="ISO-8859-1"?><annotation><owner>J\xf6rg</owner>{size}</annotation>'
    assert len(VOCDetection(devkit('a', xml=xml.encode('latin-1')), None, [], test_mode=True)) == 1


def test_names_of_a_split_stay_in_their_folder(tmp_path, devkit):
    path = devkit('a')
    (tmp_path / 'ImageSets/Main/test.txt').write_text('../../../etc/passwd\n')
    with pytest.raises(UserError, match='does not stay below the folder'):
        VOCDetection(path, None, [])
    (tmp_path / 'flat.txt').write_text('')
    with pytest.raises((UserError, FileNotFoundError)):
        VOCDetection('/flat.txt', None, [])


def test_a_polygon_in_an_image_that_is_too_wide_to_draw_is_a_sentence():
    """pycocotools ended the interpreter."""
    with pytest.raises(
        UserError, match='a polygon in an image of 1000000000 x 40 pixels, of which no side may have more'
    ):
        check_polygon([5, 5, 25, 1e9, 25, 15], 40, 1_000_000_000)
    check_polygon([5, 5, 25, 90, 25, 15], 40, 65_535)
