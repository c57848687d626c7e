"""PASCAL VOC 2007 classification by linear SVMs on frozen features.

Protocol of Goyal et al. (arXiv:1905.01235) as the official VirTex runs it
(scripts/clf_voc07.py): an SVM a class, its cost by cross-validation on
trainval, area under the precision-recall steps on test.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from sklearn.svm import LinearSVC

COSTS = (0.01, 0.1, 1.0, 10.0)
FOLDS = 3
MAX_ITERATIONS = 2000

Precision = Callable[[np.ndarray, np.ndarray], float]


class ClassResult(NamedTuple):
    """One class."""

    cost: float
    """Chosen by cross-validation."""
    cross_validation: np.ndarray
    """(costs, folds) float64, average precision of each fold."""
    scores: np.ndarray
    """(N,) float64, of the test images: signed distance from the plane."""
    average_precision: float
    """On the test images where the class is not marked difficult, in [0, 1]."""


def train_svm(features: np.ndarray, positive: np.ndarray, cost: float) -> 'LinearSVC':
    """A linear SVM with squared hinge loss; positives weigh twice, the intercept is penalised like a weight."""
    from sklearn.svm import LinearSVC

    svm = LinearSVC(
        C=cost,
        class_weight={1: 2, -1: 1},
        penalty='l2',
        loss='squared_hinge',
        dual='auto',
        intercept_scaling=1.0,
        tol=1e-4,
        max_iter=MAX_ITERATIONS,
        random_state=0,
    )
    return svm.fit(features, np.where(positive, 1, -1))


def classify(
    features: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    costs: Sequence[float] = COSTS,
    eleven_points: bool = False,
) -> ClassResult:
    """Train and test one class.

    Args:
        features: L2-normalised features of trainval (M, D) and of test (N, D), float32.
        labels: Of the class in trainval (M,) and in test (N,): 1 present, 0 absent, -1 difficult. As published,
            difficult images are negatives in training and left out of the test.
        costs: Tried in this order; the first with the highest mean wins.
        eleven_points: Average precision by VOC07's 11-point rule instead of the area.
    """
    precision = eleven_point_precision if eleven_points else average_precision
    tried = [_try(features, labels[0], cost, precision) for cost in costs]
    return _best(tried, labels[1], costs, precision)


def _try(
    features: Sequence[np.ndarray], labels: np.ndarray, cost: float, precision: Precision
) -> tuple[np.ndarray, np.ndarray]:
    """Of one cost, the (folds,) precisions in cross-validation and the (N,) scores of the test images."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    def score(svm: 'LinearSVC', part: np.ndarray, truth: np.ndarray) -> float:
        return precision(svm.decision_function(part), truth == 1)

    positive = labels == 1
    svm = train_svm(features[0], positive, cost)
    values = cross_val_score(svm, features[0], np.where(positive, 1, -1), cv=StratifiedKFold(FOLDS), scoring=score)
    return values, svm.decision_function(features[1])


def _best(
    tried: Iterable[tuple[np.ndarray, np.ndarray]], labels: np.ndarray, costs: Sequence[float], precision: Precision
) -> ClassResult:
    """The first of the costs with the highest mean in cross-validation, tested."""
    values, scores = map(np.array, zip(*tried))
    best = int(np.argmax(values.mean(1)))
    counted = labels >= 0
    return ClassResult(costs[best], values, scores[best], precision(scores[best][counted], labels[counted] == 1))


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the steps of precision over recall; equal scores make one step."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(positive, scores))


def eleven_point_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """VOC07's own rule: the mean of the best precision at recalls of at least 0, 0.1, ... 1."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(positive, scores)
    # The curve ends with a point (recall 0, precision 1) that no threshold reaches.
    return eleven_points(precision[:-1], recall[:-1])


def eleven_points(precision: np.ndarray, recall: np.ndarray) -> float:
    """Mean over the recalls 0, 0.1, ... 1 of the best precision at that recall or above; both (N,), in [0, 1]."""
    return float(np.mean([precision[recall >= level].max(initial=0.0) for level in np.linspace(0, 1, 11)]))


def mean_average_precision(
    features: Sequence[np.ndarray], labels: Sequence[np.ndarray], eleven_points: bool = False, workers: int = 1
) -> tuple[float, list[ClassResult]]:
    """All classes.

    Args:
        features: As for :func:`classify`.
        labels: (M, C) and (N, C).
        eleven_points: As for :func:`classify`.
        workers: Processes among which the costs of all classes are divided.

    Returns:
        Their mean in [0, 1] and each class.
    """
    from joblib import Parallel, delayed

    precision = eleven_point_precision if eleven_points else average_precision
    classes = range(labels[0].shape[1])
    # Large arrays are mapped into the processes, not copied; and these need not import anything to start.
    tried = Parallel(workers, backend='multiprocessing')(
        delayed(_try)(features, labels[0][:, c], cost, precision) for c in classes for cost in COSTS
    )
    results = [_best(tried[c * len(COSTS) : (c + 1) * len(COSTS)], labels[1][:, c], COSTS, precision) for c in classes]
    return float(np.mean([result.average_precision for result in results])), results
