"""Recalls and ranks of image-text retrieval: counted by hand, and what holds for any scores."""

import numpy as np
import pytest
import torch

from soho.evaluation import retrieval
from soho.evaluation.retrieval import (
    RetrievalRecall,
    evaluate_folds,
    evaluate_retrieval,
    rank_captions,
    rank_images,
    rerank,
)

OWNER = np.array([0, 0, 1, 1])
SCORES = np.array([[9.0, 1, 5, 3], [10, 2, 4, 8]])


def random_scores(images=12, captions=40, levels=None, seed=0):
    """Scores and owners; every image has a caption, in any order."""
    rng = np.random.default_rng(seed)
    owner = rng.permutation(np.concatenate([np.arange(images), rng.integers(images, size=captions - images)]))
    scores = rng.permutation(images * captions).reshape(images, captions).astype(float)
    return (scores if levels is None else scores % levels), owner


def test_ranks_counted_by_hand():
    text, image = rank_captions(SCORES, OWNER), rank_images(SCORES, OWNER)
    assert text.best.tolist() == text.worst.tolist() == [1, 2]
    assert image.best.tolist() == image.worst.tolist() == [2, 2, 2, 1]
    metrics = evaluate_retrieval(SCORES, OWNER)
    assert metrics['txt_r1'] == 50 and metrics['img_r1'] == 25 and metrics['rsum'] == 475
    assert metrics['txt_median_rank'] == 1 and metrics['img_mean_rank'] == 1.75
    assert not [name for name in metrics if name.endswith('_best')]  # without ties there is one answer


def test_a_model_that_gives_every_pair_one_score_finds_nothing():
    scores, owner = random_scores(levels=1)
    metrics = evaluate_retrieval(scores, owner)
    assert metrics['txt_r1'] == metrics['img_r10'] == 0 and metrics['img_mean_rank'] == 12
    assert metrics['txt_r1_best'] == metrics['img_r1_best'] == 100 and metrics['img_mean_rank_best'] == 1


@pytest.mark.parametrize('seed', range(3))
def test_bounds_hold_whatever_the_order_of_ties(seed):
    scores, owner = random_scores(levels=4, seed=seed)
    bounds = rank_captions(scores, owner), rank_images(scores, owner)
    rng = np.random.default_rng(seed)
    for _ in range(5):  # a broken tie is one of the orders
        broken = scores + 0.5 * rng.random(scores.shape)
        for tied, found in zip(bounds, (rank_captions(broken, owner), rank_images(broken, owner))):
            assert (tied.best <= found.best).all() and (found.worst <= tied.worst).all()
    # Both ends are reached: a query's own pairs above their equals, and below them.
    own = 0.5 * (owner == np.arange(len(scores))[:, None])
    assert np.array_equal(rank_captions(scores + own, owner).worst, bounds[0].best)
    assert np.array_equal(rank_images(scores - own, owner).best, bounds[1].worst)


def test_blocks_and_order_change_nothing(monkeypatch):
    scores, owner = random_scores(levels=9)
    whole = evaluate_retrieval(scores, owner)
    monkeypatch.setattr(retrieval, 'BLOCK', 1)  # a row at a time
    assert evaluate_retrieval(scores, owner) == whole
    order = np.random.default_rng(1).permutation(len(owner))
    assert evaluate_retrieval(scores[:, order], owner[order]) == pytest.approx(whole)


def test_folds_are_sets_of_their_own():
    scores, owner = random_scores(images=12, captions=36)
    means = evaluate_folds(scores, owner, 3)
    parts = []
    for images in (range(4), range(4, 8), range(8, 12)):
        captions = np.isin(owner, images)
        parts.append(evaluate_retrieval(scores[images][:, captions], owner[captions] - images[0])['img_mean_rank'])
    assert means['img_mean_rank'] == pytest.approx(np.mean(parts))
    assert evaluate_folds(scores, owner, 1) == evaluate_retrieval(scores, owner)
    with pytest.raises(ValueError, match='12 images cannot be divided into 5 folds'):
        evaluate_folds(scores, owner, 5)


def test_ties_in_one_fold_alone():
    scores = np.array([[1.0, 0, 9, 9], [0, 1, 9, 9], [9, 9, 5, 5], [9, 9, 5, 5]])
    means = evaluate_folds(scores, np.arange(4), 2)
    assert (means['img_r1'], means['img_r1_best']) == (50, 100)


def test_reranking_orders_what_was_chosen():
    fast = np.array([[3.0, 2, 1, 0], [0, 3, 2, 1]])
    by_text, by_image = rerank(fast, SCORES, captions=2, images=1)
    assert by_text.tolist() == [[9, 1, -np.inf, -np.inf], [-np.inf, 2, 4, -np.inf]]
    assert by_image.tolist() == [[9, -np.inf, -np.inf, -np.inf], [-np.inf, 2, 4, 8]]
    everything = rerank(fast, SCORES, captions=4, images=2)
    assert all(np.array_equal(part, SCORES) for part in everything)


def test_what_cannot_be_ranked_is_said():
    with pytest.raises(ValueError, match='1 of the 8 scores are not numbers'):
        evaluate_retrieval(np.where(SCORES == 8, np.nan, SCORES), OWNER)
    with pytest.raises(ValueError, match='image 1 has no caption'):
        rank_captions(SCORES, np.zeros(4, int))
    with pytest.raises(ValueError, match='does not fit 3 captions'):
        rank_captions(SCORES, OWNER[:3])
    with pytest.raises(ValueError, match='belongs to image 2, but there are scores of 2 images'):
        rank_captions(SCORES, np.array([0, 1, 2, 2]))


def test_the_metric_adds_the_folds():
    metric = RetrievalRecall(folds=2, prefix='coco')
    scores, owner = random_scores(images=6, captions=18)
    metric.process({}, dict(scores=torch.tensor(scores), caption_to_image=torch.tensor(owner)))
    metrics = metric.evaluate(6)
    whole, folds = evaluate_retrieval(scores, owner), evaluate_folds(scores, owner, 2)
    assert metrics['coco/rsum'] == whole['rsum'] and metrics['coco/folds/img_r1'] == folds['img_r1']
    assert len(metrics) == len(whole) + len(folds)
