"""The metrics of GQA: accuracy, consistency, validity, plausibility, distribution.

Source: Hudson and Manning, "GQA" (CVPR 2019, arXiv:1902.09506), section 4.4; the official ``eval.py`` of its download.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from mmengine.dist import is_main_process
from mmengine.logging import print_log

from soho.datasets.batch import Batch
from soho.datasets.records import GQAChoices, GQAPrediction, GQATruth
from soho.datasets.storage.json_files import PathLike, write_json
from soho.datasets.storage.json_records import read_members, stream_members, stream_records, to_record
from soho.errors import UserError, clip, quote
from soho.evaluation.evaluator import Metric, Prediction
from soho.evaluation.submission import Submission
from soho.registry import METRICS

# Steps of a question's program that only phrase the answer.
_NO_STEPS = ('exist', 'query: name', 'choose name')
# What the valid answers to "what is common to ..." are, whatever the file of choices says.
_COMMON = ('color', 'material', 'shape')


class Question(NamedTuple):
    """What the metrics read of an official question; ``answer`` is ``None`` where it is not public."""

    answer: str | None
    balanced: bool = True
    words: int = 0
    steps: int = 0
    structural: str = ''
    """Structural type: query, verify, logical, choose or compare."""
    semantic: str = ''
    detailed: str = ''
    group: str | None = None
    """Global group of the answer, such as ``'color'``."""
    entailed: tuple[str, ...] = ()


class Choices(NamedTuple):
    """Answers in the range of a question, and those that make sense in the real world."""

    valid: Collection[str]
    plausible: Collection[str]


class GQAScores(NamedTuple):
    """Percent over the balanced questions, but for ``distribution``; ``None`` where it cannot be computed."""

    accuracy: float
    binary: float
    open: float
    validity: float | None
    plausibility: float | None
    consistency: float | None
    distribution: float
    """Chi-square / 100 of the predicted against the true answers of each group; lower is better."""
    per_structural_type: dict[str, tuple[float, int]]
    """Accuracy and number of questions."""
    per_semantic_type: dict[str, tuple[float, int]]
    per_length: dict[int, tuple[float, int]]
    """By number of words."""
    per_steps: dict[int, tuple[float, int]]
    """By number of reasoning steps."""


def parse_question(record: Mapping[str, Any], where: str) -> Question:
    """Return what the metrics need of a question of the official json files.

    Raises:
        UserError: It has an answer, but lacks something of what comes with an answer.
    """
    return _question(to_record(record, GQATruth, where))


def _question(record: GQATruth) -> Question:
    if record.answer is None:
        return Question(None, record.isBalanced is None or bool(record.isBalanced))
    types, groups = record.types, record.groups
    assert types is not None and groups is not None, 'the record checks it'
    program = [f'{step.operation}: {step.argument}' for step in record.semantic or ()]
    return Question(
        record.answer,
        bool(record.isBalanced),
        len(record.question.split()),
        sum(not any(part in step for part in _NO_STEPS) for step in program),
        types.structural,
        types.semantic,
        types.detailed or '',
        groups.global_,
        tuple(record.entailed or ()),
    )


def is_number(name: str) -> bool:
    """Whether the id of a question is a number of 64 bits, as those of GQA are; it may begin with zeros."""
    return re.fullmatch('[0-9]{1,18}', name) is not None


def name_numbers(names: Collection[str], source: PathLike) -> dict[int, str]:
    """Return the official ids of questions by the numbers that they are, without leading zeros, in a batch.

    Args:
        names: The ids.
        source: The file that they are from.

    Raises:
        UserError: One is no number, or two are the same number.
    """
    if strange := [name for name in names if not is_number(name)]:
        raise UserError(f'{source} has the question id {quote(strange[0])}; the ids of GQA are up to 18 digits')
    by_number = {int(name): name for name in names}
    if len(by_number) < len(names):
        raise UserError(f'{source} has ids that differ in leading zeros only, which cannot be told apart')
    return by_number


def write_submission(path: PathLike, answers: Mapping[str, str]) -> None:
    """Write answers by official id in the form of GQA's server."""
    write_json(path, [dict(questionId=name, prediction=answer) for name, answer in answers.items()])


def read_questions(path: PathLike) -> dict[str, Question]:
    """Return the questions of an official json file, such as ``val_balanced_questions.json``, by id.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is not in the official form.
    """
    return read_members(path, GQATruth, _question)


def read_choices(path: PathLike) -> dict[str, Choices]:
    """Return the choices by question of an official file, such as ``val_choices.json``.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is not in the official form.
    """
    return read_members(path, GQAChoices, lambda record: Choices(record.valid, record.plausible))


def score_gqa(
    predictions: Mapping[str, str], questions: Mapping[str, Question], choices: Mapping[str, Choices] | None = None
) -> GQAScores:
    """Return the official metrics.

    Args:
        predictions: Answer by question id: to all balanced questions, and for the consistency to all that
            they entail.
        questions: All questions of the split, or the balanced ones, which leaves the consistency out.
        choices: Of the balanced questions; needed for validity and plausibility.

    Raises:
        UserError: There is no balanced question, or one has no prediction or no choices.
    """
    balanced = {name: question for name, question in questions.items() if question.balanced}
    if not balanced:
        raise UserError('GQA is scored on balanced questions, and there is none')
    for lookup, what in ((predictions, 'no prediction'), (choices, 'no choices')):
        if lookup is not None and (missing := balanced.keys() - lookup.keys()):
            raise UserError(f'{len(missing)} balanced questions of GQA, such as {clip(min(missing))}, have {what}')
    correct = {name: predictions[name] == question.answer for name, question in balanced.items()}
    kinds: list[dict[Any, list[bool]]] = [defaultdict(list) for _ in range(5)]
    for name, question in balanced.items():
        keys = (question.structural, question.semantic, question.words, question.steps, question.structural == 'query')
        for kind, key in zip(kinds, keys):
            kind[key].append(correct[name])
    *per, is_open = kinds
    by_kind = [{key: (_percent(kind[key]), len(kind[key])) for key in sorted(kind)} for kind in per]
    valid = plausible = None
    if choices is not None:
        valid, plausible = (
            _percent(predictions[name] in _range(question, choices[name], i) for name, question in balanced.items())
            for i in (0, 1)
        )
    return GQAScores(
        _percent(correct.values()),
        _percent(is_open.get(False, ())),
        _percent(is_open.get(True, ())),
        valid,
        plausible,
        _consistency(predictions, questions, correct),
        _distribution(predictions, balanced.items()),
        *by_kind,
    )


def _percent(values: Iterable[float]) -> float:
    values = list(values)
    return 100 * sum(values) / len(values) if values else 0.0


def _range(question: Question, choices: Choices, which: int) -> Collection[str]:
    return _COMMON if 'Common' in question.detailed else choices[which]


def _consistency(
    predictions: Mapping[str, str], questions: Mapping[str, Question], correct: Mapping[str, bool]
) -> float | None:
    """Mean over the right questions of the accuracy on those they entail; ``None`` if some of these are unknown."""
    shares = []
    for name, right in correct.items():
        entailed = [other for other in questions[name].entailed if other != name]
        if right and entailed:
            if any(other not in questions or other not in predictions for other in entailed):
                return None
            shares.append(sum(predictions[o] == questions[o].answer for o in entailed) / len(entailed))
    return _percent(shares)


def _distribution(predictions: Mapping[str, str], balanced: Iterable[tuple[str, Question]]) -> float:
    truth: dict[str, Counter] = defaultdict(Counter)
    predicted: dict[str, Counter] = defaultdict(Counter)
    for name, question in balanced:
        if question.group is not None:
            truth[question.group][question.answer] += 1
            predicted[question.group][predictions[name]] += 1
    weighted = [
        (sum((predicted[group][answer] - count) ** 2 / count for answer, count in counts.items()), counts.total())
        for group, counts in truth.items()
    ]
    questions = sum(total for _, total in weighted)
    return sum(score * total for score, total in weighted) / questions / 100 if questions else 0.0


class Record(NamedTuple):
    """Prediction for one question."""

    question_id: int
    label: int


@METRICS.register_module()
class GQAAccuracy(Metric):
    """The official metrics of GQA, in percent; a file without answers has none, and only the server file is written.

    Args:
        questions: The official json file of the split. Its ids may have leading zeros, which those of a batch,
            numbers, do not have.
        choices: The official file of choices: adds ``validity`` and ``plausibility``.
        details: Also ``structural/<type>``, ``semantic/<type>``, ``words/<n>`` and ``steps/<n>``.
        **kwargs: See :class:`Metric`. ``out_file`` is the server's: a list of ``questionId`` and ``prediction``.

    Raises:
        FileNotFoundError, UserError: When built: a file is missing or not in the official form.
    """

    def __init__(self, questions: str, choices: str | None = None, details: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.details = details
        self.questions: dict[str, Question] = {}
        self.choices: dict[str, Choices] | None = None
        if is_main_process():  # metrics are computed on one rank
            self.questions = read_questions(questions)
            self.choices = None if choices is None else read_choices(choices)
        self.names = name_numbers(self.questions, questions)

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Store question id and label of each question: ``question_id`` and ``label`` (R',) int64."""
        self.results += map(Record, prediction['question_id'].tolist(), prediction['label'].tolist())

    def compute_metrics(self, results: list[Record]) -> dict[str, float]:
        """Compute the metrics; see the class.

        Raises:
            UserError: A prediction is missing, repeated or of an unknown question.
        """
        if any(question.answer is None for question in self.questions.values()):
            print_log('The questions have no answers: no metric is computed.', logger='current')
            return {}
        scores = score_gqa(self._answers(results), self.questions, self.choices)
        if scores.consistency is None:
            print_log('No consistency: it needs the file of all questions and predictions for them.', logger='current')
        names = ('accuracy', 'binary', 'open', 'validity', 'plausibility', 'consistency', 'distribution')
        metrics = {name: value for name in names if (value := getattr(scores, name)) is not None}
        if self.details:
            for kind in ('structural_type', 'semantic_type', 'length', 'steps'):
                part: dict[Any, tuple[float, int]] = getattr(scores, f'per_{kind}')
                name = dict(length='words').get(kind, kind.removesuffix('_type'))
                metrics |= {f'{name}/{key}': share for key, (share, _) in part.items()}
        return metrics

    def _answers(self, results: list[Record]) -> dict[str, str]:
        meta: dict[str, Any] = self.dataset_meta or {}
        classes = meta['class_names']
        answers: dict[str, str] = {}
        for record in results:
            name = self.names.get(record.question_id)
            if name is None or name in answers:
                what = 'is not in the file of questions' if name is None else 'is predicted twice'
                raise UserError(f'the question {record.question_id} of GQA {what}')
            answers[name] = classes[record.label]
        return answers

    def write(self, results: list[Record], path: str) -> None:
        """Write the server file, in the order of the questions."""
        answers = self._answers(results)
        write_submission(path, {name: answers[name] for name in self.questions if name in answers})


def check_submission(path: PathLike, questions: PathLike | None = None) -> Submission:
    """Check a server file of GQA, and return what it holds.

    Args:
        path: The json file.
        questions: The official questions: each must be predicted, and no other.

    Raises:
        FileNotFoundError: A file is missing.
        UserError: What is wrong with it.
    """
    found: set[str] = set()
    empty = 0
    for item in stream_records(path, GQAPrediction, strict=True):
        if item.questionId in found:
            raise UserError(f'{path} predicts the question {clip(item.questionId)} twice')
        found.add(item.questionId)
        empty += not item.prediction.strip()
    if questions is not None:
        expected = {name for name, _ in stream_members(questions, GQATruth)}
        for names, what in ((expected - found, 'lacks'), (found - expected, 'predicts')):
            if names:
                beyond = '' if what == 'lacks' else 'that are not '
                raise UserError(
                    f'{path} {what} {len(names)} questions {beyond}of {questions}, such as {clip(min(names))}'
                )
    return Submission(len(found), empty)
