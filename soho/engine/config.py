"""Reading a config, and saying what is wrong with it before anything is built."""

import inspect
import os
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from soho import paths
from soho.engine.config_checks import ConfigError, check_parts, hint

SEE_LIST = '; `soho configs` lists those that do'
# That the runners read besides the arguments of mmengine's.
EXTRA_KEYS = {
    'activation_checkpointing',
    'compile',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'load_parts',
    'model_wrapper_cfg',
    'sync_bn',
}
RUNNER_KEYS = {name for name in inspect.signature(Runner.__init__).parameters if name not in ('self', 'cfg')}


def load_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """A config file with ``--cfg-options`` merged in.

    Args:
        path: A file, or the name of a config that ships with soho, see :func:`soho.paths.find_config`.
        options: Dotted keys to values.

    Raises:
        ConfigError: No such file; a part that nobody has registered, or an
            argument that it does not take; a key that is probably a typing
            error. (A config may define helper variables, so a key is only
            refused where it almost spells one that the runner knows.)
    """
    found = paths.find_config(path)
    if found is None:
        guess = hint(paths.config_name(path), paths.list_configs(), cutoff=0.5)
        raise ConfigError(f'there is no config {path}, and none of that name ships with soho{guess or SEE_LIST}')
    path = found
    # Text configs with calls are otherwise taken for "lazy" ones.
    cfg = Config.fromfile(path, lazy_import=False)
    known = RUNNER_KEYS | EXTRA_KEYS
    for key in options or {}:
        head = key.split('.')[0]
        if head not in known and head not in cfg:
            raise ConfigError(f'--cfg-options {key}: {path} has no key {head!r}{hint(head, known | set(cfg))}')
    if options:
        cfg.merge_from_dict(options)
    for key, value in cfg.items():
        if key in known:
            check_parts(value, key, path)
        else:
            # As long, so that a helper variable "evaluator" is not taken for "val_evaluator".
            guess = hint(key, [k for k in known if abs(len(k) - len(key)) <= 2], cutoff=0.8)
            if guess:
                raise ConfigError(f'{path}: unknown key {key!r}{guess}')
    cfg.setdefault('default_scope', 'soho')
    return cfg


def default_work_dir(path: str) -> str:
    """``configs/VQA/soho_res18_vqa.py``, and the same by its name alone, to ``work_dirs/VQA/soho_res18_vqa``."""
    parts = os.path.splitext(os.path.abspath(paths.find_config(path) or path))[0].split(os.sep)
    below = parts[len(parts) - parts[::-1].index('configs') :] if 'configs' in parts else parts[-1:]
    return os.path.join('work_dirs', *below)
