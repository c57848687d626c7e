"""The CNN out of any checkpoint, its kind known by its weights."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from soho.engine.checkpoint.adapters.torchvision_resnet import find_resnet_prefix
from soho.engine.checkpoint.load import fill_part
from soho.engine.checkpoint.read import CheckpointError, read_checkpoint, state_dict_of
from soho.engine.checkpoint.safe_loading import use_safe_loading
from soho.errors import UserError
from soho.models.backbones.resnet import BLOCKS
from soho.registry import MODELS

RANDOM = 'random'
WIDE = 'layer1.0.conv3.weight'  # of bottleneck blocks


def infer_resnet_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Config of the ResNet in a state dict: its depth, width and how many of its stages there are.

    Strides and the stem's pooling have no weights and are taken to be the usual ones. Of two stages of a ResNet-101
    nobody can say that they are not those of a ResNet-50.

    Raises:
        UserError: It holds no ResNet, or none that :class:`soho.models.backbones.ResNet` builds.
    """
    prefix = find_resnet_prefix(state)
    blocks = []
    for stage in range(1, 5):
        start = f'{prefix}layer{stage}.'
        numbers = {name[len(start) :].partition('.')[0] for name in state if name.startswith(start)}
        if not numbers:
            break
        blocks.append(len(numbers))
    bottleneck = prefix + WIDE in state
    depth = next(
        (
            depth
            for depth, (block, counts) in BLOCKS.items()
            if (block.expansion > 1) == bottleneck and list(counts[: len(blocks)]) == blocks
        ),
        None,
    )
    if depth is None:
        raise UserError(
            f'its ResNet has {blocks} {"bottleneck" if bottleneck else "basic"} blocks in its stages, '
            f'as none of the depths {", ".join(map(str, BLOCKS))}'
        )
    config = dict(type='ResNet', depth=depth, num_stages=len(blocks), out_indices=(len(blocks) - 1,))
    if bottleneck:
        width, inputs = state[f'{prefix}layer1.0.conv2.weight'].shape[:2]
        if inputs != width:
            raise UserError(f'its ResNet convolves in {width // inputs} groups (ResNeXt), which is not built here')
        config['width_per_group'] = width
    return config


def load_backbone(source: str, options: Mapping[str, Any] | None = None, seed: int = 0) -> nn.Module:
    """A CNN in eval mode, image -> tuple of feature maps.

    Args:
        source: A checkpoint of this project, official VirTex or SOHO, or torchvision, as a file, ``http(s)://`` or
            ``torchvision://``; or ``'random'``, initialised weights that follow from ``seed``.
        options: Of the backbone's config, over what the weights tell (over a ResNet-50 for ``'random'``); with
            ``type`` they are all of it.
        seed: Of ``'random'``.

    Raises:
        soho.engine.checkpoint.read.CheckpointError: The file has no such CNN.
    """
    use_safe_loading()
    options = dict(options or {})
    state = {} if source == RANDOM else state_dict_of(read_checkpoint(source))
    if 'type' not in options:
        kind = dict(type='ResNet', depth=50, num_stages=4) if source == RANDOM else _resnet_config(state, source)
        last = options.get('num_stages', kind['num_stages']) - 1
        options = kind | dict(out_indices=(last,)) | options
    with torch.random.fork_rng(devices=[]), DefaultScope.overwrite_default_scope('soho'):
        torch.manual_seed(seed)
        backbone = MODELS.build(options)
        if source == RANDOM:
            backbone.init_weights()
    if source != RANDOM:
        fill_part(backbone, state, source)
    return backbone.eval()


def _resnet_config(state: dict[str, Any], source: str) -> dict[str, Any]:
    try:
        return infer_resnet_config(state)
    except ValueError as error:
        raise CheckpointError(
            f'{source} cannot be used: {error}; name its kind, as in --backbone type=TimmBackbone '
            'model_name=convnext_tiny'
        ) from error
