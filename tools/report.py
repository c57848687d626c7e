"""Write one html page about runs: final figures side by side, curves, differences of their configs, slices of answers.

    python tools/report.py WORK_DIR... [--keys accuracy] [--out report.html]
        [--answers RESULTS.json... --annotations ANNOTATIONS.json]

``--answers`` are files of ``tools/test.py --out`` in VQA's form; with the annotations of their questions the page has
their accuracy by question type and answer type. The page loads nothing from elsewhere.
"""

import argparse
import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from soho.datasets.base import first_id
from soho.datasets.storage.json_files import load_json
from soho.engine.checkpoint.config_text import parse_config
from soho.engine.config_diff import compare_configs
from soho.errors import UserError, exit_on_user_error
from soho.evaluation.vqa import load_truth, score_answers
from soho.files import write_text
from soho.visualization.report import Rows, Section, render_charts, render_page, render_table
from soho.visualization.run_comparison import compare_charts, compare_figures, metric_names, read_runs, short_names

SLICES = dict(answer_type='Answer type', question_type='Question type')


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='work dirs of trainings')
    parser.add_argument('--keys', nargs='+', default=(), metavar='KEY', help='metrics (default: loss and validation)')
    parser.add_argument('--out', default='report.html', metavar='FILE.html')
    parser.add_argument('--answers', nargs='+', default=(), metavar='FILE.json', help='answers to the same questions')
    parser.add_argument('--annotations', metavar='FILE.json', help="VQA's annotations of these questions")
    args = parser.parse_args(argv)
    if bool(args.answers) != bool(args.annotations):
        parser.error('--answers and --annotations go together')
    with exit_on_user_error(args.out):
        write_text(args.out, compose(args))
    print(args.out)


def compose(args: argparse.Namespace) -> str:
    """The page as HTML.

    Raises:
        UserError: A log, config or file of answers cannot be read.
    """
    runs = read_runs(args.work_dirs)
    metrics = metric_names(runs, args.keys)
    sections = [
        Section(
            'Final figures', ['The last value that each run logged.'], render_table(*compare_figures(runs, metrics))
        ),
        Section('Curves', (), render_charts(compare_charts(runs, metrics))),
    ]
    if len(runs) > 1:
        sections.append(_differences(list(runs)))
    if args.answers:
        head, rows = slice_answers(args.answers, args.annotations)
        text = ['Accuracy in percent by the official rule of VQA, with the number of questions.']
        sections.append(Section('Answers by kind of question', text, render_table(head, rows)))
    return render_page('Runs', [', '.join(runs)], (), sections)


def read_run_config(work_dir: str) -> dict[str, Any] | None:
    """The config that a run saved beside its newest log, read as data; ``None`` where there is none.

    Raises:
        UserError: It holds more than plain data.
    """
    files = sorted(Path(work_dir).glob('*/vis_data/config.py'))
    if not files:
        return None
    try:
        return parse_config(files[-1].read_text(encoding='utf-8'))
    except ValueError as error:
        raise UserError(f'{files[-1]} cannot be compared: {error}') from error


def _differences(work_dirs: Sequence[str]) -> Section:
    title = 'Differences of the configs'
    found = {name: read_run_config(name) for name in work_dirs}
    configs = {name: config for name, config in found.items() if config is not None}
    text = [f'{name} saved no config.' for name in found if name not in configs]
    rows = [[key, *values] for key, values in compare_configs(list(configs.values())).items() if key != 'work_dir']
    if not rows:
        return Section(title, [*text, 'There are none.'])
    return Section(title, text, render_table(['key', *short_names(list(configs))], rows))


def slice_answers(files: Sequence[str], annotation_file: str) -> tuple[list[str], Rows]:
    """Head and rows of a table of the accuracy of answers in each kind of question; a column a file.

    Args:
        files: Lists of ``{question_id, answer}``.
        annotation_file: VQA's annotations, whose items name ``question_type`` and ``answer_type``.

    Raises:
        UserError: A file is no list of answers, or lacks a question that is annotated.
    """
    truth = load_truth(annotation_file)
    scores = [score_answers(read_answers(path, truth), truth) for path in files]
    rows = [['All', str(len(truth)), *(f'{score.overall:.2f}' for score in scores)]]
    for key, name in SLICES.items():
        sizes = Counter(kind for known in truth.values() if (kind := getattr(known, key)) is not None)
        for kind in sorted(sizes):
            cells = [f'{getattr(score, f"per_{key}")[kind]:.2f}' for score in scores]
            rows.append([f'{name}: {kind}', str(sizes[kind]), *cells])
    return ['', 'questions', *short_names(files)], rows


def read_answers(path: str | os.PathLike, questions: Collection[int | str]) -> dict[int | str, str]:
    """Answers by question id.

    Raises:
        UserError: The file is no list of answers, or lacks one of the questions.
    """
    try:
        given = {item['question_id']: item['answer'] for item in load_json(path)}
    except (TypeError, KeyError) as error:
        raise UserError(
            f'{path} is no list of {{"question_id", "answer"}}, as tools/test.py --out writes it'
        ) from error
    missing = set(questions) - given.keys()
    if missing:
        raise UserError(f'{path} lacks answers to {len(missing)} annotated questions, such as {first_id(missing)}')
    return given


if __name__ == '__main__':
    main()
