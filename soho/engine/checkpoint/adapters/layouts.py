"""Foreign checkpoints, known by their contents and renamed to this project's layout.

An adapter is a function ``map_names(state, model_names)`` that returns the new name of each entry that it knows, or
``None`` for weights of another layout. A new foreign layout is one file here and its line in ``ADAPTERS``.
"""

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from torch import Tensor

from soho.engine.checkpoint.adapters import (
    hugging_face_bert,
    official_soho,
    official_virtex,
    timm_features,
    torchvision_resnet,
)


class Adapted(NamedTuple):
    """Weights under the names of a model."""

    layout: str
    """What kind of checkpoint it was."""
    state: dict[str, Tensor]
    unexpected: list[str]
    """Entries, by their foreign names, that have no place in the model."""


Adapter = Callable[[dict[str, Tensor], Collection[str]], dict[str, str] | None]

OWN_LAYOUT = 'own checkpoint'
# Before there was one head for all classification, VQA's called its layers so.
EARLIER_CLASSIFIER = re.compile(r'^(heads\.\w+)\.vqa\.(?=\d)')
ADAPTERS: dict[str, Adapter] = {
    'official SOHO checkpoint': official_soho.map_names,
    'official VirTex checkpoint': official_virtex.map_names,
    'Hugging Face BERT': hugging_face_bert.map_names,
    'torchvision ResNet': torchvision_resnet.map_names,
    'timm model': timm_features.map_names,
}


def adapt(state: dict[str, Tensor], model_names: Collection[str]) -> Adapted:
    """Rename foreign weights to those of a model.

    Args:
        state: Names to tensors, as the file has them, without ``module.``.
        model_names: Names of the model's state dict.
    """
    for layout, map_names in ADAPTERS.items():
        renamed = map_names(state, model_names)
        if renamed is not None:
            loaded = {renamed[name]: value for name, value in state.items() if renamed.get(name) in model_names}
            return Adapted(layout, loaded, [name for name in state if renamed.get(name) not in model_names])
    renamed = {name: EARLIER_CLASSIFIER.sub(r'\1.classifier.', name) for name in state}
    loaded = {renamed[name]: value for name, value in state.items() if renamed[name] in model_names}
    return Adapted(OWN_LAYOUT, loaded, [name for name in state if renamed[name] not in model_names])
