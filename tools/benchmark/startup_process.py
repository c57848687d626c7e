"""What :mod:`tools.benchmark.startup` measures in a process of its own; prints json."""

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
    """Stands for loading: memory and time are to be those of everything else."""

    def __call__(self, results: dict) -> dict:
        results['image'] = np.zeros((48, 64, 3), np.uint8)
        return results


def proportional_memory(pid: int) -> int:
    """Bytes of a process; memory that n processes share counts as an n-th."""
    for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
        if line.startswith('Pss:'):
            return int(line.split()[1]) * 1024
    raise ValueError(f'/proc/{pid}/smaps_rollup has no line Pss')


def measure(captions: str, vocabulary: str, workers: int) -> dict[str, float]:
    """Seconds to a data set and to its first batch; bytes of the workers together and of this process."""
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
    for _, _ in zip(range(20 * workers), batches):  # until every worker has touched what it touches
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
