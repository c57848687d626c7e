"""Masked visual modelling: predict the dictionary words of masked cells.

Paper: SOHO, arXiv:2104.03135, section 3.4.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from soho.datasets.batch import Batch
from soho.models.heads.base import Head
from soho.models.heads.losses import accuracy, reduce_mean
from soho.models.precision import no_autocast
from soho.models.structures import FusedFeatures
from soho.models.target_positions import target_positions
from soho.registry import MODELS


@MODELS.register_module()
class MVMHead(Head):
    """Classification of masked cells by cosine similarity to the words of the dictionary.

    The dictionary is updated by its moving average alone and gets no gradient
    here. The labels are ``FusedFeatures.visual_labels`` (R, N), which the neck
    returns for the sentences for which it masks.

    Args:
        temperature: Divisor of the cosines; 1 as published.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    def required_fields(self, mode: str) -> tuple[str, ...]:
        return ('mvm_cell', 'mvm_sentences')

    def output_positions(self, batch: Batch, length: int, cells: int) -> Tensor:
        first = target_positions(batch, 'mvm_sentences') * (length + cells) + length
        return (first[:, None] + torch.arange(cells, device=first.device)).flatten()

    def loss(self, features: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """``loss_mvm`` (mean cross-entropy over masked cells) and ``acc_mvm`` (percent)."""
        losses, correct, masked = self.per_sample_loss(features, batch)
        return dict(loss_mvm=reduce_mean(losses, masked.sum().float()), acc_mvm=accuracy(correct, masked))

    def predict(self, features: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """``mvm_losses`` float32 and ``mvm_correct`` bool of the P' masked cells."""
        losses, correct, masked = self.per_sample_loss(features, batch)
        return dict(mvm_losses=losses[masked], mvm_correct=correct[masked])

    def per_sample_loss(self, features: FusedFeatures, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """(P,) cross-entropies, whether the predicted word is correct, and whether the cell is masked."""
        scores, labels = self.scores(features, batch)
        losses = F.cross_entropy(scores / self.temperature, labels, reduction='none')  # 0 at labels of -100
        return losses, scores.detach().argmax(1) == labels, labels >= 0

    def scores(self, features: FusedFeatures, batch: Batch) -> tuple[Tensor, Tensor]:
        """(P, K) float32 cosines and (P,) words, -100 at cells that are not masked.

        P counts all cells of the sentences with a mask: the number of masked
        cells is known on the device only, and reading it would synchronise.
        """
        rows = target_positions(batch, 'mvm_sentences')
        assert features.dictionary is not None and features.visual_labels is not None, 'DictionaryNeck gives both'
        cells = features.visual[rows].flatten(0, 1)  # (P, D)
        with no_autocast(cells):
            scores = F.linear(F.normalize(cells.float(), dim=-1), F.normalize(features.dictionary, dim=-1))
        return scores, features.visual_labels[rows].flatten()
