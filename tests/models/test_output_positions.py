"""Computing only the positions that heads read gives what computing all gives, for every head that is registered."""

import pytest
import torch

from soho.evaluation.evaluator import Evaluator
from soho.models.heads.base import Head
from soho.models.heads.captioning import CaptioningHead
from soho.models.heads.itm import ITMHead
from soho.models.heads.masked_captions import MaskedCaptionHead
from soho.models.heads.mlm import MLMHead
from soho.models.heads.multi_attribute import MultiAttributeHead
from soho.models.heads.multi_label import MultiLabelHead
from soho.models.heads.positions import merge_positions
from soho.registry import METRICS, MODELS

# Of every head of SOHO a config for the small model; those of VirTex name positions of captions instead.
OF_SOHO = dict(
    MLMHead=dict(),
    MVMHead=dict(),
    ITMHead=dict(hidden_size=32),
    RetrievalHead=dict(hidden_size=32),
    ClassificationHead=dict(hidden_size=32, num_classes=10, dropout=0.0),
)
OF_VIRTEX = (CaptioningHead, MaskedCaptionHead, MultiAttributeHead, MultiLabelHead)


def registered_heads():
    MODELS.import_from_location()
    parts = MODELS.module_dict.values()
    return sorted(
        part.__name__
        for part in parts
        if isinstance(part, type) and issubclass(part, Head) and part.__module__.startswith('soho.')
    )


def losses_and_gradients(model, batch):
    """Losses, and the gradient of every parameter."""
    losses = model.train()(mode='loss', **batch)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    return losses, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_every_head_is_covered():
    assert registered_heads() == sorted([*OF_SOHO, *(head.__name__ for head in OF_VIRTEX)])


@pytest.mark.parametrize('name', OF_SOHO)
def test_part_and_whole_agree(name, make_model, make_batch, preprocess, soho_config):
    results = []
    for partial in (True, False):
        torch.manual_seed(0)
        language = dict(soho_config('pretrain')['language'], partial_last_layer=partial)
        model = make_model('pretrain', language=language, heads=dict(task=dict(type=name, **OF_SOHO[name])))
        losses, gradients = losses_and_gradients(model, preprocess(model, make_batch()))
        (predicted,) = model.eval()(mode='predict', **preprocess(model, make_batch()))
        results.append((losses, gradients, predicted))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


def test_all_positions_are_computed_where_a_head_reads_all():
    some = torch.tensor([3, 8])
    assert merge_positions([some, None]) is None and merge_positions([]) is None
    assert merge_positions([some, some[:0], some + 1]).tolist() == [3, 8, 4, 9]


def test_a_head_that_names_too_few_positions_gets_no_number(make_model, make_batch, preprocess):
    class Forgetful(MLMHead):
        def output_positions(self, batch, length, cells):
            return super().output_positions(batch, length, cells)[:-1]

    model = make_model('pretrain', heads=dict(mlm=dict(type='MLMHead'), itm=dict(type='ITMHead', hidden_size=32)))
    model.heads['mlm'].__class__ = Forgetful
    losses = model(mode='loss', **preprocess(model, make_batch()))
    assert losses['loss_mlm'].isnan() and losses['loss_itm'].isfinite()


def test_two_heads_of_a_kind_keep_their_outputs_apart(make_model, make_batch, preprocess):
    heads = {
        name: dict(type='ClassificationHead', hidden_size=32, num_classes=10, loss=loss)
        for name, loss in (('answer', 'bce'), ('entailment', 'ce'))
    }
    model = make_model('vqa', heads=dict(heads, itm=dict(type='ITMHead', hidden_size=32)))
    assert isinstance(model.heads['itm'], ITMHead)
    batch = preprocess(model, make_batch())
    losses = model(mode='loss', **batch)
    assert set(losses) == {'loss_answer', 'score', 'loss_entailment', 'acc_entailment', 'loss_itm', 'acc_itm'}
    (predicted,) = model(mode='predict', **batch)
    assert {'answer.logits', 'entailment.logits', 'answer.question_id', 'itm_losses'} <= set(predicted)
    assert not predicted['answer.logits'].equal(predicted['entailment.logits'])
    evaluator = Evaluator([METRICS.build(dict(type='ClassificationAccuracy', head='entailment'))])
    evaluator.process([predicted], batch)
    right = (predicted['entailment.label'] == batch['answer_labels'][..., 0].flatten()).float().mean()
    assert evaluator.evaluate(6)['accuracy'] == pytest.approx(100 * right.item())
