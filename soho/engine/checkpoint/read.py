"""Checkpoints: read without running their code, laid over a model with a report.

``torch.load`` of an untrusted file may run code. Here every file is read with
``weights_only=True``, whatever version of mmengine asks for it.
"""

import os
import pickle
import re
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlparse

import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors.torch import load_file
from torch import Tensor, nn

from soho.engine.checkpoint.adapters import OWN_LAYOUT, adapt
from soho.errors import UserError


class CheckpointError(UserError):
    """A file that cannot be used as a checkpoint here; the message says why."""


def read_checkpoint(path: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """A checkpoint file's contents; never runs code.

    Args:
        path: A file of torch (``.pth``, ``.pt``, ``.bin``) or of safetensors; its contents say which.
        map_location: Where tensors go.

    Raises:
        FileNotFoundError: No such file.
        CheckpointError: Truncated, no checkpoint, or a pickle that wants to
            run code.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'there is no checkpoint {path}')
    if _is_safetensors(path):
        try:
            return dict(state_dict=load_file(path, device=str(map_location or 'cpu')))
        except Exception as error:  # safetensors has one error class of its own, raised from Rust
            raise CheckpointError(f'{path} is not a readable safetensors file: {error}') from error
    with open(path, 'rb') as file:
        if file.read(1) not in (b'P', b'\x80'):
            raise CheckpointError(f'{path} is no checkpoint: it begins neither as a zip nor as a pickle')
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # damaged bytes make an unpickler raise whatever they happen to
        reason = str(error).split('\n')[0]
        if isinstance(error, pickle.UnpicklingError) and ('weights_only' in str(error) or 'Unsupported' in reason):
            wanted = re.search(r'GLOBAL (\S+)', str(error))
            raise CheckpointError(
                f'{path} holds more than tensors and plain values, and reading that could run '
                'its code; it was refused' + (f': it asks for {wanted[1]}' if wanted else '')
            ) from error
        raise CheckpointError(f'{path} is damaged, cut short or no checkpoint: {reason}') from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f'{path} holds a {type(checkpoint).__name__}; a checkpoint is a dict of tensors')
    return checkpoint


def _is_safetensors(path: str) -> bool:
    """By its contents: the length of a JSON header, then the header."""
    with open(path, 'rb') as file:
        start = file.read(9)
    return path.endswith('.safetensors') or (len(start) == 9 and start[7:] == b'\0{')


def state_dict_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The weights of a checkpoint: below ``state_dict`` or ``model``, or the dict itself; no ``module.``."""
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
            break
    return {name.removeprefix('module.'): value for name, value in checkpoint.items()}


class LoadReport(NamedTuple):
    """What became of a checkpoint's entries."""

    taken: list[str]
    """Entries of the model that were filled."""
    left: list[str]
    """Entries of the file that the model has no place for, by the file's names."""
    missing: list[str]
    """Entries of the model that the file does not have; they keep their values."""
    layout: str = OWN_LAYOUT
    """Which kind of checkpoint the contents say it is."""

    def __str__(self) -> str:
        lines = [f'{self.layout}, {len(self.taken)} entries taken']
        for what, names in (('left in the file', self.left), ('missing from the file', self.missing)):
            if names:
                lines.append(f'{len(names)} {what}: ' + ', '.join(_by_module(names)))
        return '; '.join(lines)


def _by_module(names: list[str], depth: int = 2, most: int = 8) -> list[str]:
    """``a.b.* (12)`` instead of twelve names, and of many modules the first few."""
    counts: dict[str, int] = {}
    for name in names:
        parts = name.split('.')
        head = '.'.join(parts[:depth]) + ('.*' if len(parts) > depth else '')
        counts[head] = counts.get(head, 0) + 1
    modules = [f'{head} ({n})' if n > 1 else head for head, n in counts.items()]
    return modules if len(modules) <= most + 1 else [*modules[:most], f'and {len(modules) - most} more modules']


def load_weights(
    model: nn.Module, state: dict[str, Any], source: str, strict: bool = False, parts: Sequence[str] | None = None
) -> LoadReport:
    """Lay ``state`` over ``model``.

    Foreign layouts are recognised and renamed by :mod:`soho.engine.checkpoint.adapters`.

    Args:
        model: Filled in place.
        state: Names to tensors; any float type, cast to the model's.
        source: Where the weights come from, for messages.
        strict: Demand that the file has every entry of the model. Otherwise a
            whole part (backbone, neck, language, a head) may be absent, as
            when fine-tuning starts from a pretrained checkpoint, but no part
            may be filled by halves.
        parts: Take these parts alone (``['backbone']``); by default all that
            both have.

    Raises:
        CheckpointError: The file lacks one of ``parts``; a shape differs; nothing fits; a part is incomplete;
            or entries are missing and ``strict``.
    """
    own = model.state_dict()
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    try:
        layout, taken, left = adapt(tensors, own)
    except ValueError as error:
        raise CheckpointError(f'{source} cannot be used: {error}') from error
    if parts is not None:
        if absent := set(parts) - {_part(name) for name in taken}:
            raise CheckpointError(
                f'{source} has no {sorted(absent)[0]!r} of this model to take; it has '
                f'{", ".join(sorted({_part(name) for name in taken})) or "nothing of it"}'
            )
        left += [name for name in taken if _part(name) not in parts]
        taken = {name: value for name, value in taken.items() if _part(name) in parts}
    left += [name for name in state if name not in tensors]
    missing = [name for name in own if name not in taken]
    report = LoadReport(list(taken), left, missing, layout)
    if not taken:
        raise CheckpointError(
            f'{source} has no weight of this model; it begins with '
            f'{", ".join(list(state)[:3]) or "nothing"}, the model with {", ".join(list(own)[:3])}'
        )
    wrong = [n for n in taken if own[n].shape != taken[n].shape]
    if wrong:
        name = wrong[0]
        raise CheckpointError(
            f'{source} does not fit: {name} has shape {tuple(taken[name].shape)}, the model wants '
            f'{tuple(own[name].shape)}' + (f' (and {len(wrong) - 1} more)' if wrong[1:] else '')
        )
    # Files older than torch 0.4.1 do not count batches, and nothing here depends on the count.
    needed = [name for name in missing if not name.endswith('num_batches_tracked')]
    filled = {_part(name) for name in taken}
    lacking = needed if strict else [name for name in needed if _part(name) in filled]
    if lacking:
        raise CheckpointError(
            f'{source} is incomplete: {lacking[0]}'
            + (f' and {len(lacking) - 1} more entries are' if lacking[1:] else ' is')
            + f' missing ({report})'
        )
    model.load_state_dict(taken, strict=False)
    return report


def _part(name: str) -> str:
    """``backbone``, ``neck``, ``language`` or ``heads.NAME``, to which an entry belongs."""
    parts = name.split('.')
    return '.'.join(parts[:2]) if parts[0] == 'heads' else parts[0]


def to_plain(value: Any) -> Any:
    """Histories and numpy values as dicts, tensors and numbers, which any safe loader reads."""
    if isinstance(value, HistoryBuffer):
        history, counts = value.data
        return dict(
            history=torch.as_tensor(history),
            counts=torch.as_tensor(counts),
            max_length=value.max_length,
            is_history_buffer=True,
        )
    if isinstance(value, dict):
        # Counter(pairs) would count the pairs, so a dict subclass cannot simply be called with them.
        copy = value.copy()
        copy.update({k: to_plain(v) for k, v in value.items()})
        return copy
    if isinstance(value, (list, tuple)):
        return type(value)(to_plain(v) for v in value)
    if hasattr(value, 'dtype') and not isinstance(value, Tensor):
        return value.item() if value.ndim == 0 else torch.as_tensor(value)
    return value


def from_plain(value: Any) -> Any:
    """Undo :func:`to_plain`."""
    if isinstance(value, dict):
        if value.get('is_history_buffer'):
            return HistoryBuffer(value['history'].cpu().numpy(), value['counts'].cpu().numpy(), value['max_length'])
        for key, item in value.items():
            value[key] = from_plain(item)
    return value


def _torchvision(filename: str, map_location: Any = None) -> dict[str, Any]:
    from torchvision.models import get_model_weights

    name = filename.split('://', 1)[1]
    return _http(get_model_weights(name).IMAGENET1K_V1.url, map_location)


def _http(url: str, map_location: Any = None) -> dict[str, Any]:
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
    return read_checkpoint(path, map_location)


def _refuse(filename: str, map_location: Any = None) -> dict[str, Any]:
    raise CheckpointError(f'{filename}: checkpoints are read from files, http(s):// and torchvision:// only')


def use_safe_loading() -> None:
    """Make mmengine read every checkpoint through :func:`read_checkpoint`."""
    register = CheckpointLoader.register_scheme
    for prefix in list(CheckpointLoader._schemes):
        register(prefixes=prefix, loader=_refuse, force=True)
    register(prefixes='', loader=read_checkpoint, force=True)
    register(prefixes=('http://', 'https://'), loader=_http, force=True)
    register(prefixes=('torchvision://', 'modelzoo://'), loader=_torchvision, force=True)
