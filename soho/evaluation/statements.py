"""Accuracy and consistency on statements that are true or false: NLVR and NLVR2.

Official code: lil-lab/nlvr, nlvr/metrics_images.py and nlvr2/eval/.
"""

import csv
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from soho.datasets.batch import Batch
from soho.datasets.nlvr2 import parse_identifier
from soho.datasets.records import ExampleName, LabeledStatement
from soho.datasets.statements import CLASS_NAMES
from soho.datasets.storage.json_files import PathLike
from soho.datasets.storage.json_records import stream_lines
from soho.errors import UserError, clip, quote
from soho.evaluation.baselines import warn_unless_beaten
from soho.evaluation.evaluator import Metric, Prediction
from soho.evaluation.submission import Submission
from soho.files import atomic_write, iterate_lines
from soho.registry import METRICS


class StatementScores(NamedTuple):
    """Shares, 0 to 1."""

    accuracy: float
    consistency: float


def score_statements(correct: Sequence[bool], groups: Sequence[Hashable]) -> StatementScores:
    """Accuracy over all predictions, and the share of groups of which every prediction is correct.

    Args:
        correct: Whether each prediction is; of NLVR one an image.
        groups: Group of each prediction. NLVR: the first part of the identifier, which counts presentations of
            four examples; NLVR2: split, set and sentence, see :attr:`soho.datasets.nlvr2.Identifier.group`.

    Raises:
        UserError: There is no prediction.
    """
    if not len(correct):
        raise UserError('there is no prediction to score')
    consistent: dict[Hashable, bool] = {}
    for right, group in zip(correct, groups, strict=True):
        consistent[group] = consistent.get(group, True) and bool(right)
    return StatementScores(sum(map(bool, correct)) / len(correct), sum(consistent.values()) / len(consistent))


def read_categories(path: PathLike) -> dict[str, list[str]]:
    """Return the linguistic categories of sentences of NLVR2's dev, from the official ``annotated_dev_examples.txt``.

    A sentence stands on a line of its own, its categories on lines beginning with ``*`` behind it. Also gzipped.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: A category stands before the first sentence, or the file is no text or not unpacked.
    """
    categories: dict[str, list[str]] = {}
    sentence = None
    for number, line in enumerate(map(str.strip, iterate_lines(path)), start=1):
        if line.startswith('*'):
            if sentence is None:
                raise UserError(f'{path} has a category in line {number} before any sentence')
            categories[sentence].append(line.lstrip('* '))
        elif line:
            sentence = line
            categories.setdefault(sentence, [])
    return categories


def score_categories(
    correct: Sequence[bool], sentences: Sequence[str], categories: Mapping[str, Sequence[str]]
) -> dict[str, tuple[float, int]]:
    """Accuracy, 0 to 1, and number of predictions of each linguistic category.

    Args:
        correct: Whether each prediction is.
        sentences: Its sentence; most belong to no category.
        categories: Of sentences, see :func:`read_categories`.
    """
    by_category = defaultdict(list)
    for right, sentence in zip(correct, sentences, strict=True):
        for name in categories.get(sentence.strip(), ()):
            by_category[name].append(bool(right))
    return {name: (sum(found) / len(found), len(found)) for name, found in sorted(by_category.items())}


class Record(NamedTuple):
    """Prediction for one example: the logits of False and True, and the label, -1 if it is not known."""

    question_id: int
    logits: tuple[float, float]
    label: int


@METRICS.register_module()
class StatementAccuracy(Metric):
    """``accuracy`` and ``consistency`` in percent, of NLVR and NLVR2.

    Several predictions of an example, such as those of a pair in both orders, are averaged. A data set without
    labels has no metric.

    Args:
        subsets: Name to an official file (jsonl) with the examples of a subset, such as ``balanced_dev.json``:
            adds ``accuracy_<name>``, over those of them that the data set has; how many it lacks is said in the log.
        categories: The official ``annotated_dev_examples.txt``: adds ``category/<name>``. Its sentences are looked
            up in ``annotation_file``.
        annotation_file: The official jsonl of the split; needed for ``categories`` only.
        majority_answer: ``'True'`` or ``'False'``, the more frequent label of the training statements.
            ``accuracy_majority`` is then what giving it always would score, and an accuracy that is not above it is a
            warning.
        **kwargs: See :class:`Metric`. ``out_file`` is the official submission: a csv of identifier and label.

    Raises:
        FileNotFoundError, UserError: When built: a file is missing or faulty. When the loop is built, before the
            first prediction: a file of examples is of another split than the data set.
    """

    def __init__(
        self,
        subsets: Mapping[str, str] | None = None,
        categories: str | None = None,
        annotation_file: str | None = None,
        majority_answer: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if (categories is None) != (annotation_file is None):
            raise UserError('categories and annotation_file of StatementAccuracy go together: give both or neither')
        self.majority_answer = majority_answer
        self.subsets: dict[str, set[str]] = {}
        self.categories: dict[str, list[str]] = {}
        self.sentences: dict[str, str] = {}
        if not is_main_process():  # metrics are computed on one rank
            return
        for name, path in (subsets or {}).items():
            self.subsets[name] = {record.identifier for record in stream_lines(path, ExampleName)}
        if categories is not None and annotation_file is not None:
            self.categories = read_categories(categories)
            records = stream_lines(annotation_file, LabeledStatement)
            self.sentences = {record.identifier: record.sentence for record in records}

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, meta: dict[str, Any]) -> None:
        """Take the names of the examples, and check that the subsets are of them."""
        self._dataset_meta = meta
        examples = set(meta.get('identifiers', ()))
        asked = {f'the subset {name!r}': members for name, members in self.subsets.items()}
        if self.sentences:
            asked['annotation_file'] = set(self.sentences)
        for what, members in asked.items() if examples else ():
            if not (there := members & examples):
                raise UserError(
                    f'none of the {len(members)} examples of {what} of StatementAccuracy, such as '
                    f'{clip(min(members))}, is in the data set, which has {clip(min(examples))}'
                )
            if len(there) < len(members):
                print_log(f'The data set has {len(there)} of the {len(members)} examples of {what}.', logger='current')

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Store the logits and the label of each sentence.

        Args:
            data_batch: ``answer_labels`` (B, S, K) int64, of which the first is used, and ``sentence_mask`` (B, S).
            prediction: ``question_id`` (R',) int64 and ``logits`` (R', 2) of the sentences.
        """
        labels = data_batch['answer_labels'].cpu()[..., 0][data_batch['sentence_mask'].cpu()].tolist()
        ids, logits = prediction['question_id'].tolist(), prediction['logits'].float().tolist()
        self.results += [Record(i, tuple(row), label) for i, row, label in zip(ids, logits, labels, strict=True)]

    def compute_metrics(self, results: list[Record]) -> dict[str, float]:
        """Compute the metrics in percent; see the class.

        Raises:
            UserError: An example has no prediction.
        """
        predictions = self._predictions(results)
        label = {record.question_id: record.label for record in results}
        if any(value < 0 for value in label.values()):
            print_log('The data set has examples without a label: no accuracy is computed.', logger='current')
            return {}
        identifiers, groups = self._names('identifiers'), self._names('groups')
        correct = {number: predicted == label[number] for number, predicted in predictions.items()}
        scores = score_statements(list(correct.values()), [groups[number] for number in correct])
        metrics = {name: 100 * value for name, value in scores._asdict().items()}
        if self.majority_answer is not None:
            majority = 100 * sum(CLASS_NAMES[value] == self.majority_answer for value in label.values()) / len(label)
            rule = f'always giving {self.majority_answer!r}'
            warn_unless_beaten('accuracy', metrics['accuracy'], majority, rule, ' %')
            metrics['accuracy_majority'] = majority
        by_name = {identifiers[number]: right for number, right in correct.items()}
        for name, members in self.subsets.items():
            members &= by_name.keys()
            metrics[f'accuracy_{name}'] = 100 * sum(by_name[member] for member in members) / len(members)
        if self.categories:
            sentences = [self.sentences.get(name, '') for name in by_name]
            by_category = score_categories(list(by_name.values()), sentences, self.categories)
            metrics |= {f'category/{name}': 100 * share for name, (share, _) in by_category.items()}
        return metrics

    def _names(self, kind: str) -> Sequence[str]:
        """``identifiers`` or ``groups`` of the examples, see :class:`soho.datasets.statements.StatementDataset`."""
        meta: dict[str, Any] = self.dataset_meta or {}
        if kind not in meta:
            raise UserError('StatementAccuracy is for NLVR and NLVR2 in test mode: test_mode=True in their data set')
        return meta[kind]

    def _predictions(self, results: list[Record]) -> dict[int, int]:
        """Predicted class by example, in the order of the data set.

        Raises:
            UserError: An example has no prediction, or another number of predictions than the others.
        """
        logits = defaultdict(list)
        for record in results:
            logits[record.question_id].append(record.logits)
        identifiers = self._names('identifiers')
        numbers = range(len(identifiers))
        if missing := [number for number in numbers if number not in logits]:
            raise UserError(f'{len(missing)} examples, such as {clip(identifiers[missing[0]])}, have no prediction')
        if len({len(of_example) for of_example in logits.values()}) > 1:
            raise UserError('the examples have different numbers of predictions, so that they cannot be averaged')
        return {number: int(np.mean(logits[number], 0).argmax()) for number in numbers}

    def write(self, results: list[Record], path: str) -> None:
        """Write the official submission: a line ``identifier,label`` an example, in the order of the data set."""
        identifiers = self._names('identifiers')
        predictions = self._predictions(results)
        with atomic_write(path, 'w') as file:
            file.writelines(f'{identifiers[n]},{CLASS_NAMES[predicted]}\n' for n, predicted in predictions.items())


def read_submission(path: PathLike) -> dict[str, bool]:
    """Return the predictions of an official submission of NLVR or NLVR2 by identifier.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: A line is not an identifier and True or False, or an identifier is repeated.
    """
    predictions: dict[str, bool] = {}
    reader = csv.reader(iterate_lines(path, newline=''))
    try:
        for row in reader:
            where = f'line {reader.line_num} of {path}'
            if len(row) != 2 or row[1].strip().lower() not in ('true', 'false'):
                raise UserError(f'{where} is {quote(",".join(row))}; it must be IDENTIFIER,True or ,False')
            identifier = row[0].strip()
            if identifier in predictions:
                raise UserError(f'{where} predicts {clip(identifier)} a second time')
            predictions[identifier] = row[1].strip().lower() == 'true'
    except csv.Error as error:
        raise UserError(f'{path} is no csv at line {reader.line_num}: {error}') from error
    return predictions


def check_submission(path: PathLike, annotation_file: PathLike | None = None) -> Submission:
    """Check a submission of NLVR2, and return what it holds.

    Args:
        path: The csv.
        annotation_file: The official jsonl of the split: each of its examples must be predicted, and no other.

    Raises:
        FileNotFoundError: A file is missing.
        UserError: What is wrong with the submission.
    """
    predictions = read_submission(path)
    splits = {parse_identifier(identifier, str(path)).split for identifier in predictions}
    if len(splits) != 1:
        raise UserError(f'{path} predicts {", ".join(sorted(splits)) or "nothing"}; a submission is of one split')
    if annotation_file is not None:
        check_complete(predictions, (record.identifier for record in stream_lines(annotation_file, ExampleName)), path)
    return Submission(len(predictions))


def check_complete(predicted: Iterable[str], expected: Iterable[str], path: PathLike) -> None:
    """Check that a submission predicts what is asked.

    Raises:
        UserError: It lacks a prediction, or has one too many.
    """
    predicted, expected = set(predicted), set(expected)
    for names, what in ((expected - predicted, 'lacks'), (predicted - expected, 'has')):
        if names:
            which = 'that are asked for' if what == 'lacks' else 'that nobody asked for'
            raise UserError(f'{path} {what} {len(names)} predictions {which}, such as {clip(min(names))}')
