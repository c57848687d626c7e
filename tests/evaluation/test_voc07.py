"""The VOC07 protocol, and top-k accuracy."""

import json

import numpy as np
import pytest
import torch

from soho.datasets.voc07 import read_voc07
from soho.errors import UserError
from soho.evaluation import ClassificationAccuracy
from soho.evaluation.voc07 import average_precision, classify, eleven_point_precision, mean_average_precision


def blobs(count, seed):
    """Features of two kinds, L2-normalised, and labels with some difficult ones."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([1, 0, 0, -1], count)
    features = rng.normal(size=(count, 6)) + 2.0 * (labels == 1)[:, None] * np.eye(6)[0]
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32), labels


def test_difficult_images_are_negatives_and_are_not_tested():
    (train, known), (test, truth) = blobs(120, 0), blobs(80, 1)
    result = classify((train, test), (known, truth))
    same = classify((train, test), (np.where(known == 1, 1, 0), truth))
    assert result.cost == same.cost and np.array_equal(result.scores, same.scores)
    assert result.cross_validation.shape == (4, 3)
    counted = truth >= 0
    assert result.average_precision == average_precision(result.scores[counted], truth[counted] == 1) > 0.8
    assert result.average_precision != average_precision(result.scores, truth == 1)


def test_the_first_of_equal_costs_wins():
    features, labels = blobs(60, 0)
    labels = np.where(labels == 1, 1, 0)
    features[:, 1] = 5.0 * labels  # any cost tells them apart
    assert classify((features, features), (labels, labels), costs=(1.0, 0.1)).cost == 1.0


def test_the_mean_is_over_classes():
    (train, a), (test, b) = blobs(90, 0), blobs(60, 1)
    labels = [np.stack([part, np.roll(part, 1)], 1) for part in (a, b)]
    mean, classes = mean_average_precision((train, test), labels, workers=2)
    assert len(classes) == 2 and mean == pytest.approx(np.mean([c.average_precision for c in classes]))
    assert classes[0].average_precision == classify((train, test), (a, b)).average_precision


def test_average_precision_by_hand():
    scores, positive = np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, False, True, False])
    assert average_precision(scores, positive) == pytest.approx((1 + 2 / 3) / 2)
    # Recalls 0 to 0.5 are reached with precision 1, those above with 2/3.
    assert eleven_point_precision(scores, positive) == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)


@pytest.fixture
def voc(tmp_path):
    folder = tmp_path / 'ImageSets' / 'Main'
    folder.mkdir(parents=True)
    (folder / 'bird_test.txt').write_text('000005 -1\n000007  1\n')
    (folder / 'aeroplane_test.txt').write_text('000005  0\n000007 -1\n')
    return tmp_path


def test_labels_of_the_download(voc):
    found = read_voc07(voc, 'test')
    assert found.class_names == ['aeroplane', 'bird'] and found.file_names == ['000005.jpg', '000007.jpg']
    assert found.labels.tolist() == [[-1, 0], [0, 1]]


@pytest.mark.parametrize(
    'content, error, message',
    [
        ('000005 2\n', ValueError, r"bird_test\.txt, line 1 is '000005 2'; it should be a name and -1, 0 or 1"),
        ('000005 1\n', ValueError, r'bird_test\.txt does not list the images of .*aeroplane_test\.txt'),
        (None, FileNotFoundError, r'has no file CLASS_val\.txt'),
    ],
)
def test_broken_labels(voc, content, error, message):
    if content:
        (voc / 'ImageSets' / 'Main' / 'bird_test.txt').write_text(content)
    with pytest.raises(error, match=message):
        read_voc07(voc, 'test' if content else 'val')


def test_top_k_over_batches():
    metric = ClassificationAccuracy((1, 2, 20))
    scores = torch.tensor([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]])

    def batch(*labels):  # one sentence a sample; the second row of a sample that has none counts nowhere
        rows = torch.tensor([[[label], [0]] for label in labels])
        return dict(answer_labels=rows, sentence_mask=torch.tensor([[True, False]] * len(labels)))

    metric.process(batch(2, 0), dict(logits=scores))
    metric.process(batch(2, -1), dict(logits=scores[[1, 0]]))  # the last label is not known
    assert metric.evaluate(3) == pytest.approx(dict(accuracy=100 / 3, top2=200 / 3, top20=100.0))
    assert metric.compute_metrics([]) == dict(accuracy=0.0, top2=0.0, top20=0.0)


def test_classes_of_sentences_are_written(tmp_path):
    metric = ClassificationAccuracy(out_file=str(tmp_path / 'answers.json'))
    metric.dataset_meta = dict(class_names=['no', 'yes'], question_ids=['b', 'a'])
    batch = dict(answer_labels=torch.tensor([[[1], [-1]]]), sentence_mask=torch.ones(1, 2, dtype=torch.bool))
    logits = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    metric.process(batch, dict(logits=logits, question_id=torch.tensor([0, 1])))
    assert metric.evaluate(1) == dict(accuracy=100.0)
    written = json.loads((tmp_path / 'answers.json').read_text())
    assert written == [dict(question_id='a', answer='no'), dict(question_id='b', answer='yes')]
    with pytest.raises(UserError, match='answers.json cannot be written: these data have no sentences'):
        metric.process(batch, dict(logits=logits))
