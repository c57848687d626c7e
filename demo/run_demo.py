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
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from demo.calibration import estimate_seconds, measure_speed
from demo.plan import STATE, TRAINED, Places, commands, demo_stages, share_of_demo
from demo.progress import Stage, StageCache
from demo.stage_process import StageProcess, wait_for_any
from demo.summary import format_table, summarize
from soho.errors import UserError
from soho.files import write_text
from soho.platform import available_cores

TRAININGS_AT_ONCE = 2  # three of the four wait for each other, so that a third process would be idle


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
        help='folder of cnn.py, pretrain.py, vqa.py and vqa_blind.py; default: configs/demo of the repository',
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
        default=min(TRAININGS_AT_ONCE, available_cores()),
        help='trainings that run at the same time, each in a process of its own; 0: all in this process, with their '
        'full logs on the screen; default here: %(default)s',
    )
    args = parser.parse_args(argv)
    args.data_dir = args.data_dir or Path(os.environ.get('SOHO_SYNTHETIC') or f'data/synthetic/{args.size}')
    return args


def interrupt(number: int, frame: object) -> None:
    """Handle a signal as Ctrl-C is handled."""
    raise KeyboardInterrupt


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
    places = Places(args.configs, ROOT / 'tools', args.data_dir, args.size, args.work_dir)
    try:
        cache = StageCache(places.work_dir / STATE)
        stages = demo_stages(places)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'demo: {error}')
    # After SIGTERM, too, the running stage records its time.
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        if not cache.all_done(stages):
            announce(cache, stages, places, args.processes)
            cache.run(stages, log=say, processes=args.processes)
    except UserError as error:
        sys.exit(f'demo: {error}')
    except KeyboardInterrupt:
        print('\ndemo: interrupted; the same command resumes', file=sys.stderr)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, before)
    summary = summarize(cache.results(), cache.seconds(), cache.elapsed(), commands(places, cache.results()))
    write_text(places.work_dir / 'summary.json', json.dumps(summary, indent=1) + '\n')
    print(
        f'\n{format_table(summary)}\n\nReport: {places.work_dir / "report.html"}\n'
        f'Metrics: {places.work_dir / "summary.json"}'
    )
    return summary


if __name__ == '__main__':
    main()
