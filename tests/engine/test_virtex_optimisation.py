"""Lookahead, and rates by iteration."""

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from torch import nn

from soho.engine import WarmupDecayLR
from soho.engine.optimizers import Lookahead
from soho.errors import UserError
from soho.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIMIZERS, PARAM_SCHEDULERS
from tests.parity.soho_model import recipe


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 2), (4,))]


def run(optimizer, params, steps, seed=1):
    """Weights after each step, with gradients that follow from the seed and the step."""
    history = []
    for step in range(steps):
        generator = torch.Generator().manual_seed(seed + step)
        for param in params:
            param.grad = torch.randn(param.shape, generator=generator)
        optimizer.step()
        history.append(torch.cat([param.detach().flatten() for param in params]))
    return torch.stack(history)


@pytest.mark.parametrize('name', ['SGD', 'AdamW', 'AdamWSGD'])
def test_lookahead_steps_back_every_k(name):
    plain, ours = parameters(), parameters()
    reference = OPTIMIZERS.get(name)(plain, lr=0.1)
    optimizer = Lookahead(ours, optimizer=name, k=3, alpha=0.4, lr=0.1)
    slow = [param.detach().clone() for param in plain]
    for start in (0, 3):
        expected = run(reference, plain, 3, seed=start)
        ahead = run(optimizer, ours, 3, seed=start)
        assert torch.allclose(ahead[:2], expected[:2])
        for param, other in zip(plain, slow):
            other.lerp_(param.detach(), 0.4)
            param.data.copy_(other)
        assert torch.allclose(ahead[2], torch.cat([value.flatten() for value in slow]), atol=1e-6)


@pytest.mark.parametrize('pause', [1, 3, 4, 5, 7])
@pytest.mark.parametrize('name', ['SGD', 'AdamW'])
def test_a_resumed_run_goes_on_exactly(name, pause, tmp_path):
    options = dict(optimizer=name, k=3, alpha=0.5, lr=0.1)
    whole = parameters()
    expected = run(Lookahead(whole, **options), whole, 10)
    first = parameters()
    optimizer = Lookahead(first, **options)
    run(optimizer, first, pause)
    torch.save(optimizer.state_dict(), tmp_path / 'state.pth')
    second = [nn.Parameter(param.detach().clone()) for param in first]
    optimizer = Lookahead(second, **options)
    optimizer.load_state_dict(torch.load(tmp_path / 'state.pth', weights_only=True))
    assert torch.equal(run(optimizer, second, 10 - pause, seed=1 + pause), expected[pause:])


def test_slow_weights_are_those_before_the_first_step():
    """Weights may be initialised or loaded after the optimizer was built."""
    params = parameters()
    optimizer = Lookahead(params, k=1, alpha=0.5, lr=1.0)
    for param in params:
        param.data.fill_(4.0)
        param.grad = torch.full_like(param, 2.0)
    optimizer.step()
    assert all((param == 3.0).all() for param in params)


def test_an_unknown_inner_optimizer_is_named():
    with pytest.raises(UserError, match="no optimizer 'SDG'"):
        Lookahead(parameters(), optimizer='SDG', lr=0.1)


def test_a_state_without_slow_weights_starts_them_anew():
    params = parameters()
    inner = torch.optim.SGD(params, lr=0.1, momentum=0.9)
    run(inner, params, 4)
    optimizer = Lookahead(params, k=5, lr=0.1, momentum=0.9)
    optimizer.load_state_dict(inner.state_dict())
    assert optimizer.slow is None and optimizer.steps == 0
    assert optimizer.state[params[0]]['momentum_buffer'] is not None


@pytest.mark.parametrize('options', [dict(k=0), dict(alpha=0.0), dict(alpha=1.5)])
def test_lookahead_refuses_senseless_options(options):
    with pytest.raises(ValueError, match='k is at least 1 and alpha in'):
        Lookahead(parameters(), lr=0.1, **options)


def test_groups_are_made_beside_the_inner_options():
    """Rates and decays of the textual side and of the CNN, as VirTex publishes them."""
    model = nn.ModuleDict(
        dict(
            backbone=nn.Linear(2, 2),
            language=nn.ModuleDict(
                dict(
                    embedding=nn.ModuleDict(dict(words=nn.Embedding(3, 2), layer_norm=nn.LayerNorm(2))),
                    visual_projection=nn.Linear(2, 2),
                    transformer=nn.ModuleDict(dict(norm1=nn.LayerNorm(2), linear1=nn.Linear(2, 2))),
                )
            ),
        )
    )
    config = recipe('_base_/schedules/virtex.py').optim_wrapper.to_dict()
    with DefaultScope.overwrite_default_scope('soho'):
        constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
            dict(
                type=config['constructor'],
                paramwise_cfg=config['paramwise_cfg'],
                optim_wrapper_cfg=dict(type='OptimWrapper', optimizer=config['optimizer']),
            )
        )
        wrapper = constructor(model)
    assert isinstance(wrapper.optimizer, Lookahead)
    options = {
        id(param): (group['lr'], group['weight_decay'], group['momentum'])
        for group in wrapper.param_groups
        for param in group['params']
    }
    for name, param in model.named_parameters():
        still = 'norm' in name or name.endswith('linear1.bias')
        rate = 0.2 if name.startswith('backbone') else 0.001
        assert options[id(param)] == (rate, 0.0 if still else 1e-4, 0.9), name


# --- rates ---


def rates(count, **options):
    optimizer = torch.optim.SGD([dict(params=[param], lr=lr) for param, lr in zip(parameters(), (0.2, 0.001))], lr=1.0)
    schedule = PARAM_SCHEDULERS.build(dict(type='WarmupDecayLR', optimizer=OptimWrapper(optimizer), **options))
    values = []
    for _ in range(count):
        values.append([group['lr'] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return np.array(values)


@pytest.mark.parametrize(
    'options, expected',
    [  # of the official release
        (dict(decay='cosine'), [0, 0.05, 0.1, 0.15, 0.2, 0.19659258262890683, 0.1866025403784439, 0.17071067811865476]),
        (dict(decay='linear'), [0, 0.05, 0.1, 0.15, 0.2, 0.18333333333333335, 0.16666666666666669, 0.15]),
        (dict(decay='none'), [0, 0.05, 0.1, 0.15, 0.2, 0.2, 0.2, 0.2]),
        (dict(decay='multistep', milestones=[5, 7]), [0, 0.05, 0.1, 0.15, 0.2, 0.02, 0.02, 0.002]),
    ],
)
def test_rates_equal_official(options, expected):
    ours = rates(8, total=16, warmup=4, **options)
    assert np.allclose(ours[:, 0], expected, rtol=1e-12, atol=0)
    assert np.allclose(ours[:, 1], np.array(expected) / 200, rtol=1e-12, atol=0)


def test_the_end_is_zero():
    assert rates(17, total=16, decay='cosine')[-1].max() < 1e-30
    assert rates(19, total=16, decay='linear')[16:].max() == 0


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(warmup=16), 'the warm-up of 16 iterations must end before the training of 16'),
        (dict(decay='multistep'), 'needs milestones'),
        (dict(decay='step'), "decay is 'step'; it is one of none, linear"),
        (dict(decay='multistep', warmup=4, milestones=[4]), r'\[4\] must rise between the end of the warm-up, 4'),
        (dict(decay='multistep', milestones=[16]), r'\[16\] must rise between'),
        (dict(decay='multistep', milestones=[5, 5]), r'\[5, 5\] must rise'),
    ],
)
def test_senseless_schedules_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        WarmupDecayLR(torch.optim.SGD(parameters(), lr=0.1), total=16, **options)
