"""Questions about images, in the official annotation format."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from soho.datasets.answer_list import check_agreement, read_ans2label, read_label2ans
from soho.datasets.base import ImageTextDataset, group_sentences
from soho.datasets.image_table import ImageTable
from soho.datasets.records import Question, QuestionedImage
from soho.datasets.storage.index import IndexBuilder, expand, open_index, spans
from soho.datasets.storage.json_files import load_members
from soho.datasets.storage.json_records import stream_records
from soho.datasets.transforms.image import swap_sides
from soho.errors import UserError, quote
from soho.files import PathLike
from soho.registry import DATASETS


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
        UserError: A question is empty or listed twice, or a label is outside the answer list or given twice.
    """

    kind = 'questions'
    column = 'question'

    def __init__(self, *args, skip_unanswerable: bool = False, **kwargs) -> None:
        self.skip_unanswerable = skip_unanswerable
        super().__init__(*args, **kwargs)

    def load_annotations(self) -> None:
        self.index = open_index(self.ann_file, self.kind, self._scan, version=2)
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
        questions, ids = out.texts('question'), out.identities('question_id')
        seen: set[int | str] = set()
        labels, scores = out.numbers('label', 'i'), out.numbers('score', 'f')
        labels_end, questions_end = out.numbers('labels_end'), out.numbers('questions_end')
        for image, asked in _by_image(stream_records(self.ann_file, QuestionedImage, 'data')):
            out.image(image)
            for question in asked:
                self._check(question, answers)
                if question.question_id in seen:
                    raise UserError(f'{self.ann_file}: question {quote(question.question_id)} is listed twice')
                seen.add(question.question_id)
                questions.append(question.question)
                ids.append(question.question_id)
                # The best answer first: of several, a loss or a metric that knows one label takes the first.
                for label, score in sorted(zip(question.labels, question.scores), key=lambda pair: -pair[1]):
                    labels.append(label)
                    scores.append(score)
                labels_end.append(len(labels))
            questions_end.append(len(questions))

    def _check(self, question: Question, answers: int) -> None:
        labels, scores = question.labels, question.scores
        wrong = None
        if not question.question or question.question.isspace():
            wrong = 'is empty'
        elif len(labels) != len(scores):
            wrong = f'has {len(labels)} labels but {len(scores)} scores; there must be as many of each'
        elif labels and not 0 <= min(labels) <= max(labels) < answers:
            label = min(labels) if min(labels) < 0 else max(labels)
            wrong = f'has the label {label}, but the answer list has {answers} answers (0 to {answers - 1})'
        elif len(set(labels)) < len(labels):
            wrong = f'has the label {max(labels, key=labels.count)} twice; an answer has one score'
        if wrong:
            raise UserError(f'{self.ann_file}: question {quote(question.question_id)} {wrong}')

    @property
    def metainfo(self) -> dict[str, Any]:
        known: dict[str, Any] = dict(class_names=self.label2ans)
        assert self.index is not None, 'open the index first'
        # Only a metric needs them; checkpoints contain the metainfo of the training data.
        if self.test_mode and (ids := self.index.original_ids('question_id')) is not None:
            known['question_ids'] = ids
        return known

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``sentences``, ``sentence_rows``, ``question_id`` (S,), ``answer_labels`` and ``answer_scores`` (S, K).

        The labels of a question are in the order of their scores, the highest first.
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


def _by_image(records: Iterator[QuestionedImage]) -> Iterator[tuple[QuestionedImage, list[Question]]]:
    """Images with their questions; consecutive items of one question each are joined if they share an image."""
    joined: tuple[QuestionedImage, list[Question]] | None = None
    for record in records:
        if record.vqa is not None:
            if joined is not None:
                yield joined
                joined = None
            yield record, record.vqa
            continue
        if joined is None or joined[0].file_name != record.file_name:
            if joined is not None:
                yield joined
            joined = record, []
        assert record.question is not None and record.question_id is not None, 'the record checks it'
        joined[1].append(Question(record.question, record.question_id, record.labels, record.scores))
    if joined is not None:
        yield joined


def load_answer_list(ann_file: PathLike) -> list[str]:
    """Return the answer list of an annotation file, the answer of each label.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is no JSON, has no answer list, or its two answer lists disagree.
    """
    head = load_members(ann_file, 'ans2label', 'label2ans')
    answers = read_label2ans(head['label2ans'], f"'label2ans' of {ann_file}")
    check_agreement(answers, read_ans2label(head['ans2label'], f"'ans2label' of {ann_file}"), str(ann_file))
    return answers
