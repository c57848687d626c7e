"""Weights laid over a model, with a report of what became of them.

Needs torch only, so that ``hubconf.py`` can use it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from soho.engine.checkpoint.adapters.layouts import OWN_LAYOUT, adapt
from soho.engine.checkpoint.read import CheckpointError, read_checkpoint, state_dict_of
from soho.engine.checkpoint.value_checks import is_dense
from soho.engine.sharding import shard_like
from soho.errors import clip


class LoadReport(NamedTuple):
    """What became of a checkpoint's entries."""

    loaded: list[str]
    """Entries of the model that were filled."""
    unexpected: list[str]
    """Entries of the file that the model has no place for, by the file's names."""
    missing: list[str]
    """Entries of the model that the file does not have; they keep their values."""
    layout: str = OWN_LAYOUT
    """Which kind of checkpoint the contents say it is."""

    def __str__(self) -> str:
        lines = [f'{self.layout}, {len(self.loaded)} entries loaded']
        for what, names in (('unexpected', self.unexpected), ('missing', self.missing)):
            if names:
                lines.append(f'{len(names)} {what}: ' + ', '.join(_by_module(names)))
        return '; '.join(lines)


def _by_module(names: list[str], depth: int = 2, most: int = 8) -> list[str]:
    """``a.b.* (12)`` instead of twelve names, and of many modules the first few."""
    counts: dict[str, int] = {}
    for name in names:
        parts = name.split('.')
        head = clip('.'.join(parts[:depth])) + ('.*' if len(parts) > depth else '')
        counts[head] = counts.get(head, 0) + 1
    modules = [f'{head} ({n})' if n > 1 else head for head, n in counts.items()]
    return modules if len(modules) <= most + 1 else [*modules[:most], f'and {len(modules) - most} more modules']


def layout_of(checkpoint: dict[str, Any], model_names: Collection[str], source: str) -> str:
    """Return which kind of checkpoint this is for a model with entries of these names."""
    tensors = {name: value for name, value in state_dict_of(checkpoint).items() if isinstance(value, Tensor)}
    try:
        return adapt(tensors, model_names).layout
    except ValueError as error:
        raise CheckpointError(f'{source} cannot be used: {error}') from error


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
    loaded, report = fit_weights(own, state, source, strict, parts)
    model.load_state_dict({name: shard_like(value, own[name]) for name, value in loaded.items()}, strict=False)
    return report


def fit_weights(
    own: Mapping[str, Tensor],
    state: dict[str, Any],
    source: str,
    strict: bool = False,
    parts: Sequence[str] | None = None,
) -> tuple[dict[str, Tensor], LoadReport]:
    """The entries of ``state`` that a model takes, by its names, and the report; see :func:`load_weights`.

    Args:
        own: State dict of the model; not changed.
        state: Names to tensors.
        source: Where they come from, for messages.
        strict: See :func:`load_weights`.
        parts: See :func:`load_weights`.

    Raises:
        CheckpointError: See :func:`load_weights`.
    """
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    try:
        layout, loaded, unexpected = adapt(tensors, own)
    except ValueError as error:
        raise CheckpointError(f'{source} cannot be used: {error}') from error
    if parts is not None:
        if absent := set(parts) - {_part(name) for name in loaded}:
            raise CheckpointError(
                f'{source} has no {sorted(absent)[0]!r} of this model to take; it has '
                f'{", ".join(sorted({_part(name) for name in loaded})) or "nothing of it"}'
            )
        unexpected += [name for name in loaded if _part(name) not in parts]
        loaded = {name: value for name, value in loaded.items() if _part(name) in parts}
    unexpected += [name for name in state if name not in tensors]
    missing = [name for name in own if name not in loaded]
    report = LoadReport(list(loaded), unexpected, missing, layout)
    if not loaded:
        raise CheckpointError(
            f'{source} has no weight of this model; it begins with '
            f'{", ".join(map(clip, list(state)[:3])) or "nothing"}, the model with {", ".join(list(own)[:3])}'
        )
    for name, value in loaded.items():
        if not is_dense(value):
            raise CheckpointError(f'{source} cannot be used: {name} is no tensor of plain numbers ({value.type()})')
        if own[name].is_floating_point() and not value.is_floating_point():
            raise CheckpointError(
                f'{source} does not fit: {name} is of {value.dtype}, the model wants {own[name].dtype}'
            )
    wrong = [n for n in loaded if own[n].shape != loaded[n].shape]
    if wrong:
        name = wrong[0]
        raise CheckpointError(
            f'{source} does not fit: {name} has shape {tuple(loaded[name].shape)}, the model wants '
            f'{tuple(own[name].shape)}' + (f' (and {len(wrong) - 1} more)' if wrong[1:] else '')
        )
    # Files older than torch 0.4.1 do not count batches, and nothing here depends on the count.
    needed = [name for name in missing if not name.endswith('num_batches_tracked')]
    filled = {_part(name) for name in loaded}
    lacking = needed if strict else [name for name in needed if _part(name) in filled]
    if lacking:
        raise CheckpointError(
            f'{source} is incomplete: {lacking[0]}'
            + (f' and {len(lacking) - 1} more entries are' if lacking[1:] else ' is')
            + f' missing ({report})'
        )
    return loaded, report


def _part(name: str) -> str:
    """``backbone``, ``neck``, ``language`` or ``heads.NAME``, to which an entry belongs."""
    parts = name.split('.')
    return '.'.join(parts[:2]) if parts[0] == 'heads' else parts[0]


def prefix_in(state: Collection[str], names: Collection[str]) -> str:
    """Below which prefix a file holds most entries of a part: ``'visual.cnn.'``, ``'backbone.'``, ``''``."""
    first = next(iter(names))
    found = [name[: -len(first)] for name in state if name.endswith(first)]
    return max(found, key=lambda prefix: sum(prefix + name in state for name in names), default='')


def load_part(module: nn.Module, source: str, prefix: str | None = None, map_location: Any = 'cpu') -> LoadReport:
    """Fill a part of a model, such as its CNN, from a file that holds it, whole models among them.

    Args:
        module: Filled in place.
        source: See :func:`soho.engine.checkpoint.read.read_checkpoint`.
        prefix: Take the entries below this name; by default those below which most of the part's are found.
        map_location: Where tensors go.

    Raises:
        CheckpointError: The file does not fill the part.
    """
    return fill_part(module, state_dict_of(read_checkpoint(source, map_location)), source, prefix)


def fill_part(module: nn.Module, state: dict[str, Any], source: str, prefix: str | None = None) -> LoadReport:
    """As :func:`load_part`, from the state dict that ``source`` holds."""
    start = prefix_in(state, module.state_dict()) if prefix is None else f'{prefix}.' if prefix else ''
    part = {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}
    report = load_weights(module, part, source, strict=True)
    return report._replace(layout=f'{report.layout} below {start!r}') if start else report
