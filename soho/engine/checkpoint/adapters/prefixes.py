"""Prefixes of the names in a state dict."""

from collections.abc import Iterable, Mapping


def find_prefix(names: Iterable[str], ending: str) -> str | None:
    """What stands before ``ending`` in the first of ``names`` that ends so; ``None`` where none does."""
    return next((name[: -len(ending)] for name in names if name.endswith(ending)), None)


def replace_prefix(name: str, prefixes: Mapping[str, str]) -> str:
    """The name with the first of the prefixes that it begins with replaced.

    Args:
        name: Of an entry.
        prefixes: Old ones to new ones.
    """
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name[len(old) :]
    return name
