"""Whether the parts of a config exist and take what it gives them, said before anything is built."""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mmengine.registry import Registry
from torch.utils.data import DataLoader

from soho import registry as registries
from soho.engine.config_error import ConfigError
from soho.errors import clip, quote, suggest

# What mmengine takes out before it builds the part.
TAKEN_OUT = {
    'hooks': {'priority'},
    'optim_wrapper': {'optimizer', 'constructor', 'paramwise_cfg'},
    'param_scheduler': {'convert_to_iter_based'},
}
# mmengine's runner takes all of a line or none.
TOGETHER = (
    ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    ('val_dataloader', 'val_cfg', 'val_evaluator'),
    ('test_dataloader', 'test_cfg', 'test_evaluator'),
)
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
LOADER_KEYS = {*inspect.signature(DataLoader.__init__).parameters, 'num_batch_per_epoch', '_delete_'} - {'self'}
CONFIG_TYPES = (bool, int, float, str, list, tuple, dict, NoneType)  # what configs are made of
# torch's own annotations name what it imports for type checkers only.
LOADER_TYPES = dict(
    drop_last=bool, persistent_workers=bool, pin_memory=bool, prefetch_factor=int | None, timeout=float, dataset=dict
)
# What torch takes and cannot work with, and the smallest numbers that it can.
SMALLEST = dict(batch_size=1, num_workers=0, num_batch_per_epoch=1)


def check_parts(node: Any, where: str, path: str) -> None:
    """Look at every dict that names its ``type``.

    Args:
        node: A config's value under the key ``where``, and what is in it.
        where: Dotted.
        path: The config's file, for the message.

    Raises:
        ConfigError: No registry has the type, or it has no such argument, or the argument is of another type.
    """
    if isinstance(node, dict):
        if where in LOADERS:
            for key in node.keys() - LOADER_KEYS:
                raise ConfigError(
                    f'{path}: {clip(where)} has no key {quote(key)}{suggest(key, LOADER_KEYS)}', f'{where}.{key}'
                )
            for key in LOADER_TYPES.keys() & node.keys():
                check_type(node[key], LOADER_TYPES[key], f'{where}.{key}', path)
            for key in SMALLEST.keys() & node.keys():
                if not is_valid(node[key], int) or node[key] < SMALLEST[key]:
                    raise ConfigError(
                        f'{path}: {clip(where)}.{key} is {quote(node[key])}; it is a number from {SMALLEST[key]} on',
                        f'{where}.{key}',
                    )
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
            f'{path}: {clip(where)} is of the type {clip(part["type"])}, which nobody has registered'
            + suggest(part['type'], _parts()),
            where,
        )
    head = where.split('.')[0]
    taken_out = TAKEN_OUT.get('hooks' if head.endswith('hooks') else head, set()) | {'type', '_scope_'}
    known: dict[str, list[inspect.Parameter]] = {}
    for maker in makers:
        parameters = _parameters(maker)
        if parameters is None:
            return
        for parameter in parameters:
            known.setdefault(parameter.name, []).append(parameter)
    for key, value in part.items():
        if key not in known.keys() | taken_out:
            raise ConfigError(
                f'{path}: {clip(where)} is of the type {clip(part["type"])}, which takes no {quote(key)}'
                + suggest(key, known),
                f'{where}.{key}',
            )
        if key in known and not any(value is p.default or is_valid(value, p.annotation) for p in known[key]):
            check_type(value, known[key][0].annotation, f'{where}.{key}', path, f'{clip(part["type"])} takes')


def check_complete(cfg: Mapping[str, Any], path: str, split: str) -> None:
    """Raise a :class:`ConfigError` where a run lacks its model or its data, or has only a part of what goes together.

    Args:
        cfg: The config.
        path: Its file, for the message.
        split: What is run, ``'train'`` or ``'test'``.
    """
    if cfg.get('model') is None:
        raise ConfigError(f'{path} has no model')
    if cfg.get(f'{split}_dataloader') is None:
        raise ConfigError(f'{path} has no {split}_dataloader, and so nothing to {split} on')
    for keys in TOGETHER:
        given = [key for key in keys if cfg.get(key) is not None]
        if given and len(given) < len(keys):
            missing = next(key for key in keys if key not in given)
            raise ConfigError(f'{path} has {given[0]} but no {missing}: {", ".join(keys)} go together')


def check_type(value: Any, annotation: Any, where: str, path: str, what: str = 'it is') -> None:
    """Raise a :class:`ConfigError` for a value that is not what an annotation says."""
    if not is_valid(value, annotation):
        name = annotation.__name__ if isinstance(annotation, type) else str(annotation).replace('typing.', '')
        raise ConfigError(f'{path}: {clip(where)} is {quote(value)}; {what} {name}', where)


def is_valid(value: Any, annotation: Any) -> bool:
    """Whether a config's value may be what an annotation says; what a config cannot hold is taken on trust.

    Lists and tuples stand for each other, a whole number for a float (and 1e5 for an integer), and a dict for what is
    built of it.
    """
    origin, inner = get_origin(annotation) or annotation, get_args(annotation)
    if origin in (Union, UnionType):
        return any(is_valid(value, part) for part in inner)
    if origin is Literal:
        return value in inner
    if not isinstance(value, CONFIG_TYPES) or not isinstance(origin, type):
        return True
    if origin in (int, float):
        whole = isinstance(value, int) or isinstance(value, float) and (origin is float or value.is_integer())
        return whole and not isinstance(value, bool)
    if origin in (bool, str, NoneType):
        return isinstance(value, origin)
    if origin in (dict, Mapping):
        return isinstance(value, dict)
    if origin in (list, tuple, Sequence, Iterable, Collection):
        if not isinstance(value, (list, tuple)):
            return False
        parts = inner if origin is tuple and ... not in inner else inner[:1] * len(value)
        return not inner or (len(parts) == len(value) and all(map(is_valid, value, parts)))
    return isinstance(value, dict) or origin.__module__.split('.')[0] not in ('torch', 'mmengine')


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
def _parameters(maker: Callable) -> list[inspect.Parameter] | None:
    """What a class or function takes, with annotations as types; ``None`` if anything.

    By the custom that ``**kwargs`` of a class go to the class it stands on,
    and that catch-alls of other names take what comes.
    """
    found: list[inspect.Parameter] = []
    for function in (
        [vars(c)['__init__'] for c in maker.__mro__ if '__init__' in vars(c)] if inspect.isclass(maker) else [maker]
    ):
        parameters = inspect.signature(function).parameters.values()
        try:
            annotations = get_type_hints(function)
        except Exception:  # of a name that is imported for type checkers only
            annotations = {}
        names = {p.name for p in found}
        found += [
            p.replace(annotation=annotations.get(p.name, Any))
            for p in parameters
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in names
        ]
        rest = next((p.name for p in parameters if p.kind is p.VAR_KEYWORD), None)
        if rest is None:
            return found
        if rest != 'kwargs':
            return None
    return None
