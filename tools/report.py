"""Write one html page about runs: figures, curves, differences of their configs, predictions by kind and as examples.

    python tools/report.py WORK_DIR... [--keys accuracy] [--out report.html] [--test]
        [--answers RESULTS.json... [--annotations ANNOTATIONS.json] [--confidences FILE]]

``--answers`` are files of ``tools/test.py --out``, by default those that the runs have written; ``--test`` lets the
best checkpoint of each run that has written none predict its test data first. Of questions (VQA, GQA, a table of one's
own) and statements (NLVR, NLVR2, SNLI-VE) the page has the accuracy by kind, and examples with their pictures that the
first file answers right and wrong; of captions the scores, and those with the highest and the lowest CIDEr beside the
references. Annotations, questions and pictures are those that the runs' configs name. ``--confidences``, a file of
``tools/test.py --dump`` (or of the demo), adds how sure the model was. The page loads nothing from elsewhere.
"""

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from soho.apis.sources import locate_checkpoint
from soho.datasets.base import ImageTextDataset, first_id
from soho.datasets.coco_captions import CaptioningDataset
from soho.datasets.storage.arrays import read_arrays
from soho.datasets.storage.json_files import load_json
from soho.datasets.vqa import VQADataset
from soho.engine.checkpoint.config_text import parse_config
from soho.engine.config_diff import compare_configs
from soho.errors import UserError, clip, exit_on_user_error
from soho.evaluation.answer_examples import Answered, make_example, read_picture
from soho.evaluation.logits import DUMP
from soho.evaluation.prediction_targets import (
    TASKS,
    Id,
    Predictions,
    Scores,
    Targets,
    caption_targets,
    name_questions,
    question_targets,
    read_predictions,
    statement_targets,
)
from soho.evaluation.vqa import plain_id
from soho.files import read_text, write_text
from soho.paths import TOOLS
from soho.registry import DATASETS
from soho.visualization.report import Rows, Section, render_charts, render_examples, render_page, render_table
from soho.visualization.run_comparison import compare_charts, compare_figures, metric_names, read_runs, short_names

RIGHT = 0.995  # accuracy from which an answer is fully right
SOURCES = ('VQADataset', 'SNLIVEDataset', 'NLVRDataset', 'NLVR2Dataset', 'CaptioningDataset')
ENDINGS = dict(questions='answers.json', statements='statements.csv', captions='captions.json')
Config = Mapping[str, Any]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='work dirs of trainings')
    parser.add_argument('--keys', nargs='+', default=(), metavar='KEY', help='metrics (default: loss and validation)')
    parser.add_argument('--out', default='report.html', metavar='FILE.html')
    parser.add_argument(
        '--test', action='store_true', help='let runs without predictions predict their test data first'
    )
    parser.add_argument('--answers', nargs='+', default=(), metavar='FILE.json', help='predictions about the same data')
    parser.add_argument('--annotations', metavar='FILE.json', help='annotations of these data')
    parser.add_argument('--confidences', metavar='FILE', help='of the first answers: .npz of tools/test.py --dump')
    parser.add_argument('--examples', type=int, default=6, metavar='N', help='right and wrong ones each (default: 6)')
    args = parser.parse_args(argv)
    with exit_on_user_error(args.out):
        write_text(args.out, compose(args))
    print(args.out)


def compose(args: argparse.Namespace) -> str:
    """The page as HTML.

    Raises:
        UserError: A log, config or file of predictions cannot be read.
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
    if args.test:
        for run in runs:
            predict(run)
    configs = {run: list(read_saved_configs(run)) for run in runs}
    if args.answers:
        groups = [given_predictions(args.answers, args.annotations, [c for found in configs.values() for c in found])]
    else:
        groups = list(find_predictions([config for found in configs.values() for config in found]).values())
    if not groups and (args.annotations or args.confidences):
        raise UserError('--annotations and --confidences are of --answers, and these runs have written none')
    for group in groups:
        name = f': {group.name}' if len(groups) > 1 else ''
        try:
            sections += show_predictions(group, args.confidences, args.examples, name)
        except (UserError, FileNotFoundError) as error:
            if args.answers or args.confidences:
                raise
            # Of files that a run has named itself: one whose data have moved leaves the rest of the page as it is.
            sections.append(Section(f'Predictions{name}', [f'They are not shown: {str(error).rstrip(".")}.']))
    if not args.answers and (missing := [run for run, found in configs.items() if lacks_predictions(found)]):
        text = f'{", ".join(missing)} has' if len(missing) == 1 else f'{", ".join(missing)} have'
        note = (
            f'{text} written no predictions, of which examples are made: `soho report --test` lets the models predict.'
        )
        sections.append(Section('Without examples', [note]))
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
        return parse_config(read_text(files[-1]))
    except ValueError as error:
        raise UserError(f'{files[-1]} cannot be compared: {error}') from error


def read_saved_configs(work_dir: str) -> Iterator[dict[str, Any]]:
    """The configs that trainings and evaluations saved in a work dir, the newest first, without those with code."""
    files = [*Path(work_dir).glob('*.py'), *Path(work_dir).glob('*/vis_data/config.py')]
    for file in sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True):
        try:
            yield parse_config(read_text(file))
        except ValueError:
            continue


class Evaluated(NamedTuple):
    """Predictions about the same data."""

    task: str
    """Of :data:`soho.evaluation.prediction_targets.TASKS`."""
    files: list[str]
    annotation_file: str | None
    dataset: Config | None
    """Config of the data set."""

    @property
    def name(self) -> str:
        """The file that says what is right, or what is asked."""
        source = self.annotation_file or (self.dataset or {}).get('ann_file') or self.files[0]
        return os.path.basename(source)


def evaluations(configs: Sequence[Config]) -> Iterator[tuple[Evaluated, str | None]]:
    """What each config evaluates on test data, without files, and the file that its predictions go to."""
    for config in configs:
        loader, found = config.get('test_dataloader'), config.get('test_evaluator')
        dataset = loader.get('dataset') if isinstance(loader, dict) else None
        dataset = dataset if isinstance(dataset, dict) else None
        for metric in found if isinstance(found, (list, tuple)) else [found]:
            task = TASKS.get(metric.get('type', '')) if isinstance(metric, dict) else None
            if task is not None:
                annotations = metric.get('annotation_file') if task != 'statements' else None
                yield Evaluated(task, [], annotations, dataset), metric.get('out_file')


def find_predictions(configs: Sequence[Config]) -> dict[Any, Evaluated]:
    """The predictions that evaluations with these configs have written, those about the same data together."""
    groups: dict[Any, Evaluated] = {}
    for evaluated, file in evaluations(configs):
        if file and os.path.isfile(file):
            source = evaluated.dataset or {}
            place = os.path.join(source.get('data_root') or '', source.get('ann_file') or '')
            group = groups.setdefault((evaluated.task, evaluated.annotation_file or place), evaluated)
            if file not in group.files:
                group.files.append(file)
    return groups


def lacks_predictions(configs: Sequence[Config]) -> bool:
    """Whether a run could predict its test data, and has written no predictions."""
    found = list(evaluations(configs))
    return bool(found) and not any(file and os.path.isfile(file) for _, file in found)


def given_predictions(files: Sequence[str], annotation_file: str | None, configs: Sequence[Config]) -> Evaluated:
    """Files of predictions with what the configs say about data of their kind.

    Raises:
        UserError: What is right is in no file.
    """
    task, _ = read_predictions(files[0])
    of_task = [evaluated for evaluated, _ in evaluations(configs) if evaluated.task == task]
    annotated = [evaluated for evaluated in of_task if evaluated.annotation_file]
    known = next(iter(annotated or of_task), Evaluated(task, [], None, None))
    if annotation_file is None and known.annotation_file is None and known.dataset is None:
        raise UserError('the accuracy of --answers needs --annotations: no config of these runs names a file of them')
    return Evaluated(task, list(files), annotation_file or known.annotation_file, known.dataset)


def predict(work_dir: str) -> None:
    """Let the best checkpoint of a run predict its test data, unless the run has written predictions.

    Raises:
        UserError: There is no checkpoint, or the evaluation failed.
    """
    configs = list(read_saved_configs(work_dir))
    if not lacks_predictions(configs):
        return
    config = max(Path(work_dir).glob('*.py'), key=lambda file: file.stat().st_mtime_ns, default=None)
    if config is None or not any(Path(work_dir).glob('*.pth')):
        raise UserError(f'{work_dir} holds no config and checkpoint to predict with')
    checkpoint = locate_checkpoint(work_dir)
    task = next(evaluations(configs))[0].task
    command = [sys.executable, os.fspath(TOOLS / 'test.py'), os.fspath(config), checkpoint]
    command += ['--work-dir', work_dir, '--out', os.path.join(work_dir, ENDINGS[task])]
    if subprocess.run(command, stdout=sys.stderr).returncode:
        raise UserError(f'{checkpoint} could not predict its test data; what is above says why')


def build_without_pipeline(config: Config | None) -> ImageTextDataset | None:
    """The data set of a config without its pipeline, as far as its files are here."""
    if config is None or config.get('type') not in SOURCES or not config.get('ann_file'):
        return None
    options = {name: config[name] for name in ('type', 'ann_file', 'images', 'data_root') if name in config}
    try:
        return DATASETS.build({'images': None, **options, 'pipeline': [], 'test_mode': True})
    except FileNotFoundError:
        return None


class Scored(NamedTuple):
    """Files of predictions about the same data, scored."""

    targets: Targets
    files: list[str]
    predictions: list[Predictions]
    """Of each file."""
    scores: list[Scores]
    """Of each file."""


def read_targets(group: Evaluated, dataset: ImageTextDataset | None) -> Targets:
    """What a group of predictions is about.

    Raises:
        UserError: What is right is not here.
    """
    if group.task == 'captions':
        if group.annotation_file is None:
            raise UserError('captions are scored against --annotations, the file of their references')
        return caption_targets(group.annotation_file, dataset if isinstance(dataset, CaptioningDataset) else None)
    if group.task == 'statements':
        if dataset is None:
            raise UserError('the statements that the configs name are not here, which say what is right')
        return statement_targets(dataset)
    return question_targets(group.annotation_file, dataset if isinstance(dataset, VQADataset) else None)


def score_files(files: Sequence[str], targets: Targets) -> Scored:
    """Read and score files of predictions.

    Raises:
        UserError: A file holds no predictions of this kind, or lacks one.
    """
    found = []
    for path in files:
        task, predictions = read_predictions(path)
        if task != targets.task:
            raise UserError(f'{path} holds {task}, where {targets.task} are compared')
        missing = set(targets.ids) - predictions.keys()
        if missing:
            raise UserError(f'{path} lacks {len(missing)} of the annotated {task}, such as {clip(first_id(missing))}')
        found.append(predictions)
    return Scored(targets, list(files), found, [targets.score(predictions) for predictions in found])


def show_predictions(group: Evaluated, confidence_file: str | None, number: int, name: str) -> list[Section]:
    """Sections of a table of scores, and of examples.

    Args:
        group: The files.
        confidence_file: See :func:`read_confidences`.
        number: Examples of each section.
        name: What tells the titles from those of another group.
    """
    dataset = build_without_pipeline(group.dataset)
    scored = score_files(group.files, read_targets(group, dataset))
    table = render_table(*slice_scores(scored))
    if group.task == 'captions':
        title, text = 'Captions', 'As the official evaluation of COCO scores them.'
    else:
        title = f'{"Answers" if group.task == "questions" else "Statements"} by kind'
        rule = 'by the official rule of VQA' if group.task == 'questions' and group.annotation_file else ''
        text = f'Accuracy in percent{rule and f" {rule}"}, with the number of {group.task}.'
    sure = read_confidences(confidence_file, dataset) if confidence_file and isinstance(dataset, VQADataset) else {}
    return [Section(f'{title}{name}', [text], table), *show_examples(scored, sure, dataset, number, name)]


def show_examples(
    scored: Scored, sure: Mapping[Id, float], dataset: ImageTextDataset | None, number: int, name: str = ''
) -> list[Section]:
    """Sections of what the first file gets right and of what it gets wrong, or of its best and worst captions.

    Args:
        scored: The files.
        sure: Confidence in its predictions, by id.
        dataset: What is asked, with its pictures; ``None``: they are not here.
        number: Examples of each section.
        name: See :func:`show_predictions`.

    Raises:
        soho.datasets.storage.image_store.ImageError: A picture is missing or damaged.
    """
    if dataset is None or dataset.store is None:
        return [Section(f'Examples{name}', ['The questions and pictures that the configs name are not here.'])]
    targets, predictions, scores = scored.targets, scored.predictions[0], scored.scores[0].each
    captions = targets.task == 'captions'
    # in the order of the data set, so that which are shown depends on nothing else
    ids = [identity for identity in targets.rows if identity in scores]
    if captions:
        ranked = sorted(ids, key=lambda identity: -scores[identity])
        halves = dict(zip(('Best captions', 'Worst captions'), (ranked[:number], ranked[::-1][:number])))
        text = f'Of {scored.files[0]}, by CIDEr.'
    else:
        right = [identity for identity in ids if scores[identity] >= RIGHT]
        wrong = [identity for identity in ids if scores[identity] == 0]
        halves = {'Answered right': _spaced(right, number), 'Answered wrong': _spaced(wrong, number)}
        text = f'Of {scored.files[0]}, evenly spaced in the order of their file'
        text += "; in brackets the model's confidence." if sure else '.'
    sections = []
    for title, chosen in halves.items():
        examples = []
        for identity in chosen:
            row = targets.rows[identity]
            pictures = [read_picture(dataset, row, place) for place in range(dataset.num_images)]
            answered = Answered(predictions[identity], sure.get(identity), scores[identity])
            known, text_of = targets.known(identity), targets.texts.get(identity, '')
            measure = 'CIDEr' if captions else None
            examples.append(make_example(pictures, text_of, answered, known, targets.known_by, measure))
        shown = text if examples else 'There are none.'
        sections.append(Section(f'{title}{name}', [shown], render_examples(examples)))
    return sections


def _spaced(ids: Sequence[Id], number: int) -> list[Id]:
    """Up to ``number`` of them, evenly spaced."""
    return [ids[i] for i in np.linspace(0, len(ids) - 1, min(number, len(ids))).round().astype(int)]


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
            numbers, values = read_arrays(path, ('question_id', 'confidence'), DUMP)
            return dict(zip(name_questions(dataset, numbers.tolist()), map(float, values)))
        return {plain_id(key): float(value) for key, (_, value) in load_json(path).items()}
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
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


def slice_scores(scored: Scored) -> tuple[list[str], Rows]:
    """Head and rows of a table of the scores of predictions, of all and of each kind; a column a file."""
    targets = scored.targets
    digits = 3 if targets.task == 'captions' else 2
    rows = [
        [measure, str(len(targets.ids)), *(f'{scores.overall[measure]:.{digits}f}' for scores in scored.scores)]
        for measure in scored.scores[0].overall
    ]
    for name, kinds in targets.kinds.items():
        members: dict[str, list[Id]] = defaultdict(list)
        for identity in targets.ids:
            if identity in kinds:
                members[kinds[identity]].append(identity)
        for kind, ids in sorted(members.items(), key=lambda group: (-len(group[1]), group[0])):
            means = (100 * sum(scores.each[identity] for identity in ids) / len(ids) for scores in scored.scores)
            rows.append([f'{name}: {kind}', str(len(ids)), *(f'{mean:.2f}' for mean in means)])
    return ['', targets.task if targets.task != 'captions' else 'pictures', *short_names(scored.files)], rows


if __name__ == '__main__':
    main()
