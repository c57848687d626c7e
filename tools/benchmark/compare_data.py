"""Compare the data path of two checkouts, sample by sample, so that a busy machine slows both alike.

    python tools/benchmark/compare_data.py BEFORE AFTER [--config demo/vqa] [--samples 200]

Each checkout reads the samples of its own config in a process of its own. For every sample the processes take turns,
one first and then the other, and the shortest of a sample's turns counts: differences of 1 % are seen where two runs
one after the other differ by 15 %.
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TURNS = 14  # of each checkout with a sample
READY = 'ready'
WORKER = f"""
import os, sys, time
repository, config, samples = sys.argv[1:]
sys.path.insert(0, repository)
import numpy as np, torch
from mmengine.registry import init_default_scope
from soho.datasets.sample_key import SampleKey
from soho.engine import load_config
from soho.registry import DATASETS, import_parts

torch.set_num_threads(1)
init_default_scope('soho')
import_parts()
dataset = DATASETS.build(load_config(os.path.join(repository, 'configs', config + '.py')).train_dataloader.dataset)
rows = np.random.default_rng(0).permutation(len(dataset))[: int(samples)].tolist()
keys = [SampleKey(0, 0, row) for row in rows]
for key in keys[:50]:
    dataset[key]
print({READY!r}, len(keys), flush=True)
for line in sys.stdin:
    started = time.perf_counter()
    dataset[keys[int(line)]]
    print(time.perf_counter() - started, flush=True)
"""


class Reader:
    """A process that reads samples with the code of a checkout.

    Args:
        repository: Path of the checkout.
        config: Path of a config below its folder ``configs``, without the ending.
        samples: How many samples it should know.
    """

    def __init__(self, repository: str, config: str, samples: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, '-c', WORKER, os.path.abspath(repository), config, str(samples)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ, OMP_NUM_THREADS='1'),
        )
        self.samples = self._wait(repository)

    def _wait(self, repository: str) -> int:
        assert self.process.stdout is not None
        for line in self.process.stdout:  # the libraries may print on the way
            word, *numbers = line.split() or ['']
            if word == READY:
                return int(numbers[0])
        raise SystemExit(f'{repository}: its data set could not be opened, as is said above')

    def seconds(self, sample: int) -> float:
        """Read a sample; returns how long it took."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f'{sample}\n')
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def compare(before: str, after: str, config: str, samples: int) -> tuple[list[float], list[float]]:
    """Return the seconds of each sample with the one checkout and with the other.

    Args:
        before: Path of a checkout.
        after: Path of the other.
        config: See :class:`Reader`.
        samples: How many samples are compared.
    """
    readers = [Reader(path, config, samples) for path in (before, after)]
    number = min(reader.samples for reader in readers)
    shortest = [[float('inf')] * number for _ in readers]
    for sample in range(number):
        for turn in range(TURNS):
            for i in (0, 1) if turn % 2 else (1, 0):
                shortest[i][sample] = min(shortest[i][sample], readers[i].seconds(sample))
    for reader in readers:
        reader.close()
    return shortest[0], shortest[1]


def main(argv: Sequence[str] | None = None) -> str:
    """Compare, and return the line that was printed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('before', help='path of a checkout')
    parser.add_argument('after', help='path of the other')
    parser.add_argument('--config', default='demo/vqa', help='a config of both; default: %(default)s')
    parser.add_argument('--samples', type=int, default=200, help='default: %(default)s')
    args = parser.parse_args(argv)
    for path in (args.before, args.after):
        if not (Path(path) / 'configs' / f'{args.config}.py').is_file():
            raise SystemExit(f'{path} has no config configs/{args.config}.py')
    before, after = compare(args.before, args.after, args.config, args.samples)
    ratio = statistics.median(second / first for first, second in zip(before, after))
    line = (
        f'{args.config}, {len(before)} samples: {1e3 * statistics.mean(before):.3f} ms before, '
        f'{1e3 * statistics.mean(after):.3f} ms after, median ratio {ratio:.3f}'
    )
    print(line)
    return line


if __name__ == '__main__':
    main()
