"""Folder of tar files (WebDataset's format) whose members are read by name, in any order."""

import os
import struct
import tarfile
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from soho.datasets.storage.checksums import stamp_archive
from soho.datasets.storage.index import IndexBuilder, cached_place, load_or_build
from soho.datasets.storage.names import is_folder, is_image, is_litter
from soho.datasets.storage.packed_strings import PackedStrings
from soho.datasets.storage.zip_reader import MAX_BYTES, describe_excess
from soho.errors import clip

INDEX = 'shards.index'
_OPEN = 128  # shards that a process keeps open
_EXTENSIONS = {*tarfile.GNU_TYPES, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE} - {tarfile.GNUTYPE_SPARSE}
_LARGEST_EXTENSION = 1 << 20  # bytes
# Columns of the index: where a member's data are, and size and CRC-32 of all that stands before them for it.
_PLACE = (('shard', 'i'), ('offset', 'q'), ('member_size', 'q'), ('header_size', 'i'), ('header_crc', 'I'))


class TarShards(Sequence):
    """Members of all ``*.tar`` of a folder; as a sequence, their sorted names.

    A tar has no directory. The position of each member is found by one pass over the
    headers and kept in ``shards.index`` beside the shards, or at
    :func:`soho.datasets.storage.index.cached_place`; ``tools/prepare/shards.py`` writes it with the shards.
    A member ``./NAME``, as ``tar -C FOLDER .`` writes it, is called ``NAME``.
    Members are read with ``os.pread``, which needs neither lock nor a shared file
    position; forked processes share the index, spawned ones open it.

    Args:
        folder: Folder of the shards.
        max_bytes: Size of the largest member that is read.

    Raises:
        tarfile.TarError: A shard is damaged or compressed, or two members have one name.
    """

    def __init__(self, folder: str, max_bytes: int = MAX_BYTES) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._open()

    def _open(self) -> None:
        paths = sorted(shard_files(self.folder))
        self.shards = [path.name for path in paths]
        origin = dict(kind='shards', version=4, shards=[[path.name, *stamp_archive(path).values()] for path in paths])
        places = [Path(self.folder, INDEX), cached_place(self.folder, 'shards')]
        self._index = index = load_or_build(f'the folder of shards {self.folder}', places, origin, self._scan)
        self._names = index.texts('name')
        self._shard, self._offset, self._size, self._header_size, self._header_crc = (index[name] for name, _ in _PLACE)
        self._files: dict[int, FileIO] = {}

    def _scan(self, out: IndexBuilder) -> None:
        members: list[tuple[str, int, int, int, int, int]] = []
        for number, shard in enumerate(self.shards):
            path = os.path.join(self.folder, shard)
            try:
                with tarfile.open(path, 'r:', tarinfo=_Member) as tar, FileIO(path) as raw:
                    length = os.stat(path).st_size
                    for file in tar:
                        if not file.isfile() or is_litter(file.name):
                            continue
                        if file.issparse() or not 0 <= file.size <= length - file.offset_data:
                            raise tarfile.ReadError(f'{clip(file.name)} is sparse or longer than the shard')
                        header = os.pread(raw.fileno(), file.offset_data - file.offset, file.offset)
                        place = (number, file.offset_data, file.size, len(header), crc32(header))
                        members.append((file.name.removeprefix('./'), *place))
                    # tarfile takes a damaged header, but for the first one, for the end.
                    if os.pread(raw.fileno(), tarfile.BLOCKSIZE, tar.offset).strip(b'\0'):
                        raise tarfile.ReadError(f'no header at byte {tar.offset}')
            # Of damaged headers tarfile lets pass what its parts raise.
            except (tarfile.TarError, ValueError, OverflowError, EOFError, struct.error) as error:
                raise tarfile.ReadError(
                    f'the shard {shard} is damaged, or compressed, which shards are not ({clip(error)})'
                ) from error
        members.sort()
        if twice := [one[0] for one, other in pairwise(members) if one[0] == other[0]]:
            raise tarfile.ReadError(f'two members are called {clip(twice[0])}')
        names, columns = out.texts('name'), [out.numbers(column, kind) for column, kind in _PLACE]
        for name, *place in members:
            names.append(name)
            for column, value in zip(columns, place):
                column.append(value)

    def __getstate__(self) -> dict[str, Any]:
        return dict(folder=self.folder, max_bytes=self.max_bytes)

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> str:
        return self._names[index]

    def __contains__(self, name: object) -> bool:
        return self._find(str(name)) is not None

    def shards_of(self, names: PackedStrings) -> np.ndarray:
        """Return the number of the shard of each member, (N,) int64; 0 where there is no such member."""
        if not len(self):
            return np.zeros(len(names), np.int64)
        members, wanted = self._names.padded(), names.padded()
        index = np.minimum(np.searchsorted(members, wanted), len(members) - 1)
        return np.where(members[index] == wanted, self._shard[index], 0).astype(np.int64)

    def read(self, name: str) -> bytes:
        """Return the bytes of one member.

        Raises:
            KeyError: There is no such member.
            tarfile.TarError: The shard ends inside the member, has another one there, or the member is larger than
                ``max_bytes``.
            UserError: The index has been cut off since it was opened.
        """
        self._index.check_length()
        index = self._find(name)
        if index is None:
            raise KeyError(name)
        # The reference keeps the file open if another thread removes it from the table meanwhile.
        file = self._file(int(self._shard[index]))
        size = int(self._size[index])
        if size > self.max_bytes:
            raise tarfile.ReadError(describe_excess(size, self.max_bytes))
        offset, header_size = int(self._offset[index]), int(self._header_size[index])
        data = os.pread(file.fileno(), size, offset)
        if len(data) != size:
            raise tarfile.ReadError(f'{self.shards[self._shard[index]]} ends inside it')
        if crc32(os.pread(file.fileno(), header_size, offset - header_size)) != self._header_crc[index]:
            mend = f'remove {self._index.path} and start again' if self._index.path else 'start the run again'
            raise tarfile.ReadError(
                f'it is not there in {self.shards[self._shard[index]]}, which was exchanged for another of its size '
                f'and time: {mend}'
            )
        return data

    def _file(self, shard: int) -> FileIO:
        file = self._files.get(shard)
        if file is None:
            if len(self._files) >= _OPEN:
                self._files.pop(next(iter(self._files)), None)
            file = self._files[shard] = FileIO(os.path.join(self.folder, self.shards[shard]))
        return file

    def _find(self, name: str) -> int | None:
        index = bisect_left(self, name)
        return index if index < len(self) and self[index] == name else None


class _Member(tarfile.TarInfo):
    """A header whose extension, such as a long name, is not read where it is larger than any is."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> '_Member':
        member = super().frombuf(buf, encoding, errors)
        if member.type in _EXTENSIONS and member.size > _LARGEST_EXTENSION:
            raise tarfile.ReadError(f'a header of {member.size} bytes')
        return member


def is_sharded(folder: str) -> bool:
    """Return whether a folder holds tar files and no images or folders, which take precedence."""
    return not holds_images(folder) and any(shard_files(folder))


def shard_files(folder: str) -> Iterator[Path]:
    """Yield the tar files of a folder, in no order."""
    return (path for path in Path(folder).glob('*.tar') if not is_litter(path.name) and path.is_file())


def holds_images(folder: str) -> bool:
    """Return whether a folder holds images, or folders that may hold them; listing stops at the first one."""
    with os.scandir(folder) as entries:
        return any(is_image(entry.name) or is_folder(entry) for entry in entries if not is_litter(entry.name))
