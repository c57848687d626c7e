"""The matching score learns from the caption of an image and the captions that are hardest to tell from it."""

import pytest
import torch
import torch.nn.functional as F

from soho.engine.checkpoint.load import load_weights
from soho.models.heads.retrieval import RetrievalHead
from soho.models.structures import FusedFeatures

HEAD = dict(itm=dict(type='RetrievalHead', hidden_size=32))


def compare(head, scores, own=0, mask=None):
    """Losses and gradients of scores (Q, C) of which ``own`` belong to the query."""
    scores = scores.clone().requires_grad_()
    labels = torch.zeros(scores.shape, dtype=torch.long)
    labels[range(len(scores)), own] = 1
    mask = torch.ones_like(labels, dtype=torch.bool) if mask is None else mask
    losses, correct = head.per_sample_loss(scores, labels, mask)
    losses.sum().backward()
    return losses, correct, scores.grad


def test_only_the_hardest_captions_are_compared():
    scores = torch.randn(3, 21)
    losses, correct, grad = compare(RetrievalHead(8, hardest=5), scores)
    hardest = scores[:, 1:].topk(5).indices + 1
    chosen = torch.cat([scores[:, :1], scores.gather(1, hardest)], 1)
    target = torch.zeros(3, dtype=torch.long)
    torch.testing.assert_close(losses, F.cross_entropy(chosen, target, reduction='none'))
    assert correct.equal(scores.argmax(1) == 0)  # among all
    learnt = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, hardest, True)
    learnt[:, 0] = True
    assert (grad[learnt] != 0).all() and (grad[~learnt] == 0).all()
    # Raising all scores alike is not rewarded.
    torch.testing.assert_close(grad.sum(1), torch.zeros(3))
    everything = compare(RetrievalHead(8, hardest=None), scores)[0]
    torch.testing.assert_close(everything, F.cross_entropy(scores, target, reduction='none'))


def test_what_does_not_count_changes_nothing():
    scores, mask = torch.randn(2, 9), torch.ones(2, 9, dtype=torch.bool)
    mask[:, 4:] = False
    kept = compare(RetrievalHead(8, hardest=2), scores[:, :4])
    masked = compare(RetrievalHead(8, hardest=2), scores, mask=mask)
    torch.testing.assert_close(masked[0], kept[0])
    torch.testing.assert_close(masked[2][:, :4], kept[2])
    assert (masked[2][:, 4:] == 0).all()


def test_images_are_negatives_of_a_caption_too():
    head = RetrievalHead(8, hardest=None, image_negatives=True)
    head.init_weights()
    batch = dict(itm_labels=torch.eye(3, dtype=torch.long), sentence_mask=torch.ones(3, 3, dtype=torch.bool))
    features = FusedFeatures(torch.randn(9, 1, 8), torch.zeros(9, 0, 8))
    losses = head.loss(features, batch)
    scores = head.score(features).view(3, 3)
    torch.testing.assert_close(losses['loss_retrieval'], F.cross_entropy(scores, torch.arange(3)))
    torch.testing.assert_close(losses['loss_retrieval_image'], F.cross_entropy(scores.t(), torch.arange(3)))
    with pytest.raises(ValueError, match='2 images have 3 captions each: collate with collate_in_batch'):
        head.loss(
            FusedFeatures(torch.randn(6, 1, 8), torch.zeros(6, 0, 8)),
            dict(itm_labels=torch.zeros(2, 3, dtype=torch.long), sentence_mask=torch.ones(2, 3, dtype=torch.bool)),
        )
    with pytest.raises(ValueError, match='hardest=0'):
        RetrievalHead(8, hardest=0)


def test_the_score_begins_as_the_logit_of_a_match(make_model, make_batch, preprocess):
    pretrained, model = make_model('pretrain'), make_model('pretrain', heads=HEAD)
    report = load_weights(model, pretrained.state_dict(), 'pretraining', strict=True)
    assert not report.missing
    batch = preprocess(model, make_batch())
    batch = {name: value for name, value in batch.items() if not name.startswith('mvm')}
    found = model(mode='predict', **batch)[0]['match_score']
    expected = pretrained.heads['itm'](pretrained(mode='tensor', **batch))[:, 1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_training_step_reaches_all_parts(make_model, make_batch, preprocess):
    model = make_model('pretrain', heads=HEAD)
    batch = preprocess(model, make_batch(sentences=4))
    batch['itm_labels'] = torch.eye(1, 4, dtype=torch.long).expand(3, 4)
    losses = model(mode='loss', **{name: value for name, value in batch.items() if not name.startswith('mvm')})
    assert set(losses) == {'loss_retrieval', 'acc_txt'}
    losses['loss_retrieval'].backward()
    parts = {name.split('.')[0] for name, value in model.named_parameters() if value.grad is not None}
    assert parts == {'backbone', 'neck', 'language', 'heads'}
