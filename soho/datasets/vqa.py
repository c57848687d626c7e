"""Questions about images, in the official annotation format."""
from collections.abc import Iterator
from typing import Any

import numpy as np

from soho.datasets.base import ImageTable, ImageTextDataset, group_sentences
from soho.datasets.json_files import load_json, stream_array
from soho.datasets.strings import PackedStrings
from soho.datasets.transforms.image import swap_sides
from soho.registry import DATASETS

KEYS = ('file_name', 'image_id', 'width', 'height')
QUESTION_KEYS = ('question', 'question_id', 'labels', 'scores')


@DATASETS.register_module()
class VQADataset(ImageTextDataset):
    """Questions with soft-scored answers; ``sentence_group`` of an image make a sample.

    The annotation file is ``{data: [{file_name, image_id, height, width, vqa:
    [{question, question_id, labels: [int], scores: [float]}]}], ans2label,
    label2ans}`` (official ``*_data_vqa.json``). The official test file has one
    item a question instead, with ``question`` and ``question_id`` beside the
    image; both forms are read, and ``labels`` and ``scores`` may be absent.
    The last group of an image may be ragged; its empty rows have
    ``sentence_mask`` False and count nowhere.

    Args:
        skip_unanswerable: In training, leave out questions whose answers are
            all outside the answer list; the official code keeps them, as a
            question to which every answer is wrong.
        **kwargs: See :class:`ImageTextDataset`.

    Raises:
        ValueError: An empty question, a label outside the answer list (file,
            question id).
    """

    def __init__(self, *args, skip_unanswerable: bool = False, **kwargs) -> None:
        self.skip_unanswerable = skip_unanswerable
        super().__init__(*args, **kwargs)

    def read(self) -> None:
        self.label2ans: list[str] = _answer_list(self.ann_file)
        label_of = {answer: label for label, answer in enumerate(self.label2ans)}
        # An answer whose mirror image is no answer of the list counts as unknown there; so does -1, the last entry.
        self.mirrored_answers = np.asarray([label_of.get(swap_sides(answer), -1) for answer in self.label2ans] + [-1])
        counts, questions, ids, labels, scores, label_counts = [], [], [], [], [], []

        def take(record: dict) -> None:
            asked = [self._checked(question) for question in record['vqa']]
            asked = [q for q in asked if self.test_mode or not self.skip_unanswerable or q.get('labels')]
            counts.append(len(asked))
            for question in asked:
                questions.append(question['question'])
                ids.append(question['question_id'])
                labels.extend(question.get('labels', ()))
                scores.extend(question.get('scores', ()))
                label_counts.append(len(question.get('labels', ())))

        records = _by_image(stream_array(self.ann_file, 'data', required=KEYS))
        self.images = ImageTable(records, take, self.min_side)
        self.questions = PackedStrings(questions)
        self.question_ids = np.asarray(ids, np.int64)
        self.labels = np.asarray(labels, np.int64)
        self.scores = np.asarray(scores, np.float32)
        self.label_end = np.cumsum(np.asarray(label_counts, np.int64))
        self.label_start = self.label_end - np.asarray(label_counts, np.int64)
        self.item_image, self.item_first, self.item_length = group_sentences(
            np.asarray(counts, np.int64), self.sentence_group)

    def _checked(self, question: dict) -> dict:
        where = f'{self.ann_file}: question {question.get("question_id", "without question_id")}'
        for key in ('question', 'question_id'):
            if key not in question:
                raise ValueError(f'{where} has no key {key!r}')
        if not isinstance(question['question'], str) or not question['question'].strip():
            raise ValueError(f'{where} is empty')
        labels, scores = question.get('labels', []), question.get('scores', [])
        if len(labels) != len(scores):
            raise ValueError(f'{where} has {len(labels)} labels but {len(scores)} scores; they belong in pairs')
        for label in labels:
            if not 0 <= label < len(self.label2ans):
                raise ValueError(f'{where} has the label {label}, but the answer list has '
                                 f'{len(self.label2ans)} answers (0 to {len(self.label2ans) - 1})')
        return question

    @property
    def metainfo(self) -> dict[str, Any]:
        return dict(label2ans=self.label2ans)

    def describe(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``sentences`` (S), ``question_id`` (S,), ``answer_labels`` and ``answer_scores`` (S, K).

        And for :class:`RandomFlip` ``mirrored_answers`` (A + 1,): what each answer and -1 becomes in the mirror.
        """
        first, length, group = self.item_first[index], self.item_length[index], self.sentence_group
        rows = range(first, first + length)
        width = max(max(self.label_end[i] - self.label_start[i] for i in rows), 1)
        labels = np.full((group, width), -1, np.int64)
        scores = np.zeros((group, width), np.float32)
        ids = np.full(group, -1, np.int64)
        for row, i in enumerate(rows):
            part = slice(self.label_start[i], self.label_end[i])
            labels[row, :part.stop - part.start] = self.labels[part]
            scores[row, :part.stop - part.start] = self.scores[part]
            ids[row] = self.question_ids[i]
        return dict(
            sentences=[self.questions[i] for i in rows] + [''] * (group - length),
            sentence_mask=np.arange(group) < length,
            question_id=ids,
            answer_labels=labels,
            answer_scores=scores,
            mirrored_answers=self.mirrored_answers)


def _by_image(records: Iterator[dict]) -> Iterator[dict]:
    """Items with a list ``vqa``; those with one question each are joined where an image's follow each other."""
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


def _answer_list(ann_file: str) -> list[str]:
    head = load_json(ann_file, required=('ans2label', 'label2ans'))
    answers = head['label2ans']
    if isinstance(answers, dict):  # some releases write {"0": "net", ...}
        answers = [answers[str(i)] for i in range(len(answers))]
    return list(answers)
