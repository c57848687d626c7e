"""Which optimizers and schedules the state in a checkpoint belongs to.

The state of an optimizer means nothing to another one: a momentum is no second moment. A checkpoint therefore says
whose state it holds, and what an optimizer keeps of each parameter is found by one step on a copy of it, on tensors
of one element.
"""

import copy
from collections import defaultdict
from typing import Any, NamedTuple

import torch
from mmengine.optim import OptimWrapperDict
from torch import Tensor
from torch.optim import Optimizer

from soho.engine.checkpoint.errors import SettingsMismatchError
from soho.engine.checkpoint.read import is_count
from soho.engine.checkpoint.value_checks import require, show
from soho.errors import clip

KEY = 'kinds'
"""Key in a checkpoint of what :func:`describe_optimizer_types` returns; it stays, since older files have it."""
ACCUMULATED = 'gathered'
"""Key in it of the number of iterations of the next update that are done; it stays for the same reason."""
ADVICE = 'go on with that, or begin anew from its weights (load_from=FILE, without --resume)'


class Form(NamedTuple):
    """What parameters have in common of which an optimizer keeps the same."""

    dim: int
    dtype: torch.dtype

    @classmethod
    def of(cls, parameter: Tensor) -> 'Form':
        return cls(parameter.dim(), parameter.dtype)


def wrappers_of(wrapper: Any) -> dict[str, Any]:
    """Return the wrappers of single optimizers by the place of their state in a checkpoint.

    Args:
        wrapper: mmengine's ``OptimWrapper`` or ``OptimWrapperDict``.
    """
    if isinstance(wrapper, OptimWrapperDict):
        return {f'optimizer.{name}': one for name, one in wrapper.optim_wrappers.items()}
    return {'optimizer': wrapper}


def describe_optimizer_types(wrapper: Any, schedulers: Any) -> dict[str, Any]:
    """Return what the state of optimizers and schedules belongs to, as plain data.

    Args:
        wrapper: mmengine's ``OptimWrapper`` or ``OptimWrapperDict``.
        schedulers: A list, a dict of lists, or ``None``.
    """
    return dict(
        optimizers={place: _describe_optimizer(one) for place, one in wrappers_of(wrapper).items()},
        param_schedulers=_names_of(schedulers),
    )


def _describe_optimizer(wrapper: Any) -> dict[str, Any]:
    counts = getattr(wrapper, '_accumulative_counts', 1)
    waiting = 0 if wrapper.should_update() else wrapper.inner_count % counts
    return {
        'type': _type_of(wrapper.optimizer),
        'parameters_with_state': sum(map(bool, wrapper.optimizer.state.values())),
        'accumulative_counts': counts,
        ACCUMULATED: waiting,
    }


def _type_of(optimizer: Optimizer) -> str:
    inner = getattr(optimizer, 'inner', None)
    name = type(optimizer).__name__
    return f'{name} around {type(inner).__name__}' if isinstance(inner, Optimizer) else name


def _names_of(schedulers: Any) -> Any:
    if isinstance(schedulers, dict):
        return {name: _names_of(some) for name, some in schedulers.items()}
    return [type(scheduler).__name__ for scheduler in schedulers or []]


def check_optimizer_types(types: Any, source: str, wrapper: Any, schedulers: Any) -> dict[str, dict[str, Any]]:
    """Compare whose state a checkpoint holds with what the run has; return what it says of each optimizer.

    Args:
        types: As :func:`describe_optimizer_types` returned it; ``None`` for a checkpoint that does not say.
        source: Name of the checkpoint, for messages.
        wrapper: Of the run.
        schedulers: Of the run.

    Raises:
        InvalidValueError: It is damaged.
        SettingsMismatchError: The run has other optimizers or schedules, or accumulates gradients otherwise.
    """
    if types is None:
        return {}
    require(isinstance(types, dict), f'{KEY} is {show(types)} and no dict')
    saved = types.get('optimizers')
    require(isinstance(saved, dict), f'{KEY}.optimizers is {show(saved)} and no dict')
    own = describe_optimizer_types(wrapper, schedulers)
    described = {}
    for place, mine in own['optimizers'].items():
        theirs = saved.get(place)
        _check_description(theirs, f'{KEY}.{place}')
        if theirs['type'] != mine['type']:
            raise SettingsMismatchError(
                f'{source} holds the state of the optimizer {theirs["type"]:.60}, and optim_wrapper of the config is '
                f'of {mine["type"]}: {ADVICE}'
            )
        if theirs[ACCUMULATED] and theirs['accumulative_counts'] != mine['accumulative_counts']:
            raise SettingsMismatchError(
                f'{source} holds gradients of {theirs[ACCUMULATED]} of the {theirs["accumulative_counts"]} iterations '
                f'of an update, and accumulative_counts of the config is {mine["accumulative_counts"]}: go on with '
                f'{theirs["accumulative_counts"]}, or from a checkpoint just after an update'
            )
        described[place] = theirs
    theirs, mine = types.get('param_schedulers'), own['param_schedulers']
    require(_are_names(theirs), f'{KEY}.param_schedulers is {show(theirs)} and no list of names')
    if theirs != mine:
        raise SettingsMismatchError(
            f'{source} holds the state of {_join_names(theirs)}, and param_scheduler of the config is of '
            f'{_join_names(mine)}: {ADVICE}'
        )
    return described


def _check_description(described: Any, where: str) -> None:
    require(isinstance(described, dict), f'{where} is {show(described)} and no dict')
    require(isinstance(described.get('type'), str), f'{where}.type is {show(described.get("type"))} and no text')
    for name in ('parameters_with_state', 'accumulative_counts', ACCUMULATED):
        require(is_count(described.get(name)), f'{where}.{name} is {show(described.get(name))} and no whole number')
    done, counts = described[ACCUMULATED], described['accumulative_counts']
    require(done < max(counts, 1), f'{where}.{ACCUMULATED} is {done}; an update takes {counts}')


def _are_names(names: Any) -> bool:
    """Whether these are names of schedules: a list, or one for each of several optimizers."""
    lists = names.values() if isinstance(names, dict) else [names]
    return all(isinstance(some, list) and all(isinstance(name, str) for name in some) for some in lists)


def _join_names(names: Any) -> str:
    """Names of schedules in a sentence."""
    if isinstance(names, dict) and names:
        return '; '.join(f'{_join_names(some)} for {clip(name)}' for name, some in list(names.items())[:4])
    return ', '.join(map(clip, names[:8])) + (', ...' if names[8:] else '') if names else 'no schedule'


def find_state_entries(optimizer: Optimizer) -> list[dict[Form, dict[str, Any]]] | None:
    """Return what an optimizer keeps of the parameters of each group, by what these are like.

    Values are those after one step on tensors of one element; ``None`` for an optimizer that cannot be tried so, for
    instance since its step wants more than gradients.
    """
    inner: Any = getattr(optimizer, 'inner', optimizer)
    probe = copy.copy(inner)
    probe.state, probe.param_groups, probes = defaultdict(dict), [], []
    for group in inner.param_groups:
        alike = {Form.of(parameter): parameter.device for parameter in group['params']}
        tried = {kind: torch.zeros((1,) * kind.dim, dtype=kind.dtype, device=device) for kind, device in alike.items()}
        for parameter in tried.values():
            parameter.grad = torch.ones_like(parameter)
        probe.param_groups.append(dict(group, params=list(tried.values())))
        probes.append(tried)
    try:
        # Of the class: a schedule may have put its own in the place of the object's.
        type(inner).step(probe)
    except Exception:  # whatever an optimizer of another toolbox finds missing
        return None
    return [{kind: dict(probe.state[parameter]) for kind, parameter in tried.items()} for tried in probes]
