"""Token ids of all sentences of an annotation file, computed once and mapped into memory.

A tokenizer gives the same ids in every epoch. ``tools/prepare/tokens.py`` writes
them beside the index of the annotation file (:mod:`soho.datasets.storage.index`); datasets
use them where they find them and tokenise otherwise.
"""

from array import array
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from soho.datasets.storage.index import Index, index_places, load, save
from soho.locks import file_lock

CHUNK = 1 << 14  # sentences tokenised at a time


class Tokenizer(Protocol):
    """Interface of the tokenizers in :mod:`soho.datasets.tokenizer`."""

    def __len__(self) -> int: ...

    def encode(self, sentences: list[str]) -> list[np.ndarray]:
        """Return the ids of each sentence, without padding."""

    def digest(self) -> str:
        """Return a digest that differs between tokenizers that may give different ids."""


class PreparedTokens:
    """Token ids of the sentences of an annotation file, without padding.

    Args:
        index: Index with the column ``ids`` and the end of each sentence in it,
            ``ends``; the last row is the empty sentence.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self.ids, self.ends = index['ids'], index['ends']

    def __getitem__(self, row: int) -> np.ndarray:
        """Return the ids of sentence ``row``, int64; -1 is the empty sentence.

        Raises:
            UserError: The file has been cut off since it was opened.
        """
        self._index.check_length()
        return self.ids[self.ends[row - 1] if row else 0 : self.ends[row]].astype(np.int64)


def prepare_tokens(ann_file: str, index: Index, column: str, tokenizer: Tokenizer) -> Path:
    """Tokenise the sentences of an index, write the ids, and return the path of the file.

    An index that was small enough to stay in memory is written as well, since the ids belong to it.

    Args:
        ann_file: Path of the annotation file.
        index: Its index.
        column: Name of the column of sentences.
        tokenizer: The tokenizer.

    Raises:
        OSError: None of the folders of an index can be written.
    """
    if index.path is None:
        _save(index_places(ann_file, index.origin['kind']), index, ann_file)
    texts = index.texts(column)
    ids, ends = array('H' if len(tokenizer) <= 1 << 16 else 'i'), array('q')
    total = len(texts)
    for start in range(0, total, CHUNK):
        _append(tokenizer.encode([texts[i] for i in range(start, min(start + CHUNK, total))]), ids, ends)
    _append(tokenizer.encode(['']), ids, ends)
    arrays = {'ids': np.frombuffer(ids, ids.typecode), 'ends': np.frombuffer(ends, np.int64)}
    tokens = Index(arrays, {}, _origin(index, tokenizer))
    return _save(_places(ann_file, index, tokenizer), tokens, ann_file)


def _save(places: list[Path], index: Index, ann_file: str) -> Path:
    for place in places:
        with file_lock(place) as writable:
            if writable and save(place, index):
                return place
    raise OSError(f'the index of {ann_file} can be written neither beside it nor in {places[-1].parent}')


def _append(sentences: list[np.ndarray], ids: array, ends: array) -> None:
    for sentence in sentences:
        ids.extend(sentence.tolist())
        ends.append(len(ids))


def find_tokens(ann_file: str, index: Index, tokenizer: Tokenizer) -> PreparedTokens | None:
    """Return the prepared tokens of an index's sentences by this tokenizer, or None."""
    for place in _places(ann_file, index, tokenizer):
        if place.exists() and (tokens := load(place, _origin(index, tokenizer))):
            return PreparedTokens(tokens)
    return None


def _places(ann_file: str, index: Index, tokenizer: Tokenizer) -> list[Path]:
    places = index_places(ann_file, index.origin['kind'])
    return [place.with_suffix(f'.{tokenizer.digest()[:8]}.tokens') for place in places]


def _origin(index: Index, tokenizer: Tokenizer) -> dict[str, Any]:
    return dict(index.origin, tokenizer=tokenizer.digest())
