"""Compare this project with recorded values of the official releases.

    python tools/analysis/parity.py FILE...

One row a recorded value: the largest absolute and relative difference, and
what it may be. Exits 1 where a limit is exceeded or a value was not checked.
What kind of file it is follows from its contents.
"""

import argparse
import logging
import os
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault('OMP_NUM_THREADS', '2')  # as when the values were recorded

from mmengine.logging import MMLogger

from tests.parity import Fixture, Row, check_file


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Compare with recorded values of the official releases.')
    parser.add_argument('files', nargs='+', metavar='FILE', help='npz or json with recorded values')
    parser.add_argument(
        '--vocab',
        help='BERT vocabulary (vocab.txt or its folder) for files of tokenisation '
        '(default: $SOHO_BERT, folders near FILE, the Hugging Face cache)',
    )
    parser.add_argument(
        '--annotations',
        action='append',
        default=[],
        metavar='FOLDER',
        help='official files of NLVR2 or NLVR for recorded scores of them; may be given several times '
        '(default: refs/nlvr2 and nlvr in a folder above FILE, or in data there)',
    )
    parser.add_argument('--failures', action='store_true', help='print only rows that fail')
    return parser.parse_args(argv)


def line(row: Row) -> str:
    limit = f'{row.limit:9.1e}' + (' rel' if row.each else '    ')
    return f'{"ok  " if row.passed else "FAIL"} {row.absolute:9.1e} {row.relative:9.1e} {limit}  {row.name}' + (
        f'  ({row.note})' if row.note else ''
    )


def report(fixture: Fixture, seconds: float, failures_only: bool) -> int:
    """Print a file's table; returns how many rows fail."""
    failed = [row for row in fixture.rows if not row.passed]
    print(f'\n{fixture.path}: {fixture.title}')
    print('      absolute  relative     limit      value')
    for row in failed if failures_only else fixture.rows:
        print(line(row))
    if fixture.remarks:
        print(
            f'remarks, with nothing to compare: {", ".join(fixture.remarks[:6])}'
            + (f' and {len(fixture.remarks) - 6} more' if fixture.remarks[6:] else '')
        )
    print(f'{len(fixture.rows)} values, {len(failed)} failed, {seconds:.1f} s', flush=True)
    return len(failed)


def main(argv=None) -> int:
    args = parse_args(argv)
    warnings.filterwarnings('ignore', message='Detected call of `scheduler.step')
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    failed = 0
    for path in args.files:
        start = time.perf_counter()
        try:
            fixture = check_file(path, args.vocab, args.annotations)
        except (ValueError, OSError) as error:
            print(f'\n{error}')
            failed += 1
            continue
        failed += report(fixture, time.perf_counter() - start, args.failures)
    print('\nall values agree' if not failed else f'\n{failed} values or files failed')
    return int(failed > 0)


if __name__ == '__main__':
    sys.exit(main())
