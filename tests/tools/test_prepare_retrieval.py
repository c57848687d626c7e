"""Preparation of retrieval and visual entailment from miniatures of the public downloads."""

import json
import re

import cv2
import numpy as np
import pytest


def write_images(folder, **sizes):
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in sizes.items():
        cv2.imwrite(str(folder / f'{name}.jpg'), np.zeros((*size, 3), np.uint8))


def karpathy(*images, folder=None):
    """The contents of a Karpathy file; an image is (name, split, captions)."""
    records = []
    for number, (name, split, captions) in enumerate(images):
        record = dict(filename=f'{name}.jpg', split=split, imgid=number, sentences=[dict(raw=c) for c in captions])
        records.append(record | (dict(filepath=folder, cocoid=number) if folder else {}))
    return json.dumps(dict(dataset='x', images=records))


@pytest.fixture
def tool(load_tool):
    return load_tool('prepare/retrieval')


def test_coco_in_karpathys_split(tool, tmp_path, capsys):
    (tmp_path / 'dataset_coco.json').write_text(
        karpathy(
            ('a', 'restval', ['a dog ', 'a  cat']), ('b', 'test', ['a bus']), ('c', 'val', ['x']), folder='val2014'
        )
    )
    (tmp_path / 'annotations').mkdir()
    sizes = [dict(id=i, file_name=f'{name}.jpg', height=30 + i, width=40) for i, name in enumerate('abc')]
    (tmp_path / 'annotations' / 'captions_val2014.json').write_text(json.dumps(dict(images=sizes, annotations=[])))
    tool.main(['coco', '--root', str(tmp_path)])
    (record,) = json.loads((tmp_path / 'retrieval_restval.json').read_text())
    assert record == dict(file_name='a.jpg', image_id=0, height=30, width=40, captions=['a dog', 'a cat'])
    assert [len(json.loads((tmp_path / f'retrieval_{s}.json').read_text())) for s in ('val', 'test')] == [1, 1]
    assert not (tmp_path / 'retrieval_train.json').exists()
    said = capsys.readouterr().out
    assert "test: 1 images, 1 captions (in Karpathy's split 5000 and 25010)" in said and 'train: none; Karpathy' in said
    assert 'the images of val2014 are not there yet, and are published at https://cocodataset.org' in said
    tool.main(['coco', '--root', str(tmp_path)])
    assert 'is up to date, nothing to do' in capsys.readouterr().out


def test_cocos_images_are_looked_for_though_files_say_their_sizes(tool, tmp_path, capsys):
    (tmp_path / 'dataset_coco.json').write_text(karpathy(*((name, 'test', ['x']) for name in 'abc'), folder='val2014'))
    sizes = [dict(id=i, file_name=f'{name}.jpg', height=30 + i, width=40) for i, name in enumerate('abc')]
    (tmp_path / 'captions_val2014.json').write_text(json.dumps(dict(images=sizes, annotations=[])))
    write_images(tmp_path / 'val2014', a=(30, 40))
    sentence = r'2 images of test, such as b\.jpg, are not in .*val2014; they are published at https://cocodataset\.org'
    with pytest.raises(SystemExit, match=sentence):
        tool.main(['coco', '--root', str(tmp_path)])
    assert not (tmp_path / 'retrieval_test.json').exists()
    write_images(tmp_path / 'val2014', b=(31, 40), c=(32, 40))
    tool.main(['coco', '--root', str(tmp_path)])
    assert 'test: 3 images' in (said := capsys.readouterr().out) and 'not there yet' not in said
    (tmp_path / 'val2014' / 'c.jpg').unlink()
    with pytest.raises(SystemExit, match='1 images of test, such as c'):
        tool.main(['coco', '--root', str(tmp_path)])


def test_token_files_with_lists_and_a_bogus_name(tool, tmp_path, capsys):
    write_images(tmp_path / 'Flicker8k_Dataset', one=(30, 40), two=(50, 60))
    # U+2028 ends no line
    lines = ['one.jpg#1\tsecond \u2028one', 'one.jpg#0\tfirst', 'two.jpg#0\tother', 'three.jpg#0\tin no list']
    (tmp_path / 'Flickr8k.token.txt').write_text('\n'.join([*lines, '2258277193_586949ec62.jpg.1#0\tbogus']))
    for part, name in (('train', 'one'), ('dev', 'two'), ('test', 'two')):
        (tmp_path / f'Flickr_8k.{part}Images.txt').write_text(f'{name}.jpg\n')
    tool.main(['flickr8k', '--root', str(tmp_path)])
    (record,) = json.loads((tmp_path / 'retrieval_train.json').read_text())
    assert record == dict(file_name='one.jpg', image_id='one', height=30, width=40, captions=['first', 'second one'])
    said = capsys.readouterr().out
    assert '1 names are no image and were left out, such as 2258277193_586949ec62.jpg.1' in said


@pytest.mark.parametrize(
    'images, said',
    [
        ([('a', 'test', ['  '])], "image a.jpg has the caption '  '; a caption is a text that is not empty"),
        ([('a', 'testing', ['x'])], "image a.jpg is of the split 'testing'; a split is one of train"),
        ([('b', 'test', ['x'])], '1 images of test, such as b.jpg, are not in '),
        ([('a', 'test', [])], 'image a.jpg has no caption'),
    ],
)
def test_what_is_wrong_is_said(tool, tmp_path, images, said):
    write_images(tmp_path / 'flickr30k-images', a=(30, 40))
    (tmp_path / 'dataset_flickr30k.json').write_text(karpathy(*images))
    with pytest.raises(SystemExit, match=re.escape(said)):
        tool.main(['flickr30k', '--root', str(tmp_path)])


def test_what_is_missing_is_said(tool, tmp_path):
    with pytest.raises(SystemExit, match=r'dataset_coco\.json \(in caption_datasets\.zip of https://cs\.stanford'):
        tool.main(['coco', '--root', str(tmp_path)])
    (tmp_path / 'results_20130124.token').write_text('a.jpg\tno number')
    with pytest.raises(
        SystemExit, match=r'needs train\.txt, the images of its train split, .* published at https://git'
    ):
        tool.main(['flickr30k', '--root', str(tmp_path)])
    for name in ('train', 'val', 'test'):
        (tmp_path / f'{name}.txt').write_text('17\n')
    with pytest.raises(SystemExit, match=r'neither exists; they are published at https://shannon\.cs\.illinois\.edu'):
        tool.main(['flickr30k', '--root', str(tmp_path)])
    write_images(tmp_path / 'flickr30k-images')
    with pytest.raises(SystemExit, match=r'line 1 of .*token is .*; a line is NAME\.jpg#0, a tab and a caption'):
        tool.main(['flickr30k', '--root', str(tmp_path)])
    (tmp_path / 'results_20130124.token').write_text('a.jpg#0\ta dog')
    with pytest.raises(SystemExit, match=r'lists the image 17\.jpg, of which .* has no caption'):
        tool.main(['flickr30k', '--root', str(tmp_path)])


def test_snli_ve_is_checked_and_gets_sizes(load_tool, tmp_path, capsys):
    tool = load_tool('prepare/snli_ve')
    with pytest.raises(SystemExit, match='https://github.com/necla-ml/SNLI-VE gives'):
        tool.main(['--root', str(tmp_path)])
    lines = [
        dict(Flickr30K_ID=17, pairID='17.jpg#0r1e', gold_label='entailment', sentence1='THE PREMISE', sentence2='one'),
        dict(Flickr30K_ID=17, pairID='17.jpg#0r1n', gold_label='-', sentence1='THE PREMISE', sentence2='two'),
    ]
    (tmp_path / 'snli_ve_dev.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    with pytest.raises(SystemExit, match=r'neither exists; they are published at https://shannon\.cs\.illinois\.edu'):
        tool.main(['--root', str(tmp_path)])
    write_images(tmp_path / 'flickr30k-images', **{'18': (30, 40)})
    with pytest.raises(
        SystemExit, match=r'1 images of dev, such as 17\.jpg, are not in .*; they are published at http'
    ):
        tool.main(['--root', str(tmp_path)])
    write_images(tmp_path / 'flickr30k-images', **{'17': (30, 40)})
    tool.main(['--root', str(tmp_path)])
    (record,) = map(json.loads, (tmp_path / 'snli_ve' / 'snli_ve_dev.jsonl').read_text().splitlines())
    assert (record['height'], record['width'], record['sentence2']) == (30, 40, 'one') and 'sentence1' not in record
    said = capsys.readouterr().out
    assert 'dev: 1 statements (0 contradiction, 0 neutral, 1 entailment) of 1 images, 1 without a common label' in said
    assert 'published are 17858 of 1000' in said and 'train: missing, snli_ve_train.jsonl is published at' in said
    with pytest.raises(SystemExit, match='is where the downloads are'):
        tool.main(['--root', str(tmp_path), '--out', str(tmp_path)])
