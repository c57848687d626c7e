"""Data structures that the parts of a model pass to each other, with shapes.

``B`` samples, ``M`` images per sample, ``S`` sentences per sample, ``R = B * M * S`` rows (image-major: for each
sample, for each of its images, its sentences), ``L`` text tokens, ``N`` visual tokens, ``D`` hidden size, ``K``
dictionary words, ``V`` vocabulary, ``C`` channels of the backbone, ``P`` positions that a head reads.
"""

from typing import NamedTuple

from torch import Tensor

from soho.models.decoding.decode_step import DecodeStep

Targets = list[dict[str, Tensor]]
"""Objects of each image that a detector is trained on, K of them: ``boxes`` (K, 4) float32, ``labels`` (K,) int64 from
1 and, for masks, ``masks`` (K, E, 4) float32, the edges of the outlines."""


class VisualTokens(NamedTuple):
    """Images as input of SOHO's transformer: the result of :meth:`SOHO.encode_image`."""

    tokens: Tensor
    """(B*M, S, N, D), or (B*M, 1, N, D) where all sentences share the same tokens."""
    valid: Tensor
    """(B*M, N) bool: the cell lies on the image, not on padding."""
    labels: Tensor | None = None
    """(B*M, S, N) int64: the dictionary word of a masked cell, -100 at the others."""
    words: Tensor | None = None
    """(B*M, N) int64: the dictionary word nearest to each cell."""
    grid: tuple[int, int] | None = None
    """Height and width (h, w) of the grid of the N = h * w cells; ``None`` where the tokens are no cells."""

    def select(self, images: Tensor) -> 'VisualTokens':
        """Tokens of ``images`` (int64 indices, repeats allowed), for scoring image-text pairs."""
        labels = None if self.labels is None else self.labels[images]
        words = None if self.words is None else self.words[images]
        return VisualTokens(self.tokens[images], self.valid[images], labels, words, self.grid)


class FusedFeatures(NamedTuple):
    """Input of the heads of SOHO."""

    text: Tensor
    """(R, L, D) fused features at the text positions, ``[:, 0]`` being [CLS]; (R, 1, D) where every
    head reads [CLS] alone. NaN at positions that no head reads, see :meth:`Head.output_positions`."""
    visual: Tensor
    """(R, N, D) fused features at the visual positions; N is 0 without an image."""
    dictionary: Tensor | None = None
    """(K, D) visual dictionary after this step's update; a buffer, without gradient."""
    visual_labels: Tensor | None = None
    """(R, N) int64: see :attr:`VisualTokens.labels`."""


class VisualFeatures(NamedTuple):
    """Image features of VirTex: the result of :meth:`VirTex.encode_image`."""

    feature: Tensor
    """(B, C, h, w) last feature map of the backbone."""
    memory: Tensor | None = None
    """(B, N, D) projected feature map that the caption transformer attends to; N is h * w."""


class CaptionFeatures(NamedTuple):
    """Input of the heads of VirTex."""

    feature: Tensor
    """(B, C, h, w) last feature map of the backbone."""
    logits: dict[str, Tensor]
    """(P, V) logits at the positions that :meth:`Head.text_positions` returns, by token field."""
    decode_step: DecodeStep | None = None
    """Step of caption decoding; ``None`` for a model without a caption transformer."""
