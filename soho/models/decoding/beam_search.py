"""Beam search: approximate search for the most probable text."""

import torch
from torch import Tensor

from soho.errors import UserError
from soho.models.decoding.decode_step import DecodeStep, select
from soho.models.precision import upcast
from soho.registry import MODELS

FORBIDDEN = -1e4  # log-probability that the official code gives to a repeated token


@MODELS.register_module()
class BeamSearch:
    """Batched beam search over the images of a batch, without length normalisation.

    The defaults are the standard procedure. The official VirTex code
    (kdexd/virtex, virtex/utils/beam_search.py) differs in three ways, each of
    which is a switch; its published captions need all three.

    Args:
        beam_size: K, beams per image; 1 is greedy decoding.
        max_steps: Maximum length of a text in tokens, with [EOS] and without [SOS].
        per_node: Continuations considered per beam; 0 for ``beam_size``, which
            is exhaustive. Officially 2.
        drop_start: Official behaviour: after the first step [SOS] is no longer
            attended to, and the first token takes its position.
        forbid_repeats: Official behaviour: no token twice in a row from the second step on.
        eos_id: Token that ends a text.

    Raises:
        UserError: When called with a vocabulary smaller than the beam.
    """

    def __init__(
        self,
        beam_size: int = 5,
        max_steps: int = 30,
        per_node: int = 0,
        drop_start: bool = False,
        forbid_repeats: bool = False,
        eos_id: int = 2,
    ) -> None:
        self.beam_size = beam_size
        self.max_steps = max_steps
        self.per_node = per_node or beam_size
        self.drop_start = drop_start
        self.forbid_repeats = forbid_repeats
        self.eos_id = eos_id

    def __call__(self, step: DecodeStep, start: Tensor, image_id: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Best text of each image.

        The search stops once the best beam has ended: scores only decrease, so
        no other beam can overtake it.

        Args:
            step: Decoding step of the language model.
            start: (B,) int64, [SOS] of each image.
            image_id: Ignored: beam search is deterministic.

        Returns:
            Tokens (B, T) int64 after [SOS], padded with [EOS], and their
            log-probabilities (B,) float32.
        """
        tokens, scores = self.search(step, start, all_beams=False)
        return tokens[:, 0], scores[:, 0]

    def search(self, step: DecodeStep, start: Tensor, all_beams: bool = True) -> tuple[Tensor, Tensor]:
        """All beams, best first: tokens (B, K, T) and log-probabilities (B, K).

        Args:
            step: Decoding step of the language model.
            start: (B,) int64.
            all_beams: Continue until all beams have ended, not only the best ones.
        """
        images, beams = len(start), self.beam_size
        rows = torch.arange(images, device=start.device)
        logits, state = step(start, None)
        if max(beams, self.per_node) > logits.size(1):
            raise UserError(
                f'a beam of {beams} with {self.per_node} continuations per beam needs a vocabulary of '
                f'at least {max(beams, self.per_node)} tokens, not of {logits.size(1)}'
            )
        scores, last = upcast(logits).log_softmax(-1).topk(beams)  # (B, K)
        tokens = last[..., None]  # (B, K, 1)
        state = None if self.drop_start else select(state, rows.repeat_interleave(beams))
        for _ in range(self.max_steps - 1):
            ended = last == self.eos_id
            if (ended if all_beams else ended[:, :1]).all():
                break
            logits, state = step(last.flatten(), state)
            node_scores, node_tokens = self._continuations(logits, last.flatten())  # (B * K, P)
            totals = scores[..., None] + node_scores.view(images, beams, -1)  # (B, K, P)
            scores, chosen = totals.flatten(1).topk(beams)
            last = node_tokens.view(images, -1).gather(1, chosen)
            parents = chosen // self.per_node  # (B, K)
            tokens = torch.cat([tokens[rows[:, None], parents], last[..., None]], dim=2)
            state = select(state, (rows[:, None] * beams + parents).flatten())
        return tokens, scores

    def _continuations(self, logits: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities and ids (R, P) of the best next tokens; a text that has ended only continues with [EOS]."""
        logprobs = upcast(logits).log_softmax(-1)
        if self.forbid_repeats:
            logprobs.scatter_(1, last[:, None], FORBIDDEN)
        ended = last == self.eos_id
        logprobs[ended] = -torch.inf
        logprobs[ended, self.eos_id] = 0.0
        return logprobs.topk(self.per_node)
