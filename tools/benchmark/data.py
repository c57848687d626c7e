"""Throughput of the data pipeline: one worker process against decoding the same files."""

import json
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader, Dataset

from soho.datasets.collate import collate
from soho.datasets.sample_key import SampleKey
from soho.datasets.samplers import AspectRatioBatchSampler, EpochSampler
from soho.datasets.sentence_piece import train_vocabulary
from soho.datasets.storage.decoding import decode_reduced
from soho.datasets.storage.json_files import stream_array, write_json
from soho.datasets.storage.prepared_tokens import prepare_tokens
from soho.datasets.workers import init_worker
from soho.engine import load_config
from soho.paths import CONFIGS
from soho.registry import DATASETS
from tools.benchmark.bench import Bench, Rows
from tools.benchmark.official import checkout
from tools.benchmark.official_soho import STAND_INS
from tools.benchmark.recipes import pictures

BATCH = 16
FILES = 64  # pictures on which the floors are measured
BATCHES = 8  # that make one measurement of a loader
PRETRAINING = 'pretraining, 1000x600'
BASES = CONFIGS / '_base_' / 'datasets'


def data(bench: Bench) -> Rows:
    """Measure the pipelines of the published recipes and of the demo, and with ``--official-soho`` the official one.

    Pictures and captions are those of ``--photos``, a zip or folder beside
    a pretraining annotation file of the same name; by default those of the
    synthetic data set.
    """
    init_default_scope('soho')
    photos, captions, vocabulary = pictures(bench.args)
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows: Rows = []
    with tempfile.TemporaryDirectory() as folder:
        datasets = _datasets(photos, captions, vocabulary, Path(folder))
        for name, dataset in datasets.items():
            rows += _measure(bench, f'data, {name}', dataset)
        if bench.args.official_soho:
            name = f'data, {PRETRAINING}'
            decoding = {what: value for what, value, _ in rows}[f'{name}: decoding alone']
            with patch.object(np, 'int', int, create=True):  # an alias of that time
                theirs = _official(bench, photos, captions, vocabulary, Path(folder))
                rows += _in_turns(bench, name, datasets[PRETRAINING], theirs, decoding)
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])
    return rows


def _datasets(photos: str, captions: str, vocabulary: str, folder: Path) -> dict[str, Dataset]:
    """Return datasets of these pictures with the pipelines of the recipes."""
    pretrain, vqa = (load_config(str(BASES / name)) for name in ('coco_vg_pretrain.py', 'coco_vqa.py'))
    virtex = load_config(str(BASES / 'coco_captions_virtex.py')).train_dataloader.dataset.pipeline
    shutil.copy(captions, folder / 'annotations.json')  # tokens are prepared beside it
    records = list(stream_array(captions))
    train_vocabulary(
        (caption for record in records for caption in record['captions']), folder / 'captions.model', size=200
    )
    coco = folder / 'captions.json'
    write_json(
        coco,
        dict(
            images=[
                dict(id=i, file_name=record['file_name'], height=record['height'], width=record['width'])
                for i, record in enumerate(records)
            ],
            annotations=[
                dict(image_id=i, caption=caption) for i, record in enumerate(records) for caption in record['captions']
            ],
        ),
    )
    small = [
        dict(type='LoadImage', reduce_to=(96, 72)),
        dict(type='ResizeKeepRatio', scale=(96, 72)),
        *pretrain.train_pipeline[2:],
    ]
    # Images and questions, without answers.
    question_pipeline = [*vqa.train_pipeline[:-1], dict(type='PackSample', keys=[])]
    sources = {
        PRETRAINING: dict(sentence_group=4, pipeline=pretrain.train_pipeline),
        'VQA, 1333x400 to 1333x800': dict(sentence_group=1, pipeline=question_pipeline),
        'demo, 96x72': dict(sentence_group=4, pipeline=small),
        'VirTex, 224': dict(type='CaptioningDataset', ann_file=str(coco), pipeline=virtex),
    }
    datasets = {}
    for name, source in sources.items():
        for step in source['pipeline']:
            if 'tokenizer' in step:
                step['tokenizer']['vocab'] = str(folder / 'captions.model') if 'VirTex' in name else vocabulary
        config = dict(dict(type='PretrainDataset', ann_file=str(folder / 'annotations.json'), images=photos), **source)
        dataset = DATASETS.build(config)
        if dataset.tokens is None:
            prepare_tokens(dataset.ann_file, dataset.index, dataset.column, dataset.tokenizer)
        datasets[name] = DATASETS.build(config)
    return datasets


def _measure(bench: Bench, name: str, dataset: Any) -> Rows:
    chosen = np.linspace(0, len(dataset) - 1, min(FILES, len(dataset))).astype(int).tolist()
    files = [dataset.store.read(dataset.images.file_names[dataset.item_images[i, 0]]) for i in chosen]
    load, resize = dataset.pipeline.transforms[:2]
    decode = _bare if load.reduce_to is None else (lambda file: decode_reduced(file, load.reduce_to)[0])

    def decoded() -> None:
        for file in files:
            decode(file)

    def resized() -> None:
        for i, file in zip(chosen, files):
            resize(dict(image=decode(file), rng=SampleKey(0, 0, i).rng()))

    bare, floor = (len(files) / bench.seconds(call) for call in (decoded, resized))
    (rate,) = loader_rates(bench, [_loader(dataset)])
    return [
        (f'{name}: one worker', rate, 'images/s'),
        (f'{name}: decoding and resizing alone', floor, 'images/s'),
        (f'{name}: decoding alone', bare, 'images/s'),
        (f'{name}: worker against decoding and resizing', 100 * rate / floor, '%'),
        (f'{name}: worker against decoding', 100 * rate / bare, '%'),
    ]


def _loader(dataset: Any) -> DataLoader:
    batches = list(AspectRatioBatchSampler(EpochSampler(dataset, seed=0), BATCH))
    return DataLoader(
        dataset,
        batch_sampler=cycle(batches),
        num_workers=1,
        multiprocessing_context='fork',
        collate_fn=collate,
        worker_init_fn=init_worker,
    )


def _in_turns(bench: Bench, name: str, dataset: Any, theirs: DataLoader, decoding: float) -> Rows:
    """Compare our pipeline with the official one, and that one with decoding alone."""
    our_rate, their_rate = loader_rates(bench, [_loader(dataset), theirs])
    name = f'{name}, in turns with the official one'
    return [
        (f'{name}: our worker', our_rate, 'images/s'),
        (f'{name}: official worker', their_rate, 'images/s'),
        (f'{name}: faster than official', our_rate / their_rate, 'times'),
        (f'{name}: official worker against decoding', 100 * their_rate / decoding, '%'),
    ]


def _bare(file: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)


def loader_rates(bench: Bench, loaders: Sequence[DataLoader]) -> list[float]:
    """Return the images per second of loaders with batches of ``BATCH``, measured in turns.

    Each loader starts a new worker in each round, since a worker that waits for its turn
    would go on decoding.
    """
    rounds = [[_round(loader) for loader in loaders] for _ in range(bench.args.repeat + 1)]
    return [median(rates) for rates in zip(*rounds[1:])]


def _round(loader: DataLoader) -> float:
    arriving = iter(loader)
    next(arriving)
    started = time.perf_counter()
    for _ in range(BATCHES):
        next(arriving)
    return BATCHES * BATCH / (time.perf_counter() - started)


def _official(bench: Bench, photos: str, captions: str, vocabulary: str, folder: Path) -> DataLoader:
    """Return a loader with the pipeline of the official release, from an unchanged checkout."""
    with checkout(Path(bench.args.official_soho), 'SOHO', STAND_INS, __version__='', short_version=''):
        from commons.parallel import collate as official_collate
        from SOHO.datasets import build_dataset
    # It writes a pickle beside the annotation file, and reads zips only.
    archive = folder / 'images.zip'
    archive.symlink_to(Path(f'{photos.removesuffix(".zip")}.zip').resolve())
    records = json.loads(Path(captions).read_text())
    inner = '' if _members_are_bare(archive) else Path(photos).name + '/'
    for record in records:
        record.update(file_name=inner + record['file_name'], labels=[])
    write_json(folder / 'official.json', records)
    if os.path.isdir(vocabulary):
        vocabulary = os.path.join(vocabulary, 'vocab.txt')
    pipeline = [
        dict(type='LoadImageFromZip'),
        dict(type='Resize', img_scale=(1000, 600), keep_ratio=True),
        dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True),
        dict(type='Pad', size_divisor=32),
        dict(type='DefaultFormatBundle'),
        dict(
            type='Collect',
            keys=['img', 'language_tokens', 'mask_labels', 'next_label', 'language_attention', 'img_target'],
        ),
    ]
    dataset = build_dataset(
        dict(
            type='VisualLanguagePretrainDataset',
            data_root=f'{folder}/',
            ann_file='official.json',
            img_prefix=f'{folder}/images/',
            max_length=16,
            sentence_group=4,
            pipeline=pipeline,
            token_config=vocabulary,
        )
    )
    groups = [np.flatnonzero(dataset.flag == flag) for flag in (0, 1)]
    batches = [np.resize(group, -(-len(group) // BATCH) * BATCH).reshape(-1, BATCH) for group in groups if len(group)]
    return DataLoader(
        dataset,
        batch_sampler=cycle(np.random.default_rng(0).permutation(np.concatenate(batches)).tolist()),
        num_workers=1,
        multiprocessing_context='fork',
        collate_fn=partial(official_collate, samples_per_gpu=BATCH),
    )


def _members_are_bare(archive: Path) -> bool:
    with zipfile.ZipFile(archive) as file:
        return '/' not in file.namelist()[0]
