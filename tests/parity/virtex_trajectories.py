"""Trainings of small models by the published schedule, iteration by iteration."""

import ast
from collections import defaultdict
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from soho.engine.optimizers.schedules import WarmupDecayLR
from soho.errors import UserError
from soho.registry import OPTIM_WRAPPER_CONSTRUCTORS, PARAM_SCHEDULERS
from tests.parity.fixture import Fixture
from tests.parity.soho_model import recipe
from tests.parity.virtex_model import doubled, filled, official_parameters, read_batch
from tests.parity.virtex_training import official_losses, small_config

SECOND = 'train/second_batch/'
DOUBLE, SINGLE = 1e-7, 1e-4  # relative
STEADY = 3  # iterations after which a training in float32 goes its own way
CNN = r'\Abackbone\.'
# Where the official options stand in our schedules.
PLACES = {
    'NUM_ITERATIONS': 'param_scheduler.total',
    'WARMUP_STEPS': 'param_scheduler.warmup',
    'LR_DECAY_NAME': 'param_scheduler.decay',
    'LR_STEPS': 'param_scheduler.milestones',
    'LR_GAMMA': 'param_scheduler.gamma',
    'LR': 'optim_wrapper.optimizer.lr',
    'WEIGHT_DECAY': 'optim_wrapper.optimizer.weight_decay',
    'SGD_MOMENTUM': 'optim_wrapper.optimizer.momentum',
    'LOOKAHEAD.STEPS': 'optim_wrapper.optimizer.k',
    'LOOKAHEAD.ALPHA': 'optim_wrapper.optimizer.alpha',
    'CLIP_GRAD_NORM': 'optim_wrapper.clip_grad.max_norm',
}


def published_schedule(textual: bool) -> Config:
    """The recipes' optimizer and rates: of models with a textual side, or of classifiers."""
    return recipe(f'_base_/schedules/{"virtex" if textual else "virtex_labels"}.py')


def build_wrapper(config: Config, model: nn.Module) -> OptimWrapper:
    """The optimizer of a schedule as it trains ``model``, without mixed precision."""
    options = config.optim_wrapper.to_dict()
    optimizer = dict(type='OptimWrapper', optimizer=options['optimizer'], clip_grad=options.get('clip_grad'))
    with DefaultScope.overwrite_default_scope('soho'):
        constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(
            dict(
                type=options.get('constructor', 'DefaultOptimWrapperConstructor'),
                optim_wrapper_cfg=optimizer,
                paramwise_cfg=options.get('paramwise_cfg'),
            )
        )
        return constructor(model)


def check_trainings(fixture: Fixture, settings: Fixture) -> None:
    """``train/`` of ``optim.npz``; the first batch is that of the file with the gradients."""
    cases = [
        case
        for case in dict.fromkeys(name.split('/')[1] for name in fixture.names('train/'))
        if not SECOND.endswith(f'/{case}/')
    ]
    if not cases:
        return
    inputs = fixture.sibling('/eval_loss', '/grad_norm')
    for case in cases:
        place = f'train/{case}/'
        _check_training(
            fixture, inputs, place, {name.removeprefix(place): settings[name] for name in settings.names(place)}
        )


def _schedule(textual: bool, override: list[str]) -> Config:
    """The published schedule with the official code's options, ``[name, value, ...]``, laid over it."""
    options = {name.removeprefix('OPTIM.'): _value(text) for name, text in zip(override[::2], override[1::2])}
    decays = options.pop('NO_DECAY', None) != 'none'
    config = published_schedule(textual and decays)
    optimizer = config.optim_wrapper.optimizer
    inner, ahead = options.pop('OPTIMIZER_NAME', 'sgd'), options.pop('LOOKAHEAD.USE', True)
    if inner == 'adamw':
        optimizer.optimizer = 'AdamW'
        del optimizer['momentum']
    if 'CNN_LR' in options:
        config.optim_wrapper.paramwise_cfg.patterns[CNN].lr = options.pop('CNN_LR')
    if unknown := set(options) - set(PLACES):
        raise UserError(f'the training was recorded with the option {sorted(unknown)[0]}, which has no place here')
    config.merge_from_dict({PLACES[name]: value for name, value in options.items()})
    if not ahead:
        optimizer.type = optimizer.pop('optimizer')
        del optimizer['k'], optimizer['alpha']
    return config


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _check_training(fixture: Fixture, inputs: Fixture, place: str, setting: dict[str, Any]) -> None:
    model = filled(small_config(inputs, setting['case'] + '/'), setting['fill_seed'])
    first = read_batch(inputs, setting['case'] + '/in_')
    batches = [first, read_batch(fixture, _second(fixture, setting['case'], first), SECOND + 'images_u8')]
    exact = setting['dtype'] == 'torch.float64'
    if exact:
        batches = [doubled(model, batch)[1] for batch in batches]
    record = _train(model, _schedule(model.language is not None, setting['override']), batches, setting['iterations'])
    fixture.check(place + 'param_names', list(official_parameters(model)))
    fixture.check(place + 'lr_cnn_and_rest', record.pop('lr_cnn_and_rest'), 1e-15, 1e-12)
    ends = _end(model, batches)
    if exact:
        fixture.check_all(record | ends, 0, DOUBLE, place)
        return
    for name, ours in record.items():
        recorded = fixture[place + name][:STEADY]
        fixture.check(f'{place}{name}', ours[:STEADY], 0, SINGLE, f'{STEADY} iterations', recorded)
    fixture.remark(*(place + name for name in ends))


def _second(fixture: Fixture, case: str, first: dict[str, Tensor]) -> str:
    """Where the second batch stands: under the name of the case, or of another one that has all its inputs."""
    inputs = defaultdict(set)
    for name in fixture.names(SECOND):
        group, _, key = name.removeprefix(SECOND).partition('/')
        inputs[group].add(key)
    fitting = [group for group, keys in inputs.items() if first.keys() - {'image'} <= keys]
    return f'{SECOND}{case if case in fitting or not fitting else fitting[0]}/'


def _train(model: nn.Module, config: Config, batches: list[dict[str, Tensor]], count: int) -> dict[str, np.ndarray]:
    """What happens in each of ``count`` iterations, the two batches in turn."""
    wrapper = build_wrapper(config, model)
    with DefaultScope.overwrite_default_scope('soho'):
        schedule: WarmupDecayLR = PARAM_SCHEDULERS.build(dict(config.param_scheduler, optimizer=wrapper))
    params = official_parameters(model)  # the CNN's first, then the rest
    first, *_, last = params.values()
    record: dict[str, list] = {
        name: []
        for name in (
            'loss',
            'loss_first_component',
            'loss_last_component',
            'grad_total_norm',
            'lr_cnn_and_rest',
            'param_norms_after',
        )
    }
    model.train()
    for step in range(count):
        rates = {id(param): group['lr'] for group in wrapper.param_groups for param in group['params']}
        losses = list(official_losses(model, batches[step % 2]).values())
        wrapper.update_params(sum(losses))
        schedule.step()
        norm = float(wrapper.take_grad_norm()['grad_norm'])
        norms = [param.detach().double().norm().item() for param in params.values()]
        for values, value in zip(
            record.values(),
            (sum(losses).item(), losses[0].item(), losses[-1].item(), norm, [rates[id(first)], rates[id(last)]], norms),
        ):
            values.append(value)
    return {name: np.array(values) for name, values in record.items()}


@torch.no_grad()
def _end(model: nn.Module, batches: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Some of the weights after a training, and the loss of each batch in eval mode."""
    params = official_parameters(model.eval())
    words = params.get('textual.embedding.words.weight', params.get('textual.output.weight'))
    return dict(
        final_words_0_8=words[:8],
        final_conv1_0_2=params['visual.cnn.conv1.weight'][:2],
        final_bn1_running_mean=model.backbone.bn1.running_mean,
        final_eval_loss=torch.stack([sum(official_losses(model, batch).values()) for batch in batches]),
    )
