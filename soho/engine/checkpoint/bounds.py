"""What a checkpoint's file may ask of whoever reads it: memory and time in proportion to its size.

A file of a kilobyte can stand for terabytes: compressed parts, a list that holds itself or many times the same one, a
tensor of one number that is repeated. All of it is refused before it is unfolded. Needs torch only.
"""

import io
import os
import pickletools
import struct
import zipfile
from collections.abc import Iterator
from typing import IO, Any

import torch
from torch import Tensor, nn

from soho.engine.checkpoint.errors import CheckpointError
from soho.errors import clip

DEEPEST = 64
"""Dicts and lists in one another."""
MOST_VALUES = 10**7
"""Values in dicts and lists, counted as often as they are reached."""
_REPEATED = 16  # times the size of the file that its tensors may hold, since one may be under several names
_LONGEST_NAME = 1000  # characters of a class or function that a pickle names
_OLD_PICKLES = 5  # that a file of an older torch begins with
# What torch would call for bytes, which are no part of a checkpoint: the first makes a gigabyte of a number, and the
# second knows encodings that double a text or take the square of its length.
_OF_BYTES = ('builtins.bytearray', '__builtin__.bytearray', '_codecs.encode')
_WITHOUT_ARITHMETIC = getattr(torch, 'float4_e2m1fn_x2', None)


def is_zip(path: str) -> bool:
    """Whether torch takes a file for a zip, as it writes them, and not for a bare pickle."""
    with open(path, 'rb') as file:
        return file.read(4) == b'PK\x03\x04'


def check_parts(archive: zipfile.ZipFile, path: str) -> None:
    """Refuse an archive that unfolds to more than its file holds; torch writes parts uncompressed.

    Raises:
        CheckpointError: A part is compressed, or the parts together are larger than the file.
    """
    parts = archive.infolist()
    if packed := [part.filename for part in parts if part.compress_type != zipfile.ZIP_STORED]:
        raise CheckpointError(
            f'{path} is refused: its part {clip(packed[0])} is compressed, as torch writes none, so that nobody '
            'knows how large it becomes; write it again with torch.save'
        )
    if sum(part.file_size for part in parts) > os.path.getsize(path):
        raise CheckpointError(f'{path} is damaged: its parts say that they are larger than the file')


def find_harmful_name(path: str) -> str | None:
    """The name of a class or function that a file asks for, and that may take all time or memory.

    A name without end is one too: what torch does to say that it does not know one takes the square of its length.

    Raises:
        CheckpointError: See :func:`check_parts`.
        UnicodeDecodeError: A name is no ASCII.
    """
    try:
        if not is_zip(path):
            with open(path, 'rb') as file:
                return _first_harmful(name for _ in range(_OLD_PICKLES) for name in _read_names(file))
        with zipfile.ZipFile(path) as archive:
            check_parts(archive, path)
            # torch finds the name in capitals too.
            pickles = [part for part in archive.infolist() if part.filename.lower().endswith('data.pkl')]
        return _first_harmful(name for part in pickles for name in _read_names(io.BytesIO(_read_stored(path, part))))
    except (CheckpointError, UnicodeDecodeError):
        raise
    except Exception:  # damaged, or no more pickles: torch knows better what to say
        return None


def _read_stored(path: str, part: zipfile.ZipInfo) -> bytes:
    """A part as torch reads it: whatever its checksum."""
    with open(path, 'rb') as file:
        file.seek(part.header_offset + 26)
        file.seek(sum(struct.unpack('<HH', file.read(4))), os.SEEK_CUR)
        return file.read(part.file_size)


def _first_harmful(names: Iterator[str]) -> str | None:
    return next((name for name in names if len(name) > _LONGEST_NAME or name in _OF_BYTES), None)


def _read_names(file: IO[bytes]) -> Iterator[str]:
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == 'GLOBAL' and isinstance(argument, str):
            yield argument.replace(' ', '.')


def check_values(checkpoint: Any, path: str) -> None:
    """Refuse contents that are more than what the file holds, however often it names it; nothing is unfolded.

    What a file gives tensors and dicts as attributes, which could stand in for their methods, is taken from them.

    Args:
        checkpoint: As ``torch.load`` returns it.
        path: Of the file.

    Raises:
        CheckpointError: A list holds itself, dicts and lists are nested too deeply or too many, a tensor is none of
            plain numbers, or the tensors are too large.
    """
    _, values, size = _measure(checkpoint, 'it', 0, {}, path)
    if values > MOST_VALUES:
        raise CheckpointError(
            f'{path} is refused: it holds {values} values in dicts and lists, more than {MOST_VALUES}'
        )
    if size > _REPEATED * os.path.getsize(path):
        raise CheckpointError(f'{path} is refused: its tensors are said to hold {size} bytes, far more than the file')


def _measure(value: Any, name: str, depth: int, known: dict[int, Any], path: str) -> tuple[int, int, int]:
    """How deep a value is nested, how many values it holds and how many bytes in tensors.

    Args:
        value: Of the checkpoint.
        name: Its key, for messages.
        depth: Dicts and lists around it.
        known: The answers for dicts and lists by their ``id``; ``None`` for one around this value.
        path: Of the file.
    """
    if isinstance(value, Tensor):
        strided = value.layout is torch.strided and not value.is_meta and value.dtype != _WITHOUT_ARITHMETIC
        if type(value) not in (Tensor, nn.Parameter) or not strided:
            raise CheckpointError(f'{path} is refused: {clip(name)} is no tensor of plain numbers')
        vars(value).clear()
        return 0, 1, value.numel() * value.itemsize
    if not isinstance(value, (dict, list, tuple, set)):
        return 0, 1, 0
    found = known.get(id(value), ())
    if found is None or depth + (found[0] if found else 0) > DEEPEST:
        raise CheckpointError(f'{path} is refused: {clip(name)} holds itself, or more than {DEEPEST} dicts and lists')
    if found:
        return found
    known[id(value)] = None
    if isinstance(value, dict):
        if hasattr(value, '__dict__'):
            vars(value).clear()
        items = [*((key, key) for key in value if isinstance(key, tuple)), *dict.items(value)]
    else:
        items = [(name, item) for item in value]
    height, values, size = 0, 1, 0
    for key, item in items:
        deep, many, large = _measure(item, key if isinstance(key, str) else name, depth + 1, known, path)
        height, values, size = max(height, 1 + deep), values + many, size + large
    known[id(value)] = height, values, size
    return height, values, size
