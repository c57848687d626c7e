"""Train the variants of the papers' directions with several seeds each, and print the table of what they reach.

    python demo/run_directions.py                        # everything
    python demo/run_directions.py --only all half mvm    # some directions
    python demo/run_directions.py --show                 # the table of what has been run so far

Every training is a job of one thread; ``--processes`` of them run at the same time. Finished jobs are skipped and an
interrupted one is resumed by the same command. The directions come one after the other with all their seeds, so that
an interrupted table has whole rows. The folder ``directions`` of the work dir holds the logs (``logs``), a folder a
job with its ``figures.json``, and the table as ``table.md`` with its numbers in ``figures.json``.

The data set is that of ``demo/run_demo.py``, whose work dir is shared; what is missing is made.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from demo.command_line import exit_resumable, make_parser, read_places
from demo.direction_table import MOST_SEEDS, format_table, summarize
from demo.directions import DIRECTIONS, FOLDER, Direction, direction_stages, measured
from demo.plan import STATE
from demo.progress import Stage, StageCache
from demo.summary import environment
from soho.errors import UserError
from soho.files import write_text
from soho.platform import available_cores


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = make_parser(__doc__, available_cores())
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
    return parser.parse_args(argv)


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
    places = read_places(args)
    folder = places.work_dir / FOLDER
    directions = [direction for direction in DIRECTIONS if not args.only or direction.name in args.only]
    with exit_resumable('directions'):
        try:
            cache = StageCache(folder / STATE)
            stages = direction_stages(places, args.seeds, directions)
            if not args.show:
                cache.run(stages, log=lambda line: print(f'directions: {line}', flush=True), processes=args.processes)
        except FileNotFoundError as error:
            raise UserError(str(error)) from error
    table = write_table(folder, stages, cache, args.seeds, directions)
    print(f'\n{table}\n\nTable: {folder / "table.md"}')
    return table


if __name__ == '__main__':
    main()
