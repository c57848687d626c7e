"""Questions with their pictures and answers, as a page shows them."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from soho.datasets.storage.decoding import decode_image
from soho.datasets.vqa import VQADataset
from soho.evaluation.vqa import GroundTruth, question_accuracy
from soho.visualization.pictures import jpeg_uri
from soho.visualization.report import Example

LONGEST = 420  # pixels of a picture
RIGHT = 0.995  # accuracy from which an answer is fully right

Answered = tuple[str, float | None]
"""An answer and its confidence, where that is known."""


def read_picture(dataset: VQADataset, item: int) -> np.ndarray:
    """The full picture of a sample, (H, W, 3) uint8 RGB.

    Raises:
        soho.datasets.storage.image_store.ImageError: It is missing or damaged.
    """
    assert dataset.store is not None, 'a data set with images'
    name = dataset.images.file_names[dataset.item_images[item, 0]]
    return decode_image(dataset.store.read(name), name=name)


def name_questions(dataset: VQADataset, numbers: Sequence[int]) -> Sequence[int | str]:
    """The ids of questions as the annotation file has them, by the numbers that the data set gives them."""
    ids = dataset.metainfo.get('question_ids')
    return numbers if ids is None else [ids[number] for number in numbers]


def find_item(dataset: VQADataset, question: int) -> int:
    """The sample that a question is in, by its row."""
    return int(np.searchsorted(dataset.item_first, question, side='right')) - 1


def make_example(
    picture: np.ndarray,
    question: str,
    truth: GroundTruth,
    answer: Answered,
    blind: Answered | None = None,
    heat: np.ndarray | None = None,
) -> Example:
    """A question with its picture and what was answered.

    Args:
        picture: (H, W, 3) uint8 RGB.
        question: Its words.
        truth: What the annotators answered.
        answer: What the model answered.
        blind: What a model without the image answered.
        heat: (H, W, 3) uint8, the picture under the map of where the answer came from.
    """
    return Example(
        picture=jpeg_uri(picture, LONGEST),
        question=question,
        answer=answer[0],
        confidence=answer[1],
        blind_answer=blind[0] if blind else None,
        blind_confidence=blind[1] if blind else None,
        annotators=Counter(truth.answers).most_common(),
        score=question_accuracy(answer[0], truth.answers),
        blind_score=question_accuracy(blind[0], truth.answers) if blind else 0.0,
        heat=None if heat is None else jpeg_uri(heat, LONGEST),
    )


def pick_questions(
    ids: Sequence[int | str], scores: Mapping[int | str, float], number: int
) -> tuple[Sequence[int], Sequence[int]]:
    """Rows of up to ``number`` questions answered fully right, and of as many answered wrong.

    Each are evenly spaced in the order of the data set, so that which are shown depends on nothing else.

    Args:
        ids: Of all questions of a data set.
        scores: Accuracy of each question, 0 to 1; the data set may have questions that are not among them.
        number: Of each.
    """
    right, wrong = [], []
    for question, name in enumerate(ids):
        score = scores.get(name)
        if score is not None and (score >= RIGHT or score == 0):
            (right if score else wrong).append(question)

    def spaced(rows: list[int]) -> list[int]:
        return [rows[i] for i in np.linspace(0, len(rows) - 1, min(number, len(rows))).round().astype(int)]

    return spaced(right), spaced(wrong)
