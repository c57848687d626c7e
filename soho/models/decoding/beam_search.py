"""Beam search: the likeliest text, approximately."""

import torch
from torch import Tensor

from soho.errors import UserError
from soho.models.decoding.decode_step import DecodeStep, select
from soho.registry import MODELS

FORBIDDEN = -1e4  # log-probability that the official code gives to a repeated token


@MODELS.register_module()
class BeamSearch:
    """Keeps the likeliest partial texts of each image, all images at once; no length normalisation.

    The defaults are the usual procedure. The official VirTex code
    (kdexd/virtex, virtex/utils/beam_search.py) differs in three ways, each of
    which is a switch; its published captions need all three.

    Args:
        beam_size: K, texts kept of an image; 1 is greedy decoding.
        max_steps: Longest text in tokens, [EOS] among them and [SOS] not.
        per_node: Continuations looked at of each text; 0 for as many as the
            beam holds, which misses none. Officially 2.
        drop_start: After the first step [SOS] is not seen any more, and the
            first token moves to its position, as officially.
        forbid_repeats: No token twice in a row from the second step on, as officially.
        eos_id: Ends a text.

    Raises:
        ValueError: In use, where the vocabulary is smaller than a beam.
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
        """The best text of each image.

        The search ends once it is known: scores only fall, so a text that has
        ended in the first place stays there.

        Args:
            step: The language model.
            start: (B,) int64, [SOS] of each image.
            image_id: Not looked at; what is drawn by chance follows from it, and here nothing is.

        Returns:
            Tokens (B, T) int64 after [SOS], the last one repeated [EOS] where
            a text is shorter, and their log-probabilities (B,) float32.
        """
        tokens, scores = self.search(step, start, all_beams=False)
        return tokens[:, 0], scores[:, 0]

    def search(self, step: DecodeStep, start: Tensor, all_beams: bool = True) -> tuple[Tensor, Tensor]:
        """All beams, best first: tokens (B, K, T) and log-probabilities (B, K).

        Args:
            step: The language model.
            start: (B,) int64.
            all_beams: Go on until all beams have ended, not only the best ones.
        """
        images, beams = len(start), self.beam_size
        rows = torch.arange(images, device=start.device)
        logits, state = step(start, None)
        if max(beams, self.per_node) > logits.size(1):
            raise UserError(
                f'a beam of {beams} with {self.per_node} continuations a text needs a vocabulary of '
                f'at least {max(beams, self.per_node)} tokens, not of {logits.size(1)}'
            )
        scores, last = _logprobs(logits).topk(beams)  # (B, K)
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
        """Log-probabilities and ids (R, P) of the best next tokens; a text that has ended stays as it is."""
        logprobs = _logprobs(logits)
        if self.forbid_repeats:
            logprobs.scatter_(1, last[:, None], FORBIDDEN)
        ended = last == self.eos_id
        logprobs[ended] = -torch.inf
        logprobs[ended, self.eos_id] = 0.0
        return logprobs.topk(self.per_node)


def _logprobs(logits: Tensor) -> Tensor:
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
