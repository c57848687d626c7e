"""tools/prepare/nlvr2.py and gqa.py: from hand-made downloads to what the data sets read."""

import json

import cv2
import numpy as np
import pytest

from soho.datasets.nlvr2 import NLVR2Dataset
from soho.datasets.vqa import VQADataset


def write_image(path, height, width):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))


def write_lines(path, *records):
    path.write_text('\n'.join(map(json.dumps, records)))


@pytest.fixture
def nlvr2(tmp_path):
    """Two examples in the official form; the images of train are in numbered folders."""
    example = dict(sentence='Both are black.', label='True', left_url='', writer='1')
    write_lines(
        tmp_path / 'train.json',
        dict(example, identifier='train-5-0-0', directory='31'),
        dict(example, identifier='train-5-1-0', directory='31'),
    )
    for name, height in (('0-img0', 40), ('0-img1', 50), ('1-img0', 60)):
        write_image(tmp_path / f'images/train/31/train-5-{name}.png', height, 70)
    return tmp_path


def test_nlvr2(nlvr2, load_tool, capsys):
    tool = load_tool('prepare/nlvr2')
    with pytest.raises(SystemExit, match='1 images of train, such as 31/train-5-1-img1.png, are not in .*images/train'):
        tool.main(['--root', str(nlvr2)])
    assert not (nlvr2 / 'nlvr2_train.jsonl').exists()
    tool.main(['--root', str(nlvr2), '--skip-missing'])
    printed = capsys.readouterr().out
    assert 'train: 2 examples (86373 published), 3 images; 1 examples left out, since 1 images are missing' in printed
    assert 'dev: missing, dev.json is published at https://github.com/lil-lab/nlvr' in printed
    (line,) = (nlvr2 / 'nlvr2_train.jsonl').read_text().splitlines()
    names = ['31/train-5-0-img0.png', '31/train-5-0-img1.png']
    assert json.loads(line) == dict(
        identifier='train-5-0-0', sentence='Both are black.', label='True', images=names, sizes=[[40, 70], [50, 70]]
    )
    pipeline = [dict(type='LoadImage'), dict(type='PackSample', keys=['question_id'])]
    dataset = NLVR2Dataset('nlvr2_train.jsonl', 'images/train', pipeline, data_root=str(nlvr2))
    assert [image.shape for image in dataset[0]['image']] == [(40, 70, 3), (50, 70, 3)]
    assert dataset.aspect_ratio.tolist() == [[1.75, 1.4]]
    tool.main(['--root', str(nlvr2), '--skip-missing'])
    assert 'nothing to do' in capsys.readouterr().out


def test_nlvr2_says_what_parts_are_scored_by(nlvr2, load_tool, capsys):
    (nlvr2 / 'annotations').mkdir()
    write_lines(nlvr2 / 'annotations' / 'balanced_dev.json', dict(identifier='dev-1-0-0'))
    load_tool('prepare/nlvr2').main(['--root', str(nlvr2), '--skip-missing'])
    printed = capsys.readouterr().out
    assert 'parts of dev and test1: balanced_dev.json\n' in printed
    source = 'published at https://github.com/lil-lab/nlvr/tree/master/nlvr2'
    assert f'unbalanced_dev.json: missing, {source}/data/unbalanced\n' in printed
    assert f'annotated_dev_examples.txt: missing, {source}/util\n' in printed
    assert (
        'balanced_dev.json is not the published file (SHA-256 ' in printed and 'published 03052b95d1fd...)' in printed
    )


def test_nlvr2_finds_images_that_lie_in_no_folder(nlvr2, load_tool):
    for name in ('0-img0', '0-img1', '1-img0'):
        (nlvr2 / f'images/train/31/train-5-{name}.png').rename(nlvr2 / f'images/train/train-5-{name}.png')
    write_image(nlvr2 / 'images/train/train-5-1-img1.png', 80, 70)
    load_tool('prepare/nlvr2').main(['--root', str(nlvr2)])
    lines = [json.loads(line) for line in (nlvr2 / 'nlvr2_train.jsonl').read_text().splitlines()]
    assert lines[1]['images'] == ['train-5-1-img0.png', 'train-5-1-img1.png'] and lines[1]['sizes'][1] == [80, 70]


def test_nlvr2_says_what_is_wrong(nlvr2, load_tool, tmp_path):
    tool = load_tool('prepare/nlvr2')
    write_lines(nlvr2 / 'train.json', dict(identifier='train-5', sentence='Black.', label='True'))
    with pytest.raises(SystemExit, match="has the identifier 'train-5'; it must be"):
        tool.main(['--root', str(nlvr2)])
    with pytest.raises(SystemExit, match='holds train.json, dev.json or test1.json; they are published at'):
        tool.main(['--root', str(tmp_path / 'images')])
    with pytest.raises(SystemExit, match='neither exists; they are published at https://lil.nlp.cornell.edu/nlvr'):
        tool.main(['--root', str(nlvr2), '--images', str(tmp_path / 'none')])


def question(image, text, **answer):
    return dict(imageId=image, question=text, isBalanced=True, **answer)


@pytest.fixture
def gqa(tmp_path):
    train = {
        '00012': question('n1', 'What color?', answer='red'),
        '00013': question('n2', 'Is it red?', answer='yes'),
        '00014': question('n1', 'Which?', answer='red'),
    }
    testdev = {'201': question('n2', 'What?', answer='blue'), '202': question('n2', 'What color?', answer='red')}
    (tmp_path / 'train_balanced_questions.json').write_text(json.dumps(train))
    (tmp_path / 'testdev_balanced_questions.json').write_text(json.dumps(testdev))
    every = {**testdev, '0203': question('n2', 'Is it blue?', answer='yes')}
    (tmp_path / 'testdev_all_questions.json').write_text(json.dumps(every))
    (tmp_path / 'submission_all_questions.json').write_text(json.dumps({'301': question('n1', 'Where?')}))
    for name, height in (('n1', 40), ('n2', 50)):
        write_image(tmp_path / f'images/{name}.jpg', height, 60)
    return tmp_path


def test_gqa(gqa, load_tool, capsys):
    tool = load_tool('prepare/gqa')
    tool.main(['--root', str(gqa)])
    printed = capsys.readouterr().out
    assert '2 answers (1842 of the published files)' in printed
    assert 'train: 2 images, 3 questions (943000 published)' in printed
    assert 'val: missing, val_balanced_questions.json is published at' in printed
    assert 'testdev: 1 images, 2 questions (12578 published), 1 with an answer outside the list' in printed
    assert "; without the image: 50.00 % by 'red', 50.00 % by the most frequent answer to the same question" in printed
    assert 'testdev_all: 1 images, 3 questions (172174 published)' in printed
    assert 'val_all: missing, val_all_questions.json is published at' in printed
    asked = json.loads((gqa / 'testdev_all_data_gqa.json').read_text())['data'][0]['vqa']
    assert [item['question_id'] for item in asked] == [201, 202, 203]
    train = json.loads((gqa / 'train_data_gqa.json').read_text())
    assert train['label2ans'] == ['red', 'yes'] and train['ans2label'] == dict(red=0, yes=1)
    assert train['data'][0] == dict(
        file_name='n1.jpg',
        image_id='n1',
        height=40,
        width=60,
        vqa=[
            dict(question='What color?', question_id=12, labels=[0], scores=[1.0]),
            dict(question='Which?', question_id=14, labels=[0], scores=[1.0]),
        ],
    )
    assert json.loads((gqa / 'testdev_data_gqa.json').read_text())['data'][0]['vqa'][0]['labels'] == []
    pipeline = [dict(type='LoadImage'), dict(type='PackSample', keys=['question_id', 'answer_labels'])]
    dataset = VQADataset('submission_data_gqa.json', 'images', pipeline, data_root=str(gqa), test_mode=True)
    assert dataset[0]['question_id'].tolist() == [301] and dataset.metainfo['class_names'] == ['red', 'yes']
    tool.main(['--root', str(gqa)])
    assert 'nothing to do' in capsys.readouterr().out


@pytest.mark.parametrize(
    'questions, message',
    [
        ({'a1': question('n1', 'Red?')}, "the id 'a1' of a question of .* is no number"),
        ({'1': question('n1', 'Red?'), '01': question('n1', 'Blue?')}, "the id '01' .* is the same number as another"),
        ({'1': question('n1', ' ')}, "'1' in .* has an empty question"),
        ({'1': dict(question='Red?')}, "'1' in .* has no key 'imageId'"),
        ({'1': question('n9', 'Red?')}, '1 images of train, such as n9.jpg, are not in .*; they are published at'),
    ],
)
def test_gqa_says_what_is_wrong(gqa, load_tool, questions, message):
    (gqa / 'train_balanced_questions.json').write_text(json.dumps(questions))
    with pytest.raises(SystemExit, match=message):
        load_tool('prepare/gqa').main(['--root', str(gqa)])
