#!/usr/bin/env python
"""Pictures of one's own with a table of questions or captions -> annotation files and a config to train.

    python tools/prepare/table.py questions.csv --images PICTURES --out data/own
    python tools/train.py data/own/config.py

The table is a csv, tsv, json (a list of objects) or jsonl file, one question or caption a row. Its columns are found
by their names:

    image       also file_name, filename, image_id, image_path, img, path: a name in PICTURES (a folder, zip or tar
                shards), with or without its ending
    question    with answer (or answers, label): a table of questions. Rows of the same picture and question are
                answers of several people: the most frequent one scores 1, another one its votes divided by those
    caption     also text, sentence, description: a table of captions
    split       train, val or test; without this column --val and --test say which share of the pictures is held out

A picture belongs to one split with all its rows, and so do pictures with the same bytes. Rows whose picture is missing
or damaged are left out and counted.

Questions: writes train.json, val.json, test.json, vocab.txt and config.py, and prints which share of the held-out
questions the answer list covers and the baselines that a model has to beat. Validation shows the first of them beside
its own figure. Captions: writes captions_train.json and so on, captions.model and config.py.
"""

import argparse
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from soho.datasets.sentence_piece import train_vocabulary
from soho.datasets.storage.image_sizes import Size, header_size
from soho.datasets.storage.image_store import ImageError, ImageStore
from soho.datasets.storage.json_files import write_json
from soho.datasets.storage.tables import read_table
from soho.datasets.wordpiece import write_vocabulary
from soho.engine.config_file import read_config
from soho.errors import UserError, exit_on_user_error
from soho.evaluation.vqa_normalization import normalize_answer
from soho.files import atomic_path, write_text
from soho.paths import find_config

COLUMNS = {
    'image': ('image', 'file_name', 'filename', 'image_id', 'image_path', 'img', 'path'),
    'question': ('question',),
    'answer': ('answer', 'answers', 'label'),
    'caption': ('caption', 'text', 'sentence', 'description'),
    'split': ('split', 'subset'),
}
SPLITS = ('train', 'val', 'test')
SPLIT_NAMES = {'training': 'train', 'validation': 'val', 'valid': 'val', 'dev': 'val', 'testing': 'test'}
ENDINGS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff')
LEFT_OUT = 'left_out.txt'
RECIPES = {'questions': 'VQA/small_pretrained', 'captions': 'VirTex/small_pretrained'}


class Row(NamedTuple):
    """One line of the table."""

    where: str
    """The file and line, for messages."""
    image: str
    text: str
    """Question or caption."""
    answer: str | None
    split: str | None


class Picture(NamedTuple):
    """A readable picture."""

    size: Size
    digest: str
    """SHA-256 of its bytes."""


def find_columns(names: Iterable[str], path: Path, given: dict[str, str | None]) -> dict[str, str]:
    """Return the column of each role.

    Args:
        names: The columns that the table has.
        path: The table, for messages.
        given: Columns that the user named, by role.

    Raises:
        UserError: The table has no image, or neither questions with answers nor captions.
    """
    by_lower = {str(name).strip().lower(): name for name in names if name is not None}
    found = {}
    for role, choices in COLUMNS.items():
        wanted = given.get(role)
        choices = (wanted.lower(),) if wanted else choices
        name = next((by_lower[choice] for choice in choices if choice in by_lower), None)
        if name is not None:
            found[role] = name
        elif wanted:
            raise UserError(f'{path} has no column {wanted!r}; it has {", ".join(by_lower.values())}')
    if 'image' not in found:
        raise UserError(
            f'{path} has no column of pictures (image, file_name ...); --image-column NAME says which it is'
        )
    if 'question' in found and 'answer' not in found:
        raise UserError(f'{path} has questions and no column of answers; --answer-column NAME says which it is')
    if 'question' not in found and 'caption' not in found:
        raise UserError(f'{path} has neither a column question nor caption; it has {", ".join(by_lower.values())}')
    return found


def read_rows(path: Path, given: dict[str, str | None]) -> tuple[str, list[Row], int]:
    """Return ``'questions'`` or ``'captions'``, the rows, and how many were left out because a value is empty."""
    table = list(read_table(path))
    if not table:
        raise UserError(f'{path} is no table: it needs at least one row of named columns')
    columns = find_columns({name: None for _, row in table for name in row}, path, given)
    kind = 'questions' if 'question' in columns else 'captions'
    rows, empty = [], 0
    for where, values in table:
        value = {role: values.get(name) for role, name in columns.items()}
        for role, item in value.items():
            if isinstance(item, (list, dict, bool)):
                raise UserError(f'{where} has a {type(item).__name__} as {role}; a text or number is expected')
        text = {role: '' if item is None else ' '.join(str(item).split()) for role, item in value.items()}
        split = text.get('split', '').lower() or None
        split = SPLIT_NAMES.get(split or '', split)
        if split is not None and split not in SPLITS:
            raise UserError(f'{where} is of the split {split!r}; the splits are {", ".join(SPLITS)}')
        needed = ('image', 'question', 'answer') if kind == 'questions' else ('image', 'caption')
        if not all(text[role] for role in needed):
            empty += 1
            continue
        answer = normalize_answer(text['answer']) or text['answer'].lower() if kind == 'questions' else None
        rows.append(Row(where, text['image'], text['question' if kind == 'questions' else 'caption'], answer, split))
    if not rows:
        raise UserError(f'{path} has no complete row: each has an empty value')
    return kind, rows, empty


def find_pictures(store: ImageStore, names: Iterable[str]) -> tuple[dict[str, Picture], dict[str, str]]:
    """Return the readable pictures by the name in the table, and what is wrong with each of the others."""
    listing = store.names
    exact = set(listing)
    short: dict[str, list[str]] = defaultdict(list)
    for name in listing:
        stem, ending = os.path.splitext(name)
        if ending.lower() in ENDINGS:
            for key in {stem, os.path.basename(stem), os.path.basename(name)}:
                short[key].append(name)
    pictures, problems = {}, {}
    for name in names:
        plain = os.path.normpath(name).replace(os.sep, '/')
        choices = [plain] if plain in exact else short.get(plain) or short.get(os.path.basename(plain), [])
        if len(choices) != 1:
            problems[name] = 'there is no such picture' if not choices else f'it may be {" or ".join(choices[:3])}'
            continue
        try:
            size = header_size(store, choices[0])
            pictures[name] = Picture(size, hashlib.sha256(store.read(choices[0])).hexdigest())
        except ImageError as error:
            problems[name] = str(error)
    return pictures, problems


def assign_splits(
    rows: Sequence[Row], pictures: dict[str, Picture], shares: dict[str, float], seed: int
) -> tuple[dict[str, str], int]:
    """Return the split of each picture by its bytes, and how many pictures the table puts into several splits.

    Args:
        rows: Rows whose picture is readable.
        pictures: The pictures by name.
        shares: Shares of ``val`` and ``test`` where the table has no splits.
        seed: Seed of the choice.

    Raises:
        UserError: A split that is needed would be empty.
    """
    stated: dict[str, set[str | None]] = defaultdict(set)
    for row in rows:
        stated[pictures[row.image].digest].add(row.split)
    if any(split is not None for splits in stated.values() for split in splits):
        shared = sum(len(splits) > 1 for splits in stated.values())
        # A picture of several splits is of the first: what is held out has not been seen.
        order = {split: i for i, split in enumerate((*SPLITS, None))}
        chosen = {digest: min(splits, key=order.__getitem__) or 'train' for digest, splits in stated.items()}
    else:
        shared = 0
        digests = sorted(stated)
        shuffled = [digests[i] for i in np.random.default_rng(seed).permutation(len(digests))]
        ends = np.cumsum([round(shares[split] * len(digests)) for split in ('test', 'val')])
        chosen = {d: 'test' if i < ends[0] else 'val' if i < ends[1] else 'train' for i, d in enumerate(shuffled)}
    for split in ('train', 'val'):
        if split not in chosen.values():
            raise UserError(f'the {len(chosen)} pictures leave nothing for the split {split!r}; see --val and --test')
    return chosen, shared


class Question(NamedTuple):
    """A question about a picture with the votes of all who answered it."""

    text: str
    votes: Counter


def group_questions(
    rows: Sequence[Row], pictures: dict[str, Picture], splits: dict[str, str]
) -> dict[str, dict[str, list[Question]]]:
    """Return the questions of each picture, by split and file name, in the order of the table."""
    grouped: dict[str, dict[str, dict[str, Counter]]] = {split: {} for split in SPLITS}
    for row in rows:
        picture = pictures[row.image]
        questions = grouped[splits[picture.digest]].setdefault(picture.size.file_name, {})
        questions.setdefault(row.text, Counter())[row.answer] += 1
    return {
        split: {name: [Question(*item) for item in questions.items()] for name, questions in images.items()}
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
                vqa.append(
                    dict(
                        question=question.text,
                        question_id=number,
                        labels=[labels[answer] for answer in known],
                        scores=scores,
                    )
                )
                number += 1
            size = sizes[name]
            items.append(dict(file_name=name, image_id=len(items), height=size.height, width=size.width, vqa=vqa))
        if items:
            write_json(out / f'{split}.json', dict(data=items, ans2label=labels, label2ans=answers))


def write_captions(
    out: Path, rows: Sequence[Row], pictures: dict[str, Picture], splits: dict[str, str]
) -> dict[str, list[str]]:
    """Write ``captions_train.json`` and so on in COCO's format; return the captions of each split."""
    captions: dict[str, list[str]] = {split: [] for split in SPLITS}
    files: dict[str, dict[str, list]] = {split: dict(images=[], annotations=[]) for split in SPLITS}
    numbers: dict[str, int] = {}
    for row in rows:
        size, digest = pictures[row.image]
        split = splits[digest]
        if size.file_name not in numbers:
            numbers[size.file_name] = len(numbers)
            image = dict(id=numbers[size.file_name], file_name=size.file_name, height=size.height, width=size.width)
            files[split]['images'].append(image)
        count = len(files[split]['annotations'])
        files[split]['annotations'].append(dict(id=count, image_id=numbers[size.file_name], caption=row.text))
        captions[split].append(row.text)
    for split, contents in files.items():
        if contents['images']:
            write_json(out / f'captions_{split}.json', contents)
    return captions


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
        kind: ``'questions'`` or ``'captions'``.
        table: The table, for the docstring.
        recipe: The config that it inherits from.
        paths: ``data_root`` and ``images``.
        splits: The splits that are not empty.
        **facts: ``answers`` and ``majority`` of questions, ``vocab_size`` of captions.
    """
    prefix = {'questions': '', 'captions': 'captions_'}[kind]
    lines = [
        f'"""{kind.capitalize()} of {table.name}, prepared by tools/prepare/table.py."""',
        '',
        f'_base_ = {base_path(recipe)!r}',
        *(f'{name} = {path!r}' for name, path in paths.items()),
    ]
    pipeline = ''
    if kind == 'captions' or 'scratch' in recipe:
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
    else:
        lines.append(f'model = dict(language=dict(vocab_size={facts["vocab_size"]}))')
    files = {split: split for split in splits}
    files.setdefault('test', 'val')
    for split, file in files.items():
        if kind == 'captions' or 'scratch' in recipe:
            pipeline = f', pipeline={"train" if split == "train" else "test"}_pipeline'
        options = f"data_root=data_root, ann_file='{prefix}{file}.json', images=images{pipeline}"
        lines.append(f'{split}_dataloader = dict(dataset=dict({options}))')
        if split == 'train':
            continue
        if kind == 'questions':
            lines.append(f'{split}_evaluator = dict(majority_answer={facts["majority"]!r})')
        else:
            place = f"data_root + '/captions_{file}.json'"
            tokenizer = "dict(vocab=data_root + '/captions.model')"
            lines.append(f'{split}_evaluator = dict(annotation_file={place}, tokenizer={tokenizer})')
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
    majority = guesses['most frequent answer'][0]
    text = config_text(
        'questions',
        args.table,
        args.recipe,
        found.paths,
        [split for split in SPLITS if flat[split]],
        answers=len(answers),
        majority=majority,
    )
    write_text(args.out / 'config.py', text)
    return lines


def prepare_captions(args: argparse.Namespace, found: 'Found') -> list[str]:
    """Write the files of a table of captions; return what is to say about them."""
    captions = write_captions(args.out, found.rows, found.pictures, found.splits)
    size = min(10000, max(200, 2 * len({word for text in captions['train'] for word in text.lower().split()})))
    with atomic_path(args.out / 'captions.model') as path:
        size = fit_vocabulary(captions['train'], path, size)
    splits = [split for split in SPLITS if captions[split]]
    write_text(
        args.out / 'config.py', config_text('captions', args.table, args.recipe, found.paths, splits, vocab_size=size)
    )
    chosen = np.random.default_rng(args.seed).integers(len(captions['train']), size=len(captions['val']))
    cider = random_cider(args.out, captions, chosen)
    return [
        *(f'{split}: {len(captions[split])} captions' for split in splits),
        f'{size} entries in captions.model',
        f'baseline on val, a training caption drawn for each picture: CIDEr {cider:.3f}',
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


def random_cider(out: Path, captions: dict[str, list[str]], chosen: np.ndarray) -> float:
    """Return the CIDEr-D on the validation pictures of training captions drawn by chance."""
    from soho.evaluation.captions.metric import load_references, score_captions

    references = load_references(out / 'captions_val.json')
    drawn = {image: captions['train'][row] for image, row in zip(references, chosen)}
    return score_captions(drawn, references)['cider'].overall


class Found(NamedTuple):
    """A table whose pictures have been looked at."""

    rows: list[Row]
    """Rows whose picture is readable."""
    pictures: dict[str, Picture]
    """By the name in the table."""
    splits: dict[str, str]
    """By the digest of the picture."""
    paths: dict[str, str]
    """``data_root`` and ``images``."""


def prepare(args: argparse.Namespace) -> list[str]:
    """Write the files; return the report, one line each."""
    kind, rows, empty = read_rows(
        args.table, dict(image=args.image_column, answer=args.answer_column, question=None, caption=None, split=None)
    )
    args.recipe = args.recipe or RECIPES[kind]
    base_path(args.recipe)
    store = ImageStore(args.images)
    pictures, problems = find_pictures(store, dict.fromkeys(row.image for row in rows))
    readable = [row for row in rows if row.image in pictures]
    lines = [f'{args.table}: {len(rows) + empty} {kind} about {len(pictures) + len(problems)} pictures']
    if empty:
        lines.append(f'left out: {empty} rows with an empty value')
    if problems:
        name, problem = next(iter(problems.items()))
        lines.append(
            f'left out: {len(rows) - len(readable)} rows of {len(problems)} pictures; the first is {name}: {problem}'
        )
    if not readable:
        raise UserError(f'no picture of {args.table} is in {args.images}; {lines[-1]}')
    splits, shared = assign_splits(readable, pictures, dict(val=args.val, test=args.test), args.seed)
    if shared:
        lines.append(f'{shared} pictures are in several splits of the table, and were given to the first of them')
    copies = len({picture.size.file_name for picture in pictures.values()}) - len(splits)
    if copies:
        lines.append(f'{copies} pictures are copies of others under another name, and share their split')
    args.out.mkdir(parents=True, exist_ok=True)
    if problems:
        write_text(args.out / LEFT_OUT, ''.join(f'{name}: {problem}\n' for name, problem in problems.items()))
        lines.append(f'all pictures that were left out: {args.out / LEFT_OUT}')
    paths = dict(data_root=os.fspath(args.out.resolve()), images=os.fspath(args.images.resolve()))
    work = {'questions': prepare_questions, 'captions': prepare_captions}[kind]
    lines += work(args, Found(readable, pictures, splits, paths))
    parts = read_config(base_path(args.recipe)).get('pretrained')
    if parts and not os.path.isdir(parts):
        lines.append('first: soho prepare pretrained, which fetches what the recipe begins with')
    return [*lines, f'next: soho train {args.out / "config.py"}']


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('table', type=Path, help='csv, tsv, json or jsonl file')
    parser.add_argument('--images', type=Path, required=True, help='folder or zip of the pictures')
    parser.add_argument(
        '--out', type=Path, default=Path('data/own'), help='folder of the results; default: %(default)s'
    )
    parser.add_argument('--image-column', metavar='NAME')
    parser.add_argument('--answer-column', metavar='NAME')
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
        if not (0 < args.val < 1 and 0 <= args.test < 1 and args.val + args.test < 1):
            raise UserError(
                f'--val {args.val} and --test {args.test} are shares of the pictures, and some are trained on'
            )
        lines = prepare(args)
    print('\n'.join(lines))


if __name__ == '__main__':
    main()
