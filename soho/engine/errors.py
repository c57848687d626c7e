"""How a tool ends when its input is wrong."""
import os
from collections.abc import Iterator
from contextlib import contextmanager

from soho.datasets.images import ImageError
from soho.datasets.json_files import BrokenJSONError, MissingKeyError
from soho.engine.checkpoint import CheckpointError
from soho.engine.config import ConfigError

# What a person got wrong, as against what this project did.
INPUT_ERRORS = (BrokenJSONError, CheckpointError, ConfigError, FileNotFoundError, ImageError, MissingKeyError)


@contextmanager
def said_in_one_sentence() -> Iterator[None]:
    """End the program with the sentence alone, without a traceback; ``SOHO_TRACEBACK=1`` shows both."""
    try:
        yield
    except INPUT_ERRORS as error:
        if os.environ.get('SOHO_TRACEBACK'):
            raise
        raise SystemExit(f'error: {error}') from None
