"""Lookahead on small tensors, the order of clipping and decay, and the learning rates of a whole training."""

from typing import Any

import numpy as np
import torch
from mmengine.optim import OptimWrapper
from torch import nn
from torch.optim import Optimizer

from soho.engine.optimizers import Lookahead
from soho.engine.optimizers.schedules import WarmupDecayLR
from soho.registry import OPTIMIZERS
from tests.parity.fixture import Fixture
from tests.parity.virtex_groups import check_groups
from tests.parity.virtex_trajectories import check_trainings

TOY = 1e-6
SCHEDULE = 1e-12  # relative
INNER = dict(sgd='SGD', adamw='AdamW')


def check_steps(fixture: Fixture) -> None:
    """``optim.npz``: parameters and slow weights after each step of each case, which the json beside it describes."""
    settings = fixture.sibling('toy/', 'clip_order/')
    for case in dict.fromkeys(name.split('/')[1] for name in fixture.names('toy/')):
        place = f'toy/{case}/'
        _check_toy(fixture, place, {name.removeprefix(place): settings[name] for name in settings.names(place)})
    check_trainings(fixture, settings)


def _optimizer(params: list[nn.Parameter], toy: dict[str, Any]) -> Optimizer:
    groups = [
        dict(params=[p], lr=lr, weight_decay=decay) for p, lr, decay in zip(params, toy['lr'], toy['weight_decay'])
    ]
    name = INNER[toy['optimizer']]
    options = dict(lr=0.1, momentum=toy['momentum']) if name == 'SGD' else dict(lr=0.1)
    if not toy['k']:
        return OPTIMIZERS.get(name)(groups, **options)
    return Lookahead(groups, optimizer=name, k=toy['k'], alpha=toy['alpha'], **options)


def _flat(tensors: list[torch.Tensor]) -> np.ndarray:
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).numpy().copy()


def _check_toy(fixture: Fixture, place: str, toy: dict[str, Any]) -> None:
    sizes = [int(np.prod(shape)) for shape in toy['shapes']]

    def shaped(values: np.ndarray) -> list[torch.Tensor]:
        parts = torch.from_numpy(values.copy()).split(sizes)
        return [part.reshape(shape) for part, shape in zip(parts, toy['shapes'])]

    params = [nn.Parameter(value.clone()) for value in shaped(fixture[place + 'p0'])]
    wrapper = OptimWrapper(_optimizer(params, toy), clip_grad=toy['clip'] and dict(max_norm=toy['clip']))
    weights, slow, norms = [], [], []
    for step, gradient in enumerate(fixture[place + 'grads']):
        if step and step == toy['resume_at']:
            state = wrapper.optimizer.state_dict()
            del state['lookahead']  # the official checkpoints lack it
            wrapper.optimizer = _optimizer(params, toy)
            wrapper.optimizer.load_state_dict(state)
        for param, value in zip(params, shaped(gradient)):
            param.grad = value
        norms.append(torch.linalg.vector_norm(torch.from_numpy(gradient).double()).item())
        wrapper.step()
        weights.append(_flat(params))
        slow.append(_flat(wrapper.optimizer.slow) if toy['k'] else weights[-1])
    fixture.check(place + 'params_after', np.stack(weights), TOY)
    fixture.check(place + 'slow_after', np.stack(slow), TOY)
    fixture.check(place + 'grad_total_norm', norms, 0, TOY)
    if place + 'momentum_last' in fixture:
        buffers = [wrapper.optimizer.state[param]['momentum_buffer'] for param in params]
        fixture.check(place + 'momentum_last', _flat(buffers), TOY, TOY)


def check_record(fixture: Fixture) -> None:
    """``optim.json``; what it says of the cases of ``optim.npz`` is checked there."""
    fixture.remark(*fixture.names('toy/'), *fixture.names('train/'), *fixture.names('checkpoint/'))
    _check_clipping(fixture)
    _check_schedules(fixture)
    check_groups(fixture)


def _check_clipping(fixture: Fixture) -> None:
    name = 'clip_order/'
    param = nn.Parameter(fixture.tensor(name + 'param').double())
    param.grad = fixture.tensor(name + 'grad').double()
    fixture.check(name + 'total_norm', param.grad.norm())
    sgd = torch.optim.SGD([param], lr=fixture[name + 'lr'], weight_decay=fixture[name + 'weight_decay'])
    wrapper = OptimWrapper(sgd, clip_grad=dict(max_norm=fixture[name + 'max_norm']))
    wrapper.step()
    fixture.check(name + 'official_clip_then_decay', param, 1e-12)
    fixture.remark(name + 'not_official_decay_then_clip', name + 'note')


def _rates(place: dict[str, Any], decay: str, count: int) -> list[list[float]]:
    """The rate of each group in the first ``count`` iterations."""
    base = place['base']
    groups = [dict(params=[nn.Parameter(torch.zeros(1))], lr=lr) for lr in base]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    schedule = _schedule(optimizer, place, decay)
    rates = []
    for _ in range(count):
        rates.append([group['lr'] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return rates


def _schedule(optimizer: Optimizer, place: dict[str, Any], decay: str) -> WarmupDecayLR:
    steps = {key: place[key] for key in ('milestones', 'gamma') if key in place}
    return WarmupDecayLR(optimizer, place['total_steps'], place['warmup_steps'], decay, **steps)


def _check_schedules(fixture: Fixture) -> None:
    name = 'lr_schedules/'
    fixture.remark(name + 'note', *fixture.names(name + 'rejected/'))
    schedules = name + 'schedules/'
    for decay in dict.fromkeys(n.split('/')[2] for n in fixture.names(schedules)):
        here = f'{schedules}{decay}/'
        whole = {n.removeprefix(here): fixture.values[n] for n in fixture.names(here)}
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = _schedule(optimizer, {k: v for k, v in whole.items() if '/' not in k}, decay)
        ours = [[base * schedule.multiplier(step) for base in whole['base']] for step in whole['step_index']]
        fixture.check_each(here + 'lr', ours, SCHEDULE)
        for run in ('small_run/', 'no_warmup_run/'):
            part = {k.removeprefix(run): v for k, v in whole.items() if k.startswith(run)}
            key = next(k for k in part if k.startswith('lr_used'))
            part.setdefault('base', whole['base'])
            # Milestones of the long training do not fit in the short one without warm-up.
            part = part if decay != 'multistep' or 'milestones' in part else dict(part, milestones=[8, 12])
            fixture.check_each(here + run + key, _rates(part, decay, len(part[key])), SCHEDULE)
        for n in fixture.names(here):
            fixture[n]  # read
