"""The official VQA accuracy, overall and by type of answer and question.

Source: Antol et al., "VQA: Visual Question Answering" (ICCV 2015), section 3;
official code GT-Vision-Lab/VQA, PythonEvaluationTools/vqaEvaluation/vqaEval.py.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from mmengine.dist import is_main_process
from mmengine.logging import print_log

from soho.datasets.storage.json_files import MissingKeyError, PathLike, load_json, stream_array, write_json
from soho.errors import UserError
from soho.evaluation.evaluator import Batch, Metric, Prediction
from soho.evaluation.vqa_normalization import clean_answer, normalize_answer
from soho.registry import METRICS


class Truth(NamedTuple):
    """What the annotators said about one question."""

    answers: tuple[str, ...]
    answer_type: str | None = None  # 'yes/no', 'number' or 'other'
    question_type: str | None = None  # the question's first words, such as 'how many'


class VQAScores(NamedTuple):
    """Accuracies in percent, unrounded."""

    overall: float
    per_answer_type: dict[str, float]
    per_question_type: dict[str, float]
    per_question: dict[int, float]


class Record(NamedTuple):
    """One predicted question; ``score`` is the soft target of ``label`` (None: no truth in the batch)."""

    question_id: int
    label: int
    score: float | None


def question_accuracy(prediction: str, answers: Sequence[str]) -> float:
    """How far ``answers``, usually ten, support ``prediction``: 0 to 1.

    Each annotator is left out in turn; a prediction that at least three of the
    others gave counts fully, fewer count a third each; the turns are averaged.
    As in the official code, answers are normalised only where the annotators
    disagree. A single answer is compared as it is.
    """
    answers = [clean_answer(answer) for answer in answers]
    prediction = clean_answer(prediction)
    if len(answers) == 1:
        return float(prediction == answers[0])
    if len(set(answers)) > 1:
        answers = [normalize_answer(answer) for answer in answers]
        prediction = normalize_answer(prediction)
    agreeing = answers.count(prediction)
    turns = [min(1.0, (agreeing - (answer == prediction)) / 3) for answer in answers]
    return sum(turns) / len(turns)


def score_answers(predictions: dict[int, str], truth: dict[int, Truth]) -> VQAScores:
    """Accuracies of ``predictions`` (question id to answer) over all questions of ``truth``.

    Raises:
        KeyError: A question of ``truth`` has no prediction.
    """
    per_question, answer_types, question_types = {}, defaultdict(list), defaultdict(list)
    for question_id, known in truth.items():
        accuracy = 100 * question_accuracy(predictions[question_id], known.answers)
        per_question[question_id] = accuracy
        answer_types[known.answer_type].append(accuracy)
        question_types[known.question_type].append(accuracy)

    def means(groups: dict[str | None, list[float]]) -> dict[str, float]:
        return {name: sum(group) / len(group) for name, group in groups.items() if name is not None}

    overall = sum(per_question.values()) / max(len(per_question), 1)
    return VQAScores(overall, means(answer_types), means(question_types), per_question)


def stream_annotations(annotation_file: PathLike) -> Iterator[tuple[int, tuple[str, ...], dict[str, Any]]]:
    """Question id, answers and the whole item of each entry of a VQA annotations file.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Broken JSON, a missing key, no answers, or a question that stands twice.
    """
    seen = set()
    for item in stream_array(annotation_file, 'annotations', required=('question_id', 'answers')):
        where = f'Question {item["question_id"]} of {annotation_file}'
        if item['question_id'] in seen:
            raise UserError(f'{where} stands there twice.')
        seen.add(item['question_id'])
        try:
            # Two million answers, few different ones.
            answers = tuple(sys.intern(answer['answer']) for answer in item['answers'])
        except (KeyError, TypeError) as error:
            raise MissingKeyError(
                f"{where} has answers that are not objects with a string 'answer'.", 'answer'
            ) from error
        if not answers:
            raise UserError(f'{where} has an empty list of answers.')
        yield item['question_id'], answers, item


def load_truth(annotation_file: PathLike) -> dict[int, Truth]:
    """Read VQA annotations, or a plain ``{question_id: answer}`` file such as easy-VQA's.

    Raises:
        FileNotFoundError: No such file.
        ValueError: As :func:`stream_annotations`, or neither of the two layouts.
    """
    try:
        return {
            question_id: Truth(answers, item.get('answer_type'), item.get('question_type'))
            for question_id, answers, item in stream_annotations(annotation_file)
        }
    except MissingKeyError as error:
        # A file without 'annotations' may be the plain layout; an item without its keys is a fault.
        if error.key != 'annotations':
            raise
    answers = load_json(annotation_file)
    if not isinstance(answers, dict) or not all(
        key.isdecimal() and isinstance(answer, str) for key, answer in answers.items()
    ):
        raise UserError(
            f"{annotation_file} has neither a list 'annotations', as VQA's annotation files "
            'have, nor is it an object of question ids and answers, as {"17": "red"}.'
        )
    return {int(question_id): Truth((answer,)) for question_id, answer in answers.items()}


def _some(ids: Iterable[int]) -> str:
    ids = sorted(ids)
    return f'{len(ids)} question{"s" * (len(ids) > 1)} (the first is {ids[0]})'


@METRICS.register_module()
class VQAAccuracy(Metric):
    """VQA accuracy in percent.

    With ``annotation_file`` the metrics are the official ones: ``accuracy``,
    and ``accuracy_yes_no``, ``accuracy_number``, ``accuracy_other`` where the
    file gives answer types. Without it, the soft target score of the predicted
    label, which the batch brings along, gives ``accuracy`` alone; it differs
    from the official figure (0.3 a vote instead of leave-one-out thirds), and a
    data set without any answers gives no figure.

    Args:
        annotation_file: VQA annotations json, or ``{question_id: answer}``.
        question_types: Also give ``question_type/<type>`` for each type.
        out_file: Where the answers go as the official submission json.
        prefix: Put before each figure's name.

    Raises:
        FileNotFoundError, ValueError: As :func:`load_truth`, when built.
    """

    def __init__(
        self,
        annotation_file: str | None = None,
        question_types: bool = False,
        out_file: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(out_file=out_file, prefix=prefix)
        self.annotation_file = annotation_file
        self.question_types = question_types
        # Figures are computed on one rank; the others need not hold two million answers.
        self.truth = load_truth(annotation_file) if annotation_file and is_main_process() else None

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Keep question id, label and soft score of each row.

        Args:
            data_batch: ``question_id`` int64 (B, S), ``sentence_mask`` bool (B, S) and, where known,
                ``answer_labels`` int64 (B, S, K), ``answer_scores`` float32 (B, S, K).
            prediction: ``question_id`` int64 (R,), ``label`` int64 (R,), for the R rows
                that ``sentence_mask`` lets through.
        """
        question_ids, labels = prediction['question_id'].cpu(), prediction['label'].cpu()
        scores: Sequence[float | None] = [None] * len(question_ids)
        if self.annotation_file is None and 'answer_labels' in data_batch:
            mask = data_batch['sentence_mask'].cpu()
            if not data_batch['question_id'].cpu()[mask].equal(question_ids):
                raise ValueError('the predictions are not of the questions of this batch, in its order')
            targets = data_batch['answer_labels'].cpu()[mask]  # (R, K)
            soft = data_batch['answer_scores'].cpu()[mask]  # (R, K)
            row_scores = (soft * (targets == labels[:, None])).sum(-1).tolist()
            known = (targets >= 0).any(-1).tolist()
            scores = [score if has else None for score, has in zip(row_scores, known)]
        self.results += map(Record, question_ids.tolist(), labels.tolist(), scores)

    def compute_metrics(self, results: list[Record]) -> dict[str, float]:
        """Figures in percent; see the class.

        Raises:
            ValueError: A question predicted twice, not at all or not known, or a
                label outside of the answer list.
        """
        if self.annotation_file is None:
            self._check_unique(results)
            if all(record.score is None for record in results):
                print_log('The data set has no answers: no accuracy is given.', logger='current')
                return {}
            # A question none of whose answers is in the answer list counts, and counts 0.
            return {'accuracy': 100 * sum(record.score or 0.0 for record in results) / len(results)}
        answers = self._answers(results)
        self._check_complete(answers)
        scores = score_answers(answers, self.truth)
        metrics = {'accuracy': scores.overall}
        for name in sorted(scores.per_answer_type):
            metrics[f'accuracy_{name.replace("/", "_")}'] = scores.per_answer_type[name]
        if self.question_types:
            for name in sorted(scores.per_question_type):
                metrics[f'question_type/{name}'] = scores.per_question_type[name]
        return metrics

    def write(self, results: list[Record], path: str) -> None:
        """Write ``[{question_id, answer}, ...]`` in the order of the question ids."""
        answers = self._answers(results)
        write_json(
            path, [dict(question_id=question_id, answer=answers[question_id]) for question_id in sorted(answers)]
        )

    @staticmethod
    def _check_unique(results: list[Record]) -> None:
        counts: dict[int, int] = defaultdict(int)
        for record in results:
            counts[record.question_id] += 1
        twice = [question_id for question_id, count in counts.items() if count > 1]
        if twice:
            raise UserError(f'More than one prediction was made for {_some(twice)}.')

    def _answers(self, results: list[Record]) -> dict[int, str]:
        """Question id to answer string."""
        self._check_unique(results)
        meta: dict[str, Any] = self.dataset_meta or {}
        if 'class_names' not in meta:
            raise UserError("The VQA metric needs the answer list as metainfo['class_names'] of the data set.")
        class_names = meta['class_names']
        for record in results:
            if not 0 <= record.label < len(class_names):
                raise UserError(
                    f'Label {record.label}, predicted for question {record.question_id}, is '
                    f'outside of the answer list of {len(class_names)} answers.'
                )
        return {record.question_id: class_names[record.label] for record in results}

    def _check_complete(self, answers: dict[int, str]) -> None:
        """Compare the predicted questions with those of the annotation file."""
        unknown = answers.keys() - self.truth.keys()
        if unknown:
            raise UserError(f'{self.annotation_file} does not know {_some(unknown)} that were predicted.')
        missing = self.truth.keys() - answers.keys()
        if missing:
            raise UserError(f'{self.annotation_file} has {_some(missing)} without a prediction.')
