"""What a user asks for: a table, its pictures, and how they become a training."""

import codecs
from pathlib import Path
from typing import NamedTuple

from soho.errors import UserError


class Request(NamedTuple):
    """The options of ``soho prepare table``."""

    table: Path
    """A csv, tsv, json or jsonl file."""
    images: Path
    """Folder, zip or tar shards of the pictures."""
    out: Path = Path('data/own')
    """Folder of the results."""
    image_column: str | None = None
    """The column of pictures, where its name does not say so."""
    answer_column: str | None = None
    """The column of answers, where its name does not say so."""
    encoding: str | None = None
    """Of a csv or tsv file; UTF-8, or UTF-16 with its mark, where None."""
    val: float = 0.2
    """Share of the pictures that becomes the split ``val``, between 0 and 1."""
    test: float = 0.0
    """Share of the pictures that becomes the split ``test``."""
    seed: int = 0
    """Seed of the division."""
    min_count: int = 1
    """Training questions that an answer of the list has."""
    recipe: str | None = None
    """The config that the new one inherits from; where None, the one from pretrained parts for this kind of table."""

    def check(self) -> None:
        """Check what can be checked without reading anything.

        Raises:
            UserError: A share is none, or there is no such encoding.
        """
        if not 0 < self.val < 1:
            raise UserError(
                f'--val {self.val:g} is no share of the pictures to measure on; it is between 0 and 1, such as 0.2'
            )
        if not 0 <= self.test < 1:
            raise UserError(f'--test {self.test:g} is no share of the pictures; it is 0 or more, and less than 1')
        if self.val + self.test >= 1:
            raise UserError(f'--val {self.val:g} and --test {self.test:g} leave no pictures to train on')
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError:
                raise UserError(f'--encoding {self.encoding} is none; utf-8, utf-16 and cp1252 are') from None
