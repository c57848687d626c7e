"""Reading a config, and saying what is wrong with it before anything is built.

The runner and the parts are imported only once the file has been read, so that one that is missing, or is no Python, is
refused at once.
"""

import os
from functools import cache
from typing import Any, get_type_hints

from mmengine.config import Config

from soho import paths
from soho.engine.config_error import ConfigError
from soho.engine.config_file import find_key, list_files, read_config
from soho.errors import clip, quote, suggest

SEE_LIST = '; `soho configs` lists those that do'
# That the runners read besides the arguments of mmengine's.
EXTRA_TYPES: dict[str, Any] = {
    'activation_checkpointing': list | None,
    'compile': bool | dict | None,
    'efficient_conv_bn_eval': list | None,
    'find_unused_parameters': bool,
    'load_parts': list[str] | None,
    'model_wrapper_cfg': dict | None,
    'sync_bn': bool | list[str],
}


@cache
def runner_types() -> dict[str, Any]:
    """What a runner reads in a config: key to the type of its value."""
    from mmengine.runner import Runner

    types = get_type_hints(Runner.__init__)
    return {name: types[name] for name in types if name not in ('return', 'cfg')} | EXTRA_TYPES


def load_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """A config file with ``--cfg-options`` merged in.

    Args:
        path: A file, or the name of a config that ships with soho, see :func:`soho.paths.find_config`.
        options: Dotted keys to values.

    Raises:
        ConfigError: No such file, or it cannot be read; a part that nobody has registered, or an
            argument that it does not take; a value of another type; a key that is probably a typing
            error. (A config may define helper variables, so a key is only
            refused where it almost spells one that the runner knows.)
    """
    found = paths.find_config(path)
    if found is None:
        guess = suggest(paths.config_name(path), paths.list_configs(), cutoff=0.5)
        raise ConfigError(f'there is no config {path}, and none of that name ships with soho{guess or SEE_LIST}')
    path = found
    cfg = read_config(path)

    from soho.engine.config_checks import check_parts, check_type

    types = runner_types()
    known = set(types)
    for key in options or {}:
        head = key.split('.')[0]
        if head not in known and head not in cfg:
            raise ConfigError(f'--cfg-options {key}: {path} has no key {quote(head)}{suggest(head, known | set(cfg))}')
    for key, value in (options or {}).items():
        try:
            cfg.merge_from_dict({key: value})
        except (TypeError, KeyError, ValueError, AttributeError) as error:  # below what is no dict, or no item
            raise ConfigError(
                f'--cfg-options {key} does not fit what {path} holds there: {clip(error.args[0])}'
            ) from error
    try:
        for key, value in cfg.items():
            if key in known:
                check_type(value, types[key], key, path)
                check_parts(value, key, path)
            else:
                # As long, so that a helper variable "evaluator" is not taken for "val_evaluator".
                guess = suggest(key, [k for k in known if abs(len(k) - len(key)) <= 2], cutoff=0.8)
                if guess:
                    raise ConfigError(f'{path}: unknown key {quote(key)}{guess}', key)
    except ConfigError as error:
        overlaid = [key for key in options or {} if f'{error.key}.'.startswith(f'{key}.')]
        place = f'--cfg-options {overlaid[0]}' if overlaid else find_key(list_files(path), error.key)
        raise ConfigError(f'{error} ({place})' if place else str(error)) from error
    cfg.setdefault('default_scope', 'soho')
    return cfg


def default_work_dir(path: str) -> str:
    """``configs/VQA/soho_res18_vqa.py``, and the same by its name alone, to ``work_dirs/VQA/soho_res18_vqa``."""
    parts = os.path.splitext(os.path.abspath(paths.find_config(path) or path))[0].split(os.sep)
    below = parts[len(parts) - parts[::-1].index('configs') :] if 'configs' in parts else parts[-1:]
    return os.path.join('work_dirs', *below)
