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

from soho.apis.own_data import Request, prepare_table
from soho.apis.own_data.questions import baselines, group_questions, score
from soho.apis.own_data.rows import SPLITS, Row
from soho.datasets.storage.image_sizes import Size
from soho.datasets.storage.named_pictures import Picture
from soho.engine import Runner, load_config
from soho.errors import UserError
from soho.evaluation.captions.metric import Record as Caption
from soho.evaluation.vqa import VQAAccuracy
from soho.registry import DATASETS, METRICS

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
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(folder / 'cut.jpg')
    (folder / 'cut.jpg').write_bytes((folder / 'cut.jpg').read_bytes()[:-20])
    Image.fromarray(np.zeros((20, 64, 3), np.uint8)).save(folder / 'low.png')
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
        ('cut', 'Is it red?', 'no'),
        ('low', 'Is it red?', 'no'),
        ('p1', '', 'no'),
    ]
    out = tmp_path / 'own'
    tool.main([str(questions(tmp_path, extra)), '--images', str(pictures), '--out', str(out), '--val', '0.25'])
    said = capsys.readouterr().out
    assert '30 questions about 17 pictures' in said and 'columns: Image, Question, Answer\n' in said
    assert 'left out: 1 row with an empty value' in said
    assert 'left out: 4 rows of 4 pictures; the first is nowhere.png: there is no such picture' in said
    named = (out / 'left_out.txt').read_text().splitlines()
    assert len(named) == 4 and named[0] == 'nowhere.png: there is no such picture' and named[1].startswith('broken')
    assert 'truncated' in named[2] and named[3] == 'low: it has 64 x 20 pixels, and each side needs 32'
    assert 'first: soho prepare pretrained' in said and f'next: soho train {out}' in said
    assert 'pictures under several names: 1;' in said
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
        'work_dir': str(tmp_path / 'run'),
    }
    runner = Runner.from_cfg(load_config(str(out / 'config.py'), options))
    runner.train()
    logged = runner.message_hub.log_scalars
    assert 0 <= logged['val/accuracy'].current() <= 100
    said = capsys.readouterr().out
    assert f"most frequent answer ('no'): {logged['val/accuracy_majority'].current():.1f} %" in said


def test_answers_of_several_people_are_soft():
    votes = [Row('', ('a',), 'q', answer, None) for answer in ('red', 'red', 'blue')]
    picture = Picture(Size('a.png', 32, 32), 'd')
    question = group_questions(votes, {'a': picture}, ['train'] * 3)['train']['a.png'][0]
    assert {answer: score(question, answer) for answer in ('red', 'blue', 'green')} == dict(red=1, blue=0.5, green=0)
    assert baselines([question], [question])['most frequent answer'] == ('red', 100)


def test_splits_of_the_table_count_and_a_picture_is_in_one_of_them(tool, tmp_path, pictures, capsys):
    rows = [('file_name', 'question', 'answer', 'split')]
    rows += [
        (f'p{i}', 'is it red', 'yes' if i % 3 == 0 else 'no', ('train', 'validation', 'test')[i % 3]) for i in range(9)
    ]
    rows.append(('p1', 'is it blue', 'no', 'train'))
    tool.main([str(write_csv(tmp_path / 'qa.csv', rows)), '--images', str(pictures), '--out', str(tmp_path / 'own')])
    assert 'pictures in several splits of the table: 1;' in capsys.readouterr().out
    names = {
        split: {item['file_name'] for item in json.loads((tmp_path / 'own' / f'{split}.json').read_text())['data']}
        for split in ('train', 'val', 'test')
    }
    assert names == dict(
        train={'p0.png', 'p1.png', 'p3.png', 'p6.png'}, val={'p4.png', 'p7.png'}, test={'p2.png', 'p5.png', 'p8.png'}
    )


def test_a_table_of_train_and_test_has_val_cut_from_train(tool, tmp_path, pictures, capsys):
    rows = [('image', 'question', 'answer', 'split')]
    rows += [
        (f'p{i}', f'{what} is it red', ('no', 'yes')[i % 2], 'test' if i > 9 else 'train')
        for i in range(12)
        for what in 'ab'
    ]
    table = str(write_csv(tmp_path / 'qa.csv', rows))
    for options, number in ((), 2), (('--val', '0.5'), 5):
        out = tmp_path / f'own{number}'
        tool.main([table, '--images', str(pictures), '--out', str(out), *options])
        said = f'the table has no split val: {number} of its 10 training pictures become it (see --val)'
        assert said in capsys.readouterr().out
        items = {split: json.loads((out / f'{split}.json').read_text())['data'] for split in SPLITS}
        assert {split: len(found) for split, found in items.items()} == dict(train=10 - number, val=number, test=2)
        assert {item['file_name'] for item in items['test']} == {'p10.png', 'p11.png'}
        assert {len(item['vqa']) for found in items.values() for item in found} == {2}  # a picture with all its rows


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('qa.csv', 'question,answer\na,b\n', 'no column of pictures'),
        ('qa.csv', 'image,question\na,b\n', 'no column of answers'),
        ('qa.csv', 'image,color\na,b\n', 'neither a column question nor caption'),
        ('qa.csv', 'image,question,answer\nmissing,b,c\n', 'no picture of .* is in .*there is no such picture'),
        ('qa.csv', 'image,question,answer,split\np1,b,c,holdout\n', r"qa\.csv, line 2 is of the split 'holdout'"),
        (
            'qa.csv',
            'image,question,answer\np1,a,b\n',
            "nothing is left for the split 'val' of 1 picture; see --val and --test$",
        ),
        (
            'qa.csv',
            'image,question,answer,split\np1,a,b,train\np2,a,b,test\n',
            "nothing is left for the split 'val' of 1 picture of the split train; see --val, or name some in",
        ),
        (
            'qa.csv',
            'image,question,answer,split\np1,a,b,val\np2,a,b,test\n',
            "nothing is left for the split 'train' of 2 pictures of the table; name some in its column split",
        ),
        (
            'qa.jsonl',
            '{"image": "p1", "question": ["a"], "answer": "b"}\n',
            r'qa\.jsonl, line 1 has a list as question',
        ),
        ('qa.jsonl', '{"image": \n', r'qa\.jsonl is broken JSON at line 1'),
        ('qa.xlsx', 'x', "is no table: its name ends in '.xlsx', not in .csv, .tsv, .txt, .jsonl, .json"),
        ('qa.csv', '', 'is no table'),
        (
            'qa.csv',
            'Answer,answer,image,question\na,b,c,d\n',
            "has two columns 'answer', which differ in upper and lower case",
        ),
        ('qa.csv', 'left,right,label\na,b,yes\n', 'need the columns statement and label; it has left, right, label'),
        ('qa.csv', 'left,right,sentence,label\na,b,c,maybe\n', "line 2 has the label 'maybe'; a statement is true or"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_sentence(tool, tmp_path, pictures, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(SystemExit) as stopped:
        tool.main([str(tmp_path / name), '--images', str(pictures), '--out', str(tmp_path / 'own')])
    assert re.search(message, stopped.value.code), stopped.value.code
    assert len(stopped.value.code.splitlines()) == 1
    assert not (tmp_path / 'own' / 'config.py').exists()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--val', '0'], '--val 0 is no share of the pictures to measure on; it is between 0 and 1, such as 0.2'),
        (['--test', '1'], '--test 1 is no share of the pictures'),
        (['--val', '0.5', '--test', '0.5'], '--val 0.5 and --test 0.5 leave no pictures to train on'),
        (['--encoding', 'excel'], '--encoding excel is none; utf-8, utf-16 and cp1252 are'),
        (['--answer-column', 'reply'], "has no column 'reply'; it has Image, Question, Answer"),
    ],
)
def test_what_is_wrong_with_the_command_is_one_sentence(tool, tmp_path, pictures, options, message):
    with pytest.raises(SystemExit) as stopped:
        tool.main([str(questions(tmp_path)), '--images', str(pictures), '--out', str(tmp_path / 'own'), *options])
    assert message in stopped.value.code and len(stopped.value.code.splitlines()) == 1
    assert not (tmp_path / 'own').exists()


def test_a_table_of_another_encoding_is_named_or_refused(tool, tmp_path, pictures, capsys):
    rows = ''.join(f'p{i};Wie heißt die Farbe?;{("grün", "rot")[i % 2]};schön\n' for i in range(12))
    path, out = tmp_path / 'qa.csv', tmp_path / 'own'
    path.write_bytes(f'image;question;answer;notes\n{rows}'.encode('cp1252'))
    argv = [str(path), '--images', str(pictures), '--out', str(out)]
    with pytest.raises(SystemExit, match='not UTF-8 text; save it as UTF-8, .* or name what it is, such as --encoding'):
        tool.main(argv)
    tool.main([*argv, '--encoding', 'cp1252'])
    assert 'columns: image, question, answer; not read: notes' in capsys.readouterr().out
    assert 'grün' in json.loads((out / 'train.json').read_text())['label2ans']


def test_the_type_of_a_question_is_kept(tool, tmp_path, pictures):
    rows = [('image', 'question', 'answer', 'Category'), *((f'p{i}', 'red?', 'yn'[i % 2], 'color') for i in range(12))]
    out = tmp_path / 'own'
    tool.main([str(write_csv(tmp_path / 'qa.csv', rows)), '--images', str(pictures), '--out', str(out)])
    asked = [question for item in json.loads((out / 'val.json').read_text())['data'] for question in item['vqa']]
    assert {question['question_type'] for question in asked} == {'color'}


def test_captions_become_files_a_vocabulary_and_a_config(tool, tmp_path, pictures, capsys):
    rows = [('image', 'caption')]
    for i in range(12):
        color = list(COLORS)[i % 3]
        rows += [(f'p{i}', f'a picture that is {color} all over, number {i}'), (f'p{i}', f'nothing but {color} here')]
    out = tmp_path / 'own'
    table = write_csv(tmp_path / 'c.csv', [*rows, rows[-1]])
    tool.main([str(table), '--images', str(pictures), '--out', str(out)])
    said = capsys.readouterr().out
    assert 'left out: 1 repeated row' in said
    cfg = load_config(str(out / 'config.py'))
    assert f'{cfg.val_evaluator.constant_caption!r} for every picture: CIDEr' in said
    assert cfg.val_evaluator.constant_caption in [caption for _, caption in rows]
    dataset = cfg.train_dataloader.dataset
    assert dataset.pipeline[3].tokenizer.vocab == str(out / 'captions.model')
    sample = DATASETS.build(dataset)[0]
    assert sample['caption_tokens'].max() < cfg.model.language.vocab_size
    metric = METRICS.build(cfg.val_evaluator)
    always = dict.fromkeys(metric.references, cfg.val_evaluator.constant_caption)
    metrics = metric.compute_metrics([Caption(*item) for item in always.items()])
    assert metrics['cider'] == metrics['cider_constant']
    assert f'CIDEr {metrics["cider"]:.3f}' in said


def pairs(tmp_path, extra=()):
    """Six pairs of twelve pictures, each with a true and a false statement."""
    rows = [('Left', 'Right', 'Sentence', 'Label')]
    for i in range(0, 12, 2):
        colors = [list(COLORS)[(i + k) % 3] for k in range(2)]
        rows += [
            (f'p{i}', f'p{i + 1}', f'The left one is {colors[0]}.', 'True'),
            (f'p{i}', f'p{i + 1}', 'Both are red.', '0'),
        ]
    return write_csv(tmp_path / 'pairs.csv', [*rows, *extra])


def test_pairs_become_statements_and_a_config(tool, tmp_path, pictures, capsys):
    extra = [('p0', 'p1', 'It is day.', 'yes'), ('p0', 'p1', 'It is day.', 'no'), ('p0', 'nowhere', 'It is day.', 'no')]
    out = tmp_path / 'own'
    tool.main([str(pairs(tmp_path, extra)), '--images', str(pictures), '--out', str(out)])
    said = capsys.readouterr().out
    assert '15 pairs of 13 pictures' in said and 'left out: 1 row of 1 picture' in said
    assert 'left out: 1 statement with both labels for the same pair' in said
    assert "baseline on val, most frequent label ('False'): 50.0 %" in said
    lines = {
        split: [json.loads(line) for line in (out / f'statements_{split}.jsonl').read_text().splitlines()]
        for split in ('train', 'val')
    }
    seen = {split: {name for line in found for name in line['images']} for split, found in lines.items()}
    assert len(seen['train'] | seen['val']) == 12 and not seen['train'] & seen['val']
    assert sum(map(len, lines.values())) == 12
    cfg = load_config(str(out / 'config.py'))
    assert cfg.val_evaluator.majority_answer == 'False' and cfg.model.heads.nlvr2.num_images == 2
    dataset = DATASETS.build(dict(cfg.val_dataloader.dataset, pipeline=[]))
    assert dataset.num_images == 2 and dataset.images.sizes.tolist()[0] == [48, 64]
    # consistency is counted over a statement with all its pairs
    groups = {dataset.groups[number] for number in range(len(dataset.groups))}
    assert len(groups) == len({line['sentence'] for line in lines['val']})


def test_pictures_that_pairs_connect_cannot_be_divided(tool, tmp_path, pictures):
    chain = [(f'p{i}', f'p{i + 1}', 'It is day.', 'yes') for i in range(1, 11, 2)]
    argv = ['--images', str(pictures), '--out', str(tmp_path / 'own')]
    with pytest.raises(
        SystemExit, match='nothing is left for the split .*, or give the table a column split: pictures that'
    ):
        tool.main([str(pairs(tmp_path, chain)), *argv])


def test_a_model_that_does_not_beat_the_majority_is_warned_of(monkeypatch):
    said = []
    monkeypatch.setattr('soho.evaluation.baselines.print_log', lambda text, **options: said.append(text))
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


def test_a_table_is_prepared_in_python(tmp_path, pictures):
    report = prepare_table(Request(questions(tmp_path), pictures, tmp_path / 'own'))
    assert '24 questions about 12 pictures' in report[0]
    assert load_config(str(tmp_path / 'own' / 'config.py')).model.heads.vqa.num_classes == 5
    with pytest.raises(UserError, match='--val 1 is no share of the pictures'):
        prepare_table(Request(tmp_path / 'nowhere.csv', pictures, val=1.0))
