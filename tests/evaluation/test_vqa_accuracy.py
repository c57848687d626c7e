"""The VQA metric gives the official evaluator's numbers and says what is wrong with a result."""

import gzip
import json
from pathlib import Path

import pytest
import torch

from soho.evaluation import VQAAccuracy
from soho.evaluation.vqa import GroundTruth, load_truth, question_accuracy, score_answers
from soho.evaluation.vqa_normalization import normalize_answer, strip_punctuation, unify_words
from soho.registry import METRICS

GOLDEN = Path(__file__).parent.parent / 'data' / 'vqa2'


def golden(name):
    with gzip.open(GOLDEN / name, 'rt', encoding='utf-8') as file:
        return json.load(file)


def mean(values):
    return sum(values) / len(values)


# --- the official numbers ---


def test_normalization_equals_official():
    rows = golden('normalization.json.gz')['rows']
    assert len(rows) == 400
    for raw, without_punctuation, normal in rows:
        assert strip_punctuation(raw) == without_punctuation
        assert unify_words(without_punctuation) == normal
        assert normalize_answer(raw) == normal


def test_at_most_32_periods_go():
    assert normalize_answer('.' * 40) == '.' * 8


def test_accuracy_equals_official():
    rows = golden('accuracy.json.gz')['composed']
    truth = {
        number: GroundTruth(tuple(row[2]), answer_type=row[1], question_type=row[0]) for number, row in enumerate(rows)
    }
    scores = score_answers({number: row[3] for number, row in enumerate(rows)}, truth)
    for number, row in enumerate(rows):
        assert round(scores.per_question[number], 4) == row[4]
    assert scores.overall == pytest.approx(mean([row[4] for row in rows]))
    for position, per_type in ((1, scores.per_answer_type), (0, scores.per_question_type)):
        assert set(per_type) == {row[position] for row in rows}
        for name, accuracy in per_type.items():
            assert accuracy == pytest.approx(mean([row[4] for row in rows if row[position] == name]))


def test_accuracy_of_real_annotations_equals_official(tmp_path):
    data = golden('accuracy.json.gz')
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(data['real_annotations']))
    truth = load_truth(path)
    assert len(data['real_sample']) == 17
    for row in data['real_sample']:
        accuracy = question_accuracy(row['prediction'], truth[row['question_id']].answers)
        assert round(100 * accuracy, 4) == row['accuracy']


@pytest.mark.parametrize('agreeing, accuracy', [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (9, 1.0)])
def test_leave_one_out(agreeing, accuracy):
    answers = ['red'] * agreeing + ['blue'] * (10 - agreeing)
    assert question_accuracy('Red.', answers) == pytest.approx(accuracy)


def test_unanimous_answers_are_not_normalized():
    assert question_accuracy('two', ['two'] * 10) == 1.0
    assert question_accuracy('2', ['two'] * 10) == 0.0


# --- the metric ---

LABEL2ANS = ['red', 'blue', 'yes', '2']


def batch(question_ids, answers=None, mask=None):
    """A batch of B images with S questions; ``answers`` are (B, S, K) labels, all of score 0.6."""
    question_ids = torch.tensor(question_ids)
    mask = torch.ones_like(question_ids, dtype=torch.bool) if mask is None else torch.tensor(mask)
    result = dict(question_id=question_ids, sentence_mask=mask)
    if answers is not None:
        labels = torch.tensor(answers)
        result.update(answer_labels=labels, answer_scores=torch.where(labels >= 0, 0.6, 0.0))
    return result


def prediction(question_ids, labels):
    return dict(question_id=torch.tensor(question_ids), label=torch.tensor(labels), confidence=torch.ones(len(labels)))


def evaluate(metric, question_ids, labels):
    metric.dataset_meta = dict(class_names=LABEL2ANS)
    metric.process(batch([[i] for i in question_ids]), prediction(question_ids, labels))
    return metric.evaluate(len(question_ids))


@pytest.fixture
def annotation_file(tmp_path):
    rows = [
        (30, ['red'] * 3 + ['blue'] * 7, 'other', 'what color'),
        (10, ['yes'] * 10, 'yes/no', 'is the'),
        (20, ['two'] * 5 + ['3'] * 5, 'number', 'how many'),
        (40, ['blue'] * 10, 'other', 'what color'),
    ]
    annotations = [
        dict(
            question_id=number,
            answer_type=answer_type,
            question_type=question_type,
            answers=[dict(answer=answer, answer_id=i) for i, answer in enumerate(answers)],
        )
        for number, answers, answer_type, question_type in rows
    ]
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(dict(info={}, annotations=annotations)))
    return str(path)


def test_figures_and_submission(annotation_file, tmp_path):
    out = tmp_path / 'answers.json'
    metric = METRICS.build(
        dict(type='VQAAccuracy', annotation_file=annotation_file, question_types=True, out_file=str(out))
    )
    metrics = evaluate(metric, [40, 10, 30, 20], [1, 2, 0, 3])
    assert metrics == pytest.approx(
        {
            'accuracy': 97.5,
            'accuracy_yes_no': 100,
            'accuracy_number': 100,
            'accuracy_other': 95,
            'question_type/what color': 95,
            'question_type/is the': 100,
            'question_type/how many': 100,
        }
    )
    assert json.loads(out.read_text()) == [
        {'question_id': 10, 'answer': 'yes'},
        {'question_id': 20, 'answer': '2'},
        {'question_id': 30, 'answer': 'red'},
        {'question_id': 40, 'answer': 'blue'},
    ]


@pytest.mark.parametrize(
    'question_ids, labels, message',
    [
        ([10], [0], r'annotations\.json has 3 questions \(the first is 20\) without a prediction\.'),
        ([10, 20, 30, 40, 50], [0] * 5, r'lacks 1 question \(the first is 50\)'),
        ([10, 20, 30, 40, 20], [0] * 5, r'More than one prediction was made for 1 question \(the first is 20\)'),
        (
            [10, 20, 30, 40],
            [0, 4, 0, 0],
            r'Label 4, predicted for question 20, is outside the answer list of 4 answers\.',
        ),
    ],
)
def test_wrong_results_are_refused(annotation_file, question_ids, labels, message):
    with pytest.raises(ValueError, match=message):
        evaluate(VQAAccuracy(annotation_file), question_ids, labels)


def test_plain_truth_of_easy_vqa(tmp_path):
    path = tmp_path / 'answers.json'
    path.write_text('{"0": "red", "1": "yes", "2": "blue"}')
    assert evaluate(VQAAccuracy(str(path)), [2, 0, 1], [1, 1, 2]) == pytest.approx({'accuracy': 200 / 3})


def test_soft_score_of_the_batch():
    metric = VQAAccuracy()
    # Two images with two rows each, one of which is padding; row (1, 0) has no answer in the list.
    answers = [[[0, 1], [2, -1]], [[-1, -1], [0, -1]]]
    metric.process(
        batch([[5, 6], [7, 0]], answers, mask=[[True, True], [True, False]]), prediction([5, 6, 7], [1, 0, 0])
    )
    assert metric.evaluate(3) == pytest.approx({'accuracy': 100 * (0.6 + 0 + 0) / 3})


def test_test_split_has_answers_but_no_figure(tmp_path):
    out = tmp_path / 'answers.json'
    assert evaluate(VQAAccuracy(out_file=str(out)), [3, 1], [0, 1]) == {}
    assert [row['answer'] for row in json.loads(out.read_text())] == ['blue', 'red']


def test_predictions_of_another_batch_are_refused():
    with pytest.raises(ValueError, match='the predictions are not of the questions of this batch'):
        VQAAccuracy().process(batch([[5], [6]], [[[0]], [[0]]]), prediction([6, 5], [0, 0]))


def test_answer_list_is_needed(annotation_file):
    metric = VQAAccuracy(annotation_file)
    metric.process(batch([[10]]), prediction([10], [0]))
    with pytest.raises(ValueError, match=r"metainfo\['class_names'\]"):
        metric.evaluate(1)


@pytest.mark.parametrize(
    'text, message',
    [
        ('{"annotations": [', r'truth\.json ends too early at line 1'),
        ('{"annotations": [{"question_id": 1}]}', r"Item 0 of 'annotations' in .* has no key 'answers'"),
        (
            '{"annotations": [{"question_id": 1, "answers": []}]}',
            r'\(question_id 1\): answers is \[\], where a list that is not empty is expected',
        ),
        (
            '{"annotations": [{"question_id": 1, "answers": ["red"]}]}',
            r"answers\[0\] is 'red', where an object is expected",
        ),
        ('{"questions": []}', r"truth\.json has neither a list 'annotations'"),
        ('["red"]', r"truth\.json has neither a list 'annotations'"),
    ],
)
def test_a_wrong_annotation_file_is_refused_when_built(tmp_path, text, message):
    path = tmp_path / 'truth.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        VQAAccuracy(str(path))


def test_a_missing_or_doubled_annotation(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'There is no file .*gone\.json'):
        VQAAccuracy(str(tmp_path / 'gone.json'))
    item = dict(question_id=1, answers=[dict(answer='red')])
    (tmp_path / 'truth.json').write_text(json.dumps(dict(annotations=[item, item])))
    with pytest.raises(ValueError, match=r'Question 1 of .*truth\.json is listed twice'):
        VQAAccuracy(str(tmp_path / 'truth.json'))
