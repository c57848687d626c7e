"""Questions about images, in the official annotation format."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from soho.datasets.base import ImageTable, ImageTextDataset, group_sentences
from soho.datasets.storage.index import IndexBuilder, expand, open_index, spans
from soho.datasets.storage.json_files import load_json, stream_array
from soho.datasets.transforms.image import swap_sides
from soho.errors import UserError
from soho.files import PathLike
from soho.registry import DATASETS

KEYS = ('file_name', 'image_id', 'width', 'height')
QUESTION_KEYS = ('question', 'question_id', 'labels', 'scores')


@DATASETS.register_module()
class VQADataset(ImageTextDataset):
    """Images with groups of ``sentence_group`` questions and their soft-scored answers.

    The annotation file is ``{data: [{file_name, image_id, height, width, vqa:
    [{question, question_id, labels: [int], scores: [float]}]}], ans2label,
    label2ans}`` (official ``*_data_vqa.json``). The official test file has one
    item per question instead, with ``question`` and ``question_id`` next to
    ``image_id``; both forms are read, and ``labels`` and ``scores`` may be
    absent. The last group of an image may be smaller; its empty rows have
    ``sentence_mask`` False and are ignored.

    Args:
        skip_unanswerable: In training, leave out questions whose answers are
            all outside the answer list; the official code keeps them, with
            all classes as negatives.
        **kwargs: See :class:`ImageTextDataset`.

    Raises:
        ValueError: A question is empty, or a label is outside the answer list.
    """

    kind = 'questions'
    column = 'question'

    def __init__(self, *args, skip_unanswerable: bool = False, **kwargs) -> None:
        self.skip_unanswerable = skip_unanswerable
        super().__init__(*args, **kwargs)

    def load_annotations(self) -> None:
        self.index = open_index(self.ann_file, self.kind, self._scan)
        self.label2ans: list[str] = self.index.meta['label2ans']
        label_of = {answer: label for label, answer in enumerate(self.label2ans)}
        # An answer whose mirrored form is not in the answer list becomes unknown (-1); the last entry maps -1 to -1.
        self.mirrored_answers = np.asarray([label_of.get(swap_sides(answer), -1) for answer in self.label2ans] + [-1])
        self.images = ImageTable.of(self.index, self.min_side)
        starts, counts = spans(self.index['questions_end'], self.images.rows)
        rows = expand(starts, counts)
        self.label_start, label_count = spans(self.index['labels_end'], rows)
        if self.skip_unanswerable and not self.test_mode:
            keep = label_count > 0
            image = np.repeat(np.arange(len(counts)), counts)
            counts = np.bincount(image[keep], minlength=len(counts))
            rows, self.label_start, label_count = rows[keep], self.label_start[keep], label_count[keep]
        self.label_end = self.label_start + label_count
        self.labels, self.scores = self.index['label'], self.index['score']
        self.question_rows = rows
        self.questions = self.index.texts('question').take(rows)
        self.question_ids = self.index['question_id'][rows]
        images, self.item_first, self.item_length = group_sentences(counts, self.sentence_group)
        self.item_images = images[:, None]

    def _scan(self, out: IndexBuilder) -> None:
        out.meta['label2ans'] = load_answer_list(self.ann_file)
        answers = len(out.meta['label2ans'])
        questions, ids = out.texts('question'), out.numbers('question_id')
        labels, scores = out.numbers('label', 'i'), out.numbers('score', 'f')
        labels_end, questions_end = out.numbers('labels_end'), out.numbers('questions_end')
        for record in _by_image(stream_array(self.ann_file, 'data', required=KEYS)):
            out.image(record)
            for question in record['vqa']:
                self._check(question, answers)
                questions.append(question['question'])
                ids.append(question['question_id'])
                labels.extend(question.get('labels', ()))
                scores.extend(question.get('scores', ()))
                labels_end.append(len(labels))
            questions_end.append(len(questions))

    def _check(self, question: dict, answers: int) -> None:
        where = f'{self.ann_file}: question {question.get("question_id", "without question_id")}'
        for key in ('question', 'question_id'):
            if key not in question:
                raise UserError(f'{where} has no key {key!r}')
        if not isinstance(question['question'], str) or not question['question'].strip():
            raise UserError(f'{where} is empty')
        labels, scores = question.get('labels', []), question.get('scores', [])
        if len(labels) != len(scores):
            raise UserError(f'{where} has {len(labels)} labels but {len(scores)} scores; there must be as many of each')
        for label in labels:
            if not isinstance(label, int) or not 0 <= label < answers:
                raise UserError(
                    f'{where} has the label {label!r}, but the answer list has {answers} answers (0 to {answers - 1})'
                )

    @property
    def metainfo(self) -> dict[str, Any]:
        return dict(class_names=self.label2ans)

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``sentences``, ``sentence_rows``, ``question_id`` (S,), ``answer_labels`` and ``answer_scores`` (S, K).

        Also ``mirrored_answers`` (A + 1,) for :class:`RandomFlip`: the label of each answer, and of -1, after a flip.
        """
        first, length, group = self.item_first[index], self.item_length[index], self.sentence_group
        rows = range(first, first + length)
        width = max(max(self.label_end[i] - self.label_start[i] for i in rows), 1)
        labels = np.full((group, width), -1, np.int64)
        scores = np.zeros((group, width), np.float32)
        ids = np.full(group, -1, np.int64)
        for row, i in enumerate(rows):
            part = slice(self.label_start[i], self.label_end[i])
            labels[row, : part.stop - part.start] = self.labels[part]
            scores[row, : part.stop - part.start] = self.scores[part]
            ids[row] = self.question_ids[i]
        return dict(
            sentences=[self.questions[i] for i in rows] + [''] * (group - length),
            sentence_rows=[*self.question_rows[first : first + length]] + [-1] * (group - length),
            sentence_mask=np.arange(group) < length,
            question_id=ids,
            answer_labels=labels,
            answer_scores=scores,
            mirrored_answers=self.mirrored_answers,
        )


def _by_image(records: Iterator[dict]) -> Iterator[dict]:
    """Items with a list ``vqa``; consecutive items of one question each are joined if they share an image."""
    joined: dict | None = None
    for record in records:
        if 'vqa' in record:
            yield record
            continue
        if joined is None or joined['file_name'] != record['file_name']:
            if joined is not None:
                yield joined
            joined = dict(record, vqa=[])
        joined['vqa'].append({key: record[key] for key in QUESTION_KEYS if key in record})
    if joined is not None:
        yield joined


def load_answer_list(ann_file: PathLike) -> list[str]:
    """Return the answer list of an annotation file, the answer of each label.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no JSON, or has no answer list.
    """
    head = load_json(ann_file, required=('ans2label', 'label2ans'))
    answers = head['label2ans']
    if isinstance(answers, dict):  # some releases write {"0": "net", ...}
        answers = [answers[str(i)] for i in range(len(answers))]
    return list(answers)
