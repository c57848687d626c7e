"""Statements about two pictures: annotation files of NLVR2, and the more frequent label."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from soho.apis.own_data.content import Content, Prepared
from soho.apis.own_data.request import Request
from soho.apis.own_data.rows import SPLITS, Row
from soho.datasets.statements import CLASS_NAMES
from soho.errors import count_of
from soho.files import write_text

NLVR2_SPLITS = dict(train='train', val='dev', test='test1')


def prepare_pairs(request: Request, content: Content) -> Prepared:
    """Write the files of a table of statements about pairs."""
    files, labels = write_statements(request.out, content)
    majority = max(CLASS_NAMES, key=labels['train'].count)
    share = 100 * labels['val'].count(majority) / len(labels['val'])
    return Prepared(
        files,
        lambda file: f'majority_answer={majority!r}',
        [
            *(f'{split}: {count_of(len(labels[split]), "statement")}' for split in files),
            f'baseline on val, most frequent label ({majority!r}): {share:.1f} %',
        ],
    )


def write_statements(out: Path, content: Content) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Write ``statements_train.jsonl`` and so on in NLVR2's format; return the files and the labels of each split.

    A statement with all its pairs has one number, over which consistency is counted.
    """
    labels: dict[str, list[str]] = {split: [] for split in SPLITS}
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    pairs: dict[tuple[str, str], int] = Counter()
    numbers: dict[tuple[str, str], int] = {}
    for row, split in zip(content.rows, content.splits):
        key = (split, row.text)
        number = numbers.setdefault(key, len(numbers))
        sizes = [content.pictures[name].size for name in row.images]
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
    files = {split: f'statements_{split}.jsonl' for split in SPLITS if labels[split]}
    for split, name in files.items():
        write_text(out / name, ''.join(lines[split]))
    return files, labels


def find_contradictions(rows: Iterable[Row]) -> set[tuple[tuple[str, ...], str]]:
    """Return the pictures and statements that have both labels."""
    labels: dict[tuple[tuple[str, ...], str], set[str]] = defaultdict(set)
    for row in rows:
        labels[row.images, row.text].add(row.answer)
    return {key for key, found in labels.items() if len(found) > 1}
