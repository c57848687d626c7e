"""Compare the logs of runs: the last value of each metric, the mean seconds of a step, and curves.

python tools/analysis/analyze_logs.py WORK_DIR... [--keys loss accuracy] [--out curves.html]

By default the keys are ``loss`` and all metrics on validation data. ``--out`` draws them, a line a run.
"""

import argparse
from collections.abc import Sequence

from soho.errors import exit_on_user_error
from soho.files import write_text
from soho.visualization.report import Section, render_charts, render_page
from soho.visualization.run_comparison import compare_charts, compare_figures, metric_names, read_runs


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='work dirs of trainings')
    parser.add_argument('--keys', nargs='+', default=(), metavar='KEY', help='metrics, by the names of the log')
    parser.add_argument('--out', metavar='FILE.html', help='draw the curves')
    args = parser.parse_args(argv)
    with exit_on_user_error(args.out):
        runs = read_runs(args.work_dirs)
        metrics = metric_names(runs, args.keys)
        if args.out:
            section = Section('Curves', (), render_charts(compare_charts(runs, metrics)))
            write_text(args.out, render_page('Training curves', (), (), [section]))
        head, rows = compare_figures(runs, metrics)
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    for row in (head, *rows):
        print('  '.join([f'{row[0]:{widths[0]}}', *(f'{cell:>{width}}' for cell, width in zip(row[1:], widths[1:]))]))


if __name__ == '__main__':
    main()
