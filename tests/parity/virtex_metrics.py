"""Caption metrics, top-k accuracy and the VOC07 protocol."""

import json
import os
import re
from collections import defaultdict

import numpy as np
import torch

from soho.evaluation.captions import cider_d, score_captions, tokenize
from soho.evaluation.classification import ClassificationAccuracy
from soho.evaluation.voc07 import COSTS, FOLDS, average_precision, mean_average_precision, train_svm
from tests.parity.fixture import Fixture, find_near
from tests.parity.virtex_text import VAL2017, read_gzip

SCORE = 1e-9  # relative
PERCENT = 1e-4  # of float32
PLANE = 1e-3  # relative to the largest weight; the solver stops at 1e-4
PRECISION = 1e-9


def check_metrics(fixture: Fixture) -> None:
    """``metrics.json``."""
    _check_captions(fixture)
    _check_coco(fixture)
    _check_top_k(fixture)
    _check_voc07(fixture)


def _by_image(fixture: Fixture, prefix: str) -> dict[str, list[str]]:
    return {name.removeprefix(prefix): fixture.values[name] for name in fixture.names(prefix)}


def _check_captions(fixture: Fixture) -> None:
    texts = [text for text, _ in fixture.values['tokenize_examples']]
    fixture.check('tokenize_examples', [[text, tokenize([text])[0]] for text in texts])
    truth = _by_image(fixture, 'ground_truth/')
    flat = iter(tokenize([text for texts in truth.values() for text in texts]))
    references = {image: [next(flat) for _ in texts] for image, texts in truth.items()}
    for image, texts in truth.items():
        fixture.check('ground_truth/' + image, texts)  # an input
        fixture.check('ground_truth_tokenized/' + image, references[image])
    images, captions = map(str, fixture['predictions/image_id']), tokenize(fixture['predictions/caption'])
    predictions = dict(zip(images, captions))
    for image, caption in predictions.items():
        fixture.check('predictions_tokenized/' + image, [caption])

    # As the official evaluation: nothing predicted is an empty caption, unknown images are dropped.
    hypotheses = [predictions.get(image, '') for image in references]
    score = cider_d(hypotheses, list(references.values()))
    fixture.check('CIDEr_times_100', 100 * score.overall, 0, SCORE)
    fixture.check('CIDEr_from_tokenized', score.overall, 0, SCORE)
    for image, value in zip(references, score.per_image):
        fixture.check('CIDEr_per_image/' + image, value, SCORE)
    for name in fixture.names('CIDEr_n4_sigma'):
        sigma = float(re.search(r'sigma(.+)', name)[1])
        fixture.check(name, cider_d(hypotheses, list(references.values()), sigma).overall, 0, SCORE)
    fixture.remark('CIDEr_rules', 'not_available')


def _check_coco(fixture: Fixture) -> None:
    """The two public sets of captions, where they lie near."""
    name = 'official_evaluator_on_coco/'
    path = find_near(fixture.path, VAL2017)
    values = [n for n in fixture.names(name) if n.endswith('CIDEr_times_100')]
    fixture.remark(*(n for n in fixture.names(name) if n not in values))
    if path is None:
        fixture.fail(values, f'needs {VAL2017} in a folder above it, or in data there')
        return
    folder = os.path.dirname(path)
    with open(os.path.join(folder, 'captions_val2014_fakecap_results.json'), encoding='utf-8') as file:
        captions = {item['image_id']: item['caption'] for item in json.load(file)}
    with open(os.path.join(folder, 'captions_val2014_1000.json'), encoding='utf-8') as file:
        references = _references(json.load(file)['annotations'])
    ours = score_captions(captions, references)['cider'].overall
    fixture.check(name + 'coco_example_1000_images/CIDEr_times_100', 100 * ours, 0, SCORE)
    people = _references(sorted(read_gzip(path)['annotations'], key=lambda item: item['id']))
    ours = score_captions(
        {image: texts[0] for image, texts in people.items()}, {image: texts[1:] for image, texts in people.items()}
    )['cider'].overall
    fixture.check(name + 'coco_val2017_human_leave_one_out/CIDEr_times_100', 100 * ours, 0, SCORE)


def _references(annotations: list[dict]) -> dict[int, list[str]]:
    references = defaultdict(list)
    for item in annotations:
        references[item['image_id']].append(item['caption'])
    return references


def _check_top_k(fixture: Fixture) -> None:
    name = 'topk/'
    batches = [torch.tensor(batch) for batch in fixture[name + 'logits']]
    labels = [torch.tensor(batch) for batch in fixture[name + 'labels']]
    top_k = [int(n.rpartition('/')[2]) for n in fixture.names(name + 'running_accuracy_percent/')]
    metric = ClassificationAccuracy(top_k)
    running = []
    for scores, truth in zip(batches, labels):
        _process(metric, scores, truth)
        running.append(metric.compute_metrics(metric.results))
    for k in top_k:
        found = [metrics['accuracy' if k == 1 else f'top{k}'] for metrics in running]
        fixture.check(f'{name}running_accuracy_percent/{k}', found, PERCENT)
    batch, row = fixture[name + 'unbatched_example/row']
    metric = ClassificationAccuracy([1])
    fixture.check(name + 'empty', metric.compute_metrics([])['accuracy'])
    _process(metric, batches[batch][row : row + 1], labels[batch][row : row + 1])
    fixture.check(name + 'unbatched_example/value', metric.compute_metrics(metric.results)['accuracy'])


def _process(metric: ClassificationAccuracy, scores: torch.Tensor, labels: torch.Tensor) -> None:
    batch = dict(answer_labels=labels[:, None, None], sentence_mask=torch.ones(len(labels), 1, dtype=torch.bool))
    metric.process(batch, dict(logits=scores))


def _arrays(fixture: Fixture) -> tuple[list[np.ndarray], list[np.ndarray]]:
    splits = ('train', 'test')
    return (
        [fixture['voc_features_' + split] for split in splits],
        [fixture['voc_labels_' + split] for split in splits],
    )


def _check_voc07(fixture: Fixture) -> None:
    from sklearn.model_selection import StratifiedKFold

    features, labels = _arrays(fixture.sibling('voc_features_train'))
    name = 'voc07_svm/'
    fixture.check(name + 'costs', COSTS)
    mean, classes = mean_average_precision(features, labels)
    fixture.check(name + 'mAP', mean, PRECISION)
    place = name + 'per_class/'
    fixture.check(place + 'positives', (labels[0] == 1).sum(0))
    fixture.check(place + 'ignored_in_train_counted_as_negative', (labels[0] == -1).sum(0))
    fixture.check(place + 'ignored_in_test', (labels[1] == -1).sum(0))
    fixture.check(place + 'chosen_cost', [result.cost for result in classes])
    fixture.check(place + 'test_ap', [result.average_precision for result in classes], PRECISION)
    fixture.check(place + 'decision_first8', [result.scores[:8] for result in classes], 0, PLANE)
    for c, (by_cost, result) in enumerate(zip(fixture[place + 'by_cost'], classes)):
        for recorded, precisions in zip(by_cost, result.cross_validation):
            svm = train_svm(features[0], labels[0][:, c] == 1, recorded['cost'])
            here = f'{place}{c}/cost {recorded["cost"]} '
            fixture.check(here + 'cv_ap', precisions, PRECISION, recorded=recorded['cv_ap'])
            fixture.check(here + 'mean', precisions.mean(), PRECISION, recorded=recorded['mean'])
            fixture.check(here + 'coef_first8', svm.coef_[0, :8], 0, PLANE, recorded=recorded['coef_first8'])
            fixture.check(here + 'intercept', svm.intercept_[0], PLANE, recorded=recorded['intercept'])
    folds = StratifiedKFold(FOLDS).split(features[0], labels[0][:, 0] == 1)
    fixture.check(name + 'folds_class0_test_indices', [test.tolist() for _, test in folds])
    fixture.remark(name + 'sklearn', name + 'features_train', name + 'rules', name + 'solver_note')


def check_features(fixture: Fixture) -> None:
    """``metrics_features.npz``: the inputs of the VOC07 protocol, whose outcome the json beside it records."""
    mean, classes = mean_average_precision(*_arrays(fixture))
    record = fixture.sibling('voc07_svm/mAP')
    fixture.check('mAP', mean, PRECISION, recorded=record['voc07_svm/mAP'])
    best = [
        average_precision(result.scores[labels >= 0], labels[labels >= 0] == 1)
        for result, labels in zip(classes, fixture['voc_labels_test'].T)
    ]
    fixture.check('test_ap', best, PRECISION, recorded=record['voc07_svm/per_class/test_ap'])
