"""Top-k accuracy of single-label classification."""

from collections.abc import Sequence

import torch

from soho.evaluation.evaluator import Batch, Metric, Prediction
from soho.registry import METRICS


def top_k_correct(scores: torch.Tensor, labels: torch.Tensor, top_k: Sequence[int]) -> torch.Tensor:
    """Whether the label is among the k highest scores, for each k.

    Args:
        scores: (B, C).
        labels: (B,) int64.
        top_k: Each k; one beyond C counts as C.

    Returns:
        (B, len(top_k)) bool.
    """
    best = scores.topk(min(max(top_k), scores.size(1))).indices == labels[:, None]  # (B, K)
    return torch.stack([best[:, :k].any(1) for k in top_k], 1)


@METRICS.register_module()
class TopKAccuracy(Metric):
    """``top1``, ``top5`` and the like in percent.

    Args:
        top_k: Each k.
        **kwargs: See :class:`Metric`.
    """

    def __init__(self, top_k: Sequence[int] = (1, 5), **kwargs) -> None:
        super().__init__(**kwargs)
        self.top_k = tuple(top_k)

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Count the batch.

        Args:
            data_batch: ``label`` int64 (B,).
            prediction: ``scores`` (B, C).
        """
        scores = prediction['scores']
        found = top_k_correct(scores, data_batch['label'].to(scores.device), self.top_k)
        self.results.append((len(found), found.sum(0).tolist()))

    def compute_metrics(self, results: list[tuple[int, list[int]]]) -> dict[str, float]:
        total = sum(count for count, _ in results)
        return {
            f'top{k}': 100.0 * sum(found[i] for _, found in results) / max(total, 1) for i, k in enumerate(self.top_k)
        }
