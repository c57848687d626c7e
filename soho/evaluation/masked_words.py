"""Accuracy of masked words by kind of word."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from soho.datasets.batch import Batch
from soho.datasets.tokenizer import BertTokenizer
from soho.evaluation.evaluator import Metric, Prediction
from soho.registry import METRICS


@METRICS.register_module()
class MaskedWordAccuracy(Metric):
    """``acc_<kind>`` in percent of the masked words of each kind, and ``acc_words`` of all these kinds together.

    Most masked tokens follow from the sentence; whether a model looks at the image shows in the words that only the
    image decides, compared with the same model without the image. A kind of which nothing was masked has no metric.

    Args:
        tokenizer: Arguments of :class:`soho.datasets.tokenizer.BertTokenizer`.
        kinds: Words of each kind, each one token.
        **kwargs: See :class:`Metric`.

    Raises:
        ValueError: None of the words of a kind is a token of the vocabulary.
    """

    def __init__(self, tokenizer: dict[str, Any], kinds: Mapping[str, Sequence[str]], **kwargs) -> None:
        super().__init__(**kwargs)
        backend = BertTokenizer(**tokenizer)
        self.names = tuple(kinds)
        self.kind_of = np.full(len(backend), -1)
        for number, words in enumerate(kinds.values()):
            self.kind_of[backend.ids_of_words(words)] = number

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Store the number of correct and of all words of each kind.

        Args:
            data_batch: ``mlm_labels`` int64 (B, S, L), -100 where nothing is masked.
            prediction: ``mlm_correct`` bool (P,), of the P masked tokens in their order.
        """
        labels = data_batch['mlm_labels'].cpu().flatten().numpy()
        kinds = self.kind_of[labels[labels >= 0]]
        correct = prediction['mlm_correct'].cpu().numpy()
        for number in np.unique(kinds[kinds >= 0]):
            of_kind = kinds == number
            self.results.append((self.names[number], int(correct[of_kind].sum()), int(of_kind.sum())))

    def compute_metrics(self, results: list[tuple[str, int, int]]) -> dict[str, float]:
        metrics = {}
        for name in (*self.names, 'words'):
            counts = [(correct, count) for kind, correct, count in results if name in (kind, 'words')]
            correct, count = (sum(column) for column in zip(*counts)) if counts else (0, 0)
            if count:
                metrics[f'acc_{name}'] = 100.0 * correct / count
        return metrics
