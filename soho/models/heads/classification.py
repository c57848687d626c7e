"""Classification of a sentence and its images: VQA, GQA, visual entailment, NLVR, NLVR2.

Paper: SOHO, arXiv:2104.03135, section 4.2.1. Official file:
SOHO/models/heads/soho_downstream_vqa_head.py.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soho.datasets.batch import Batch
from soho.errors import UserError
from soho.models.heads.base import Head
from soho.models.heads.losses import accuracy, reduce_mean
from soho.models.heads.positions import cls_positions, get_sentence_mask
from soho.models.precision import no_autocast, upcast
from soho.models.structures import FusedFeatures
from soho.registry import MODELS

LOSSES = ('bce', 'ce')


def confidences(logits: Tensor, soft: bool) -> Tensor:
    """Confidence in each class, (R, A): a sigmoid where several may be correct (``soft``), else a softmax."""
    return torch.sigmoid(logits) if soft else logits.softmax(1)


@MODELS.register_module()
class ClassificationHead(Head):
    """A two-layer classifier on [CLS], or on the [CLS] of a sentence with each of M images.

    Args:
        hidden_size: D.
        num_classes: A; 3,129 for VQA v2.
        loss: ``'bce'``: binary cross-entropy against soft scores, as published for VQA, where several
            answers may be correct. ``'ce'``: cross-entropy against the one label ``answer_labels[..., 0]``.
        num_images: M; the [CLS] of the M rows of a sentence are concatenated. Where evaluation has more rows than
            that, they are of an image at several scales, and their logits are averaged.
        dropout: Between the two layers.
        temperature: Divisor of the logits in ``confidence``; fitted by ``tools/analysis/calibrate.py``.

    Raises:
        UserError: For another ``loss``, or a temperature that is not positive.
    """

    def __init__(
        self,
        hidden_size: int,
        num_classes: int = 3129,
        loss: str = 'bce',
        num_images: int = 1,
        dropout: float = 0.5,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if loss not in LOSSES:
            raise UserError(f'loss of a ClassificationHead is {loss!r}; it is one of {", ".join(LOSSES)}')
        if temperature <= 0:
            raise UserError(f'temperature of a ClassificationHead is {temperature}; it divides logits and is above 0')
        self.num_classes = num_classes
        self.temperature = temperature
        self.num_images = num_images
        self.soft = loss == 'bce'
        self.classifier = nn.Sequential(
            nn.Linear(num_images * hidden_size, 4 * hidden_size),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4 * hidden_size, num_classes),
        )

    def init_weights(self) -> None:
        for module in self.classifier:
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def required_fields(self, mode: str) -> tuple[str, ...]:
        labels = ('answer_labels', 'answer_scores') if self.soft else ('answer_labels',)
        return ('sentence_mask', *labels) if mode == 'loss' else ('sentence_mask', 'question_id')

    def check(self, metainfo: dict[str, Any], source: str) -> None:
        """Check that the data set has as many classes as the head."""
        classes = len(metainfo.get('class_names', ()))
        if classes != self.num_classes:
            raise UserError(
                f'{source} has a list of {classes} answers, but the head {self.name!r} has num_classes='
                f'{self.num_classes}: both must be of the same list'
            )

    def output_positions(self, batch: Batch, length: int, cells: int) -> Tensor:
        return cls_positions(batch['input_ids'])

    def forward(self, features: FusedFeatures, batch: Batch) -> Tensor:
        """(B * S, A) logits from the [CLS] of B * M * S rows."""
        cls = features.text[:, 0]  # (R, D)
        sentences = batch['sentence_mask'].size(1)
        of_images = cls.view(-1, self.num_images, sentences, cls.size(1))  # (B, M, S, D)
        return self.classifier(of_images.transpose(1, 2).flatten(0, 1).flatten(1))

    def targets(self, batch: Batch) -> Tensor:
        """(B * S, A) float32 soft scores from the sparse labels."""
        labels = batch['answer_labels'].flatten(0, 1)
        scores = batch['answer_scores'].flatten(0, 1)
        dense = scores.new_zeros(len(labels), self.num_classes + 1)
        # Padding (-1) goes to an extra column, which is cut off.
        dense.scatter_(1, labels.masked_fill(labels < 0, self.num_classes), scores)
        return dense[:, : self.num_classes]

    def loss(self, features: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """``loss_<name>``, a mean over sentences, and the accuracy of the most probable class.

        With soft labels the loss is summed over classes and the accuracy is ``score``, in [0, 1]; with one label
        it is ``acc_<name>``, in percent, and sentences with an unknown label (-1) count in neither.
        """
        logits = self(features, batch)
        counted = get_sentence_mask(batch)
        if not self.soft:
            losses, correct, counted = self.per_sample_loss(logits, batch)
            loss = reduce_mean(losses, counted.sum().float())
            return {f'loss_{self.name}': loss, f'acc_{self.name}': accuracy(correct, counted)}
        targets, counted = self.targets(batch), counted.float()
        with no_autocast(logits):
            losses = F.binary_cross_entropy_with_logits(logits.float(), targets, reduction='none').sum(1)
        score = targets.gather(1, logits.detach().argmax(1, keepdim=True)).squeeze(1)
        return {
            f'loss_{self.name}': reduce_mean(losses * counted, counted.sum()),
            'score': (score * counted).sum() / counted.sum().clamp(min=1),
        }

    def per_sample_loss(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """(B * S,) cross-entropies, 0 at unknown labels; whether the class is correct; whether the label is known."""
        labels = batch['answer_labels'][..., 0].flatten()
        labels = labels.masked_fill(~get_sentence_mask(batch), -1)
        with no_autocast(logits):
            losses = F.cross_entropy(upcast(logits), labels, ignore_index=-1, reduction='none')
        return losses, logits.detach().argmax(1) == labels, labels >= 0

    def probabilities(self, logits: Tensor) -> Tensor:
        """(R, A) logits to probabilities, calibrated by ``temperature``; see :func:`confidences`."""
        return confidences(logits / self.temperature, self.soft)

    def predict(self, features: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """Predictions of the R' sentences that count.

        Returns:
            ``question_id`` and ``label`` int64, ``confidence`` float32 in [0, 1], each (R',), and ``logits``
            (R', A) float32. See :meth:`probabilities` for the confidence.
        """
        counted = get_sentence_mask(batch)
        logits = self(features, batch).float()  # (B * V * S, A), V scales of an image
        samples, sentences = batch['sentence_mask'].shape
        logits = logits.view(samples, -1, sentences, self.num_classes).mean(1).flatten(0, 1)[counted]
        confidence, label = self.probabilities(logits).max(dim=1)
        ids = batch['question_id'].flatten()[counted]
        return dict(question_id=ids, label=label, confidence=confidence, logits=logits)
