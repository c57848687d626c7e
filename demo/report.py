"""The demo's report: what its page shows, and what it says about it."""

import functools
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import init_default_scope

from demo.page import compose_page
from demo.summary import OBJECTIVES, summarize
from soho.datasets.storage.decoding import decode_image
from soho.datasets.storage.json_files import load_json
from soho.datasets.vqa import VQADataset
from soho.engine import load_config
from soho.engine.checkpoint.read import load_weights, read_checkpoint, state_dict_of
from soho.evaluation.vqa import load_truth, question_accuracy
from soho.files import write_text
from soho.registry import DATASETS, FUNCTIONS, MODELS
from soho.visualization.charts import Series, line_chart
from soho.visualization.dictionary_atlas import Atlas, read_cells
from soho.visualization.pictures import cut_patch, jpeg_uri
from soho.visualization.report import Chart, Example, Word, WordPatch
from soho.visualization.training_curves import Curves, read_curves

EXAMPLES, WORDS, PATCHES = 12, 8, 6


def write_report(
    path: Path,
    configs: Path,
    work_dir: Path,
    results: dict[str, Any],
    seconds: dict[str, float],
    commands: Sequence[str],
) -> dict[str, Any]:
    """Write the page of a demo whose stages are done.

    Args:
        path: The page.
        configs: Folder of ``pretrain.py`` and ``vqa.py``.
        work_dir: Folder of the runs' work dirs.
        results: Of the stages, by name.
        seconds: Of the stages, by name.
        commands: What does the same by hand.

    Returns:
        ``dictionary``: words, how many are used, and perplexity.
    """
    dataset, collate, annotation_file = test_data(configs / 'vqa.py')
    atlas = read_atlas(configs / 'pretrain.py', results['pretrain']['checkpoint'], dataset, collate)
    dictionary = dict(words=len(atlas.counts), used=atlas.used, perplexity=round(atlas.perplexity, 1))
    answers = [load_json(results['evaluation']['confidences'][name]) for name in ('vqa', 'vqa_blind')]
    summary = summarize({**results, 'report': dict(dictionary=dictionary)}, seconds, commands)
    pretraining, tuning = make_charts(work_dir)
    page = compose_page(
        summary,
        results['synthetic'],
        pretraining,
        tuning,
        make_examples(dataset, annotation_file, *answers),
        make_words(atlas, dataset),
    )
    write_text(path, page)
    return dict(dictionary=dictionary)


def test_data(config: Path) -> tuple[VQADataset, Callable[[list], dict], str]:
    """A VQA config's test questions, what makes a batch of them, and the file with the true answers."""
    cfg = load_config(os.fspath(config))
    init_default_scope(cfg.default_scope)
    collate = dict(cfg.test_dataloader.collate_fn)
    make_batch = functools.partial(FUNCTIONS.get(collate.pop('type')), **collate)
    return DATASETS.build(cfg.test_dataloader.dataset), make_batch, cfg.test_evaluator.annotation_file


def read_atlas(config: Path, checkpoint: str, dataset: VQADataset, collate: Callable[[list], dict]) -> Atlas:
    """The dictionary of a pretrained model on the pictures of ``dataset``, one sample of each."""
    model = MODELS.build(load_config(os.fspath(config)).model)
    load_weights(model, state_dict_of(read_checkpoint(checkpoint)), checkpoint, strict=True)
    _, items = np.unique(dataset.item_image, return_index=True)
    cells = read_cells(model, dataset, np.sort(items).tolist(), collate)
    return Atlas(cells, len(model.neck.dictionary))


def pick_questions(dataset: VQADataset, number: int) -> list[int]:
    """Evenly spaced pictures in the file's order; of the k-th of these its k-th question, counted round."""
    pictures = np.unique(dataset.item_image)
    spaced = np.linspace(0, len(pictures) - 1, min(number, len(pictures))).round().astype(int)
    chosen = []
    for k, picture in enumerate(pictures[spaced]):
        mine = dataset.item_image == picture
        asked = [
            first + i
            for first, length in zip(dataset.item_first[mine], dataset.item_length[mine])
            for i in range(length)
        ]
        chosen.append(asked[k % len(asked)])
    return chosen


def make_examples(dataset: VQADataset, annotation_file: str, answers: dict, blind_answers: dict) -> list[Example]:
    """The picked questions with answers; ``answers`` are ``{question_id: [answer, confidence]}``."""
    truth = load_truth(annotation_file)
    item_of = np.repeat(np.arange(len(dataset)), dataset.item_length)
    examples = []
    for question in pick_questions(dataset, EXAMPLES):
        question_id = int(dataset.question_ids[question])
        given = truth[question_id].answers
        answer, blind = answers[str(question_id)], blind_answers[str(question_id)]
        examples.append(
            Example(
                picture=jpeg_uri(_picture(dataset, item_of[question]), longest=420),
                question=dataset.questions[question],
                answer=answer[0],
                confidence=answer[1],
                blind_answer=blind[0],
                blind_confidence=blind[1],
                annotators=Counter(given).most_common(),
                score=question_accuracy(answer[0], given),
                blind_score=question_accuracy(blind[0], given),
            )
        )
    return examples


def make_words(atlas: Atlas, dataset: VQADataset) -> list[Word]:
    """The regions nearest to a few well-used words."""
    words = []
    for word in atlas.well_used(WORDS, samples=PATCHES):
        patches = []
        for patch in atlas.patches(word, PATCHES):
            cut, box = cut_patch(_picture(dataset, patch.item), patch)
            patches.append(WordPatch(jpeg_uri(cut, longest=120), box))
        words.append(Word(word, atlas.counts[word] / atlas.counts.sum(), patches))
    return words


def make_charts(work_dir: Path) -> tuple[list[Chart], list[Chart]]:
    """Charts of the pretraining and of the fine-tuning."""
    pretrain, vqa, blind = (read_curves(work_dir / name) for name in ('pretrain', 'vqa', 'vqa_blind'))
    losses = [(key.upper(), pretrain, f'loss_{key}') for key in OBJECTIVES]
    correct = [(key.upper(), pretrain, f'acc_{key}') for key in OBJECTIVES]
    models = [('with image', vqa), ('without', blind)]
    pretraining = [
        _chart('Losses, training batches', 'nats', losses),
        _chart('Accuracies, training batches', '%', correct, 100),
    ]
    tuning = [
        _chart('Loss, training batches', 'nats', [(*model, 'loss_vqa') for model in models]),
        _chart('Accuracy, validation pictures', '%', [(*model, 'accuracy') for model in models], 100),
    ]
    return [chart for chart in pretraining if chart], [chart for chart in tuning if chart]


def _chart(heading: str, unit: str, lines: list[tuple[str, Curves, str]], top: float | None = None) -> Chart | None:
    """One figure of several runs: from the training batches, or from validation where only that has it."""
    trained = any(_find(curves.training, figure) for _, curves, figure in lines)
    series = [
        Series(name, _find(curves.training if trained else curves.held_out, figure)) for name, curves, figure in lines
    ]
    if not any(line.points for line in series):
        return None
    x_label = 'iteration' if trained else lines[0][1].held_out_unit
    return Chart(heading, line_chart(series, heading, x_label, unit, (0, top)))


def _find(columns: dict[str, list], figure: str) -> list:
    """The points of a figure, whatever prefix it was logged under."""
    return next((points for name, points in columns.items() if name.rpartition('/')[2] == figure), [])


def _picture(dataset: VQADataset, item: int) -> np.ndarray:
    """The full picture of a sample, (H, W, 3) uint8."""
    name = dataset.images.file_names[dataset.item_image[item]]
    return decode_image(dataset.store.read(name), name=name)
