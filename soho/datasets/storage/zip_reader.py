"""Reading single members of a large zip from many processes at once."""

import bz2
import lzma
import os
import struct
import weakref
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from soho.datasets.storage.checksums import stamp_archive
from soho.datasets.storage.index import Index, IndexBuilder, cached_place, load_or_build
from soho.errors import clip

LARGE = 1 << 30  # bytes of a zip from which the directory is kept in a file
MAX_BYTES = 1 << 28  # bytes of the largest image file that is read, unless a config says otherwise
_LOCAL_HEADER = struct.Struct('<4s22xHH')
_VERSION = 2  # of the columns of the index
_UTF_8 = 0x800
_LZMA_HEADER = struct.Struct('<HHBI')
_ENCRYPTED = 0x1
# Directory entry of a member: name of the column, attribute of zipfile.ZipInfo, type code.
_ENTRY = (
    ('offset', 'header_offset', 'q'),
    ('stored_size', 'compress_size', 'q'),
    ('member_size', 'file_size', 'q'),
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

    Nothing that the directory says is believed further than the file reaches: a member is read within the file, and
    decompressed to no more than the size that is stated for it, which ``max_bytes`` bounds.

    Args:
        path: Path of the zip.
        max_bytes: Size of the largest member that is read.

    Raises:
        zipfile.BadZipFile: The file is not a zip, or its directory is damaged.
        OSError: The file cannot be opened.
    """

    def __init__(self, path: str, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self.max_bytes = max_bytes
        origin: dict[str, Any] = dict(kind='members', version=_VERSION, **stamp_archive(path))
        places = [Path(f'{path}.members.index'), cached_place(path, 'members')]
        self._index = load_or_build(path, places, origin, self._scan, persist=origin['bytes'] >= LARGE)
        self._open()

    def _scan(self, out: IndexBuilder) -> None:
        names = out.texts('name')
        try:
            with zipfile.ZipFile(self.path) as archive:
                # NameToInfo keeps the last of several members of one name, as unzip does.
                members = sorted((name.encode(), info) for name, info in archive.NameToInfo.items())
            for name, _ in members:
                names.append(name.decode())
            for column, attribute, kind in _ENTRY:
                out.numbers(column, kind).extend(getattr(info, attribute) for _, info in members)
            out.numbers('name_crc', 'I').extend(zlib.crc32(_stored_name(info)) for _, info in members)
        # Of damaged directories zipfile lets pass what its parts raise.
        except (ValueError, NotImplementedError, RuntimeError, EOFError, OverflowError, struct.error) as error:
            raise zipfile.BadZipFile(f'its directory is damaged: {clip(error)}') from error

    def _open(self) -> None:
        self._names = self._index.texts('name')
        self._entries = [self._index[column] for column in (*(column for column, *_ in _ENTRY), 'name_crc')]
        self._descriptor = os.open(self.path, os.O_RDONLY)
        self._length = os.fstat(self._descriptor).st_size
        weakref.finalize(self, os.close, self._descriptor)

    def __getstate__(self) -> dict[str, Any]:
        index = self._index if self._index.path is None else None
        return dict(path=self.path, max_bytes=self.max_bytes, index=index)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path, self.max_bytes = state['path'], state['max_bytes']
        if state['index'] is None:
            self.__init__(self.path, self.max_bytes)
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
            zipfile.BadZipFile: The member is damaged (header, length or checksum), encrypted, compressed by a method
                other than deflate, bzip2 and LZMA, or larger than ``max_bytes``.
            UserError: The file of the directory has been cut off since it was opened.
        """
        self._index.check_length()
        index = self._find(name)
        if index is None:
            raise KeyError(name)
        offset, stored_size, size, crc, method, flags, name_crc = (column[index].item() for column in self._entries)
        if flags & _ENCRYPTED:
            raise zipfile.BadZipFile('it is encrypted')
        if max(size, stored_size) > self.max_bytes:
            raise zipfile.BadZipFile(describe_excess(max(size, stored_size), self.max_bytes))
        # The local header repeats the name and has its own extra field, whose
        # length may differ from the directory's.
        magic, name_size, extra_size = _LOCAL_HEADER.unpack(self._pread(offset, _LOCAL_HEADER.size))
        if magic != b'PK\x03\x04':
            raise zipfile.BadZipFile('no member starts where the directory says')
        if zlib.crc32(self._pread(offset + _LOCAL_HEADER.size, name_size)) != name_crc:
            raise zipfile.BadZipFile('a member of another name is where the directory says')
        data = self._pread(offset + _LOCAL_HEADER.size + name_size + extra_size, stored_size)
        data = _decompress(data, method, size)
        if len(data) != size or zlib.crc32(data) != crc:
            raise zipfile.BadZipFile('its length or its checksum does not fit')
        return data

    def _pread(self, offset: int, size: int) -> bytes:
        # Asked for first: os.pread reserves memory for all that it is to read.
        data = os.pread(self._descriptor, size, offset) if 0 <= offset <= self._length - size else b''
        if len(data) != size:
            raise zipfile.BadZipFile('the file ends inside the member')
        return data

    def _find(self, name: str) -> int | None:
        index = bisect_left(self, name)
        return index if index < len(self) and self[index] == name else None


def _stored_name(info: zipfile.ZipInfo) -> bytes:
    """Return a name as the archive has it, of which zipfile keeps the text."""
    return info.orig_filename.encode('utf-8' if info.flag_bits & _UTF_8 else 'cp437')


def describe_excess(size: int, max_bytes: int) -> str:
    """Return what is wrong with a file of more than ``max_bytes``."""
    return f'it has {size} bytes, more than max_image_bytes={max_bytes} of the data set'


def _decompress(data: bytes, method: int, size: int) -> bytes:
    """Return the uncompressed bytes of a member, at most one more than ``size``.

    :mod:`zipfile` does not bound what bzip2 and LZMA give: two kilobytes of bzip2 may be two gigabytes.
    """
    try:
        if method == zipfile.ZIP_STORED:
            return data
        if method == zipfile.ZIP_DEFLATED:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)
        if method == zipfile.ZIP_BZIP2:
            return bz2.BZ2Decompressor().decompress(data, size + 1)
        if method == zipfile.ZIP_LZMA:
            return _lzma_decompressor(data, size).decompress(data[_LZMA_HEADER.size :], size + 1)
    except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError, struct.error) as error:
        raise zipfile.BadZipFile(str(error)) from error
    raise zipfile.BadZipFile(f'its compression, method {method}, is not known')


def _lzma_decompressor(data: bytes, size: int) -> lzma.LZMADecompressor:
    """Return the decompressor that the head of a member asks for: version, length of the properties, properties."""
    _, length, properties, dictionary = _LZMA_HEADER.unpack_from(data)
    if length != 5 or properties >= 9 * 5 * 5:
        raise lzma.LZMAError('its LZMA properties are broken')
    rest, lc = divmod(properties, 9)
    pb, lp = divmod(rest, 5)
    # More of a dictionary than the whole member is never used, but would be reserved.
    dictionary = max(4096, min(dictionary, size))
    filters = [dict(id=lzma.FILTER_LZMA1, lc=lc, lp=lp, pb=pb, dict_size=dictionary)]
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
