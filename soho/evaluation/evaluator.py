"""From one batch's predictions to one set of metrics, on any number of ranks.

A model predicts one dict of tensors a batch; a metric turns it
into small records (``process``) and the records of all ranks into metrics
(``compute_metrics``).
"""

from abc import abstractmethod
from typing import Any

import torch
from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.evaluator import Evaluator as MMEngineEvaluator

from soho.errors import UserError
from soho.registry import EVALUATOR

Batch = dict[str, torch.Tensor]
Prediction = dict[str, torch.Tensor]


@EVALUATOR.register_module()
class Evaluator(MMEngineEvaluator):
    """mmengine's evaluator for predictions that are one dict a batch."""

    def process(self, data_samples: list[Prediction], data_batch: Batch | None = None) -> None:
        for prediction in data_samples:
            for metric in self.metrics:
                metric.process(data_batch, metric.select(prediction))


class Metric(BaseMetric):
    """Base of every metric: records are gathered without padding.

    mmengine's own gathering assumes that every rank saw equally many samples
    and cuts the repeats off the end. The evaluation sampler of this project
    never repeats a sample, so ranks may differ in length; records carry their
    own ids and their order does not matter.

    Args:
        out_file: Where :meth:`write` puts the predictions in the task's
            official submission format; ``None`` writes nothing.
        prefix: Put before each figure's name, as in ``'vqa/overall'``.
        head: Name of the head whose predictions are evaluated, where several give the same names.
    """

    default_prefix = ''

    def __init__(self, out_file: str | None = None, prefix: str | None = None, head: str | None = None) -> None:
        super().__init__(collect_device='cpu', prefix=prefix)
        if out_file is not None and type(self).write is Metric.write:
            raise UserError(
                f'{type(self).__name__} has no official result file, so that out_file (--out) cannot be '
                f'written: {out_file}'
            )
        self.out_file = out_file
        self.head = head

    def select(self, prediction: Prediction) -> Prediction:
        """The prediction with the names of ``head``, which carry its own where heads share them."""
        if self.head is None:
            return prediction
        start = f'{self.head}.'
        return prediction | {
            name.removeprefix(start): value for name, value in prediction.items() if name.startswith(start)
        }

    @abstractmethod
    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Append this batch's records to ``self.results``."""

    @abstractmethod
    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Figures from the records of the whole data set."""

    def write(self, results: list[Any], path: str) -> None:
        """Write the records in the official format of the task to ``path``, where it has one."""

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather every rank's records and compute on the main one.

        Args:
            size: Number of samples in the data set; unused, because nothing is
                repeated and so nothing has to be cut off.

        Returns:
            The metrics, equal on all ranks.
        """
        gathered = all_gather_object(self.results)
        self.results = []
        message: list[Any] = [None]
        if is_main_process():
            results = [record for part in gathered for record in part]
            if self.out_file is not None:  # first, so that the predictions survive whatever is wrong with the truth
                self.write(results, self.out_file)
            metrics = self.compute_metrics(results)
            if self.prefix:
                metrics = {f'{self.prefix}/{name}': value for name, value in metrics.items()}
            message = [metrics]
        broadcast_object_list(message)
        return message[0]
