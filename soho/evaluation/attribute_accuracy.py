"""Accuracy of image classification with one or several attributes of labels."""

from collections.abc import Sequence

from soho.evaluation.classification import top_k_correct
from soho.evaluation.evaluator import Batch, Metric, Prediction
from soho.registry import METRICS


@METRICS.register_module()
class AttributeAccuracy(Metric):
    """``accuracy_<attribute>``, in percent, of each attribute of label, over the images where it is known.

    Reads ``attribute_labels`` (B, G) of the batch and ``<attribute>_scores`` (B, K) of the prediction.

    Args:
        top_k: With 5 among them also ``top5_<attribute>``: the label is one of the five with the highest scores.
        **kwargs: See :class:`Metric`.
    """

    def __init__(self, top_k: Sequence[int] = (1,), **kwargs) -> None:
        super().__init__(**kwargs)
        self.top_k = tuple(top_k)

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        for attribute, labels in zip(self.dataset_meta['label_names'], data_batch['attribute_labels'].unbind(1)):
            known = labels >= 0
            scores = prediction[f'{attribute}_scores'].cpu()[known]
            self.results.append(
                (attribute, int(known.sum()), top_k_correct(scores, labels[known], self.top_k).sum(0).tolist())
            )

    def compute_metrics(self, results: list[tuple[str, int, list[int]]]) -> dict[str, float]:
        metrics = {}
        for attribute in self.dataset_meta['label_names']:
            parts = [(count, found) for name, count, found in results if name == attribute]
            total = sum(count for count, _ in parts)
            for i, k in enumerate(self.top_k):
                name = f'accuracy_{attribute}' if k == 1 else f'top{k}_{attribute}'
                metrics[name] = 100.0 * sum(found[i] for _, found in parts) / total if total else float('nan')
        return metrics
