"""Which image regions the words of the visual dictionary stand for.

As figure 3 of the SOHO paper (arXiv:2104.03135): a word is shown by the grid
cells whose features lie nearest to it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from soho.errors import UserError


class Patch(NamedTuple):
    """A grid cell that chose a word."""

    item: int
    """Index of the sample in the dataset."""
    box: tuple[float, float, float, float]
    """Left, top, right and bottom of the cell as shares of the picture's width and height."""
    distance: float
    """L2 distance of the cell's feature to the word."""


class Cells(NamedTuple):
    """All cells that lie on a picture: parallel arrays of length M."""

    item: np.ndarray
    """int64, index of the sample."""
    word: np.ndarray
    """int64, the nearest word."""
    distance: np.ndarray
    """float32, L2 distance to it."""
    box: np.ndarray
    """(M, 4) float32, as :attr:`Patch.box`."""


class Atlas:
    """The cells of a set of pictures by the dictionary's words.

    Args:
        cells: What :func:`read_cells` found.
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
        """How many words at least one cell chose."""
        return int((self.counts > 0).sum())

    @property
    def perplexity(self) -> float:
        """exp of the entropy of the usage: how many words equally often used would be as varied."""
        share = self.counts[self.counts > 0] / self.counts.sum()
        return float(np.exp(-(share * np.log(share)).sum()))

    def patches(self, word: int, number: int) -> list[Patch]:
        """The cells nearest to ``word``, nearest first, no two of the same sample."""
        found: dict[int, Patch] = {}
        for i in self._order[self._start[word] : self._start[word + 1]]:
            item = int(self.cells.item[i])
            if item not in found:
                found[item] = Patch(item, tuple(self.cells.box[i].tolist()), float(self.cells.distance[i]))
                if len(found) == number:
                    break
        return list(found.values())

    def well_used(self, number: int, samples: int) -> list[int]:
        """``number`` words, evenly spaced in rank through the more used half of those in ``samples`` samples.

        The rule looks at how often words are used and at nothing else.
        """
        ranked = np.argsort(-self.counts, kind='stable')
        ranked = [int(word) for word in ranked[: self.used] if self._samples(word) >= samples]
        half = ranked[: max(number, -(-len(ranked) // 2))]
        chosen = np.linspace(0, len(half) - 1, min(number, len(half))).round().astype(int)
        return [half[i] for i in chosen]

    def _samples(self, word: int) -> int:
        return len(np.unique(self.cells.item[self._order[self._start[word] : self._start[word + 1]]]))


@torch.no_grad()
def read_cells(
    model: nn.Module,
    dataset: Sequence[Any],
    items: Sequence[int],
    collate: Callable[[list], dict[str, Tensor]],
    batch_size: int = 32,
) -> Cells:
    """Look every grid cell of the pictures up in the model's dictionary.

    Args:
        model: :class:`soho.models.SOHO` with a
            :class:`soho.models.necks.DictionaryNeck`; put into evaluation mode,
            so that looking does not move the words.
        dataset: Samples with ``image``, as :mod:`soho.datasets.collate` takes them.
        items: Which samples; one of each picture.
        collate: Makes a batch of samples.
        batch_size: Samples at once.

    Raises:
        ValueError: The model has no dictionary.
    """
    dictionary = getattr(model.neck, 'vq', None)
    if dictionary is None:
        raise UserError(f'{type(model.neck).__name__} has no visual dictionary to look words up in')
    model.eval()
    seen: dict[str, Any] = {}
    # The neck keeps features and grid to itself; nothing is computed twice to get at them.
    hooks = [
        model.neck.conv.register_forward_hook(lambda _, args, out: seen.update(grid=out.shape[-2:])),
        dictionary.register_forward_hook(lambda _, args, out: seen.update(features=args[0])),
    ]
    try:
        parts = [
            _read_batch(model, collate([dataset[i] for i in batch]), batch, seen)
            for batch in _batches(items, batch_size)
        ]
    finally:
        for hook in hooks:
            hook.remove()
    return Cells(*map(np.concatenate, zip(*parts)))


def _batches(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _read_batch(model: nn.Module, batch: dict[str, Tensor], items: Sequence[int], seen: dict[str, Any]) -> Cells:
    sizes, canvas = batch['image_size'].float(), batch['image'].shape[-2:]
    batch = model.data_preprocessor(dict(image=batch['image'], image_size=batch['image_size']))
    found = model.encode_image(batch['image'], batch['image_size'])
    valid, words = found.valid.cpu(), found.words.cpu()  # (B, N)
    nearest = model.neck.dictionary[found.words.flatten()]
    distance = (seen['features'].float() - nearest).norm(dim=1).view_as(found.words).cpu()
    h, w = seen['grid']
    row, column = torch.meshgrid(torch.arange(h), torch.arange(w), indexing='ij')
    corners = torch.stack([column, row, column + 1, row + 1], -1).view(1, h * w, 4)  # in cells
    cell = torch.tensor([canvas[1] / w, canvas[0] / h]).repeat(2)  # in pixels
    boxes = corners * cell / sizes.flip(1).repeat(1, 2)[:, None]  # (B, N, 4), shares of the picture
    owner = torch.as_tensor(items)[:, None].expand_as(words)
    return Cells(owner[valid].numpy(), words[valid].numpy(), distance[valid].numpy(), boxes.clamp(max=1)[valid].numpy())
