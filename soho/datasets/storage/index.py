"""Contents of an annotation file as flat arrays, which open in milliseconds and which all processes share.

Reading millions of captions from json takes tens of seconds and gives every process
its own copy. The first run writes them into one file beside the annotations, in
the safetensors layout (a json header, then plain arrays), which later runs and
all workers map into memory. It ends with its own checksum, and it belongs to contents, not to a date:
see :mod:`soho.datasets.storage.checksums`.

Ours rather than pyarrow (165 MB installed): with 2 million captions and a column of numbers both files have
109 MB and open in 0.15 ms, and 100,000 captions at random take 105 ms here and 115 ms there.
"""

import json
import mmap
import os
from array import array
from collections.abc import Callable, Collection
from io import FileIO
from itertools import accumulate, islice
from logging import WARNING
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log
from safetensors.numpy import save_file

from soho.datasets.records import ImageRecord
from soho.datasets.storage.checksums import SEALED, checksum_file, place_in_cache, seal_file, stamp_file
from soho.datasets.storage.json_records import to_record
from soho.datasets.storage.names import check_name
from soho.datasets.storage.packed_strings import CODEC, PackedStrings
from soho.errors import UserError
from soho.files import atomic_path
from soho.locks import file_lock

FORMAT = 3  # version of the file layout; an index of another version is rebuilt
SMALL = 1 << 22  # bytes of an annotation file that needs no index to be read quickly
_SEAL = '~'  # the last array of a file, since safetensors sorts them by dtype and name: the checksum of all before it
_DTYPES = {'U8': np.uint8, 'U16': np.uint16, 'U32': np.uint32, 'I32': np.int32, 'I64': np.int64, 'F32': np.float32}


class Index:
    """Read-only arrays by name.

    Args:
        arrays: The arrays; texts are two of them, ``NAME`` and ``NAME.ends``.
        meta: Other data, JSON values.
        origin: Identity of what the arrays were made from, JSON values.
        path: File that the arrays are mapped from, if any.
        view: The file in memory.
    """

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        meta: dict[str, Any],
        origin: dict[str, Any],
        path: Path | None = None,
        view: mmap.mmap | None = None,
    ) -> None:
        self.arrays, self.meta, self.origin, self.path = arrays, meta, origin, path
        self._view = view

    def check_length(self) -> None:
        """Raise an error where another program has cut off the file; to read on would kill the process by SIGBUS.

        It is asked before each sample and takes half a microsecond. A file that is replaced as a whole does no harm.

        Raises:
            UserError: The file is shorter than when it was opened.
        """
        if self._view is not None and self._view.size() < len(self._view):
            raise UserError(
                f'{self.path} was cut off by another program, to {self._view.size()} of {len(self._view)} bytes, while '
                'this run was reading it: start the run again, with --resume, and the file is made anew'
            )

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def texts(self, name: str) -> PackedStrings:
        """Return the text column ``name``."""
        return PackedStrings.of(self.arrays[name], self.arrays[f'{name}.ends'])

    def original_ids(self, name: str) -> list[int | str] | None:
        """Return the ids of an :class:`IdentityColumn`; None where the column's numbers are the ids."""
        if f'{name}.is_text' not in self.arrays:
            return None
        return read_ids(self.texts(f'{name}.text'), self.arrays[f'{name}.is_text'])


class IndexBuilder:
    """Builder of an index from images and columns of numbers and texts, without Python objects per item."""

    def __init__(self) -> None:
        self._numbers: dict[str, array] = {}
        self._texts: dict[str, TextColumn] = {}
        self._identities: dict[str, IdentityColumn] = {}
        self.meta: dict[str, Any] = {}
        self._names, self._ids, self._sizes = self.texts('file_name'), self.texts('image_id'), self.numbers('size', 'i')
        self._id_is_text = self.numbers('image_id.is_text', 'B')

    def image(self, record: ImageRecord | dict[str, Any]) -> None:
        """Append an image.

        Raises:
            UserError: A dict is not an :class:`ImageRecord`, or the file name leaves the folder of the images.
        """
        image = record if isinstance(record, ImageRecord) else to_record(record, ImageRecord, 'an image')
        check_name(image.file_name)
        self._names.append(image.file_name)
        self._ids.append(str(image.image_id))
        self._id_is_text.append(isinstance(image.image_id, str))
        self._sizes.extend((image.height, image.width))

    def identities(self, name: str) -> 'IdentityColumn':
        """Return the column ``name`` of ids, of anything but images."""
        return self._identities.setdefault(name, IdentityColumn())

    def numbers(self, name: str, kind: str = 'q') -> array:
        """Return the number column ``name``; ``kind`` as in :mod:`array`: q is int64, i int32, f float32."""
        column = self._numbers.setdefault(name, array(kind))
        assert column.typecode == kind, f'the column {name} has another type, {column.typecode}'
        return column

    def texts(self, name: str) -> 'TextColumn':
        """Return the text column ``name``."""
        return self._texts.setdefault(name, TextColumn())

    def finish(self, origin: dict[str, Any]) -> Index:
        """Return the index."""
        arrays = {name: np.frombuffer(column, column.typecode) for name, column in self._numbers.items()}
        for name, column in self._texts.items():
            arrays[name] = np.frombuffer(column.blob, np.uint8)
            arrays[f'{name}.ends'] = np.frombuffer(column.ends, np.int64)
        for name, column in self._identities.items():
            arrays |= column.arrays(name)
        return Index(arrays, self.meta, origin)


class IdentityColumn:
    """Ids as numbers for batches: the ids themselves if all are numbers from 0 on, else 0, 1, 2, ... and the ids apart.

    Two ids are never given one number, and ``12`` is another id than ``'12'``.
    """

    def __init__(self) -> None:
        self._numbers = array('q')
        self._ids: list[int | str] | None = None

    def append(self, identity: int | str) -> None:
        """Append an id."""
        if self._ids is None:
            if isinstance(identity, int) and identity >= 0:
                self._numbers.append(identity)
                return
            self._ids = list(self._numbers)
        self._ids.append(identity)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of the column ``name`` in an index."""
        if self._ids is None:
            return {name: np.frombuffer(self._numbers, np.int64)}
        texts = PackedStrings(map(str, self._ids))
        return {
            name: np.arange(len(texts)),
            f'{name}.text': texts.blob,
            f'{name}.text.ends': np.append(texts.starts, texts.stops[-1:]),
            f'{name}.is_text': np.array([isinstance(identity, str) for identity in self._ids], np.uint8),
        }


def read_ids(texts: PackedStrings, is_text: np.ndarray) -> list[int | str]:
    """Return ids from their texts; the others of them are numbers."""
    return [texts[i] if kind else int(texts[i]) for i, kind in enumerate(is_text)]


class TextColumn:
    """Texts as one array of bytes, with the end of each."""

    def __init__(self) -> None:
        self.blob = bytearray()
        self.ends = array('q', [0])

    def append(self, text: str) -> None:
        """Append a text."""
        self.blob += text.encode(*CODEC)
        self.ends.append(len(self.blob))

    def extend(self, texts: Collection[str]) -> None:
        """Append texts."""
        joined = ''.join(texts)
        encoded = joined.encode(*CODEC)
        # Of ASCII a character is a byte.
        sizes = map(len, texts) if len(encoded) == len(joined) else (len(text.encode(*CODEC)) for text in texts)
        # The first of the sums is the end that is there already.
        self.ends.extend(islice(accumulate(sizes, initial=len(self.blob)), 1, None))
        self.blob += encoded

    def __len__(self) -> int:
        return len(self.ends) - 1


def open_index(ann_file: str, kind: str, scan: Callable[[IndexBuilder], None], version: int = 1) -> Index:
    """Return the index of an annotation file; it is built if there is none yet or the file has changed since.

    The index is kept beside the file or, if that folder cannot be written, in the
    user's cache folder (on Linux ``$XDG_CACHE_HOME/soho`` or ``~/.cache/soho``). If neither can be written, and for
    files of less than 4 MiB, it stays in memory.

    Args:
        ann_file: Path of the annotation file.
        kind: Name of the annotation format; part of the index file's name.
        scan: Function that reads ``ann_file`` into the builder; called only if needed.
        version: Version of ``scan``; an index made by another version is rebuilt.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: ``scan`` found a mistake in the file.
    """
    origin: dict[str, Any] = dict(kind=kind, version=version, **stamp_file(ann_file))
    return load_or_build(ann_file, index_places(ann_file, kind), origin, scan, persist=origin['bytes'] >= SMALL)


def load_or_build(
    what: str, places: list[Path], origin: dict[str, Any], scan: Callable[[IndexBuilder], None], persist: bool = True
) -> Index:
    """Return an index made from ``origin``: loaded from one of ``places``, else built and saved there.

    Args:
        what: Name in messages of what ``scan`` reads.
        places: Paths of the index file in order of preference.
        origin: Identity of what ``scan`` reads: equal as long as that is the same; JSON values.
        scan: Function that fills the builder.
        persist: Whether to save the index.
    """
    origin = dict(format=FORMAT, **origin)
    seen = {place: _identity(place) for place in places}
    for place in places:
        if index := load(place, origin):
            return index
    for place in places if persist else ():
        with file_lock(place) as writable:
            if not writable:
                continue
            # Another process may have made it while this one waited.
            if _identity(place) != seen[place] and (index := load(place, origin)):
                return index
            when = 'again, since it or its index has changed' if place.exists() else 'for the first time'
            print_log(f'{what} is read {when}, which takes a while; later runs will use {place}', 'current')
            index = _scanned(scan, origin)
            if save(place, index):
                return load(place, origin) or index
            return index
    if persist:
        print_log(
            f'{what} is read anew by every run, because its index can be written neither to '
            f'{" nor to ".join(str(place.parent) for place in places)}',
            'current',
        )
    return _scanned(scan, origin)


def index_places(path: str, kind: str) -> list[Path]:
    """Return the paths where the index of a file may be: beside it, or in the user's cache."""
    return [Path(f'{path}.{kind}.index'), cached_place(path, kind)]


def cached_place(path: str, kind: str) -> Path:
    """Return the path, in the user's cache, of the index of a file whose folder cannot be written."""
    return place_in_cache(os.path.abspath(path), f'{kind}.index')


def _identity(path: Path) -> tuple[int, int] | None:
    """What differs between a file and another that has taken its name; ``None`` where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _scanned(scan: Callable[[IndexBuilder], None], origin: dict[str, Any]) -> Index:
    builder = IndexBuilder()
    scan(builder)
    return builder.finish(origin)


def save(path: Path, index: Index) -> bool:
    """Write an index; return False where there is no room or no permission."""
    metadata = dict(origin=json.dumps(index.origin), meta=json.dumps(index.meta))
    try:
        with atomic_path(path) as temporary:
            arrays = {name: np.ascontiguousarray(value) for name, value in index.arrays.items()}
            save_file(arrays | {_SEAL: np.zeros(4, np.uint8)}, temporary, metadata)
            seal_file(temporary)
            temporary.chmod(0o644)  # safetensors lets nobody else read it
    except Exception as error:  # safetensors has its own kind of error for a full disk
        print_log(f'{path} could not be written ({error})', 'current')
        return False
    return True


def load(path: Path, origin: dict[str, Any]) -> Index | None:
    """Return the index at ``path``, mapped into memory; None if there is none that was made from ``origin``.

    One that is damaged is said to be, and is none.
    """
    try:
        with FileIO(path) as file:
            view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            size = int.from_bytes(view[:8], 'little')
            header = json.loads(view[8 : 8 + size])
            metadata = header.pop('__metadata__')
            if json.loads(metadata['origin']) != origin:
                return None
            if checksum_file(file) != SEALED:
                raise ValueError('its checksum is wrong')
        del header[_SEAL]
        arrays = {name: _array(view, 8 + size, **entry) for name, entry in header.items()}
        return Index(arrays, json.loads(metadata['meta']), origin, path, view)
    except OSError:  # absent, or not for this user
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        print_log(f'{path} is damaged ({error}), and not used', 'current', WARNING)
        return None


def _array(view: mmap.mmap, start: int, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    array = np.frombuffer(view, _DTYPES[dtype], int(np.prod(shape)), start + data_offsets[0])
    return array.reshape(shape)


def spans(ends: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return start and length of ``rows`` of a column whose row i goes from ``ends[i - 1]`` to ``ends[i]``."""
    starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
    return starts[rows], (ends - starts)[rows]


def expand(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the concatenated ranges of ``counts[i]`` rows from ``starts[i]``."""
    return np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
