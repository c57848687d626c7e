"""Image-text retrieval: recalls and ranks by the peers' own code, and bounds for ties."""

from collections.abc import Iterable

import numpy as np

from soho.evaluation.retrieval import (
    TOP_K,
    Ranks,
    chosen_pairs,
    evaluate_folds,
    evaluate_retrieval,
    rank_captions,
    rank_images,
    recalls_and_ranks,
    rerank,
)
from tests.parity.fixture import Fixture

PERCENT = 1e-9
SINGLE = 2e-5  # percent; CLIP_benchmark divides in float32
Scores = dict[str, float]


def is_retrieval(fixture: Fixture) -> bool:
    """Whether a file holds scores of images and captions, or features of pairs."""
    names = fixture.values
    return 'caption_to_image' in names or any(name.endswith('/image_features') for name in names)


def check_retrieval(fixture: Fixture) -> None:
    """Any of ``retrieval_*.json``."""
    fixture.remark('what', 'note', 'numpy', 'torch', *fixture.names('sources/'), *fixture.names('peers/'))
    if 'caption_to_image' not in fixture:
        for case in _cases(fixture, '/image_features'):
            _check_pairs(fixture, case)
        return
    owner = np.asarray(fixture['caption_to_image'])
    if 'fast' in fixture:
        _check_reranked(fixture, owner)
    elif 'folds' in fixture:
        _check_folds(fixture, owner)
    elif 'order' in fixture:
        _check_half(fixture, owner)
    elif 'scores' in fixture:
        _check_expected(fixture, 'expected/', np.asarray(fixture['scores'], float), owner)
    for case in _cases(fixture, '/scores'):
        scores = np.asarray(fixture[f'{case}/scores'], float)
        _check_bounds(
            fixture, f'{case}/bounds [worst, best]/', rank_captions(scores, owner), rank_images(scores, owner)
        )
        fixture.remark(*fixture.names(f'{case}/peers/'))


def _cases(fixture: Fixture, ending: str) -> list[str]:
    return [name.removesuffix(ending) for name in fixture.names('cases/') if name.endswith(ending)]


def _with_means(metrics: Scores) -> Scores:
    """The metrics and the means that ALBEF and LAVIS report."""
    means = {f'{side}_r_mean': float(np.mean([metrics[f'{side}_r{k}'] for k in TOP_K])) for side in ('txt', 'img')}
    mean = (means['txt_r_mean'] + means['img_r_mean']) / 2
    return metrics | means | {'r_mean': mean, 'agg_metrics': means['txt_r_mean']}


def _share_of_captions(scores: np.ndarray, owner: np.ndarray) -> Scores:
    """Mean share of an image's captions among the first k, which CLIP_benchmark calls recall: percent."""
    place = np.argsort(np.argsort(-scores, 1, kind='stable'), 1)
    own = owner == np.arange(len(scores))[:, None]
    shares = {k: ((place < k) & own).sum(1) / own.sum(1) for k in TOP_K}
    return {f'txt_share_of_captions_r{k}': 100 * float(share.mean()) for k, share in shares.items()}


def _check_named(fixture: Fixture, names: Iterable[str], ours: Scores) -> None:
    """Compare recorded metrics, whose names end in ours."""
    for name in names:
        metric = name.rpartition('/')[2]
        if metric in ours:
            fixture.check(name, ours[metric], SINGLE if 'CLIP_benchmark' in name else PERCENT)


def _check_expected(fixture: Fixture, prefix: str, scores: np.ndarray, owner: np.ndarray) -> None:
    ours = _with_means(evaluate_retrieval(scores, owner)) | _share_of_captions(scores, owner)
    _check_named(fixture, fixture.names(prefix), ours)


def _check_bounds(fixture: Fixture, prefix: str, text: Ranks, image: Ranks) -> None:
    """Bounds of recalls are [worst, best], those of ranks [best, worst]: both are the smaller and the larger value."""
    for name, (low, high) in _bounds(text, image).items():
        fixture.check(f'{prefix}{name}', [low, high], PERCENT)


def _bounds(text: Ranks, image: Ranks) -> dict[str, tuple[float, float]]:
    ends = recalls_and_ranks(text, image)
    worst = {name: value for name, value in ends.items() if not name.endswith('_best')}
    bounds = {name: (value, ends.get(f'{name}_best', value)) for name, value in worst.items()}
    return {name: (min(pair), max(pair)) for name, pair in bounds.items()}


def _check_folds(fixture: Fixture, owner: np.ndarray) -> None:
    scores, folds = np.asarray(fixture['scores'], float), fixture['folds']
    fixture.check('images', len(scores))
    means = evaluate_folds(scores, owner, folds)
    whole = _with_means(evaluate_retrieval(scores, owner))
    size = len(scores) // folds
    each = [
        evaluate_retrieval(scores[rows][:, columns], owner[columns] - fold * size)
        for fold in range(folds)
        for rows in [slice(fold * size, (fold + 1) * size)]
        for columns in [owner // size == fold]
    ]
    for name in fixture.names('expected/'):
        kind, _, metric = name.removeprefix('expected/').rpartition('/')
        if kind.startswith('each fold'):
            fixture.check(name, [part[metric] for part in each], PERCENT)
        else:
            _check_named(fixture, [name], means if kind.startswith('mean of folds') else whole)


def _check_half(fixture: Fixture, owner: np.ndarray) -> None:
    order = np.asarray(fixture['order'])
    scores = (0.9 + 0.1 * (order + 1) / (order.size + 1)).astype(np.float32)
    half = scores.astype(np.float16)
    for name, values in (('float32', scores), ('float16', half)):
        fixture.check(f'distinct_values/{name}', len(np.unique(values)))
    _check_expected(fixture, 'expected/', scores, owner)
    _check_bounds(fixture, 'bounds in float16/', rank_captions(half, owner), rank_images(half, owner))


def _check_reranked(fixture: Fixture, owner: np.ndarray) -> None:
    fast, slow = (np.asarray(fixture[name], float) for name in ('fast', 'slow'))
    k_text, k_image = fixture['k_text'], fixture['k_image']
    kept = chosen_pairs(fast, k_text, k_image)
    own = owner == np.arange(len(fast))[:, None]
    fixture.check('images_with_a_caption_kept', int((kept[0] & own).any(1).sum()))
    fixture.check('captions_with_their_image_kept', int((kept[1] & own).any(0).sum()))
    by_text, by_image = rerank(fast, slow, k_text, k_image)
    text, image = rank_captions(by_text, owner), rank_images(by_image, owner)
    _check_bounds(fixture, 'bounds/', text, image)
    bounds = _bounds(text, image)
    ends = [_with_means({name: pair[end] for name, pair in bounds.items()}) for end in (0, 1)]
    for name in fixture.names('expected/'):
        metric = name.rpartition('/')[2]
        if metric in ends[0]:
            # Beyond the k-th place the order is the peer's sorting, which may fall anywhere inside of the bounds.
            nearest = float(np.clip(fixture.values[name], ends[0][metric], ends[1][metric]))
            inside = '' if ends[0][metric] == ends[1][metric] else 'inside of the bounds for ties'
            fixture.check(name, nearest, PERCENT, note=inside)


def _check_pairs(fixture: Fixture, case: str) -> None:
    """One text an image; of equal scores open_clip takes the lower index first."""
    image, text = (np.asarray(fixture[f'{case}/{side}_features'], float) for side in ('image', 'text'))
    scores, owner = image @ text.T, np.arange(len(image))
    places = [np.argsort(np.argsort(-scores, axis, kind='stable'), axis, kind='stable') for axis in (1, 0)]
    metrics = recalls_and_ranks(rank_captions(-places[0], owner), rank_images(-places[1], owner))
    bounds = _bounds(rank_captions(scores, owner), rank_images(scores, owner))
    assert all(low <= metrics[name] <= high for name, (low, high) in bounds.items())
    for direction, side in (('image_to_text', 'txt'), ('text_to_image', 'img')):
        place = f'{case}/expected/{direction}_'
        for rank in ('mean_rank', 'median_rank'):
            fixture.check(f'{place}{rank}', metrics[f'{side}_{rank}'], PERCENT)
        for k in TOP_K:
            fixture.check(f'{place}R@{k}', metrics[f'{side}_r{k}'] / 100, PERCENT)
