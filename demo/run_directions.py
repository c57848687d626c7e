"""Train the variants of the papers' directions with several seeds each, and print the table of what they reach.

    python demo/run_directions.py                        # everything
    python demo/run_directions.py --only all half mvm    # some directions
    python demo/run_directions.py --show                 # the table of what has been run so far

Every training is a job of one thread; ``--processes`` of them run at the same time. Finished jobs are skipped and an
interrupted one is resumed by the same command. The directions come one after the other with all their seeds, so that
an interrupted table has whole rows. The folder ``directions`` of the work dir holds the logs (``logs``), a folder a
job with its ``figures.json``, and the table as ``table.md`` with its numbers in ``figures.json``.

The data set and the CNN are those of ``demo/run_demo.py``, whose work dir is shared; what is missing is made.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from demo.direction_table import MOST_SEEDS, format_table, summarize
from demo.directions import DIRECTIONS, FOLDER, Direction, direction_stages, measured
from demo.plan import STATE, Places
from demo.progress import Stage, StageCache
from demo.run_demo import interrupt
from demo.summary import environment
from soho.errors import UserError
from soho.files import write_text
from soho.platform import available_cores


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--only',
        nargs='+',
        choices=[direction.name for direction in DIRECTIONS],
        metavar='DIRECTION',
        help='some of ' + ', '.join(direction.name for direction in DIRECTIONS),
    )
    parser.add_argument('--show', action='store_true', help='train nothing; write the table of what is there')
    parser.add_argument(
        '--seeds',
        type=int,
        choices=range(1, MOST_SEEDS + 1),
        default=3,
        metavar='N',
        help='trainings of each variant, with the seeds 0 to N - 1; default: %(default)s',
    )
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
        help="folder of the demo's configs with the folder directions; default: configs/demo of the repository",
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/demo'),
        help='work dir of the demo; default: %(default)s in the current folder',
    )
    parser.add_argument(
        '--processes',
        type=int,
        default=available_cores(),
        help='jobs that run at the same time, each in a process of its own; 0: all in this process; '
        'default here: %(default)s',
    )
    args = parser.parse_args(argv)
    args.data_dir = args.data_dir or Path(os.environ.get('SOHO_SYNTHETIC') or f'data/synthetic/{args.size}')
    return args


def write_table(folder: Path, stages: list[Stage], cache: StageCache, seeds: int, directions: list[Direction]) -> str:
    """Write the table and its numbers into a folder, and return the table."""
    found = measured(stages, cache)
    table = format_table(found, seeds, directions)
    about = dict(summarize(found, seeds, directions), seconds=cache.seconds(), **environment(ROOT))
    write_text(folder / 'table.md', table + '\n')
    write_text(folder / 'figures.json', json.dumps(about, indent=1) + '\n')
    return table


def main(argv: list[str] | None = None) -> str:
    """Run what is not done, and return the table."""
    args = parse_args(argv)
    places = Places(args.configs, ROOT / 'tools', args.data_dir, args.size, args.work_dir)
    folder = places.work_dir / FOLDER
    directions = [direction for direction in DIRECTIONS if not args.only or direction.name in args.only]
    before = signal.signal(signal.SIGTERM, interrupt)  # after SIGTERM, too, the running jobs record their time
    try:
        cache = StageCache(folder / STATE)
        stages = direction_stages(places, args.seeds, directions)
        if not args.show:
            cache.run(stages, log=lambda line: print(f'directions: {line}', flush=True), processes=args.processes)
    except (UserError, FileNotFoundError) as error:
        sys.exit(f'directions: {error}')
    except KeyboardInterrupt:
        print('\ndirections: interrupted; the same command resumes', file=sys.stderr)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, before)
    table = write_table(folder, stages, cache, args.seeds, directions)
    print(f'\n{table}\n\nTable: {folder / "table.md"}')
    return table


if __name__ == '__main__':
    main()
