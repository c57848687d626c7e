"""What a file for the server of a task holds."""

from typing import NamedTuple


class Submission(NamedTuple):
    """Counts of a file that is in order."""

    predictions: int
    empty: int = 0
    """Predictions that are an empty text, which a server takes, though hardly any is right."""
