"""Image regions nearest to the words of the visual dictionary, as in figure 3 of the SOHO paper (arXiv:2104.03135).

A word is shown by the grid cells whose features are nearest to it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from soho.errors import UserError
from soho.models.necks.dictionary_neck import DictionaryNeck
from soho.models.soho import SOHO


class Patch(NamedTuple):
    """Grid cell that is assigned to a word."""

    item: int
    """Index of the sample in the dataset."""
    box: tuple[float, float, float, float]
    """Left, top, right and bottom of the cell, relative to the picture's width and height."""
    distance: float
    """L2 distance of the cell's feature to the word."""


class Cells(NamedTuple):
    """All grid cells that lie on pictures, as parallel arrays of length N."""

    item: np.ndarray
    """int64, index of the sample."""
    word: np.ndarray
    """int64, the nearest word."""
    distance: np.ndarray
    """float32, L2 distance to it."""
    box: np.ndarray
    """(N, 4) float32, as :attr:`Patch.box`."""


class Atlas:
    """Grid cells of a set of pictures, grouped by the word they are assigned to.

    Args:
        cells: Cells of :func:`read_cells`.
        num_words: Size K of the dictionary.
    """

    def __init__(self, cells: Cells, num_words: int) -> None:
        self.cells = cells
        self.counts = np.bincount(cells.word, minlength=num_words)  # (K,)
        # By word, then by distance.
        self._order = np.lexsort((cells.distance, cells.word))
        self._start = np.searchsorted(cells.word[self._order], np.arange(num_words + 1))

    @property
    def used(self) -> int:
        """Number of words to which at least one cell is assigned."""
        return int((self.counts > 0).sum())

    @property
    def perplexity(self) -> float:
        """Codebook perplexity: exp of the entropy of the usage."""
        share = self.counts[self.counts > 0] / self.counts.sum()
        return float(np.exp(-(share * np.log(share)).sum()))

    @property
    def ranked(self) -> list[int]:
        """The words that are used, the most used first."""
        return np.argsort(-self.counts, kind='stable')[: self.used].tolist()

    def patches(self, word: int, number: int) -> list[Patch]:
        """Return the ``number`` cells nearest to ``word``, nearest first, at most one per sample."""
        found: dict[int, Patch] = {}
        for i in self._order[self._start[word] : self._start[word + 1]]:
            item = int(self.cells.item[i])
            if item not in found:
                found[item] = Patch(item, tuple(self.cells.box[i].tolist()), float(self.cells.distance[i]))
                if len(found) == number:
                    break
        return list(found.values())

    def well_used(self, number: int, samples: int) -> list[int]:
        """Return ``number`` words at evenly spaced ranks in the more used half of those in ``samples`` or more samples.

        The choice depends on how often words are used alone.
        """
        ranked = [word for word in self.ranked if self._samples(word) >= samples]
        half = ranked[: max(number, -(-len(ranked) // 2))]
        chosen = np.linspace(0, len(half) - 1, min(number, len(half))).round().astype(int)
        return [half[i] for i in chosen]

    def _samples(self, word: int) -> int:
        return len(np.unique(self.cells.item[self._order[self._start[word] : self._start[word + 1]]]))


@torch.no_grad()
def read_cells(
    model: SOHO,
    dataset: Sequence[Any],
    items: Sequence[int],
    collate: Callable[[list], dict[str, Tensor]],
    batch_size: int = 32,
) -> Cells:
    """Return every grid cell of the pictures with the word it is assigned to.

    Args:
        model: :class:`soho.models.SOHO` with a
            :class:`soho.models.necks.DictionaryNeck`; put into evaluation mode,
            so that the words are not updated.
        dataset: Dataset whose samples :mod:`soho.datasets.collate` accepts.
        items: Indices of the samples; one of each picture.
        collate: Collate function.
        batch_size: Samples per batch.

    Raises:
        UserError: The model has no dictionary.
    """
    neck = model.neck
    if not isinstance(neck, DictionaryNeck):
        raise UserError(f'{type(neck).__name__} has no visual dictionary')
    model.eval()
    features: list[Tensor] = []
    # The neck does not return what it looked up; a hook reads it without computing anything twice.
    hook = neck.vq.register_forward_hook(lambda _, args, out: features.append(args[0]))
    try:
        parts = [
            _read_batch(model, collate([dataset[i] for i in batch]), batch, features)
            for batch in _batches(items, batch_size)
        ]
    finally:
        hook.remove()
    return Cells(*map(np.concatenate, zip(*parts)))


def _batches(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _read_batch(model: SOHO, batch: dict[str, Tensor], items: Sequence[int], features: list[Tensor]) -> Cells:
    sizes, canvas = batch['image_size'].float(), batch['image'].shape[-2:]
    batch = model.data_preprocessor(dict(image=batch['image'], image_size=batch['image_size']))
    found = model.encode_image(batch['image'], batch['image_size'])
    assert found.words is not None and found.grid is not None and isinstance(model.neck, DictionaryNeck)
    valid, words = found.valid.cpu(), found.words.cpu()  # (B, N)
    nearest = model.neck.dictionary[found.words.flatten()]
    distance = (features.pop().float() - nearest).norm(dim=1).view_as(found.words).cpu()
    h, w = found.grid
    row, column = torch.meshgrid(torch.arange(h), torch.arange(w), indexing='ij')
    corners = torch.stack([column, row, column + 1, row + 1], -1).view(1, h * w, 4)  # in cells
    cell = torch.tensor([canvas[1] / w, canvas[0] / h]).repeat(2)  # in pixels
    boxes = corners * cell / sizes.flip(1).repeat(1, 2)[:, None]  # (B, N, 4), shares of the picture
    owner = torch.as_tensor(items)[:, None].expand_as(words)
    return Cells(owner[valid].numpy(), words[valid].numpy(), distance[valid].numpy(), boxes.clamp(max=1)[valid].numpy())
