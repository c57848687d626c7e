"""Start of a training in a new process, for :mod:`tools.benchmark.startup`; prints metrics as json."""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader

from soho.datasets import AspectRatioBatchSampler, EpochSampler, PretrainDataset, init_worker
from soho.datasets.collate import collate


class BlankImage:
    """Replacement of image loading, so that only the rest is measured."""

    def __call__(self, results: dict) -> dict:
        results['image'] = np.zeros((48, 64, 3), np.uint8)
        return results


def proportional_memory(pid: int) -> int:
    """Return the proportional set size of a process in bytes: memory shared by n processes counts 1/n."""
    for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
        if line.startswith('Pss:'):
            return int(line.split()[1]) * 1024
    raise ValueError(f'/proc/{pid}/smaps_rollup has no line Pss')


def measure(captions: str, vocabulary: str, workers: int) -> dict[str, float]:
    """Return seconds to the dataset and to its first batch, and bytes of all workers and of this process."""
    started = time.perf_counter()
    tokenizer = dict(vocab=vocabulary, max_length=16)
    dataset = PretrainDataset(
        ann_file=captions,
        images=None,
        sentence_group=4,
        pipeline=[
            BlankImage(),
            dict(type='Tokenize', tokenizer=tokenizer),
            dict(type='MaskTokens', tokenizer=tokenizer),
            dict(type='DrawVisualMask'),
            dict(type='PackSample', keys=['mlm_labels', 'itm_labels', 'mvm_cell', 'mvm_sentences']),
        ],
    )
    built = time.perf_counter()
    batches = iter(
        DataLoader(
            dataset,
            batch_sampler=AspectRatioBatchSampler(EpochSampler(dataset, seed=0), 16),
            num_workers=workers,
            multiprocessing_context='fork',
            collate_fn=collate,
            worker_init_fn=init_worker,
            persistent_workers=True,
        )
    )
    next(batches)
    arrived = time.perf_counter()
    for _, _ in zip(range(20 * workers), batches):  # until every worker has accessed its memory
        pass
    memory = [proportional_memory(worker.pid) for worker in batches._workers]
    return dict(
        dataset=built - started,
        first_batch=arrived - started,
        workers=sum(memory),
        main=proportional_memory(os.getpid()),
    )


if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('captions')
    parser.add_argument('vocabulary')
    parser.add_argument('workers', type=int)
    print(json.dumps(measure(**vars(parser.parse_args()))))
