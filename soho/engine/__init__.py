"""Around the step: the runner, configs, hooks, optimizers and checkpoints."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        'checkpoint.pretrained': ['PretrainedInit'],
        'checkpoint.safe_loading': ['use_safe_loading'],
        'command_line': ['ConfigOptions', 'add_config_options', 'load_run', 'run_parser'],
        'config': ['default_work_dir', 'load_config'],
        'config_checks': ['check_complete'],
        'config_error': ['ConfigError'],
        'optimizers.optim_wrapper': ['AmpOptimWrapper'],
        'optimizers.schedules': ['WarmupDecayLR'],
        'runner': ['Runner'],
    },
)
