"""Writing of checkpoints: a file is complete under its name, or as it was before.

torch writes a checksum (CRC-32) of every tensor and of the rest into the file, which
:func:`soho.engine.checkpoint.read.read_checkpoint` compares.
"""

import glob
import os
import secrets
import shutil
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from mmengine.dist import all_gather_object, broadcast_object_list, get_rank
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.metadata import StorageMeta

from soho.engine.checkpoint.errors import CheckpointError
from soho.engine.checkpoint.read import read_header
from soho.engine.checkpoint.shards import DATA, FOLDER, KEY, METADATA, shards_of, tensor_name
from soho.engine.sharding import is_sharded, local_part
from soho.errors import TrainingError
from soho.files import atomic_write, flush, hash_file


def write_checkpoint(checkpoint: dict[str, Any], path: str | os.PathLike) -> None:
    """Write a checkpoint; ``path`` keeps its old contents until all of the new ones are on the disk.

    Args:
        checkpoint: Plain data, see :func:`soho.engine.checkpoint.plain_data.to_plain`.
        path: Path of the file.

    Raises:
        TrainingError: The system refuses it, for instance since the disk is full; nothing is left of the new file.
    """
    try:
        with atomic_write(path) as file:
            torch.save(checkpoint, file)
    except (OSError, RuntimeError) as error:
        # Where the file refuses bytes, torch complains about the position it has come to.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise _make_write_error(path, cause.strerror or cause) from error


def _make_write_error(path: str | os.PathLike, reason: Any) -> TrainingError:
    return TrainingError(
        f'the checkpoint {os.fspath(path)} could not be written ({reason}): '
        'make room, and go on from the one before with --resume'
    )


class _Writer(dcp.FileSystemWriter):
    """torch's writer, which leaves out of the description where the folder was and a random number."""

    def storage_meta(self) -> StorageMeta | None:
        return None


def write_sharded(checkpoint: dict[str, Any], path: str) -> None:
    """Write a checkpoint of tensors that are sharded among the ranks, each rank its part; all have to call this.

    The folder of the parts is written first and to a new name. The file then takes its own name at one
    moment, and from there on stands for the folder; the folder of an older file of this name goes after that.

    Args:
        checkpoint: Plain data on rank 0; on others the same sharded tensors at least. Where nothing is sharded it is
            written as :func:`write_checkpoint` does. Tensors are taken out of it.
        path: Path of the file, on a file system that all ranks share.

    Raises:
        TrainingError: See :func:`write_checkpoint`; what has been written is removed.
    """
    tensors: dict[str, Tensor] = {}
    places: list[list[Any]] = []
    for key in checkpoint:
        checkpoint[key] = _take_sharded(checkpoint[key], [key], tensors, places)
    if not tensors:
        if get_rank() == 0:
            write_checkpoint(checkpoint, path)
        return
    name = [f'{Path(path).stem}.{secrets.token_hex(8)}.shards']
    broadcast_object_list(name)
    folder = Path(path).with_name(name[0])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of settings of torch's own
            planner = DefaultSavePlanner(flatten_state_dict=False, flatten_sharded_tensors=False)
            dcp.save(tensors, storage_writer=_Writer(folder), planner=planner)
        files = _hash_own_files(folder)
        if get_rank() == 0:
            with suppress(OSError):  # as soho.files.atomic_path
                flush(folder)
            entry = dict(folder=folder.name, files=files, tensors=places)
            write_checkpoint(dict(checkpoint, **{KEY: entry}), path)
            remove_lost_shards(folder.parent, Path(path).stem)
    except CheckpointException as error:  # the same on all ranks
        if get_rank() == 0:
            shutil.rmtree(folder, ignore_errors=True)
        raise _make_write_error(path, next(iter(error.failures.values()))[0]) from error
    except (TrainingError, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _take_sharded(value: Any, place: list[Any], tensors: dict[str, Tensor], places: list[list[Any]]) -> Any:
    """The value with ``None`` in place of sharded tensors, which go to ``tensors`` and ``places``."""
    if is_sharded(value):
        tensors[tensor_name(place)] = value.detach()
        places.append(place)
        return None
    if isinstance(value, dict):
        copy = value.copy()  # of its own class, which may not be called with pairs
        copy.update({key: _take_sharded(item, [*place, key], tensors, places) for key, item in value.items()})
        return copy
    if isinstance(value, list):
        return [_take_sharded(item, [*place, number], tensors, places) for number, item in enumerate(value)]
    return value


def _hash_own_files(folder: Path) -> dict[str, list[Any]]:
    """Size and SHA-256 of the files of all ranks; each reads what it has written."""
    rank = get_rank()
    own = [path for path in folder.iterdir() if DATA.fullmatch(path.name) and path.name.startswith(f'__{rank}_')]
    own += [folder / METADATA] if rank == 0 else []
    sums = {path.name: [path.stat().st_size, hash_file(path)] for path in own}
    return {name: found for of_rank in all_gather_object(sums) for name, found in of_rank.items()}


def remove_checkpoint(path: str | os.PathLike) -> None:
    """Remove a checkpoint if it is there, with its shards."""
    path = Path(path)
    path.unlink(missing_ok=True)
    remove_lost_shards(path.parent, path.stem)


def remove_lost_shards(folder: str | os.PathLike, stem: str | None = None) -> list[str]:
    """Remove folders of shards that no checkpoint beside them stands for, as of a killed run; return their names.

    A copy of a checkpoint, whatever it is called, stands for the same folder. Of a damaged file nobody knows whether
    it stands for those that have its name.

    Args:
        folder: Path of a folder that nobody else writes to now, but for other stems.
        stem: Only those of checkpoints that were written with this name.
    """
    written_for = {
        path.name: match[1]
        for path in Path(folder).glob(f'{"*" if stem is None else glob.escape(stem)}.*.shards')
        if (match := FOLDER.fullmatch(path.name)) and stem in (None, match[1])
    }
    if not written_for:
        return []
    named, damaged = set(), set()
    for path in Path(folder).iterdir():
        if path.is_file():
            try:
                found = shards_of(read_header(str(path)), str(path))
            except (CheckpointError, OSError):
                damaged.add(path.stem)
            else:
                named.add(found and os.path.basename(found.folder))
    lost = [name for name, stem in written_for.items() if name not in named and stem not in damaged]
    for name in lost:
        shutil.rmtree(Path(folder, name), ignore_errors=True)
    return lost


def nonfinite_tensors(state: Any, name: str = '') -> list[str]:
    """Names of the tensors in dicts and lists that hold an infinite value or one that is not a number.

    The host waits once for the device.

    Args:
        state: Dicts and lists of tensors and of anything else; of sharded tensors this rank's part is looked at.
        name: Of ``state``; those of its entries follow after a dot.
    """
    named = [(name, local_part(value)) for name, value in _named_tensors(state, name)]
    named = [item for item in named if item[1].is_floating_point() and item[1].numel()]
    if not named:
        return []
    device = named[0][1].device
    finite = torch.stack([value.isfinite().all().to(device) for _, value in named]).tolist()
    return [name for (name, _), good in zip(named, finite) if not good]


def _named_tensors(value: Any, name: str) -> list[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        return [(name, value)]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    prefix = f'{name}.' if name else ''
    return [found for key, item in items for found in _named_tensors(item, f'{prefix}{key}')]
