"""Start-up with many captions: time to the dataset and to the first batch, and memory of the workers."""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from soho.datasets.storage.json_files import write_json_array
from tools.benchmark.bench import Bench, Rows

WORKERS = 8
WORDS = (
    'a',
    'the',
    'man',
    'woman',
    'dog',
    'red',
    'small',
    'table',
    'on',
    'next',
    'to',
    'white',
    'window',
    'tree',
    'sitting',
    'holding',
    'street',
    'sign',
    'of',
    'with',
    'blue',
    'shirt',
    'water',
    'grass',
)


class Starts(NamedTuple):
    """Two starts with one annotation file; metrics of :func:`tools.benchmark.startup_process.measure`."""

    captions: int
    size: int
    """Size of the file in bytes."""
    first: dict[str, float]
    later: dict[str, float]


def startup(bench: Bench) -> Rows:
    """Measure two starts with ``--captions`` sentences."""
    starts = start_twice(bench.args.captions)
    rows: Rows = []
    for run, metrics in (('first', starts.first), ('later', starts.later)):
        name = f'{run} start with {starts.captions} captions'
        rows += [
            (f'{name}: data set', metrics['dataset'], 's'),
            (f'{name}: first batch of {WORKERS} workers', metrics['first_batch'], 's'),
        ]
    name = f'{starts.captions} captions'
    return [
        *rows,
        (f'{name}: memory of {WORKERS} workers', starts.later['workers'] / 2**20, 'MiB'),
        (f'{name}: memory of the main process', starts.later['main'] / 2**20, 'MiB'),
        (f'{name}: annotation file', starts.size / 2**20, 'MiB'),
    ]


def start_twice(captions: int) -> Starts:
    """Return the metrics of a first and a second start, in new processes, with a file of so many sentences."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'captions.json'
        count = write_captions(path, captions)
        vocabulary = Path(folder) / 'vocab.txt'
        vocabulary.write_text('\n'.join(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *WORDS]))
        return Starts(count, path.stat().st_size, *(_in_a_process(path, vocabulary) for _ in range(2)))


def write_captions(path: Path, count: int) -> int:
    """Write an annotation file like COCO with Visual Genome and return the number of its sentences.

    Of every 40 images, 19 have 50 short sentences and 21 have 5.
    """
    rng = random.Random(0)
    written = 0

    def items() -> Any:
        nonlocal written
        image = 0
        while written < count:
            regions = image % 40 < 19
            sentences = [' '.join(rng.choices(WORDS, k=5 if regions else 10)) for _ in range(50 if regions else 5)]
            written += len(sentences)
            yield dict(
                file_name=f'{image:012d}.jpg',
                image_id=image,
                height=480,
                width=640 if image % 4 else 360,
                labels=[],
                captions=sentences,
            )
            image += 1

    write_json_array(path, items())
    return written


def _in_a_process(captions: Path, vocabulary: Path) -> dict[str, float]:
    # By its path: `-m` would import every other part of the benchmark as well.
    script = Path(__file__).with_name('startup_process.py')
    command = [sys.executable, str(script), str(captions), str(vocabulary), str(WORKERS)]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)), PYTHONWARNINGS='ignore')
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f'the start-up could not be measured: {done.stderr.strip().splitlines()[-1]}')
    return json.loads(done.stdout.strip().splitlines()[-1])
