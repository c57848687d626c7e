"""What a table holds, and what becomes of it: the two sides of each kind of table."""

from collections.abc import Callable
from typing import NamedTuple

from soho.apis.own_data.rows import Row
from soho.datasets.storage.named_pictures import Picture


class Content(NamedTuple):
    """The rows of a table whose pictures have been read, divided into splits."""

    rows: list[Row]
    pictures: dict[str, Picture]
    """By the name in the table."""
    splits: list[str]
    """Of each row."""


class Prepared(NamedTuple):
    """What has been written, and what the config says about it."""

    files: dict[str, str]
    """Annotation file of each split that has rows."""
    evaluator: Callable[[str], str]
    """Settings of the metric for an annotation file, as the text of a config."""
    report: list[str]
    """What is to say, one line each."""
    model: str | None = None
    """Settings of the model, likewise."""
    vocabulary: str | None = None
    """Vocabulary file that the recipe reads in the place of its own."""
