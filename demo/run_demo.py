"""Run SOHO end to end on generated data: data set, pretraining, fine-tuning on VQA, evaluation, report.

    python demo/run_demo.py

Finished stages are skipped, and an interrupted training is resumed from its
last checkpoint. Trainings that do not wait for each other run at the same
time; their full logs are in the folder ``logs`` of the work dir. At the end
the metrics are printed as a table; the work dir holds them as
``summary.json``, and ``report.html`` shows them with examples. Relative
paths, the defaults among them, are relative to the current folder.
"""

import argparse
import functools
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from demo.calibration import estimate_seconds, measure_speed
from demo.command_line import exit_resumable, make_parser, read_places
from demo.plan import STATE, TRAINED, Places, commands, demo_stages, share_of_demo
from demo.progress import Stage, StageCache
from demo.stage_process import StageProcess, wait_for_any
from demo.summary import format_table, summarize
from soho.files import write_text
from soho.platform import available_cores

TRAININGS_AT_ONCE = 2  # two of the three wait for each other, so that a third process would be idle


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    return make_parser(__doc__, min(TRAININGS_AT_ONCE, available_cores())).parse_args(argv)


def announce(cache: StageCache, stages: list[Stage], places: Places, processes: int) -> None:
    """Measure this machine, and print how long the stages that are not done will take on it."""
    share = share_of_demo(places.size)
    todo = {stage.name for stage in stages if not cache.done(stage)}
    # seconds of work are done before they are estimated
    if share < 0.5 or not processes or todo.isdisjoint(TRAINED):
        return
    say('measuring how fast this machine is (ten seconds)')
    measure = functools.partial(measure_speed, places.configs / 'pretrain.py')
    process = StageProcess('calibration', measure, {}, False, places.work_dir / 'logs')
    try:
        wait_for_any([process], log=lambda line: None)
        speed = process.outcome()
    except BaseException:
        process.stop()
        raise
    minutes = share * estimate_seconds(stages, todo, speed, processes) / 60
    say(
        f'about {minutes:.0f} minutes on this machine (a step takes {speed.step:.2f} s, a picture '
        f'{1000 * speed.picture:.0f} ms); full logs are in {places.work_dir / "logs"}'
    )


def say(line: str) -> None:
    """Print a line of the demo's own."""
    print(f'demo: {line}', flush=True)


def main(argv: list[str] | None = None) -> dict:
    """Run the demo and return the contents of ``summary.json``."""
    args = parse_args(argv)
    places = read_places(args)
    try:
        cache = StageCache(places.work_dir / STATE)
        stages = demo_stages(places)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'demo: {error}')
    with exit_resumable('demo'):
        if not cache.all_done(stages):
            announce(cache, stages, places, args.processes)
            cache.run(stages, log=say, processes=args.processes)
    summary = summarize(cache.results(), cache.seconds(), cache.elapsed(), commands(places, cache.results()))
    write_text(places.work_dir / 'summary.json', json.dumps(summary, indent=1) + '\n')
    print(
        f'\n{format_table(summary)}\n\nReport: {places.work_dir / "report.html"}\n'
        f'Metrics: {places.work_dir / "summary.json"}'
    )
    return summary


if __name__ == '__main__':
    main()
