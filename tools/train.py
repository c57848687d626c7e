"""Train what a config describes.

python tools/train.py CONFIG [--work-dir DIR] [--resume] [--amp] [--cfg-options KEY=VALUE ...]
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from soho import engine  # its names are imported when they are used, so that a refusal comes before torch
from soho.engine import ConfigError, load_run, run_parser
from soho.engine.checkpoint.errors import MissingCheckpointError
from soho.engine.signals import stop_before_training
from soho.errors import exit_on_user_error

if TYPE_CHECKING:  # soho first: it prepares what mmengine's import needs
    from mmengine.config import Config


def build_config(argv: Sequence[str] | None = None) -> 'Config':
    """The config with the command line laid over it."""
    parser = run_parser('Train what a config describes.')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from CHECKPOINT, or from the newest sound one in the work dir, if there is one',
    )
    args = parser.parse_args(argv)
    if args.resume not in (None, 'auto') and not os.path.isfile(args.resume):
        raise MissingCheckpointError(f'there is no checkpoint {args.resume}, which --resume names')
    cfg = load_run(args)
    engine.check_complete(cfg, args.config, 'train')
    if args.amp:
        if cfg.optim_wrapper.get('type', 'OptimWrapper') not in ('OptimWrapper', 'AmpOptimWrapper'):
            raise ConfigError(f'{args.config} trains with {cfg.optim_wrapper.type}, which --amp would replace')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
    if args.resume:
        cfg.resume = 'auto' if args.resume == 'auto' else True
        if args.resume != 'auto':
            cfg.load_from = args.resume
    return cfg


def main(argv: Sequence[str] | None = None) -> None:
    with exit_on_user_error(), stop_before_training():
        cfg = build_config(argv)
        engine.Runner.from_cfg(cfg, ('train', 'val')).train()


if __name__ == '__main__':
    main()
