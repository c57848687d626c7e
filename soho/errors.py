"""What a person can put right, as against what this project did wrong."""
import os
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Its message is one sentence to a person: what, where, and what would be right."""


USER_ERRORS = (UserError, OSError)


@contextmanager
def said_in_one_sentence() -> Iterator[None]:
    """End the program with the sentence alone, without a traceback; ``SOHO_TRACEBACK=1`` shows both."""
    try:
        yield
    except USER_ERRORS as error:
        if os.environ.get('SOHO_TRACEBACK'):
            raise
        raise SystemExit(f'error: {_sentence(error)}') from None


def _sentence(error: Exception) -> str:
    """Of an error in a data worker torch hands on the whole traceback, the sentence last."""
    message = str(error)
    if message.startswith('Caught '):
        message = message.strip().splitlines()[-1].partition(': ')[2]
    return message
