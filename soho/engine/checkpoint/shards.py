"""Reading of sharded checkpoints: a file, and beside it a folder with the tensors that ranks shard among them.

``epoch_1.pth`` is a checkpoint like any other, with ``None`` in place of each sharded tensor and the entry ``shards``:

- ``folder``: name of the folder beside the file, ``epoch_1.0123456789abcdef.shards``;
- ``files``: names in it, each with its size in bytes and its SHA-256;
- ``tensors``: where the tensors belong, lists of keys, as ``['optimizer', 'state', 0, 'exp_avg']``.

The folder is in the format of ``torch.distributed.checkpoint``, of which ``.metadata`` is a pickle. Here it is read as
data: nothing but the classes that describe tensors can be named in it, and parts that torch would read by a pickle
(``BytesStorageMetadata``) are refused. Needs torch only.
"""

import io
import math
import os
import pickle
import re
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint import filesystem, metadata
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import Shard
from torch.distributed.tensor import zeros as sharded_zeros

from soho.engine.checkpoint.errors import CheckpointError
from soho.errors import clip, first_line
from soho.files import hash_file

KEY = 'shards'
FOLDER = re.compile(r'(.+)\.[0-9a-f]{16}\.shards')
METADATA = '.metadata'
DATA = re.compile(r'__\d+_\d+\.distcp')
DEPTH = 8  # of keys to a tensor

_CLASSES: dict[tuple[str, str], Any] = {
    (kind.__module__, kind.__name__): kind
    for kind in (
        metadata.Metadata,
        metadata.MetadataIndex,
        metadata.TensorStorageMetadata,
        metadata.TensorProperties,
        metadata.ChunkStorageMetadata,
        metadata.BytesStorageMetadata,
        metadata._MEM_FORMAT_ENCODING,
        filesystem._StorageInfo,
    )
} | {('torch', 'Size'): torch.Size, ('torch.serialization', '_get_layout'): torch.serialization._get_layout}


class Shards(NamedTuple):
    """The entry ``shards`` of a checkpoint, checked."""

    folder: str
    """Path of the folder."""
    files: dict[str, tuple[int, str]]
    """Size and SHA-256 by name."""
    tensors: dict[str, list[Any]]
    """Where tensors belong in the checkpoint, by their names in the folder."""


def tensor_name(place: list[Any]) -> str:
    """The name in the folder of a tensor that belongs at a place: its keys, joined by dots."""
    return '.'.join(map(str, place))


def shards_of(checkpoint: dict[str, Any], path: str) -> Shards | None:
    """What a checkpoint says of its shards; ``None`` where it has none.

    Args:
        checkpoint: As in the file.
        path: Of the file.

    Raises:
        CheckpointError: It says something else than where they are.
    """
    if KEY not in checkpoint:
        return None
    entry = checkpoint[KEY]
    try:
        folder, files, places = (entry[name] for name in ('folder', 'files', 'tensors'))
        sums = {name: (size, digest) for name, (size, digest) in files.items()}
        tensors = {tensor_name(place): place for place in places}
        if (
            isinstance(folder, str)
            and FOLDER.fullmatch(folder)
            and os.path.basename(folder) == folder
            and all(name == METADATA or DATA.fullmatch(name) for name in sums)
            and METADATA in sums
            and all(type(size) is int and isinstance(digest, str) for size, digest in sums.values())
            and len(tensors) == len(places)
            and all(type(place) is list and 1 < len(place) <= DEPTH for place in places)
            and all(isinstance(key, (str, int)) for place in places for key in place)
        ):
            return Shards(os.path.join(os.path.dirname(path), folder), sums, tensors)
    except (TypeError, ValueError, KeyError, AttributeError):
        pass
    raise CheckpointError(f'{path} is damaged: what it says of its shards is not where they are')


def check_shards(shards: Shards, path: str, some: slice = slice(None)) -> None:
    """Compare the files of a folder with their sizes and checksums.

    Args:
        shards: Which.
        path: Of the checkpoint, for messages.
        some: Which of the files, in the order of their names.

    Raises:
        CheckpointError: One is missing or has changed.
    """
    for name in sorted(shards.files)[some]:
        file, (size, digest) = os.path.join(shards.folder, name), shards.files[name]
        if not os.path.isfile(file):
            raise CheckpointError(f'{path} is incomplete: its shard {file} is missing; copy the folder along')
        if os.path.getsize(file) != size or hash_file(file) != digest:
            raise CheckpointError(
                f'{path} is damaged: its shard {file} is no longer what was written (the checksum differs); '
                'go on from an older one'
            )


def iter_shards(shards: Shards, path: str) -> Iterator[tuple[str, Tensor]]:
    """Yield names and whole tensors of a folder, one after the other, on the host.

    Raises:
        CheckpointError: See :func:`read_shards`.
    """
    reader = SafeReader(shards, path)
    for name in shards.tensors:
        yield name, _load(reader, {name: reader.make_target(name, None)}, path)[name]


def read_shards(
    checkpoint: dict[str, Any], path: str, mesh: DeviceMesh | None = None, map_location: Any = None
) -> None:
    """Put the tensors of the folder into their places in a checkpoint, from which ``shards`` is taken out.

    Args:
        checkpoint: As in the file; changed.
        path: Of the file.
        mesh: Ranks that each want a part of every tensor, as FSDP2 shards them; all have to call this. By default
            tensors are whole and on the host.
        map_location: Where whole tensors go.

    Raises:
        CheckpointError: The folder is missing, has changed, does not fit, or wants to run code.
    """
    shards = shards_of(checkpoint, path)
    assert shards is not None, 'whoever calls has looked'
    if mesh is None:
        check_shards(shards, path)
    else:
        _check_together(shards, path)
    reader = SafeReader(shards, path)
    tensors = _load(reader, {name: reader.make_target(name, mesh) for name in shards.tensors}, path)
    del checkpoint[KEY]
    for name, place in shards.tensors.items():
        value = tensors[name]
        _put(checkpoint, place, value if mesh is not None or map_location is None else value.to(map_location), path)


def _check_together(shards: Shards, path: str) -> None:
    """:func:`check_shards`, each rank some of the files; all of them raise what one has found."""
    said = None
    try:
        check_shards(shards, path, slice(dist.get_rank(), None, dist.get_world_size()))
    except CheckpointError as error:
        said = str(error)
    answers: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(answers, said)
    if found := next((answer for answer in answers if answer is not None), None):
        raise CheckpointError(found)


def _put(checkpoint: dict[str, Any], place: list[Any], value: Tensor, path: str) -> None:
    node: Any = checkpoint
    try:
        for key in place[:-1]:
            node = node[key]
        if node[place[-1]] is None:
            node[place[-1]] = value
            return
    except (LookupError, TypeError):
        pass
    raise CheckpointError(f'{path} is damaged: there is no place for its tensor {tensor_name(place)}')


class _MetadataUnpickler(pickle.Unpickler):
    """Reads descriptions of tensors, and refuses every other class and function."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _CLASSES:
            return _CLASSES[module, name]
        if module == 'torch' and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        raise pickle.UnpicklingError(f'it asks for {module}.{name}')


class SafeReader(filesystem.FileSystemReader):
    """torch's reader of a folder, for contents that nobody vouches for.

    Args:
        shards: Of a checkpoint.
        path: Its path, for messages.

    Raises:
        CheckpointError: The description wants to run code, or does not agree with itself, the files or ``shards``.
    """

    def __init__(self, shards: Shards, path: str) -> None:
        super().__init__(shards.folder)
        self.checked = _read_metadata(os.path.join(shards.folder, METADATA))
        _check_metadata(self.checked, shards, path)

    def read_metadata(self, *args: Any, **kwargs: Any) -> metadata.Metadata:
        """As it was checked."""
        return self.checked

    def make_target(self, name: str, mesh: DeviceMesh | None) -> Tensor:
        """Zeros of the shape and type of a tensor, sharded over a mesh by rows if there is one."""
        entry: Any = self.checked.state_dict_metadata[name]
        if mesh is None:
            return torch.zeros(entry.size, dtype=entry.properties.dtype)
        return sharded_zeros(entry.size, dtype=entry.properties.dtype, device_mesh=mesh, placements=[Shard(0)])


def _read_metadata(file: str) -> Any:
    try:
        with open(file, 'rb') as opened:
            return _MetadataUnpickler(io.BytesIO(opened.read())).load()
    except pickle.UnpicklingError as error:
        asks = str(error).startswith('it asks for ')
        reason = 'holds more than the description of tensors, and was refused' if asks else 'is damaged'
        raise CheckpointError(f'{file} {reason}: {clip(error)}') from error
    except Exception as error:  # damaged bytes make an unpickler raise whatever they happen to
        raise CheckpointError(f'{file} is missing, damaged or cut short: {clip(error)}') from error


def _check_metadata(found: Any, shards: Shards, path: str) -> None:
    """Refuse a description by which torch would read elsewhere, take more memory than the files have, or unpickle."""

    def require(fits: Any, what: str) -> None:
        if not fits:
            raise CheckpointError(f'{path} is damaged: in the description of its shards {what}')

    require(type(found) is metadata.Metadata, 'there is none')
    entries, storage = getattr(found, 'state_dict_metadata', None), getattr(found, 'storage_data', None)
    require(isinstance(entries, dict) and isinstance(storage, dict), 'there are no tensors')
    assert isinstance(entries, dict) and isinstance(storage, dict)  # as was asked
    require(entries.keys() == shards.tensors.keys(), 'there are other tensors than in the file')
    chunks: dict[Any, int] = {}
    for name, entry in entries.items():
        sound = False
        try:
            dtype, size = entry.properties.dtype, entry.size
            parts = [(chunk.offsets, chunk.sizes) for chunk in entry.chunks]
            sound = (
                type(entry) is metadata.TensorStorageMetadata
                and isinstance(dtype, torch.dtype)
                and all(type(shape) is torch.Size for part in parts for shape in (*part, size))
                and all(len(offset) == len(sizes) == len(size) for offset, sizes in parts)
                and all(0 <= o and 0 <= s and o + s <= n for part in parts for o, s, n in zip(*part, size))
                and sum(math.prod(sizes) for _, sizes in parts) == math.prod(size)
            )
            chunks |= {(name, tuple(offset)): math.prod(sizes) * dtype.itemsize for offset, sizes in parts}
        except (AttributeError, TypeError):
            pass
        require(sound, f'{name!r:.80} is no tensor in parts')
    known = set()
    for index, info in storage.items():
        sound = False
        try:
            key = index.fqn, tuple(index.offset or ())
            file, begin, length = info.relative_path, info.offset, info.length
            sound = (
                type(index) is metadata.MetadataIndex
                and type(info) is filesystem._StorageInfo
                and file in shards.files
                and DATA.fullmatch(file)
                and info.transform_descriptors is None
                and type(begin) is type(length) is int
                and begin >= 0
                and chunks[key] <= length <= shards.files[file][0] - begin
            )
            known.add(key)
        except (AttributeError, TypeError, KeyError):
            pass
        require(sound, 'a part lies in no file')
    require(all(key in known for key, size in chunks.items() if size), 'a part is missing')


def _load(reader: SafeReader, targets: dict[str, Any], path: str) -> dict[str, Tensor]:
    """Fill tensors; every rank reads what is its own, and asks nobody."""
    planner = dcp.DefaultLoadPlanner(flatten_state_dict=False, flatten_sharded_tensors=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # that no ranks are asked
            dcp.load(targets, storage_reader=reader, planner=planner, no_dist=True)
    except (Exception, CheckpointException) as error:  # torch's is no Exception; damaged bytes raise anything
        failures = getattr(error, 'failures', {})
        cause = next((failure[0] for failure in failures.values()), error)
        raise CheckpointError(
            f'{path} is damaged: its shards cannot be read: {first_line(str(cause), type(cause).__name__):.200}'
        ) from error
    return targets
