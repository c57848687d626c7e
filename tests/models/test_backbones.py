"""Backbones: torchvision's numbers, frozen stages, activation checkpointing, any timm model."""

import pytest
import torch
import torchvision
from torch.nn.modules.batchnorm import _BatchNorm

from soho.errors import UserError
from soho.models import convert_sync_batchnorm, synchronize_parts
from soho.registry import MODELS


def build(**config):
    return MODELS.build(dict(dict(type='ResNet'), **config))


@pytest.mark.parametrize('depth', [18, 34, 50, 101])
def test_torchvisions_features(depth):
    reference = getattr(torchvision.models, f'resnet{depth}')().eval().double()
    net = build(depth=depth, out_indices=(0, 1, 2, 3)).eval().double()
    missing = net.load_state_dict(reference.state_dict(), strict=False).missing_keys
    assert not missing
    image = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    x = reference.maxpool(reference.relu(reference.bn1(reference.conv1(image))))
    with torch.no_grad():
        for stage, output, channels in zip(range(1, 5), net(image), net.out_channels, strict=True):
            x = getattr(reference, f'layer{stage}')(x)
            torch.testing.assert_close(output, x)
            assert output.shape[1] == channels and output.shape[2] == 64 // 2 ** (stage + 1)


@pytest.mark.parametrize(
    'config, shape',
    [
        (dict(num_stages=3, out_indices=(2,)), (256, 4, 6)),
        (dict(strides=(1, 2, 2, 1)), (512, 4, 6)),
        (dict(stem_pool=False), (512, 4, 6)),
        (dict(depth=50, strides=(2, 2, 2, 1)), (2048, 2, 3)),
    ],
)
def test_fewer_stages_and_other_strides(config, shape):
    assert build(**dict(dict(depth=18), **config)).eval()(torch.zeros(1, 3, 64, 96))[0].shape[1:] == shape


@pytest.mark.parametrize(
    'config, message',
    [
        (dict(depth=20), r'no depth 20; choose one of \[18, 34, 50, 101, 152\]'),
        (dict(depth=18, num_stages=2), r'out_indices \(3,\) need num_stages > 3'),
        (dict(depth=18, num_stages=1, out_indices=(0,), frozen_stages=2), 'frozen_stages 2 exceeds num_stages 1'),
        (dict(depth=18, strides=(2, 2, 2, 2)), 'its stride must be 1'),
    ],
)
def test_what_does_not_exist_is_said(config, message):
    with pytest.raises(ValueError, match=message):
        build(**config)


def norms(net):
    return {name: module for name, module in net.named_modules() if hasattr(module, 'running_mean')}


@pytest.mark.parametrize('frozen_stages', [-1, 0, 1, 2])
def test_frozen_stages_stay_as_they_are(frozen_stages):
    net = build(depth=18, num_stages=3, out_indices=(2,), frozen_stages=frozen_stages)
    net.eval().train()
    frozen = [('conv1', 'bn1'), ('layer1',), ('layer2',)][: frozen_stages + 1]
    frozen = tuple(f'{name}.' for names in frozen for name in names)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    net(torch.randn(2, 3, 64, 64))[0].square().sum().backward()
    optimizer.step()
    changed = {name for name, value in net.state_dict().items() if not value.equal(before[name])}
    assert changed == {name for name in before if not frozen or not name.startswith(frozen)}


def test_norm_eval_keeps_all_statistics():
    net = build(depth=18, norm_eval=True).train()
    before = {name: norm.running_mean.clone() for name, norm in norms(net).items()}
    net(torch.randn(2, 3, 64, 64))[0].sum().backward()
    assert all(norm.running_mean.equal(before[name]) for name, norm in norms(net).items())
    assert net.layer1[0].conv1.weight.grad is not None


@pytest.mark.parametrize('checkpointed, twice', [(True, False), (True, True), (False, True)])
def test_checkpointing_changes_no_gradient_and_counts_statistics_once_unless_asked(checkpointed, twice):
    image = torch.randn(2, 3, 64, 64)
    nets = []
    for options in (dict(with_cp=False), dict(with_cp=checkpointed, cp_updates_bn_twice=twice)):
        torch.manual_seed(0)
        nets.append(build(depth=18, num_stages=3, out_indices=(2,), **options).train())
        nets[-1](image)[0].square().mean().backward()
    plain, other = nets
    for (name, p), q in zip(plain.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, msg=lambda text, name=name: f'{name}: {text}')
    for name, norm in norms(other).items():
        once = norms(plain)[name]
        assert norm.momentum == once.momentum == 0.1
        if twice and name != 'bn1':  # the stem is not checkpointed
            assert norm.num_batches_tracked == 2
            # 0.9 * (0.9 * 0 + 0.1 m) + 0.1 m = 0.19 m
            torch.testing.assert_close(norm.running_mean, 1.9 * once.running_mean, rtol=1e-4, atol=1e-6)
        else:
            assert norm.num_batches_tracked == 1
            torch.testing.assert_close(norm.running_mean, once.running_mean)


@pytest.mark.parametrize(
    'name, options',
    [
        ('resnet10t', {}),
        ('mobilenetv3_small_050', {}),
        ('convnext_atto', {}),
        ('test_vit', {}),
        ('swin_tiny_patch4_window7_224', dict(img_size=64, embed_dim=24, depths=(1, 1, 1, 1), window_size=4)),
    ],
)
def test_timm_models_are_backbones(name, options):
    net = MODELS.build(dict(type='TimmBackbone', model_name=name, **options)).train()
    (output,) = net(torch.randn(2, 3, 64, 64))
    assert output.dim() == 4 and [output.shape[1]] == net.out_channels
    output.square().mean().backward()
    assert any(p.grad is not None and p.grad.any() for p in net.parameters())


def test_a_frozen_timm_model_keeps_weights_and_statistics():
    torch.manual_seed(0)
    net = MODELS.build(dict(type='TimmBackbone', model_name='resnet10t', frozen=True))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    (output,) = net.train()(torch.randn(2, 3, 64, 64))
    assert not output.requires_grad
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert MODELS.build(dict(type='TimmBackbone', model_name='resnet10t')).train().training


def test_timm_feature_levels_are_those_asked_for():
    net = MODELS.build(dict(type='TimmBackbone', model_name='resnet10t', out_indices=(2, 4))).eval()
    maps = net(torch.zeros(1, 3, 64, 96))
    assert [m.shape[1:] for m in maps] == [(c, 64 // s, 96 // s) for c, s in zip(net.out_channels, (8, 32))]


@pytest.mark.parametrize(
    'config', [dict(type='ResNet', depth=18), dict(type='TimmBackbone', model_name='mobilenetv3_small_050')]
)
def test_conversion_to_synchronised_norms_changes_nothing_in_one_process(config):
    """timm's norms hold an activation, which must survive."""
    torch.manual_seed(0)
    net = MODELS.build(config)
    image = torch.randn(2, 3, 64, 64)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    outputs, statistics = [], []
    for convert in (False, True):
        net.load_state_dict(state)
        if convert:
            net = convert_sync_batchnorm(net)
            assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in net.modules())
        outputs.append([net.train()(image)[0], net.eval()(image)[0]])
        statistics.append({name: value.clone() for name, value in net.state_dict().items()})
    torch.testing.assert_close(outputs[1], outputs[0])
    torch.testing.assert_close(statistics[1], statistics[0])


@pytest.mark.parametrize('parts, synchronized', [(True, {'backbone', 'neck'}), (['neck'], {'neck'}), (False, set())])
def test_the_norms_of_the_named_parts_are_synchronised(parts, synchronized):
    net = torch.nn.ModuleDict({name: MODELS.build(dict(type='ResNet', depth=18)) for name in ('backbone', 'neck')})
    net = synchronize_parts(net, parts)
    kinds = {name: {type(m) for m in part.modules() if isinstance(m, _BatchNorm)} for name, part in net.items()}
    assert all((kinds[name] != {torch.nn.BatchNorm2d}) == (name in synchronized) for name in net)
    with pytest.raises(UserError, match="sync_bn of the config names 'spine'; the parts .* are backbone, neck"):
        synchronize_parts(net, ['spine'])
