"""PASCAL VOC 2007 classification by linear SVMs on frozen features.

Protocol of Goyal et al. (arXiv:1905.01235) as implemented by the official
VirTex (scripts/clf_voc07.py): one SVM per class, its cost chosen by
cross-validation on trainval, average precision on test.
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
    """Result of one class."""

    cost: float
    """Cost chosen by cross-validation."""
    cross_validation: np.ndarray
    """(costs, folds) float64, average precision of each fold."""
    scores: np.ndarray
    """(N,) float64, signed distance of the test images from the hyperplane."""
    average_precision: float
    """Average precision on the test images where the class is not marked difficult, in [0, 1]."""


def train_svm(features: np.ndarray, positive: np.ndarray, cost: float) -> 'LinearSVC':
    """Train a linear SVM with squared hinge loss, double weight of positives and a penalised intercept."""
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
    """Train and test the classifier of one class.

    Args:
        features: L2-normalised features of trainval (M, D) and of test (N, D), float32.
        labels: Labels of the class in trainval (M,) and in test (N,): 1 present, 0 absent, -1 difficult. As
            published, difficult images are negatives in training and left out of the test.
        costs: Candidates; the first with the highest mean in cross-validation is chosen.
        eleven_points: Average precision by VOC07's 11-point rule instead of the area.
    """
    precision = eleven_point_precision if eleven_points else average_precision
    candidates = [_cross_validate(features, labels[0], cost, precision) for cost in costs]
    return _select_best(candidates, labels[1], costs, precision)


def _cross_validate(
    features: Sequence[np.ndarray], labels: np.ndarray, cost: float, precision: Precision
) -> tuple[np.ndarray, np.ndarray]:
    """(folds,) average precisions in cross-validation with one cost, and (N,) scores of the test images."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    def score(svm: 'LinearSVC', part: np.ndarray, targets: np.ndarray) -> float:
        return precision(svm.decision_function(part), targets == 1)

    positive = labels == 1
    svm = train_svm(features[0], positive, cost)
    values = cross_val_score(svm, features[0], np.where(positive, 1, -1), cv=StratifiedKFold(FOLDS), scoring=score)
    return values, svm.decision_function(features[1])


def _select_best(
    candidates: Iterable[tuple[np.ndarray, np.ndarray]],
    labels: np.ndarray,
    costs: Sequence[float],
    precision: Precision,
) -> ClassResult:
    """Test result of the first cost with the highest mean in cross-validation."""
    values, scores = map(np.array, zip(*candidates))
    best = int(np.argmax(values.mean(1)))
    counted = labels >= 0
    return ClassResult(costs[best], values, scores[best], precision(scores[best][counted], labels[counted] == 1))


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the precision-recall steps; equal scores form one step."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(positive, scores))


def eleven_point_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Average precision by VOC07's own rule: mean of the best precision at recalls of at least 0, 0.1, ... 1."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(positive, scores)
    # The curve ends with a point (recall 0, precision 1) that no threshold reaches.
    return eleven_points(precision[:-1], recall[:-1])


def eleven_points(precision: np.ndarray, recall: np.ndarray) -> float:
    """Mean over recalls 0, 0.1, ... 1 of the best precision at that recall or above; arguments (N,), in [0, 1]."""
    return float(np.mean([precision[recall >= level].max(initial=0.0) for level in np.linspace(0, 1, 11)]))


def mean_average_precision(
    features: Sequence[np.ndarray], labels: Sequence[np.ndarray], eleven_points: bool = False, workers: int = 1
) -> tuple[float, list[ClassResult]]:
    """Mean average precision over all classes.

    Args:
        features: See :func:`classify`.
        labels: (M, C) and (N, C).
        eleven_points: See :func:`classify`.
        workers: Processes that share the costs of all classes.

    Returns:
        The mean in [0, 1] and the result of each class.
    """
    from joblib import Parallel, delayed

    precision = eleven_point_precision if eleven_points else average_precision
    classes = range(labels[0].shape[1])
    # With this backend large arrays are memory-mapped, not copied, and processes start without imports.
    candidates = Parallel(workers, backend='multiprocessing')(
        delayed(_cross_validate)(features, labels[0][:, c], cost, precision) for c in classes for cost in COSTS
    )
    results = [
        _select_best(candidates[c * len(COSTS) : (c + 1) * len(COSTS)], labels[1][:, c], COSTS, precision)
        for c in classes
    ]
    return float(np.mean([result.average_precision for result in results])), results
