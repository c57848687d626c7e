"""Classification by the labels of the nearest neighbours among frozen features.

As Wu et al., Unsupervised Feature Learning via Non-Parametric Instance
Discrimination, arXiv:1805.01978, section 3.4: each of the k neighbours votes
for its label with weight exp(similarity / 0.07). k = 20 is what DINO
(arXiv:2104.14294) found best over its models.
"""

import torch
from torch import Tensor

from soho.evaluation.classification import top_k_correct

NEIGHBOURS = 20
TEMPERATURE = 0.07


@torch.inference_mode()
def neighbours(
    queries: Tensor,
    bank: Tensor,
    count: int = NEIGHBOURS,
    device: str | torch.device = 'cpu',
    query_chunk: int = 1024,
    bank_chunk: int = 65536,
) -> tuple[Tensor, Tensor]:
    """The nearest rows of ``bank`` by the product with each query.

    The bank crosses to the device once, a chunk at a time; queries stay there. With the default chunks 256 MB of
    similarities exist at a time, whatever the sizes.

    Args:
        queries: (Q, C), L2-normalised for cosine similarity.
        bank: (N, C).
        count: k; all of the bank where it has fewer.
        device: Where similarities are computed, in float32.
        query_chunk: Queries at a time.
        bank_chunk: Rows of the bank at a time.

    Returns:
        Similarities float32 and row numbers int64, each (Q, k), the nearest first, on the CPU.
    """
    queries = queries.to(device)
    nearest = torch.empty(len(queries), 0, device=device)
    rows = torch.empty(len(queries), 0, dtype=torch.int64, device=device)
    for start in range(0, len(bank), bank_chunk):
        part = bank[start : start + bank_chunk].to(device).float().T  # (C, n)
        found = [(chunk.float() @ part).topk(min(count, part.size(1))) for chunk in queries.split(query_chunk)]
        values, indices = map(torch.cat, zip(*found))
        merged = torch.cat([nearest, values], 1)  # (Q, up to 2 k)
        nearest, order = merged.topk(min(count, merged.size(1)))
        rows = torch.cat([rows, indices + start], 1).gather(1, order)
    return nearest.cpu(), rows.cpu()


def vote(similarities: Tensor, labels: Tensor, num_classes: int, temperature: float | None = TEMPERATURE) -> Tensor:
    """What the neighbours say.

    Args:
        similarities: (Q, k).
        labels: (Q, k) int64 of the neighbours; a negative one does not vote.
        num_classes: K.
        temperature: The smaller, the more the nearest count; ``None`` counts all alike.

    Returns:
        (Q, K) float32, the votes of each class.
    """
    weights = (
        torch.ones_like(similarities)
        if temperature is None
        else ((similarities - similarities[:, :1]) / temperature).exp()
    )  # over the nearest, so that none is infinite
    weights = weights * (labels >= 0)
    return weights.new_zeros(len(labels), num_classes).scatter_add_(1, labels.clamp(min=0), weights)


def accuracy(scores: Tensor, truth: Tensor, top_k: tuple[int, ...] = (1, 5)) -> dict[str, float]:
    """``top1`` and the like in percent over the (Q,) labels that are known."""
    known = truth >= 0
    found = top_k_correct(scores[known], truth[known], top_k).float().mean(0) * 100
    return {f'top{k}': float(value) for k, value in zip(top_k, found)}
