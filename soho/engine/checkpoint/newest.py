"""The newest checkpoint that a run can go on from."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from soho.engine.checkpoint.read import CheckpointError, check_sums, is_count, read_header
from soho.engine.checkpoint.save import nonfinite_tensors
from soho.engine.checkpoint.shards import check_shards, iter_shards, shards_of
from soho.errors import UserError, clip

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
    for path in _files_in(folders):
        try:
            run = _saved_run(str(path))
        except CheckpointError as error:
            unreadable[str(path)] = str(error)
        else:
            if run is not None:
                found.append(run)
    return sorted(found), unreadable


def _files_in(folders: Iterable[str | os.PathLike]) -> list[Path]:
    paths = {path.resolve(): path for folder in folders for path in Path(folder).glob('[!.]*.pth')}
    return sorted(path for path in paths.values() if path.is_file())  # to open a pipe would wait for ever


def _saved_run(path: str) -> SavedRun | None:
    checkpoint = read_header(path)
    meta: Any = checkpoint.get('meta')
    if not _is_of_run(checkpoint) or 'optimizer' not in checkpoint:
        return None
    number = meta.get('save_number', 0)
    return SavedRun(number if is_count(number) else 0, meta['iter'], path)


def _is_of_run(checkpoint: dict[str, Any]) -> bool:
    """Whether a run has saved it: weights to begin with do not say how far a run was."""
    meta: Any = checkpoint.get('meta')
    return isinstance(meta, dict) and is_count(meta.get('iter')) and 'message_hub' in checkpoint


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
    allowed = checkpoint['meta'].get('infinite_buffers')
    allowed = allowed if isinstance(allowed, list) else []
    return [name for name in wrong if name.startswith(('state_dict.', 'optimizer.')) and name not in allowed]


def newest_checkpoint(
    folders: Iterable[str | os.PathLike], without: Collection[str] = (), start: str | os.PathLike | None = None
) -> tuple[str | None, dict[str, str]]:
    """Return the path of the newest sound checkpoint in folders, and newer or unreadable ones with why they are not.

    Sound is a file whose checksums are right and whose weights are numbers. The path is ``None`` where there is no
    checkpoint of a run, or none but those to leave out.

    Args:
        folders: Paths.
        without: Paths of checkpoints to leave out, as this function returned them.
        start: Path of the weights that the run is to begin with, which may lie in one of the folders.

    Raises:
        UserError: There are checkpoints of a run, and none is sound, or they hold weights alone.
    """
    folders = list(folders)
    runs, rejected = saved_runs(folders)
    for run in reversed(runs):
        if run.path in without:
            continue
        try:
            wrong = _nonfinite_values(run.path)
        except CheckpointError as error:
            rejected[run.path] = str(error)
            continue
        if not wrong:
            return run.path, rejected
        rejected[run.path] = f'{run.path} holds values that are no numbers, in {clip(wrong[0])}'
    if without:
        return None, rejected
    if rejected:
        raise UserError(
            f'{folders[0]} holds no checkpoint to go on from, and is not empty: {"; ".join(rejected.values())} '
            '(to start anew, remove them or name another work dir)'
        )
    first = None if start is None else Path(start).expanduser().resolve()
    weights = [path for path in _files_in(folders) if path.resolve() != first and _is_of_run(read_header(str(path)))]
    if weights:
        raise UserError(
            f'{folders[0]} holds no checkpoint to go on from, and is not empty: {weights[0]} is of a run, and holds '
            'weights without the state of the optimizer (to begin with them, name another work dir and '
            f'load_from={weights[0]}; to start anew, remove them)'
        )
    return None, {}
