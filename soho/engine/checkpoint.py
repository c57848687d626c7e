"""Checkpoints: read without running their code, laid over a model with a report.

``torch.load`` of an untrusted file may run code. Here every file is read with
``weights_only=True``, whatever version of mmengine asks for it.
"""
import os
import pickle
import zipfile
from typing import Any, Dict, List, NamedTuple

import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader
from safetensors.torch import load_file
from torch import Tensor, nn


class CheckpointError(ValueError):
    """A file that cannot be used as a checkpoint here; the message says why."""


def read_checkpoint(path: str, map_location: Any = 'cpu') -> Dict[str, Any]:
    """A checkpoint file's contents; never runs code.

    Args:
        path: ``.pth``/``.pt``/``.bin`` (torch) or ``.safetensors``.
        map_location: Where tensors go.

    Raises:
        FileNotFoundError: No such file.
        CheckpointError: Truncated, no checkpoint, or a pickle that wants to
            run code.
    """
    path = os.path.expanduser(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(f'there is no checkpoint {path}')
    if path.endswith('.safetensors'):
        try:
            return dict(state_dict=load_file(path, device=str(map_location or 'cpu')))
        except Exception as error:  # safetensors has one error class of its own, raised from Rust
            raise CheckpointError(f'{path} is not a readable safetensors file: {error}') from error
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        if 'weights_only' in str(error) or 'Unsupported' in str(error):
            reason = str(error).split('\n')[0]
            raise CheckpointError(f'{path} holds more than tensors and plain values, and reading that could run '
                                  f'its code; it was refused ({reason})') from error
        raise CheckpointError(f'{path} is damaged or no checkpoint: {error}') from error
    except (RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).split('\n')[0]
        raise CheckpointError(f'{path} is damaged, cut short or no checkpoint: {reason}') from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f'{path} holds a {type(checkpoint).__name__}; a checkpoint is a dict of tensors')
    return checkpoint


def state_dict_of(checkpoint: Dict[str, Any]) -> Dict[str, Tensor]:
    """The weights of a checkpoint: below ``state_dict`` or ``model``, or the dict itself; no ``module.``."""
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
            break
    return {name.removeprefix('module.'): value for name, value in checkpoint.items() if isinstance(value, Tensor)}


class LoadReport(NamedTuple):
    """What became of a checkpoint's entries."""

    taken: List[str]
    """Entries of the model that were filled."""
    left: List[str]
    """Entries of the file that the model has no place for."""
    missing: List[str]
    """Entries of the model that the file does not have; they keep their values."""

    def __str__(self) -> str:
        lines = [f'{len(self.taken)} entries taken']
        for what, names in (('left in the file', self.left), ('missing from the file', self.missing)):
            if names:
                lines.append(f'{len(names)} {what}: ' + ', '.join(_by_module(names)))
        return '; '.join(lines)


def _by_module(names: List[str], depth: int = 2) -> List[str]:
    """``a.b.*(12)`` instead of twelve names."""
    counts: Dict[str, int] = {}
    for name in names:
        parts = name.split('.')
        head = '.'.join(parts[:depth]) + ('.*' if len(parts) > depth else '')
        counts[head] = counts.get(head, 0) + 1
    return [f'{head} ({n})' if n > 1 else head for head, n in counts.items()]


def load_weights(model: nn.Module, state: Dict[str, Tensor], source: str, strict: bool = False) -> LoadReport:
    """Lay ``state`` over ``model``.

    Args:
        model: Filled in place.
        state: Names to tensors; any float type, cast to the model's.
        source: Where the weights come from, for messages.
        strict: Demand that the file has every entry of the model.

    Raises:
        CheckpointError: A shape differs; nothing fits; or entries are missing
            and ``strict``.
    """
    own = model.state_dict()
    taken = [name for name in own if name in state]
    report = LoadReport(taken, [n for n in state if n not in own], [n for n in own if n not in state])
    if not taken:
        raise CheckpointError(f'{source} has no weight of this model; it begins with '
                              f'{", ".join(list(state)[:3]) or "nothing"}, the model with {", ".join(list(own)[:3])}')
    wrong = [n for n in taken if own[n].shape != state[n].shape]
    if wrong:
        name = wrong[0]
        raise CheckpointError(f'{source} does not fit: {name} has shape {tuple(state[name].shape)}, the model wants '
                              f'{tuple(own[name].shape)}' + (f' (and {len(wrong) - 1} more)' if wrong[1:] else ''))
    if strict and report.missing:
        raise CheckpointError(f'{source} is incomplete: {report}')
    model.load_state_dict({name: state[name] for name in taken}, strict=False)
    return report


def to_plain(value: Any) -> Any:
    """Histories and numpy values as dicts, tensors and numbers, which any safe loader reads."""
    if isinstance(value, HistoryBuffer):
        history, counts = value.data
        return dict(history=torch.as_tensor(history), counts=torch.as_tensor(counts), max_length=value.max_length,
                    is_history_buffer=True)
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


def _torchvision(filename: str, map_location: Any = None) -> Dict[str, Any]:
    from torchvision.models import get_model_weights
    name = filename.split('://', 1)[1]
    return _http(get_model_weights(name).IMAGENET1K_V1.url, map_location)


def _http(url: str, map_location: Any = None) -> Dict[str, Any]:
    folder = os.path.join(torch.hub.get_dir(), 'checkpoints')
    path = os.path.join(folder, os.path.basename(url))
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, path, progress=os.isatty(2))
        except OSError as error:
            raise CheckpointError(f'{url} could not be downloaded ({error}); put the file at {path} or name a '
                                  'local one') from error
    return read_checkpoint(path, map_location)


def _refuse(filename: str, map_location: Any = None) -> Dict[str, Any]:
    raise CheckpointError(f'{filename}: checkpoints are read from files, http(s):// and torchvision:// only')


def use_safe_loading() -> None:
    """Make mmengine read every checkpoint through :func:`read_checkpoint`."""
    register = CheckpointLoader.register_scheme
    for prefix in list(CheckpointLoader._schemes):
        register(prefixes=prefix, loader=_refuse, force=True)
    register(prefixes='', loader=read_checkpoint, force=True)
    register(prefixes=('http://', 'https://'), loader=_http, force=True)
    register(prefixes=('torchvision://', 'modelzoo://'), loader=_torchvision, force=True)
