"""The CNN of any checkpoint: what kind it is, and its weights."""

import pytest
import torch
from torchvision.models import resnet18

from soho.engine import Runner
from soho.engine.checkpoint.adapters.official import to_official
from soho.engine.checkpoint.backbones import infer_resnet_config, load_backbone
from soho.engine.checkpoint.read import CheckpointError
from soho.models.backbones import ResNet
from soho.registry import MODELS

KINDS = [(18, 4, 64), (34, 3, 64), (50, 4, 64), (50, 2, 128), (101, 3, 64), (152, 2, 64)]


@pytest.mark.parametrize('depth, stages, width', KINDS)
def test_a_resnet_is_recognised_by_its_weights(depth, stages, width):
    config = dict(type='ResNet', depth=depth, num_stages=stages, out_indices=(stages - 1,))
    if depth >= 50:
        config['width_per_group'] = width
    with torch.device('meta'):
        state = MODELS.build(config).state_dict()
    assert infer_resnet_config({f'visual.cnn.{name}': value for name, value in state.items()}) == config


def test_other_cnns_are_named():
    state = ResNet(18).state_dict()
    with pytest.raises(ValueError, match='no entry ends in'):
        infer_resnet_config({'stem.weight': state['conv1.weight']})
    with pytest.raises(ValueError, match=r'\[2, 2, 2, 3\] basic blocks in its stages, as none of the depths 18'):
        infer_resnet_config(dict(state, **{'layer4.2.conv1.weight': state['conv1.weight']}))
    state = ResNet(50).state_dict()
    state['layer1.0.conv2.weight'] = state['layer1.0.conv2.weight'][:, :2]
    with pytest.raises(ValueError, match='convolves in 32 groups'):
        infer_resnet_config(state)


@pytest.fixture
def checkpoints(make_model, make_virtex, tmp_path):
    """Name of a kind of checkpoint -> its file and the weights of its CNN."""
    soho, virtex, torchvision = make_model('pretrain'), make_virtex(), resnet18().state_dict()
    whole = dict(
        own_soho=(soho.state_dict(), soho.backbone),
        official_soho=(to_official(soho.state_dict()), soho.backbone),
        own_virtex=(virtex.state_dict(), virtex.backbone),
        official_virtex=(dict(model=to_official(virtex.state_dict()), iteration=3), virtex.backbone),
        parallel=({f'module.{name}': value for name, value in virtex.state_dict().items()}, virtex.backbone),
        torchvision=(torchvision, None),
    )
    files = {}
    for name, (content, cnn) in whole.items():
        torch.save(content, tmp_path / f'{name}.pth')
        files[name] = str(tmp_path / f'{name}.pth'), cnn.state_dict() if cnn else torchvision
    return files


def test_the_cnn_comes_out_of_every_kind_of_checkpoint(checkpoints):
    for path, weights in checkpoints.values():
        backbone = load_backbone(path)
        assert not backbone.training
        assert all(value.equal(weights[name]) for name, value in backbone.state_dict().items())
        assert backbone(torch.zeros(1, 3, 32, 32))[-1].shape[1] == backbone.out_channels[-1]


def test_a_part_starts_from_every_kind_of_checkpoint(checkpoints):
    """As ``model.backbone.init_cfg.checkpoint=FILE``, without knowing what the CNN is called in the file."""
    for path, weights in checkpoints.values():
        backbone = ResNet(18, num_stages=2, out_indices=(1,), init_cfg=dict(type='Pretrained', checkpoint=path))
        backbone.init_weights()
        assert all(value.equal(weights[name]) for name, value in backbone.state_dict().items())


def test_a_random_cnn_follows_from_its_seed():
    def weights(**options):
        return load_backbone('random', dict(depth=18, num_stages=2), **options).conv1.weight

    state = torch.get_rng_state()
    assert weights(seed=3).equal(weights(seed=3)) and not weights(seed=3).equal(weights(seed=4))
    assert torch.get_rng_state().equal(state)
    assert load_backbone('random', dict(depth=18, num_stages=2)).out_channels == [128]


def test_options_go_over_what_the_weights_tell(tmp_path):
    torch.save(resnet18().state_dict(), tmp_path / 'whole.pth')
    backbone = load_backbone(str(tmp_path / 'whole.pth'), dict(num_stages=3, strides=(1, 2, 1, 1), out_indices=(2,)))
    assert backbone(torch.zeros(1, 3, 64, 64))[0].shape == (1, 256, 8, 8)


def test_a_timm_cnn_is_named_by_its_user(tmp_path):
    options = dict(type='TimmBackbone', model_name='resnet18', out_indices=(2,))
    net = MODELS.build(options)
    torch.save({f'backbone.{name}': value for name, value in net.state_dict().items()}, tmp_path / 'timm.pth')
    loaded = load_backbone(str(tmp_path / 'timm.pth'), options)
    assert all(value.equal(net.state_dict()[name]) for name, value in loaded.state_dict().items())
    torch.save({'blocks.0.weight': torch.zeros(1)}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match=r'other\.pth cannot be used: it has no ResNet.*--backbone type=Timm'):
        load_backbone(str(tmp_path / 'other.pth'))


def test_a_frozen_backbone_neither_learns_nor_keeps_a_graph(tiny_config, checkpoints, synthetic):
    """In a run: classifier on a frozen CNN from a checkpoint, batch-norm statistics included."""
    path, weights = checkpoints['official_virtex']
    source = dict(
        type='LabeledImages',
        ann_file='objects_train2014.json',
        images='objects_train2014',
        data_root=str(synthetic),
        attributes=['category'],
        pipeline=[dict(type='LoadImage'), dict(type='PackSample', keys=['attribute_labels'])],
    )
    cfg = tiny_config(iters=3)
    cfg.model = dict(
        type='VirTex',
        frozen_backbone=True,
        backbone=dict(
            type='ResNet', depth=18, num_stages=2, out_indices=(1,), init_cfg=dict(type='Pretrained', checkpoint=path)
        ),
        heads=dict(labels=dict(type='MultiAttributeHead', in_channels=128, attributes=dict(category=6))),
    )
    cfg.train_dataloader.dataset = source
    cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, weight_decay=0.1))
    for split in ('val', 'test'):
        for key in ('dataloader', 'evaluator', 'cfg'):
            cfg.pop(f'{split}_{key}', None)
    runner = Runner.from_cfg(cfg)
    before = runner.model.heads.labels.fc.weight.detach().clone()
    runner.train()
    model = runner.model.train()
    assert all(value.equal(weights[name]) for name, value in model.backbone.state_dict().items())
    assert not model.heads.labels.fc.weight.equal(before)
    assert not any(module.training for module in model.backbone.modules()) and model.heads.training
    seen = model(image=torch.zeros(1, 3, 32, 32))
    assert seen.feature.grad_fn is None and not seen.feature.requires_grad
