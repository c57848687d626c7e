"""Weights of a timm model, as timm saves them, for ``TimmBackbone``, which holds its features alone."""

import re
from collections.abc import Collection

from torch import Tensor

WRAPPED = 'model.'  # TimmBackbone's attribute
# timm flattens the stages of some models when it takes their features: stages.0.blocks becomes stages_0.blocks.
STAGE = re.compile(r'^(\w+)\.(\d+)\.')


def map_names(state: dict[str, Tensor], model_names: Collection[str]) -> dict[str, str] | None:
    """timm's names to the model's; the classifier and later stages stay behind."""
    places = {name.rpartition(WRAPPED)[2]: name for name in model_names if WRAPPED in name}
    renamed = {}
    for name in state:
        flat = STAGE.sub(r'\1_\2.', name)
        if place := places.get(name) or places.get(flat):
            renamed[name] = place
    own = any(name in model_names for name in state)
    return renamed if renamed and not own else None
