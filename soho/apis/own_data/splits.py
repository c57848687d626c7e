"""Which rows of a table are trained on and which are held out: a picture is in one split with all its rows."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from soho.apis.own_data.rows import SPLITS, Row
from soho.datasets.storage.named_pictures import Picture
from soho.errors import UserError, count_of


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
                f'pictures in several splits of the table: {shared}'
                + ('; some of what is measured on is trained on' if pairs else '; each goes to the first of them')
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
            notes.append(f'the table has no split val: {held} of its {number} training pictures become it (see --val)')
            source, hint = ' of the split train', 'see --val, or name some in its column split'
    for split in ('train', 'val'):
        if split not in chosen:
            together = ': pictures that share a pair stay together' if pairs else ''
            raise UserError(
                f'nothing is left for the split {split!r} of {count_of(number, "picture")}{source}; {hint}{together}'
            )
    return chosen, notes


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
