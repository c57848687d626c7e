"""Both optimizers on small tensors, and the learning rates of a whole training."""

import json
from collections import defaultdict

import numpy as np
import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from soho.registry import OPTIMIZERS, PARAM_SCHEDULERS
from tests.parity.fixture import Fixture

ABSOLUTE = 2e-6
OF_CHANGE = 1e-3
SCHEDULE = 1e-12  # relative


def check_optimizer(fixture: Fixture) -> None:
    """``optimizer``: parameters after each step and the state at the end, for each case."""
    names = [name.removeprefix('init/') for name in fixture.names('init/')]
    for name in names:
        fixture['init/' + name], fixture['grads/' + name]
    for case in [name.removesuffix('/defaults') for name in fixture.values if name.endswith('/defaults')]:
        _check_case(fixture, case, names)


def _check_case(fixture: Fixture, case: str, names: list[str]) -> None:
    defaults = json.loads(str(fixture[case + '/defaults']))
    absent = {tuple(item.rsplit('@', 1)) for item in fixture[case + '/none_at'].tolist()}
    rates = fixture[case + '/lr']
    lars = 'lars_weight_decay' in defaults
    params = {name: nn.Parameter(fixture.tensor('init/' + name).clone()) for name in names}
    groups = [_group(name, param, defaults['lr'], lars) for name, param in params.items()]
    optimizer = OPTIMIZERS.get('AdamWLARS' if lars else 'AdamWSGD')(groups, **defaults)
    history: dict[str, list[Tensor]] = defaultdict(list)
    for step, rate in enumerate(rates.tolist()):
        for (name, param), group in zip(params.items(), optimizer.param_groups):
            group['lr'] = rate * group['lr_mult']
            gradient = fixture.tensor('grads/' + name)[step].clone()
            param.grad = None if (name, str(step)) in absent else gradient
        optimizer.step()
        for name, param in params.items():
            history[name].append(param.detach().clone())
    for name, param in params.items():
        start, ours = fixture['init/' + name], torch.stack(history[name])
        recorded = f'{case}/params/{name}'
        if recorded in fixture:
            change = float(np.abs(fixture.values[recorded] - start).max())
            fixture.check(recorded, ours, min(ABSOLUTE, OF_CHANGE * change), note='limit includes 0.1 % of the change')
        for key, value in optimizer.state[param].items():
            fixture.check(f'{case}/state/{name}/{key}', value, ABSOLUTE if key != 'step' else 0)


def _group(name: str, param: nn.Parameter, lr: float, lars: bool) -> dict:
    """A group of its own, as the official code makes for each parameter; the CNN at 100 times the rate."""
    if not name.startswith('cnn'):
        return dict(params=[param], lr_mult=1.0)
    group = dict(params=[param], opt='lars' if lars else 'sgd', lr=100 * lr, lr_mult=100.0)
    return dict(group, lars_exclude=name == 'cnn/bn.weight') if lars else group


def check_schedule(fixture: Fixture) -> None:
    """``schedule``: the rate of both groups at some iterations of a whole training."""
    for case in [name.removesuffix('iters_per_epoch') for name in fixture.values if name.endswith('/iters_per_epoch')]:
        config = {name.removeprefix(case + 'config/'): fixture[name] for name in fixture.names(case + 'config/')}
        if config.get('policy', 'step') != 'step' or config.get('warmup') not in (None, 'linear'):
            fixture.fail(fixture.names(case), 'no recipe has this policy or warm-up')
            continue
        base = {name.rsplit('/', 1)[1]: fixture[name] for name in fixture.names(case + 'base_lr/')}
        per_epoch, epochs = fixture[case + 'iters_per_epoch'], fixture[case + 'total_epochs']
        iterations = fixture[case + 'samples/iter']
        fixture.check(case + 'samples/epoch', [i // per_epoch for i in iterations])
        rates = _rates(config, base, per_epoch, epochs, set(iterations))
        for group in base:
            ours = [rates[i][group] for i in iterations]
            fixture.check_each(f'{case}samples/{group}', ours, SCHEDULE)


def _rates(config: dict, base: dict[str, float], per_epoch: int, epochs: int, wanted: set) -> dict[int, dict]:
    """mmengine's schedulers in the form of our recipes, run over all iterations."""
    groups = [dict(params=[nn.Parameter(torch.zeros(1))], lr=lr) for lr in base.values()]
    wrapper = OptimWrapper(torch.optim.SGD(groups, lr=1.0))
    build = PARAM_SCHEDULERS.build
    by_epoch = config.get('by_epoch', True)
    step = config['step']
    decay = (
        build(
            dict(
                type='MultiStepLR',
                milestones=list(step),
                gamma=config.get('gamma', 0.1),
                by_epoch=by_epoch,
                optimizer=wrapper,
            )
        )
        if isinstance(step, (list, tuple))
        else build(
            dict(type='StepLR', step_size=step, gamma=config.get('gamma', 0.1), by_epoch=by_epoch, optimizer=wrapper)
        )
    )
    warmup = None
    if config.get('warmup'):
        warmup = build(
            dict(
                type='LinearLR',
                start_factor=config['warmup_ratio'],
                by_epoch=False,
                begin=0,
                end=config['warmup_iters'] + 1,
                optimizer=wrapper,
            )
        )
    rates = {}
    for i in range(epochs * per_epoch):
        if i in wanted:
            rates[i] = {name: group['lr'] for name, group in zip(base, wrapper.param_groups)}
        if warmup:
            warmup.step()
        if not by_epoch or (i + 1) % per_epoch == 0:
            decay.step()
    return rates
