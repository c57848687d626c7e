"""Nucleus (top-p) sampling.

Paper: The Curious Case of Neural Text Degeneration, arXiv:1904.09751.
"""

import numpy as np
import torch
from torch import Tensor

from soho.models.decoding.decode_step import DecodeStep
from soho.models.precision import upcast
from soho.registry import MODELS

REMOVED = -1e12  # logit of a token that cannot be sampled


@MODELS.register_module()
class NucleusSampling:
    """Sampling of each token from the smallest set of tokens that holds a given probability.

    Args:
        nucleus_size: That probability p; the token that crosses it belongs to the nucleus.
        max_steps: Maximum length of a text in tokens, with [EOS] and without [SOS].
        forbid_repeats: Official behaviour (kdexd/virtex,
            virtex/utils/nucleus_sampling.py): no token twice in a row. The
            previous token is removed after the cut; if it was the whole
            nucleus, all tokens remain.
        eos_id: Token that ends a text.
        seed: Seed of the random numbers. Those of an image depend on it and on
            the image's id alone, so that its caption does not depend on its batch.
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
        """One text per image in the form of :meth:`BeamSearch.__call__`, with the model's own log-probabilities."""
        numbers = self.numbers(image_id)
        last, state, score = start, None, torch.zeros(len(start), device=start.device)
        tokens: list[Tensor] = []
        for number in numbers.unbind(1):
            ended = last == self.eos_id
            if ended.all():
                break
            logits, state = step(last, state)
            sampled = self.sample(self.probabilities(logits, last), number)
            logprob = logits.float().log_softmax(1).gather(1, sampled[:, None]).squeeze(1)
            score = torch.where(ended, score, score + logprob)
            last = sampled.masked_fill(ended, self.eos_id)
            tokens.append(last)
        return torch.stack(tokens, dim=1), score

    def numbers(self, image_id: Tensor) -> Tensor:
        """Random numbers of each image, (B, max_steps) float64 in [0, 1), one for each token."""
        rows = [np.random.default_rng([self.seed, image]).random(self.max_steps) for image in image_id.tolist()]
        return torch.from_numpy(np.stack(rows)).to(image_id.device)

    def sample(self, probabilities: Tensor, number: Tensor) -> Tensor:
        """Tokens (R,) at which the cumulative probabilities (R, V) exceed ``number`` (R,) in [0, 1)."""
        summed = probabilities.cumsum(1, dtype=torch.float64)
        summed = summed.masked_fill(probabilities == 0, 0)  # rounding must not select a token of probability 0
        passed = summed > number[:, None] * summed.amax(1, keepdim=True)
        return passed.int().argmax(1)

    def probabilities(self, logits: Tensor, last: Tensor) -> Tensor:
        """Distribution that the next token is sampled from, (R, V).

        Args:
            logits: (R, V) of the model.
            last: (R,) int64, the previous token.
        """
        return self.restrict(logits, last).softmax(1)

    def restrict(self, logits: Tensor, last: Tensor) -> Tensor:
        """Logits (R, V) with those of excluded tokens set to ``REMOVED``."""
        logits = upcast(logits)
        ordered, order = logits.sort(1, descending=True)
        held = ordered.softmax(1).cumsum(1)
        beyond = torch.zeros_like(held, dtype=torch.bool)
        beyond[:, 1:] = held[:, :-1] > self.nucleus_size
        logits = logits.masked_fill(beyond.scatter(1, order, beyond), REMOVED)
        return logits.scatter(1, last[:, None], REMOVED) if self.forbid_repeats else logits
