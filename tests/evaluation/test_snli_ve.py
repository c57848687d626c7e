"""Accuracy of visual entailment beside what the hypotheses alone give away."""

import json

import pytest
import torch

from soho.datasets.records import ENTAILMENT_LABELS
from soho.evaluation.snli_ve import SNLIVEAccuracy, score_same_hypothesis

TRAINING = [('A dog.', 2), ('A dog.', 0), ('a  DOG.', 2), ('A cat.', 0), ('A bus.', 1), ('A car.', 0), ('?', None)]
TRAINING += [('Repeated.', 1)] * 5
# By the same hypothesis entailment (right, wrong); of an unknown one contradiction (right), as of most that occur once.
EVALUATED = [('a dog.', 2), ('A dog.', 1), ('A tree.', 0), ('Nobody agreed.', None)]


def write(path, statements):
    lines = (
        dict(Flickr30K_ID='1', sentence2=text, gold_label='-' if label is None else ENTAILMENT_LABELS[label])
        for text, label in statements
    )
    path.write_text('\n'.join(map(json.dumps, lines)))
    return str(path)


@pytest.fixture
def files(tmp_path):
    return dict(
        evaluated_file=write(tmp_path / 'dev.jsonl', EVALUATED), training_file=write(tmp_path / 'train.jsonl', TRAINING)
    )


def evaluate(metric, predicted):
    """Evaluate predicted classes of the statements with a label, all in one batch."""
    labels = torch.tensor([label for _, label in EVALUATED if label is not None])[:, None, None]
    logits = torch.nn.functional.one_hot(torch.tensor(predicted), 3).float()
    metric.process(
        dict(answer_labels=labels, sentence_mask=torch.ones(len(labels), 1, dtype=torch.bool)), dict(logits=logits)
    )
    return metric.evaluate(0)


def test_the_label_of_the_same_hypothesis_stands_beside_the_accuracy(files, caplog):
    accuracy, count = score_same_hypothesis(files['training_file'], files['evaluated_file'])
    assert accuracy == pytest.approx(200 / 3) and count == 3
    metrics = evaluate(SNLIVEAccuracy(**files, blind=70.0), [2, 1, 0])
    assert metrics == dict(accuracy=100, accuracy_hypothesis=pytest.approx(200 / 3), accuracy_blind=70)


def test_an_accuracy_that_the_hypotheses_give_away_is_a_warning(files, monkeypatch):
    said = []
    monkeypatch.setattr('soho.evaluation.baselines.print_log', lambda text, **_: said.append(text))
    metric = SNLIVEAccuracy(**files, blind=66.0)
    evaluate(metric, [2, 0, 0])
    (warning,) = said  # 66.67 beats 66, and not 66.67
    assert 'does not beat that of the most frequent label of the same hypothesis in training, 66.67 %' in warning
    evaluate(metric, [2, 0, 1])
    assert 'does not beat that of the same model trained without the image, 66.00 %' in said[-1]


def test_a_baseline_that_cannot_be_known_is_left_out_and_said(files, monkeypatch, tmp_path):
    said = []
    monkeypatch.setattr('soho.evaluation.snli_ve.print_log', lambda text, **_: said.append(text))
    assert evaluate(SNLIVEAccuracy(), [2, 1, 0]) == dict(accuracy=100) and not said
    absent = str(tmp_path / 'absent.jsonl')
    assert evaluate(SNLIVEAccuracy(**dict(files, training_file=absent)), [2, 1, 0]) == dict(accuracy=100)
    assert said == [f'No accuracy_hypothesis: there is no file {absent}.']
    write(tmp_path / 'dev.jsonl', EVALUATED[:1])
    assert evaluate(SNLIVEAccuracy(**files), [2, 1, 0]) == dict(accuracy=100)
    assert '3 statements were evaluated, and ' in said[-1] and said[-1].endswith('dev.jsonl has 1.')
    write(tmp_path / 'train.jsonl', [('?', None)])
    with pytest.raises(ValueError, match=r'train\.jsonl has no statement with a label'):
        score_same_hypothesis(files['training_file'], files['evaluated_file'])
    with pytest.raises(ValueError, match='blind=101 of SNLIVEAccuracy is no accuracy in percent'):
        SNLIVEAccuracy(blind=101)
