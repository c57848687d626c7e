"""Write one html page about runs: figures, curves, differences of their configs, answers by kind and as examples.

    python tools/report.py WORK_DIR... [--keys accuracy] [--out report.html]
        [--answers RESULTS.json... [--annotations ANNOTATIONS.json] [--confidences FILE]]

``--answers`` are files of ``tools/test.py --out`` in VQA's form, by default those that the runs have written. The page
has their accuracy by question type and answer type, and questions with their pictures that the first file answers right
and wrong. Annotations, questions and pictures are those that the runs' configs name. ``--confidences``, a file of
``tools/test.py --dump`` (or of the demo), adds how sure the model was. The page loads nothing from elsewhere.
"""

import argparse
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from soho.datasets.base import first_id
from soho.datasets.storage.json_files import load_json
from soho.datasets.vqa import VQADataset
from soho.engine.checkpoint.config_text import parse_config
from soho.engine.config_diff import compare_configs
from soho.errors import UserError, exit_on_user_error
from soho.evaluation.answer_examples import find_item, make_example, name_questions, pick_questions, read_picture
from soho.evaluation.vqa import GroundTruth, VQAScores, load_truth, plain_id, score_answers
from soho.files import write_text
from soho.visualization.report import Rows, Section, render_charts, render_examples, render_page, render_table
from soho.visualization.run_comparison import compare_charts, compare_figures, metric_names, read_runs, short_names

SLICES = dict(answer_type='Answer type', question_type='Question type')


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='work dirs of trainings')
    parser.add_argument('--keys', nargs='+', default=(), metavar='KEY', help='metrics (default: loss and validation)')
    parser.add_argument('--out', default='report.html', metavar='FILE.html')
    parser.add_argument('--answers', nargs='+', default=(), metavar='FILE.json', help='answers to the same questions')
    parser.add_argument('--annotations', metavar='FILE.json', help="VQA's annotations of these questions")
    parser.add_argument('--confidences', metavar='FILE', help='of the first answers: .npz of tools/test.py --dump')
    parser.add_argument('--examples', type=int, default=6, metavar='N', help='right and wrong ones each (default: 6)')
    args = parser.parse_args(argv)
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
    configs = [config for run in runs for config in read_saved_configs(run)]
    answers = list(args.answers) or find_answers(configs)
    if answers:
        annotations = args.annotations or find_annotations(configs)
        scored = score_files(answers, annotations)
        head, rows = slice_answers(scored)
        text = ['Accuracy in percent by the official rule of VQA, with the number of questions.']
        sections.append(Section('Answers by kind of question', text, render_table(head, rows)))
        sections += show_examples(scored, args.confidences, find_questions(configs), args.examples)
    elif args.annotations or args.confidences:
        raise UserError('--annotations and --confidences are of --answers, and these runs have written none')
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


def read_saved_configs(work_dir: str) -> Iterator[dict[str, Any]]:
    """The configs that trainings and evaluations saved in a work dir, the newest first, without those with code."""
    files = [*Path(work_dir).glob('*.py'), *Path(work_dir).glob('*/vis_data/config.py')]
    for file in sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True):
        try:
            yield parse_config(file.read_text(encoding='utf-8'))
        except ValueError:
            continue


def find_answers(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The files of answers that evaluations with these configs have written, each once."""
    files = [metric.get('out_file') for metric in _vqa_metrics(configs)]
    return list(dict.fromkeys(file for file in files if file and os.path.isfile(file)))


def find_annotations(configs: Sequence[Mapping[str, Any]]) -> str:
    """The annotations that the first config with some evaluates with.

    Raises:
        UserError: None names a file of annotations.
    """
    files = [file for metric in _vqa_metrics(configs) if (file := metric.get('annotation_file'))]
    if not files:
        raise UserError('the accuracy of --answers needs --annotations: no config of these runs names a file of them')
    return files[0]


def find_questions(configs: Sequence[Mapping[str, Any]]) -> VQADataset | None:
    """The questions and pictures that the first config with some is tested on, as far as they are here."""
    for config in configs:
        loader = config.get('test_dataloader')
        source = loader.get('dataset') if isinstance(loader, dict) else None
        if isinstance(source, dict) and source.get('type') == 'VQADataset' and source.get('images'):
            options = {name: source[name] for name in ('ann_file', 'images', 'data_root') if name in source}
            try:
                return VQADataset(**options, pipeline=[], test_mode=True)
            except FileNotFoundError:
                return None
    return None


def _vqa_metrics(configs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The configs of VQA's accuracy on test data."""
    for config in configs:
        found = config.get('test_evaluator')
        for metric in found if isinstance(found, (list, tuple)) else [found]:
            if isinstance(metric, dict) and metric.get('type') == 'VQAAccuracy':
                yield metric


class Scored(NamedTuple):
    """Files of answers to the same questions."""

    truth: dict[int | str, GroundTruth]
    """What the annotators answered, by question id."""
    files: list[str]
    answers: list[dict[int | str, str]]
    """Of each file, by question id."""
    scores: list[VQAScores]
    """Of each file."""


def score_files(files: Sequence[str], annotation_file: str) -> Scored:
    """Read and score files of answers.

    Args:
        files: Lists of ``{question_id, answer}``.
        annotation_file: VQA's annotations, whose items name ``question_type`` and ``answer_type``.

    Raises:
        UserError: A file is no list of answers, or lacks a question that is annotated.
    """
    truth = load_truth(annotation_file)
    answers = [read_answers(path, truth) for path in files]
    return Scored(truth, list(files), answers, [score_answers(given, truth) for given in answers])


def show_examples(
    scored: Scored, confidence_file: str | None, dataset: VQADataset | None, number: int
) -> list[Section]:
    """Sections of questions that the first file answers right and of those that it answers wrong, with pictures.

    Args:
        scored: The files.
        confidence_file: See :func:`read_confidences`.
        dataset: Questions and pictures; ``None``: they are not here.
        number: Examples of each section.

    Raises:
        UserError: A file cannot be read.
        soho.datasets.storage.image_store.ImageError: A picture is missing or damaged.
    """
    if dataset is None:
        return [Section('Examples', ['The questions and pictures that the configs name are not here.'])]
    answers = scored.answers[0]
    sure = read_confidences(confidence_file, dataset) if confidence_file else {}
    scores = {name: score / 100 for name, score in scored.scores[0].per_question.items()}
    text = f'Questions of {scored.files[0]}, evenly spaced in the order of their file'
    text += "; in brackets the model's confidence." if sure else '.'
    sections = []
    ids = name_questions(dataset, dataset.question_ids.tolist())
    for name, rows in zip(('right', 'wrong'), pick_questions(ids, scores, number)):
        examples = []
        for row in rows:
            key, picture = ids[row], read_picture(dataset, find_item(dataset, row))
            answer = answers[key], sure.get(key)
            examples.append(make_example(picture, dataset.questions[row], scored.truth[key], answer))
        shown = text if examples else 'There are none.'
        sections.append(Section(f'Answered {name}', [shown], render_examples(examples)))
    return sections


def read_confidences(path: str, dataset: VQADataset) -> dict[int | str, float]:
    """Confidence in the answer to each question, by its id.

    Args:
        path: ``.npz`` of ``tools/test.py --dump``, or json of ``{question_id: [answer, confidence]}``.
        dataset: That was predicted.

    Raises:
        UserError: The file holds something else.
    """
    try:
        if path.endswith('.npz'):
            with np.load(path) as arrays:
                numbers, values = arrays['question_id'].tolist(), arrays['confidence'].tolist()
            return dict(zip(name_questions(dataset, numbers), values))
        return {plain_id(key): float(value) for key, (_, value) in load_json(path).items()}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f'{path} holds no confidences, as tools/test.py --dump writes them') from error


def _differences(work_dirs: Sequence[str]) -> Section:
    title = 'Differences of the configs'
    found = {name: read_run_config(name) for name in work_dirs}
    configs = {name: config for name, config in found.items() if config is not None}
    text = [f'{name} saved no config.' for name in found if name not in configs]
    rows = [[key, *values] for key, values in compare_configs(list(configs.values())).items() if key != 'work_dir']
    if not rows:
        return Section(title, [*text, 'There are none.'])
    return Section(title, text, render_table(['key', *short_names(list(configs))], rows))


def slice_answers(scored: Scored) -> tuple[list[str], Rows]:
    """Head and rows of a table of the accuracy of answers in each kind of question; a column a file."""
    rows = [['All', str(len(scored.truth)), *(f'{score.overall:.2f}' for score in scored.scores)]]
    for key, name in SLICES.items():
        sizes = Counter(kind for known in scored.truth.values() if (kind := getattr(known, key)) is not None)
        for kind in sorted(sizes):
            cells = [f'{getattr(score, f"per_{key}")[kind]:.2f}' for score in scored.scores]
            rows.append([f'{name}: {kind}', str(sizes[kind]), *cells])
    return ['', 'questions', *short_names(scored.files)], rows


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
