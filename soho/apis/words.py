"""The words of the visual dictionary that a picture holds."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from torch import nn

from soho.datasets.batch import Batch
from soho.errors import UserError
from soho.models.necks.dictionary_neck import DictionaryNeck
from soho.models.soho import SOHO
from soho.visualization.attribution import draw_words, read_words


class Words(NamedTuple):
    """The dictionary words of a picture."""

    words: list[dict[str, Any]]
    """``word`` (its number) and ``share`` of the picture's cells, the most frequent first."""
    cells: np.ndarray
    """(h, w) int64, the word of each cell on the picture."""
    picture: Image.Image
    """The picture with its cells tinted by word."""


def has_dictionary(model: nn.Module) -> bool:
    """Whether a model sees pictures through a visual dictionary."""
    return isinstance(model, SOHO) and isinstance(model.neck, DictionaryNeck)


def find_words(model: nn.Module, source: str, picture: np.ndarray, batch: Batch) -> Words:
    """The words in a picture.

    Args:
        model: In eval mode.
        source: Its name, for messages.
        picture: (H, W, 3) uint8 RGB, as the model sees it.
        batch: The picture alone, as collated.

    Raises:
        UserError: The model has no dictionary.
    """
    if not isinstance(model, SOHO):
        raise UserError(f'{source} is no SOHO model, and has no visual dictionary')
    grid = read_words(model, batch)
    rows, columns = (grid.cells >= 0).any(1).sum(), (grid.cells >= 0).any(0).sum()
    cells = grid.cells[:rows, :columns]
    counts = Counter(cells.flatten().tolist())
    words = [dict(word=word, share=count / cells.size) for word, count in counts.most_common()]
    return Words(words, cells, draw_words(picture, grid))
