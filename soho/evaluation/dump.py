"""Dump of raw predictions as arrays, for inspection and comparison."""

import os
from typing import Any

import numpy as np

from soho.datasets.batch import Batch
from soho.evaluation.evaluator import Metric, Prediction
from soho.files import atomic_write
from soho.registry import METRICS

Arrays = dict[str, np.ndarray]


@METRICS.register_module()
class PredictionDump(Metric):
    """Metric that writes all predicted tensors to one ``.npz`` and computes nothing.

    ``tools/test.py --dump FILE`` adds it. All predictions are held in memory:
    3,129 logits of 100,000 questions are 1.2 GB.
    """

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        self.results.append({name: value.detach().cpu().numpy() for name, value in prediction.items()})

    def write(self, results: list[Arrays], path: str) -> None:
        """Write one array per name, batches concatenated along the first axis in the order of evaluation."""
        path = os.fspath(path)
        with atomic_write(path if path.endswith('.npz') else f'{path}.npz') as file:
            arrays: dict[str, Any] = {name: np.concatenate([part[name] for part in results]) for name in results[0]}
            np.savez(file, **arrays)

    def compute_metrics(self, results: list[Arrays]) -> dict[str, float]:
        return {}
