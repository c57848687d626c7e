from soho.engine import hooks, optimizers  # noqa: F401  (registers their parts)
from soho.engine.checkpoint.pretrained import PretrainedInit
from soho.engine.checkpoint.read import use_safe_loading
from soho.engine.command_line import parse_run, run_parser
from soho.engine.config import ConfigError, default_work_dir, load_config
from soho.engine.optimizers.optim_wrapper import AmpOptimWrapper
from soho.engine.optimizers.schedules import WarmupDecayLR
from soho.engine.runner import Runner
from soho.errors import exit_on_user_error

use_safe_loading()

__all__ = [
    'AmpOptimWrapper',
    'ConfigError',
    'PretrainedInit',
    'Runner',
    'WarmupDecayLR',
    'default_work_dir',
    'load_config',
    'parse_run',
    'run_parser',
    'exit_on_user_error',
    'use_safe_loading',
]
