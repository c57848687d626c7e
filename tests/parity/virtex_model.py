"""The model and the batch that a VirTex fixture describes."""

import re

import torch
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from soho.engine.checkpoint.adapters.official_virtex import to_official
from soho.engine.checkpoint.load import load_weights
from soho.registry import MODELS
from tests.parity.fill import fill_all
from tests.parity.fixture import Fixture
from tests.parity.soho_model import recipe, ties

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BACKBONES = {
    'torchvision::resnet18': (512, dict(depth=18)),
    'torchvision::resnet50': (2048, dict(depth=50)),
    'torchvision::resnet101': (2048, dict(depth=101)),
    'torchvision::wide_resnet50_2': (2048, dict(depth=50, width_per_group=128)),
}
SPECIAL = (0, 1, 2, 3)  # <unk>, [SOS], [EOS], [MASK]


def config_of(task: str, visual: str, textual: str, vocab_size: int) -> dict:
    """The published model's config with other parts, as the official configs name them; no dropout.

    Args:
        task: ``bicaptioning``, ``captioning``, ``masked_lm``, ``token_classification`` or
            ``multilabel_classification``.
        visual: Such as ``torchvision::resnet50``.
        textual: Such as ``transdec_postnorm::L1_H1024_A16_F4096``; ``none`` for classification.
        vocab_size: Of the output.
    """
    config = recipe('_base_/models/virtex.py').model.to_dict()
    channels, backbone = BACKBONES[visual]
    config['backbone'].update(backbone)
    if task.endswith('classification'):
        ignore = SPECIAL if task.startswith('token') else SPECIAL[:1]
        head = dict(type='MultiLabelHead', in_channels=channels, num_classes=vocab_size, ignore=ignore)
        return dict(config, language=None, heads=dict(classification=head))
    layers, hidden, heads, feedforward = map(int, re.findall(r'[LHAF](\d+)', textual.split('::')[1]))
    config['language'].update(
        visual_size=channels,
        vocab_size=vocab_size,
        hidden_size=hidden,
        num_layers=layers,
        num_heads=heads,
        feedforward_size=feedforward,
        dropout=0.0,
        norm_first='prenorm' in textual,
        causal=task != 'masked_lm',
        bidirectional=task == 'bicaptioning',
    )
    if task == 'masked_lm':
        config['heads'] = dict(mlm=dict(type='MaskedCaptionHead'))
    return config


def build(config: dict) -> nn.Module:
    """In eval mode, its weights as they come."""
    with DefaultScope.overwrite_default_scope('soho'):
        model = MODELS.build(config).eval()
    # The official layout: another convolution kernel rounds differently, and then some ReLU flips.
    return model.to(memory_format=torch.contiguous_format)


def fill_model(model: nn.Module, seed: int) -> None:
    """Fill the model by the rules of :mod:`tests.parity.fill`, under the official names."""
    official = to_official(model.state_dict())
    shapes = ((name, tuple(value.shape)) for name, value in official.items())
    load_weights(model, fill_all(shapes, seed, ties(official)), 'filled weights', strict=True)


def filled(config: dict, seed: int) -> nn.Module:
    """A model of filled weights, in eval mode."""
    model = build(config)
    fill_model(model, seed)
    return model


def official_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters by their official names, in order; a shared one appears once."""
    official = to_official(dict(model.named_parameters()))
    aliases = ties(official)
    return {name: value for name, value in official.items() if name not in aliases}


def normalized(images: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float32 in the official order of operations."""
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    return ((images.float() - 255 * mean) * (1 / (255 * std))).permute(0, 3, 1, 2).contiguous()


def read_batch(fixture: Fixture, prefix: str, images: str = 'images_u8') -> dict[str, Tensor]:
    """The inputs of a fixture as the model receives them after the preprocessor.

    Args:
        fixture: Holds ``images`` and tensors named as in a batch.
        prefix: Of these names.
        images: Name of the uint8 images.
    """
    batch = dict(image=normalized(fixture.tensor(images)))
    recorded = ('caption_tokens', 'noitpac_tokens', 'caption_lengths', 'masked_labels', 'labels')
    for name, ours in zip(recorded, (*recorded[:-1], 'label_set')):
        if prefix + name in fixture:
            batch[ours] = fixture.tensor(prefix + name)
    return batch


def doubled(model: nn.Module, batch: dict[str, Tensor]) -> tuple[nn.Module, dict[str, Tensor]]:
    """Model and batch in double precision; the model is changed in place."""
    return model.double(), dict(batch, image=batch['image'].double())
