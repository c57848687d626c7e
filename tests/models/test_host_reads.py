"""A training step leaves the device alone: no head, neck, optimizer or wrapper waits for a value of it."""

import numpy as np
import pytest
import torch
from torch import nn

from soho.datasets.collate import collate
from soho.engine.optimizers import AdamWSGD
from soho.engine.optimizers.optim_wrapper import AmpOptimWrapper, OptimWrapper
from soho.models.heads.base import Head
from soho.models.target_positions import cache_target_positions
from soho.registry import MODELS, OPTIMIZERS
from tests.host_reads import HostReads

WAITS = dict(
    item=lambda x: x.sum().item(),
    float=lambda x: float(x.sum()),
    int=lambda x: int(x.sum()),
    bool=lambda x: bool((x > 0).all()),
    branch=lambda x: 1 if x.sum() > 0 else 0,
    index=lambda x: [0] * 99 and list(range(99))[x.sum().long().clamp(0, 9)],
    tolist=lambda x: x.tolist(),
    numpy=lambda x: x.numpy(),
    asarray=lambda x: np.asarray(x),
    cpu=lambda x: x.cpu(),
    to_host=lambda x: x.to('cpu'),
    text=lambda x: f'{x}',
    contains=lambda x: 1.0 in x,
    equal=lambda x: x.equal(x),
    allclose=lambda x: torch.allclose(x, x),
    nonzero=lambda x: x.nonzero(),
    where=lambda x: torch.where(x > 0),
    unique=lambda x: x.unique(),
    mask=lambda x: x[x > 0],
    mask_assigned=lambda x: x.clone().__setitem__(x > 0, x[:1, 0]),
    masked_select=lambda x: x.masked_select(x > 0),
    repeated=lambda x: x.repeat_interleave(torch.tensor([1, 2, 3])),
    listed=lambda x: x[[0, 2]],
)


@pytest.mark.parametrize('name', WAITS)
def test_the_guard_sees_every_read(name):
    x = torch.arange(3.0)[:, None] if name != 'repeated' else torch.arange(3.0)
    with pytest.raises(AssertionError, match='wait'), HostReads(device='cpu'):
        WAITS[name](x)
    with HostReads(device='cuda'):  # on the host anything goes
        WAITS[name](x)


def test_the_guard_sees_reads_in_a_backward_pass():
    class Asks(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * grad.sum().item()

    with pytest.raises(AssertionError, match='test_host_reads.py:backward'), HostReads():
        Asks.apply(torch.ones(3, requires_grad=True)).sum().backward()


def optimizer_config(name):
    patterns = dict(AdamWSGD='sgd', AdamWLARS='lars')
    options = dict(type=name, lr=1e-3, momentum=0.9)
    if name == 'Lookahead':
        options.update(optimizer='SGD', k=1)
    return options, patterns.get(name)


def train(model, batch, optimizer='AdamWSGD', wrapper=OptimWrapper, refuse=True, steps=2, **options):
    """Functions that waited in two steps of training."""
    settings, rule = optimizer_config(optimizer)
    groups = [dict(params=list(model.parameters())[::2]), dict(params=list(model.parameters())[1::2])]
    if rule:
        groups[1]['opt'] = rule
    built = OPTIMIZERS.get(settings.pop('type'))(groups, **settings)
    update = wrapper(optimizer=built, clip_grad=dict(max_norm=1.0), **options)
    with HostReads(refuse) as guard:
        for _ in range(steps):
            with update.optim_context(model):
                losses = model(mode='loss', **batch)
            loss, _ = model.parse_losses(losses)
            update.update_params(loss)
    return guard.found


def device_batch(model, batch, preprocess):
    return cache_target_positions(preprocess(model, batch))


WRAPPERS = [(OptimWrapper, {}), (AmpOptimWrapper, dict(dtype='bfloat16'))]


@pytest.mark.parametrize('wrapper, options', WRAPPERS, ids=['float32', 'bfloat16'])
@pytest.mark.parametrize('optimizer', ['AdamWSGD', 'AdamWLARS', 'Lookahead'])
@pytest.mark.parametrize('task', ['pretrain', 'vqa'])
def test_a_step_of_soho(task, optimizer, wrapper, options, make_model, make_batch, preprocess):
    model = make_model(task).train()
    assert not train(model, device_batch(model, make_batch(), preprocess), optimizer, wrapper, **options)


@pytest.mark.parametrize(
    'neck',
    [
        dict(dictionary=dict(num_words=8, unused_words='zero'), shared_cell=True, count_padding=True, square_mask=True),
        dict(dictionary=dict(num_words=8, unused_words='restart'), gated=False, align_input=True, align_output=False),
        dict(dictionary=dict(num_words=8), count_sentences=True),
    ],
)
def test_a_step_of_every_form_of_the_neck(neck, make_model, make_batch, preprocess, soho_config):
    parts = dict(soho_config()['neck'], **neck)
    model = make_model(neck=parts).train()
    assert not train(model, device_batch(model, make_batch(), preprocess))


def test_a_step_with_one_label_a_sentence(make_model, make_batch, preprocess):
    head = dict(type='ClassificationHead', hidden_size=32, num_classes=10, loss='ce')
    model = make_model('vqa', heads=dict(entailment=head)).train()
    assert not train(model, device_batch(model, make_batch(), preprocess))


@pytest.mark.parametrize('task', ['bicaptioning', 'captioning', 'masked_lm', 'classification'])
def test_a_step_of_virtex(task, make_virtex, make_caption_batch, preprocess):
    model = make_virtex(task).train()
    assert not train(model, device_batch(model, make_caption_batch(), preprocess), 'Lookahead')


def test_a_step_of_a_classifier(make_virtex, make_caption_batch, preprocess):
    head = dict(type='MultiAttributeHead', in_channels=128, attributes=dict(color=3, shape=2))
    model = make_virtex('classification', heads=dict(labels=head)).train()
    batch = dict(make_caption_batch(), attribute_labels=torch.tensor([[0, 1], [2, -1], [1, -1], [-1, -1]]))
    assert not train(model, device_batch(model, batch, preprocess))


def test_every_head_is_here():
    MODELS.import_from_location()
    heads = {
        part.__name__
        for part in MODELS.module_dict.values()
        if isinstance(part, type) and issubclass(part, Head) and part.__module__.startswith('soho.')
    }
    assert heads == {
        *('MLMHead', 'MVMHead', 'ITMHead', 'ClassificationHead', 'CaptioningHead', 'MaskedCaptionHead'),
        *('MultiLabelHead', 'MultiAttributeHead', 'RetrievalHead'),
    }


def test_loss_scaling_waits_once_an_update(make_model, make_batch, preprocess):
    """Whether a step has to be skipped is known on the device."""
    model = nn.Linear(4, 4)
    optimizer = AdamWSGD(model.parameters())
    wrapper = AmpOptimWrapper(optimizer=optimizer, dtype='float16', clip_grad=dict(max_norm=1.0))
    loss = model(torch.randn(2, 4)).sum()
    with HostReads(refuse=False) as guard:
        wrapper.update_params(loss)
    assert guard.found == {'amp_optimizer_wrapper.py:step'}


def test_a_step_of_the_detector_waits_where_its_regions_are_chosen(preprocess):
    """Which regions are proposed, sampled and pooled depends on values; nothing else waits."""
    rng = np.random.default_rng(0)
    sample = dict(
        image=rng.integers(0, 256, (96, 96, 3), dtype=np.uint8),
        image_id=np.int64(0),
        full_size=np.array([96, 96]),
        boxes=np.array([[10, 10, 50, 60]], np.float32),
        box_labels=np.array([1]),
    )
    regions = dict(
        type='RegionHeads',
        num_classes=3,
        strides=(8, 16),
        samples=16,
        box_head=dict(type='FCBoxHead', in_channels=16, channels=32),
    )
    rpn = dict(
        type='RPN', in_channels=16, sizes=((16,), (32,), (64,)), strides=(8, 16, 32), proposals=(20, 20), samples=16
    )
    model = MODELS.build(
        dict(
            type='Detector',
            backbone=dict(type='ResNet', depth=18, out_indices=(1, 2), num_stages=3),
            neck=dict(type='FPN', in_channels=(128, 256), out_channels=16),
            rpn=rpn,
            regions=regions,
        )
    ).train()
    found = train(model, device_batch(model, collate([sample]), preprocess), refuse=False)
    assert found == {
        *('detector.py:forward', 'detector.py:<dictcomp>'),  # sizes of the images, objects without padding
        *('rpn.py:forward', 'rpn.py:compute_loss'),  # torchvision's suppression, matching and sampling
        *('regions.py:forward', 'pooling.py:forward'),  # sampling, and the regions of each level
    }
