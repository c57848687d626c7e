"""What a Python call costs over the model alone, for one picture and for a folder of them."""

import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

import soho
from soho.apis.feature_extractor import FeatureExtractor
from soho.apis.images import ImageInput
from soho.apis.inferencer import Inferencer, Query
from soho.apis.opening import OpenedModel
from soho.apis.vqa import VQA
from soho.engine import load_config
from soho.engine.checkpoint.inference_spec import read_spec
from soho.registry import MODELS
from tools.benchmark.bench import Bench, Rows

QUESTION = 'What color is the circle?'
TURNS, FOLDER_TURNS = 20, 4  # for each of ``--repeat``, of the shipped models
PUBLISHED_TURNS = (4, 1)
SIZES = (1, 2, 4, 8, 16, 32)  # batches against which a folder is measured
PUBLISHED_SIZES = (1, 4, 8)  # of 608 x 800 pixels, where a larger batch gains nothing


class Asked(NamedTuple):
    """A model, and how a person asks it."""

    name: str
    model: Inferencer
    call: Callable[[Any], Any]
    """One picture, or a folder."""
    query: Callable[[ImageInput], Query]
    sizes: Sequence[int] = SIZES
    """Batches against which a folder is measured."""
    turns: tuple[int, int] = (TURNS, FOLDER_TURNS)
    """For each of ``--repeat``: of one picture and of a folder."""


def api(bench: Bench) -> Rows:
    """Measure the calls for answers, captions and features, of models that ship and of a published one.

    On a CPU times are those of this process, so that other programs of a busy machine do not count.
    """
    name = 'soho_vqa_synthetic'
    options = dict[str, Any](device=bench.device, dtype=bench.args.dtype)
    extractor = soho.FeatureExtractor(name, **options)
    captioner = soho.Captioner('virtex_captions_synthetic', **options)
    published = published_vqa(name, options)
    asked = [
        _answering(f'answers of {name}', soho.VQA(name, **options)),
        Asked('captions of virtex_captions_synthetic', captioner, captioner, captioner.query),
        Asked(f'features of {name}', extractor, extractor, lambda image: Query([image], {})),
        _answering('answers of the published model', published, sizes=PUBLISHED_SIZES, turns=PUBLISHED_TURNS),
    ]
    return [row for each in asked for row in (*_one_picture(bench, each), *_folder(bench, each))]


def published_vqa(vocabulary: str, options: dict[str, Any]) -> VQA:
    """The model of ``VQA/soho_res18_vqa`` with random weights and the words of a shipped model.

    Args:
        vocabulary: Name of the shipped model.
        options: Of the inferencer.
    """
    words = soho.VQA(vocabulary, device='cpu').full_spec.vocabulary
    checkpoint = dict(meta=dict(vocabulary=words, dataset_meta=dict(class_names=[f'answer {i}' for i in range(3129)])))
    spec = read_spec(checkpoint, 'published', load_config('VQA/soho_res18_vqa').to_dict())
    return soho.VQA(OpenedModel('published', MODELS.build(spec.model).state_dict(), spec), **options)


def _answering(name: str, model: VQA, **more: Any) -> Asked:
    return Asked(
        name, model, lambda image: model(image, QUESTION), lambda image: model.query(image, [QUESTION]), **more
    )


def _one_picture(bench: Bench, asked: Asked) -> Rows:
    """A call with a picture of the model's size, beside the model; and with a file, beside the same work by hand."""
    path = soho.sample_image()
    sample = asked.model.prepare(asked.query(path))
    batch = asked.model.collate([sample])
    alone, decoded, by_hand, file = bench.turns(
        [
            lambda: _run(asked.model, batch),
            lambda: asked.call(sample['image']),
            lambda: _run(asked.model, asked.model.collate([asked.model.prepare(asked.query(path))])),
            lambda: asked.call(path),
        ],
        asked.turns[0] * bench.args.repeat,
    )
    height, width = sample['image'].shape[:2]
    name = f'api, {asked.name}, one picture of {height}x{width}'
    return [
        (f'{name}: model alone, on a prepared batch', 1000 * statistics.median(alone), 'ms'),
        (f'{name}: call with an array', 1000 * statistics.median(decoded), 'ms'),
        (f'{name}: call with an array, over the model', _added(decoded, alone), '%'),
        (f'{name}: file decoded, resized, batched, and the model', 1000 * statistics.median(by_hand), 'ms'),
        (f'{name}: call with a file', 1000 * statistics.median(file), 'ms'),
        (f'{name}: call with a file, over the same by hand', _added(file, by_hand), '%'),
    ]


def _folder(bench: Bench, asked: Asked) -> Rows:
    """Pictures of a folder by one call, beside the same files by hand in batches of each size."""
    pictures = 2 * max(asked.sizes)
    model = asked.model
    with tempfile.TemporaryDirectory() as folder:
        for number in range(pictures):
            shutil.copy(soho.sample_image(), Path(folder, f'{number:03}.jpg'))
        paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]

        def by_hand(size: int) -> Callable[[], Any]:
            return lambda: _run(model, model.collate([model.prepare(asked.query(path)) for path in paths[:size]]))

        calls = [*map(by_hand, asked.sizes), lambda: asked.call(folder)]
        *found, called = bench.turns(calls, asked.turns[1] * bench.args.repeat)
    rates = [size / statistics.median(seconds) for size, seconds in zip(asked.sizes, found)]
    reached = pictures / statistics.median(called)
    name = f'api, {asked.name}, folder of {pictures}'
    return [
        *((f'{name}: by hand, batches of {size}', rate, 'pictures/s') for size, rate in zip(asked.sizes, rates)),
        (f'{name}: call', reached, 'pictures/s'),
        (f'{name}: call, of the best by hand', 100 * reached / max(rates), '%'),
    ]


def _run(model: Inferencer, batch: dict[str, Tensor]) -> Any:
    """What the model computes for a batch; of features their mean, without regard to padding."""
    with torch.inference_mode(), model.autocast():
        if isinstance(model, FeatureExtractor):
            feature = model.model.backbone(model.model.data_preprocessor(batch)['image'])[-1].float()
            return feature.mean((2, 3)).cpu()
        return {key: value.cpu() for key, value in model.model.test_step(batch)[0].items()}


def _added(seconds: Sequence[float], without: Sequence[float]) -> float:
    """Percent that a call adds, the median over the turns."""
    return 100 * float(np.median(np.divide(seconds, without)) - 1)
