"""SOHO from nothing to VQA answers: data, pretraining, fine-tuning, evaluation, report.

    python demo/run_demo.py

Stages that are done are skipped and an interrupted training goes on from its
last checkpoint. At the end stand a table, ``summary.json`` with the same
metrics and ``report.html``, all in the work dir.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from demo.plan import STATE, Places, commands, demo_stages
from demo.progress import StageCache
from demo.summary import format_table, summarize
from soho.files import write_text


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--size', default='demo', help='size of the synthetic data set')
    parser.add_argument('--synthetic', type=Path, help='its folder; default: $SOHO_SYNTHETIC or data/synthetic/SIZE')
    parser.add_argument(
        '--configs',
        type=Path,
        default=ROOT / 'configs' / 'demo',
        help='folder of cnn.py, pretrain.py, vqa.py and vqa_blind.py',
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    args = parser.parse_args(argv)
    args.synthetic = args.synthetic or Path(os.environ.get('SOHO_SYNTHETIC') or f'data/synthetic/{args.size}')
    return args


def stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> dict:
    args = parse_args(argv)
    places = Places(args.configs, ROOT / 'tools', args.synthetic, args.size, args.work_dir)
    try:
        cache = StageCache(places.work_dir / STATE)
        stages = demo_stages(places)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'demo: {error}')
    # A job that is told to end records how long it took, as after Ctrl-C.
    before = signal.signal(signal.SIGTERM, stop)
    try:
        if not cache.all_done(stages):
            cache.run(stages, say=lambda line: print(f'\ndemo: {line}', flush=True))
    except KeyboardInterrupt:
        print('\ndemo: interrupted; the same command goes on from here', file=sys.stderr)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, before)
    summary = summarize(cache.results(), cache.seconds(), commands(places, cache.results()))
    write_text(places.work_dir / 'summary.json', json.dumps(summary, indent=1) + '\n')
    print(
        f'\n{format_table(summary)}\n\nReport: {places.work_dir / "report.html"}\n'
        f'Figures: {places.work_dir / "summary.json"}'
    )
    return summary


if __name__ == '__main__':
    main()
