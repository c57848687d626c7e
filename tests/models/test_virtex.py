"""VirTex as a whole: what must not change its outputs, what must be learnt, and each objective's plain form."""

import pytest
import torch
import torch.nn.functional as F

from soho.registry import MODELS

LOSSES = dict(
    bicaptioning={'loss_captioning_forward', 'loss_captioning_backward'},
    captioning={'loss_captioning_forward'},
    masked_lm={'loss_mlm'},
    classification={'loss_classification'},
)


@pytest.fixture(params=LOSSES)
def task(request):
    return request.param


@pytest.fixture
def batch(make_virtex, make_caption_batch):
    return make_virtex('classification').data_preprocessor(make_caption_batch())


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def total(losses, task):
    assert {name for name in losses if 'loss' in name} == LOSSES[task]
    return sum(losses[name] for name in LOSSES[task])


def test_captioning_is_cross_entropy_of_the_next_token(make_virtex, batch):
    model = make_virtex('bicaptioning')
    torch.nn.init.normal_(model.language.backward_transformer.layers[0].linear2.weight)
    losses, visual = model(mode='loss', **batch), model(mode='tensor', **batch)
    for name, tokens in (('forward', batch['caption_tokens']), ('backward', batch['noitpac_tokens'])):
        backward = name == 'backward'
        logits = model.language(visual.memory, tokens, batch['caption_lengths'], backward).logits[:, :-1]
        expected = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=0)
        close(losses[f'loss_captioning_{name}'], expected)
    assert losses['loss_captioning_forward'] != losses['loss_captioning_backward']


def test_masked_captions_are_guessed_at_the_mask(make_virtex, batch):
    model = make_virtex('masked_lm')
    losses, visual = model(mode='loss', **batch), model(mode='tensor', **batch)
    logits = model.language(visual.memory, batch['caption_tokens'], batch['caption_lengths']).logits
    expected = F.cross_entropy(logits.flatten(0, 1), batch['masked_labels'].flatten(), ignore_index=0)
    close(losses['loss_mlm'], expected)
    (predicted,) = model(mode='predict', **batch)
    assert predicted['mlm_losses'].shape == (4,)
    close(losses['acc_mlm'], predicted['mlm_correct'].float().mean() * 100)


def test_a_set_of_labels_shares_the_probability(make_virtex, batch):
    model = make_virtex('classification')
    visual = model(mode='tensor', **batch)
    logprobs = model.heads['classification'](visual).log_softmax(1)
    each = []
    for row, labels in zip(logprobs, batch['label_set'].tolist()):
        wanted = sorted(set(labels) - {0, 1, 2})
        each.append(-row[wanted].mean())
    close(model(mode='loss', **batch)['loss_classification'], torch.stack(each).mean())
    (predicted,) = model(mode='predict', **batch)
    assert predicted['labels'].equal(logprobs.topk(10).indices)
    close(predicted['probabilities'], logprobs.topk(10).values.exp())


def test_an_image_without_labels_does_not_count(make_virtex, batch):
    model = make_virtex('classification')
    few = dict(batch, label_set=batch['label_set'].clone())
    few['label_set'][2:] = torch.tensor([0, 1, 2] * 3)
    first = {name: value[:2] for name, value in batch.items()}
    close(model(mode='loss', **few)['loss_classification'], model(mode='loss', **first)['loss_classification'])
    few['label_set'][:] = 0
    loss = model(mode='loss', **few)['loss_classification']
    loss.backward()
    assert loss == 0 and not model.heads['classification'].output.weight.grad.any()


def test_padding_of_captions_changes_nothing(task, make_virtex, batch):
    model = make_virtex(task)
    padded = dict(
        batch,
        **{
            name: F.pad(batch[name], (0, 3))
            for name in ('caption_tokens', 'noitpac_tokens', 'masked_labels', 'label_set')
        },
    )
    close(model(mode='loss', **padded), model(mode='loss', **batch))


def test_a_permuted_batch_has_the_same_losses_and_permuted_predictions(task, make_virtex, batch):
    model = make_virtex(task)
    order = torch.tensor([2, 0, 3, 1])
    permuted = {name: value[order] for name, value in batch.items()}
    close(model(mode='loss', **permuted), model(mode='loss', **batch))
    (before,), (after,) = (model(mode='predict', **b) for b in (batch, permuted))
    for name, value in before.items():
        close(after[name], value[order])


def test_the_image_is_seen(task, make_virtex, make_caption_batch, batch):
    model = make_virtex(task)
    other = model.data_preprocessor(make_caption_batch(seed=1))['image']
    assert not total(model(mode='loss', **batch), task).allclose(
        total(model(mode='loss', **dict(batch, image=other)), task), rtol=1e-4
    )


def test_every_parameter_learns(task, make_virtex, batch):
    model = make_virtex(task).train()
    total(model(mode='loss', **batch), task).backward()
    still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert not still
    if task != 'classification':
        # Padding has no embedding, but it is a class of the output.
        assert model.language.embedding.words.weight.grad[0].any()


def test_a_few_steps_overfit_a_batch(task, make_virtex, batch):
    model = make_virtex(task).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    history = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = total(model(mode='loss', **batch), task)
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    # A set of labels cannot fall below its entropy.
    assert history[-1] < (0.7 if task == 'classification' else 0.3) * history[0]


def test_a_frozen_cnn_has_no_gradient_and_keeps_its_statistics(make_virtex, batch):
    model = make_virtex('classification', frozen_backbone=True).train()
    before = {name: value.clone() for name, value in model.backbone.state_dict().items()}
    total(model(mode='loss', **batch), 'classification').backward()
    assert model.heads['classification'].training and not any(part.training for part in model.backbone.modules())
    assert all(value.equal(before[name]) for name, value in model.backbone.state_dict().items())
    learnt = {name.split('.')[0] for name, p in model.named_parameters() if p.grad is not None}
    assert learnt == {'heads'}


def test_several_captions_an_image_are_as_many_images(make_virtex, batch):
    model = make_virtex('bicaptioning')
    names = ('caption_tokens', 'noitpac_tokens', 'caption_lengths')
    pairs = {name: batch[name].unflatten(0, (2, 2)) for name in names}
    together = model(mode='loss', **dict(batch, image=batch['image'][::2], **pairs))
    apart = model(mode='loss', **dict(batch, image=batch['image'][::2].repeat_interleave(2, 0)))
    for name, value in apart.items():
        torch.testing.assert_close(together[name], value)


def test_captions_learnt_by_heart_are_written(make_virtex, batch):
    model = make_virtex('captioning').eval()  # batch-norm as in use, so that a few steps do
    model.heads['captioning'].decoder.max_steps = 9
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        model(mode='loss', **batch)['loss_captioning_forward'].backward()
        optimizer.step()
    (predicted,) = model(mode='predict', **batch)
    assert predicted['image_id'].tolist() == [100, 101, 102, 103]
    expected = F.pad(batch['caption_tokens'][:, 1:], (0, 1)).masked_fill(
        F.pad(batch['caption_tokens'][:, 1:], (0, 1)) == 0, 2
    )
    assert predicted['tokens'].equal(expected)
    assert (predicted['logprobs'] > -1).all() and not predicted['logprobs'].requires_grad


@pytest.mark.parametrize('decoder', ['BeamSearch', 'NucleusSampling'])
def test_captions_have_one_length_whatever_the_batch(decoder, make_virtex, batch):
    model = make_virtex(
        'captioning', heads=dict(captioning=dict(type='CaptioningHead', decoder=dict(type=decoder, max_steps=7)))
    )
    with torch.no_grad():
        model.language.output_bias[2] = 50  # [EOS] at once
    (predicted,) = model(mode='predict', **batch)
    assert predicted['tokens'].equal(torch.full((4, 7), 2)) and predicted['logprobs'].shape == (4,)


def test_sampled_captions_do_not_depend_on_their_batch(make_virtex, batch):
    model = make_virtex(
        'captioning',
        heads=dict(captioning=dict(type='CaptioningHead', decoder=dict(type='NucleusSampling', max_steps=7))),
    )
    alike = dict(image=batch['image'][:1].expand_as(batch['image']), image_id=batch['image_id'])
    tokens = model(mode='predict', **alike)[0]['tokens']
    assert tokens.unique(dim=0).size(0) == 4
    (turned,) = model(mode='predict', **{name: value.flip(0) for name, value in alike.items()})
    (alone,) = model(mode='predict', **{name: value[2:3] for name, value in alike.items()})
    assert turned['tokens'].flip(0).equal(tokens) and alone['tokens'].equal(tokens[2:3])


def test_losses_are_float32_under_autocast(task, make_virtex, batch):
    model = make_virtex(task).train()
    with torch.autocast('cpu', torch.bfloat16):
        loss = total(model(mode='loss', **batch), task)
        (predicted,) = model.eval()(mode='predict', **batch)
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert all(value.dtype in (torch.float32, torch.int64, torch.bool) for value in predicted.values())


def test_a_set_of_labels_is_judged_where_there_is_one(make_virtex, batch):
    model = make_virtex('classification')
    head = model.heads['classification']
    labels = batch['label_set'].clone()
    labels[2] = 1  # an ignored one: this image has no label
    (predicted,) = model(mode='predict', **dict(batch, label_set=labels))
    best = predicted['labels'][:, 0]
    correct = [int(best[i]) in set(labels[i].tolist()) - set(head.ignore) for i in (0, 1, 3)]
    assert predicted['classification_correct'].tolist() == correct
    loss = model(mode='loss', **dict(batch, label_set=labels))['loss_classification']
    assert predicted['classification_losses'].mean().item() == pytest.approx(loss.item(), rel=1e-5)
    unlabeled = {name: value for name, value in batch.items() if name != 'label_set'}
    assert 'classification_correct' not in model(mode='predict', **unlabeled)[0]


def test_any_timm_cnn_is_a_backbone(make_virtex, batch):
    pytest.importorskip('timm')
    model = make_virtex(
        'captioning',
        backbone=dict(type='TimmBackbone', model_name='resnet10t'),
        language=dict(type='CaptionTransformer', visual_size=512, vocab_size=60, hidden_size=64),
    )
    assert model(mode='loss', **batch)['loss_captioning_forward'].isfinite()


def test_batch_images_fill_uint8_canvases(make_virtex, make_caption_batch):
    raw = make_caption_batch()
    assert raw['image'].dtype == torch.uint8
    model = MODELS.build(dict(type='VirTex', backbone=dict(type='ResNet', depth=18), heads={}))
    feature = model(mode='tensor', **model.data_preprocessor(raw)).feature
    assert feature.shape == (4, 512, 1, 1)
