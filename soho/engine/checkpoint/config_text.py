"""The config inside a checkpoint, read as data.

mmengine saves a config as the text of a Python file, and reads it back by running it. Here it is parsed: constants,
lists, tuples, dicts and ``dict(...)`` are what mmengine writes, and all that is accepted.
"""

import ast
import math
from typing import Any

from soho.engine.checkpoint.read import CheckpointError
from soho.errors import clip

NUMBERS = {'inf': math.inf, 'nan': math.nan}


def config_of(checkpoint: dict[str, Any], source: str = 'the checkpoint') -> dict[str, Any]:
    """Return the config that a checkpoint was trained with, as plain data, for instance to build its model again.

    Names of parts are given as they are, but none that would make a registry import something: a ``type`` is
    one word, there is no ``_scope_``, and ``custom_imports`` is left out.

    Args:
        checkpoint: See :func:`soho.engine.checkpoint.read.read_checkpoint`.
        source: Its name, for messages.

    Raises:
        CheckpointError: It has no config; its config is more than plain data, or names a part by where it stands.
    """
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not isinstance(text, str):
        raise CheckpointError(f'{source} does not say with which config it was trained: meta.cfg is no text')
    try:
        config = parse_config(text)
        config.pop('custom_imports', None)
        check_names(config, 'the config')
    except ValueError as error:
        raise CheckpointError(f'the config in {source} cannot be used: {error}') from error
    return config


def parse_config(text: str) -> dict[str, Any]:
    """Return the assignments of a config's text without running it.

    Args:
        text: As ``mmengine.Config.pretty_text``.

    Raises:
        ValueError: Something that is no plain data, and where.
    """
    try:
        body = ast.parse(text).body
        config = {}
        for node in body:
            if not (isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)):
                raise _no_data(node)
            config[node.targets[0].id] = _value(node.value)
    except SyntaxError as error:
        raise ValueError(f'line {error.lineno} is no Python: {error.msg}') from error
    except (RecursionError, MemoryError, TypeError) as error:  # too deep; a key that cannot be one
        raise ValueError(f'it is no config: {error}') from error
    return config


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float, bool, type(None))):
        return node.value
    if isinstance(node, ast.Name) and node.id in NUMBERS:
        return NUMBERS[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        operand = _value(node.operand)
        if isinstance(operand, (int, float)):
            return -operand
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Set):
        return {_value(item) for item in node.elts}
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values) if key is not None}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        if not node.args:
            return {_keyword(keyword): _value(keyword.value) for keyword in node.keywords}
        if len(node.args) == 1 and isinstance(node.args[0], ast.Dict) and not node.keywords:
            return _value(node.args[0])
    raise _no_data(node)


def _keyword(keyword: ast.keyword) -> str:
    if keyword.arg is None:
        raise _no_data(keyword.value)
    return keyword.arg


def _no_data(node: ast.AST) -> ValueError:
    return ValueError(f'line {getattr(node, "lineno", 1)} is more than plain data: {ast.unparse(node):.60}')


def check_names(node: Any, where: str) -> None:
    """Refuse names of parts that would make a registry import something.

    Args:
        node: A config, or what is in it.
        where: Dotted, for the message.

    Raises:
        ValueError: There is a ``_scope_``, or a ``type`` that is not one word.
    """
    if isinstance(node, dict):
        if '_scope_' in node:
            raise ValueError(f'{clip(where)} has a _scope_, which would import a package')
        if 'type' in node and not (isinstance(node['type'], str) and node['type'].isidentifier()):
            raise ValueError(f'{clip(where)} has the type {node["type"]!r:.60}; it is one word, the name of a part')
        for key, value in node.items():
            check_names(value, f'{where}.{key}')
    elif isinstance(node, (list, tuple)):
        for number, value in enumerate(node):
            check_names(value, f'{where}.{number}')
