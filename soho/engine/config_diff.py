"""Differences between configs, key by key."""

from collections.abc import Mapping, Sequence
from typing import Any

MISSING = '(not there)'


def flatten_config(value: Any, prefix: str = '') -> dict[str, str]:
    """Leaves of a config as Python text by dotted key, as ``--cfg-options`` writes the key.

    Lists with dicts in them are descended into, and their places are keys (``pipeline.2.scale``); other lists are
    leaves, and so are empty dicts.

    Args:
        value: Config, or a part of it.
        prefix: Key of the part.
    """
    if isinstance(value, Mapping) and value:
        items = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, (list, tuple)) and any(isinstance(part, Mapping) for part in value):
        items = [(str(place), part) for place, part in enumerate(value)]
    else:
        return {prefix: repr(list(value) if isinstance(value, tuple) else value)}
    leaves: dict[str, str] = {}
    for key, part in items:
        leaves |= flatten_config(part, f'{prefix}.{key}' if prefix else key)
    return leaves


def compare_configs(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Keys in which configs differ, with the value that each of them holds or :data:`MISSING`.

    Tuples equal lists, since a config that has been written and read again holds lists.
    """
    flat = [flatten_config(config) for config in configs]
    keys = dict.fromkeys(key for leaves in flat for key in leaves)
    parents = {parent for key in keys for parent in _parents(key)}
    found = {key: [_look_up(leaves, key) for leaves in flat] for key in keys if key not in parents}
    return {key: values for key, values in found.items() if len(set(values)) > 1}


def _parents(key: str) -> list[str]:
    parts = key.split('.')
    return ['.'.join(parts[:length]) for length in range(len(parts) - 1, 0, -1)]


def _look_up(leaves: Mapping[str, str], key: str) -> str:
    """The value of a key; where a part above it is a value, as ``None`` for a model without that part, it is this."""
    return next((leaves[name] for name in (key, *_parents(key)) if name in leaves), MISSING)
