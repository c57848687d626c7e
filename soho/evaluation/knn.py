"""k-nearest-neighbour classification on frozen features.

Paper: Wu et al., Unsupervised Feature Learning via Non-Parametric Instance
Discrimination, arXiv:1805.01978, section 3.4: each of the k neighbours votes
for its label with weight exp(similarity / 0.07). k = 20 worked best across
the models of DINO (arXiv:2104.14294).
"""

import torch
from torch import Tensor

from soho.evaluation.classification import top_k_correct

NEIGHBORS = 20
TEMPERATURE = 0.07


@torch.inference_mode()
def find_neighbors(
    queries: Tensor,
    bank: Tensor,
    count: int = NEIGHBORS,
    device: str | torch.device = 'cpu',
    query_chunk: int = 1024,
    bank_chunk: int = 65536,
) -> tuple[Tensor, Tensor]:
    """Nearest rows of ``bank`` by the dot product with each query.

    The bank is moved to the device once, in chunks; the queries stay there. The default chunks bound the
    similarities in memory to 256 MB.

    Args:
        queries: (Q, C), L2-normalised for cosine similarity.
        bank: (N, C).
        count: k; at most N is used.
        device: Device on which similarities are computed, in float32.
        query_chunk: Queries per chunk.
        bank_chunk: Rows of the bank per chunk.

    Returns:
        Similarities float32 and row indices int64, each (Q, k), in descending order of similarity, on the CPU.
    """
    queries = queries.to(device)
    nearest = torch.empty(len(queries), 0, device=device)
    rows = torch.empty(len(queries), 0, dtype=torch.int64, device=device)
    for start in range(0, len(bank), bank_chunk):
        part = bank[start : start + bank_chunk].to(device).float().T  # (C, n)
        best = [(chunk.float() @ part).topk(min(count, part.size(1))) for chunk in queries.split(query_chunk)]
        values, indices = map(torch.cat, zip(*best))
        merged = torch.cat([nearest, values], 1)  # (Q, up to 2 k)
        nearest, order = merged.topk(min(count, merged.size(1)))
        rows = torch.cat([rows, indices + start], 1).gather(1, order)
    return nearest.cpu(), rows.cpu()


def vote(similarities: Tensor, labels: Tensor, num_classes: int, temperature: float | None = TEMPERATURE) -> Tensor:
    """Weighted votes of the neighbours.

    Args:
        similarities: (Q, k).
        labels: (Q, k) int64 of the neighbours; negative ones do not vote.
        num_classes: K.
        temperature: Temperature of the weights; ``None`` gives all the same weight.

    Returns:
        (Q, K) float32, the sum of the votes for each class.
    """
    weights = (
        torch.ones_like(similarities)
        if temperature is None
        else ((similarities - similarities[:, :1]) / temperature).exp()
    )  # relative to the nearest, so that none overflows
    weights = weights * (labels >= 0)
    return weights.new_zeros(len(labels), num_classes).scatter_add_(1, labels.clamp(min=0), weights)


def accuracy(scores: Tensor, labels: Tensor, top_k: tuple[int, ...] = (1, 5)) -> dict[str, float]:
    """``top1``, ``top5``, ... in percent over the (Q,) labels that are known."""
    known = labels >= 0
    values = top_k_correct(scores[known], labels[known], top_k).float().mean(0) * 100
    return {f'top{k}': float(value) for k, value in zip(top_k, values)}
