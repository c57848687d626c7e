"""The objectives against their plain forms."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from soho.errors import UserError
from soho.models.structures import FusedFeatures
from soho.registry import MODELS


def fused(rows=6, length=5, cells=4, dim=8):
    return FusedFeatures(torch.randn(rows, length, dim), torch.randn(rows, cells, dim))


def tied_to(words, name='MLMHead'):
    """A head on a language model that has nothing but a word embedding."""
    head = MODELS.build(dict(type=name))
    head.connect(SimpleNamespace(word_embeddings=nn.Parameter(words)))
    return head


def test_mlm_scores_by_the_word_embedding_alone():
    words = torch.randn(20, 8)
    head = tied_to(words)
    assert not head.state_dict() and not head.load_state_dict({}).missing_keys
    inputs, labels = fused(), torch.randint(0, 20, (3, 2, 5))
    labels[torch.rand(labels.shape) < 0.6] = -100
    labels[0, 0, 0] = 3
    losses = head.loss(inputs, dict(mlm_labels=labels))
    logits = inputs.text @ words.t()
    flat = labels.flatten(0, 1)
    torch.testing.assert_close(losses['loss_mlm'], F.cross_entropy(logits.flatten(0, 1), flat.flatten()))
    asked = flat >= 0
    right = (logits.argmax(-1) == flat)[asked].float().mean() * 100
    torch.testing.assert_close(losses['acc_mlm'], right)


def test_the_word_embedding_is_one_parameter(make_model, make_batch, preprocess):
    model = make_model('pretrain')
    wide = [name for name, p in model.named_parameters() if 60 in p.shape]
    assert wide == ['language.bert.embeddings.word_embeddings.weight']
    model.heads['mlm'].loss(model(**preprocess(model, make_batch())), make_batch())['loss_mlm'].backward()
    gradient = model.get_parameter(wide[0]).grad
    assert (gradient.abs().sum(1) > 0).all()  # as an output layer every word takes part


def test_mvm_scores_by_cosine_and_the_dictionary_gets_no_gradient():
    head = MODELS.build(dict(type='MVMHead', temperature=0.5))
    words, labels = torch.randn(7, 8), torch.randint(-1, 7, (6, 4))
    labels = labels.masked_fill(labels < 0, -100)  # at cells that are not masked
    inputs = fused()._replace(dictionary=words, visual_labels=labels)
    losses = head.loss(inputs, dict(mvm_sentences=torch.ones(3, 2, dtype=torch.bool)))
    cosine = F.cosine_similarity(inputs.visual[:, :, None], words, dim=-1)
    expected = F.cross_entropy(cosine.flatten(0, 1) / 0.5, labels.flatten())
    torch.testing.assert_close(losses['loss_mvm'], expected)


@pytest.mark.parametrize('name', ['MLMHead', 'MVMHead'])
def test_nothing_asked_is_a_loss_of_zero_with_a_gradient(name):
    inputs = fused()._replace(dictionary=torch.randn(7, 8), visual_labels=torch.full((6, 4), -100))
    inputs = inputs._replace(text=inputs.text.requires_grad_(), visual=inputs.visual.requires_grad_())
    batch = dict(mlm_labels=torch.full((3, 2, 5), -100), mvm_sentences=torch.ones(3, 2, dtype=torch.bool))
    losses = tied_to(torch.randn(20, 8), name).loss(inputs, batch)
    (loss,) = (value for key, value in losses.items() if 'loss' in key)
    loss.backward()
    assert loss == 0 and not (inputs.text if name == 'MLMHead' else inputs.visual).grad.any()


def test_itm_is_a_two_way_classifier_on_the_first_token():
    head = MODELS.build(dict(type='ITMHead', hidden_size=8))
    inputs, labels = fused(), torch.tensor([[0, 1], [1, 1], [0, 0]])
    losses = head.loss(inputs, dict(itm_labels=labels))
    logits = inputs.text[:, 0] @ head.match_class.weight.t()
    torch.testing.assert_close(losses['loss_itm'], F.cross_entropy(logits, labels.flatten()))
    right = (logits.argmax(1) == labels.flatten()).float().mean() * 100
    torch.testing.assert_close(losses['acc_itm'], right)


def vqa_batch():
    return dict(
        sentence_mask=torch.ones(3, 2, dtype=torch.bool),
        question_id=torch.arange(6).view(3, 2),
        answer_labels=torch.tensor([[[0, 4], [0, -1]], [[-1, -1], [2, 9]], [[5, 6], [7, -1]]]),
        answer_scores=torch.tensor([[[1, 0.3], [0.6, 0]], [[0, 0], [0.9, 1]], [[0.3, 0.3], [1, 0]]]),
    )


def test_vqa_is_the_dense_cross_entropy_summed_over_answers():
    head = MODELS.build(dict(type='ClassificationHead', hidden_size=8, num_classes=10)).eval()
    inputs, batch = fused(), vqa_batch()
    dense = torch.zeros(6, 10)
    for row, (labels, scores) in enumerate(
        zip(batch['answer_labels'].flatten(0, 1), batch['answer_scores'].flatten(0, 1))
    ):
        for label, score in zip(labels.tolist(), scores.tolist()):
            if label >= 0:
                dense[row, label] = score
    logits = head(inputs, batch)
    head.name = 'vqa'
    losses = head.loss(inputs, batch)
    torch.testing.assert_close(losses['loss_vqa'], F.binary_cross_entropy_with_logits(logits, dense) * 10)
    torch.testing.assert_close(losses['score'], dense[range(6), logits.argmax(1)].mean())
    predicted = head.predict(inputs, batch)
    assert predicted['label'].equal(logits.argmax(1)) and predicted['question_id'].tolist() == list(range(6))
    torch.testing.assert_close(predicted['confidence'], logits.sigmoid().amax(1))


def test_vqa_without_any_counted_row():
    head = MODELS.build(dict(type='ClassificationHead', hidden_size=8, num_classes=10))
    head.name = 'vqa'
    batch = dict(vqa_batch(), sentence_mask=torch.zeros(3, 2, dtype=torch.bool))
    assert head.loss(fused(), batch)['loss_vqa'] == 0
    assert all(len(value) == 0 for value in head.predict(fused(), batch).values())


@pytest.mark.parametrize('task, names', [('pretrain', ('mlm', 'mvm', 'itm')), ('vqa', ('vqa',))])
def test_losses_are_float32_under_autocast(task, names, make_model, make_batch, preprocess):
    model = make_model(task).train()
    batch = preprocess(model, make_batch())
    with torch.autocast('cpu', torch.bfloat16):
        losses = model(mode='loss', **batch)
    for name in names:
        assert losses[f'loss_{name}'].dtype == torch.float32 and losses[f'loss_{name}'].isfinite()


def test_the_answer_list_has_to_fit_the_head():
    head = MODELS.build(dict(type='ClassificationHead', hidden_size=8, num_classes=3))
    head.name = 'vqa'
    head.check(dict(class_names=['yes', 'no', '2']), 'train.json')
    with pytest.raises(ValueError, match='train.json has a list of 2 answers, but the head .vqa. has num_classes=3'):
        head.check(dict(class_names=['yes', 'no']), 'train.json')


@pytest.mark.parametrize('name, needed', [('CaptioningHead', 'caption transformer'), ('MLMHead', 'word embedding')])
def test_a_model_without_a_language_part_is_refused_in_a_sentence(name, needed):
    with pytest.raises(UserError, match=f'{name} .*{needed}'):
        MODELS.build(dict(type=name)).connect(None)
