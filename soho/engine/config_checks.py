"""Whether the parts of a config exist and take what it gives them, said before anything is built."""

import difflib
import inspect
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from mmengine.registry import Registry
from torch.utils.data import DataLoader

from soho import registry as registries
from soho.errors import UserError

# What mmengine takes out before it builds the part.
TAKEN_OUT = {
    'hooks': {'priority'},
    'optim_wrapper': {'optimizer', 'constructor', 'paramwise_cfg'},
    'param_scheduler': {'convert_to_iter_based'},
}
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
LOADER_KEYS = {*inspect.signature(DataLoader.__init__).parameters, 'num_batch_per_epoch', '_delete_'} - {'self'}


class ConfigError(UserError):
    """A config that cannot be what was meant."""


def check_parts(node: Any, where: str, path: str) -> None:
    """Look at every dict that names its ``type``.

    Args:
        node: A config's value under the key ``where``, and what is in it.
        where: Dotted.
        path: The config's file, for the message.

    Raises:
        ConfigError: No registry has the type, or it has no such argument.
    """
    if isinstance(node, dict):
        if where in LOADERS:
            for key in node.keys() - LOADER_KEYS:
                raise ConfigError(f'{path}: {where} has no key {key!r}{hint(key, LOADER_KEYS)}')
        if isinstance(node.get('type'), str) and '.' not in node['type']:
            _check(node, where, path)
        for key, value in node.items():
            check_parts(value, f'{where}.{key}', path)
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            check_parts(value, f'{where}.{i}', path)


def _check(part: dict[str, Any], where: str, path: str) -> None:
    makers = _parts().get(part['type'])
    if makers is None:
        _parts.cache_clear()  # custom_imports of this config may have registered more
        makers = _parts().get(part['type'])
    if makers is None:
        raise ConfigError(
            f'{path}: {where} is of the type {part["type"]}, which nobody has registered' + hint(part['type'], _parts())
        )
    head = where.split('.')[0]
    taken_out = TAKEN_OUT.get('hooks' if head.endswith('hooks') else head, set()) | {'type', '_scope_'}
    known: set[str] = set()
    for maker in makers:
        names = _arguments(maker)
        if names is None:
            return
        known |= names
    for key in part:
        if key not in known | taken_out:
            raise ConfigError(
                f'{path}: {where} is of the type {part["type"]}, which takes no {key!r}' + hint(key, known)
            )


@cache
def _parts() -> dict[str, list[Callable]]:
    """Everything that a config may name."""
    parts: dict[str, list[Callable]] = {}
    for registry in vars(registries).values():
        if isinstance(registry, Registry):
            registry.import_from_location()
            for name, maker in registry.module_dict.items():
                parts.setdefault(name, []).append(maker)
    return parts


@cache
def _arguments(maker: Callable) -> set[str] | None:
    """The names that a class or function takes; ``None`` if any.

    By the custom that ``**kwargs`` of a class go to the class it stands on,
    and that catch-alls of other names take what comes.
    """
    names: set[str] = set()
    for function in (
        [vars(c)['__init__'] for c in maker.__mro__ if '__init__' in vars(c)] if inspect.isclass(maker) else [maker]
    ):
        parameters = inspect.signature(function).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
        if rest is None:
            return names
        if rest != 'kwargs':
            return None
    return None


def hint(key: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``; did you mean ...?`` where one of ``known`` is close."""
    close = difflib.get_close_matches(key, known, n=1, cutoff=cutoff)
    return f'; did you mean {close[0]!r}?' if close else ''
