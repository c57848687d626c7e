"""The rows of a table of questions, captions or pairs, whatever its columns are called."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from soho.datasets.statements import CLASS_NAMES
from soho.datasets.storage.tables import read_table
from soho.errors import UserError, count_of, quote
from soho.evaluation.vqa_normalization import normalize_answer

# The columns that each kind of table has, by role: the names that they may have.
IMAGE = ('image', 'file_name', 'filename', 'image_id', 'image_path', 'img', 'path')
ANSWER = ('answer', 'answers', 'label')
CAPTION = ('caption', 'text', 'sentence', 'description')
COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    'pairs': {
        'left': ('left', 'left_image', 'image_left', 'image1', 'image_1'),
        'right': ('right', 'right_image', 'image_right', 'image2', 'image_2'),
        'text': ('statement', *CAPTION),
        'answer': ('label', *ANSWER),
    },
    'questions': {'image': IMAGE, 'text': ('question',), 'answer': ANSWER},
    'captions': {'image': IMAGE, 'text': CAPTION},
}
OPTIONAL: dict[str, tuple[str, ...]] = {'type': ('question_type', 'type', 'category'), 'split': ('split', 'subset')}
SPLITS = ('train', 'val', 'test')
SPLIT_NAMES = {'training': 'train', 'validation': 'val', 'valid': 'val', 'dev': 'val', 'testing': 'test'}
TRUE, FALSE = ('true', 'yes', '1', '1.0', 't', 'y'), ('false', 'no', '0', '0.0', 'f', 'n')


class Row(NamedTuple):
    """One line of the table."""

    where: str
    """The file and line, for messages."""
    images: tuple[str, ...]
    """One name, or those of the left and the right picture."""
    text: str
    """Question, caption or statement."""
    answer: str
    """Of pairs ``'True'`` or ``'False'``, of captions empty."""
    split: str | None
    type: str | None = None
    """Of a question, where the table says so."""


class Table(NamedTuple):
    """The rows of a table."""

    kind: str
    """A key of ``COLUMNS``."""
    rows: list[Row]
    columns: dict[str, str]
    """The columns that are read, by role."""
    ignored: list[str]
    """The other ones."""
    total: int
    """Rows of the file."""
    notes: list[str]
    """What was left out."""


def find_columns(names: Iterable[str], path: Path, given: dict[str, str | None]) -> tuple[str, dict[str, str]]:
    """Return the kind of a table, and its column of each role.

    Args:
        names: The columns that the table has.
        path: The table, for messages.
        given: Columns that the user named, by role.

    Raises:
        UserError: The table has no image, or neither questions with answers nor captions.
    """
    by_lower: dict[str, str] = {}
    for name in names:
        if by_lower.setdefault(str(name).strip().lower(), name) != name:
            raise UserError(f'{path} has two columns {name!r}, which differ in upper and lower case or spaces only')
    has = ', '.join(by_lower.values())
    for wanted in given.values():
        if wanted and wanted.strip().lower() not in by_lower:
            raise UserError(f'{path} has no column {wanted!r}; it has {has}')

    def find(roles: dict[str, tuple[str, ...]]) -> dict[str, str]:
        found = {}
        for role, choices in roles.items():
            wanted = given.get(role)
            choices = (wanted.strip().lower(),) if wanted else choices
            name = next((by_lower[choice] for choice in choices if choice in by_lower), None)
            if name is not None:
                found[role] = name
        return found

    optional = find(OPTIONAL)
    found = {kind: find(roles) for kind, roles in COLUMNS.items()}
    for kind, roles in found.items():
        if roles.keys() == COLUMNS[kind].keys():
            return kind, roles | optional
    if {'left', 'right'} <= found['pairs'].keys():
        raise UserError(f'{path} has pairs of pictures, which need the columns statement and label; it has {has}')
    if 'image' not in found['questions']:
        raise UserError(
            f'{path} has no column of pictures (image, file_name ...); --image-column NAME says which it is'
        )
    if 'text' in found['questions']:
        raise UserError(f'{path} has questions and no column of answers; --answer-column NAME says which it is')
    raise UserError(f'{path} has neither a column question nor caption; it has {has}')


def read_rows(path: Path, given: dict[str, str | None], encoding: str | None = None) -> Table:
    """Return the rows of a table.

    Args:
        path: The table.
        given: See :func:`find_columns`.
        encoding: See :func:`soho.datasets.storage.tables.read_table`.

    Raises:
        UserError: It is no table, a value is not what its column holds, or no row is complete.
    """
    try:
        table = list(read_table(path, encoding))
    except UserError as error:
        if encoding is None and isinstance(error.__cause__, UnicodeError):
            raise UserError(f'{str(error).rstrip(".")}, or name what it is, such as --encoding cp1252') from error
        raise
    if not table:
        raise UserError(f'{path} is no table: it needs at least one row of named columns')
    names = list({name: None for _, row in table for name in row})
    kind, columns = find_columns(names, path, given)
    rows: dict[Row, None] = {}  # the place of a row does not tell it from another
    empty, repeated = 0, 0
    for where, values in table:
        value = {role: values.get(name) for role, name in columns.items()}
        for role, item in value.items():
            if isinstance(item, (list, dict)) or (isinstance(item, bool) and kind != 'pairs'):
                raise UserError(f'{where} has a {type(item).__name__} as {columns[role]}; a text or number is expected')
        text = {role: '' if item is None else ' '.join(str(item).split()) for role, item in value.items()}
        split = text.get('split', '').lower() or None
        split = SPLIT_NAMES.get(split or '', split)
        if split is not None and split not in SPLITS:
            raise UserError(f'{where} is of the split {split!r}; the splits are {", ".join(SPLITS)}')
        if not all(text[role] for role in COLUMNS[kind]):
            empty += 1
            continue
        images = (text['left'], text['right']) if kind == 'pairs' else (text['image'],)
        row = Row(where, images, text['text'], read_answer(kind, text, where), split, text.get('type') or None)
        # Of questions a row that is repeated is the answer of another person.
        key = row if kind == 'questions' else row._replace(where='')
        repeated += key in rows
        rows.setdefault(key)
    if not rows:
        raise UserError(f'{path} has no complete row: each has an empty value')
    notes = [f'left out: {count_of(empty, "row")} with an empty value'] if empty else []
    notes += [f'left out: {count_of(repeated, "repeated row")}'] if repeated else []
    ignored = [name for name in names if name not in columns.values()]
    return Table(kind, list(rows), columns, ignored, len(table), notes)


def read_answer(kind: str, text: dict[str, str], where: str) -> str:
    """Return the answer of a row: of questions normalised, of pairs ``'True'`` or ``'False'``.

    Raises:
        UserError: A label is neither.
    """
    if kind == 'captions':
        return ''
    if kind == 'questions':
        return normalize_answer(text['answer']) or text['answer'].lower()
    label = text['answer'].lower()
    if label not in (*TRUE, *FALSE):
        raise UserError(
            f'{where} has the label {quote(text["answer"])}; a statement is true or false (yes or no, 1 or 0)'
        )
    return CLASS_NAMES[label in TRUE]
