"""Where a model is: a shipped name, a file, a folder, a work dir, an address or the Hub.

torch is imported only where a checkpoint has to be looked into, so that a name that is none is refused at once.
"""

import os
import re
from pathlib import Path
from typing import Any

from soho.apis.model_zoo import find_model, list_models
from soho.engine.checkpoint.errors import CheckpointError
from soho.errors import first_line, suggest
from soho.files import hash_file

WEIGHTS = 'model.safetensors'
ENDINGS = ('.pth', '.pt', '.bin', '.safetensors')
HUB_ID = re.compile(r'(?:hf://)?([\w.-]+/[\w.-]+)(?:@([\w./-]+))?')


def locate_checkpoint(source: str | os.PathLike, revision: str | None = None) -> str:
    """The file, or the address, of a model.

    Args:
        source: What is there under this path: a file; a folder of ``save_pretrained``; or a work dir, of which it is
            the best checkpoint, or else the newest. Otherwise a name that `soho models` lists; ``http(s)://`` and
            ``torchvision://``; or a Hub id, ``owner/name`` or ``hf://owner/name``.
        revision: Of a Hub id: branch, tag or commit.

    Raises:
        CheckpointError: There is none; or a shipped file is damaged.
    """
    name = os.fspath(source)
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        return _checkpoint_in(path)
    if os.path.isfile(path):
        return path
    if entry := find_model(name):
        if entry.sha256 is not None and os.path.isfile(entry.path):
            verify_file(entry.path, entry.sha256)
        return entry.path
    if re.match(r'\w+://', name) and not name.startswith('hf://'):
        return name
    match = HUB_ID.fullmatch(name)
    if match is None or name.endswith(ENDINGS):
        raise CheckpointError(
            f'there is no checkpoint {name}, and no model of that name{suggest(name, list_models())}; `soho models` '
            'lists those that there are'
        )
    return fetch_from_hub(match[1], match[2] or revision)


def fetch_from_hub(repository: str, revision: str | None = None, **options: Any) -> str:
    """The file of a repository's weights, fetched when it is asked for the first time.

    Args:
        repository: ``owner/name``.
        revision: Branch, tag or commit.
        **options: Further ones of ``huggingface_hub.hf_hub_download``.

    Raises:
        CheckpointError: It cannot be had.
    """
    from huggingface_hub import hf_hub_download

    try:
        return hf_hub_download(repository, WEIGHTS, revision=revision, library_name='soho', **options)
    except (OSError, ValueError) as error:  # every error of the Hub is one of these
        reason = first_line(str(error), type(error).__name__)
        raise CheckpointError(
            f'{repository} is no file here, and its {WEIGHTS} could not be fetched from the Hub: {reason}'
        ) from error


def verify_file(path: str, wanted: str | None) -> None:
    """Raise ``CheckpointError`` where a file's SHA-256 is another than the list of models says."""
    if wanted is not None and (found := hash_file(path)) != wanted:
        raise CheckpointError(f'{path} is damaged: its SHA-256 is {found}, and the list of models says {wanted}')


def _checkpoint_in(folder: str) -> str:
    """The checkpoint that a person means by a folder."""
    if os.path.isfile(path := os.path.join(folder, WEIGHTS)):
        return path
    files = sorted(file for file in Path(folder).glob('[!.]*') if file.suffix in ENDINGS)
    if not files:
        raise CheckpointError(
            f'the folder {folder} has neither {WEIGHTS}, which save_pretrained writes, nor a checkpoint of a run'
        )
    if len(files) == 1:
        return str(files[0])
    from soho.engine.checkpoint.newest import newest_checkpoint
    from soho.engine.checkpoint.read import is_count, read_header

    def iteration(file: Path) -> int:
        done: Any = (read_header(str(file)).get('meta') or {}).get('iter')
        return done if is_count(done) else -1

    if best := [file for file in files if file.name.startswith('best_') and file.suffix == '.pth']:
        return str(max(best, key=iteration))  # of several, of which each is the best by another figure
    path = newest_checkpoint([folder])[0]
    if path is None:
        raise CheckpointError(
            f'the folder {folder} has {len(files)} checkpoints, and none of them says that it is the newest: name one'
        )
    return path
