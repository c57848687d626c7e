"""Report of the demo: examples, dictionary words and charts from the stages' checkpoints and logs."""

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import init_default_scope

from demo.page import compose_page
from demo.summary import OBJECTIVES, summarize
from soho.apis import VQA
from soho.datasets.storage.json_files import load_json
from soho.datasets.vqa import VQADataset
from soho.engine import load_config
from soho.engine.checkpoint.load import load_weights
from soho.engine.checkpoint.read import read_checkpoint, state_dict_of
from soho.evaluation.answer_examples import Answered, format_votes, make_example, read_picture
from soho.evaluation.vqa import load_truth, question_accuracy
from soho.files import write_text
from soho.registry import DATASETS, FUNCTIONS, MODELS
from soho.visualization.charts import Level, Series, line_chart
from soho.visualization.dictionary_atlas import Atlas, read_cells
from soho.visualization.dictionary_words import cut_words
from soho.visualization.report import Chart, Example
from soho.visualization.training_curves import Curves, read_curves, smooth

EXAMPLES, WORDS, PATCHES = 12, 8, 6
SMOOTHED = 5  # logged values of a running mean


def write_report(
    path: Path,
    configs: Path,
    work_dir: Path,
    results: dict[str, Any],
    seconds: dict[str, float],
    elapsed: float,
    commands: Sequence[str],
) -> dict[str, Any]:
    """Write the report of a demo whose other stages are done.

    Args:
        path: Path of the HTML page.
        configs: Folder of ``pretrain.py`` and ``vqa.py``.
        work_dir: Folder of the trainings' work dirs.
        results: Results of the stages by name.
        seconds: Seconds of the stages by name.
        elapsed: Seconds of all, in which stages overlap.
        commands: Shell commands that do the same step by step.

    Returns:
        ``dictionary``: number of words, how many are used, and perplexity.
    """
    dataset, collate, annotation_file = load_test_data(configs / 'vqa.py')
    atlas = read_atlas(configs / 'pretrain.py', results['pretrain']['checkpoint'], dataset, collate)
    dictionary = dict(words=len(atlas.counts), used=atlas.used, perplexity=round(atlas.perplexity, 1))
    answers = [load_json(results['evaluation']['confidences'][name]) for name in ('vqa', 'vqa_blind')]
    summary = summarize({**results, 'report': dict(dictionary=dictionary)}, seconds, elapsed, commands)
    itm_chance = read_itm_chance(configs / 'pretrain.py')
    pretraining, finetuning = make_charts(work_dir, itm_chance['training'])
    page = compose_page(
        summary,
        results['synthetic'],
        itm_chance,
        pretraining,
        finetuning,
        make_examples(dataset, annotation_file, *answers, VQA(results['vqa']['checkpoint'])),
        cut_words(
            atlas,
            atlas.well_used(WORDS, samples=PATCHES),
            functools.partial(read_picture, dataset),
            PATCHES,
            longest=120,
        ),
    )
    write_text(path, page)
    return dict(dictionary=dictionary)


def load_test_data(config: Path) -> tuple[VQADataset, Callable[[list], dict], str]:
    """Return the test dataset of a VQA config, its collate function, and the path of the true answers."""
    cfg = load_config(os.fspath(config))
    init_default_scope(cfg.default_scope)
    collate = dict(cfg.test_dataloader.collate_fn)
    collate_fn = functools.partial(FUNCTIONS.get(collate.pop('type')), **collate)
    return DATASETS.build(cfg.test_dataloader.dataset), collate_fn, cfg.test_evaluator.annotation_file


def read_itm_chance(config: Path) -> dict[str, float]:
    """Return the accuracy, in percent, of always giving the more frequent answer to image-text matching.

    Args:
        config: Path of the pretraining config.

    Returns:
        ``training``, on training batches, and ``held_out``, on validation pictures.
    """
    cfg = load_config(os.fspath(config))
    init_default_scope(cfg.default_scope)
    datasets = dict(training=cfg.train_dataloader.dataset, held_out=cfg.val_dataloader.dataset)
    return {name: _itm_chance(dataset) for name, dataset in datasets.items()}


def _itm_chance(dataset: dict[str, Any]) -> float:
    dataset = dataset.get('datasets', [dataset])[0]  # those that are joined replace equally many captions
    default = inspect.signature(DATASETS.get(dataset['type'])).parameters['replace_prob'].default
    replaced = 0.0 if dataset.get('test_mode') else dataset.get('replace_prob', default)
    for transform in dataset['pipeline']:
        if transform['type'] == 'ReplaceWord':  # of a sentence that matches
            replaced += (1 - replaced) * transform['prob']
    return 100 * max(replaced, 1 - replaced)


def read_atlas(config: Path, checkpoint: str, dataset: VQADataset, collate: Callable[[list], dict]) -> Atlas:
    """Return the atlas of a pretrained model's dictionary on the pictures of ``dataset``, one sample of each."""
    model = MODELS.build(load_config(os.fspath(config)).model)
    load_weights(model, state_dict_of(read_checkpoint(checkpoint)), checkpoint, strict=True)
    _, items = np.unique(dataset.item_images, return_index=True)
    cells = read_cells(model, dataset, np.sort(items).tolist(), collate)
    return Atlas(cells, len(model.neck.dictionary))


def pick_questions(dataset: VQADataset, number: int) -> list[int]:
    """Return rows of questions: the k-th question (modulo its number) of the k-th of evenly spaced pictures."""
    pictures = np.unique(dataset.item_images)
    spaced = np.linspace(0, len(pictures) - 1, min(number, len(pictures))).round().astype(int)
    chosen = []
    for k, picture in enumerate(pictures[spaced]):
        own = dataset.item_images[:, 0] == picture
        questions = [
            first + i for first, length in zip(dataset.item_first[own], dataset.item_length[own]) for i in range(length)
        ]
        chosen.append(questions[k % len(questions)])
    return chosen


def make_examples(
    dataset: VQADataset, annotation_file: str, answers: dict, blind_answers: dict, model: VQA
) -> list[Example]:
    """Return the picked questions with answers, and where in the picture ``model`` has found its own.

    Args:
        dataset: Of the questions.
        annotation_file: The true answers.
        answers: ``{question_id: [answer, confidence]}`` of ``model``.
        blind_answers: The same of the model without the image.
        model: What explains the answers.
    """
    truth = load_truth(annotation_file)
    examples = []
    for question in pick_questions(dataset, EXAMPLES):
        question_id = int(dataset.question_ids[question])
        known = truth[question_id].answers
        answer, blind = (
            Answered(*given[str(question_id)], question_accuracy(given[str(question_id)][0], known))
            for given in (answers, blind_answers)
        )
        item = int(np.searchsorted(dataset.item_first, question, side='right')) - 1
        picture, words = read_picture(dataset, item), dataset.questions[question]
        heat = np.asarray(model.explain(picture, words, answer.answer).draw())
        examples.append(make_example([picture], words, answer, [format_votes(known)], blind=blind, heat=heat))
    return examples


def make_charts(work_dir: Path, itm_chance: float) -> tuple[list[Chart], list[Chart]]:
    """Return the charts of the pretraining and those of the fine-tuning.

    Args:
        work_dir: Folder of the trainings' work dirs.
        itm_chance: Accuracy in percent that image-text matching reaches in training without looking.
    """
    pretrain, vqa, blind = (read_curves(work_dir / name) for name in ('pretrain', 'vqa', 'vqa_blind'))
    losses = [(key.upper(), pretrain, f'loss_{key}') for key in OBJECTIVES]
    accuracies = [(key.upper(), pretrain, f'acc_{key}') for key in OBJECTIVES]
    models = [('with image', vqa), ('without', blind)]
    pretraining = [
        _chart('Losses, training batches', 'nats', losses),
        _chart('Accuracies, training batches', '%', accuracies, 100, [Level('ITM by chance', itm_chance)]),
    ]
    finetuning = [
        _chart('Loss, training batches', 'nats', [(*model, 'loss_vqa') for model in models]),
        _chart('Accuracy, validation pictures', '%', [(*model, 'accuracy') for model in models], 100),
    ]
    return [chart for chart in pretraining if chart], [chart for chart in finetuning if chart]


def _chart(
    heading: str,
    unit: str,
    lines: list[tuple[str, Curves, str]],
    top: float | None = None,
    levels: Sequence[Level] = (),
) -> Chart | None:
    """Return a chart of metrics on training batches, or on held-out pictures where they were measured only there.

    What is measured on batches is drawn as a running mean of five values: a batch has few masked words of the
    dictionary.

    Args:
        heading: Title.
        unit: Unit of the metrics.
        lines: Label, logged curves and metric of each line.
        top: Upper end of the vertical axis; by default it follows the data.
        levels: Dashed lines across it.
    """
    trained = any(_find(curves.training, metric) for _, curves, metric in lines)
    series = []
    for name, curves, metric in lines:
        points = _find(curves.training if trained else curves.held_out, metric)
        series.append(Series(name, smooth(points, SMOOTHED) if trained else points))
    if not any(line.points for line in series):
        return None
    x_label = 'iteration' if trained else lines[0][1].held_out_unit
    return Chart(heading, line_chart(series, heading, x_label, unit, (0, top), levels))


def _find(columns: dict[str, list], metric: str) -> list:
    """Return the points of a metric, whatever prefix it was logged with."""
    return next((points for name, points in columns.items() if name.rpartition('/')[2] == metric), [])
