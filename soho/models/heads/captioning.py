"""Captioning: every next token from the image and the tokens before it.

Paper: VirTex, arXiv:2006.06666, section 3.1. Official file:
virtex/models/captioning.py.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from soho.models.heads.base import Batch, Head, gather_positions, mean_over, no_autocast, upcast
from soho.models.structures import VisualFeatures
from soho.models.target_positions import target_positions
from soho.registry import MODELS


@MODELS.register_module()
class CaptioningHead(Head):
    """Forward captioning, and backward too where the textual side is bidirectional.

    Reads ``caption_tokens`` (B, L) int64, [SOS] ... [EOS] padded on the right
    with id 0, which is no target; ``caption_lengths`` (B,) int64; and for the
    backward direction ``noitpac_tokens`` (B, L), [EOS] ... [SOS]. Of S captions
    an image they are (B, S, L) and (B, S).

    Args:
        decoder: How captions are written: ``dict(type='BeamSearch')`` by
            default, or ``NucleusSampling``.
        sos_id: Begins a caption.
    """

    def __init__(self, decoder: dict | None = None, sos_id: int = 1) -> None:
        super().__init__()
        self.decoder = MODELS.build(decoder or dict(type='BeamSearch'))
        self.sos_id = sos_id

    def loss(self, seen: VisualFeatures, batch: Batch) -> dict[str, Tensor]:
        """``loss_captioning_forward`` and ``_backward``, each a mean over its tokens."""
        losses = dict(loss_captioning_forward=self.loss_of(seen, 'caption_tokens', batch))
        if seen.language.bidirectional:
            losses['loss_captioning_backward'] = self.loss_of(seen, 'noitpac_tokens', batch, backward=True)
        return losses

    def loss_of(self, seen: VisualFeatures, key: str, batch: Batch, backward: bool = False) -> Tensor:
        """Mean cross-entropy of the tokens (B, L) or (B, S, L) under ``key``, in one direction."""
        tokens, lengths = batch[key].flatten(0, -2), batch['caption_lengths'].flatten()  # (R, L), (R,)
        features = seen.language(seen.memory, tokens, lengths, backward)  # (R, L, D)
        features, targets = gather_positions(features[:, :-1], tokens[:, 1:], target_positions(batch, key))
        logits = seen.language.logits(features)  # (M, V)
        with no_autocast(logits):
            return mean_over(F.cross_entropy(upcast(logits), targets, reduction='none'))

    @torch.no_grad()
    def predict(self, seen: VisualFeatures, batch: Batch) -> dict[str, Tensor]:
        """``image_id`` (B,); ``tokens`` (B, T) int64 after [SOS], filled up with [EOS]; ``logprobs`` (B,) float32.

        T is the decoder's ``max_steps``, the same for every batch.
        """
        start = torch.full_like(batch['image_id'], self.sos_id)
        tokens, logprobs = self.decoder(seen.language.make_decode_step(seen.memory), start, batch['image_id'])
        missing = self.decoder.max_steps - tokens.size(1)
        tokens = F.pad(tokens, (0, missing), value=self.decoder.eos_id)
        return dict(image_id=batch['image_id'], tokens=tokens, logprobs=logprobs)
