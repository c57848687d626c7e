"""What the commands that run a config have in common: ``tools/train.py`` and ``tools/test.py``."""

import argparse
import ast
import os
from typing import Any

from mmengine.config import Config, DictAction

from soho.engine.config import default_work_dir, load_config


class ConfigOptions(DictAction):
    """mmengine's ``KEY=VALUE ...``, in which a value may also have dicts, written as in a config.

    What cannot be read is an error of the command line, with exit code 2.
    """

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *option) -> None:
        for text in values:
            if not text.partition('=')[0] or '=' not in text:
                parser.error(f'{self.option_strings[0]} takes KEY=VALUE, not {text!r}')
            try:
                super().__call__(parser, namespace, [text], *option)
            except AssertionError:
                parser.error(f'{self.option_strings[0]} {text}: the brackets are not in pairs')
            except (ValueError, SyntaxError):
                parser.error(
                    f"{self.option_strings[0]} {text}: a dict is written as in a config, as {{'type': 'ResNet'}}"
                )
            except RecursionError:
                parser.error(f'{self.option_strings[0]} {text}: only the brackets around all of a value divide it')

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        """Return the value that a text stands for; mmengine's splits dicts at their commas."""
        if val.startswith(('{', '[', '(')) and '{' in val and '{{' not in val:
            return ast.literal_eval(val)
        return DictAction._parse_iterable(val)


def add_config_options(parser: argparse.ArgumentParser, example: str = 'optim_wrapper.optimizer.lr=1e-4') -> None:
    """Give a command ``--cfg-options KEY=VALUE ...``, which :func:`soho.engine.load_config` takes."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help=f'change keys of the config, as in {example}',
    )


def run_parser(description: str) -> argparse.ArgumentParser:
    """A parser of ``CONFIG [--work-dir] [--amp] [--cfg-options] [--launcher]``; a command adds what is its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--work-dir', help='where logs and checkpoints go (default: work_dirs/<config>)')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on most CPUs')
    add_config_options(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser


def load_run(args: argparse.Namespace) -> Config:
    """The config of a command line that a parser of :func:`run_parser` has read, with that laid over it.

    Raises:
        soho.engine.ConfigError: See :func:`soho.engine.load_config`.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or default_work_dir(args.config)
    return cfg
