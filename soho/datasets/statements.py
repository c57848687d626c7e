"""Statements about images that are true or false: what NLVR and NLVR2 share."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from soho.datasets.base import ImageTextDataset
from soho.datasets.storage.packed_strings import PackedStrings
from soho.errors import UserError, clip

CLASS_NAMES = ('False', 'True')


def parse_label(label: str | bool | None) -> int:
    """Return 1 for "True", 0 for "False", in upper or lower case, and -1 where the label is not known (None)."""
    return -1 if label is None else int(str(label).lower() == 'true')


class StatementDataset(ImageTextDataset):
    """Base class of the data sets of statements; a subclass sets the attributes below in ``load_annotations``.

    Attributes:
        sentences: The statement of each example.
        labels: (E,) int64, 1 true, 0 false, -1 unknown.
        identifiers: Name of each example in submissions.
        groups: Name of the group of each example, see :func:`soho.evaluation.statements.score_statements`.
    """

    sentences: Sequence[str] | PackedStrings
    labels: np.ndarray
    identifiers: PackedStrings
    groups: PackedStrings

    @property
    def metainfo(self) -> dict[str, Any]:
        """``class_names``; in test mode ``identifiers`` and ``groups`` of the examples by their ``question_id`` too.

        A checkpoint keeps this of the training data, as plain values.
        """
        info: dict[str, Any] = dict(class_names=list(CLASS_NAMES))
        if self.test_mode:
            for name in ('identifiers', 'groups'):
                strings: PackedStrings = getattr(self, name)
                info[name] = [strings[number] for number in range(len(strings))]
        return info

    def describe(self, examples: Sequence[int], sentences: Sequence[str], size: int) -> dict[str, Any]:
        """Annotation of a sample with these examples.

        Args:
            examples: Their indices, at most ``size``.
            sentences: Their statements.
            size: S; the rows behind the examples are empty.

        Returns:
            ``sentences`` (S), ``sentence_mask`` (S,) bool, ``question_id`` (S,) and ``answer_labels`` (S, 1) int64.
        """
        count = len(examples)
        ids, labels = np.full(size, -1, np.int64), np.full((size, 1), -1, np.int64)
        ids[:count], labels[:count, 0] = examples, self.labels[list(examples)]
        return dict(
            sentences=[*sentences, *[''] * (size - count)],
            sentence_mask=np.arange(size) < count,
            question_id=ids,
            answer_labels=labels,
        )


def check_unique(identifiers: Sequence[Hashable], ann_file: str) -> None:
    """Check that no identifier is repeated.

    Raises:
        UserError: One is.
    """
    seen = set()
    for identifier in identifiers:
        if identifier in seen:
            raise UserError(f'{ann_file} holds the example {clip(identifier)} twice')
        seen.add(identifier)
