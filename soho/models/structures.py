"""What the parts of a model hand to each other, with shapes.

``B`` samples, ``M`` images a sample, ``S`` sentences a sample, ``R = B * M * S`` rows (image-major: for each
sample, for each of its images, its sentences), ``L`` text tokens, ``N`` visual tokens, ``D`` hidden size, ``K``
dictionary words, ``V`` vocabulary, ``C`` channels of the backbone.
"""

from typing import NamedTuple

from torch import Tensor

from soho.models.decoding.decode_step import DecodeStep


class VisualTokens(NamedTuple):
    """Images as SOHO's transformer reads them: what :meth:`SOHO.encode_image` returns."""

    tokens: Tensor
    """(B*M, S, N, D), or (B*M, 1, N, D) where all sentences see the same tokens."""
    valid: Tensor
    """(B*M, N) bool: the cell lies on the image, not on padding."""
    labels: Tensor | None = None
    """(B*M, S, N) int64: the dictionary word hidden in a cell, -100 where none is."""
    words: Tensor | None = None
    """(B*M, N) int64: the dictionary word nearest to each cell."""

    def select(self, images: Tensor) -> 'VisualTokens':
        """The tokens of ``images`` (int64 numbers), each any number of times, as when pairs are scored."""
        return VisualTokens(*(None if field is None else field[images] for field in self))


class FusedFeatures(NamedTuple):
    """All that a head of SOHO may read."""

    text: Tensor
    """(R, L, D) fused features at the text positions; ``[:, 0]`` is [CLS], and all there is
    where every head reads [CLS] alone. NaN where no head reads, see :meth:`Head.output_positions`."""
    visual: Tensor
    """(R, N, D) fused features at the visual positions; N is 0 without an image."""
    dictionary: Tensor | None = None
    """(K, D) the visual dictionary after this step's update, a buffer."""
    visual_labels: Tensor | None = None
    """(R, N) int64: see :attr:`VisualTokens.labels`."""


class VisualFeatures(NamedTuple):
    """Images as VirTex reads them: what :meth:`VirTex.encode_image` returns."""

    feature: Tensor
    """(B, C, h, w) the backbone's last feature map."""
    memory: Tensor | None = None
    """(B, N, D) the feature map as the caption transformer attends to it; N is h * w."""


class CaptionFeatures(NamedTuple):
    """All that a head of VirTex may read."""

    feature: Tensor
    """(B, C, h, w) the backbone's last feature map."""
    logits: dict[str, Tensor]
    """By field of tokens, (M, V) logits at the positions that :meth:`Head.text_positions` gives."""
    decode_step: DecodeStep | None = None
    """Writes captions token by token, where the model has a caption transformer."""
