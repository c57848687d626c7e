"""Official VQA accuracy, overall and by type of answer and question.

Source: Antol et al., "VQA: Visual Question Answering" (ICCV 2015), section 3;
official code GT-Vision-Lab/VQA, PythonEvaluationTools/vqaEvaluation/vqaEval.py.
"""

import sys
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from torch import Tensor

from soho.datasets.answer_list import answer_text
from soho.datasets.base import first_id, id_order
from soho.datasets.batch import Batch
from soho.datasets.records import Answer, AnsweredQuestion, AskedQuestion, VQAPrediction
from soho.datasets.storage.json_files import MissingKeyError, PathLike, load_json, load_members, write_json
from soho.datasets.storage.json_records import stream_records, to_record
from soho.errors import UserError, quote
from soho.evaluation.baselines import warn_unless_beaten
from soho.evaluation.evaluator import Metric, Prediction
from soho.evaluation.submission import Submission
from soho.evaluation.vqa_normalization import clean_answer, normalize_answer
from soho.registry import METRICS

TEST_QUESTIONS, TEST_DEV_QUESTIONS = 447_793, 107_394
"""Questions of VQA v2's test2015, and of the part of them that is called test-dev."""


class GroundTruth(NamedTuple):
    """Answers of the annotators to one question."""

    answers: tuple[str, ...]
    answer_type: str | None = None  # 'yes/no', 'number' or 'other'
    question_type: str | None = None  # the question's first words, such as 'how many'


class VQAScores(NamedTuple):
    """Accuracies in percent, unrounded."""

    overall: float
    per_answer_type: dict[str, float]
    per_question_type: dict[str, float]
    per_question: dict[int | str, float]


class Record(NamedTuple):
    """Prediction for one question; ``score`` is the soft target of ``label`` (None: no answers in the batch)."""

    question_id: int | str
    label: int
    score: float | None
    majority_score: float | None = None
    """Soft target of the majority answer, where there is one."""


def question_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """Accuracy of a prediction against the annotators' ``answers``, usually ten: 0 to 1.

    The mean of min(n / 3, 1) over the subsets that leave one annotator out, n
    being the number of remaining annotators who gave this answer. As in the
    official code, answers are normalised only where the annotators disagree. A
    single answer is compared without normalisation.
    """
    answers = [clean_answer(answer) for answer in answers]
    prediction = clean_answer(prediction)
    if len(answers) == 1:
        return float(prediction == answers[0])
    if len(set(answers)) > 1:
        answers = [normalize_answer(answer) for answer in answers]
        prediction = normalize_answer(prediction)
    agreeing = answers.count(prediction)
    subsets = [min(1.0, (agreeing - (answer == prediction)) / 3) for answer in answers]
    return sum(subsets) / len(subsets)


def score_answers(predictions: Mapping[Any, str], truth: Mapping[Any, GroundTruth]) -> VQAScores:
    """Accuracies of ``predictions`` (answers by question id) over all questions of ``truth``.

    Raises:
        KeyError: A question of ``truth`` has no prediction.
    """
    per_question, answer_types, question_types = {}, defaultdict(list), defaultdict(list)
    for question_id, question in truth.items():
        accuracy = 100 * question_accuracy(predictions[question_id], question.answers)
        per_question[question_id] = accuracy
        answer_types[question.answer_type].append(accuracy)
        question_types[question.question_type].append(accuracy)

    def means(groups: dict[str | None, list[float]]) -> dict[str, float]:
        return {name: sum(group) / len(group) for name, group in groups.items() if name is not None}

    overall = sum(per_question.values()) / max(len(per_question), 1)
    return VQAScores(overall, means(answer_types), means(question_types), per_question)


def stream_annotations(annotation_file: PathLike) -> Iterator[tuple[int | str, tuple[str, ...], AnsweredQuestion]]:
    """Question id, answers and the whole item of each entry of a VQA annotation file.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The JSON is broken, a key or all answers are missing, or a question is repeated.
    """
    seen: set[int | str] = set()
    for item in stream_records(annotation_file, AnsweredQuestion, 'annotations'):
        if item.question_id in seen:
            raise UserError(f'Question {quote(item.question_id)} of {annotation_file} is listed twice.')
        seen.add(item.question_id)
        # Interned: of two million answers few are distinct.
        yield item.question_id, tuple(sys.intern(answer_text(answer.answer)) for answer in item.answers), item


def load_truth(annotation_file: PathLike) -> dict[int | str, GroundTruth]:
    """Read the ground truth from VQA annotations, or from a plain ``{question_id: answer}`` file such as easy-VQA's.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: See :func:`stream_annotations`, or the file has neither of the two layouts.
    """
    try:
        return {
            question_id: GroundTruth(answers, item.answer_type, item.question_type)
            for question_id, answers, item in stream_annotations(annotation_file)
        }
    except MissingKeyError as error:
        # A file without 'annotations' may have the plain layout; an item without its keys is an error.
        if error.key != 'annotations':
            raise
    answers = load_json(annotation_file)
    if not isinstance(answers, dict) or any(isinstance(answer, (list, dict)) for answer in answers.values()):
        raise UserError(
            f"{annotation_file} has neither a list 'annotations', as VQA's annotation files "
            'have, nor is it an object of question ids and answers, as {"17": "red"}.'
        )
    checked = to_record(answers, dict[str, Answer], f'{annotation_file}')
    return {plain_id(key): GroundTruth((answer_text(answer),)) for key, answer in checked.items()}


def plain_id(key: str) -> int | str:
    """The question id that a key of an object stands for: a number if it is one, as JSON has no keys but texts."""
    return int(key) if key.isascii() and key.isdigit() and len(key) < 19 and str(int(key)) == key else key


def _summarize(ids: Collection[int | str]) -> str:
    return f'{len(ids)} question{"s" * (len(ids) > 1)} (the first is {quote(first_id(ids))})'


def check_submission(path: PathLike, questions: PathLike | None = None) -> Submission:
    """Check a file of VQA answers for EvalAI, and return what it holds.

    Both phases of the challenge, test-dev and test-standard, take the answers to all questions of test2015.

    Args:
        path: ``[{question_id, answer}, ...]``, see :meth:`VQAAccuracy.write`.
        questions: The official file of questions: each must be answered, and no other; it is not that of test-dev. By
            default only the number of answers is compared with that of test2015.

    Raises:
        FileNotFoundError: A file is missing.
        UserError: What is wrong with it.
    """
    found: set[int | str] = set()
    empty = 0
    for item in stream_records(path, VQAPrediction, strict=True):
        if item.question_id in found:
            raise UserError(f'{path} answers question {item.question_id} twice')
        found.add(item.question_id)
        empty += not item.answer.strip()
    if questions is not None:
        expected = {item.question_id for item in stream_records(questions, AskedQuestion, 'questions')}
        for ids, what in ((expected - found, 'lacks'), (found - expected, 'answers')):
            if ids:
                beyond = '' if what == 'lacks' else ', not asked in'
                raise UserError(f'{path} {what} {_summarize(ids)}{beyond or " of"} {questions}')
        if len(expected) == TEST_DEV_QUESTIONS or _is_test_dev(questions):
            raise UserError(
                f'{questions} has the questions of test-dev alone; EvalAI takes the answers to all {TEST_QUESTIONS} of '
                'test2015, for test-dev as well'
            )
    elif len(found) != TEST_QUESTIONS:
        part = ': these are the questions of test-dev alone' if len(found) == TEST_DEV_QUESTIONS else ''
        raise UserError(
            f'{path} answers {len(found)} questions{part}; EvalAI takes all {TEST_QUESTIONS} of test2015, for test-dev '
            'as well (answers to another split are checked against its file of questions)'
        )
    return Submission(len(found), empty)


def _is_test_dev(questions: PathLike) -> bool:
    """Return whether a file of questions says that it is that of test-dev."""
    try:
        return str(load_members(questions, 'data_subtype')['data_subtype']).startswith('test-dev')
    except MissingKeyError:  # only the official files have it
        return False


@METRICS.register_module()
class VQAAccuracy(Metric):
    """VQA accuracy in percent.

    With ``annotation_file`` the metrics are the official ones: ``accuracy``,
    and ``accuracy_yes_no``, ``accuracy_number``, ``accuracy_other`` where the
    file has answer types. Without it, ``accuracy`` is the mean soft target
    score of the predicted labels, taken from the batch; it differs from the
    official accuracy (0.3 per vote instead of leave-one-out thirds). A data
    set without answers has no metric.

    Args:
        annotation_file: VQA annotations json, or ``{question_id: answer}``.
        question_types: Also compute ``question_type/<type>`` for each type.
        majority_answer: The most frequent answer of the training questions. ``accuracy_majority`` is then what
            answering it always would score, and an accuracy that is not above it is a warning.
        out_file: File for the answers in the official submission format (json).
        prefix: Prefix of the metrics' names.

    Raises:
        FileNotFoundError, ValueError: See :func:`load_truth`; raised when built.
    """

    def __init__(
        self,
        annotation_file: str | None = None,
        question_types: bool = False,
        majority_answer: str | None = None,
        out_file: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(out_file=out_file, prefix=prefix)
        self.annotation_file = annotation_file
        self.question_types = question_types
        self.majority_answer = majority_answer
        # Metrics are computed on one rank; the others need not hold two million answers.
        self.truth = load_truth(annotation_file) if annotation_file and is_main_process() else None

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Store question id, label and soft score of each question.

        Args:
            data_batch: ``question_id`` int64 (B, S), ``sentence_mask`` bool (B, S) and, where known,
                ``answer_labels`` int64 (B, S, K), ``answer_scores`` float32 (B, S, K).
            prediction: ``question_id`` int64 (R,), ``label`` int64 (R,), for the R rows where
                ``sentence_mask`` is true.
        """
        question_ids, labels = prediction['question_id'].cpu(), prediction['label'].cpu()
        scores: Sequence[float | None] = [None] * len(question_ids)
        majority_scores = scores
        if self.annotation_file is None and 'answer_labels' in data_batch:
            mask = data_batch['sentence_mask'].cpu()
            if not data_batch['question_id'].cpu()[mask].equal(question_ids):
                raise ValueError('the predictions are not of the questions of this batch, in its order')
            targets = data_batch['answer_labels'].cpu()[mask]  # (R, K)
            soft = data_batch['answer_scores'].cpu()[mask]  # (R, K)
            known = (targets >= 0).any(-1).tolist()

            def known_scores(labels: Tensor) -> list[float | None]:
                row_scores = (soft * (targets == labels)).sum(-1).tolist()
                return [score if has else None for score, has in zip(row_scores, known)]

            scores = known_scores(labels[:, None])
            if self.majority_answer is not None:
                majority_scores = known_scores(torch.tensor(self._majority_label()))
        ids = (self.original_id('question_ids', number) for number in question_ids.tolist())
        self.results += map(Record, ids, labels.tolist(), scores, majority_scores)

    def compute_metrics(self, results: list[Record]) -> dict[str, float]:
        """Compute the metrics in percent; see the class.

        Raises:
            ValueError: A question is predicted twice, not at all or is unknown, or
                a label is outside the answer list.
        """
        if self.annotation_file is None:
            self._check_unique(results)
            if all(record.score is None for record in results):
                print_log('The data set has no answers: no accuracy is computed.', logger='current')
                return {}
            # A question without an answer in the answer list counts as 0.
            accuracy = 100 * sum(record.score or 0.0 for record in results) / len(results)
            if self.majority_answer is None:
                return {'accuracy': accuracy}
            return self._with_majority({'accuracy': accuracy}, [record.majority_score or 0.0 for record in results])
        answers = self._answers(results)
        assert self.truth is not None, 'metrics are computed on the main process'
        self._check_complete(answers)
        scores = score_answers(answers, self.truth)
        metrics = {'accuracy': scores.overall}
        for name in sorted(scores.per_answer_type):
            metrics[f'accuracy_{name.replace("/", "_")}'] = scores.per_answer_type[name]
        if self.question_types:
            for name in sorted(scores.per_question_type):
                metrics[f'question_type/{name}'] = scores.per_question_type[name]
        if self.majority_answer is None:
            return metrics
        always = [question_accuracy(self.majority_answer, question.answers) for question in self.truth.values()]
        return self._with_majority(metrics, always)

    def _with_majority(self, metrics: dict[str, float], scores: Sequence[float]) -> dict[str, float]:
        """Add what the majority answer scores, in percent, and warn where the model is not better."""
        majority = 100 * sum(scores) / len(scores)
        rule = f'always giving {self.majority_answer!r}'
        warn_unless_beaten('accuracy', metrics['accuracy'], majority, rule, ' %')
        return dict(metrics, accuracy_majority=majority)

    def _majority_label(self) -> int:
        """Return the label of the majority answer, or -2 where the answer list does not have it."""
        names = (self.dataset_meta or {}).get('class_names', [])
        return names.index(self.majority_answer) if self.majority_answer in names else -2

    def write(self, results: list[Record], path: str) -> None:
        """Write ``[{question_id, answer}, ...]`` in the order of the question ids."""
        answers = self._answers(results)
        write_json(path, [dict(question_id=number, answer=answers[number]) for number in sorted(answers, key=id_order)])

    @staticmethod
    def _check_unique(results: list[Record]) -> None:
        counts: dict[int | str, int] = defaultdict(int)
        for record in results:
            counts[record.question_id] += 1
        twice = [question_id for question_id, count in counts.items() if count > 1]
        if twice:
            raise UserError(f'More than one prediction was made for {_summarize(twice)}.')

    def _answers(self, results: list[Record]) -> dict[int | str, str]:
        """Answers by question id."""
        self._check_unique(results)
        meta: dict[str, Any] = self.dataset_meta or {}
        if 'class_names' not in meta:
            raise UserError("The VQA metric needs the answer list as metainfo['class_names'] of the data set.")
        class_names = meta['class_names']
        for record in results:
            if not 0 <= record.label < len(class_names):
                raise UserError(
                    f'Label {record.label}, predicted for question {quote(record.question_id)}, is '
                    f'outside the answer list of {len(class_names)} answers.'
                )
        return {record.question_id: class_names[record.label] for record in results}

    def _check_complete(self, answers: dict[int | str, str]) -> None:
        """Check that the predicted questions are those of the annotation file."""
        assert self.truth is not None, 'metrics are computed on the main process'
        unknown = answers.keys() - self.truth.keys()
        if unknown:
            raise UserError(f'{self.annotation_file} lacks {_summarize(unknown)} with a prediction.')
        missing = self.truth.keys() - answers.keys()
        if missing:
            raise UserError(f'{self.annotation_file} has {_summarize(missing)} without a prediction.')
