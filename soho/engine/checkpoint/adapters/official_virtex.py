"""Checkpoints of the official VirTex release (kdexd/virtex@ae67b23), in and out.

The official state dict repeats what is shared: the output layer is the word
embedding, and the backward head has everything but its transformer from the
forward one. Here each appears once.
"""

from collections.abc import Collection

import torch
from torch import Tensor

from soho.engine.checkpoint.adapters.prefixes import replace_prefix
from soho.engine.checkpoint.adapters.torchvision_resnet import find_resnet_prefix
from soho.errors import UserError

CNN, TEXT, BACKWARD = 'visual.cnn.', 'textual.', 'backward_textual.'
OUTPUT, WORDS = 'output.weight', 'embedding.words.weight'
# Official prefix -> ours.
CAPTIONS = {
    CNN: 'backbone.',
    'backward_textual.transformer.': 'language.backward_transformer.',
    'textual.output.bias': 'language.output_bias',
    TEXT: 'language.',
}
LABELS = {CNN: 'backbone.', 'textual.output.': 'heads.classification.output.'}


def is_official(state: Collection[str]) -> bool:
    """Whether these entries are an official VirTex checkpoint's."""
    return CNN + 'conv1.weight' in state and TEXT + OUTPUT in state


def map_names(state: dict[str, Tensor], model_names: Collection[str]) -> dict[str, str] | None:
    """Official names to ours; an entry that repeats another gets its name.

    The CNN finds its place in any model that holds a ResNet, whatever it is called there.

    Raises:
        UserError: Entries differ that every official checkpoint shares.
    """
    if not is_official(state):
        return None
    owners = {name: _owner(name, state) for name in state}
    for name, owner in owners.items():
        if name != owner and not torch.equal(state[name], state[owner]):
            raise UserError(f'{name} differs from {owner}, with which every official checkpoint shares it')
    prefixes = CAPTIONS if TEXT + WORDS in state else LABELS
    cnn = find_resnet_prefix(model_names, prefixes[CNN])
    return {name: replace_prefix(owner, dict(prefixes, **{CNN: cnn})) for name, owner in owners.items()}


def to_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """This project's state dict in the official layout, bit for bit and in the official order.

    What the official model shares is written as an alias that shares memory,
    as ``torch.save`` keeps it.

    Raises:
        UserError: An entry that the official model does not have.
    """
    prefixes = {mine: official for official, mine in (CAPTIONS | LABELS).items()}
    official = {replace_prefix(name, prefixes): value for name, value in state.items()}
    foreign = [name for name in official if not name.startswith((CNN, TEXT, BACKWARD))]
    if foreign or CNN + 'conv1.weight' not in official or TEXT + 'output.bias' not in official:
        raise UserError(
            'the official VirTex release has models of a ResNet and one textual head only; it has '
            f'nothing like {", ".join((foreign or list(official) or ["an empty checkpoint"])[:3])}'
        )
    if TEXT + WORDS in official:
        official[TEXT + OUTPUT] = official[TEXT + WORDS]
    ordered = {name: value for name, value in official.items() if name.startswith(CNN)}
    parts = [TEXT + part for part in ('visual_projection', 'embedding', 'transformer', OUTPUT, 'output.bias')]
    textual = [name for part in parts for name in official if name.startswith(part)]
    ordered.update({name: official[name] for name in textual})
    if any(name.startswith(BACKWARD) for name in official):
        for name in textual:
            ordered['backward_' + name] = official.get('backward_' + name, official[name])
    return ordered


def _owner(name: str, state: Collection[str]) -> str:
    """The entry whose values these are."""
    if name.startswith(BACKWARD) and not name.startswith(BACKWARD + 'transformer.'):
        name = name.removeprefix('backward_')
    return TEXT + WORDS if name == TEXT + OUTPUT and TEXT + WORDS in state else name
