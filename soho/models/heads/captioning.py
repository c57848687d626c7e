"""Captioning: predict each token from the image and the tokens before it.

Paper: VirTex, arXiv:2006.06666, section 3.1. Official file:
virtex/models/captioning.py.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soho.datasets.batch import Batch
from soho.errors import UserError
from soho.models.heads.base import Head
from soho.models.heads.losses import reduce_mean
from soho.models.precision import no_autocast, upcast
from soho.models.structures import CaptionFeatures
from soho.models.target_positions import target_positions
from soho.registry import MODELS


@MODELS.register_module()
class CaptioningHead(Head):
    """Forward captioning, and backward captioning too where the caption transformer is bidirectional.

    Args:
        decoder: Config of the decoding procedure: ``dict(type='BeamSearch')``
            by default, or ``NucleusSampling``.
        sos_id: Token that begins a caption.
    """

    directions: tuple[str, ...] = ('caption_tokens',)
    """Token fields that are predicted: forward, and backward."""

    def __init__(self, decoder: dict | None = None, sos_id: int = 1) -> None:
        super().__init__()
        self.decoder = MODELS.build(decoder or dict(type='BeamSearch'))
        self.sos_id = sos_id

    def required_fields(self, mode: str) -> tuple[str, ...]:
        return (*self.directions, 'caption_lengths') if mode == 'loss' else ('image_id',)

    def connect(self, language: nn.Module | None) -> None:
        if language is None:
            raise UserError('CaptioningHead needs a caption transformer, and the model has no `language`')
        if language.bidirectional:
            self.directions = ('caption_tokens', 'noitpac_tokens')

    def text_positions(self, batch: Batch, mode: str) -> dict[str, Tensor]:
        positions: dict[str, Tensor] = {}
        for name in self.directions if mode == 'loss' else ():
            length = batch[name].size(-1)
            # Targets count over the L - 1 predicted tokens of a caption; each is predicted at the position before it.
            targets = target_positions(batch, name)
            positions[name] = targets // (length - 1) * length + targets % (length - 1)
        return positions

    def loss(self, features: CaptionFeatures, batch: Batch) -> dict[str, Tensor]:
        """``loss_captioning_forward`` and ``_backward``, each a mean over its tokens."""
        losses = {}
        for name, direction in zip(self.directions, ('forward', 'backward')):
            logits = features.logits[name]
            targets = batch[name][..., 1:].flatten()[target_positions(batch, name)]
            with no_autocast(logits):
                losses[f'loss_captioning_{direction}'] = reduce_mean(
                    F.cross_entropy(upcast(logits), targets, reduction='none')
                )
        return losses

    @torch.no_grad()
    def predict(self, features: CaptionFeatures, batch: Batch) -> dict[str, Tensor]:
        """``image_id`` (B,); ``tokens`` (B, T) int64 after [SOS], padded with [EOS]; ``logprobs`` (B,) float32.

        T is the decoder's ``max_steps``, the same for every batch.
        """
        start = torch.full_like(batch['image_id'], self.sos_id)
        tokens, logprobs = self.decoder(features.decode_step, start, batch['image_id'])
        missing = self.decoder.max_steps - tokens.size(1)
        tokens = F.pad(tokens, (0, missing), value=self.decoder.eos_id)
        return dict(image_id=batch['image_id'], tokens=tokens, logprobs=logprobs)
