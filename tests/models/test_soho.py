"""SOHO as a whole: what must not change its outputs, and what must be learnt."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule

from soho.datasets.collate import collate
from soho.models.structures import FusedFeatures
from soho.registry import MODELS

HEADS = dict(pretrain=('loss_mlm', 'loss_mvm', 'loss_itm'), vqa=('loss_vqa',))


@MODELS.register_module(force=True)
class EightPixelBackbone(BaseModule):
    """Each cell sees its own 8 x 8 pixels and nothing else, so that no border effect reaches the neck."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 128, 8, 8)

    def forward(self, image):
        return (self.conv(image),)


@pytest.fixture(params=['pretrain', 'vqa'])
def task(request):
    return request.param


def on_larger_canvas(batch, height, width):
    """The batch as an image of that size beside it would have made it."""
    image = F.pad(batch['image'], (0, width - batch['image'].shape[-1], 0, height - batch['image'].shape[-2]))
    return dict(batch, image=image)


@pytest.mark.parametrize('pool', [1, 2])
def test_a_larger_canvas_changes_nothing(task, pool, make_model, make_batch, preprocess, soho_config):
    neck = dict(soho_config(task)['neck'], pool=pool)
    model = make_model(task, backbone=dict(type='EightPixelBackbone'), neck=neck)
    small = preprocess(model, make_batch())
    large = preprocess(model, on_larger_canvas(make_batch(), 96, 128))
    before, after = model(mode='tensor', **small), model(mode='tensor', **large)
    torch.testing.assert_close(after.text, before.text, rtol=1e-4, atol=1e-5)

    valid = [
        model.encode_image(batch['image'], batch['image_size']).valid.repeat_interleave(2, 0)
        for batch in (small, large)
    ]
    assert valid[1].shape[1] > valid[0].shape[1] and valid[0].sum() == valid[1].sum()
    torch.testing.assert_close(after.visual[valid[1]], before.visual[valid[0]], rtol=1e-4, atol=1e-5)
    losses = [model(mode='loss', **batch) for batch in (small, large)]
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-5)


def test_text_padding_changes_nothing(task, make_model, make_batch, preprocess):
    model = make_model(task)
    batch = preprocess(model, make_batch())
    padded = dict(
        batch,
        **{
            name: F.pad(batch[name], (0, 5), value=value)
            for name, value in dict(input_ids=0, attention_mask=0, mlm_labels=-100).items()
        },
    )
    before, after = model(mode='tensor', **batch), model(mode='tensor', **padded)
    words = batch['attention_mask'].flatten(0, 1).bool()
    torch.testing.assert_close(after.text[:, :-5][words], before.text[words], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after.visual, before.visual, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(mode='loss', **padded), model(mode='loss', **batch), rtol=1e-4, atol=1e-5)


def test_what_lies_behind_a_padding_token_is_not_read(make_model, make_batch, preprocess):
    model = make_model('vqa')
    batch = preprocess(model, make_batch())
    hidden = torch.where(batch['attention_mask'] == 1, batch['input_ids'], 7)
    outputs = [model(mode='tensor', **dict(batch, input_ids=ids)).text[:, 0] for ids in (batch['input_ids'], hidden)]
    torch.testing.assert_close(outputs[0], outputs[1])


def test_a_permuted_batch_gives_permuted_outputs(task, make_model, make_batch, preprocess):
    model = make_model(task)
    batch = preprocess(model, make_batch())
    order, rows = torch.tensor([2, 0, 1]), torch.tensor([4, 5, 0, 1, 2, 3])
    permuted = {name: value[order] for name, value in batch.items()}
    before, after = model(mode='tensor', **batch), model(mode='tensor', **permuted)
    torch.testing.assert_close(after.text, before.text[rows], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after.visual, before.visual[rows], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before.text, before.text[rows], atol=1e-2)


def test_other_images_of_the_batch_change_nothing(task, make_model, make_batch, preprocess):
    model = make_model(task)
    batch = preprocess(model, make_batch())
    alone = {name: value[1:2] for name, value in batch.items()}
    torch.testing.assert_close(
        model(mode='tensor', **alone).text, model(mode='tensor', **batch).text[2:4], rtol=1e-4, atol=1e-5
    )


def test_sentences_of_one_image_are_as_on_an_image_each(make_model, make_batch, preprocess):
    """What is computed once an image equals what is computed once a sentence, masking included."""
    model = make_model('pretrain')
    batch = preprocess(model, make_batch(sentences=3))
    apart = {
        name: value.flatten(0, 1)[:, None]
        if name
        in (
            'input_ids',
            'attention_mask',
            'sentence_mask',
            'mlm_labels',
            'itm_labels',
            'mvm_sentences',
            'question_id',
            'answer_labels',
            'answer_scores',
        )
        else value.repeat_interleave(3, 0)
        for name, value in batch.items()
    }
    together, single = model(mode='tensor', **batch), model(mode='tensor', **apart)
    assert together.text.shape == single.text.shape == (9, 9, 32)
    torch.testing.assert_close(together.text, single.text, rtol=1e-4, atol=1e-5)
    assert together.visual_labels.equal(single.visual_labels)
    torch.testing.assert_close(model(mode='loss', **apart), model(mode='loss', **batch), rtol=1e-4, atol=1e-5)


def test_the_image_is_seen_and_the_sentence_read(task, make_model, make_batch, preprocess):
    model = make_model(task)
    batch, other = (preprocess(model, make_batch(seed=seed)) for seed in (0, 1))
    before = model(mode='tensor', **batch).text[:, 0]
    for name in ('image', 'input_ids'):
        after = model(mode='tensor', **dict(batch, **{name: other[name]})).text[:, 0]
        assert not torch.allclose(after, before, atol=1e-4), f'{name} is not looked at'


def test_every_parameter_learns(task, make_model, make_batch, preprocess):
    model = make_model(task).train()
    losses = model(mode='loss', **preprocess(model, make_batch()))
    assert {name for name in losses if 'loss' in name} == set(HEADS[task])
    sum(losses[name] for name in HEADS[task]).backward()
    still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    # The last layer's bias of the keys shifts all scores of a query alike, and softmax does not see it.
    assert not {name for name in still if 'key.bias' not in name}


def test_a_few_steps_overfit_a_batch(task, make_model, make_batch, preprocess):
    model = make_model(task).train()
    batch = preprocess(model, make_batch())
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    history = []
    for _ in range(40):
        optimizer.zero_grad()
        losses = model(mode='loss', **batch)
        loss = sum(losses[name] for name in HEADS[task] if name != 'loss_mvm')
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.3 * history[0]


def test_the_language_alone(make_model, make_batch):
    model = make_model('vqa', backbone=None, neck=None)
    batch = make_batch()
    textual = {name: value for name, value in batch.items() if 'image' not in name}
    fused = model(mode='tensor', **model.data_preprocessor(dict(textual)))
    assert fused.visual.shape[1] == 0 and fused.text.shape == (6, 9, 32)
    with_image, without = (model(mode='predict', **model.data_preprocessor(dict(b)))[0] for b in (batch, textual))
    assert with_image['label'].equal(without['label'])
    with pytest.raises(ValueError, match='backbone and neck go together'):
        make_model('vqa', backbone=None)


@pytest.mark.parametrize('part', ['backbone', 'language'])
def test_checkpointing_changes_no_gradient(part, make_model, make_batch, preprocess, soho_config):
    gradients = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        model = make_model('vqa', **{part: dict(soho_config('vqa')[part], with_cp=with_cp)}).train()
        losses = model(mode='loss', **preprocess(model, make_batch()))
        losses['loss_vqa'].backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    torch.testing.assert_close(gradients[1], gradients[0])


def test_the_preprocessor_normalises_and_leaves_padding_at_zero(make_model, make_batch):
    batch = make_batch()
    image = make_model('vqa').data_preprocessor(dict(batch))['image']
    assert image.dtype == torch.float32
    for picture, source, (height, width) in zip(image, batch['image'], batch['image_size'].tolist()):
        expected = (source[:, :height, :width] - torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)) / torch.tensor(
            [58.395, 57.12, 57.375]
        ).view(3, 1, 1)
        torch.testing.assert_close(picture[:, :height, :width], expected)
        assert not picture[:, height:].any() and not picture[:, :, width:].any()


def test_ragged_groups_do_not_count(make_model, make_batch, preprocess):
    """A row without a question of its own changes neither loss nor score, and gets no prediction."""
    model = make_model('vqa')
    batch = preprocess(model, make_batch())
    ragged = dict(batch, sentence_mask=torch.tensor([[True, True], [True, False], [True, False]]))
    kept, whole = (model(mode='predict', **b)[0] for b in (ragged, batch))
    rows = torch.tensor([0, 1, 2, 4])
    assert kept['question_id'].tolist() == [0, 1, 100, 200]
    torch.testing.assert_close(kept['confidence'], whole['confidence'][rows])

    before = model(mode='loss', **ragged)
    ragged['answer_scores'] = torch.where(ragged['sentence_mask'][..., None], ragged['answer_scores'], 1.0)
    ragged['input_ids'] = torch.where(ragged['sentence_mask'][..., None], ragged['input_ids'], 3)
    torch.testing.assert_close(model(mode='loss', **ragged), before)

    rest = [
        {
            name: value[i : i + 1, :n]
            if name not in ('image', 'image_size', 'pad_size', 'mvm_cell')
            else value[i : i + 1]
            for name, value in ragged.items()
        }
        for i, n in enumerate((2, 1, 1))
    ]
    parts = [model(mode='loss', **part)['loss_vqa'] * n for part, n in zip(rest, (2, 1, 1))]
    torch.testing.assert_close(sum(parts) / 4, before['loss_vqa'], rtol=1e-4, atol=1e-5)


def test_a_head_of_ones_own(make_model, make_batch, preprocess):
    """A new task is one head class and its name in the config."""

    @MODELS.register_module(force=True)
    class NormHead(MODELS.get('ITMHead')):
        def loss(self, fused: FusedFeatures, batch):
            return dict(loss_norm=fused.text.norm())

    model = make_model('vqa', heads=dict(norm=dict(type='NormHead', hidden_size=32)))
    assert model(mode='loss', **preprocess(model, make_batch()))['loss_norm'] > 0


def test_a_batch_of_samples_without_images_collates():
    assert collate([dict(input_ids=[[1]]), dict(input_ids=[[2]])])['input_ids'].shape == (2, 1, 1)
