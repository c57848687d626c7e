"""What a person can put right, as against what this project did wrong."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Its message is one sentence to a person: what, where, and what would be right."""


USER_ERRORS = (UserError, OSError)


@contextmanager
def exit_on_user_error(output: os.PathLike | None = None) -> Iterator[None]:
    """End the program with the sentence alone, without a traceback; ``SOHO_TRACEBACK=1`` shows both.

    Args:
        output: What is being made, to be named where the system refuses it (a full disk).
    """
    try:
        yield
    except USER_ERRORS as error:
        if os.environ.get('SOHO_TRACEBACK'):
            raise
        refused = output is not None and isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
        raise SystemExit(f'error: {f"{output} could not be made: " if refused else ""}{format_error(error)}') from None


def format_error(error: Exception) -> str:
    """An error's message; of one in a data worker torch hands on the whole traceback, the message last."""
    message = str(error)
    if message.startswith('Caught '):
        message = message.strip().splitlines()[-1].partition(': ')[2]
    return message
