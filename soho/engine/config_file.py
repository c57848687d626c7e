"""Reading a config file: whatever is wrong in it is one sentence with the file and the line that a person wrote.

mmengine runs a temporary copy of each file, and leaves what Python says of the copy.
"""

import ast
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from types import FrameType
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from soho.engine.config_error import ConfigError
from soho.errors import clip, first_line, quote, suggest

MOST_VALUES = 10**6  # of a YAML file
SUFFIXES = ('.py', '.json', '.yaml', '.yml')
# mmengine replaces the first before Python reads the file, and the second by what the bases hold.
_ENVIRONMENT = re.compile(r'\{\{[\'"]?\s*\$\w+\s*:\s*\S*?\s*[\'"]?\}\}')
_FROM_BASE = re.compile(r'\{\{\s*_base_\.([\w.]+)\s*\}\}')


def read_config(path: str) -> Config:
    """Return a config with its bases; modules of ``custom_imports`` are also found beside it and its bases.

    Args:
        path: The file.

    Raises:
        ConfigError: It cannot be read, or an import of it fails; the message names the file and the line.
    """
    if not path.endswith(SUFFIXES):
        raise ConfigError(f'{path} is no config: its name ends in none of {", ".join(SUFFIXES)}')
    files = list_files(path)
    for file in files:
        if file.endswith(('.yaml', '.yml')):
            _check_aliases(file)
    try:
        # Text configs with calls are otherwise taken for "lazy" ones.
        cfg = Config.fromfile(path, lazy_import=False, import_custom_modules=False)
    except Exception as error:  # a config is a program, which may fail in any way
        raise ConfigError(_format_error(error, path)) from error
    if imports := cfg.get('custom_imports'):
        _import_modules(imports, files)
    return cfg


def list_files(path: str) -> list[str]:
    """The files that a config is made of: itself, then its bases, each before its own.

    Raises:
        ConfigError: One is missing, is no Python, or is a base of its own.
    """
    return list(_walk(path, ()))


def _check_aliases(path: str) -> None:
    """Refuse YAML that unfolds to more values than anybody writes, as a kilobyte can by aliases of aliases."""
    try:
        with open(path, encoding='utf-8') as file:
            tree = yaml.compose(file, yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError, OSError):  # which mmengine meets too
        return
    known: dict[int, float] = {}

    def count(node: yaml.Node | None) -> float:
        if isinstance(node, yaml.CollectionNode) and id(node) not in known:
            known[id(node)] = math.inf  # of one that holds itself
            parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
            known[id(node)] = 1 + sum(map(count, parts))
        return known.get(id(node), 1)

    if count(tree) > MOST_VALUES:
        raise ConfigError(f'{_shown(path)} stands for more than {MOST_VALUES} values by its aliases')


def find_key(files: Sequence[str], key: str) -> str:
    """Where a value of a config is written, such as ``'line 7 of configs/_base_/models/virtex.py'``; ``''`` if nowhere.

    Args:
        files: The config's, see :func:`list_files`; the first that goes as deep as any is named.
        key: Dotted, as ``model.backbone.depth``; where it is not written the nearest key above it counts.
    """
    best, place = 0, ''
    for file in files:
        if not file.endswith('.py'):
            continue
        depth, line = _descend(_parse(file), key.split('.'))
        if depth > best:
            best, place = depth, f'line {line} of {_shown(file)}'
    return place


def _walk(path: str, children: tuple[str, ...]) -> Iterator[str]:
    yield path
    if not path.endswith('.py'):
        return
    for base, line in _bases(path):
        if not os.path.isfile(base):
            raise ConfigError(f'{_shown(path)}:{line}: _base_ names {_shown(base)}, and there is no such file')
        chain = (*children, path)
        if any(os.path.samefile(base, child) for child in chain):
            raise ConfigError(f'{_shown(path)}:{line}: _base_ leads back to {_shown(base)}, so that it never ends')
        yield from _walk(base, chain)


def _bases(path: str) -> list[tuple[str, int]]:
    """Path and line of each base that is written out; mmengine computes any other."""
    for node in _parse(path).body:
        if not isinstance(node, ast.Assign) or getattr(node.targets[0], 'id', None) != '_base_':
            continue
        items = node.value.elts if isinstance(node.value, (ast.List, ast.Tuple)) else [node.value]
        found = []
        for item in items:
            if not isinstance(item, ast.Constant):
                continue
            if not isinstance(item.value, str):
                raise ConfigError(f'{_shown(path)}:{item.lineno}: _base_ is a path or a list of paths')
            if '::' not in item.value and '{{' not in item.value:  # of another package; of a variable
                found.append((os.path.normpath(os.path.join(os.path.dirname(path), item.value)), item.lineno))
        return found
    return []


def _parse(path: str) -> ast.Module:
    try:
        with open(path, encoding='utf-8') as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise ConfigError(f'{_shown(path)} is not UTF-8 text ({error.reason} at byte {error.start})') from error
    try:
        return ast.parse(_ENVIRONMENT.sub('0', text))
    except SyntaxError as error:
        raise ConfigError(f'{_shown(path)}:{error.lineno}: {clip(error.msg)}') from error
    except (ValueError, RecursionError, MemoryError) as error:  # a zero byte; nested without end
        raise ConfigError(f'{_shown(path)} is no Python: {error}') from error


def _descend(tree: ast.Module, keys: Sequence[str]) -> tuple[int, int]:
    """How many of the keys are found one below the other, and the line of the last."""
    node, line, depth = None, 0, 0
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], 'id', None) == keys[0]:
            node, line, depth = statement.value, statement.lineno, 1
    for key in keys[1:] if node is not None else ():
        if isinstance(node, ast.Call):
            below = next((word for word in node.keywords if word.arg == key), None)
        elif isinstance(node, ast.Dict):
            value = next(
                (v for k, v in zip(node.keys, node.values) if isinstance(k, ast.Constant) and k.value == key), None
            )
            below = ast.keyword(key, value, lineno=value.lineno) if value is not None else None
        elif isinstance(node, (ast.List, ast.Tuple)) and key.isdigit() and int(key) < len(node.elts):
            item = node.elts[int(key)]
            below = ast.keyword(key, item, lineno=item.lineno)
        else:
            below = None
        if below is None:
            break
        node, line, depth = below.value, below.lineno, depth + 1
    return depth, line


def _line(file: str, keys: Sequence[str]) -> int:
    return _descend(_parse(file), keys)[1] if file.endswith('.py') else 1


def _format_error(error: Exception, path: str) -> str:
    """The sentence for what mmengine, or the config itself, has raised."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    reading = [frame for frame, _ in frames if frame.f_code.co_name == '_file2dict']
    file = os.fspath(reading[-1].f_locals.get('filename', path)) if reading else path
    shown = _shown(file)
    if isinstance(error, FileNotFoundError) and len(reading) > 1:
        child = reading[-2].f_locals['filename']
        return f'{_shown(child)}:{_line(child, ["_base_"])}: _base_ names {shown}, and there is no such file'
    if 'Duplicate key is not allowed among bases' in str(error):
        twice = str(error.args[0]).partition('Duplicate keys: ')[2]
        return f'{shown}:{_line(file, ["_base_"])}: several of the bases hold {clip(twice)}: only one of them can'
    passed = [frame.f_code.co_name for frame, _ in frames]
    if '_substitute_base_vars' in passed and (found := _missing_base_value(file, reading[-1])):
        return f'{shown}:{found}'
    if '_merge_a_into_b' in passed:
        keys = [frame.f_locals['k'] for frame, _ in frames if frame.f_code.co_name == '_merge_a_into_b']
        return (
            f'{shown}:{_line(file, keys)}: {clip(".".join(map(str, keys)))} is a dict here and none in the base; '
            f'_delete_=True in the dict replaces what the base holds'
        )
    inner = error.__context__ if isinstance(error.__context__, SyntaxError) else error
    if isinstance(inner, SyntaxError):
        return f'{shown}:{inner.lineno}: {clip(inner.msg)}'
    lines = [line for frame, line in frames if frame.f_code.co_filename == os.path.abspath(file)]
    what = _describe(error)
    if isinstance(error, AttributeError) and (
        missing := re.search(r"ConfigDict' object has no attribute '(\w+)'", what)
    ):
        bases = reading[-1].f_locals.get('base_cfg_dict', {}) if reading else {}
        what = f'the config has no {quote(missing[1])} there{suggest(missing[1], bases)}'
    elif not isinstance(error, OSError):
        what = f'{type(error).__name__}: {what}'
    return f'{shown}:{lines[-1]}: {what}' if lines else f'{shown}: {what}'


def _missing_base_value(file: str, reading: FrameType) -> str:
    """Line and reason for the first ``{{_base_.x.y}}`` of a file that its bases do not hold."""
    with open(file, encoding='utf-8') as text:
        for number, line in enumerate(text, start=1):
            for name in _FROM_BASE.findall(line):
                value: Any = reading.f_locals['base_cfg_dict']
                for key in name.split('.'):
                    try:
                        value = value[key]
                    except (KeyError, TypeError):
                        near = suggest(key, value) if isinstance(value, dict) else ''
                        return f'{number}: the bases hold no {clip(name)}{near}'
    return ''


def _import_modules(imports: Any, files: Sequence[str]) -> None:
    """Import what a config's ``custom_imports`` names.

    Raises:
        ConfigError: A module is nowhere, or its import fails.
    """
    where = find_key(files, 'custom_imports') or _shown(files[0])
    names = imports.get('imports') if isinstance(imports, dict) else None
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f'custom_imports ({where}) is dict(imports=[...]) with the names of modules')
    # Behind everything else, so that a file beside a config never takes an installed module's place.
    sys.path += [folder for folder in map(_folder, files) if folder not in sys.path]
    for name in names:
        try:
            if imports.get('allow_failed_imports'):
                import_modules_from_strings([name], allow_failed_imports=True)
            else:
                import_module(name)
        except Exception as error:  # a module is a program, which may fail in any way
            said = f'custom_imports ({where}) names {clip(name)}'
            if isinstance(error, ModuleNotFoundError) and error.name and f'{name}.'.startswith(f'{error.name}.'):
                raise ConfigError(f'{said}, which is neither beside the config nor on PYTHONPATH') from error
            raise ConfigError(f'{said}, whose import fails: {_place(error)}') from error


def _place(error: Exception) -> str:
    """An error with the file and line that it comes from."""
    if isinstance(error, SyntaxError):
        return f'{clip(error.msg)} (line {error.lineno} of {_shown(error.filename or "?")})'
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f' (line {trace.tb_lineno} of {_shown(trace.tb_frame.f_code.co_filename)})' if trace else ''
    return f'{type(error).__name__}: {_describe(error)}{place}'


def _describe(error: Exception) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return clip(first_line(text))


def _folder(file: str) -> str:
    return os.path.dirname(os.path.abspath(file))


def _shown(file: str) -> str:
    """A path as short as it is from the current folder."""
    try:
        below = os.path.relpath(file)
    except (OSError, ValueError):  # the current folder was removed
        return clip(file)
    return clip(file if below.startswith('..') else below)
