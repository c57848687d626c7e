"""The newest checkpoint that a run can go on from."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from soho.engine.checkpoint.read import CheckpointError, check_sums, is_count, read_header
from soho.engine.checkpoint.save import nonfinite_tensors
from soho.engine.checkpoint.shards import check_shards, iter_shards, shards_of
from soho.errors import UserError

POINTER = 'last_checkpoint'
"""File of a work dir with the path of the newest checkpoint, relative to it; a hint for people and for other tools."""


class SavedRun(NamedTuple):
    """A checkpoint that holds the state of a run, and not only weights."""

    save_number: int
    """Checkpoints of this folder are numbered as they are written; 0 for one that is older than the numbers."""
    iteration: int
    """Iterations that were done."""
    path: str


def saved_runs(folders: Iterable[str | os.PathLike]) -> tuple[list[SavedRun], dict[str, str]]:
    """Checkpoints in folders that a run can go on from, the newest last, and files that cannot be read, with why.

    Only what a file says of itself is read, so that it may still be damaged.

    Args:
        folders: Paths; those that do not exist hold none.
    """
    found, unreadable = [], {}
    paths = {path.resolve(): path for folder in folders for path in Path(folder).glob('[!.]*.pth')}
    for path in sorted(paths.values()):
        try:
            run = _saved_run(str(path))
        except CheckpointError as error:
            unreadable[str(path)] = str(error)
        else:
            if run is not None:
                found.append(run)
    return sorted(found), unreadable


def _saved_run(path: str) -> SavedRun | None:
    checkpoint = read_header(path)
    meta: Any = checkpoint.get('meta')
    if not (isinstance(meta, dict) and is_count(meta.get('iter'))) or not {'message_hub', 'optimizer'} <= set(
        checkpoint
    ):
        return None
    number = meta.get('save_number', 0)
    return SavedRun(number if is_count(number) else 0, meta['iter'], path)


def _nonfinite_values(path: str) -> list[str]:
    """Names of weights and of the optimizer's tensors that are no numbers, though no constants of the model.

    Raises:
        CheckpointError: A checksum differs, or a shard is missing.
    """
    check_sums(path)
    checkpoint = read_header(path)
    wrong = nonfinite_tensors(checkpoint, '')
    shards = shards_of(checkpoint, path)
    if shards is not None:
        check_shards(shards, path)
        wrong += [name for name, value in iter_shards(shards, path) if nonfinite_tensors(value, name)]
    allowed = checkpoint['meta'].get('infinite_buffers', [])
    return [name for name in wrong if name.startswith(('state_dict.', 'optimizer.')) and name not in allowed]


def newest_checkpoint(folders: Iterable[str | os.PathLike]) -> tuple[str | None, dict[str, str]]:
    """Return the path of the newest sound checkpoint in folders, and newer or unreadable ones with why they are not.

    Sound is a file whose checksums are right and whose weights are numbers. The path is ``None`` where there is no
    checkpoint of a run.

    Args:
        folders: Paths.

    Raises:
        UserError: There are checkpoints, and none is sound.
    """
    folders = list(folders)
    runs, rejected = saved_runs(folders)
    for run in reversed(runs):
        try:
            wrong = _nonfinite_values(run.path)
        except CheckpointError as error:
            rejected[run.path] = str(error)
            continue
        if not wrong:
            return run.path, rejected
        rejected[run.path] = f'{run.path} holds values that are no numbers, in {wrong[0]}'
    if rejected:
        raise UserError(
            f'{folders[0]} holds no checkpoint to go on from, and is not empty: {"; ".join(rejected.values())} '
            '(to start anew, remove them or name another work dir)'
        )
    return None, {}
