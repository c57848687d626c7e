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
        top_k: Each k; at most C is used.

    Returns:
        (B, len(top_k)) bool.
    """
    best = scores.topk(min(max(top_k), scores.size(1))).indices == labels[:, None]  # (B, K)
    return torch.stack([best[:, :k].any(1) for k in top_k], 1)


@METRICS.register_module()
class ClassificationAccuracy(Metric):
    """Top-k accuracy in percent, over the sentences whose label is known; for NLVR2, SNLI-VE, NLVR.

    Args:
        top_k: Each k; 1 gives ``accuracy``, another one ``top<k>``.
        **kwargs: See :class:`Metric`.
    """

    def __init__(self, top_k: Sequence[int] = (1,), **kwargs) -> None:
        super().__init__(**kwargs)
        self.top_k = tuple(top_k)

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Add the number of sentences and of correct predictions of the batch.

        Args:
            data_batch: ``answer_labels`` (B, S, K) int64, of which the first is used, and ``sentence_mask`` (B, S).
            prediction: ``logits`` (R', A) of the sentences, see :class:`soho.models.heads.ClassificationHead`.
        """
        labels = data_batch['answer_labels'][..., 0][data_batch['sentence_mask']]
        known = labels >= 0
        correct = top_k_correct(prediction['logits'].cpu()[known], labels[known], self.top_k)
        self.results.append((len(correct), correct.sum(0).tolist()))

    def compute_metrics(self, results: list[tuple[int, list[int]]]) -> dict[str, float]:
        total = sum(count for count, _ in results)
        names = ['accuracy' if k == 1 else f'top{k}' for k in self.top_k]
        return {name: 100.0 * sum(correct[i] for _, correct in results) / max(total, 1) for i, name in enumerate(names)}
