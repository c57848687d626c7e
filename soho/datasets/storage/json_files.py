"""Large JSON files: read one array item at a time, written completely or not at all.

The raw downloads are single arrays of up to 700 MB, which ``json.load`` turns
into several GB of dicts. Here the file passes through a window of a few MB, and
each item is parsed by the standard library's own C scanner.
:mod:`soho.datasets.storage.json_records` makes typed records of them.

Ours rather than ijson (3.6, yajl2_c): that one takes 1.2 to 1.5 times as long (129 MB of regions, best of two, one
core: 2.0 s for 1.6 s; json.load 2.0 s and 574 MiB), and its errors name neither the file nor the line.
"""

import hashlib
import json
import re
from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from soho.errors import UserError, enumerate_names, quote
from soho.files import PathLike, atomic_write, iterate_lines, open_text

WINDOW = 1 << 22  # characters read at a time
LONGEST_VALUE = 1 << 30  # characters of a value that is read as a whole, such as one item of an array
_SPACE = re.compile(r'[ \t\r\n]*')
# The longest token that a window's end can cut into a syntax error: '\uD83D\uDE00' (12 characters).
_LONGEST_CUT = 16
# Behind a number, 'e+' or less may be the start of its exponent or fraction.
_NUMBER_TAIL = 3
# Escapes in a JSON text, one after the other; the group is half a surrogate pair, or NUL, which no text has.
_ESCAPE = re.compile(
    r'\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}'
    r'|(?P<broken>u(?:[dD][89a-fA-F][0-9a-fA-F]{2}|0000))|.)'
)
_REPLACEMENT = r'\ufffd'


class BrokenJSONError(UserError):
    """Error for a file that is not JSON; the message names file, line and character."""


class MissingKeyError(UserError):
    """Error for JSON without the key ``key``; the message names file, item and key."""

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


class _RepeatedMember(Exception):
    """The name of a member that an object has twice."""


def _distinct(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose members have distinct names."""
    found = dict(members)
    if len(found) < len(members):
        names = [name for name, _ in members]
        raise _RepeatedMember(max(names, key=names.count))
    return found


_DISTINCT = json.JSONDecoder(object_pairs_hook=_distinct)


class _Window:
    """Window over a JSON text that moves forward as values are read."""

    def __init__(self, path: PathLike, window: int) -> None:
        self.path = path
        self.window = window
        self.file = open_text(path)
        self.text = ''
        self.here = 0  # position in the window
        self.passed = 0  # characters before the window
        self.lines = 1  # line number at which the window starts
        self.ended = False
        self.has_escapes = False
        self.decode = json.JSONDecoder().raw_decode

    def more(self) -> None:
        """Drop the part that has been read and append at least as much as remains."""
        if len(self.text) - self.here > LONGEST_VALUE:
            raise self.broken(self.here, f'a value of more than {LONGEST_VALUE} characters')
        try:
            chunk = self.file.read(max(self.window, len(self.text) - self.here))
        except UnicodeDecodeError as error:
            raise BrokenJSONError(
                f'{self.path} is not UTF-8 text ({error.reason} after character {self.passed + len(self.text)}).'
            ) from error
        self.ended = not chunk
        self.lines += self.text.count('\n', 0, self.here)
        self.passed += self.here
        self.text = self.text[self.here :] + chunk
        self.here = 0
        self.has_escapes = '\\u' in self.text

    def peek(self) -> str:
        """Return the next character that is not white space; ``''`` at the end."""
        if self.here < len(self.text) and (found := self.text[self.here]) > ' ':
            return found  # mostly; nothing is searched for
        while True:
            space = _SPACE.match(self.text, self.here)
            assert space is not None  # no space at all matches too
            self.here = space.end()
            if self.here < len(self.text) or self.ended:
                return self.text[self.here : self.here + 1]
            self.more()

    def take(self, *allowed: str) -> str:
        """Consume and return one of the ``allowed`` characters."""
        found = self.peek()
        if not found or found not in allowed:
            raise self.broken(self.here, f'expected {" or ".join(allowed)}')
        self.here += 1
        return found

    def value(self, distinct: bool = False) -> Any:
        """Parse and return the next value; half a surrogate pair and NUL become U+FFFD.

        Args:
            distinct: Whether an object with two members of one name is refused, of which the last would count. It is
                for objects whose names are data, such as ids, and slow for millions of small ones.
        """
        self.peek()
        decode = _DISTINCT.raw_decode if distinct else self.decode
        while True:
            try:
                value, end = decode(self.text, self.here)
            except json.JSONDecodeError as error:
                cut = error.pos >= len(self.text) - _LONGEST_CUT or error.msg.startswith('Unterminated')
                if self.ended or not cut:
                    raise self.broken(error.pos, error.msg) from error
            except (RecursionError, ValueError) as error:
                raise self.broken(self.here, _excess(error)) from error
            except _RepeatedMember as error:
                raise BrokenJSONError(f'{self.path} has two members {quote(error.args[0])} in one object') from error
            else:
                if end + _NUMBER_TAIL <= len(self.text) or self.ended:
                    if self.has_escapes:
                        value = self._mend(value, end)
                    self.here = end
                    return value
            self.more()

    def _mend(self, value: Any, end: int) -> Any:
        """Return the value that ends at ``end``, with U+FFFD for escapes that stand for no character."""
        source = self.text[self.here : end]
        mended = _mend_escapes(source)
        return value if mended == source else self.decode(mended)[0]

    def items(self) -> Iterator[Any]:
        """Yield the items of the array that comes next."""
        for _ in self._separated('[', ']'):
            yield self.value()

    def members(self) -> Iterator[str]:
        """Yield the names of the members of the object that comes next; the caller takes or skips the value of each."""
        for _ in self._separated('{', '}'):
            if self.peek() != '"':
                raise self.broken(self.here, 'expected the name of a member in quotation marks')
            name = self.value()
            self.take(':')
            yield name

    def _separated(self, opening: str, closing: str) -> Iterator[None]:
        """Take the brackets and commas of what comes next, and stop at each place where something has to stand."""
        self.take(opening)
        if self.peek() == closing:
            self.take(closing)
            return
        while True:
            yield
            if self.take(',', closing) == closing:
                return

    def skip(self) -> None:
        """Pass over the next value, of an array one item at a time."""
        if self.peek() == '[':
            for _ in self.items():
                pass
        else:
            self.value()

    def broken(self, position: int, why: str) -> BrokenJSONError:
        line = self.lines + self.text.count('\n', 0, position)
        early = self.ended and (position >= len(self.text) or why.startswith('Unterminated'))
        what = 'ends too early' if early else 'is broken JSON'
        return BrokenJSONError(f'{self.path} {what} at line {line}, character {self.passed + position}: {why}.')


def _mend_escapes(source: str) -> str:
    """Return a JSON text with U+FFFD for escapes that stand for no character."""
    return _ESCAPE.sub(lambda match: _REPLACEMENT if match['broken'] else match[0], source)


def _excess(error: Exception) -> str:
    """Return why JSON of a correct form cannot be read."""
    return 'values are nested too deeply' if isinstance(error, RecursionError) else 'a number has thousands of digits'


def missing_key(names: Collection[str], key: str, where: str) -> MissingKeyError:
    """Return the error for an object, with members of these ``names``, that lacks a key."""
    return MissingKeyError(f'{where} has no key {key!r}; it has {enumerate_names(names)}.', key)


def stream_array(path: PathLike, key: str | None = None, window: int = WINDOW) -> Iterator[Any]:
    """Yield the items of one array of a JSON file, in order, holding one at a time.

    Reading stops after the array; the rest of the file is not checked.

    Args:
        path: Path of the file.
        key: Key of the array in the file's object; ``None`` if the file is an array.
        window: Characters read at a time.

    Raises:
        FileNotFoundError: There is no such file.
        BrokenJSONError: The file is not JSON, or not the expected kind of JSON.
        MissingKeyError: There is no ``key``, or the file is an object where a list is expected.
    """
    view = _Window(path, window)
    with view.file:
        if key is None:
            if view.peek() == '{':
                raise MissingKeyError(f'{path} is an object where a list is expected.')
            yield from view.items()
        else:
            yield from _find_member(view, key)


def enumerate_lines(path: PathLike) -> Iterator[tuple[int, Any]]:
    """Yield number and value of the lines of a file with one JSON value a line (jsonl); empty lines are skipped.

    Raises:
        FileNotFoundError: There is no such file.
        BrokenJSONError: A line is not JSON.
        UserError: The file is not UTF-8, or a line is longer than any that is read.
    """
    for number, line in enumerate(iterate_lines(path), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            if '\\u' in line and (mended := _mend_escapes(line)) != line:
                value = json.loads(mended)
        except json.JSONDecodeError as error:
            raise BrokenJSONError(
                f'{path} is broken JSON at line {number}, character {error.pos} of it: {error.msg}.'
            ) from error
        except (RecursionError, ValueError) as error:
            raise BrokenJSONError(f'{path} is broken JSON at line {number}: {_excess(error)}.') from error
        yield number, value


def _find_member(view: _Window, key: str) -> Iterator[Any]:
    """Skip the members of an object up to the array ``key``; return an iterator over its items."""
    if view.peek() == '[':
        raise MissingKeyError(f'{view.path} is a list where an object with {key!r} is expected.', key)
    seen = []
    for name in view.members():
        if name == key:
            return view.items()
        seen.append(name)
        view.skip()
    raise missing_key(seen, key, f'{view.path}')


def enumerate_members(path: PathLike) -> Iterator[tuple[str, Any]]:
    """Yield key and value of the members of the object that a JSON file is, in order, holding one at a time.

    Raises:
        FileNotFoundError: There is no such file.
        BrokenJSONError: The file is not JSON, or not an object.
    """
    view = _Window(path, WINDOW)
    with view.file:
        if view.peek() == '[':
            raise MissingKeyError(f'{path} is a list where an object is expected.')
        for key in view.members():
            yield key, view.value()


def load_members(path: PathLike, *keys: str) -> dict[str, Any]:
    """Return some members of the object that a JSON file holds; its other members are not kept.

    Raises:
        FileNotFoundError: There is no such file.
        BrokenJSONError: The file is not JSON, or has one of them twice.
        MissingKeyError: It is not an object with all ``keys``.
    """
    view = _Window(path, WINDOW)
    found: dict[str, Any] = {}
    with view.file:
        if view.peek() != '{':
            kind = type(view.value()).__name__
            raise MissingKeyError(f'{path} is a {kind} where an object with {", ".join(keys)} is expected.', keys[0])
        seen = []
        for name in view.members():
            seen.append(name)
            if name in found:
                raise BrokenJSONError(f'{path} has two members {quote(name)}')
            if name in keys:
                found[name] = view.value(distinct=True)
            else:
                view.skip()
    for key in keys:
        if key not in found:
            raise missing_key(seen, key, f'{path}')
    return found


def load_json(path: PathLike) -> Any:
    """Return the value of a JSON file, with the errors of :func:`stream_array`, and one for members of one name."""
    view = _Window(path, WINDOW)
    with view.file:
        value = view.value(distinct=True)
        if view.peek():
            raise view.broken(view.here, 'text behind the end')
    return value


class Written(NamedTuple):
    """SHA-256 and size in bytes of a file that was written."""

    sha256: str
    bytes: int


class _HashingFile:
    """File that computes the SHA-256 and size of what is written to it."""

    def __init__(self, file: Any) -> None:
        self.file, self.hash, self.bytes = file, hashlib.sha256(), 0

    def write(self, text: str) -> None:
        data = text.encode()
        self.hash.update(data)
        self.bytes += len(data)
        self.file.write(data)


@contextmanager
def _hashing_write(path: PathLike) -> Generator[_HashingFile, None, None]:
    with atomic_write(path) as file:
        yield _HashingFile(file)


def write_json(path: PathLike, value: Any, indent: int | None = None) -> Written:
    """Write ``value`` as JSON; the file appears, or changes, only when all is written."""
    with _hashing_write(path) as file:
        file.write(json.dumps(value, indent=indent, ensure_ascii=False))
    return Written(file.hash.hexdigest(), file.bytes)


def write_json_lines(path: PathLike, items: Iterable[Any]) -> Written:
    """Write one JSON value a line (jsonl), so that ``items`` may be a generator; see :func:`write_json`."""
    with _hashing_write(path) as file:
        for item in items:
            file.write(json.dumps(item, ensure_ascii=False) + '\n')
    return Written(file.hash.hexdigest(), file.bytes)


def write_json_array(
    path: PathLike, items: Iterable[Any], key: str | None = None, rest: dict[str, Any] | None = None
) -> Written:
    """Write an array item by item, so that ``items`` may be a generator.

    Args:
        path: Path of the file; it appears, or changes, only when all is written.
        items: Items, one per line of the file.
        key: Write ``{key: [items], **rest}`` instead of the array alone.
        rest: Other members of that object.
    """
    with _hashing_write(path) as file:
        file.write('[' if key is None else f'{{{json.dumps(key)}: [')
        for number, item in enumerate(items):
            file.write(('\n' if number == 0 else ',\n') + json.dumps(item, ensure_ascii=False))
        file.write('\n]')
        if key is not None:
            members = ''.join(
                f',\n{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}'
                for name, value in (rest or {}).items()
            )
            file.write(members + '}')
        file.write('\n')
    return Written(file.hash.hexdigest(), file.bytes)
