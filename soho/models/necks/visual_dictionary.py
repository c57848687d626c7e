"""Visual dictionary: a codebook of recurring image patterns.

Paper: SOHO, arXiv:2104.03135, section 3.2. Each grid feature is replaced by
its nearest word; the words are updated by a moving average of the features;
gradients are straight-through. (Vector quantisation as in VQ-VAE,
arXiv:1711.00937, with the EMA update of its appendix A.1.)
"""

import torch
from mmengine.dist import all_gather, all_reduce, get_rank
from torch import Tensor, nn

from soho.errors import UserError
from soho.models.precision import no_autocast
from soho.registry import MODELS

UNUSED_WORDS = ('keep', 'zero', 'restart')


@MODELS.register_module()
class VisualDictionary(nn.Module):
    """Vector quantisation with a moving-average update, the same on all ranks.

    Everything is computed in float32, whatever the autocast type: half
    precision is too coarse for distances of 768-dim vectors.

    Args:
        num_words: Size K of the dictionary.
        dim: Size D of a word.
        decay: Fraction of the old statistics that an update keeps. The official
            recipe uses 0.4 throughout.
        eps: Laplace smoothing of the word counts.
        unused_words: Treatment of words that no feature is assigned to.
            ``'keep'``: they are not updated. ``'restart'``: once their moving
            count falls below ``restart_below`` they are set to a feature of
            the current batch, so that the dictionary does not collapse to a
            few words. ``'zero'``: the official behaviour; all statistics start
            at zero, so that a word without features in the first step becomes
            the zero vector. Official checkpoints were trained with it.
        restart_below: Moving count, in features per step.

    Raises:
        UserError: For another value of ``unused_words``.
    """

    def __init__(
        self,
        num_words: int,
        dim: int,
        decay: float = 0.4,
        eps: float = 1e-5,
        unused_words: str = 'keep',
        restart_below: float = 0.1,
    ) -> None:
        super().__init__()
        if unused_words not in UNUSED_WORDS:
            raise UserError(f'unused_words is {unused_words!r}; choose one of {UNUSED_WORDS}')
        self.num_words = num_words
        self.decay = decay
        self.eps = eps
        self.unused_words = unused_words
        self.restart_below = restart_below
        self.register_buffer('embed', torch.randn(num_words, dim))
        self.register_buffer('cluster_size', torch.zeros(num_words))
        self.register_buffer('cluster_sum', torch.zeros(num_words))
        self.register_buffer('embed_avg', torch.zeros(num_words, dim))

    def forward(self, features: Tensor, counted: Tensor | None = None, weight: float = 1.0) -> tuple[Tensor, Tensor]:
        """Quantise features; in training, update the words first.

        The order is that of the official code: assign with the old words,
        update, return the *new* vectors of the *old* assignment. Features
        that are not finite contribute nothing to the update, and a batch
        without any that contributes leaves the dictionary as it is.

        Args:
            features: (F, D) of any float dtype.
            counted: (F,) bool, the features that contribute to the update; by
                default all.
            weight: Weight of each feature in the update.

        Returns:
            Quantised features (F, D) float32 with a straight-through gradient
            to ``features``, and word indices (F,) int64.
        """
        with no_autocast(features):
            features = features.float()
            with torch.no_grad():
                indices = self.nearest(features)
                if self.training:
                    self._update(features.detach(), indices, counted, weight)
            quantized = self.embed[indices]
            quantized = features + (quantized - features).detach()
        return quantized, indices

    def nearest(self, features: Tensor) -> Tensor:
        """Index of the word with the smallest L2 distance; the lowest index where several tie.

        Args:
            features: (F, D) float32.

        Returns:
            (F,) int64.
        """
        # |f|^2 is the same for all words, so it is left out.
        distance = torch.addmm(self.embed.square().sum(1), features, self.embed.t(), alpha=-2)
        return distance.argmin(dim=1)

    def _update(self, features: Tensor, indices: Tensor, counted: Tensor | None, weight: float) -> None:
        # A squared norm that overflows would make its word infinite for good: such features do not count.
        usable = features.square().sum(1).isfinite()
        weights = torch.full_like(features[:, 0], weight) * (usable if counted is None else usable & counted)
        features = torch.where(usable[:, None], features, 0)  # infinity times a weight of 0 is NaN
        # Counts and sums share one all-reduce per step, K x (D + 1).
        batch = features.new_zeros(self.num_words, features.size(1) + 1)
        batch[:, 0].index_add_(0, indices, weights)
        batch[:, 1:].index_add_(0, indices, features * weights[:, None])
        all_reduce(batch)
        counts, sums = batch[:, 0], batch[:, 1:]
        any_counted = counts.sum() > 0  # on some rank; kept on the device, which nobody waits for

        self.cluster_sum += counts
        decay = torch.where(any_counted, self.decay, 1.0)
        self.cluster_size.mul_(decay).add_(counts, alpha=1 - self.decay)
        self.embed_avg.mul_(decay).add_(sums, alpha=1 - self.decay)
        total = self.cluster_size.sum()
        smoothed = (self.cluster_size + self.eps) / (total + self.num_words * self.eps) * total
        moved = self.embed_avg / smoothed[:, None]
        used = self.cluster_size > self.restart_below
        updated = any_counted if self.unused_words == 'zero' else (used & any_counted)[:, None]
        self.embed.copy_(torch.where(updated, moved, self.embed))
        if self.unused_words == 'restart':
            self._restart(features, weights > 0, ~used & any_counted)

    def _restart(self, features: Tensor, counted: Tensor, unused: Tensor) -> None:
        """Set unused words to features of the whole batch, the same ones for any number of ranks."""
        counts = torch.stack(all_gather(counted.sum()))  # of each rank
        before = counts[: get_rank()].sum()
        # Spread over the counted features of all ranks by a large stride, from an offset that changes each step.
        slots = torch.arange(self.num_words, device=features.device)
        spread = (slots * 7919 + self.cluster_sum.sum().long()) % counts.sum().clamp(min=1) - before
        local = (spread >= 0) & (spread < counted.sum())
        order = counted.logical_not().to(torch.uint8).argsort(stable=True)
        replacements = features[order[torch.where(local, spread, 0)]] * local[:, None]
        all_reduce(replacements)
        start = self.restart_below * 2
        self.embed.copy_(torch.where(unused[:, None], replacements, self.embed))
        self.embed_avg.copy_(torch.where(unused[:, None], replacements * start, self.embed_avg))
        self.cluster_size.masked_fill_(unused, start)
