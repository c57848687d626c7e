"""What is wrong with a config, and what was probably meant. Imports nothing that takes long."""

import difflib
from collections.abc import Iterable

from soho.errors import UserError, quote


class ConfigError(UserError):
    """A config that cannot be what was meant.

    Args:
        message: The sentence.
        key: Dotted key of what is wrong, where it is known.
    """

    def __init__(self, message: str, key: str = '') -> None:
        super().__init__(message)
        self.key = key


def hint(key: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """``; did you mean ...?`` where one of ``known`` is close."""
    close = difflib.get_close_matches(key, known, n=1, cutoff=cutoff)
    return f'; did you mean {quote(close[0])}?' if close else ''
