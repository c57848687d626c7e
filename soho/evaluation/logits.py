"""Saved logits: the mean over several models, and the temperature that makes their confidence a probability."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from soho.datasets.records import GQATruth
from soho.datasets.storage.arrays import read_arrays
from soho.datasets.storage.json_files import enumerate_members
from soho.datasets.storage.json_records import stream_members
from soho.errors import UserError
from soho.evaluation.gqa import number_questions
from soho.evaluation.vqa import GroundTruth, load_truth, question_accuracy
from soho.files import PathLike
from soho.models.heads.classification import confidences

TEMPERATURES = (0.02, 50.0)
"""Range in which a temperature is looked for."""
DUMP = 'a dump of a classifier, as tools/test.py --dump writes'
_BINS = 15


class SavedLogits(NamedTuple):
    """Logits of a classifier, as :class:`soho.evaluation.dump.PredictionDump` writes them."""

    question_id: np.ndarray
    """(N,) int64, ascending and distinct."""
    logits: np.ndarray
    """(N, A) float32."""
    soft: bool
    """Whether a confidence is a sigmoid (several answers may be correct) or a softmax."""


def load_logits(path: PathLike) -> SavedLogits:
    """Read the dump of ``tools/test.py --dump``.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is no such dump, a question is in it twice, or its logits are not finite.
    """
    ids, logits, confidence = read_arrays(path, ('question_id', 'logits', 'confidence'), DUMP)
    fits = ids.shape == confidence.shape == logits.shape[:1] and logits.ndim == 2 and logits.size
    kinds = ids.dtype.kind in 'iu' and logits.dtype.kind == confidence.dtype.kind == 'f'
    if not (fits and kinds and np.isfinite(logits).all()):
        raise UserError(
            f'{path} must hold finite logits of at least one question, one row a question, with its number and the '
            'confidence in the answer to it'
        )
    order = np.argsort(ids, kind='stable')
    ids, logits, confidence = ids[order], logits[order].astype(np.float32), confidence[order]
    if (twice := ids[1:][ids[1:] == ids[:-1]]).size:
        raise UserError(f'{path} holds question {twice[0]} twice')
    # Of a binary classifier at logit z the sigmoid may be near the softmax; over all questions only one of them fits.
    tensor = torch.from_numpy(logits)
    distance = [np.abs(confidences(tensor, soft).amax(1).numpy() - confidence).mean() for soft in (True, False)]
    return SavedLogits(ids, logits, bool(distance[0] < distance[1]))


def average_logits(dumps: Mapping[str, SavedLogits], weights: Sequence[float] | None = None) -> SavedLogits:
    """Return the weighted mean of the logits of several models on the same questions.

    Args:
        dumps: By name, for errors.
        weights: One a model; equal by default. Only their ratios count.

    Raises:
        UserError: The questions, the number of answers or the kind of confidence differ; or the weights do not fit.
    """
    (first, base), *others = dumps.items()
    for name, dump in others:
        if not np.array_equal(dump.question_id, base.question_id):
            differ = np.setxor1d(dump.question_id, base.question_id)
            raise UserError(
                f'{name} and {first} are not of the same questions: {len(differ)}, such as {differ[0]}, are in one only'
            )
        if dump.logits.shape != base.logits.shape:
            raise UserError(f'{name} has {dump.logits.shape[1]} answers, but {first} has {base.logits.shape[1]}')
        if dump.soft != base.soft:
            raise UserError(
                f'{name} and {first} were not trained with the same loss (bce, ce): logits cannot be averaged'
            )
    shares = np.ones(len(dumps)) if weights is None else np.asarray(weights, np.float64)
    if len(shares) != len(dumps) or (shares < 0).any() or not shares.sum() > 0:
        raise UserError(f'{len(dumps)} models need as many weights, none below 0 and not all 0; these are {weights}')
    shares = shares / shares.sum()
    mean = sum(share * dump.logits.astype(np.float64) for share, dump in zip(shares, dumps.values()))
    return base._replace(logits=np.asarray(mean, np.float32))


class Questions(NamedTuple):
    """What the official file of a task says of its questions."""

    truth: Mapping[int | str, GroundTruth]
    """Answers by id; of GQA, whose ids are numbers here, those that are public."""
    names: dict[int, str] | None
    """Of GQA the official id by number, which may begin with zeros."""

    def to_submission(self, answers: Mapping[int, str]) -> list[dict]:
        """Return answers in the form of the task's server.

        Raises:
            UserError: A question of GQA is not in the official file.
        """
        if self.names is None:
            return [dict(question_id=number, answer=answer) for number, answer in answers.items()]
        if unknown := answers.keys() - self.names.keys():
            raise UserError(f'question {min(unknown)}, of which there are logits, is not in the file of questions')
        return [dict(questionId=self.names[number], prediction=answer) for number, answer in answers.items()]


def load_questions(path: PathLike) -> Questions:
    """Read VQA's annotations, see :func:`soho.evaluation.vqa.load_truth`, or GQA's questions.

    They are told apart by the first member, which of GQA is a question.

    Raises:
        FileNotFoundError, UserError: There is no such file, or it is in neither form.
    """
    first = next(iter(enumerate_members(path)), None)
    if first is None or not isinstance(first[1], dict) or not {'question', 'imageId'} <= first[1].keys():
        return Questions(load_truth(path), None)
    answers = {name: record.answer for name, record in stream_members(path, GQATruth)}
    names = number_questions(answers, path)
    truth: dict[int | str, GroundTruth] = {
        number: GroundTruth((answer,)) for number, name in names.items() if (answer := answers[name]) is not None
    }
    return Questions(truth, names)


def score_logits(saved: SavedLogits, answers: Sequence[str], truth: Mapping[int | str, GroundTruth]) -> np.ndarray:
    """Return the official VQA accuracy of the most probable answer to each question, (N,) float64 in [0, 1].

    Args:
        saved: The logits.
        answers: Answer list.
        truth: See :func:`load_questions`; questions without logits are not scored.

    Raises:
        UserError: The answer list is of another length, or a question is not in ``truth``.
    """
    if len(answers) != saved.logits.shape[1]:
        raise UserError(f'the answer list has {len(answers)} answers, but the logits are of {saved.logits.shape[1]}')
    ids, labels = saved.question_id.tolist(), saved.logits.argmax(1).tolist()
    if unknown := [question for question in ids if question not in truth]:
        raise UserError(f'question {unknown[0]}, of which there are logits, is not in the annotations')
    return np.array([question_accuracy(answers[label], truth[q].answers) for q, label in zip(ids, labels)])


class Calibration(NamedTuple):
    """How well confidences say how often answers are right."""

    log_loss: float
    """Mean of -s log p - (1 - s) log(1 - p) over confidences p and scores s, in nats."""
    calibration_error: float
    """Expected calibration error: mean over questions of |mean p - mean s| of their bin of confidence."""


def measure_calibration(confidence: np.ndarray, score: np.ndarray) -> Calibration:
    """Return log loss and expected calibration error (Guo et al., ICML 2017, section 2).

    Args:
        confidence: (N,) in [0, 1].
        score: (N,) in [0, 1]: whether, or how far, each answer is right.
    """
    p = np.clip(confidence.astype(np.float64), 1e-12, 1 - 1e-12)
    log_loss = float(-(score * np.log(p) + (1 - score) * np.log1p(-p)).mean())
    bins = np.minimum((p * _BINS).astype(int), _BINS - 1)
    error = sum(abs((p[bins == b] - score[bins == b]).sum()) for b in np.unique(bins)) / len(p)
    return Calibration(log_loss, float(error))


def answer_confidence(saved: SavedLogits, temperature: float) -> np.ndarray:
    """Return the confidence in the most probable answer of each question, (N,) float32."""
    return confidences(torch.from_numpy(saved.logits) / temperature, saved.soft).amax(1).numpy()


def fit_temperature(saved: SavedLogits, score: np.ndarray) -> float:
    """Return the temperature with the least log loss (Guo et al., ICML 2017, section 4.2).

    Here the loss is that of the answer given, right or wrong, since in VQA an answer may be right by halves.

    Args:
        saved: Logits on validation data, which the model was not trained on.
        score: (N,) score in [0, 1] of the most probable answer of each question.
    """
    # Golden section over the logarithm: one parameter needs no library.
    ratio = (math.sqrt(5) - 1) / 2
    low, high = map(math.log, TEMPERATURES)

    def loss(log_temperature: float) -> float:
        return measure_calibration(answer_confidence(saved, math.exp(log_temperature)), score).log_loss

    inner = [high - ratio * (high - low), low + ratio * (high - low)]
    losses = [loss(place) for place in inner]
    while high - low > 1e-4:
        if losses[0] <= losses[1]:
            high, inner = inner[1], [inner[1] - ratio * (inner[1] - low), inner[0]]
            losses = [loss(inner[0]), losses[0]]
        else:
            low, inner = inner[0], [inner[1], inner[0] + ratio * (high - inner[0])]
            losses = [losses[1], loss(inner[1])]
    return math.exp((low + high) / 2)
