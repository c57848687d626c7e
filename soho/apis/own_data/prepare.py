"""The whole preparation of a table, with the report that a user reads."""

import os

from soho.apis.own_data.captions import prepare_captions
from soho.apis.own_data.content import Content
from soho.apis.own_data.pairs import find_contradictions, prepare_pairs
from soho.apis.own_data.questions import prepare_questions
from soho.apis.own_data.recipe import config_text, recipe_path
from soho.apis.own_data.request import Request
from soho.apis.own_data.rows import read_rows
from soho.apis.own_data.splits import assign_splits
from soho.datasets.base import MIN_SIDE
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.named_pictures import find_pictures
from soho.engine.config_file import read_config
from soho.errors import UserError, count_of
from soho.files import write_text

LEFT_OUT = 'left_out.txt'
PREPARE = {'questions': prepare_questions, 'captions': prepare_captions, 'pairs': prepare_pairs}


def prepare_table(request: Request) -> list[str]:
    """Write annotation files, vocabulary and config; return the report, one line each.

    Raises:
        UserError: The request or the table is not what it has to be, or nothing is left to train on.
    """
    request.check()
    table = read_rows(request.table, dict(image=request.image_column, answer=request.answer_column), request.encoding)
    recipe = recipe_path(table.kind, request.recipe)
    rows = table.rows
    pictures, problems = find_pictures(
        ImageStore(request.images), dict.fromkeys(name for row in rows for name in row.images), MIN_SIDE
    )
    readable = [row for row in rows if pictures.keys() >= set(row.images)]
    digests = {picture.size.file_name: picture.digest for picture in pictures.values()}  # a picture may have two names
    about = count_of(len(digests) + len(problems), 'picture')
    lines = [f'{request.table}: {table.total} {table.kind} {"of" if table.kind == "pairs" else "about"} {about}']
    lines.append(f'columns: {", ".join(table.columns.values())}')
    if table.ignored:
        lines[-1] += f'; not read: {", ".join(table.ignored)}'
    lines += table.notes
    if problems:
        name, problem = next(iter(problems.items()))
        left_out = f'{count_of(len(rows) - len(readable), "row")} of {count_of(len(problems), "picture")}'
        lines.append(f'left out: {left_out}; the first is {name}: {problem}')
    if not readable:
        raise UserError(f'no picture of {request.table} is in {request.images}; {lines[-1]}')
    if table.kind == 'pairs' and (contradicted := find_contradictions(readable)):
        readable = [row for row in readable if (row.images, row.text) not in contradicted]
        lines.append(f'left out: {count_of(len(contradicted), "statement")} with both labels for the same pair')
    splits, notes = assign_splits(readable, pictures, dict(test=request.test, val=request.val), request.seed)
    lines += notes
    if repeated := len(digests) - len(set(digests.values())):
        lines.append(f'pictures under several names: {repeated}; a copy has the split of its original')
    request.out.mkdir(parents=True, exist_ok=True)
    if problems:
        write_text(request.out / LEFT_OUT, ''.join(f'{name}: {problem}\n' for name, problem in problems.items()))
        lines.append(f'all pictures that were left out: {request.out / LEFT_OUT}')
    paths = dict(data_root=os.fspath(request.out.resolve()), images=os.fspath(request.images.resolve()))
    prepared = PREPARE[table.kind](request, Content(readable, pictures, splits))
    write_text(request.out / 'config.py', config_text(table.kind, request.table, recipe, paths, prepared))
    lines += prepared.report
    parts = read_config(recipe).get('pretrained')
    if parts and not os.path.isdir(parts):
        lines.append('first: soho prepare pretrained, which fetches what the recipe begins with')
    return [*lines, f'next: soho train {request.out / "config.py"}']
