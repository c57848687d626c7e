"""The data pipeline: a worker's pictures a second against bare decoding of the same files."""
from typing import Any

import torch
from mmengine.registry import init_default_scope

from soho.benchmark.bench import Bench, Rows
from soho.benchmark.recipes import CONFIGS
from soho.datasets.decoding import decode_image, decode_reduced
from soho.engine import load_config
from soho.registry import DATASETS


def data(bench: Bench) -> Rows:
    """Pictures a second of one worker, for the scale of the published recipe and for the demo's."""
    rows = []
    for long, short in ((1000, 600), (333, 200), (96, 72)):
        cfg = load_config(str(CONFIGS / 'demo' / 'vqa.py'))
        dataset = cfg.train_dataloader.dataset
        dataset.pipeline[0].reduce_to = dataset.pipeline[1].scale = (long, short)
        init_default_scope(cfg.default_scope)
        dataset = DATASETS.build(dataset)
        chosen = range(0, len(dataset), max(1, len(dataset) // 64))
        files = [dataset.store.read(dataset.images.file_names[dataset.item_image[i]]) for i in chosen]

        def bare(files: list[bytes] = files, scale: tuple[int, int] = (long, short)) -> None:
            for file in files:
                decode_reduced(file, scale)

        def full(files: list[bytes] = files) -> None:
            for file in files:
                decode_image(file)

        def samples(dataset: Any = dataset, chosen: range = chosen) -> None:
            for i in chosen:
                dataset[i]

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        fast, slow, whole = (len(files) / bench.seconds(call) for call in (bare, full, samples))
        torch.set_num_threads(threads)
        rows += [(f'data at {long}x{short}: pipeline, one core', whole, 'images/s'),
                 (f'data at {long}x{short}: of bare decoding at the reduced scale', 100 * whole / fast, '%'),
                 (f'data at {long}x{short}: of bare decoding in full', 100 * whole / slow, '%')]
    return rows
