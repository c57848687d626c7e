"""Scores of every image with every caption, the image encoded once."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from soho.models.heads.positions import cls_positions
from soho.models.heads.retrieval import RetrievalHead
from soho.models.soho import SOHO
from soho.models.structures import VisualTokens


class Captions(NamedTuple):
    """All captions of a data set, from long to short, so that those scored together need little padding."""

    input_ids: Tensor
    """(T, L) int64."""
    attention_mask: Tensor
    """(T, L) int64."""
    lengths: list[int]
    """Tokens of each caption."""
    columns: Tensor
    """(T,) int64, the column of each caption in the matrix of scores."""

    @classmethod
    def of(cls, input_ids: np.ndarray, attention_mask: np.ndarray, device: torch.device) -> 'Captions':
        """Captions of :meth:`soho.datasets.retrieval.RetrievalDataset.encode_captions`, on the device."""
        lengths = attention_mask.sum(1)
        order = np.argsort(-lengths, kind='stable')
        ids, attention, columns = (
            torch.from_numpy(array).to(device) for array in (input_ids[order], attention_mask[order], order)
        )
        return cls(ids, attention, lengths[order].tolist(), columns)

    def __len__(self) -> int:
        return len(self.lengths)


@torch.no_grad()
def score_images(
    model: SOHO, head: RetrievalHead, batch: dict[str, Tensor], captions: Captions, pairs: int, pool: int = 1
) -> Tensor:
    """Scores of each image of a batch with all captions.

    Args:
        model: In eval mode. One without the image branch gives every image the same scores.
        head: One of its heads.
        batch: ``image`` and ``image_size`` of B images, preprocessed.
        captions: T captions.
        pairs: Pairs that go through the transformer together.
        pool: Visual tokens that are averaged to one, see :func:`pool_tokens`.

    Returns:
        (B, T) float32, columns in the data set's order.
    """
    visual = None if model.backbone is None else model.encode_image(batch['image'], batch['image_size'])
    if visual is not None and pool > 1:
        visual = pool_tokens(visual, pool)
    images = len(batch['image_size']) if visual is None else len(visual.valid)
    scores = torch.empty(images, len(captions), device=captions.columns.device)
    # Without an image all get the same blocks, so that rounding does not make them differ.
    step = pairs if visual is None else max(1, pairs // images)
    for start in range(0, len(captions), step):
        part = slice(start, start + step)
        scores[:, captions.columns[part]] = _score_block(model, head, visual, captions, part)
    return scores


def _score_block(
    model: SOHO, head: RetrievalHead, visual: VisualTokens | None, captions: Captions, part: slice
) -> Tensor:
    """(B, s) scores of B images with ``part`` of the captions; (1, s) without an image."""
    longest = captions.lengths[part.start]
    images = 1 if visual is None else len(visual.valid)
    ids, attention = (field[part, :longest].expand(images, -1, -1) for field in (captions[0], captions[1]))
    features = model.fuse(ids, attention, visual, cls_positions(ids))
    return head.score(features).float().view(images, -1)


@torch.no_grad()
def score_pairs(
    model: SOHO, head: RetrievalHead, batch: dict[str, Tensor], captions: Captions, pairs: int, wanted: Tensor
) -> Tensor:
    """Scores of each image of a batch with some captions.

    Args:
        model: In eval mode, with the image branch.
        head: One of its heads.
        batch: See :func:`score_images`.
        captions: T captions.
        pairs: See :func:`score_images`.
        wanted: (B, T) bool, columns in the data set's order.

    Returns:
        (B, T) float32, -inf where not wanted.
    """
    visual = model.encode_image(batch['image'], batch['image_size'])
    scores = torch.full(wanted.shape, float('-inf'), device=captions.columns.device)
    # From long to short captions.
    places, images = wanted.to(scores.device)[:, captions.columns].t().nonzero(as_tuple=True)
    for place, image in zip(places.split(pairs), images.split(pairs)):
        longest = captions.lengths[int(place[0])]
        ids, attention = (field[place, None, :longest] for field in (captions[0], captions[1]))  # (R, 1, L)
        features = model.fuse(ids, attention, visual.select(image), cls_positions(ids))
        scores[image, captions.columns[place]] = head.score(features).float()
    return scores


def pool_tokens(visual: VisualTokens, number: int) -> VisualTokens:
    """Return the means of ``number`` neighbouring visual tokens each, of those that lie on the image."""
    tokens, valid = visual.tokens[:, 0], visual.valid
    missing = -tokens.size(1) % number
    groups = F.pad(tokens, (0, 0, 0, missing)).unflatten(1, (-1, number))  # (B, N', number, D)
    weight = F.pad(valid, (0, missing)).unflatten(1, (-1, number)).to(tokens.dtype)[..., None]
    means = (groups * weight).sum(2) / weight.sum(2).clamp(min=1)
    return VisualTokens(means[:, None], weight.squeeze(3).any(2))
