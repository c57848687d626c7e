"""What the parts of a model hand to each other, with shapes.

``B`` images, ``S`` sentences an image, ``R = B * S`` rows (image-major),
``L`` text tokens, ``N`` visual tokens, ``D`` hidden size, ``K`` dictionary
words, ``V`` vocabulary, ``C`` channels of the backbone.
"""

from typing import NamedTuple

from torch import Tensor, nn


class VisualTokens(NamedTuple):
    """What a neck makes of a feature map."""

    tokens: Tensor
    """(B, S, N, D), or (B, 1, N, D) where all sentences see the same tokens."""
    valid: Tensor
    """(B, N) bool: the cell lies on the image, not on padding."""
    labels: Tensor | None = None
    """(B, S, N) int64: the dictionary word hidden in a cell, -100 where none is."""
    words: Tensor | None = None
    """(B, N) int64: the dictionary word nearest to each cell."""


class FusedFeatures(NamedTuple):
    """All that a head may look at."""

    text: Tensor
    """(R, L, D) fused features at the text positions; ``[:, 0]`` is [CLS], and all there is
    where every head reads [CLS] alone. Zero where no head looks, see :meth:`Head.reads`."""
    visual: Tensor
    """(R, N, D) fused features at the visual positions; N is 0 without an image."""
    word_embeddings: Tensor
    """(V, D) the language model's input embedding, to tie an output layer to."""
    dictionary: Tensor | None = None
    """(K, D) the visual dictionary after this step's update."""
    visual_labels: Tensor | None = None
    """(R, N) int64: see :attr:`VisualTokens.labels`."""


class VisualFeatures(NamedTuple):
    """All that a head of VirTex may look at."""

    feature: Tensor
    """(B, C, h, w) the backbone's last feature map."""
    language: nn.Module | None = None
    """The textual side, where the model has one."""
    memory: Tensor | None = None
    """(B, N, D) the feature map as the textual side sees it; N is h * w."""
