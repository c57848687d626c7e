"""Accuracy of image classification by one or several attributes."""

from collections.abc import Sequence

from soho.datasets.batch import Batch
from soho.evaluation.classification import top_k_correct
from soho.evaluation.evaluator import Metric, Prediction
from soho.registry import METRICS


@METRICS.register_module()
class AttributeAccuracy(Metric):
    """Top-k accuracy of each attribute in percent, over the images where it is known.

    Reads ``attribute_labels`` (B, G) of the batch and ``<attribute>_scores`` (B, K) of the prediction.

    Args:
        top_k: Each k; 1 gives ``accuracy_<attribute>``, another one ``top<k>_<attribute>``.
        **kwargs: See :class:`Metric`.
    """

    def __init__(self, top_k: Sequence[int] = (1,), **kwargs) -> None:
        super().__init__(**kwargs)
        self.top_k = tuple(top_k)

    def _label_names(self) -> dict[str, list[str]]:
        assert self.dataset_meta is not None, 'the loop sets it before the first batch'
        return self.dataset_meta['label_names']

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        for attribute, labels in zip(self._label_names(), data_batch['attribute_labels'].unbind(1)):
            known = labels >= 0
            scores = prediction[f'{attribute}_scores'].cpu()[known]
            self.results.append(
                (attribute, int(known.sum()), top_k_correct(scores, labels[known], self.top_k).sum(0).tolist())
            )

    def compute_metrics(self, results: list[tuple[str, int, list[int]]]) -> dict[str, float]:
        metrics = {}
        for attribute in self._label_names():
            parts = [(count, correct) for name, count, correct in results if name == attribute]
            total = sum(count for count, _ in parts)
            for i, k in enumerate(self.top_k):
                name = f'accuracy_{attribute}' if k == 1 else f'top{k}_{attribute}'
                metrics[name] = 100.0 * sum(correct[i] for _, correct in parts) / total if total else float('nan')
        return metrics
