"""ResNets as torchvision stores them: the backbone's own names, without a prefix, and ``fc``."""
from typing import Collection, Dict, Optional

from torch import Tensor

BLOCK = 'layer1.0.conv1.weight'


def names(state: Dict[str, Tensor], model_names: Collection[str]) -> Optional[Dict[str, str]]:
    """torchvision's names to the model's; the classifier ``fc`` stays behind."""
    if BLOCK not in state or 'conv1.weight' not in state:
        return None
    prefix = next((name[:-len(BLOCK)] for name in model_names if name.endswith(BLOCK)), '')
    return {name: prefix + name for name in state}
