"""The model and the batch that a SOHO fixture describes, out of the published recipes."""

import json
from typing import Any

import torch
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from soho.engine.checkpoint.adapters.official_soho import to_official
from soho.engine.checkpoint.load import load_weights
from soho.engine.config import load_config
from soho.paths import CONFIGS
from soho.registry import MODELS
from tests.parity.fill import fill_all
from tests.parity.fixture import Fixture

PRETRAIN = 'Pretrain/soho_res18_pre.py'
VQA = 'VQA/soho_res18_vqa.py'


def recipe(name: str) -> Any:
    """A published recipe's config."""
    return load_config(str(CONFIGS / name))


def build_model(fixture: Fixture, name: str) -> nn.Module:
    """The recipe's model, changed as the fixture says, in eval mode with filled weights.

    ``meta_depth`` changes the backbone, ``meta_model_config`` (an official
    model config as JSON) every size, and a pretraining fixture without gate
    values has the ungated neck. Weights enter as an official checkpoint does.
    """
    if 'meta_model_config' in fixture:
        official = json.loads(str(fixture['meta_model_config']))
        fixture.remark('meta_depth')
    else:
        gated = any('gate' in value for value in fixture.names('ref_'))
        official = dict(neck=dict(type='Gate' if gated else ''))
        if 'meta_depth' in fixture:
            official['backbone'] = dict(depth=int(fixture['meta_depth']))
    model = model_like(name, official)
    fill_model(model, int(fixture.get('meta_fill_seed', 0)))
    return model


def model_like(name: str, official: dict) -> nn.Module:
    """A recipe's model with an official model config laid over it, in eval mode."""
    config = recipe(name).model.to_dict()
    config['backbone'].pop('init_cfg', None)
    config['language'].pop('pretrained', None)
    _apply_official(config, official)
    with DefaultScope.overwrite_default_scope('soho'):  # mmengine and mmcv build parts of it, too
        model = MODELS.build(config).eval()
    # The official layout: another convolution kernel rounds differently, and then some ReLU flips.
    return model.to(memory_format=torch.contiguous_format)


def _channels(depth: int) -> int:
    return 512 if depth < 50 else 2048


def _apply_official(config: dict, official: dict) -> None:
    """Lay an official model config, or some keys of one, over ours."""
    backbone, neck, head = (official.get(part, {}) for part in ('backbone', 'neck', 'head'))
    ours = config['neck']
    for key in ('depth', 'num_stages', 'out_indices', 'frozen_stages', 'with_cp', 'norm_eval', 'strides'):
        if key in backbone:
            config['backbone'][key] = backbone[key]
    ours['in_channels'] = neck.get('in_channels', _channels(config['backbone']['depth']))
    if 'out_channels' in neck:
        ours['out_channels'] = neck['out_channels']
    if 'dictionary' in ours:
        for key, theirs in (('num_words', 'num_tokens'), ('decay', 'decay')):
            ours['dictionary'][key] = neck.get(theirs, ours['dictionary'][key])
        ours['gated'] = neck.get('type', 'Gate').endswith('Gate')
        ours['align_input'] = neck.get('begin_align', False)
        ours['align_output'] = neck.get('pos_align', True)
    unused = ('type', 'frozen_stages', 'return_all')
    config['language'].update({k: v for k, v in official.get('language', {}).items() if k not in unused})
    for ours in config['heads'].values():
        for key, theirs in (('hidden_size', 'hidden_size'), ('num_classes', 'num_answes')):  # spelled so there
            if key in ours:
                ours[key] = head.get(theirs, ours[key])


def fill_model(model: nn.Module, seed: int) -> None:
    """Fill the model by the rules of :mod:`tests.parity.fill`, under the official names."""
    official = to_official(model.state_dict())
    shapes = ((name, tuple(value.shape)) for name, value in official.items())
    load_weights(model, fill_all(shapes, seed, ties(official)), 'filled weights', strict=True)


def ties(official: dict[str, Tensor]) -> dict[str, str]:
    """Entries of an official state dict that share another's memory: alias -> owner."""
    owners: dict[int, str] = {}
    pairs = {name: owners.setdefault(value.data_ptr(), name) for name, value in official.items() if value.numel()}
    return {name: owner for name, owner in pairs.items() if owner != name}


def official_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters by their official names, in order; a tied one appears once."""
    params = dict(model.named_parameters())
    official = to_official(params)
    aliases = ties(official)
    return {name: value for name, value in official.items() if name not in aliases}


def read_batch(fixture: Fixture) -> dict[str, Tensor]:
    """Image and sentences as the model receives them after the preprocessor."""
    fixture.remark('meta_data_seed')
    image = fixture.tensor('in_img_q').float() / 32
    fixture['in_pad_shape']  # the canvas is its maximum
    ids = fixture.tensor('in_language_tokens')
    batch = dict(
        image=image,
        image_size=fixture.tensor('in_img_shape')[:, :2],
        input_ids=ids,
        attention_mask=fixture.tensor('in_language_attention'),
        sentence_mask=torch.ones(ids.shape[:2], dtype=torch.bool),
    )
    if 'in_mask_labels' in fixture:
        batch['mlm_labels'] = fixture.tensor('in_mask_labels')
        batch['itm_labels'] = fixture.tensor('in_next_label')
    return batch


def grid_of(batch: dict[str, Tensor]) -> tuple[int, int]:
    """The published models' grid, (h, w): stride 32, pooled by two."""
    height, width = batch['image'].shape[-2:]
    return -(-height // 32) // 2, -(-width // 32) // 2


def draws(batch: dict[str, Tensor], position: Any, selection: Any) -> dict[str, Tensor]:
    """The batch with the official random draws: a flat cell of the grid, and the rows it is hidden for."""
    images, sentences = batch['input_ids'].shape[:2]
    height, width = grid_of(batch)
    cell = (float(position) + 0.5) / (height * width)
    rows = torch.as_tensor(selection).bool().view(images, sentences)
    return dict(batch, mvm_cell=torch.full((images,), cell), mvm_sentences=rows)
