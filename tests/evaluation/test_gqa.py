"""The metrics of GQA, counted by hand, and its server file."""

import json

import pytest
import torch

from soho.evaluation.gqa import Choices, GQAAccuracy, check_submission, parse_question, read_questions, score_gqa


def record(answer, *, structural='query', detailed='', group=None, entailed=(), balanced=True, steps=1):
    program = [dict(operation='select', argument='dog (1)')] * steps + [dict(operation='query', argument='name')]
    return dict(
        question='What is the dog?',
        imageId='n1',
        answer=answer,
        isBalanced=balanced,
        types=dict(structural=structural, semantic='obj', detailed=detailed),
        groups=dict(**{'global': group, 'local': None}),
        semantic=program,
        entailed=list(entailed),
    )


QUESTIONS = {
    # Right, entails 2 (wrong), 3 (right) and itself, which does not count.
    '01': record('red', group='color', entailed=['01', '2', '3']),
    '2': record('yes', structural='verify', steps=2, entailed=['01']),  # wrong
    '3': record('blue', group='color', balanced=False),
    '4': record('color', structural='compare', detailed='twoCommon', steps=2),  # right, valid though no choice
    '5': record('red', group='color'),  # wrong: blue
}
PREDICTIONS = {'01': 'red', '2': 'no', '3': 'blue', '4': 'color', '5': 'blue'}
CHOICES = {
    name: dict(valid=['red', 'blue', 'yes'], plausible=['red']) for name in QUESTIONS if QUESTIONS[name]['isBalanced']
}


def scores(predictions=PREDICTIONS, questions=QUESTIONS):
    choices = {name: Choices(**choice) for name, choice in CHOICES.items()}
    return score_gqa(predictions, {n: parse_question(r, n) for n, r in questions.items()}, choices)


def test_metrics():
    found = scores()
    assert found.accuracy == 50 and found.binary == 50 and found.open == 50
    assert found.validity == 75  # not 'no'
    assert found.plausibility == 50  # red, and color of a question about what is common
    assert found.consistency == 50  # of the right ones only 01 entails others: 2 wrong, 3 right
    # The balanced questions of the group color: red twice; predicted: red once. (1 - 2)² / 2 = 0.5.
    assert found.distribution == pytest.approx(0.5 / 100)
    assert found.per_structural_type == dict(compare=(100, 1), query=(50, 2), verify=(0, 1))
    assert found.per_semantic_type == dict(obj=(50, 4)) and found.per_length == {4: (50, 4)}
    assert found.per_steps == {1: (50, 2), 2: (50, 2)}  # naming the answer is no step


def test_consistency_needs_all_that_is_entailed():
    balanced = {name: question for name, question in QUESTIONS.items() if question['isBalanced']}
    assert scores(questions=balanced).consistency is None
    with pytest.raises(ValueError, match='1 balanced questions of GQA, such as 5, have no prediction'):
        scores({name: answer for name, answer in PREDICTIONS.items() if name != '5'})


def evaluate(metric, predictions, answers=('red', 'blue', 'yes', 'no', 'color')):
    metric.dataset_meta = dict(class_names=answers)
    ids, labels = zip(*((int(name), answers.index(answer)) for name, answer in predictions.items()))
    metric.process({}, dict(question_id=torch.tensor(ids), label=torch.tensor(labels)))
    return metric.evaluate(0)


@pytest.fixture
def files(tmp_path):
    (tmp_path / 'questions.json').write_text(json.dumps(QUESTIONS))
    (tmp_path / 'choices.json').write_text(json.dumps(CHOICES))
    return tmp_path


def test_the_metric_and_the_server_file(files):
    out = files / 'out.json'
    metric = GQAAccuracy(str(files / 'questions.json'), str(files / 'choices.json'), details=True, out_file=str(out))
    metrics = evaluate(metric, PREDICTIONS)
    assert metrics['accuracy'] == 50 and metrics['consistency'] == 50 and metrics['validity'] == 75
    assert metrics['structural/compare'] == 100 and metrics['words/4'] == 50
    # The ids of the batch are numbers; the server's keep their zeros.
    assert json.loads(out.read_text())[0] == dict(questionId='01', prediction='red')
    assert check_submission(out, files / 'questions.json') == (5, 0)


def test_questions_without_answers_give_a_server_file_alone(files):
    hidden = {name: dict(question='What?', imageId='n1', isBalanced=True) for name in ('001', '2')}
    (files / 'questions.json').write_text(json.dumps(hidden))
    metric = GQAAccuracy(str(files / 'questions.json'), out_file=str(files / 'out.json'))
    assert evaluate(metric, {'1': 'red', '2': 'no'}) == {}
    assert json.loads((files / 'out.json').read_text())[0] == dict(questionId='001', prediction='red')


def test_wrong_questions_and_predictions_are_refused(files):
    path = files / 'questions.json'
    with pytest.raises(ValueError, match='the question 9 of GQA is not in the file'):
        evaluate(GQAAccuracy(str(path)), PREDICTIONS | {'9': 'no'})
    path.write_text(json.dumps({'1': QUESTIONS['2'], '01': QUESTIONS['2']}))
    with pytest.raises(ValueError, match='differ in leading zeros only'):
        GQAAccuracy(str(path))
    path.write_text(json.dumps({'a1': QUESTIONS['2']}))
    with pytest.raises(ValueError, match="has the question id 'a1'; the ids of GQA are up to 18 digits"):
        GQAAccuracy(str(path))
    path.write_text(json.dumps({'1': dict(question='What?', imageId='n1', answer='red')}))
    with pytest.raises(ValueError, match="'1' in .* has an answer, but not 'semantic'"):
        read_questions(path)
    path.write_text('[]')
    with pytest.raises(ValueError, match='is a list where an object is expected'):
        read_questions(path)


@pytest.mark.parametrize(
    'items, message',
    [
        ([dict(questionId='01', prediction='red')] * 2, 'predicts the question 01 twice'),
        ([dict(questionId=1, prediction='red')], 'questionId is 1, where a text is expected'),
        ([dict(questionId='01', prediction='red')], 'lacks 4 questions of'),
        (
            [dict(questionId=name, prediction='red') for name in [*QUESTIONS, '77']],
            'predicts 1 questions that are not of',
        ),
        ([dict(questionId='01')], "has no key 'prediction'"),
    ],
)
def test_a_wrong_server_file_is_refused(files, items, message):
    (files / 'out.json').write_text(json.dumps(items))
    with pytest.raises(ValueError, match=message):
        check_submission(files / 'out.json', files / 'questions.json')
