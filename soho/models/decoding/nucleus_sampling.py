"""Nucleus sampling: texts drawn from the likely part of the distribution.

Paper: The Curious Case of Neural Text Degeneration, arXiv:1904.09751.
"""

import numpy as np
import torch
from torch import Tensor

from soho.models.decoding.decode_step import DecodeStep
from soho.registry import MODELS

REMOVED = -1e12  # a logit that cannot be drawn beside any other


@MODELS.register_module()
class NucleusSampling:
    """Draws each token from the fewest tokens that hold a share of the probability.

    Args:
        nucleus_size: That share; the token that crosses it belongs to the nucleus.
        max_steps: Longest text in tokens, [EOS] among them and [SOS] not.
        forbid_repeats: No token twice in a row, as officially (kdexd/virtex,
            virtex/utils/nucleus_sampling.py): the previous token leaves the
            nucleus after the cut, and where it was all of it any token may come.
        eos_id: Ends a text.
        seed: What an image's draws follow from, together with its id alone: it
            is described alike each time, whatever else is in its batch.
    """

    def __init__(
        self,
        nucleus_size: float = 0.9,
        max_steps: int = 30,
        forbid_repeats: bool = False,
        eos_id: int = 2,
        seed: int = 0,
    ) -> None:
        self.nucleus_size = nucleus_size
        self.max_steps = max_steps
        self.forbid_repeats = forbid_repeats
        self.eos_id = eos_id
        self.seed = seed

    def __call__(self, step: DecodeStep, start: Tensor, image_id: Tensor) -> tuple[Tensor, Tensor]:
        """One text of each image, as :meth:`BeamSearch.__call__`; the log-probabilities are the model's own."""
        numbers = self.numbers(image_id)
        last, state, score = start, None, torch.zeros(len(start), device=start.device)
        tokens: list[Tensor] = []
        for number in numbers.unbind(1):
            ended = last == self.eos_id
            if ended.all():
                break
            logits, state = step(last, state)
            drawn = self.draw(self.probabilities(logits, last), number)
            gained = logits.float().log_softmax(1).gather(1, drawn[:, None]).squeeze(1)
            score = torch.where(ended, score, score + gained)
            last = drawn.masked_fill(ended, self.eos_id)
            tokens.append(last)
        return torch.stack(tokens, dim=1), score

    def numbers(self, image_id: Tensor) -> Tensor:
        """Each image's own random numbers, (B, max_steps) float64 in [0, 1), one for each token."""
        rows = [np.random.default_rng([self.seed, image]).random(self.max_steps) for image in image_id.tolist()]
        return torch.from_numpy(np.stack(rows)).to(image_id.device)

    def draw(self, probabilities: Tensor, number: Tensor) -> Tensor:
        """The tokens (R,) at which the sum of the probabilities (R, V) passes ``number`` (R,) of [0, 1)."""
        summed = probabilities.cumsum(1, dtype=torch.float64)
        summed = summed.masked_fill(probabilities == 0, 0)  # none of these, whatever a sum is rounded to
        passed = summed > number[:, None] * summed.amax(1, keepdim=True)
        return passed.int().argmax(1)

    def probabilities(self, logits: Tensor, last: Tensor) -> Tensor:
        """What the next token is drawn from, (R, V).

        Args:
            logits: (R, V) of the model.
            last: (R,) int64, the previous token.
        """
        return self.restrict(logits, last).softmax(1)

    def restrict(self, logits: Tensor, last: Tensor) -> Tensor:
        """The logits (R, V) with those of tokens that may not come at ``REMOVED``."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        ordered, order = logits.sort(1, descending=True)
        held = ordered.softmax(1).cumsum(1)
        beyond = torch.zeros_like(held, dtype=torch.bool)
        beyond[:, 1:] = held[:, :-1] > self.nucleus_size
        logits = logits.masked_fill(beyond.scatter(1, order, beyond), REMOVED)
        return logits.scatter(1, last[:, None], REMOVED) if self.forbid_repeats else logits
