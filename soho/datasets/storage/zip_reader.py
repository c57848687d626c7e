"""Reading single members of a large zip from many processes at once."""

import os
import struct
import weakref
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from soho.datasets.storage.index import Index, IndexBuilder, cached_place, load_or_build
from soho.datasets.storage.manifest import file_fingerprint

LARGE = 1 << 30  # bytes of a zip from which the directory is kept in a file
_LOCAL_HEADER = struct.Struct('<4s22xHH')
_ENCRYPTED = 0x1
# Directory entry of a member: name of the column, attribute of zipfile.ZipInfo, type code.
_ENTRY = (
    ('offset', 'header_offset', 'q'),
    ('stored_size', 'compress_size', 'q'),
    ('size', 'file_size', 'q'),
    ('crc', 'CRC', 'I'),
    ('method', 'compress_type', 'H'),
    ('flags', 'flag_bits', 'H'),
)


class ZipReader(Sequence):
    """Zip whose members are read without a shared file position or lock; as a sequence, their sorted names.

    The central directory is read once, into flat arrays: forked workers share
    their pages (nothing in them is reference-counted, so nothing is copied on
    use) and spawned workers receive them pickled instead of reading the directory
    again. The directory of a zip of 1 GiB or more is kept in a file, see
    :mod:`soho.datasets.storage.index`, and mapped. Members are read with ``os.pread``, which takes its
    position as an argument, so that one descriptor serves any number of
    threads and forked processes.

    Stored and deflated members are decoded here; any other method is left to
    :mod:`zipfile`, with one archive object per process.

    Args:
        path: Path of the zip.

    Raises:
        zipfile.BadZipFile: The file is not a zip, or its directory is damaged.
        OSError: The file cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        origin: dict[str, Any] = dict(kind='members', **file_fingerprint(path))
        places = [Path(f'{path}.members.index'), cached_place(path, 'members')]
        self._index = load_or_build(path, places, origin, self._scan, persist=origin['bytes'] >= LARGE)
        self._open()

    def _scan(self, out: IndexBuilder) -> None:
        with zipfile.ZipFile(self.path) as archive:
            # NameToInfo keeps the last of several members of one name, as unzip does.
            members = sorted((name.encode(), info) for name, info in archive.NameToInfo.items())
        names = out.texts('name')
        for name, _ in members:
            names.append(name.decode())
        for column, attribute, kind in _ENTRY:
            out.numbers(column, kind).extend(getattr(info, attribute) for _, info in members)

    def _open(self) -> None:
        self._names = self._index.texts('name')
        self._entries = [self._index[column] for column, *_ in _ENTRY]
        self._descriptor = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        self._archive: tuple[int, zipfile.ZipFile] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return dict(path=self.path, index=self._index if self._index.path is None else None)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path = state['path']
        if state['index'] is None:
            self.__init__(self.path)
        else:
            self._index: Index = state['index']
            self._open()

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> str:
        return self._names[index]

    def __contains__(self, name: object) -> bool:
        return self._find(str(name)) is not None

    def read(self, name: str) -> bytes:
        """Return the uncompressed bytes of one member.

        Raises:
            KeyError: There is no such member.
            zipfile.BadZipFile: The member is damaged (header, length or checksum) or encrypted.
        """
        index = self._find(name)
        if index is None:
            raise KeyError(name)
        offset, stored_size, size, crc, method, flags = (column[index].item() for column in self._entries)
        if method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or flags & _ENCRYPTED:
            return self._read_with_zipfile(name)
        # The local header repeats the name and has its own extra field, whose
        # length may differ from the directory's.
        magic, name_size, extra_size = _LOCAL_HEADER.unpack(self._pread(offset, _LOCAL_HEADER.size))
        if magic != b'PK\x03\x04':
            raise zipfile.BadZipFile('no member starts where the directory says')
        data = self._pread(offset + _LOCAL_HEADER.size + name_size + extra_size, stored_size)
        if method == zipfile.ZIP_DEFLATED:
            try:
                data = zlib.decompress(data, -zlib.MAX_WBITS, size)
            except zlib.error as error:
                raise zipfile.BadZipFile(str(error)) from error
        if zlib.crc32(data) != crc:
            raise zipfile.BadZipFile('its checksum does not fit')
        return data

    def _pread(self, offset: int, size: int) -> bytes:
        data = os.pread(self._descriptor, size, offset)
        if len(data) != size:
            raise zipfile.BadZipFile('the file ends inside the member')
        return data

    def _read_with_zipfile(self, name: str) -> bytes:
        # A ZipFile has a file position, which a forked process must not share.
        if self._archive is None or self._archive[0] != os.getpid():
            self._archive = (os.getpid(), zipfile.ZipFile(self.path))
        try:
            return self._archive[1].read(name)
        except Exception as error:  # each decompressor has its own kinds of errors
            raise zipfile.BadZipFile(str(error)) from error

    def _find(self, name: str) -> int | None:
        index = bisect_left(self, name)
        return index if index < len(self) and self[index] == name else None
