"""Evaluator and base class of the metrics, for any number of ranks.

A model predicts one dict of tensors per batch; a metric turns it into small
records (``process``) and the records of all ranks into metrics
(``compute_metrics``).
"""

from abc import abstractmethod
from typing import Any

import torch
from mmengine.dist import broadcast_object_list, gather_object, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.evaluator import Evaluator as MMEngineEvaluator

from soho.datasets.batch import Batch
from soho.errors import UserError
from soho.ranks import group_of_ranks, wait_for_all_ranks
from soho.registry import EVALUATOR

Prediction = dict[str, torch.Tensor]


@EVALUATOR.register_module()
class Evaluator(MMEngineEvaluator):
    """mmengine's evaluator for predictions that are one dict per batch.

    A metric that is no :class:`Metric`, such as mmengine's own, gets the predictions as mmengine hands them on: the
    list with that dict.
    """

    def process(self, data_samples: list[Prediction], data_batch: Batch | None = None) -> None:
        for metric in self.metrics:
            if not isinstance(metric, Metric):
                metric.process(data_batch or {}, data_samples)
                continue
            for prediction in data_samples:
                metric.process(data_batch or {}, metric.select(prediction))


class Metric(BaseMetric):
    """Base class of the metrics; gathers records of ranks that differ in number of samples.

    mmengine's own gathering assumes equally many samples on every rank and
    removes repeated ones from the end. The evaluation sampler of this project
    never repeats a sample, so ranks may differ; records carry their own ids
    and their order does not matter.

    Args:
        out_file: File for the predictions in the official submission format
            of the task, see :meth:`write`; ``None`` writes nothing.
        prefix: Prefix of the metrics' names, as in ``'vqa/overall'``.
        head: Name of the head whose predictions are evaluated, where several heads predict the same fields.
    """

    default_prefix = ''
    _dataset_meta: dict[str, Any] | None = None

    def __init__(self, out_file: str | None = None, prefix: str | None = None, head: str | None = None) -> None:
        super().__init__(collect_device='cpu', prefix=prefix)
        if out_file is not None and type(self).write is Metric.write:
            raise UserError(
                f'{type(self).__name__} has no official result file, so out_file (--out) cannot be written: {out_file}'
            )
        self.out_file = out_file
        self.head = head

    def select(self, prediction: Prediction) -> Prediction:
        """Return the prediction with the fields of ``head`` also under their names without the head's prefix."""
        if self.head is None:
            return prediction
        start = f'{self.head}.'
        return prediction | {
            name.removeprefix(start): value for name, value in prediction.items() if name.startswith(start)
        }

    def original_id(self, kind: str, number: int) -> int | str:
        """Return the id that a number in batches stands for.

        Args:
            kind: ``image_ids`` or ``question_ids``, as in the metainfo of the data set.
            number: The number, which is the id itself where all ids are numbers.
        """
        ids = (self.dataset_meta or {}).get(kind)
        return number if ids is None else ids[number]

    @abstractmethod
    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Append this batch's records to ``self.results``."""

    @abstractmethod
    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Compute the metrics from the records of the whole data set."""

    def write(self, results: list[Any], path: str) -> None:
        """Write the records to ``path`` in the official format of the task, if it has one."""

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather the records of all ranks and compute the metrics on the main one.

        Args:
            size: Number of samples in the data set; unused, because no sample
                is repeated.

        Returns:
            The metrics, the same on all ranks.

        Raises:
            TrainingError: A rank does not come here; see :func:`soho.ranks.wait_for_all_ranks`.
        """
        group = group_of_ranks()
        wait_for_all_ranks()  # those that have fewer or smaller samples for the others
        gathered = gather_object(self.results, dst=0, group=group)
        self.results = []
        message: list[Any] = [None]
        if is_main_process():
            results = [record for part in gathered or () for record in part]
            if self.out_file is not None:  # first, so that predictions are kept if the ground truth is faulty
                self.write(results, self.out_file)
            metrics = self.compute_metrics(results)
            if self.prefix:
                metrics = {f'{self.prefix}/{name}': value for name, value in metrics.items()}
            message = [metrics]
        wait_for_all_ranks()  # for the main one, which may compute for long
        broadcast_object_list(message, group=group)
        return message[0]
