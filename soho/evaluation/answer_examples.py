"""Questions with their pictures and answers, as a page shows them."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from soho.datasets.base import ImageTextDataset
from soho.datasets.storage.decoding import decode_image
from soho.visualization.pictures import jpeg_uri
from soho.visualization.report import Example

LONGEST = 420  # pixels of a picture


class Answered(NamedTuple):
    """What a model answered."""

    answer: str
    confidence: float | None
    """0 to 1; ``None``: it is not known."""
    score: float
    """Accuracy, 0 to 1, or another measure."""


def read_picture(dataset: ImageTextDataset, item: int, place: int = 0) -> np.ndarray:
    """A full picture of a sample, (H, W, 3) uint8 RGB.

    Args:
        dataset: With images.
        item: The sample.
        place: Which of its pictures, where it has several.

    Raises:
        soho.datasets.storage.image_store.ImageError: It is missing or damaged.
    """
    assert dataset.store is not None, 'a data set with images'
    name = dataset.images.file_names[dataset.item_images[item, place]]
    return decode_image(dataset.store.read(name), name=name)


def format_votes(answers: Sequence[str]) -> str:
    """The answers of several people, the most frequent first, such as ``yes ×9, no ×1``; that of one as it is."""
    if len(answers) == 1:
        return answers[0]
    return ', '.join(f'{answer} ×{count}' for answer, count in Counter(answers).most_common())


def make_example(
    pictures: Sequence[np.ndarray],
    question: str,
    answered: Answered,
    known: Sequence[str],
    known_by: str = 'Annotators',
    measure: str | None = None,
    blind: Answered | None = None,
    heat: np.ndarray | None = None,
) -> Example:
    """A question with its pictures and what was answered.

    Args:
        pictures: Each (H, W, 3) uint8 RGB.
        question: Its words; empty where a caption was asked for.
        answered: What the model answered.
        known: What is right, in lines of words.
        known_by: What ``known`` is called.
        measure: Name of the scores, where they are no accuracy.
        blind: What a model without the image answered.
        heat: (H, W, 3) uint8, the picture under the map of where the answer came from.
    """
    return Example(
        pictures=[jpeg_uri(picture, LONGEST) for picture in pictures],
        question=question,
        answer=answered.answer,
        confidence=answered.confidence,
        blind_answer=blind.answer if blind else None,
        blind_confidence=blind.confidence if blind else None,
        known=known,
        score=answered.score,
        blind_score=blind.score if blind else 0.0,
        heat=None if heat is None else jpeg_uri(heat, LONGEST),
        known_by=known_by,
        measure=measure,
    )
