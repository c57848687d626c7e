"""Accuracy and consistency of NLVR and NLVR2, their submissions, and what is wrong with them."""

import gzip
import json

import pytest
import torch

from soho.errors import UserError
from soho.evaluation.statements import (
    Record,
    StatementAccuracy,
    check_submission,
    read_categories,
    read_submission,
    score_categories,
    score_statements,
)

NAMES = ['dev-1-0-0', 'dev-1-1-0', 'dev-1-0-1', 'dev-2-0-0']
GROUPS = ['dev-1-0', 'dev-1-0', 'dev-1-1', 'dev-2-0']


def evaluate(metric, predictions, labels):
    """Feed (example, logit of True) one a batch; the logit of False is 0."""
    metric.dataset_meta = dict(identifiers=NAMES, groups=GROUPS)
    for number, logit in predictions:
        batch = dict(answer_labels=torch.tensor([[[labels[number]]]]), sentence_mask=torch.tensor([[True]]))
        metric.process(batch, dict(question_id=torch.tensor([number]), logits=torch.tensor([[0.0, logit]])))
    return metric.evaluate(0)


def test_a_group_counts_if_all_of_it_is_right():
    scores = score_statements([True, False, True, True], GROUPS)
    assert scores == (0.75, 2 / 3)  # dev-1-1 and dev-2-0 of three groups
    with pytest.raises(ValueError, match='no prediction'):
        score_statements([], [])


def test_metric_and_submission(tmp_path):
    out = tmp_path / 'out.csv'
    metric = StatementAccuracy(out_file=str(out))
    metrics = evaluate(metric, [(3, 2.0), (0, 1.0), (2, -1.0), (1, -3.0)], [1, 1, 0, 1])
    assert metrics == dict(accuracy=75.0, consistency=pytest.approx(200 / 3))
    assert out.read_text() == 'dev-1-0-0,True\ndev-1-1-0,False\ndev-1-0-1,False\ndev-2-0-0,True\n'
    assert check_submission(out) == (4, 0)


def test_predictions_of_both_orders_are_averaged():
    orders = [(0, -1.0), (1, 1.0), (2, 1.0), (3, 1.0), (0, 3.0), (1, 1.0), (2, -2.0), (3, 1.0)]
    assert evaluate(StatementAccuracy(), orders, [1, 1, 0, 1])['accuracy'] == 100
    with pytest.raises(ValueError, match='different numbers of predictions'):
        evaluate(StatementAccuracy(), orders[:-1], [1, 1, 0, 1])


def test_subsets_and_categories(tmp_path):
    (tmp_path / 'balanced.json').write_text('\n'.join(json.dumps(dict(identifier=name)) for name in NAMES[:2]))
    sentences = ['A b.', 'A b.', 'No c.', 'A b.']
    (tmp_path / 'dev.json').write_text(
        '\n'.join(json.dumps(dict(identifier=name, sentence=text)) for name, text in zip(NAMES, sentences))
    )
    (tmp_path / 'categories.txt').write_text('A b.\n* negation\n* hard cardinality\n\nNo c.\n* negation\n\nUnseen.\n')
    metric = StatementAccuracy(
        subsets=dict(balanced=str(tmp_path / 'balanced.json')),
        categories=str(tmp_path / 'categories.txt'),
        annotation_file=str(tmp_path / 'dev.json'),
    )
    metrics = evaluate(metric, [(0, 1.0), (1, -1.0), (2, -1.0), (3, 1.0)], [1, 1, 0, 1])
    assert metrics['accuracy_balanced'] == 50
    assert metrics['category/negation'] == 75 and metrics['category/hard cardinality'] == pytest.approx(200 / 3)


def test_a_subset_is_scored_on_what_the_data_set_has_of_it(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('soho.evaluation.statements.print_log', lambda text, **_: said.append(text))
    path = tmp_path / 'balanced.json'
    path.write_text('\n'.join(json.dumps(dict(identifier=name)) for name in (*NAMES[:2], 'dev-9-0-0')))
    metric = StatementAccuracy(dict(balanced=str(path)))
    assert evaluate(metric, [(n, 1.0) for n in range(4)], [1, 0, 1, 1])['accuracy_balanced'] == 50
    assert said == ["The data set has 2 of the 3 examples of the subset 'balanced'."]


def test_examples_of_another_split_are_refused_before_the_evaluation(tmp_path):
    path = tmp_path / 'file'
    path.write_text('{"identifier": "test1-9-0-0", "sentence": "A b."}')
    for options in (dict(subsets=dict(x=str(path))), dict(annotation_file=str(path), categories=str(path))):
        metric = StatementAccuracy(**options)
        with pytest.raises(UserError, match='none of the 1 examples of .*, such as test1-9-0-0, is in the data set'):
            metric.dataset_meta = dict(identifiers=NAMES, groups=GROUPS)


def test_categories_are_counted_over_examples_with_their_number():
    categories = {'A b.': ['negation'], 'No c.': ['negation', 'comparison']}
    scores = score_categories([True, False, True], ['A b.', 'No c. ', 'Other.'], categories)
    assert scores == dict(comparison=(0.0, 1), negation=(0.5, 2))


def test_unknown_labels_and_missing_predictions():
    assert evaluate(StatementAccuracy(), [(n, 1.0) for n in range(4)], [1, -1, 1, 1]) == {}
    with pytest.raises(ValueError, match='1 examples, such as dev-1-1-0, have no prediction'):
        evaluate(StatementAccuracy(), [(0, 1.0), (2, 1.0), (3, 1.0)], [1] * 4)


@pytest.mark.parametrize(
    'text, message',
    [
        ('dev-1-0-0,True\ndev-1-0-0,False\n', 'line 2 of .* predicts dev-1-0-0 a second time'),
        ('dev-1-0-0,Yes\n', "line 1 of .* is 'dev-1-0-0,Yes'; it must be"),
        ('dev-1-0,True\n', "has the identifier 'dev-1-0'"),
        ('dev-1-0-0,True\ntest1-1-0-0,True\n', 'predicts dev, test1; a submission is of one split'),
        ('dev-1-0-0,True\n', 'lacks 3 predictions that are asked for, such as dev-1-0-1'),
        (''.join(f'{name},True\n' for name in [*NAMES, 'dev-3-0-0']), 'has 1 predictions that nobody asked for'),
        ('', 'predicts nothing'),
    ],
)
def test_a_wrong_submission_is_refused(tmp_path, text, message):
    (tmp_path / 'dev.json').write_text('\n'.join(json.dumps(dict(identifier=name)) for name in NAMES))
    (tmp_path / 'out.csv').write_text(text)
    with pytest.raises(ValueError, match=message):
        check_submission(tmp_path / 'out.csv', tmp_path / 'dev.json')


def test_a_category_without_a_sentence_is_refused(tmp_path):
    (tmp_path / 'categories.txt').write_text('* negation\n')
    with pytest.raises(ValueError, match='a category in line 1 before any sentence'):
        read_categories(tmp_path / 'categories.txt')


def test_what_is_no_text_or_no_csv_or_not_packed_is_said(tmp_path):
    path = tmp_path / 'out.csv'
    for contents, message in ((b'dev-1-0-0,\xff\n', 'is not UTF-8'), (b'x' * 200_000, 'is no csv at line 1: field')):
        path.write_bytes(contents)
        with pytest.raises(UserError, match=rf'out\.csv {message}'):
            read_submission(path)
    path.write_bytes(b'a\xff')
    with pytest.raises(UserError, match=r'out\.csv is not UTF-8'):
        read_categories(path)
    packed = tmp_path / 'categories.txt.gz'
    for contents in (b'no', gzip.compress(b'a dog')[:-9], gzip.compress(b'a dog') + b'x'):
        packed.write_bytes(contents)
        with pytest.raises(UserError, match=r'categories\.txt\.gz is no complete gzip file'):
            read_categories(packed)


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    (tmp_path / 'dev.json').write_text('\n'.join(json.dumps(dict(identifier=name)) for name in NAMES))
    (tmp_path / 'out.csv').write_text('\n'.join(f'{name},True' for name in NAMES), encoding='utf-8-sig')
    assert check_submission(tmp_path / 'out.csv', tmp_path / 'dev.json') == (len(NAMES), 0)
    (tmp_path / 'categories.txt').write_text('a dog\n* negation\n', encoding='utf-8-sig')
    with gzip.open(tmp_path / 'categories.txt.gz', 'wt', encoding='utf-8-sig') as file:
        file.write('a dog\n* negation\n')
    for name in ('categories.txt', 'categories.txt.gz'):
        assert read_categories(tmp_path / name) == {'a dog': ['negation']}


def test_statements_that_do_not_beat_the_more_frequent_label_are_warned_of(monkeypatch):
    said = []
    monkeypatch.setattr('soho.evaluation.baselines.print_log', lambda text, **options: said.append(text))
    metric = StatementAccuracy(majority_answer='True')
    metric.dataset_meta = dict(identifiers=list('abcd'), groups=list('abcd'))
    labels = [1, 1, 1, 0]
    for predicted, warned in (([1, 1, 1, 1], True), ([1, 1, 1, 0], False)):
        said.clear()
        records = [Record(i, (1.0 - value, float(value)), labels[i]) for i, value in enumerate(predicted)]
        metrics = metric.compute_metrics(records)
        assert metrics['accuracy_majority'] == 75 and metrics['accuracy'] == (75 if warned else 100)
        assert [("always giving 'True', 75.00 %" in text) for text in said] == [True] * warned
