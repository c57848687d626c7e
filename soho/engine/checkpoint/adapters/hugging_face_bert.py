"""BERT as Hugging Face stores it: ``bert.*`` or bare, with old and new names, pooler or none."""

from collections.abc import Collection

from torch import Tensor

from soho.engine.checkpoint.adapters.prefixes import find_prefix

EMBEDDING = 'embeddings.word_embeddings.weight'
# Checkpoints converted from TensorFlow keep its names for LayerNorm.
OLD_LEAVES = {'LayerNorm.gamma': 'LayerNorm.weight', 'LayerNorm.beta': 'LayerNorm.bias'}


def map_names(state: dict[str, Tensor], model_names: Collection[str]) -> dict[str, str] | None:
    """Hugging Face names to the model's; pooler, ``cls.*`` and layers that it does not have stay behind."""
    prefix = next((p for p in ('bert.', '') if p + EMBEDDING in state), None)
    if prefix is None:
        return None
    ours = find_prefix(model_names, EMBEDDING) or ''
    renamed = {}
    for name in state:
        if name.startswith(prefix):
            new = name[len(prefix) :]
            for old, leaf in OLD_LEAVES.items():
                new = new[: -len(old)] + leaf if new.endswith(old) else new
            renamed[name] = ours + new
    return renamed
