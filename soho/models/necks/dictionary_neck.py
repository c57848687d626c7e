"""SOHO's neck: feature map -> visual tokens through the visual dictionary.

Paper: arXiv:2104.03135, sections 3.2 and 3.3 (masked visual modelling).
Official file: SOHO/models/necks/necks.py (``SimpleVDforPre``, ``SimpleVDforPreGate``).
"""

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from soho.models.necks.plain import SYNC_BN, PlainNeck, conv_norm
from soho.models.structures import VisualTokens
from soho.registry import MODELS


@MODELS.register_module()
class DictionaryNeck(PlainNeck):
    """Neck that quantises each grid feature by the dictionary and mixes the word with the feature.

    Look-up and mixing are done once per image, not once per sentence; only the
    masked cells differ between the sentences of an image.

    Args:
        in_channels: Channels C of the backbone's last map.
        out_channels: Hidden size D.
        dictionary: Config of the :class:`VisualDictionary`, without ``dim``.
        gated: Mix word and feature by a learnt two-way gate; otherwise add them.
        align_input: Linear layer before the look-up (official ``begin_align``).
        align_output: Linear layer after the look-up (official ``pos_align``).
        count_padding: Known bug of the release: padding cells update the
            dictionary too. By default only cells on the image do.
        count_sentences: Official behaviour: a feature counts once for each
            sentence of its image, because it is repeated before the neck. This
            affects the smoothing of the dictionary and the bias correction of
            the running variance of the norms.
        shared_cell: Known bug of the release: one cell of the padded grid is
            sampled for the whole batch (necks.py:277), so that nothing is
            masked in an image for which it is padding. By default each image
            has a cell of its own, on the image.
        norm_cfg: See :class:`PlainNeck`.
        **kwargs: See :class:`PlainNeck`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dictionary: dict,
        gated: bool = True,
        align_input: bool = False,
        align_output: bool = True,
        count_padding: bool = False,
        count_sentences: bool = False,
        shared_cell: bool = False,
        norm_cfg: dict | None = SYNC_BN,
        **kwargs,
    ) -> None:
        super().__init__(in_channels, out_channels, norm_cfg=norm_cfg, **kwargs)
        self.count_padding = count_padding
        self.count_sentences = count_sentences
        self.shared_cell = shared_cell
        self.mask_emb = nn.Embedding(1, out_channels)
        self.vq = MODELS.build(dict(type='VisualDictionary', **dictionary, dim=out_channels))
        self.gate = ConvModule(2 * out_channels, 2, 1, norm_cfg=norm_cfg, act_cfg=None) if gated else None
        self.align_input = nn.Linear(out_channels, out_channels) if align_input else None
        self.align_output = nn.Linear(out_channels, out_channels) if align_output else None

    @property
    def dictionary(self) -> Tensor:
        """(K, D) float32 words; no gradient."""
        return self.vq.embed

    def forward(
        self,
        feature: Tensor,
        image_size: Tensor,
        canvas: tuple[int, int],
        mvm_cell: Tensor | None = None,
        mvm_sentences: Tensor | None = None,
    ) -> VisualTokens:
        """
        Args:
            feature: (B, C, H', W'), the backbone's last map.
            image_size: (B, 2) int64, valid height and width in pixels.
            canvas: Height and width of the canvas in pixels.
            mvm_cell: (B,) float in [0, 1), the cell whose word is masked, as a
                fraction of the valid cells. ``None`` masks nothing.
            mvm_sentences: (B, S) bool, the sentences for which it is masked.

        Returns:
            Tokens (B, S, N, D), or (B, 1, N, D) where nothing is masked;
            validity, labels, words and the grid.
        """
        repeats = mvm_sentences.size(1) if self.count_sentences and mvm_sentences is not None else 1
        x, grid = self.project(feature, repeats)  # (B, N, D)
        valid, positions = self.locate(image_size, canvas, grid)
        embedded, words = self._look_up(x, valid, repeats)
        tokens = self.ln(embedded + positions)[:, None]  # (B, 1, N, D)
        if mvm_cell is None:
            return VisualTokens(tokens, valid, words=words, grid=grid)
        assert mvm_sentences is not None, 'mvm_cell comes with mvm_sentences'
        masked = self.masked_cells(words, valid, mvm_cell)[:, None] & mvm_sentences[:, :, None]  # (B, S, N)
        mask_token = self.ln(self.mask_emb.weight + positions)[:, None]
        tokens = torch.where(masked[..., None], mask_token, tokens)
        labels = torch.where(masked, words[:, None], -100)
        return VisualTokens(tokens, valid, labels, words, grid)

    def _look_up(self, x: Tensor, valid: Tensor, repeats: int) -> tuple[Tensor, Tensor]:
        """Grid features (B, N, D) to mixed features (B, N, D) and words (B, N)."""
        b, n, d = x.shape
        features = x.reshape(b * n, d)
        if self.align_input is not None:
            features = self.align_input(features)
        quantized, words = self.vq(features, counted=None if self.count_padding else valid.reshape(-1), weight=repeats)
        if self.align_output is not None:
            quantized = self.align_output(quantized)
        quantized = quantized.view(b, n, d)
        if self.gate is None:
            return quantized + x, words.view(b, n)
        pair = torch.cat([quantized, x], dim=2)  # (B, N, 2D)
        logits = conv_norm(self.gate, pair.transpose(1, 2)[..., None], repeats)  # (B, 2, N, 1)
        scores = logits.squeeze(3).softmax(dim=1)  # (B, 2, N)
        mixed = quantized * scores[:, 0, :, None] + x * scores[:, 1, :, None]
        return mixed, words.view(b, n)

    def masked_cells(self, words: Tensor, valid: Tensor, mvm_cell: Tensor) -> Tensor:
        """The cells whose word is masked, (B, N) bool: the valid ones that have the same word as the sampled cell.

        Args:
            words: (B, N) int64.
            valid: (B, N) bool.
            mvm_cell: (B,) float in [0, 1), see :meth:`forward`.
        """
        if self.shared_cell:
            cell = (mvm_cell[:1] * words.size(1)).long().expand(len(words))
        else:
            nth = (mvm_cell * valid.sum(1)).long()  # the nth valid cell
            cell = (valid.cumsum(1) == nth[:, None] + 1).int().argmax(1)
        chosen = words.gather(1, cell[:, None])  # (B, 1)
        on_image = valid.gather(1, cell[:, None])
        return (words == chosen) & valid & on_image
