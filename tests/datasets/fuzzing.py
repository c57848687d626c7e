"""How files are damaged, and what a reader may make of them: it accepts a file or says one short sentence.

What a reader could not bear once stays in ``tests/data/fuzz``, a folder a target.
"""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from soho.errors import LONGEST_SENTENCE, UserError

VALUES = st.sampled_from(
    [None, True, '', ' ', 'x', '7', '60.0', 'nan', '\ud83d', 'a\0b', '../../etc/passwd', '/dev/zero', 'x' * 100_000]
    + [0, -1, 1, 7, 1.5, 60.0, float('nan'), float('inf'), 1e9, 1e300, 1 << 31, 1 << 63, 10**400]
    + [[], {}, [[]], [None], [1, 1], [1e9, 1e9], [-1] * 4, ['a'] * 4, {'size': [10**9, 10**9], 'counts': [1, 1]}]
)
KEYS = st.sampled_from(['', ' ', '0', '-1', '1.5', '9' * 5000, 'x' * 100_000, '\ud83d', 'a\0b', '../../etc/passwd'])


def places(value, path=()):
    """Yield the path of every value inside of a JSON value."""
    yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


@st.composite
def damaged(draw, whole, values=VALUES):
    """A JSON value, or a checkpoint, with some of its ``values`` exchanged, left out, repeated or named anew."""
    value = copy.deepcopy(whole)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(places(value))))
        new = copy.deepcopy(draw(values))
        if not path:
            return new
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        kind = draw(st.sampled_from(['exchange', 'exchange', 'exchange', 'drop', 'repeat', 'rename']))
        if kind == 'drop':
            del parent[path[-1]]
        elif kind == 'rename' and isinstance(parent, dict):
            parent[draw(KEYS)] = parent.pop(path[-1])
        elif kind == 'repeat' and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[path[-1]]))
        else:
            parent[path[-1]] = new
    return value


def accepts_or_says(read, *args):
    """Check what a reader makes of a file; returns the sentence, ``None`` where it accepts it.

    A sentence is shortened where it is made; one of ``LONGEST_SENTENCE`` would have been cut by :class:`UserError`.
    """
    try:
        read(*args)
    except (UserError, FileNotFoundError) as error:
        sentence = str(error)
        assert 0 < len(sentence) < LONGEST_SENTENCE - 1 and '\n' not in sentence, sentence[:2000]
        return sentence
    return None


SNIPPETS = [
    b'\xff',
    b'\0',
    b'"',
    b',',
    b'\n',
    b'*',
    b'{',
    b'[' * 3000,
    b'9' * 5000,
    b'x' * 200_000,
    b'../../etc/passwd',
]
NUMBERS = [b'0', b'-1', b'1e400', b'nan', b'2147483648', b'9' * 30]
SIZES = [0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def change_bytes(data, whole):
    """Bytes with some exchanged, cut, put twice or put in, among them numbers in a text and sizes of 2 or 4 bytes."""
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(changed) - 1))
        kind = data.draw(st.sampled_from(['bit', 'byte', 'cut', 'twice', 'put in', 'number', 'size', 'end']))
        if kind == 'bit':
            changed[place] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == 'byte':
            changed[place] = data.draw(st.sampled_from([0, 9, 34, 45, 48, 57, 91, 123, 128, 255]))
        elif kind == 'cut':
            del changed[place : place + data.draw(st.integers(1, 40))]
        elif kind == 'twice':
            changed[place:place] = changed[place : place + data.draw(st.integers(1, 40))]
        elif kind == 'put in':
            changed[place:place] = data.draw(st.sampled_from(SNIPPETS))
        elif kind == 'number':
            if number := re.compile(rb'\d+').search(changed, place):
                changed[slice(*number.span())] = data.draw(st.sampled_from(NUMBERS))
        elif kind == 'size':
            width, order = data.draw(st.sampled_from([(2, 'little'), (4, 'little'), (2, 'big'), (4, 'big')]))
            size = data.draw(st.sampled_from(SIZES)) & ((1 << 8 * width) - 1)
            changed[place : place + width] = size.to_bytes(width, order)
        else:
            del changed[place:]
        if not changed:
            break
    return bytes(changed)


class Target(NamedTuple):
    """A format with what damages it and what reads it."""

    name: str
    """Path of the file in a folder."""
    whole: bytes
    """Its sound contents, which are accepted."""
    damage: Callable[[Any], bytes]
    """Gets hypothesis's ``data`` and returns damaged contents."""
    read: Callable[[Path], Any]
    """Gets the folder."""
    surroundings: dict[str, bytes] = {}
    """Contents of the files beside it, by path."""

    def prepare(self, folder):
        """Write the file and what is beside it, and have the whole file read."""
        for path, contents in self.surroundings.items():
            _write(folder / path, contents)
        self.put(folder, self.whole)()

    def put(self, folder, contents):
        """Write the file; return the call that reads it."""
        _write(folder / self.name, contents)
        return lambda: self.read(folder)


def _write(path, contents):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)


def corpus(name):
    """The files of ``tests/data/fuzz`` that the reader of a target could not bear once."""
    return sorted((Path(__file__).parents[1] / 'data' / 'fuzz' / slug(name)).glob('*'))


def slug(name):
    """The name of a target as that of a folder."""
    return re.sub('[^a-z0-9.]+', '_', name.lower())


def json_target(whole, read, name='file.json'):
    """JSON values exchanged, left out or repeated."""
    return Target(
        name,
        json.dumps(whole).encode(),
        lambda data: json.dumps(data.draw(damaged(whole))).encode(),
        lambda folder: read(str(folder / name)),
    )


def lines_target(whole, read, name='dev.jsonl'):
    """The same of a file with a JSON value a line."""

    def encode(lines):
        text = ''.join(json.dumps(line) + '\n' for line in lines) if isinstance(lines, list) else str(lines)
        return text.encode('utf-8', 'surrogatepass')

    return Target(
        name, encode(whole), lambda data: encode(data.draw(damaged(whole))), lambda folder: read(str(folder / name))
    )


def bytes_target(name, whole, read, surroundings=None):
    """Bytes exchanged, cut or put twice.

    Args:
        name: Path of the file in the folder.
        whole: Its sound contents.
        read: Gets the folder.
        surroundings: Contents of the files beside it, by path.
    """
    return Target(name, whole, lambda data: change_bytes(data, whole), read, surroundings or {})


def packed_target(name, parts, pack, read, surroundings=None):
    """The same of the parts of a file that has checksums, which are right again.

    Args:
        name: Path of the file in the folder.
        parts: Contents of its parts, by name.
        pack: Makes the file of them.
        read: Gets the folder.
        surroundings: Contents of the files beside it, by path.
    """

    def damage(data):
        part = data.draw(st.sampled_from(sorted(parts)))
        return pack({**parts, part: change_bytes(data, parts[part])})

    return Target(name, pack(parts), damage, read, surroundings or {})
