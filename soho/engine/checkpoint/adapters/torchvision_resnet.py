"""ResNets as torchvision stores them: the backbone's own names, without a prefix, and ``fc``."""

import re
from collections.abc import Collection, Iterable

from torch import Tensor

from soho.engine.checkpoint.adapters.prefixes import find_prefix
from soho.errors import UserError

BLOCK = 'layer1.0.conv1.weight'
# torchvision's parts in detectron2's words.
DETECTRON2 = {
    r'\blayer([1-4])\.': lambda match: f'res{int(match[1]) + 1}.',
    r'\bbn([1-3])\.': r'conv\1.norm.',
    r'\bdownsample\.0\.': 'shortcut.',
    r'\bdownsample\.1\.': 'shortcut.norm.',
}


def find_resnet_prefix(names: Iterable[str], default: str | None = None) -> str:
    """Below which prefix a state dict has its ResNet, the first if there are several.

    Args:
        names: Of its entries.
        default: Returned where there is none.

    Raises:
        UserError: There is none and no default.
    """
    found = find_prefix(names, BLOCK)
    prefix = default if found is None else found
    if prefix is None:
        raise UserError(f'it has no ResNet: no entry ends in {BLOCK}')
    return prefix


def map_names(state: dict[str, Tensor], model_names: Collection[str]) -> dict[str, str] | None:
    """torchvision's names to the model's; the classifier ``fc`` stays behind."""
    if BLOCK not in state or 'conv1.weight' not in state:
        return None
    prefix = find_resnet_prefix(model_names, '')
    return {name: prefix + name for name in state}


def to_torchvision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The ResNet of a model under torchvision's names; the rest stays behind.

    Raises:
        ValueError: The model has no ResNet.
    """
    prefix = find_resnet_prefix(state)
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}


def to_detectron2(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The ResNet of a model under detectron2's names; the rest stays behind.

    Raises:
        ValueError: The model has no ResNet.
    """
    renamed = {}
    for name, value in to_torchvision(state).items():
        for old, new in DETECTRON2.items():
            name = re.sub(old, new, name)
        renamed[name if name.startswith('res') else 'stem.' + name] = value
    return renamed
