"""Image-text retrieval: the matching score of an image and a caption, learnt by comparison with other captions.

In the manner of Pixel-BERT (arXiv:2004.00849, section 4.2), the predecessor of SOHO by the same group: how the paper
trains its own head could not be found.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from soho.datasets.batch import Batch
from soho.errors import UserError
from soho.models.heads.itm import ITMHead
from soho.models.heads.losses import accuracy, reduce_mean
from soho.models.heads.positions import get_sentence_mask
from soho.models.precision import no_autocast, upcast
from soho.models.structures import FusedFeatures
from soho.registry import MODELS


@MODELS.register_module()
class RetrievalHead(ITMHead):
    """The logit that sentence and image belong together, of a classifier that pretraining's matching has begun.

    It has the layer of :class:`ITMHead`: named ``itm`` in a model it takes over that head's weights from a pretrained
    checkpoint, and its score is the row of "true". The other row is kept and not used.

    Args:
        hidden_size: D.
        hardest: How many captions of other images, those with the highest scores, an image's own is compared with;
            ``None`` for all of them. The others get no gradient. Nor are they in the softmax: with their share of it
            cut off from the gradient, all scores would drift upward together.
        image_negatives: Also compare each caption with the other images of the batch. All images of the batch must
            have the same captions, see :func:`soho.datasets.retrieval.collate_in_batch`.

    Raises:
        UserError: ``hardest`` is not positive.
    """

    def __init__(self, hidden_size: int, hardest: int | None = 5, image_negatives: bool = False) -> None:
        super().__init__(hidden_size)
        if hardest is not None and hardest < 1:
            raise UserError(f'hardest={hardest} of the RetrievalHead leaves nothing to learn from; give 1 or more')
        self.hardest = hardest
        self.image_negatives = image_negatives

    def required_fields(self, mode: str) -> tuple[str, ...]:
        return ('itm_labels', 'sentence_mask') if mode == 'loss' else ('image_index',)

    def score(self, features: FusedFeatures) -> Tensor:
        """(R,) scores; the higher, the better the sentence fits the image."""
        return self(features)[:, 1]

    def loss(self, features: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """``loss_retrieval``, the mean cross-entropy of an image's own caption, and how often it comes first.

        ``acc_txt`` (percent) counts the images whose caption has the highest score; with ``image_negatives`` there are
        ``loss_retrieval_image`` and ``acc_img`` too.
        """
        labels, mask = batch['itm_labels'], batch['sentence_mask']
        scores = upcast(self.score(features)).view_as(labels)  # (B, S)
        losses, correct = self.per_sample_loss(scores, labels, mask)
        output = dict(loss_retrieval=reduce_mean(losses), acc_txt=accuracy(correct))
        if self.image_negatives:
            if labels.size(0) != labels.size(1):
                raise UserError(
                    f'image_negatives compares a caption with all images of the batch, but {labels.size(0)} images '
                    f'have {labels.size(1)} captions each: collate with collate_in_batch'
                )
            losses, correct = self.per_sample_loss(scores.t(), labels.t(), mask.t())
            output |= dict(loss_retrieval_image=reduce_mean(losses), acc_img=accuracy(correct))
        return output

    def per_sample_loss(self, scores: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of what belongs together, among it and the hardest other candidates.

        Args:
            scores: (Q, C) float, of each query with its candidates.
            labels: (Q, C) int64, 1 at the one candidate that belongs to the query.
            mask: (Q, C) bool, the candidates that count.

        Returns:
            (Q,) cross-entropies and (Q,) bool, whether the right candidate has the highest score.
        """
        with no_autocast(scores):
            own = labels == 1
            scores = scores.masked_fill(~(mask | own), float('-inf'))
            compared = scores
            if self.hardest is not None and self.hardest < scores.size(1) - 1:
                ranked = scores.detach().masked_fill(own, float('inf'))
                learn = torch.zeros_like(own).scatter_(1, ranked.topk(self.hardest + 1).indices, True)
                compared = scores.masked_fill(~learn, float('-inf'))
            target = own.int().argmax(1)
            losses = F.cross_entropy(compared, target, reduction='none')
        return losses, scores.detach().argmax(1) == target

    def predict(self, features: FusedFeatures, batch: Batch) -> dict[str, Tensor]:
        """``match_score`` (R',) float32 of the sentences that count."""
        return dict(match_score=self.score(features).float()[get_sentence_mask(batch)])
