"""Accuracy of visual entailment beside what the hypotheses alone give away."""

import os
from collections import Counter
from collections.abc import Iterator

from mmengine.logging import print_log

from soho.datasets.snli_ve import read_statements
from soho.errors import UserError
from soho.evaluation.baselines import warn_unless_beaten
from soho.evaluation.classification import ClassificationAccuracy, Record
from soho.files import PathLike
from soho.registry import METRICS


def _read(path: PathLike) -> Iterator[tuple[str, int]]:
    """Yield hypothesis, without what differs in case and spaces, and label of the statements that have a label."""
    for _, statement in read_statements(path):
        if statement.label is not None:
            yield ' '.join(statement.hypothesis.lower().split()), statement.label


def score_same_hypothesis(training_file: PathLike, evaluated_file: PathLike) -> tuple[float, int]:
    """Accuracy in percent of the most frequent training label of the same hypothesis, and number of statements.

    A hypothesis that is not among those of training gets the most frequent label of those that are there once, since
    hypotheses of few words are repeated and their labels are others. Of equally frequent labels the first counts.

    Args:
        training_file: See :class:`soho.datasets.snli_ve.SNLIVEDataset`.
        evaluated_file: See there.

    Raises:
        FileNotFoundError, UserError: See :func:`soho.datasets.snli_ve.read_statements`; or no training statement has a
            label.
    """
    seen: dict[str, bytes] = {}  # the labels of each; one byte alone takes no memory
    for text, label in _read(training_file):
        seen[text] = seen.get(text, b'') + bytes([label])
    once = Counter(labels[0] for labels in seen.values() if len(labels) == 1) or Counter(b''.join(seen.values()))
    if not once:
        raise UserError(f'{training_file} has no statement with a label')
    unseen = once.most_common(1)[0][0]
    evaluated = list(_read(evaluated_file))
    right = sum(
        (Counter(seen[text]).most_common(1)[0][0] if text in seen else unseen) == label for text, label in evaluated
    )
    return 100 * right / max(len(evaluated), 1), len(evaluated)


@METRICS.register_module()
class SNLIVEAccuracy(ClassificationAccuracy):
    """``accuracy`` in percent, and what is reached without a look at the image, which it has to beat.

    ``accuracy_hypothesis`` is that of the most frequent training label of the same hypothesis. A figure that is not
    above it, or not above ``accuracy_blind``, is a warning.

    Args:
        evaluated_file: The official jsonl of the split that is evaluated.
        training_file: That of training. Where one of them is not there, the log says that the baseline is left out.
        blind: Accuracy in percent of the same model trained without the image, such as that of
            ``soho_res18_snli_ve_blind.py``, which ``accuracy_blind`` shows again; by default left out.
        **kwargs: See :class:`ClassificationAccuracy`.

    Raises:
        UserError: ``blind`` is no percentage.
    """

    def __init__(
        self, evaluated_file: str | None = None, training_file: str | None = None, blind: float | None = None, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        if blind is not None and not 0 <= blind <= 100:
            raise UserError(f'blind={blind} of SNLIVEAccuracy is no accuracy in percent, from 0 to 100')
        self.evaluated_file = evaluated_file
        self.training_file = training_file
        self.blind = blind
        self._same_hypothesis: tuple[float, int] | None = None

    def compute_metrics(self, results: list[Record]) -> dict[str, float]:
        """Compute the metrics; see the class."""
        metrics = super().compute_metrics(results)
        baselines = {
            'accuracy_hypothesis': (
                self._find_baseline(sum(record.count for record in results)),
                'the most frequent label of the same hypothesis in training',
            ),
            'accuracy_blind': (self.blind, 'the same model trained without the image'),
        }
        for name, (baseline, rule) in baselines.items():
            if baseline is not None:
                metrics[name] = baseline
                warn_unless_beaten('accuracy', metrics.get('accuracy', 0.0), baseline, rule, ' %')
        return metrics

    def _find_baseline(self, count: int) -> float | None:
        """Return ``accuracy_hypothesis``, or ``None`` where it cannot be known of these ``count`` statements."""
        paths = [path for path in (self.evaluated_file, self.training_file) if path is not None]
        if len(paths) < 2:
            return None
        if missing := [path for path in paths if not os.path.isfile(path)]:
            print_log(f'No accuracy_hypothesis: there is no file {missing[0]}.', logger='current')
            return None
        if self._same_hypothesis is None:
            self._same_hypothesis = score_same_hypothesis(paths[1], paths[0])
        accuracy, expected = self._same_hypothesis
        if expected != count:
            print_log(
                f'No accuracy_hypothesis: {count} statements were evaluated, and {paths[0]} has {expected}.',
                logger='current',
            )
            return None
        return accuracy
