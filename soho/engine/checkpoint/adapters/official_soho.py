"""Checkpoints of the official SOHO release (researchmm/soho@95824a8), in and out.

Their parts have this project's names but for a few; the MLM output layer
appears as an alias of the word embedding it is tied to.
"""

from collections.abc import Collection

import torch
from torch import Tensor

from soho.engine.checkpoint.adapters.prefixes import replace_prefix
from soho.errors import UserError

EMBEDDING = 'language.bert.embeddings.word_embeddings.weight'
MLM_OUTPUT = 'mask_l_fc.weight'
# Official prefix -> ours.
PREFIXES = {
    'neck.gate_fc.': 'neck.gate.',
    'neck.begin_line.': 'neck.align_input.',
    'neck.pos_line.': 'neck.align_output.',
    'head.match_class.': 'heads.itm.match_class.',
    'head.vqa.': 'heads.vqa.classifier.',
}


def is_official(state: Collection[str]) -> bool:
    """Whether these entries are an official SOHO checkpoint's."""
    return EMBEDDING in state and any(name.startswith(('head.', MLM_OUTPUT)) for name in state)


def map_names(state: dict[str, Tensor], model_names: Collection[str]) -> dict[str, str] | None:
    """Official names to ours; the tied MLM output layer is the word embedding.

    Raises:
        UserError: The MLM output layer is not the word embedding.
    """
    if not is_official(state):
        return None
    if MLM_OUTPUT in state and not torch.equal(state[MLM_OUTPUT], state[EMBEDDING]):
        raise UserError(f'{MLM_OUTPUT} differs from {EMBEDDING}, to which every official checkpoint ties it')
    return {name: EMBEDDING if name == MLM_OUTPUT else replace_prefix(name, PREFIXES) for name in state}


def to_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """This project's state dict in the official layout, bit for bit and in the official order.

    The MLM output layer is written as an alias that shares the word
    embedding's memory, as ``torch.save`` keeps it.

    Raises:
        UserError: An entry that the official model does not have.
    """
    ours = {mine: official for official, mine in PREFIXES.items()}
    official = {replace_prefix(name, ours): value for name, value in state.items()}
    parts = ('backbone.', 'neck.', 'language.bert.', 'head.')
    foreign = [name for name in official if not name.startswith(parts)]
    if foreign or not is_official(official):
        raise UserError(
            'the official SOHO release has models for pretraining and for VQA only; it has nothing like '
            f'{", ".join((foreign or list(official) or ["an empty checkpoint"])[:3])}'
        )
    ordered = {name: value for part in parts for name, value in official.items() if name.startswith(part)}
    if any(name.startswith('head.match_class.') for name in ordered):
        ordered[MLM_OUTPUT] = ordered[EMBEDDING]
    return ordered
