"""What files of predictions are about, and what is right: questions, statements about pictures, captions."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from soho.datasets.coco_captions import CaptioningDataset
from soho.datasets.nlvr2 import NLVR2Dataset
from soho.datasets.records import QuestionedImage
from soho.datasets.statements import CLASS_NAMES, StatementDataset
from soho.datasets.storage.json_files import load_json
from soho.datasets.storage.json_records import stream_records
from soho.datasets.vqa import VQADataset
from soho.errors import UserError
from soho.evaluation.answer_examples import format_votes
from soho.evaluation.captions.metric import load_references, score_captions
from soho.evaluation.statements import read_submission, score_statements
from soho.evaluation.vqa import load_truth, score_answers

Id = int | str
Predictions = dict[Id, str]
TASKS = dict(
    VQAAccuracy='questions',
    GQAAccuracy='questions',
    ClassificationAccuracy='questions',
    SNLIVEAccuracy='questions',
    StatementAccuracy='statements',
    CaptionMetrics='captions',
)
"""What each metric that writes predictions is about."""
# Keys of an item of a file of predictions.
_KEYS = {('question_id', 'answer'): 'questions', ('questionId', 'prediction'): 'questions'}
_KEYS |= {('image_id', 'caption'): 'captions'}
_SMALLEST_SHARE, _SMALLEST = 0.01, 5  # of a group of questions that begin alike


class Scores(NamedTuple):
    """How well predictions agree with what is right."""

    overall: dict[str, float]
    """By the name of the measure: in percent, of captions as the official code prints it."""
    each: dict[Id, float]
    """0 to 1, of captions CIDEr-D."""


class Targets(NamedTuple):
    """What is predicted about a data set."""

    task: str
    """A value of ``TASKS``."""
    ids: list[Id]
    texts: Mapping[Id, str]
    """Questions or statements; empty for captions, or where only the annotations are known."""
    known: Callable[[Id], list[str]]
    """What is right, in lines of words."""
    known_by: str
    """What it is called: who says so."""
    kinds: dict[str, Mapping[Id, str]]
    """Kinds of questions, by what they are told apart."""
    score: Callable[[Predictions], Scores]
    """Of predictions for all ``ids``."""
    rows: Mapping[Id, int]
    """The sample that each is in; empty without a data set."""


def read_predictions(path: str | os.PathLike) -> tuple[str, Predictions]:
    """Return the task of a file of predictions, and the predictions by id.

    Args:
        path: As ``tools/test.py --out`` writes it: a list of ``{question_id, answer}``, of ``{questionId,
            prediction}`` (GQA) or of ``{image_id, caption}``, or a csv of identifiers and True or False.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It holds something else.
    """
    if os.fspath(path).endswith('.csv'):
        return 'statements', {name: CLASS_NAMES[label] for name, label in read_submission(path).items()}
    items = load_json(path)
    first = items[0] if isinstance(items, list) and items else None
    for (identity, value), task in _KEYS.items():
        if isinstance(first, dict) and {identity, value} <= first.keys():
            try:
                return task, {item[identity]: str(item[value]) for item in items}
            except (TypeError, KeyError):
                break
    raise UserError(
        f'{path} holds no predictions as tools/test.py --out writes them, such as a list of {{"question_id", "answer"}}'
    )


def question_targets(annotation_file: str | None, dataset: VQADataset | None) -> Targets:
    """Questions and their answers.

    Args:
        annotation_file: The annotators' answers, which the official rule scores; without, the soft scores of the
            data set count.
        dataset: The questions.

    Raises:
        FileNotFoundError, UserError: See :func:`soho.evaluation.vqa.load_truth`; or neither has answers.
    """
    ids = [] if dataset is None else name_questions(dataset, dataset.question_ids.tolist())
    texts = {} if dataset is None else dict(zip(ids, (dataset.questions[row] for row in range(len(ids)))))
    rows = {} if dataset is None else dict(zip(ids, np.repeat(np.arange(len(dataset)), dataset.item_length).tolist()))
    known_by = 'Right' if annotation_file is None else 'Annotators'
    if annotation_file is not None:
        truth = load_truth(annotation_file)
        answers = {
            name: max(Counter(question.answers).items(), key=lambda vote: vote[1])[0]
            for name, question in truth.items()
        }
        question_types = {name: question.question_type for name, question in truth.items() if question.question_type}
        answer_types = {name: question.answer_type for name, question in truth.items() if question.answer_type}

        def score(predictions: Predictions) -> Scores:
            scores = score_answers(predictions, truth)
            return Scores({'All': scores.overall}, {name: each / 100 for name, each in scores.per_question.items()})

        def known(name: Id) -> list[str]:
            return [format_votes(truth[name].answers)]
    else:
        if dataset is None or not len(dataset.labels):
            raise UserError('the answers cannot be scored: neither annotations nor a data set with answers is here')
        soft = _soft_answers(dataset, ids)
        answers = {name: max(scores, key=scores.__getitem__, default='') for name, scores in soft.items()}
        question_types, answer_types = _read_question_types(dataset), {}

        def score(predictions: Predictions) -> Scores:
            each = {name: soft[name].get(predictions[name], 0.0) for name in ids}
            return Scores({'All': 100 * sum(each.values()) / len(each)}, each)

        def known(name: Id) -> list[str]:
            scores = sorted(soft[name].items(), key=lambda pair: -pair[1])
            shown = (answer if score == 1 else f'{answer} ({100 * score:.0f} %)' for answer, score in scores)
            return [', '.join(shown) or '(not in the answer list)']

    order = list(answers)
    kinds: dict[str, Mapping[Id, str]] = {
        'Answer type': answer_types or {name: answer_type(answer) for name, answer in answers.items()}
    }
    if question_types:
        kinds['Question type'] = question_types
    elif texts:
        kinds['Begins with'] = group_by_first_words({name: texts[name] for name in order if name in texts})
    return Targets('questions', order, texts, known, known_by, kinds, score, rows)


def statement_targets(dataset: StatementDataset) -> Targets:
    """Statements that are true or false.

    Raises:
        UserError: The data set has no labels.
    """
    if (dataset.labels < 0).any():
        raise UserError(f'the predictions cannot be scored: {dataset.ann_file} has statements without a label')
    numbers = range(len(dataset.identifiers))
    ids: list[Id] = [dataset.identifiers[number] for number in numbers]
    labels = {name: CLASS_NAMES[label] for name, label in zip(ids, dataset.labels)}
    if isinstance(dataset, NLVR2Dataset):
        texts = {name: dataset.sentences[number] for number, name in enumerate(ids)}
        of_pair = np.repeat(np.arange(len(dataset.first)), dataset.length)
        rows = {ids[example]: int(row) for example, row in zip(dataset.examples.tolist(), of_pair)}
    else:  # each image of an example is a sample, and a prediction
        texts = {
            name: dataset.get_annotation(number, np.random.default_rng(0))['sentences'][0]
            for number, name in enumerate(ids)
        }
        rows = {name: number for number, name in enumerate(ids)}

    def score(predictions: Predictions) -> Scores:
        each = {name: float(predictions[name] == label) for name, label in labels.items()}
        found = score_statements([bool(value) for value in each.values()], [dataset.groups[n] for n in numbers])
        return Scores({'All': 100 * found.accuracy, 'Consistency': 100 * found.consistency}, each)

    kinds: dict[str, Mapping[Id, str]] = {'Label': labels, 'Begins with': group_by_first_words(texts)}
    return Targets('statements', ids, texts, lambda name: [labels[name]], 'Right', kinds, score, rows)


def caption_targets(annotation_file: str, dataset: CaptioningDataset | None) -> Targets:
    """Captions of pictures.

    Args:
        annotation_file: The references.
        dataset: The pictures.

    Raises:
        FileNotFoundError, ValueError: See :func:`soho.evaluation.captions.metric.load_references`.
    """
    references = load_references(annotation_file)
    rows: dict[Id, int] = {}
    if dataset is not None:
        names = dataset.metainfo.get('image_ids')
        numbers = [dataset.image_id(row) for row in range(len(dataset))]
        rows = {number if names is None else names[number]: row for row, number in enumerate(numbers)}

    def score(predictions: Predictions) -> Scores:
        scores = score_captions(predictions, references)
        shown = dict(cider='CIDEr', bleu_4='BLEU-4', rouge_l='ROUGE-L')
        overall = {name: scores[key].overall for key, name in shown.items()}
        return Scores(overall, dict(zip(references, scores['cider'].per_image.tolist())))

    return Targets('captions', list(references), {}, references.__getitem__, 'References', {}, score, rows)


def name_questions(dataset: VQADataset, numbers: Iterable[int]) -> list[Id]:
    """The ids of questions as the annotation file has them, by the numbers that the data set gives them."""
    ids = dataset.metainfo.get('question_ids')
    return [number if ids is None else ids[number] for number in numbers]


def answer_type(answer: str) -> str:
    """``yes/no``, ``number`` or ``other``, as VQA tells answers apart."""
    if answer in ('yes', 'no'):
        return 'yes/no'
    return 'number' if answer.isdecimal() else 'other'


def group_by_first_words(texts: Mapping[Id, str]) -> dict[Id, str]:
    """The words that each text begins with: two, or one where few begin with the same two, or ``other``.

    A group has at least five texts, and one in a hundred of all.
    """
    groups: dict[Id, str] = {}
    least = max(_SMALLEST, _SMALLEST_SHARE * len(texts))
    for length in (2, 1):
        starts = {name: ' '.join(text.lower().split()[:length]) for name, text in texts.items() if name not in groups}
        counts = Counter(starts.values())
        groups |= {name: start for name, start in starts.items() if counts[start] >= least}
    return {name: groups.get(name, 'other') for name in texts}


def _soft_answers(dataset: VQADataset, ids: list[Id]) -> dict[Id, dict[str, float]]:
    """Answers of the answer list with their scores, by question."""
    spans = zip(dataset.label_start.tolist(), dataset.label_end.tolist())
    return {
        name: {dataset.label2ans[dataset.labels[i]]: float(dataset.scores[i]) for i in range(first, end)}
        for name, (first, end) in zip(ids, spans)
    }


def _read_question_types(dataset: VQADataset) -> dict[Id, str]:
    """``question_type`` of the questions whose annotation file has it."""
    if type(dataset) is not VQADataset:  # a subclass reads files of another form
        return {}
    questions: Iterable[Any] = (
        question for image in stream_records(dataset.ann_file, QuestionedImage, 'data') for question in image.vqa or ()
    )
    return {question.question_id: question.question_type for question in questions if question.question_type}
