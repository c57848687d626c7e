"""ResNets as torchvision stores them: the backbone's own names, without a prefix, and ``fc``."""

from collections.abc import Collection

from torch import Tensor

BLOCK = 'layer1.0.conv1.weight'


def names(state: dict[str, Tensor], model_names: Collection[str]) -> dict[str, str] | None:
    """torchvision's names to the model's; the classifier ``fc`` stays behind."""
    if BLOCK not in state or 'conv1.weight' not in state:
        return None
    prefix = next((name[: -len(BLOCK)] for name in model_names if name.endswith(BLOCK)), '')
    return {name: prefix + name for name in state}
