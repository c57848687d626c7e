"""Accuracy of image classification."""
from soho.evaluation.evaluator import Batch, Metric, Prediction
from soho.registry import METRICS


@METRICS.register_module()
class LabelAccuracy(Metric):
    """Top-1 accuracy in percent of each kind of label, over the images where it is known.

    Reads ``labels`` (B, G) of the batch and one (B,) tensor a kind of the prediction.
    """

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        for kind, truth in zip(self.dataset_meta['label_names'], data_batch['labels'].unbind(1)):
            hits = prediction[kind].cpu() == truth
            known = truth >= 0
            self.results.append((kind, int((hits & known).sum()), int(known.sum())))

    def compute_metrics(self, results: list[tuple[str, int, int]]) -> dict[str, float]:
        figures = {}
        for kind in self.dataset_meta['label_names']:
            hits, known = (sum(part[i] for part in results if part[0] == kind) for i in (1, 2))
            figures[f'accuracy_{kind}'] = 100.0 * hits / known if known else float('nan')
        return figures
