"""Files of models on the Hugging Face Hub, and a sentence at once where they cannot be had."""

import os
from collections.abc import Sequence

from soho.errors import UserError

SECONDS = 5.0  # that the Hub may take to answer; the libraries that download from it try for half a minute


def find_file(name: str, files: Sequence[str], purpose: str) -> str:
    """Return the path of the first of ``files`` that a folder or a model on the Hub has; it is downloaded if need be.

    Args:
        name: A folder, or a name on the Hub such as ``'bert-base-uncased'``.
        files: Names of files, any of which will do.
        purpose: What it is for, for messages: ``'the vocabulary'``.

    Raises:
        UserError: None of them is there, or the Hub cannot be reached.
    """
    if os.path.isdir(name):
        paths = [os.path.join(name, file) for file in files]
        path = next(filter(os.path.isfile, paths), None)
        if path is None:
            raise UserError(f'{purpose} was looked for in the folder {name}, which holds no {" or ".join(files)}')
        return path
    from transformers.utils import cached_file  # takes seconds to import

    for local in (True, False):
        if not local:
            _ask_hub(name, purpose)
        for file in files:
            try:
                if path := cached_file(name, file, local_files_only=local):
                    return path
            except OSError:  # not this file
                continue
    raise UserError(f'{purpose} {name} of the Hub has no {" or ".join(files)}')


def _ask_hub(name: str, purpose: str) -> None:
    """Raise a :class:`UserError` where the Hub does not answer, or has no model of that name."""
    from huggingface_hub import model_info
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        model_info(name, timeout=SECONDS)
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise UserError(f'{purpose} {name} is neither a file, nor a folder, nor a model on the Hub') from error
    except Exception as error:  # no network, no name service, a proxy that refuses, HF_HUB_OFFLINE
        raise UserError(
            f'{purpose} {name} is neither a file nor a folder, and the Hugging Face Hub cannot be reached '
            f'({type(error).__name__}): name a folder with vocab.txt and model.safetensors of that model, for '
            'bert-base-uncased in the published recipes by `export SOHO_BERT=FOLDER`'
        ) from error
