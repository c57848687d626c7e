"""tools/prepare/table.py: own pictures and a table become annotation files and a config that trains."""

import csv
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from soho.engine import Runner, load_config
from soho.evaluation.vqa import VQAAccuracy
from soho.registry import DATASETS

ROOT = Path(__file__).resolve().parents[2]
COLORS = {'red': (220, 30, 30), 'green': (30, 200, 30), 'blue': (30, 30, 220)}


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('tool_table', ROOT / 'tools' / 'prepare' / 'table.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pictures(tmp_path):
    """Twelve pictures of one colour, six of which are larger; with a copy, a file that is none, and system litter."""
    folder = tmp_path / 'pictures'
    (folder / 'more').mkdir(parents=True)
    for i in range(12):
        color = list(COLORS.values())[i % 3]
        noise = np.random.default_rng(i).integers(-9, 9, (48, 64, 3))
        Image.fromarray((np.array(color) + noise).clip(0, 255).astype(np.uint8)).save(folder / f'p{i}.png')
    (folder / 'more' / 'copy.png').write_bytes((folder / 'p0.png').read_bytes())
    (folder / 'broken.jpg').write_bytes(b'not a picture')
    (folder / '._p1.png').write_bytes(b'litter')
    return folder


def write_csv(path, rows):
    with open(path, 'w', newline='', encoding='utf-8-sig') as file:
        csv.writer(file).writerows(rows)
    return path


def questions(tmp_path, extra=()):
    rows = [('Image', 'Question', 'Answer')]
    for i in range(12):
        rows += [
            (f'p{i}', 'What colour is it?', list(COLORS)[i % 3]),
            (f'p{i}.png', 'Is it red?', 'Yes' if i % 3 == 0 else 'No'),
        ]
    return write_csv(tmp_path / 'qa.csv', [*rows, *extra])


def test_questions_become_files_and_a_config(tool, tmp_path, pictures, capsys):
    extra = [
        ('more/copy', 'Is it red?', 'yes'),
        ('nowhere.png', 'Is it red?', 'no'),
        ('broken', 'Is it red?', 'no'),
        ('p1', '', 'no'),
    ]
    out = tmp_path / 'own'
    tool.main([str(questions(tmp_path, extra)), '--images', str(pictures), '--out', str(out), '--val', '0.25'])
    said = capsys.readouterr().out
    assert '28 questions about 27 pictures' in said and 'left out: 1 rows with an empty value' in said
    assert 'left out: 2 rows of 2 pictures; the first is nowhere.png: there is no such picture' in said
    named = (out / 'left_out.txt').read_text().splitlines()
    assert len(named) == 2 and named[0] == 'nowhere.png: there is no such picture' and named[1].startswith('broken')
    assert 'first: soho prepare pretrained' in said and f'next: soho train {out}' in said
    assert '1 pictures are copies of others' in said
    files = {split: json.loads((out / f'{split}.json').read_text()) for split in ('train', 'val')}
    seen = {split: {item['file_name'] for item in file['data']} for split, file in files.items()}
    assert len(seen['train'] | seen['val']) == 13 and not seen['train'] & seen['val']
    # The copy is where its original is.
    assert any({'p0.png', 'more/copy.png'} <= names for names in seen.values())
    assert all(item['width'] == 64 and item['height'] == 48 for item in files['train']['data'])
    answers = files['train']['label2ans']
    assert set(answers) == {'red', 'green', 'blue', 'yes', 'no'} and answers == files['val']['label2ans']
    for item in files['val']['data']:
        asked = {q['question']: [answers[label] for label in q['labels']] for q in item['vqa']}
        if item['file_name'] == 'p4.png':
            assert asked == {'What colour is it?': ['green'], 'Is it red?': ['no']}
    cfg = load_config(str(out / 'config.py'))
    assert cfg.model.heads.vqa.num_classes == 5
    assert cfg.val_evaluator.majority_answer == max(
        answers, key=lambda a: (answer_count(files['train'], answers.index(a)), a == 'no')
    )
    again = {path.name: path.read_bytes() for path in out.iterdir()}
    tool.main([str(tmp_path / 'qa.csv'), '--images', str(pictures), '--out', str(out), '--val', '0.25'])
    assert again == {path.name: path.read_bytes() for path in out.iterdir()}


def answer_count(file, label):
    return sum(label in q['labels'] for item in file['data'] for q in item['vqa'])


def test_the_config_trains_and_shows_the_majority(tool, tmp_path, pictures, capsys):
    out = tmp_path / 'own'
    argv = [str(questions(tmp_path)), '--images', str(pictures), '--out', str(out), '--recipe', 'VQA/small_scratch']
    tool.main(argv)
    options = {
        'train_cfg.max_epochs': 1,
        'train_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False,
        'val_dataloader.num_workers': 0,
        'val_dataloader.persistent_workers': False,
        'train_dataloader.batch_size': 4,
        'model.backbone.num_stages': 2,
        'model.backbone.out_indices': (1,),
        'model.neck.in_channels': 128,
        'work_dir': str(tmp_path / 'run'),
    }
    runner = Runner.from_cfg(load_config(str(out / 'config.py'), options))
    runner.train()
    logged = runner.message_hub.log_scalars
    assert 0 <= logged['val/accuracy'].current() <= 100
    said = capsys.readouterr().out
    assert f"most frequent answer ('no'): {logged['val/accuracy_majority'].current():.1f} %" in said


def test_answers_of_several_people_are_soft(tool):
    votes = [tool.Row('', 'a', 'q', answer, None) for answer in ('red', 'red', 'blue')]
    picture = tool.Picture(tool.Size('a.png', 32, 32), 'd')
    question = tool.group_questions(votes, {'a': picture}, {'d': 'train'})['train']['a.png'][0]
    assert {answer: tool.score(question, answer) for answer in ('red', 'blue', 'green')} == dict(
        red=1, blue=0.5, green=0
    )
    assert tool.baselines([question], [question])['most frequent answer'] == ('red', 100)


def test_splits_of_the_table_count_and_a_picture_is_in_one_of_them(tool, tmp_path, pictures, capsys):
    rows = [('file_name', 'question', 'answer', 'split')]
    rows += [
        (f'p{i}', 'is it red', 'yes' if i % 3 == 0 else 'no', ('train', 'validation', 'test')[i % 3]) for i in range(9)
    ]
    rows.append(('p1', 'is it blue', 'no', 'train'))
    tool.main([str(write_csv(tmp_path / 'qa.csv', rows)), '--images', str(pictures), '--out', str(tmp_path / 'own')])
    assert '1 pictures are in several splits' in capsys.readouterr().out
    names = {
        split: {item['file_name'] for item in json.loads((tmp_path / 'own' / f'{split}.json').read_text())['data']}
        for split in ('train', 'val', 'test')
    }
    assert names == dict(
        train={'p0.png', 'p1.png', 'p3.png', 'p6.png'}, val={'p4.png', 'p7.png'}, test={'p2.png', 'p5.png', 'p8.png'}
    )


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('qa.csv', 'question,answer\na,b\n', 'no column of pictures'),
        ('qa.csv', 'image,question\na,b\n', 'no column of answers'),
        ('qa.csv', 'image,color\na,b\n', 'neither a column question nor caption'),
        ('qa.csv', 'image,question,answer\nmissing,b,c\n', 'no picture of .* is in .*there is no such picture'),
        ('qa.csv', 'image,question,answer,split\np1,b,c,holdout\n', r"qa\.csv, line 2 is of the split 'holdout'"),
        ('qa.csv', 'image,question,answer\np1,a,b\n', "nothing for the split 'val'"),
        (
            'qa.jsonl',
            '{"image": "p1", "question": ["a"], "answer": "b"}\n',
            r'qa\.jsonl, line 1 has a list as question',
        ),
        ('qa.jsonl', '{"image": \n', r'qa\.jsonl is broken JSON at line 1'),
        ('qa.xlsx', 'x', "is no table: its name ends in '.xlsx', not in .csv, .tsv, .txt, .jsonl, .json"),
        ('qa.csv', '', 'is no table'),
    ],
)
def test_what_is_wrong_with_a_table_is_one_sentence(tool, tmp_path, pictures, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit) as stopped:
        tool.main([str(tmp_path / name), '--images', str(pictures), '--out', str(tmp_path / 'own')])
    assert re.search(message, stopped.value.code), stopped.value.code
    assert len(stopped.value.code.splitlines()) == 1
    assert not (tmp_path / 'own' / 'config.py').exists()


def test_captions_become_files_a_vocabulary_and_a_config(tool, tmp_path, pictures, capsys):
    rows = [('image', 'caption')]
    for i in range(12):
        color = list(COLORS)[i % 3]
        rows += [(f'p{i}', f'a picture that is {color} all over, number {i}'), (f'p{i}', f'nothing but {color} here')]
    out = tmp_path / 'own'
    tool.main([str(write_csv(tmp_path / 'c.csv', rows)), '--images', str(pictures), '--out', str(out)])
    assert 'CIDEr' in capsys.readouterr().out
    cfg = load_config(str(out / 'config.py'))
    dataset = cfg.train_dataloader.dataset
    assert dataset.pipeline[3].tokenizer.vocab == str(out / 'captions.model')
    sample = DATASETS.build(dataset)[0]
    assert sample['caption_tokens'].max() < cfg.model.language.vocab_size


def test_a_model_that_does_not_beat_the_majority_is_warned_of(monkeypatch):
    said = []
    monkeypatch.setattr('soho.evaluation.vqa.print_log', lambda text, **options: said.append(text))
    metric = VQAAccuracy(majority_answer='no')
    metric.dataset_meta = dict(class_names=['yes', 'no'])
    batch = dict(
        question_id=torch.arange(4)[:, None],
        sentence_mask=torch.ones(4, 1, dtype=torch.bool),
        answer_labels=torch.tensor([1, 1, 1, 0])[:, None, None],
        answer_scores=torch.ones(4, 1, 1),
    )
    for labels, accuracy, warned in (([1, 1, 1, 1], 75, True), ([0, 1, 1, 0], 75, True), ([1, 1, 1, 0], 100, False)):
        metric.results.clear()
        said.clear()
        metric.process(batch, dict(question_id=torch.arange(4), label=torch.tensor(labels)))
        metrics = metric.compute_metrics(metric.results)
        assert metrics == dict(accuracy=accuracy, accuracy_majority=75)
        assert [('does not beat' in text) for text in said] == [True] * warned
