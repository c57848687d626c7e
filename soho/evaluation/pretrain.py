"""Metrics of the pretraining objectives."""

from soho.datasets.batch import Batch
from soho.evaluation.evaluator import Metric, Prediction
from soho.registry import METRICS


@METRICS.register_module()
class PretrainMetrics(Metric):
    """Mean loss and accuracy of each objective over the whole data set.

    Reads ``<objective>_losses`` and ``<objective>_correct`` of the prediction and
    computes ``loss_<objective>`` and ``acc_<objective>`` (percent), like the
    training log, but over all masked tokens, masked cells and pairs at once.

    Args:
        objectives: Names of objectives; those that a prediction lacks are skipped.
        **kwargs: See :class:`Metric`.
    """

    def __init__(self, objectives: tuple[str, ...] = ('mlm', 'mvm', 'itm'), **kwargs) -> None:
        super().__init__(**kwargs)
        self.objectives = tuple(objectives)

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        for name in self.objectives:
            if f'{name}_losses' in prediction:
                losses, correct = prediction[f'{name}_losses'], prediction[f'{name}_correct']
                self.results.append((name, float(losses.sum()), int(correct.sum()), len(losses)))

    def compute_metrics(self, results: list[tuple[str, float, int, int]]) -> dict[str, float]:
        metrics = {}
        for name in self.objectives:
            parts = [(loss, correct, count) for objective, loss, correct, count in results if objective == name]
            loss, correct, count = (sum(column) for column in zip(*parts)) if parts else (0.0, 0, 0)
            if count:
                metrics[f'loss_{name}'] = loss / count
                metrics[f'acc_{name}'] = 100.0 * correct / count
        return metrics
