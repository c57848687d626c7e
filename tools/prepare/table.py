#!/usr/bin/env python
"""Pictures of one's own with a table of questions, captions or pairs -> annotation files and a config to train.

    python tools/prepare/table.py questions.csv --images PICTURES --out data/own
    python tools/train.py data/own/config.py

The table is a csv, tsv, json (a list of objects) or jsonl file, one question, caption or pair a row. Its columns are
found by their names, in upper or lower case; others are left alone:

    image           also file_name, filename, image_id, image_path, img, path: a name in PICTURES (a folder, zip or
                    tar shards), with or without its ending
    question        with answer (or answers, label): a table of questions. Rows of the same picture and question are
                    answers of several people: the most frequent one scores 1, another one its votes divided by those
    question_type   also type, category: of a question; `soho report` shows the accuracy of each
    caption         also text, sentence, description: a table of captions
    left, right     also image1, image2, left_image, right_image, instead of image: two pictures, with
    statement       (or sentence, text, caption) and label (or answer), whether it is true of them: true or false, yes
                    or no, 1 or 0
    split           train, val or test; without this column --val and --test say which share of the pictures is held
                    out, and where it has no val, --val says which share of the training pictures becomes it

A picture belongs to one split with all its rows, and so do pictures with the same bytes, and the two of a pair. Rows
whose picture is missing, damaged or smaller than 32 pixels are left out and counted.

Questions: writes train.json, val.json, test.json, vocab.txt and config.py, and prints which share of the held-out
questions the answer list covers and the baselines that a model has to beat. Validation shows the first of them beside
its own figure. Captions: writes captions_train.json and so on, captions.model and config.py; the baseline is the CIDEr
of the training caption that scores best for every picture. Pairs: writes statements_train.jsonl and so on, and
config.py; the baseline is the more frequent label.
"""

import argparse
import codecs
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from soho.datasets.base import MIN_SIDE
from soho.datasets.sentence_piece import train_vocabulary
from soho.datasets.statements import CLASS_NAMES
from soho.datasets.storage.image_sizes import Size
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.json_files import write_json
from soho.datasets.storage.named_pictures import Picture, find_pictures
from soho.datasets.storage.tables import read_table
from soho.datasets.wordpiece import write_vocabulary
from soho.engine.config_file import read_config
from soho.errors import UserError, exit_on_user_error, quote
from soho.evaluation.baselines import choose_constant_caption
from soho.evaluation.captions.metric import load_references, score_captions
from soho.evaluation.vqa_normalization import normalize_answer
from soho.files import atomic_path, write_text
from soho.paths import find_config

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
OPTIONAL = {'type': ('question_type', 'type', 'category'), 'split': ('split', 'subset')}
SPLITS = ('train', 'val', 'test')
SPLIT_NAMES = {'training': 'train', 'validation': 'val', 'valid': 'val', 'dev': 'val', 'testing': 'test'}
NLVR2_SPLITS = dict(train='train', val='dev', test='test1')
TRUE, FALSE = ('true', 'yes', '1', '1.0', 't', 'y'), ('false', 'no', '0', '0.0', 'f', 'n')
LEFT_OUT = 'left_out.txt'
RECIPES = {
    'questions': 'VQA/small_pretrained',
    'captions': 'VirTex/small_pretrained',
    'pairs': 'NLVR2/small_pretrained',
}


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
    notes = [f'left out: {empty} rows with an empty value'] if empty else []
    notes += [f'left out: {repeated} rows that repeat another'] if repeated else []
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


def join_pictures(rows: Sequence[Row], pictures: dict[str, Picture]) -> dict[str, str]:
    """Return for the bytes of each picture what stands for all pictures that it shares a row with, at any distance."""
    joined: dict[str, str] = {}

    def find(digest: str) -> str:
        while joined.setdefault(digest, digest) != digest:
            joined[digest] = joined[joined[digest]]
            digest = joined[digest]
        return digest

    for row in rows:
        first, *others = (find(pictures[name].digest) for name in row.images)
        for other in others:
            low, high = sorted((find(first), other))
            joined[high] = low
    return {digest: find(digest) for digest in list(joined)}


def cut_by_picture(rows: Sequence[Row], pictures: dict[str, Picture], shares: dict[str, float], seed: int) -> list[str]:
    """Return the split of each row, ``'train'`` or one of ``shares``: a picture is in one split with all its rows."""
    joined = join_pictures(rows, pictures)
    members = Counter(joined.values())
    groups = sorted(members)
    ends = np.cumsum([round(share * len(joined)) for share in shares.values()])
    split_of, before = {}, 0
    for group in (groups[i] for i in np.random.default_rng(seed).permutation(len(groups))):
        split_of[group] = next((split for split, end in zip(shares, ends) if before < end), 'train')
        before += members[group]
    return [split_of[joined[pictures[row.images[0]].digest]] for row in rows]


def assign_splits(
    rows: Sequence[Row], pictures: dict[str, Picture], shares: dict[str, float], seed: int
) -> tuple[list[str], list[str]]:
    """Return the split of each row, and what is to say about them, one line each.

    Args:
        rows: Rows whose pictures are readable.
        pictures: The pictures by name.
        shares: Shares of ``test`` and ``val`` where the table has no splits; where it has, but no ``val``, that share
            of its training pictures becomes ``val``.
        seed: Seed of the choice.

    Raises:
        UserError: A split that is needed would be empty.
    """
    stated: dict[str, set[str | None]] = defaultdict(set)
    for row in rows:
        for name in row.images:
            stated[pictures[name].digest].add(row.split)
    pairs = len(rows[0].images) > 1
    notes = []
    if all(row.split is None for row in rows):
        chosen = cut_by_picture(rows, pictures, shares, seed)
        number, source = len(stated), ''
        hint = 'see --val and --test' + (', or give the table a column split' if pairs else '')
    else:
        # A picture of several splits is of the first: what is held out has not been seen. Pairs stay as they are
        # stated, since whoever divides them may have wanted just that.
        order = {split: i for i, split in enumerate((*SPLITS, None))}
        first = {digest: min(splits, key=order.__getitem__) or 'train' for digest, splits in stated.items()}
        chosen = [row.split or 'train' if pairs else first[pictures[row.images[0]].digest] for row in rows]
        if shared := sum(len(splits) > 1 for splits in stated.values()):
            notes.append(
                f'{shared} pictures are in several splits of the table'
                + (', so that some of what is measured on is trained on' if pairs else ', and were given to the first')
            )
        number, source, hint = len(stated), ' of the table', 'name some in its column split'
        train = [i for i, split in enumerate(chosen) if split == 'train']
        if train and 'val' not in chosen:
            cut = cut_by_picture([rows[i] for i in train], pictures, dict(val=shares['val']), seed)
            chosen = list(chosen)
            for i, split in zip(train, cut):
                chosen[i] = split
            digests = [{pictures[name].digest for name in rows[i].images} for i in train]
            number = len(set().union(*digests))
            held = len(set().union(*(found for found, split in zip(digests, cut) if split == 'val')))
            notes.append(f'the table has no split val: {held} of its {number} training pictures are it (see --val)')
            source, hint = ' of the split train', 'see --val, or name some in its column split'
    for split in ('train', 'val'):
        if split not in chosen:
            together = ': pictures that share a pair stay together' if pairs else ''
            raise UserError(f'the {number} pictures{source} leave nothing for the split {split!r}; {hint}{together}')
    return chosen, notes


class Question(NamedTuple):
    """A question about a picture with the votes of all who answered it."""

    text: str
    votes: Counter
    type: str | None = None


def group_questions(
    rows: Sequence[Row], pictures: dict[str, Picture], splits: Sequence[str]
) -> dict[str, dict[str, list[Question]]]:
    """Return the questions of each picture, by split and file name, in the order of the table."""
    grouped: dict[str, dict[str, dict[str, Question]]] = {split: {} for split in SPLITS}
    for row, split in zip(rows, splits):
        questions = grouped[split].setdefault(pictures[row.images[0]].size.file_name, {})
        questions.setdefault(row.text, Question(row.text, Counter(), row.type)).votes[row.answer] += 1
    return {
        split: {name: list(questions.values()) for name, questions in images.items()}
        for split, images in grouped.items()
    }


def choose_answers(questions: Iterable[Question], min_count: int) -> list[str]:
    """Return the answers that at least ``min_count`` questions have, the most frequent first."""
    counts = Counter(answer for question in questions for answer in question.votes)
    kept = [answer for answer in sorted(counts, key=lambda a: (-counts[a], a)) if counts[answer] >= min_count]
    if len(kept) < 2:
        raise UserError(f'the training pictures have {len(kept)} answers that occur {min_count} times; two are needed')
    return kept


def score(question: Question, answer: str | None) -> float:
    """Return the soft score of an answer: its votes, of those of the most frequent one."""
    return question.votes[answer] / max(question.votes.values())


def baselines(train: Sequence[Question], held_out: Sequence[Question]) -> dict[str, tuple[str, float]]:
    """Return what is answered without a look at the picture, and its accuracy in percent, by name."""
    votes = Counter(answer for question in train for answer in question.votes.elements())
    by_question: dict[str, Counter] = defaultdict(Counter)
    for question in train:
        by_question[question.text.lower()].update(question.votes)
    majority = min(votes, key=lambda answer: (-votes[answer], answer))

    def same_question(question: Question) -> str:
        known = by_question.get(question.text.lower())
        return min(known, key=lambda answer: (-known[answer], answer)) if known else majority

    def accuracy(answers: Iterable[str]) -> float:
        return 100 * sum(score(q, answer) for q, answer in zip(held_out, answers)) / len(held_out)

    return {
        'most frequent answer': (majority, accuracy(majority for _ in held_out)),
        'most frequent answer to the same question': ('', accuracy(map(same_question, held_out))),
    }


def write_questions(
    out: Path, grouped: dict[str, dict[str, list[Question]]], sizes: dict[str, Size], answers: list[str]
) -> None:
    """Write ``train.json`` and so on, in the format of :class:`soho.datasets.vqa.VQADataset`."""
    labels = {answer: label for label, answer in enumerate(answers)}
    number = 0
    for split in SPLITS:
        items = []
        for name, questions in grouped[split].items():
            vqa = []
            for question in questions:
                known = [answer for answer in question.votes if answer in labels]
                scores = [round(score(question, answer), 4) for answer in known]
                item = dict(
                    question=question.text,
                    question_id=number,
                    labels=[labels[answer] for answer in known],
                    scores=scores,
                )
                vqa.append(item if question.type is None else dict(item, question_type=question.type))
                number += 1
            size = sizes[name]
            items.append(dict(file_name=name, image_id=len(items), height=size.height, width=size.width, vqa=vqa))
        if items:
            write_json(out / f'{split}.json', dict(data=items, ans2label=labels, label2ans=answers))


def write_captions(out: Path, found: 'Found') -> dict[str, dict[str, list[str]]]:
    """Write ``captions_train.json`` and so on in COCO's format; return the captions by split and file name."""
    captions: dict[str, dict[str, list[str]]] = {split: {} for split in SPLITS}
    files: dict[str, dict[str, list]] = {split: dict(images=[], annotations=[]) for split in SPLITS}
    numbers: dict[str, int] = {}
    for row, split in zip(found.rows, found.splits):
        size = found.pictures[row.images[0]].size
        if size.file_name not in numbers:
            numbers[size.file_name] = len(numbers)
            image = dict(id=numbers[size.file_name], file_name=size.file_name, height=size.height, width=size.width)
            files[split]['images'].append(image)
        count = len(files[split]['annotations'])
        files[split]['annotations'].append(dict(id=count, image_id=numbers[size.file_name], caption=row.text))
        captions[split].setdefault(size.file_name, []).append(row.text)
    for split, contents in files.items():
        if contents['images']:
            write_json(out / f'captions_{split}.json', contents)
    return captions


def write_statements(out: Path, found: 'Found') -> dict[str, list[str]]:
    """Write ``statements_train.jsonl`` and so on in NLVR2's format; return the labels of each split.

    A statement with all its pairs has one number, over which consistency is counted.
    """
    labels: dict[str, list[str]] = {split: [] for split in SPLITS}
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    pairs: dict[tuple[str, str], int] = Counter()
    numbers: dict[tuple[str, str], int] = {}
    for row, split in zip(found.rows, found.splits):
        key = (split, row.text)
        number = numbers.setdefault(key, len(numbers))
        sizes = [found.pictures[name].size for name in row.images]
        record = dict(
            identifier=f'{NLVR2_SPLITS[split]}-{number}-{pairs[key]}-0',
            sentence=row.text,
            label=row.answer,
            images=[size.file_name for size in sizes],
            sizes=[(size.height, size.width) for size in sizes],
        )
        pairs[key] += 1
        lines[split].append(json.dumps(record, ensure_ascii=False) + '\n')
        labels[split].append(row.answer)
    for split, written in lines.items():
        if written:
            write_text(out / f'statements_{split}.jsonl', ''.join(written))
    return labels


def base_path(recipe: str) -> str:
    """Return the path of a recipe.

    Raises:
        UserError: There is no such config.
    """
    path = find_config(recipe)
    if path is None:
        raise UserError(f'there is no recipe {recipe}; `soho configs` lists those that ship with soho')
    return os.path.abspath(path)


def config_text(kind: str, table: Path, recipe: str, paths: dict[str, str], splits: Iterable[str], **facts: Any) -> str:
    """Return the text of the config that trains on the table.

    Args:
        kind: ``'questions'``, ``'captions'`` or ``'pairs'``.
        table: The table, for the docstring.
        recipe: The config that it inherits from.
        paths: ``data_root`` and ``images``.
        splits: The splits that are not empty.
        **facts: ``majority`` of questions and pairs, ``answers`` of questions, ``vocab_size`` and ``constant`` of
            captions.
    """
    file_name = {'questions': '{}.json', 'captions': 'captions_{}.json', 'pairs': 'statements_{}.jsonl'}[kind]
    lines = [
        f'"""{kind.capitalize()} of {table.name}, prepared by tools/prepare/table.py."""',
        '',
        f'_base_ = {base_path(recipe)!r}',
        *(f'{name} = {path!r}' for name, path in paths.items()),
    ]
    own_vocabulary = kind == 'captions' or 'scratch' in recipe
    if own_vocabulary:
        vocabulary = 'captions.model' if kind == 'captions' else 'vocab.txt'
        lines += [
            'train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline',
            'for transform in (*train_pipeline, *test_pipeline):',
            "    if 'tokenizer' in transform:",
            f"        transform['tokenizer']['vocab'] = data_root + '/{vocabulary}'",
            'del transform',
        ]
    if kind == 'questions':
        lines.append(f'model = dict(heads=dict(vqa=dict(num_classes={facts["answers"]})))')
    elif kind == 'captions':
        lines.append(f'model = dict(language=dict(vocab_size={facts["vocab_size"]}))')
    files = {split: file_name.format(split) for split in splits}
    files.setdefault('test', files['val'])
    for split, file in files.items():
        pipeline = f', pipeline={"train" if split == "train" else "test"}_pipeline' if own_vocabulary else ''
        options = f"data_root=data_root, ann_file='{file}', images=images{pipeline}"
        lines.append(f'{split}_dataloader = dict(dataset=dict({options}))')
        if split == 'train':
            continue
        if kind == 'captions':
            metric = [
                f"annotation_file=data_root + '/{file}'",
                "tokenizer=dict(vocab=data_root + '/captions.model')",
                f'constant_caption={facts["constant"]!r}',
            ]
            lines.append(f'{split}_evaluator = dict({", ".join(metric)})')
        else:
            lines.append(f'{split}_evaluator = dict(majority_answer={facts["majority"]!r})')
    return '\n'.join(lines) + '\n'


def prepare_questions(args: argparse.Namespace, found: 'Found') -> list[str]:
    """Write the files of a table of questions; return what is to say about them."""
    grouped = group_questions(found.rows, found.pictures, found.splits)
    flat = {split: [q for questions in images.values() for q in questions] for split, images in grouped.items()}
    answers = choose_answers(flat['train'], args.min_count)
    sizes = {picture.size.file_name: picture.size for picture in found.pictures.values()}
    write_questions(args.out, grouped, sizes, answers)
    write_vocabulary(args.out / 'vocab.txt', [question.text for question in flat['train']])
    lines = [
        f'{split}: {len(grouped[split])} pictures, {len(flat[split])} questions' for split in SPLITS if flat[split]
    ]
    listed = set(answers)
    known = sum(not listed.isdisjoint(question.votes) for question in flat['val'])
    lines.append(
        f'{len(answers)} answers; {100 * known / len(flat["val"]):.1f} % of the val questions have one of them'
    )
    guesses = baselines(flat['train'], flat['val'])
    lines += [
        f'baseline on val, {name}{f" ({answer!r})" if answer else ""}: {accuracy:.1f} %'
        for name, (answer, accuracy) in guesses.items()
    ]
    found.write_config(args, flat, answers=len(answers), majority=guesses['most frequent answer'][0])
    return lines


def prepare_captions(args: argparse.Namespace, found: 'Found') -> list[str]:
    """Write the files of a table of captions; return what is to say about them."""
    by_picture = write_captions(args.out, found)
    captions = {split: [text for texts in images.values() for text in texts] for split, images in by_picture.items()}
    size = min(10000, max(200, 2 * len({word for text in captions['train'] for word in text.lower().split()})))
    with atomic_path(args.out / 'captions.model') as path:
        size = fit_vocabulary(captions['train'], path, size)
    constant = choose_constant_caption(list(by_picture['train'].values()), args.seed)
    found.write_config(args, captions, vocab_size=size, constant=constant)
    return [
        *(f'{s}: {len(by_picture[s])} pictures, {len(captions[s])} captions' for s in SPLITS if captions[s]),
        f'{size} entries in captions.model',
        f'baseline on val, {constant!r} for every picture: CIDEr {constant_cider(args.out, constant):.3f}',
    ]


def constant_cider(out: Path, caption: str) -> float:
    """Return the CIDEr-D of one caption for every validation picture."""
    references = load_references(out / 'captions_val.json')
    return score_captions(dict.fromkeys(references, caption), references)['cider'].overall


def prepare_pairs(args: argparse.Namespace, found: 'Found') -> list[str]:
    """Write the files of a table of statements about pairs; return what is to say about them."""
    labels = write_statements(args.out, found)
    majority = max(CLASS_NAMES, key=labels['train'].count)
    found.write_config(args, labels, majority=majority)
    share = 100 * labels['val'].count(majority) / len(labels['val'])
    return [
        *(f'{split}: {len(labels[split])} statements' for split in SPLITS if labels[split]),
        f'baseline on val, most frequent label ({majority!r}): {share:.1f} %',
    ]


def fit_vocabulary(captions: Sequence[str], path: Path, size: int) -> int:
    """Train the largest vocabulary of at most ``size`` entries that the captions have pieces for; return its size.

    Raises:
        UserError: The captions are too few for a vocabulary of 50 entries.
    """
    while True:
        try:
            train_vocabulary(captions, path, size)
            return size
        except ValueError:
            if size < 100:
                raise
            size //= 2


class Found(NamedTuple):
    """A table whose pictures have been looked at."""

    kind: str
    rows: list[Row]
    """Rows whose pictures are readable."""
    pictures: dict[str, Picture]
    """By the name in the table."""
    splits: list[str]
    """Of each row."""
    paths: dict[str, str]
    """``data_root`` and ``images``."""

    def write_config(self, args: argparse.Namespace, items: dict[str, list], **facts: Any) -> None:
        """Write ``config.py``; see :func:`config_text`. ``items`` are by split, of which some may be empty."""
        splits = [split for split in SPLITS if items[split]]
        text = config_text(self.kind, args.table, args.recipe, self.paths, splits, **facts)
        write_text(args.out / 'config.py', text)


PREPARE = {'questions': prepare_questions, 'captions': prepare_captions, 'pairs': prepare_pairs}


def prepare(args: argparse.Namespace) -> list[str]:
    """Write the files; return the report, one line each."""
    table = read_rows(args.table, dict(image=args.image_column, answer=args.answer_column), args.encoding)
    args.recipe = args.recipe or RECIPES[table.kind]
    base_path(args.recipe)
    rows = table.rows
    pictures, problems = find_pictures(
        ImageStore(args.images), dict.fromkeys(name for row in rows for name in row.images), MIN_SIDE
    )
    readable = [row for row in rows if pictures.keys() >= set(row.images)]
    about = f'{len(pictures) + len(problems)} pictures'
    lines = [f'{args.table}: {table.total} {table.kind} {"of" if table.kind == "pairs" else "about"} {about}']
    lines.append(f'columns: {", ".join(table.columns.values())}')
    if table.ignored:
        lines[-1] += f'; not read: {", ".join(table.ignored)}'
    lines += table.notes
    if problems:
        name, problem = next(iter(problems.items()))
        lines.append(
            f'left out: {len(rows) - len(readable)} rows of {len(problems)} pictures; the first is {name}: {problem}'
        )
    if not readable:
        raise UserError(f'no picture of {args.table} is in {args.images}; {lines[-1]}')
    if table.kind == 'pairs' and (contradicted := find_contradictions(readable)):
        readable = [row for row in readable if (row.images, row.text) not in contradicted]
        lines.append(f'left out: {len(contradicted)} statements that are said to be true and false of the same pair')
    splits, notes = assign_splits(readable, pictures, dict(test=args.test, val=args.val), args.seed)
    lines += notes
    copies = Counter({picture.size.file_name: picture.digest for picture in pictures.values()}.values())
    if repeated := sum(count - 1 for count in copies.values()):
        lines.append(f'{repeated} pictures are copies of others under another name, and share their split')
    args.out.mkdir(parents=True, exist_ok=True)
    if problems:
        write_text(args.out / LEFT_OUT, ''.join(f'{name}: {problem}\n' for name, problem in problems.items()))
        lines.append(f'all pictures that were left out: {args.out / LEFT_OUT}')
    paths = dict(data_root=os.fspath(args.out.resolve()), images=os.fspath(args.images.resolve()))
    lines += PREPARE[table.kind](args, Found(table.kind, readable, pictures, splits, paths))
    parts = read_config(base_path(args.recipe)).get('pretrained')
    if parts and not os.path.isdir(parts):
        lines.append('first: soho prepare pretrained, which fetches what the recipe begins with')
    return [*lines, f'next: soho train {args.out / "config.py"}']


def find_contradictions(rows: Iterable[Row]) -> set[tuple[tuple[str, ...], str]]:
    """Return the pictures and statements that have both labels."""
    labels: dict[tuple[tuple[str, ...], str], set[str]] = defaultdict(set)
    for row in rows:
        labels[row.images, row.text].add(row.answer)
    return {key for key, found in labels.items() if len(found) > 1}


def check_arguments(args: argparse.Namespace) -> None:
    """Check what the command line says by itself.

    Raises:
        UserError: A share is none, or there is no such encoding.
    """
    if not 0 < args.val < 1:
        raise UserError(
            f'--val {args.val:g} is no share of the pictures to measure on; it is between 0 and 1, such as 0.2'
        )
    if not 0 <= args.test < 1:
        raise UserError(f'--test {args.test:g} is no share of the pictures; it is 0 or more, and less than 1')
    if args.val + args.test >= 1:
        raise UserError(f'--val {args.val:g} and --test {args.test:g} leave no pictures to train on')
    if args.encoding is not None:
        try:
            codecs.lookup(args.encoding)
        except LookupError:
            raise UserError(f'--encoding {args.encoding} is none; utf-8, utf-16 and cp1252 are') from None


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('table', type=Path, help='csv, tsv, json or jsonl file')
    parser.add_argument('--images', type=Path, required=True, help='folder or zip of the pictures')
    parser.add_argument(
        '--out', type=Path, default=Path('data/own'), help='folder of the results; default: %(default)s'
    )
    parser.add_argument('--image-column', metavar='NAME')
    parser.add_argument('--answer-column', metavar='NAME')
    parser.add_argument('--encoding', metavar='NAME', help='of a csv or tsv, such as cp1252; default: UTF-8')
    parser.add_argument('--val', type=float, default=0.2, metavar='SHARE', help='default: %(default)s')
    parser.add_argument('--test', type=float, default=0.0, metavar='SHARE', help='default: %(default)s')
    parser.add_argument('--seed', type=int, default=0, help='of the split; default: %(default)s')
    parser.add_argument(
        '--min-count', type=int, default=1, help='questions that an answer of the list has; default: %(default)s'
    )
    parser.add_argument('--recipe', help='config that the new one inherits from; default: small_pretrained')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        check_arguments(args)
        lines = prepare(args)
    print('\n'.join(lines))


if __name__ == '__main__':
    main()
