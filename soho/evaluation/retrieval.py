"""Image-text retrieval from a matrix of scores: recalls and ranks in both directions, with bounds for ties.

Protocols: Karpathy and Fei-Fei, "Deep Visual-Semantic Alignments for Generating Image Descriptions" (CVPR 2015):
COCO's 5,000 test images at once ("5K") and as the mean of five folds of 1,000 ("1K"), Flickr30k's 1,000.
"""

from typing import NamedTuple

import numpy as np

from soho.datasets.batch import Batch
from soho.errors import UserError
from soho.evaluation.evaluator import Metric, Prediction
from soho.registry import METRICS

TOP_K = (1, 5, 10)
BLOCK = 1 << 24  # scores that are compared at a time


class Ranks(NamedTuple):
    """Rank of what each query looks for, from 1, among what it is compared with.

    Equal scores have no order. Both ends are given, since a sorting routine may put them in any: ties of a model that
    gives every pair the same score would otherwise count as success or failure by chance.
    """

    best: np.ndarray
    """(Q,) int64: every tie falls well; 1 + how many score higher."""
    worst: np.ndarray
    """(Q,) int64: every tie falls badly; 1 + how many others score as high or higher."""


def rank_captions(scores: np.ndarray, caption_to_image: np.ndarray) -> Ranks:
    """Rank, for each image, of the first of its own captions among all captions (text retrieval).

    Args:
        scores: (I, T), the score of each image with each caption.
        caption_to_image: (T,) int, the row of each caption's image.

    Raises:
        UserError: A score is not a number, the shapes do not fit, or an image has no caption.
    """
    owner = _check(scores, caption_to_image)
    best, worst = np.empty((2, len(scores)), np.int64)
    for rows in _blocks(scores):
        block = scores[rows]
        own = owner == np.arange(rows.start, rows.stop)[:, None]  # (i, T)
        first = np.where(own, block, -np.inf).max(1, keepdims=True)
        best[rows] = 1 + (block > first).sum(1)
        worst[rows] = 1 + ((block >= first) & ~own).sum(1)
    return Ranks(best, worst)


def rank_images(scores: np.ndarray, caption_to_image: np.ndarray) -> Ranks:
    """Rank, for each caption, of its image among all images (image retrieval); see :func:`rank_captions`."""
    owner = _check(scores, caption_to_image)
    own = np.asarray(scores[owner, np.arange(len(owner))])
    higher, as_high = np.zeros((2, len(owner)), np.int64)
    for rows in _blocks(scores):
        block = scores[rows]
        higher += (block > own).sum(0)
        as_high += (block >= own).sum(0)
    return Ranks(1 + higher, as_high)


def _blocks(scores: np.ndarray) -> list[slice]:
    """Rows of a matrix that may be larger than memory, some at a time."""
    step = max(1, BLOCK // max(scores.shape[1], 1))
    return [slice(start, min(start + step, len(scores))) for start in range(0, len(scores), step)]


def _check(scores: np.ndarray, caption_to_image: np.ndarray) -> np.ndarray:
    owner = np.asarray(caption_to_image)
    if scores.shape[1:] != owner.shape:
        raise UserError(
            f'a score matrix of shape {scores.shape} does not fit {len(owner)} captions: it has a row an image and a '
            'column a caption'
        )
    count = np.bincount(owner, minlength=len(scores))
    if len(count) > len(scores):
        raise UserError(f'a caption belongs to image {len(count) - 1}, but there are scores of {len(scores)} images')
    if not count.all():
        raise UserError(f'image {int(count.argmin())} has no caption, so that none can be found for it')
    unknown = sum(int(np.isnan(scores[rows]).sum()) for rows in _blocks(scores))
    if unknown:
        raise UserError(f'{unknown} of the {scores.size} scores are not numbers, so that nothing can be ranked by them')
    return owner


def rerank(fast: np.ndarray, slow: np.ndarray, captions: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of both directions where a fast score chooses and a slow one orders what is chosen.

    Args:
        fast: (I, T).
        slow: (I, T); read at chosen pairs only, see :func:`chosen_pairs`.
        captions: How many captions are chosen for an image.
        images: How many images are chosen for a caption.

    Returns:
        (I, T) for text retrieval and (I, T) for image retrieval: the slow score, and -inf at what is not chosen.
    """
    for_image, for_caption = chosen_pairs(fast, captions, images)
    return np.where(for_image, slow, -np.inf), np.where(for_caption, slow, -np.inf)


def chosen_pairs(fast: np.ndarray, captions: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """(I, T) bool, the best captions of each image; and (I, T) bool, the best images of each caption."""
    return _top(fast, captions, 1), _top(fast, images, 0)


def _top(scores: np.ndarray, k: int, axis: int) -> np.ndarray:
    k = min(k, scores.shape[axis])
    best = np.argpartition(scores, -k, axis).take(np.arange(scores.shape[axis] - k, scores.shape[axis]), axis)
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, best, True, axis)
    return chosen


def recalls_and_ranks(text: Ranks, image: Ranks) -> dict[str, float]:
    """Metrics of both directions; where ties matter, they fall badly, and ``<name>_best`` is the other end.

    Args:
        text: Of :func:`rank_captions`.
        image: Of :func:`rank_images`.

    Returns:
        ``txt_r1``, ``txt_r5``, ``txt_r10`` (percent), ``txt_median_rank`` (rounded down, as SCAN does),
        ``txt_mean_rank``, the same as ``img_...``, and ``rsum``, the sum of the six recalls.
    """
    worst, best = _metrics(text.worst, image.worst), _metrics(text.best, image.best)
    return worst | {f'{name}_best': value for name, value in best.items() if value != worst[name]}


def _metrics(text: np.ndarray, image: np.ndarray) -> dict[str, float]:
    metrics = {}
    for name, ranks in (('txt', text), ('img', image)):
        metrics |= {f'{name}_r{k}': 100.0 * float((ranks <= k).mean()) for k in TOP_K}
        metrics |= {f'{name}_median_rank': float(np.floor(np.median(ranks)))}
        metrics |= {f'{name}_mean_rank': float(ranks.mean())}
    return metrics | {'rsum': sum(metrics[f'{name}_r{k}'] for name in ('txt', 'img') for k in TOP_K)}


def evaluate_retrieval(
    scores: np.ndarray, caption_to_image: np.ndarray, image_scores: np.ndarray | None = None
) -> dict[str, float]:
    """Metrics of a whole set, see :func:`recalls_and_ranks`.

    Args:
        scores: (I, T), by which captions are ranked, and images too unless ``image_scores`` are given.
        caption_to_image: (T,) int.
        image_scores: (I, T), by which images are ranked, where re-ranking has chosen other pairs for them.
    """
    by_image = scores if image_scores is None else image_scores
    return recalls_and_ranks(rank_captions(scores, caption_to_image), rank_images(by_image, caption_to_image))


def evaluate_folds(
    scores: np.ndarray, caption_to_image: np.ndarray, folds: int, image_scores: np.ndarray | None = None
) -> dict[str, float]:
    """Mean of the metrics of consecutive parts, each an image set of its own; COCO's 1K has five of 1,000 images.

    Raises:
        UserError: The images cannot be divided into that many equal parts.
    """
    if folds < 1 or len(scores) % folds:
        raise UserError(f'{len(scores)} images cannot be divided into {folds} folds of equal size')
    owner, size = np.asarray(caption_to_image), len(scores) // folds
    parts = []
    for start in range(0, len(scores), size):
        captions = np.flatnonzero((owner >= start) & (owner < start + size))
        part = [None if s is None else s[start : start + size][:, captions] for s in (scores, image_scores)]
        assert part[0] is not None
        parts.append(evaluate_retrieval(part[0], owner[captions] - start, part[1]))
    # A fold without ties has no other end: its value is both.
    names = {name: None for part in parts for name in part}
    return {name: float(np.mean([p.get(name, p[name.removesuffix('_best')]) for p in parts])) for name in names}


@METRICS.register_module()
class RetrievalRecall(Metric):
    """R@1, R@5, R@10, median and mean rank in both directions, and the sum of the recalls.

    ``txt`` is text retrieval (an image looks for one of its captions), ``img`` image retrieval (a caption looks for its
    image). Equal scores count against the model; where that matters ``<name>_best`` shows the other end.

    Args:
        folds: Also the mean over so many consecutive parts, as ``folds/<name>``; 5 for COCO's "1K" protocol.
        **kwargs: See :class:`Metric`.
    """

    def __init__(self, folds: int = 1, **kwargs) -> None:
        super().__init__(**kwargs)
        self.folds = folds

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Compute the metrics of a whole set.

        Args:
            data_batch: Unused.
            prediction: ``scores`` (I, T) float32, ``caption_to_image`` (T,) int64 and, where images are ranked by
                other scores, ``image_scores`` (I, T); on one rank only, see ``soho.engine.retrieval_loops``.
        """
        scores, owner = prediction['scores'].numpy(), prediction['caption_to_image'].numpy()
        image_scores = prediction['image_scores'].numpy() if 'image_scores' in prediction else None
        metrics = evaluate_retrieval(scores, owner, image_scores)
        if self.folds > 1:
            means = evaluate_folds(scores, owner, self.folds, image_scores)
            metrics |= {f'folds/{name}': value for name, value in means.items()}
        self.results.append(metrics)

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        return results[0]
