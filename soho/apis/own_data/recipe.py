"""The config that trains on a table: a recipe with the files, the answers and the vocabulary of the table."""

import os
from pathlib import Path

from soho.apis.own_data.content import Prepared
from soho.errors import UserError
from soho.paths import find_config

RECIPES = {
    'questions': 'VQA/small_pretrained',
    'captions': 'VirTex/small_pretrained',
    'pairs': 'NLVR2/small_pretrained',
}


def recipe_path(kind: str, recipe: str | None) -> str:
    """Return the path of a recipe, or of the one for this kind of table where none is named.

    Raises:
        UserError: There is no such config.
    """
    recipe = recipe or RECIPES[kind]
    path = find_config(recipe)
    if path is None:
        raise UserError(f'there is no recipe {recipe}; `soho configs` lists those that ship with soho')
    return os.path.abspath(path)


def config_text(kind: str, table: Path, recipe: str, paths: dict[str, str], prepared: Prepared) -> str:
    """Return the text of the config that trains on the table.

    Args:
        kind: ``'questions'``, ``'captions'`` or ``'pairs'``, for the docstring.
        table: The table, likewise.
        recipe: Path of the config that it inherits from.
        paths: ``data_root`` and ``images``.
        prepared: What has been written.
    """
    lines = [
        f'"""{kind.capitalize()} of {table.name}, prepared by tools/prepare/table.py."""',
        '',
        f'_base_ = {recipe!r}',
        *(f'{name} = {path!r}' for name, path in paths.items()),
    ]
    if prepared.vocabulary:
        lines += [
            'train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline',
            'for transform in (*train_pipeline, *test_pipeline):',
            "    if 'tokenizer' in transform:",
            f"        transform['tokenizer']['vocab'] = data_root + '/{prepared.vocabulary}'",
            'del transform',
        ]
    if prepared.model:
        lines.append(f'model = dict({prepared.model})')
    files = dict(prepared.files)
    files.setdefault('test', files['val'])
    for split, file in files.items():
        pipeline = f', pipeline={"train" if split == "train" else "test"}_pipeline' if prepared.vocabulary else ''
        options = f"data_root=data_root, ann_file='{file}', images=images{pipeline}"
        lines.append(f'{split}_dataloader = dict(dataset=dict({options}))')
        if split != 'train':
            lines.append(f'{split}_evaluator = dict({prepared.evaluator(file)})')
    return '\n'.join(lines) + '\n'
