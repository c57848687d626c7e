"""The recipes in configs/VirTex are the published models whose names they bear."""

import re

import pytest
import torch

from soho.engine import load_config
from soho.engine.checkpoint.adapters.official_virtex import to_official
from soho.paths import CONFIGS
from tests.parity.virtex_model import build, config_of

RECIPES = sorted(CONFIGS.glob('VirTex/*_R_*.py'))
BACKBONES = {'50': 'resnet50', '50W2X': 'wide_resnet50_2', '101': 'resnet101'}


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_the_model_of_its_name(path):
    name = path.stem.removesuffix('_official_decoding')
    task, backbone, layers, hidden = re.fullmatch(r'(\w+)_R_(\w+?)(?:_L(\d)_H(\d+))?', name).groups()
    textual = f'transdec_postnorm::L{layers}_H{hidden}_A{int(hidden or 0) // 64}_F{4 * int(hidden or 0)}'
    vocabulary = 81 if task.startswith('multilabel') else 10000
    config = config_of(task, f'torchvision::{BACKBONES[backbone]}', textual, vocabulary)
    with torch.device('meta'):
        ours, official = build(load_config(str(path)).model), build(config)
    entries, expected = (
        [(name, value.shape) for name, value in to_official(model.state_dict()).items()] for model in (ours, official)
    )
    assert entries == expected
    for option in ('causal', 'bidirectional'):
        assert getattr(ours.language, option, None) == getattr(official.language, option, None)
    if ours.language:
        for layer, other in zip(ours.language.transformer.layers, official.language.transformer.layers):
            assert layer.self_attn.num_heads == other.self_attn.num_heads
            assert layer.dropout.p == 0.1  # other than there, as published
    assert ours.heads.keys() == official.heads.keys()
    for head, other in zip(ours.heads.values(), official.heads.values()):
        assert getattr(head, 'ignore', None) == getattr(other, 'ignore', None)
