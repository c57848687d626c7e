"""Top-k accuracy of single-label classification."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from soho.datasets.base import id_order
from soho.datasets.batch import Batch
from soho.datasets.storage.json_files import write_json
from soho.errors import UserError
from soho.evaluation.evaluator import Metric, Prediction
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


class Record(NamedTuple):
    """Predictions of one batch."""

    count: int
    correct: list[int]
    """For each k."""
    answers: list[tuple[int | str, int]]
    """Id and predicted class of each sentence, where they are written."""


@METRICS.register_module()
class ClassificationAccuracy(Metric):
    """Top-k accuracy in percent, over the sentences whose label is known; for NLVR2, SNLI-VE, NLVR.

    Args:
        top_k: Each k; 1 gives ``accuracy``, another one ``top<k>``.
        **kwargs: See :class:`Metric`. ``out_file`` is a list of ``question_id`` and ``answer``, the name of the class.
    """

    def __init__(self, top_k: Sequence[int] = (1,), **kwargs) -> None:
        super().__init__(**kwargs)
        self.top_k = tuple(top_k)

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Add the number of sentences and of correct predictions of the batch.

        Args:
            data_batch: ``answer_labels`` (B, S, K) int64, of which the first is used, and ``sentence_mask`` (B, S).
            prediction: ``logits`` (R', A) of the sentences, see :class:`soho.models.heads.ClassificationHead`; and
                ``question_id`` (R',) int64 where they are written.
        """
        labels = data_batch['answer_labels'][..., 0][data_batch['sentence_mask']]
        known = labels >= 0
        logits = prediction['logits'].cpu()
        correct = top_k_correct(logits[known], labels[known], self.top_k)
        answers = []
        if self.out_file is not None:
            if 'question_id' not in prediction:
                raise UserError(f'{self.out_file} cannot be written: these data have no sentences that a class is of')
            ids = (self.original_id('question_ids', number) for number in prediction['question_id'].tolist())
            answers = list(zip(ids, logits.argmax(1).tolist()))
        self.results.append(Record(len(correct), correct.sum(0).tolist(), answers))

    def compute_metrics(self, results: list[Record]) -> dict[str, float]:
        total = sum(record.count for record in results)
        names = ['accuracy' if k == 1 else f'top{k}' for k in self.top_k]
        return {
            name: 100.0 * sum(record.correct[i] for record in results) / max(total, 1) for i, name in enumerate(names)
        }

    def write(self, results: list[Record], path: str) -> None:
        """Write ``[{question_id, answer}, ...]`` in the order of the ids."""
        meta: dict[str, Any] = self.dataset_meta or {}
        names = meta.get('class_names')
        answers = sorted(
            (answer for record in results for answer in record.answers), key=lambda item: id_order(item[0])
        )
        write_json(
            path,
            [dict(question_id=name, answer=str(label) if names is None else names[label]) for name, label in answers],
        )
