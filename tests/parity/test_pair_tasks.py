"""Recorded scores of NLVR2, NLVR and GQA, in files small enough to be counted by hand."""

import gzip
import json

import pytest

from tests.evaluation.test_gqa import CHOICES, PREDICTIONS, QUESTIONS
from tests.parity import check_file

pytestmark = pytest.mark.parity


def write_lines(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = '\n'.join(map(json.dumps, records)).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == '.gz' else text)


def check(folder, **content):
    (folder / 'file').write_text(json.dumps(dict(what='how it was made', **content)))
    fixture = check_file(str(folder / 'file'))
    return fixture.title, [row.name for row in fixture.rows if not row.passed], len(fixture.rows)


@pytest.fixture
def nlvr2(tmp_path):
    lines = [('dev-1-0-0', 'True', 'A b.'), ('dev-1-1-0', 'False', 'A b.'), ('dev-2-0-0', 'False', 'No c.')]
    records = [dict(identifier=name, label=label, sentence=text) for name, label, text in lines]
    write_lines(tmp_path / 'data/refs/nlvr2/dev.json.gz', *records)
    write_lines(tmp_path / 'data/refs/nlvr2/balanced_dev.json.gz', *records[:2])
    (tmp_path / 'nlvr2_annotated_dev_examples.txt.gz').write_bytes(gzip.compress(b'A b.\n* negation\n'))
    return tmp_path


def test_nlvr2(nlvr2):
    case = dict(split='dev', name='all true', predictions='TTF', accuracy=2 / 3, consistency=1 / 2)
    more = dict(balanced_dev_accuracy_percent=50.0, category_accuracy_percent=dict(negation=[50.0, 2]))
    assert check(nlvr2, cases=[dict(case, **more)]) == ('NLVR2 scores', [], 5)
    assert check(nlvr2, cases=[case, dict(case, **more)])[1:] == ([], 7)
    # Each wrong figure fails alone; so does one that nobody looks at, and a prediction too few.
    assert check(nlvr2, cases=[dict(case, accuracy=0.6)])[1] == ['0/dev/all true/accuracy']
    wrong = dict(more, category_accuracy_percent=dict(negation=[50.01, 2]))
    assert check(nlvr2, cases=[dict(case, **wrong)])[1] == ['0/dev/all true/negation']
    assert check(nlvr2, cases=[dict(case, precision=1)])[1] == ['0/dev/all true/precision']
    assert check(nlvr2, cases=[dict(case, predictions='TT')])[1] == ['0/dev/all true']


def test_without_the_examples_nothing_counts_as_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case = dict(split='test7', name='x', predictions='TTF', accuracy=1.0, consistency=1.0)
    assert check(tmp_path, cases=[case])[1] == ['0/test7/x/accuracy', '0/test7/x/consistency']


def test_the_folder_of_the_examples_can_be_named(nlvr2, tmp_path_factory, monkeypatch):
    elsewhere, official = tmp_path_factory.mktemp('elsewhere'), tmp_path_factory.mktemp('official')
    monkeypatch.chdir(elsewhere)
    for packed, name in (
        (nlvr2 / 'data/refs/nlvr2/dev.json.gz', 'dev.json'),
        (nlvr2 / 'data/refs/nlvr2/balanced_dev.json.gz', 'balanced_dev.json'),
        (nlvr2 / 'nlvr2_annotated_dev_examples.txt.gz', 'annotated_dev_examples.txt'),
    ):
        (official / name).write_bytes(gzip.decompress(packed.read_bytes()))  # as they are published
    case = dict(split='dev', name='all true', predictions='TTF', accuracy=2 / 3, consistency=1 / 2)
    case |= dict(balanced_dev_accuracy_percent=50.0, category_accuracy_percent=dict(negation=[50.0, 2]))
    (elsewhere / 'file').write_text(json.dumps(dict(cases=[case])))
    assert not any(row.passed for row in check_file(str(elsewhere / 'file')).rows)
    found = check_file(str(elsewhere / 'file'), annotations=[str(elsewhere), str(official)])
    assert len(found.rows) == 5 and all(row.passed for row in found.rows)


def test_nlvr(tmp_path):
    records = [dict(identifier='5-0', label='true'), dict(identifier='5-1', label='false')]
    write_lines(tmp_path / 'nlvr/dev.jsonl', *records, dict(identifier='6-0', label='true'))
    case = dict(split='dev', name='x', predictions=['TTTTTT', 'FFFFFT', 'TTTTTT'], accuracy=17 / 18, consistency=0.5)
    assert check(tmp_path, cases=[case]) == ('NLVR scores', [], 2)
    assert check(tmp_path, cases=[dict(case, consistency=1.0)])[1] == ['0/dev/x/consistency']


def test_gqa(tmp_path):
    figures = dict(
        accuracy=50.0,
        binary=50.0,
        open=50.0,
        validity=75.0,
        plausibility=50.0,
        consistency=50.0,
        distribution=0.005,
        accuracyPerStructuralType=dict(compare=[100.0, 1], query=[50.0, 2], verify=[0.0, 1]),
    )
    content = dict(
        questions=QUESTIONS,
        choices=CHOICES,
        predictions=[dict(questionId=name, prediction=answer) for name, answer in PREDICTIONS.items()],
    )
    cases = [
        dict(name='all', choices=True, consistency=True, official=figures),
        dict(name='few', choices=False, consistency=False, official=dict(validity=0, plausibility=0, consistency=0)),
    ]
    assert check(tmp_path, cases=cases, **content) == ('GQA scores', [], 14)
    cases[0]['official'] = dict(figures, consistency=49.0, novelty=1.0)
    assert check(tmp_path, cases=cases, **content)[1] == ['0/all/official/consistency', '0/all/official/novelty']
