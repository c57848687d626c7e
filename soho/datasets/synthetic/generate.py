"""Generation of the synthetic data set: sizes, worker processes, vocabulary, manifest."""

import functools
import json
import multiprocessing
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2

from soho.datasets.storage.json_files import load_json
from soho.datasets.wordpiece import write_vocabulary
from soho.errors import UserError, clip
from soho.files import write_text
from soho.platform import available_cores

from .blind import BlindBaseline
from .files import CocoSplitFiles, VisualGenomeFiles
from .records import ImageRecord, make_record

VERSION = 3
MANIFEST = 'synthetic.json'


@dataclass(frozen=True)
class DatasetSize:
    """Number of images of each split."""

    train2014: int
    val2014: int
    test2015: int
    visual_genome: int


SIZES = {
    'tiny': DatasetSize(24, 8, 8, 6),
    'demo': DatasetSize(8000, 300, 600, 300),
    'large': DatasetSize(80_000, 8_000, 8_000, 20_000),
}
_MIN_PER_WORKER = 100  # fewer images are made faster than a worker starts
_BLOCK = 2048


def generate_synthetic(
    out_dir: str | Path, size: str = 'tiny', seed: int = 0, workers: int | None = None, progress: bool = False
) -> dict:
    """Generate a data set, or return the manifest of one that is already there.

    The bytes depend on ``size`` and ``seed`` alone. The manifest
    ``synthetic.json`` is written last; a folder without it is generated again.

    Args:
        out_dir: Folder of the data set, created if missing.
        size: A key of ``SIZES``.
        seed: Seed of the whole data set.
        workers: Number of processes; by default one per CPU.
        progress: Whether to print a line every five seconds, which a log file bears as well.

    Returns:
        The manifest: ``version``, ``size``, ``seed``, ``images``, ``questions``, ``bytes``,
        ``vocabulary`` and ``blind`` (accuracy of answering from the question texts alone).

    Raises:
        UserError: Unknown size, or the folder holds another data set.
    """
    if size not in SIZES:
        raise UserError(f'size {size!r} of the synthetic data set is not one of {", ".join(SIZES)}')
    root = Path(out_dir)
    manifest = find_synthetic(root, size, seed)
    if manifest is None:
        manifest = _write(root, size, seed, workers or available_cores(), progress)
    return manifest


def find_synthetic(out_dir: str | Path, size: str, seed: int) -> dict | None:
    """Return the manifest of a complete data set in ``out_dir``, or None.

    Raises:
        UserError: The folder holds a data set of another size, seed or version.
    """
    path = Path(out_dir) / MANIFEST
    if not path.exists():
        return None
    manifest = load_json(path)
    if not isinstance(manifest, dict):
        raise UserError(f'{path} is not what describes a generated data set: remove its folder or choose another')
    expected = dict(version=VERSION, size=size, seed=seed)
    found = {name: manifest.get(name) for name in expected}
    if found != expected:
        raise UserError(
            f'{path.parent} holds a data set of size {clip(found["size"])}, seed {clip(found["seed"])}, version '
            f'{clip(found["version"])}, not of size {size}, seed {seed}, version {VERSION}: remove it or choose '
            'another folder'
        )
    return manifest


def _write(root: Path, size: str, seed: int, workers: int, progress: bool) -> dict:
    counts = SIZES[size]
    tasks = [(split, index) for split, number in vars(counts).items() for index in range(number)]
    words: set[str] = set()
    blind, questions = BlindBaseline(), Counter()
    started = shown = time.monotonic()
    with ExitStack() as stack:
        splits = {split: CocoSplitFiles(stack, root, split) for split in ('train2014', 'val2014', 'test2015')}
        genome = VisualGenomeFiles(stack, root)
        for done, record in enumerate(_records(seed, tasks, workers), start=1):
            if record.split in splits:
                splits[record.split].add(record.member, record.picture, record.image, record.items)
                questions[record.split] += len(record.questions)
            if record.genome:
                genome.add(record.genome[0], record.picture, *record.genome[1:])
            words |= record.words
            if record.split == 'train2014':
                blind.fit(record.questions)
            elif record.split == 'test2015':
                blind.evaluate(record.questions)
            if progress and (time.monotonic() - shown > 5 or done == len(tasks)):
                shown = time.monotonic()
                print(f'{done} of {len(tasks)} images, {done / (shown - started):.0f} a second', flush=True)
        for files in (*splits.values(), genome):
            files.finish()
    pieces = write_vocabulary(root / 'vocab.txt', words)
    written = sum(path.stat().st_size for path in root.rglob('*') if path.is_file())
    manifest = dict(
        version=VERSION,
        size=size,
        seed=seed,
        images=vars(counts),
        questions=dict(questions),
        words=len(words),
        vocabulary=pieces,
        bytes=written,
        blind=blind.summary(),
    )
    write_text(root / MANIFEST, json.dumps(manifest, indent=1) + '\n')
    return manifest


def _records(seed: int, tasks: list[tuple[str, int]], workers: int) -> Iterator[ImageRecord]:
    """Yield the records in the order of the tasks, whatever the number of workers."""
    make = functools.partial(_make, seed)
    workers = min(workers, len(tasks) // _MIN_PER_WORKER)
    if workers <= 1:
        yield from map(make, tasks)
        return
    # Forked workers start at once; elsewhere than on Linux forking is not safe.
    context = multiprocessing.get_context('fork' if sys.platform == 'linux' else 'spawn')
    with context.Pool(workers, initializer=_init_worker) as pool:
        # Block by block: a slow disk must not let finished pictures pile up in memory.
        for start in range(0, len(tasks), _BLOCK):
            yield from pool.imap(make, tasks[start : start + _BLOCK], chunksize=8)


def _init_worker() -> None:
    cv2.setNumThreads(0)
    # A handler of the parent's would have a worker raise where the pool ends it, in the middle of nothing.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _make(seed: int, task: tuple[str, int]) -> ImageRecord:
    return make_record(seed, *task)
