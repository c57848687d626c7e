"""Scores of all 1,000 x 5,000 pairs of a retrieval test, by a model that is small enough to do so on a CPU."""

from tools.benchmark.bench import Bench, Rows
from tools.benchmark.retrieval import SETS, PairScores

BATCH = 8  # images
TINY = {
    'model.language.num_hidden_layers': 1,
    'model.language.hidden_size': 64,
    'model.language.num_attention_heads': 2,
    'model.language.intermediate_size': 256,
}
PEER_BATCHES = 20


def every_pair(bench: Bench) -> Rows:
    """Score all pairs of a test, and as a peer does it, both sides again for each pair, some of them."""
    images, captions = SETS['1,000 x 5,000']
    scores = PairScores(bench, 'demo/retrieval.py', BATCH, captions, (72, 96), TINY)
    scores.once(), scores.each_pair()  # the first calls are slower
    once = sum(bench.round([scores.once] * (images // BATCH)))
    each = sum(bench.round([scores.each_pair] * PEER_BATCHES)) / (PEER_BATCHES * BATCH)
    name = f'retrieval at 72x96, one layer of width {TINY["model.language.hidden_size"]}'
    return [
        (f'{name}: {images:,} x {captions:,}, image encoded once', once / 60, 'min'),
        (f'{name}: image encoded once', images * captions / once, 'pairs/s'),
        (f'{name}: both sides again for each pair', 1 / each, 'pairs/s'),
        (f'{name}: {images:,} x {captions:,}, both sides again (computed)', images * captions * each / 3600, 'h'),
    ]
