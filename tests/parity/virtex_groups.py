"""Rate and decay of every parameter in the published recipes, and the optimizer around them."""

import re
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from soho.engine.checkpoint.adapters.torchvision_resnet import to_torchvision
from soho.engine.optimizers import Lookahead
from tests.parity.fixture import Fixture
from tests.parity.soho_model import recipe
from tests.parity.virtex_model import build, config_of, official_parameters
from tests.parity.virtex_trajectories import build_wrapper, published_schedule

FROZEN, TUNED = 'Transfer/imagenet_linear.py', 'Transfer/inaturalist_finetune.py'
HIDDEN = 64  # no matter for groups


def check_groups(fixture: Fixture) -> None:
    """``param_groups/`` of ``optim.json``; which recipe it is follows from the names of the parameters."""
    place = 'param_groups/'
    for case in dict.fromkeys(name.split('/')[1] for name in fixture.names(place)):
        check = _check_pretraining if f'{place}{case}/groups' in fixture else _check_transfer
        check(fixture, f'{place}{case}/')


def _groups(wrapper: OptimWrapper, params: dict[str, nn.Parameter]) -> list[list[Any]]:
    """[name, rate, decay] of every parameter."""
    options = {
        id(param): (group['lr'], group['weight_decay']) for group in wrapper.param_groups for param in group['params']
    }
    return [[name, *options[id(param)]] for name, param in params.items()]


def _pretraining_config(names: list[str]) -> dict:
    """The model whose parameters have these official names."""
    layers = {m[1] for m in map(re.compile(r'textual\.transformer\.layers\.(\d+)\.').match, names) if m}
    blocks = {m[1] for m in map(re.compile(r'visual\.cnn\.layer3\.(\d+)\.').match, names) if m}
    bottleneck = 'visual.cnn.layer1.0.conv3.weight' in names
    visual = f'torchvision::resnet{(101 if len(blocks) > 6 else 50) if bottleneck else 18}'
    if not layers:
        return config_of('token_classification', visual, 'none', 100)
    norm = 'prenorm' if 'textual.transformer.norm.weight' in names else 'postnorm'
    task = 'bicaptioning' if any(name.startswith('backward_') for name in names) else 'captioning'
    return config_of(task, visual, f'transdec_{norm}::L{len(layers)}_H{HIDDEN}_A1_F{HIDDEN}', 100)


def _check_pretraining(fixture: Fixture, place: str) -> None:
    names = [name for name, *_ in fixture.values[place + 'groups']]
    with torch.device('meta'):
        model = build(_pretraining_config(names))
    model.to_empty(device='cpu')  # parameters that have a place of their own, and any values
    schedule = published_schedule(model.language is not None)
    wrapper = build_wrapper(schedule, model)
    groups = _groups(wrapper, official_parameters(model))
    fixture.check(place + 'num_groups', len(groups))
    fixture.check(place + 'groups', groups)
    ahead = isinstance(wrapper.optimizer, Lookahead)
    found = dict(use=ahead, k=wrapper.optimizer.k, alpha=wrapper.optimizer.alpha)
    fixture.check_all(found, prefix=place + 'lookahead/')
    fixture.check(place + 'momentum', wrapper.optimizer.defaults['momentum'])
    fixture.remark(place + 'no_decay')  # the official pattern; what it does stands in the groups


def _check_transfer(fixture: Fixture, place: str) -> None:
    frozen = fixture.values[place + 'trainable'][0].startswith('fc.')
    config = recipe(FROZEN if frozen else TUNED)
    config.model.backbone.init_cfg = None
    with torch.device('meta'):
        model = build(config.model)
    params = to_torchvision(dict(model.named_parameters()))
    params |= {f'fc.{name}': param for name, param in model.heads.labels.fc.named_parameters()}
    wrapper = build_wrapper(config, model)
    groups = _groups(wrapper, params)
    trainable = [name for name, param in params.items() if param.requires_grad]
    fixture.check(place + 'num_groups', len(groups))
    fixture.check(place + 'distinct_lr_wd', sorted({(rate, decay) for _, rate, decay in groups}))
    fixture.check(place + 'first', groups[0])
    fixture.check(place + 'last', groups[-1])
    fixture.check(place + 'trainable', trainable[: len(fixture.values[place + 'trainable'])])
    fixture.check(place + 'is_lookahead', isinstance(wrapper.optimizer, Lookahead))
    fixture.check(place + 'nesterov', wrapper.optimizer.defaults['nesterov'])
