"""Checkpoints, read without running their code.

``torch.load`` of an untrusted file may run code; here every file is read with ``weights_only=True``.
Needs torch and torchvision only, so that ``hubconf.py`` can use it; a file of safetensors needs that package.
"""

import os
import pickle
import re
import zipfile
from typing import Any
from urllib.parse import urlparse

import torch

from soho.engine.checkpoint.bounds import check_parts, check_values, find_harmful_name, is_zip
from soho.engine.checkpoint.errors import CheckpointError, MissingCheckpointError
from soho.errors import clip

HEADER_KEY = 'inference'
"""Under which a file of safetensors describes its model; see :mod:`soho.engine.checkpoint.inference_spec`."""
VALIDATED_ITER = 'figures_iter'  # not val..., which mmengine's log shows
"""In the message hub of a checkpoint: the iteration after which its newest validation figures were measured."""


def read_checkpoint(source: str, map_location: Any = 'cpu', mesh: Any = None) -> dict[str, Any]:
    """A checkpoint's contents; never runs code.

    Args:
        source: A file of torch (``.pth``, ``.pt``, ``.bin``) or of safetensors, whose contents say which;
            ``http(s)://``; or ``torchvision://`` and the name of one of its models.
        map_location: Where tensors go.
        mesh: Ranks, all of which call this, that want each a part of the tensors of a sharded checkpoint; see
            :func:`soho.engine.checkpoint.shards.read_shards`. By default they are whole.

    Raises:
        MissingCheckpointError: No such file.
        CheckpointError: Truncated, changed since it was written, no checkpoint, or a pickle that wants to
            run code; it could not be downloaded.
    """
    scheme, separator, name = source.partition('://')
    if not separator:
        return _read_file(os.path.expanduser(source), map_location, mesh)
    if scheme in ('torchvision', 'modelzoo'):
        source = _torchvision_url(name)
    elif scheme not in ('http', 'https'):
        raise CheckpointError(f'{source}: checkpoints are read from files, http(s):// and torchvision:// only')
    return _read_file(_download(source), map_location)


def _read_file(path: str, map_location: Any, mesh: Any = None) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise MissingCheckpointError(f'there is no checkpoint {path}')
    if _is_safetensors(path):
        return _read_safetensors(path, str(map_location or 'cpu'))
    with open(path, 'rb') as file:
        if file.read(1) not in (b'P', b'\x80'):
            raise CheckpointError(f'{path} is no checkpoint: it begins neither as a zip nor as a pickle')
    check_sums(path)
    checkpoint = _load(path, map_location)
    if 'shards' in checkpoint:
        # What few files have, and whose imports take longer than all others here.
        from soho.engine.checkpoint.shards import read_shards

        read_shards(checkpoint, path, mesh, map_location)
    return checkpoint


def read_header(path: str) -> dict[str, Any]:
    """A checkpoint's contents with tensors that stay on the disk, and whose checksums nobody has compared.

    Of a sharded checkpoint it is what the file holds, see :mod:`soho.engine.checkpoint.shards`.

    Args:
        path: Path of a file that torch has written.

    Raises:
        CheckpointError: See :func:`read_checkpoint`.
    """
    return _load(path, 'cpu', mmap=is_zip(path))


def check_sums(path: str) -> None:
    """Compare what a file of torch holds with its checksums.

    torch writes them and does not read them. A file of an old torch (a bare pickle) has none, nor has one that was
    written under ``torch.serialization.set_crc32_options(False)``, which is known by none of them being right.

    Args:
        path: Path of the file.

    Raises:
        CheckpointError: Something in it has changed since it was written; or it is cut short.
    """
    with open(path, 'rb') as file:
        if file.read(1) != b'P':
            return
    try:
        with zipfile.ZipFile(path) as archive:
            check_parts(archive, path)
            names = archive.namelist()
            wrong = next((name for name in names if not _is_sound(archive, name)), None)
            if wrong is None or not any(_is_sound(archive, name) for name in names):
                return
    except CheckpointError:
        raise
    except Exception as error:  # damaged bytes make zipfile raise whatever they happen to
        raise CheckpointError(f'{path} is damaged, cut short or no checkpoint: {clip(error)}') from error
    raise CheckpointError(
        f'{path} is damaged: its part {wrong} is no longer what was written (the checksum differs); '
        'fetch the file again, or go on from an older one'
    )


def _is_sound(archive: zipfile.ZipFile, name: str) -> bool:
    try:
        with archive.open(name) as member:
            while member.read(1 << 20):
                pass
    except (zipfile.BadZipFile, EOFError):
        return False
    return True


def _load(path: str, map_location: Any, mmap: bool = False) -> dict[str, Any]:
    try:
        if harmful := find_harmful_name(path):
            raise _refuse(path, harmful)
        checkpoint = torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    except CheckpointError:
        raise
    except Exception as error:  # damaged bytes make an unpickler raise whatever they happen to
        reason = str(error).split('\n')[0]
        if isinstance(error, pickle.UnpicklingError) and ('weights_only' in str(error) or 'Unsupported' in reason):
            wanted = re.search(r'GLOBAL (\S+)', str(error))
            raise _refuse(path, wanted[1] if wanted else '') from error
        raise CheckpointError(f'{path} is damaged, cut short or no checkpoint: {clip(reason)}') from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f'{path} holds a {type(checkpoint).__name__}; a checkpoint is a dict of tensors')
    check_values(checkpoint, path)
    return checkpoint


def _refuse(path: str, wanted: str) -> CheckpointError:
    return CheckpointError(
        f'{path} holds more than tensors and plain values, and reading that could run its code; it was refused'
        + (f': it asks for {clip(wanted)}' if wanted else '')
    )


def _is_safetensors(path: str) -> bool:
    """By its contents: the length of a JSON header, then the header."""
    with open(path, 'rb') as file:
        start = file.read(9)
    return path.endswith('.safetensors') or (len(start) == 9 and start[7:] == b'\0{')


def state_dict_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The weights of a checkpoint: below ``state_dict`` or ``model``, or the dict itself; no ``module.``.

    Raises:
        CheckpointError: A name that is no text.
    """
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
            break
    if odd := [name for name in checkpoint if not isinstance(name, str)]:
        raise CheckpointError(f'the entries of a checkpoint are named by texts, and this one has {odd[0]!r:.40}')
    return {name.removeprefix('module.'): value for name, value in checkpoint.items()}


def is_count(value: Any) -> bool:
    """Whether a checkpoint's value can be a number of epochs or iterations."""
    return type(value) is int and 0 <= value < 2**63


def _read_safetensors(path: str, device: str) -> dict[str, Any]:
    """``state_dict``, and ``inference`` where the header has it."""
    try:
        from safetensors import safe_open
    except ImportError as error:
        raise CheckpointError(f'{path} is a safetensors file, which needs the package safetensors') from error
    try:
        with safe_open(path, 'pt', device=device) as file:
            checkpoint: dict[str, Any] = dict(state_dict={name: file.get_tensor(name) for name in file.keys()})
            header = (file.metadata() or {}).get(HEADER_KEY)
        return checkpoint if header is None else dict(checkpoint, **{HEADER_KEY: header})
    except Exception as error:  # safetensors has one error class of its own, raised from Rust
        raise CheckpointError(f'{path} is not a readable safetensors file: {clip(error)}') from error


def _torchvision_url(name: str) -> str:
    from torchvision.models import get_model_weights

    try:
        return get_model_weights(name)['IMAGENET1K_V1'].url
    except (ValueError, KeyError) as error:
        raise CheckpointError(f'{name!r} is no model of which torchvision has ImageNet weights') from error


def _download(url: str) -> str:
    """Where the file at ``url`` is kept, fetched when it is asked for the first time."""
    folder = os.path.join(torch.hub.get_dir(), 'checkpoints')
    path = os.path.join(folder, os.path.basename(urlparse(url).path))
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, path, progress=os.isatty(2))
        except OSError as error:
            raise CheckpointError(
                f'{url} could not be downloaded ({error}); put the file at {path} or name a local one'
            ) from error
    return path
