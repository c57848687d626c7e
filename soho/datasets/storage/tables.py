"""Tables of people: csv, tsv, jsonl and json files as rows of named columns."""

import csv
import os
from collections.abc import Iterator
from typing import Any

from soho.datasets.storage.json_files import enumerate_lines, stream_array
from soho.errors import UserError, quote
from soho.files import PathLike, open_text

DELIMITERS = {'.csv': ',', '.tsv': '\t'}
ENDINGS = (*DELIMITERS, '.jsonl', '.json')


def read_table(path: PathLike) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and the columns of each row of a table; a byte-order mark and empty lines are skipped.

    Args:
        path: A ``.csv`` or ``.tsv`` with a header, a ``.jsonl`` with an object a line, or a ``.json`` with a list of
            objects; UTF-8.

    Yields:
        ``'<path>, line <number>'`` (of a json file ``item``, from 0), and the values by column: texts of a csv or tsv,
        ``None`` where a row is too short; else values of JSON.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The file has another ending, or is no table of its kind.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending not in ENDINGS:
        raise UserError(f'{path} is no table: its name ends in {quote(ending)}, not in {", ".join(ENDINGS)}.')
    if ending in DELIMITERS:
        yield from _read_delimited(path, DELIMITERS[ending])
        return
    rows = enumerate_lines(path) if ending == '.jsonl' else enumerate(stream_array(path))
    for number, row in rows:
        where = f'{path}, {"line" if ending == ".jsonl" else "item"} {number}'
        if not isinstance(row, dict):
            raise UserError(f'{where} is a {type(row).__name__}; a row is an object.')
        yield where, row


def _read_delimited(path: PathLike, delimiter: str) -> Iterator[tuple[str, dict[str, Any]]]:
    with open_text(path, newline='') as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        try:
            for row in reader:
                # Values beyond the header's columns have no name; they are ignored.
                yield f'{path}, line {reader.line_num}', {name: row[name] for name in row if isinstance(name, str)}
        except csv.Error as error:
            raise UserError(
                f'{path} is no {os.path.splitext(path)[1][1:]} at line {reader.line_num}: {error}.'
            ) from error
        except UnicodeDecodeError as error:
            raise UserError(f'{path} is not UTF-8 text ({error.reason}).') from error
