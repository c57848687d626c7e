"""What the commands of this folder have in common: their options, and their end in a sentence."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.plan import Places
from soho.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


def make_parser(description: str | None, processes: int) -> argparse.ArgumentParser:
    """Return a parser of the options that say what is trained, from what, and where.

    Args:
        description: Of the command.
        processes: How many trainings run at the same time by default.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', default='demo', help='size of the synthetic data set: tiny, demo or large')
    parser.add_argument(
        '--data-dir',
        type=Path,
        help='folder of the synthetic data set; default: $SOHO_SYNTHETIC, or data/synthetic/SIZE in the current folder',
    )
    parser.add_argument(
        '--configs',
        type=Path,
        default=ROOT / 'configs' / 'demo',
        help='folder of the configs that are trained; default: configs/demo of the repository',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/demo'),
        help='folder of the results; default: %(default)s in the current folder',
    )
    parser.add_argument(
        '--processes',
        type=int,
        default=processes,
        help='trainings that run at the same time, each in a process of its own; 0: all in this process, with their '
        'full logs on the screen; default here: %(default)s',
    )
    return parser


def read_places(args: argparse.Namespace) -> Places:
    """Return the folders that the options of :func:`make_parser` name."""
    data_dir = args.data_dir or Path(os.environ.get('SOHO_SYNTHETIC') or f'data/synthetic/{args.size}')
    return Places(args.configs, ROOT / 'tools', data_dir, args.size, args.work_dir)


@contextmanager
def exit_resumable(name: str) -> Iterator[None]:
    """End the command with a sentence where it is refused or interrupted; SIGTERM interrupts it as Ctrl-C does.

    So the stages that run then record their time, too.

    Args:
        name: What the sentences begin with.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except UserError as error:
        sys.exit(f'{name}: {error}')
    except KeyboardInterrupt:
        print(f'\n{name}: interrupted; the same command resumes', file=sys.stderr)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
