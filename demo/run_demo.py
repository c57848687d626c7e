"""Run SOHO end to end on generated data: data set, pretraining, fine-tuning on VQA, evaluation, report.

    python demo/run_demo.py

Finished stages are skipped, and an interrupted training is resumed from its
last checkpoint. At the end the metrics are printed as a table; the work dir
holds them as ``summary.json``, and ``report.html`` shows them with examples.
Relative paths, the defaults among them, are relative to the current folder.
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
from soho.errors import UserError
from soho.files import write_text


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
    args = parser.parse_args(argv)
    args.data_dir = args.data_dir or Path(os.environ.get('SOHO_SYNTHETIC') or f'data/synthetic/{args.size}')
    return args


def interrupt(number: int, frame: object) -> None:
    """Handle a signal as Ctrl-C is handled."""
    raise KeyboardInterrupt


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
            cache.run(stages, log=lambda line: print(f'\ndemo: {line}', flush=True))
    except UserError as error:
        sys.exit(f'demo: {error}')
    except KeyboardInterrupt:
        print('\ndemo: interrupted; the same command resumes', file=sys.stderr)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, before)
    summary = summarize(cache.results(), cache.seconds(), commands(places, cache.results()))
    write_text(places.work_dir / 'summary.json', json.dumps(summary, indent=1) + '\n')
    print(
        f'\n{format_table(summary)}\n\nReport: {places.work_dir / "report.html"}\n'
        f'Metrics: {places.work_dir / "summary.json"}'
    )
    return summary


if __name__ == '__main__':
    main()
