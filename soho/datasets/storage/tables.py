"""Tables of people: csv, tsv, jsonl and json files as rows of named columns."""

import codecs
import csv
import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

from soho.datasets.storage.json_files import enumerate_lines, stream_array
from soho.errors import UserError, quote
from soho.files import LONGEST_TEXT, PathLike, open_regular, open_text

DELIMITERS = {'.csv': ',', '.tsv': '\t', '.txt': '\t'}  # where the header has none
ENDINGS = (*DELIMITERS, '.jsonl', '.json')
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_table(path: PathLike, encoding: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the columns of each row of a table; a byte-order mark and empty lines are skipped.

    Spreadsheets separate columns as their country does: the header says whether by commas, semicolons or tabs.

    Args:
        path: A ``.csv``, ``.tsv`` or ``.txt`` with a header, a ``.jsonl`` with an object a line, or a ``.json`` with a
            list of objects.
        encoding: Of a file with a header; by default UTF-8, or UTF-16 where a byte-order mark says so.

    Yields:
        ``'<path>, line <number>'`` (of a json file ``item``, from 0), and the values by column: texts of a csv or tsv,
        ``None`` where a row is too short; else values of JSON.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The file has another ending, is no table of its kind, or is not in this encoding.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending not in ENDINGS:
        raise UserError(f'{path} is no table: its name ends in {quote(ending)}, not in {", ".join(ENDINGS)}.')
    if ending in DELIMITERS:
        yield from _read_delimited(path, DELIMITERS[ending], encoding)
        return
    rows = enumerate_lines(path) if ending == '.jsonl' else enumerate(stream_array(path))
    for number, row in rows:
        where = f'{path}, {"line" if ending == ".jsonl" else "item"} {number}'
        if not isinstance(row, dict):
            raise UserError(f'{where} is a {type(row).__name__}; a row is an object.')
        yield where, row


def _read_delimited(path: PathLike, usual: str, encoding: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    encoding = encoding or _find_encoding(path)
    with open_text(path, newline='', encoding=encoding) as file:
        try:
            lines = iter(partial(file.readline, LONGEST_TEXT), '')
            header = next(lines, '')
            reader = csv.DictReader(chain((header,), lines), delimiter=_find_delimiter(header, usual))
            yield from _name_values(path, reader)
        except UnicodeError as error:
            name = encoding.upper().removesuffix('-SIG')
            raise UserError(f'{path} is not {name} text; save it as UTF-8, in Excel as "CSV UTF-8".') from error


def _name_values(path: PathLike, reader: csv.DictReader) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        if twice := [name for name, count in Counter(reader.fieldnames or ()).items() if name and count > 1]:
            raise UserError(f'{path} has the column {quote(twice[0])} twice; give each a name of its own.')
        for row in reader:
            # Values beyond the header's columns have no name; they are ignored.
            yield f'{path}, line {reader.line_num}', {name: row[name] for name in row if isinstance(name, str)}
    except csv.Error as error:
        raise UserError(f'{path} is no {os.path.splitext(path)[1][1:]} at line {reader.line_num}: {error}.') from error


def _find_encoding(path: PathLike) -> str:
    """UTF-16 where a byte-order mark says so, as in Excel's "Unicode text", or else UTF-8."""
    with open_regular(path) as file:
        return 'utf-16' if file.read(2) in _UTF16 else 'utf-8-sig'


def _find_delimiter(header: str, usual: str) -> str:
    """What separates the columns of a header most often, without what stands in quotation marks."""
    plain = ''.join(header.split('"')[::2])
    return max((usual, ',', ';', '\t'), key=plain.count)  # the first of equals
