"""Items of JSON files as typed records: checked where they are read, with errors that name file, item and value.

``msgspec`` checks an item against the typed record of its format (:mod:`soho.datasets.records`) in a tenth of the time
that its parsing takes (:mod:`soho.datasets.storage.json_files`).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import Any, TypeVar

import msgspec

from soho.datasets.storage.json_files import enumerate_lines, enumerate_members, missing_key, stream_array
from soho.errors import UserError, quote
from soho.files import PathLike

# Keys that tell a person which item is meant.
_IDENTIFYING = ('question_id', 'questionId', 'identifier', 'image_id', 'file_name', 'id')
_PLACE = re.compile(r'\.([^.\[\]`]+)|\[(\d+)\]')
_EXPECTED = re.compile(r'Expected `(?P<types>[^`]+)`(?P<length> of length)?(?: (?P<sign>>=|<=))?(?: (?P<bound>[^,]+))?')
_TYPES = {
    'int': 'a whole number',
    'float': 'a number',
    'str': 'a text',
    'bool': 'true or false',
    'null': 'null',
    'array': 'a list',
    'object': 'an object',
}

Key = TypeVar('Key')
Record = TypeVar('Record')
Value = TypeVar('Value')


def stream_lines(path: PathLike, kind: type[Record]) -> Iterator[Record]:
    """Yield the lines of a jsonl file as typed records; see :func:`soho.datasets.storage.json_files.enumerate_lines`.

    Args:
        path: Path of the file.
        kind: Class of the lines, usually of :mod:`soho.datasets.records`.

    Raises:
        FileNotFoundError: There is no such file.
        BrokenJSONError: A line is not JSON.
        MissingKeyError: A line lacks a key.
        UserError: A value has a type or lies in a range that ``kind`` does not allow.
    """
    return map(itemgetter(1), _convert(enumerate_lines(path), kind, lambda number: f'Line {number} of {path}'))


def stream_members(path: PathLike, kind: type[Record]) -> Iterator[tuple[str, Record]]:
    """Yield key and value of the members of the object that a JSON file is, in order, holding one at a time.

    Args:
        path: Path of the file.
        kind: Class of the values, usually of :mod:`soho.datasets.records`.

    Raises:
        FileNotFoundError: There is no such file.
        BrokenJSONError: The file is not JSON, or not an object.
        MissingKeyError: A value lacks a key.
        UserError: A value has a type or lies in a range that ``kind`` does not allow.
    """
    return _convert(enumerate_members(path), kind, lambda key: f'{quote(key)} in {path}')


def read_members(path: PathLike, kind: type[Record], make: Callable[[Record], Value]) -> dict[str, Value]:
    """Return what is made of the members of the object that a JSON file is, by their names.

    Args:
        path: Path of the file.
        kind: See :func:`stream_members`.
        make: Gets the record of a member, which is not kept.

    Raises:
        FileNotFoundError, UserError: See :func:`stream_members`; or two members have one name.
    """
    found: dict[str, Value] = {}
    for name, record in stream_members(path, kind):
        if name in found:
            raise UserError(f'{path} has two members {quote(name)}')
        found[name] = make(record)
    return found


def stream_records(
    path: PathLike, kind: type[Record], key: str | None = None, strict: bool = False
) -> Iterator[Record]:
    """Yield the items of one array of a JSON file as typed records.

    See :func:`soho.datasets.storage.json_files.stream_array`.

    Args:
        path: Path of the file.
        kind: Class of the items, usually of :mod:`soho.datasets.records`.
        key: Key of the array in the file's object; ``None`` if the file is an array.
        strict: Refuse numbers that are written as texts, as the servers of challenges do; see :func:`to_record`.

    Raises:
        FileNotFoundError: There is no such file.
        BrokenJSONError: The file is not JSON, or not the expected kind of JSON.
        MissingKeyError: There is no ``key``, or an item lacks one.
        UserError: A value has a type or lies in a range that ``kind`` does not allow.
    """
    items = enumerate(stream_array(path, key))
    return map(itemgetter(1), _convert(items, kind, lambda number: item_place(path, key, number), strict))


def _convert(
    items: Iterable[tuple[Key, Any]], kind: type[Record], place: Callable[[Key], str], strict: bool = False
) -> Iterator[tuple[Key, Record]]:
    """Yield each key with its value as a typed record; ``place`` gives the words for a key in messages."""
    convert = msgspec.convert  # not `to_record`, whose text for the place would be made for every item
    for key, value in items:
        try:
            record = convert(value, kind, strict=strict)
        except msgspec.ValidationError as error:
            raise _record_error(error, value, place(key)) from error
        yield key, record


def item_place(path: PathLike, key: str | None, number: int) -> str:
    """Return the words for an item of an array in messages."""
    return f'Item {number} of {"the list" if key is None else repr(key)} in {path}'


def to_record(item: Any, kind: type[Record], where: str) -> Record:
    """Return a JSON value as a typed record.

    Numbers may be written as texts and whole numbers with a fraction of 0, since what they mean is not in doubt.

    Args:
        item: The value.
        kind: Class of the record, or any other type that msgspec knows.
        where: Its place, for the messages.

    Raises:
        MissingKeyError: It lacks a key.
        UserError: A value has a type or lies in a range that ``kind`` does not allow.
    """
    try:
        return msgspec.convert(item, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _record_error(error, item, where) from error


def _record_error(error: msgspec.ValidationError, item: Any, where: str) -> UserError:
    """Return the sentence for what msgspec found in an item."""
    message, _, path = str(error).partition(' - at `$')
    value, place = item, ''
    path, inside_object, _ = path.partition('[...]')  # of an object's members msgspec does not tell which one it is
    for name, index in _PLACE.findall(path):
        value = value[name if name else int(index)]
        place += f'.{name}' if name else f'[{index}]'
    place = place.removeprefix('.')
    if message.startswith('Object missing required field'):
        return missing_key(value, message.split('`')[1], f'{where}: {place}' if place else where)
    if isinstance(item, dict) and (key := next((key for key in _IDENTIFYING if key in item), None)):
        where += f' ({key} {quote(item[key])})'
    what = f'{where}: {place}' if place else where
    expected = _EXPECTED.match(message)
    if inside_object and expected:
        return UserError(f'{what} has a value that is not {_expectation(expected)}.')
    if expected:
        return UserError(f'{what} is {quote(value)}, where {_expectation(expected)} is expected.')
    return UserError(
        f'{what} is {quote(value)}, which is out of range.' if 'range' in message else f'{what} {message}.'
    )


def _expectation(expected: re.Match) -> str:
    words = ' or '.join(_TYPES.get(name, name) for name in expected['types'].split(' | '))
    bound = expected['bound']
    if expected['length']:
        return f'{words} that is not empty' if expected['sign'] else f'{words} of {bound} items'
    if 'matching regex' in expected.string:
        return f'{words} that matches {expected.string.split("regex")[1].strip()}'
    if expected['sign']:
        return f'{words} of at {"least" if expected["sign"] == ">=" else "most"} {bound}'
    return words
