"""Metrics of several ranks: the main one gets the records and takes its time."""

import os
import socket
import time
from datetime import timedelta

import torch.distributed as dist
import torch.multiprocessing

from soho.evaluation.evaluator import Metric
from soho.ranks import prepare_ranks


class Slow(Metric):
    def process(self, data_batch, prediction):
        self.results.append(prediction)

    def compute_metrics(self, results):
        time.sleep(4)
        return dict(records=float(len(results)), total=float(sum(results)))


def evaluate(rank, port, folder):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    dist.init_process_group('gloo', rank=rank, world_size=2, timeout=timedelta(seconds=2))
    prepare_ranks()  # once: who is where
    dist.all_gather_object = None  # records go to the main rank alone
    metric = Slow()
    for _ in range(2):  # a second validation uses the same group
        for value in range(3 + rank):
            metric.process(None, value)
        metrics = metric.evaluate(0)
    (folder / str(rank)).write_text(repr(metrics))
    dist.destroy_process_group()


def test_ranks_wait_longer_for_metrics_than_for_each_other(tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.start_processes(evaluate, (port, tmp_path), nprocs=2, start_method='fork')
    expected = repr(dict(records=7.0, total=9.0))
    assert [(tmp_path / str(rank)).read_text() for rank in range(2)] == [expected] * 2
