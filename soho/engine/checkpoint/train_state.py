"""What a resumed run takes from a checkpoint beside the weights, checked before any of it is used.

mmengine trusts the file: it runs the config in it, puts whatever it finds into schedulers and optimizers, and later
deletes the file that it names as the best checkpoint. Here each value has to be of the kind that the run itself has in
its place, and tensors of the shape; a damaged file ends in one sentence.

Settings are those of the config, also where they differ from those of the run that is gone on with; how far
that run was, with its schedules too, comes from the file. Another kind of optimizer or schedule, to which the state
in the file means nothing, is refused.
"""

import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapperDict
from torch import Tensor

from soho.engine.checkpoint.config_text import parse_config
from soho.engine.checkpoint.errors import CheckpointError
from soho.engine.checkpoint.load import fit_weights
from soho.engine.checkpoint.optimizer_types import (
    ADVICE,
    KEY,
    Form,
    check_optimizer_types,
    find_state_entries,
    wrappers_of,
)
from soho.engine.checkpoint.plain_data import from_plain
from soho.engine.checkpoint.read import is_count, state_dict_of
from soho.engine.checkpoint.save import nonfinite_tensors
from soho.engine.checkpoint.value_checks import InvalidValueError, is_dense, is_number, join, require, show
from soho.engine.random_state import is_random_state
from soho.errors import clip

DEPTH = 16  # of lists and dicts in one another; a list may also hold itself
# Numbers that cannot have a fraction.
COUNTS = {'T_max', '_global_step', 'begin', 'end', 'last_step', 'step_size', 'total', 'total_iters', 'warmup'}
# How far a schedule has come; everything else in it follows from its arguments.
PROGRESS = {'_global_step', '_last_value', 'best', 'cooldown_counter', 'last_step', 'num_bad_epochs'}
AVERAGE = 'ema_state_dict'
"""Of a checkpoint of a run with mmengine's EMAHook: the weights that it trains, while ``state_dict`` is their average.
"""
SCALER_SETTINGS = {'growth_factor', 'backoff_factor', 'growth_interval'}
LOOP_COUNTS = ('epoch', 'batches', 'batch_size', 'world_size', 'samples')
SCALER = {'scale', 'growth_factor', 'backoff_factor', 'growth_interval', '_growth_tracker'}
SEEDS = 2**32
MOST_ITERATIONS = 2**31
MOST_SAMPLES = 2**24  # of a step, of which a sampler keeps the numbers


def check_train_state(
    checkpoint: dict[str, Any],
    source: str,
    optim_wrapper: Any,
    param_schedulers: Any,
    folders: Iterable[str] = (),
    log: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Return a checkpoint in which all that a run goes on from is known to fit.

    Args:
        checkpoint: As read; not changed.
        source: Its name, for messages.
        optim_wrapper: Of the run; mmengine's ``OptimWrapper`` or ``OptimWrapperDict``.
        param_schedulers: Of the run: a list, a dict of lists, or ``None``.
        folders: In which the run writes. A best or last checkpoint that the file says is elsewhere is forgotten:
            mmengine deletes the best one when there is a better.
        log: Is told of each setting of the run that replaces another one of the file.

    Returns:
        A copy, without the config of ``meta``, histories as mmengine's ``HistoryBuffer``, settings as in the config.

    Raises:
        SettingsMismatchError: The run has other optimizers or schedules than the file.
        CheckpointError: What is wrong, and where.
    """
    checkpoint = dict(checkpoint)
    try:
        checkpoint['meta'] = meta = _check_meta(checkpoint.get('meta'))
        checkpoint['message_hub'] = _check_message_hub(checkpoint.get('message_hub'), list(folders), meta)
        known = check_optimizer_types(checkpoint.get(KEY), source, optim_wrapper, param_schedulers)
        changes: list[str] = []
        require('optimizer' in checkpoint, 'it holds no state of an optimizer: these are weights (for load_from)')
        scheduled = {scheduler.param_name for scheduler in _all_of(param_schedulers)}
        checkpoint['optimizer'] = _check_optim_wrapper(
            checkpoint['optimizer'], optim_wrapper, scheduled, known, changes
        )
        checkpoint['param_schedulers'] = _check_all_schedulers(
            checkpoint.get('param_schedulers'), param_schedulers, meta['iter'], changes
        )
        if param_schedulers is None:
            del checkpoint['param_schedulers']
        _check_place(checkpoint, optim_wrapper)
    except InvalidValueError as error:
        raise CheckpointError(f'{source} is nothing to go on from: {error}') from error
    for change in changes:
        log(f'{source}: {change}')
    return checkpoint


def _all_of(schedulers: Any) -> list[Any]:
    groups = schedulers.values() if isinstance(schedulers, dict) else [schedulers or []]
    return [scheduler for group in groups for scheduler in group]


def _check_place(checkpoint: dict[str, Any], wrapper: Any) -> None:
    """Where the run was in its data, random generators, and gradients that wait for an update."""
    loop = checkpoint.get('loop', {})
    require(isinstance(loop, dict), f'loop is {show(loop)} and no dict')
    for name in LOOP_COUNTS if loop else ():
        require(is_count(loop.get(name)), f'loop.{name} is {show(loop.get(name))}; it is a whole number, 0 or more')
    if loop:
        size = loop['batch_size'] * loop['world_size']
        require(0 < size <= MOST_SAMPLES, f'loop has {size} samples in a step; that is a number from 1 to 2^24')
        meta = checkpoint['meta']
        for name in ('epoch', 'batches'):
            done = meta['iter']
            require(
                loop[name] <= done, f'loop.{name} is {loop[name]}, and only {done} iterations were done (meta.iter)'
            )
        for name in ('draws_each_epoch', 'validated'):
            require(isinstance(loop.get(name), bool), f'loop.{name} is {show(loop.get(name))}; it is True or False')
        number = loop.get('epoch_batches', 0)
        require(is_count(number), f'loop.epoch_batches is {show(number)}; it is a whole number, 0 or more')
        _require_plain(loop.get('order'), 'loop.order')
    states = checkpoint.get('random_states', [])
    require(isinstance(states, list), f'random_states is {show(states)} and no list')
    for number, state in enumerate(states):
        require(is_random_state(state), f'random_states.{number} is no state of random generators')
    gradients = checkpoint.get('gradients', [])
    require(isinstance(gradients, list), f'gradients is {show(gradients)} and no list')
    faults = checkpoint.get('faults', dict(bad_loss=False, gradients=None))  # older checkpoints have none
    require(isinstance(faults, dict), f'faults is {show(faults)} and no dict')
    bad_loss, kind = faults.get('bad_loss'), faults.get('gradients')
    require(isinstance(bad_loss, bool), f'faults.bad_loss is {show(bad_loss)}; it is True or False')
    require(kind in (None, 'nan', 'inf'), f"faults.gradients is {show(kind)}; it is 'nan', 'inf' or None")
    parameters = [p for g in wrapper.optimizer.param_groups for p in g['params']] if gradients else []
    for rank, of_rank in enumerate(gradients):
        here = f'gradients.{rank}'
        require(isinstance(of_rank, list) and len(of_rank) == len(parameters), f'{here} is no list of one a parameter')
        for number, (gradient, parameter) in enumerate(zip(of_rank, parameters)):
            fits = isinstance(gradient, Tensor) and is_dense(gradient)
            fits = fits and (gradient.shape, gradient.dtype) == (parameter.shape, parameter.dtype)
            same = gradient is None if gradients[0][number] is None else fits
            require(same, f'{here}.{number} is no gradient of its parameter')


def check_weight_shapes(checkpoint: dict[str, Any], own: Mapping[str, Tensor], source: str) -> None:
    """Compare the weights that a run goes on from, and averaged ones beside them, with those of the model.

    Args:
        checkpoint: As read; not changed.
        own: State dict of the model.
        source: Its name, for messages.

    Raises:
        CheckpointError: A name, a shape or a dtype differs, or a value is not finite that is so in the model.
    """
    _check_tensors(state_dict_of(checkpoint), own, source)
    average = checkpoint.get(AVERAGE)
    if average is None:
        return
    of_average = f'{AVERAGE} of {source}'
    if not isinstance(average, dict) or not all(isinstance(name, str) for name in average):
        raise CheckpointError(f'{of_average} is no dict of tensors by names')
    # EMAHook exchanges entry by entry, and counts its steps.
    names = {f'module.{name}' for name in own} | {'steps'}
    if odd := sorted(average.keys() ^ names):
        what = 'lacks' if odd[0] in names else 'has, as no model here,'
        raise CheckpointError(f'{of_average} {what} {clip(odd[0])}')
    if odd := sorted(own.keys() - state_dict_of(checkpoint).keys()):
        raise CheckpointError(f'{source} is incomplete: {odd[0]} is missing, of which it has an average')
    steps, done = average['steps'], checkpoint['meta']['iter']
    fits = isinstance(steps, Tensor) and is_dense(steps) and steps.numel() == 1 and not steps.is_floating_point()
    if not (fits and 0 <= steps.item() <= done):
        raise CheckpointError(f'steps in {of_average} is no number of the {done} iterations that were done (meta.iter)')
    _check_tensors({name.removeprefix('module.'): average[name] for name in names - {'steps'}}, own, of_average)


def _check_tensors(state: dict[str, Any], own: Mapping[str, Tensor], source: str) -> None:
    fitting, _ = fit_weights(own, state, source, strict=True)
    if odd := [name for name in own if not isinstance(state.get(name, own[name]), Tensor)]:
        raise CheckpointError(f'{source} does not fit: {odd[0]} is a {type(state[odd[0]]).__name__} and no tensor')
    for name, value in fitting.items():
        if value.dtype != own[name].dtype:
            raise CheckpointError(
                f'{source} does not fit: {name} is of {value.dtype}, the model wants {own[name].dtype}'
            )
    # Constants of a model may be infinite, such as the mask of an attention.
    wrong = [name for name in nonfinite_tensors(fitting) if not nonfinite_tensors(own[name])]
    if wrong:
        raise CheckpointError(f'{source} holds values that are no numbers, in {wrong[0]}')


def count_gpus(checkpoint: dict[str, Any]) -> int | None:
    """Return on how many GPUs a run of an older mmengine said it was, if it did."""
    meta: Any = checkpoint.get('meta')
    try:
        config = parse_config(meta['config'])
    except (KeyError, TypeError, ValueError):  # no config, or none that is data
        return None
    ids = config.get('gpu_ids')
    return len(ids) if isinstance(ids, (list, tuple)) and ids else None


def _check_meta(meta: Any) -> dict[str, Any]:
    require(isinstance(meta, dict), 'it has no meta, which says how far the run was')
    for name in ('epoch', 'iter'):
        fits = is_count(meta.get(name)) and meta[name] < MOST_ITERATIONS
        require(fits, f'meta.{name} is {show(meta.get(name))}; it is a whole number, 0 or more, and below 2^31')
    require(
        meta['epoch'] <= meta['iter'], f'meta.epoch is {meta["epoch"]}, and only {meta["iter"]} iterations were done'
    )
    seed = meta.get('seed')
    require(seed is None or is_count(seed) and seed < SEEDS, f'meta.seed is {show(seed)}; it is a number below 2^32')
    _require_plain(meta.get('dataset_meta'), 'meta.dataset_meta')
    return {name: value for name, value in meta.items() if name != 'config'}


def _check_message_hub(hub: Any, folders: Sequence[str], meta: dict[str, Any]) -> dict[str, Any]:
    require(isinstance(hub, dict), 'it has no message_hub: these are weights (for load_from), not the state of a run')
    parts = {}
    for name in ('log_scalars', 'runtime_info', 'resumed_keys'):
        require(isinstance(hub.get(name), dict), f'message_hub.{name} is {show(hub.get(name))} and no dict')
        parts[name] = dict(hub[name])
        for key in parts[name]:
            require(isinstance(key, str), f'message_hub.{name} has the key {show(key)}, which is no text')
    parts['log_scalars'] = {
        key: _history(value, join('message_hub.log_scalars', key)) for key, value in parts['log_scalars'].items()
    }
    for key, value in parts['resumed_keys'].items():
        where = join('message_hub.resumed_keys', key)
        require(isinstance(value, bool), f'{where} is {show(value)}; it is True or False')
    info = parts['runtime_info']
    for key, value in list(info.items()):
        where = join('message_hub.runtime_info', key)
        _require_plain(value, where)
        if key.startswith('best_score'):
            require(is_number(value), f'{where} is {show(value)} and no number')
        elif key.startswith('early_stopping_'):
            fits = isinstance(value, list) and len(value) == 2 and is_number(value[0]) and is_count(value[1])
            require(fits, f'{where} is {show(value)}; it is the best score and the validations since')
        elif key == 'skipped_in_row':
            require(is_count(value), f'{where} is {show(value)}; it is a whole number, 0 or more')
        elif key in ('epoch', 'iter'):  # as RuntimeInfoHook saw it in the last iteration
            fits = is_count(value) and meta[key] - value in (0, 1)
            require(fits, f'{where} is {show(value)}, and meta.{key} {meta[key]}: at most one more')
        elif key == 'keep_ckpt_ids':
            require(isinstance(value, (list, tuple)) and all(map(is_count, value)), f'{where} are no whole numbers')
        elif key == 'last_ckpt' or key.startswith('best_ckpt'):
            require(value is None or isinstance(value, str), f'{where} is {show(value)} and no path')
            if value is not None:
                # A name is that of a file beside this one, wherever the folder has gone since.
                places = [value] if os.path.isabs(value) else [os.path.join(folder, value) for folder in folders]
                places = [place for place in places if any(_lies_in(place, folder) for folder in folders)]
                del info[key]
                if places:
                    info[key] = next((place for place in places if os.path.isfile(place)), places[0])
    return parts


def _lies_in(path: str, folder: str) -> bool:
    return '\0' not in path and os.path.dirname(os.path.realpath(path)) == os.path.realpath(folder)


def _history(value: Any, where: str) -> HistoryBuffer:
    """The history of a scalar out of what :func:`soho.engine.checkpoint.plain_data.to_plain` makes of it."""
    require(isinstance(value, dict) and value.get('is_history_buffer') is True, f'{where} is no history')
    arrays = [value.get('history'), value.get('counts')]
    for array in arrays:
        require(
            isinstance(array, Tensor) and is_dense(array) and array.dim() == 1 and len(array) == len(arrays[0]),
            f'{where} is no pair of equally long lists of numbers',
        )
    length = value.get('max_length')
    require(is_count(length) and length > 0, f'{where}.max_length is {show(length)}; it is a whole number above 0')
    return from_plain(value)


# Of an optimizer's state, which not every wrapper saves.
OPTIONAL = {'base_param_settings', 'loss_scaler', 'apex_amp'}


def _check_optim_wrapper(
    state: Any, wrapper: Any, scheduled: set[str], known: dict[str, dict[str, Any]], changes: list[str]
) -> dict[str, Any]:
    wrappers = wrappers_of(wrapper)
    if not isinstance(wrapper, OptimWrapperDict):
        return _check_optimizer(state, wrapper, 'optimizer', scheduled, known.get('optimizer'), changes)
    names = [place.partition('.')[2] for place in wrappers]
    require(
        isinstance(state, dict) and set(state) == set(names),
        f'the run has the optimizers {", ".join(sorted(names))}, and the file has not',
    )
    return {
        name: _check_optimizer(state[name], one, place, scheduled, known.get(place), changes)
        for name, (place, one) in zip(names, wrappers.items())
    }


def _check_optimizer(
    state: Any, wrapper: Any, where: str, scheduled: set[str], described: dict[str, Any] | None, changes: list[str]
) -> dict[str, Any]:
    """The state of one optimizer.

    Args:
        state: As saved.
        wrapper: Of the run.
        where: Its name, for messages.
        scheduled: Settings that a schedule drives.
        described: What the checkpoint says of it, see :mod:`soho.engine.checkpoint.optimizer_types`; ``None``: nothing.
        changes: Gets a sentence for each change.
    """
    require(isinstance(state, dict), f'{where} is {show(state)} and no dict')
    optimizer = wrapper.optimizer
    kind = type(optimizer).__name__
    if foreign := sorted(map(str, state.keys() - wrapper.state_dict().keys() - OPTIONAL)):
        raise InvalidValueError(f'{where} has {show(foreign[0])}, which a {kind} does not keep: {ADVICE}')
    if absent := sorted(wrapper.state_dict().keys() - state.keys() - OPTIONAL):
        raise InvalidValueError(f'{where} has no {absent[0]}, which a {kind} keeps: it was of another one; {ADVICE}')
    groups, own = state.get('param_groups'), optimizer.state_dict()['param_groups']
    require(isinstance(groups, list), f'{where}.param_groups is {show(groups)} and no list')
    require(len(groups) == len(own), f'{where} has {len(groups)} groups of parameters, and the run {len(own)}')
    checked_groups: list[dict[str, Any]] = []
    entries_of = state.get('state')
    require(isinstance(entries_of, dict), f'{where}.state is {show(entries_of)} and no dict')
    parameters: dict[int, Tensor] = {}
    entries: dict[int, dict[str, Any]] = {}
    tried = find_state_entries(optimizer)
    for number, (group, own_group, live) in enumerate(zip(groups, own, optimizer.param_groups)):
        here = f'{where}.param_groups.{number}'
        _check_group(group, own_group, here)
        foreign = [] if described else sorted(map(str, group.keys() - own_group.keys()))
        require(not foreign, f'{here} has {show(foreign[:1])}, which is no setting of a {kind}: {ADVICE}')
        checked_groups.append(dict(_keep_settings(group, own_group, here, scheduled, changes), params=group['params']))
        members = dict(zip(group['params'], live['params']))
        require(
            len(members) == len(live['params']) and not members.keys() & parameters.keys(),
            f'{here} names a parameter twice',
        )
        parameters |= members
        known = {i: _check_entry(entries_of[i], p, f'{where}.state.{i}') for i, p in members.items() if i in entries_of}
        if tried is not None:
            known = {
                i: _keep_entries(entry, tried[number][Form.of(members[i])], f'{where}.state.{i}', kind)
                for i, entry in known.items()
            }
            kept = sorted({name for values in tried[number].values() for name in values})
            if members and kept and not any(known.values()):
                changes.append(f'{here} has no {" and no ".join(kept)} yet, which begins anew')
        kinds = {frozenset(entry) for i, entry in known.items() if entry and tried is None}
        require(len(kinds) < 2, f'{where}.state has different values for parameters of one group')
        entries |= known
    foreign = [key for key in entries_of if key not in parameters]
    require(not foreign, f'{where}.state has {show(foreign[:1])}, which is in no group')
    if described:
        count, saved = sum(map(bool, entries_of.values())), described['parameters_with_state']
        require(count == saved, f'{where}.state is of {count} parameters, and {saved} were saved')
    checked = dict(state, param_groups=checked_groups, state={key: entries[key] for key in entries_of})
    _check_wrapper(checked, wrapper, where, scheduled, changes)
    return checked


def _keep_entries(entry: dict[str, Any], own: dict[str, Any], where: str, kind: str) -> dict[str, Any]:
    """What an optimizer keeps of a parameter; what it keeps no more, by its settings, is left out.

    Args:
        entry: As saved; empty where there has been no gradient.
        own: What the optimizer keeps of such a parameter.
        where: Its name, for messages.
        kind: Class of the optimizer.
    """
    if not entry:
        return {}
    if absent := [name for name in own if name not in entry]:
        raise InvalidValueError(
            f'{where} has no {absent[0]}, which a {kind} with the settings of the config keeps: go on with those that '
            'it had, or begin anew from its weights (load_from=FILE, without --resume)'
        )
    for name, mine in own.items():
        value, here = entry[name], join(where, name)
        alike = name in SCALARS or isinstance(value, Tensor) == isinstance(mine, Tensor)  # torch 1 kept plain steps
        require((value is None) == (mine is None) and alike, f'{here} is {show(value)}, and in the run {show(mine)}')
        if isinstance(value, Tensor) and isinstance(mine, Tensor) and value.numel() > 1:
            require(value.dtype == mine.dtype, f'{here} is of {value.dtype}, and in the run of {mine.dtype}')
    return {name: entry[name] for name in own}


def _keep_settings(
    saved: dict[str, Any], own: dict[str, Any], where: str, scheduled: set[str], changes: list[str]
) -> dict[str, Any]:
    """A group with the settings of the run; what a schedule drives goes on from the file, in proportion to its start.

    Args:
        saved: A group of the file.
        own: That of the run.
        where: Its name, for messages.
        scheduled: Settings that a schedule drives.
        changes: Gets a sentence for each setting that differs.
    """
    kept = {**saved, **own}
    for name in scheduled & saved.keys() & own.keys():
        start, own_start = saved.get(f'initial_{name}', saved[name]), own.get(f'initial_{name}', own[name])
        if start == own_start:
            kept[name] = saved[name]
        elif is_number(start) and start and is_number(saved[name]):
            kept[name] = saved[name] * own_start / start
    for name in own.keys() & saved.keys() - {'params'}:
        begin = name.removeprefix('initial_')
        if name not in scheduled and is_number(own[name]) and own[name] != saved[name]:
            changes.append(f'{where}.{begin} was {saved[name]:g} and is {own[name]:g} by the config, which applies')
    return kept


def _check_group(group: Any, own: dict[str, Any], where: str) -> None:
    require(isinstance(group, dict), f'{where} is {show(group)} and no dict')
    ids = group.get('params')
    require(isinstance(ids, list) and all(map(is_count, ids)), f'{where}.params is no list of numbers')
    require(
        len(ids) == len(own['params']), f'{where} has {len(ids)} parameters, and in the run it has {len(own["params"])}'
    )
    _check_options(group, own, where)


def _check_options(group: dict[str, Any], own: dict[str, Any], where: str) -> None:
    for name, value in group.items():
        here = join(where, name)
        if name == 'params':
            continue
        if name in own:
            _require_like(own[name], value, here)
        else:
            _require_plain(value, here)
        if name in ('lr', 'initial_lr'):
            require(not is_number(value) or value >= 0, f'{here} is {show(value)}; it cannot be negative')


# Numbers that torch's optimizers keep of each parameter. All else has its shape, on which fused kernels rely.
SCALARS = {'step', 'mu', 'mu_product', 'eta'}


def _check_entry(entry: Any, parameter: Tensor, where: str) -> dict[str, Any]:
    """The state of one parameter."""
    require(isinstance(entry, dict), f'{where} is {show(entry)} and no dict')
    checked = {}
    for name, value in entry.items():
        here = join(where, name)
        if isinstance(value, Tensor):
            require(is_dense(value), f'{here} is no tensor of plain numbers')
            if value.shape == parameter.shape and name != 'step':
                same = value.is_floating_point() == parameter.is_floating_point()
                require(same, f'{here} is of {value.dtype}, its parameter of {parameter.dtype}')
                # Fused kernels write through the strides: no two values may share their memory.
                value = value if _is_packed(value) else value.clone(memory_format=torch.contiguous_format)
            else:
                shape = tuple(value.shape)
                require(
                    name in SCALARS and value.numel() == 1,
                    f'{here} has the shape {shape}, its parameter {tuple(parameter.shape)}',
                )
                require(0 <= value.item() < math.inf, f'{here} is {value.item()}; it is a number, 0 or more')
        elif value is not None:
            require(is_number(value) and value >= 0, f'{here} is {show(value)}; it is a number, 0 or more')
        checked[name] = value
    return checked


def _check_wrapper(state: dict[str, Any], wrapper: Any, where: str, scheduled: set[str], changes: list[str]) -> None:
    """What stands beside the optimizer's own state."""
    base, own_base = state.pop('base_param_settings', None), wrapper.base_param_settings
    if base is not None and own_base is not None:
        require(isinstance(base, dict), f'{where}.base_param_settings is {show(base)} and no dict')
        _check_options(base, own_base, f'{where}.base_param_settings')
        # Its only parameter stands for none, and what differs is said of the groups.
        state['base_param_settings'] = _keep_settings(base, own_base, where, scheduled, [])
    scaler, here = state.get('loss_scaler'), f'{where}.loss_scaler'
    require(scaler is None or isinstance(scaler, dict), f'{here} is {show(scaler)} and no dict')
    own_scaler = wrapper.loss_scaler.state_dict() if hasattr(wrapper, 'loss_scaler') else {}
    if bool(scaler) != bool(own_scaler):
        what = 'is in the file, and the config scales no loss' if scaler else 'is not in the file, and begins anew'
        changes.append(f'{here} {what}')
    if scaler:
        require(SCALER <= set(scaler), f'{here} lacks {", ".join(sorted(SCALER))}')
        for name in SCALER:
            least = 0 if name == '_growth_tracker' else 1 if name == 'growth_interval' else 1e-30
            value = scaler[name]
            # The count of steps since the scale last changed is an int32 on the device.
            fits = type(value) is int and value < 2**31 if name == '_growth_tracker' else is_number(value)
            require(fits and least <= value < math.inf, f'{here}.{name} is {show(value)}')
        state['loss_scaler'] = scaler | {name: own_scaler[name] for name in SCALER_SETTINGS & own_scaler.keys()}
    if not (scaler and own_scaler):
        state.pop('loss_scaler', None)
    _require_plain(state.get('apex_amp'), f'{where}.apex_amp')
    if hasattr(wrapper.optimizer, 'check_state_dict'):
        try:
            wrapper.optimizer.check_state_dict(state)
        except ValueError as error:
            raise InvalidValueError(f'{where}: {error}') from error


def _check_all_schedulers(states: Any, schedulers: Any, iterations: int, changes: list[str]) -> Any:
    if not isinstance(schedulers, dict):
        states = [] if states is None else states  # as of a run without schedules
        return _check_schedulers(states, schedulers or [], 'param_schedulers', iterations, changes)
    require(isinstance(states, dict) and set(states) == set(schedulers), 'param_schedulers are of other optimizers')
    return {
        name: _check_schedulers(states[name], some, f'param_schedulers.{name}', iterations, changes)
        for name, some in schedulers.items()
    }


def _check_schedulers(
    states: Any, schedulers: list, where: str, iterations: int, changes: list[str]
) -> list[dict[str, Any]]:
    require(isinstance(states, (list, tuple)), f'{where} is {show(states)} and no list')
    require(
        len(states) == len(schedulers),
        f'{where} has {len(states)} schedules, and param_scheduler of the config {len(schedulers)}: {ADVICE}',
    )
    checked = []
    for number, (state, scheduler) in enumerate(zip(states, schedulers)):
        here = f'{where}.{number}'
        require(isinstance(state, dict), f'{here} is {show(state)} and no dict')
        own, arguments = scheduler.state_dict(), _arguments_of(type(scheduler))
        changed = [n for n in state if n in own and n in arguments and not _is_same(own[n], state[n])]
        for name, value in state.items():
            kind = type(scheduler).__name__
            require(name in own, f'{here} has {show(name)}, which a {kind} has not: it was of another one; {ADVICE}')
            if not changed or name in PROGRESS:
                _require_like(own[name], value, f'{here}.{name}')
                if name in COUNTS:
                    require(type(value) is int, f'{here}.{name} is {show(value)} and no whole number')
                if name in PROGRESS & COUNTS:  # the second counts one more
                    fits = value <= iterations + 1
                    require(fits, f'{here}.{name} is {value}, and only {iterations} iterations were done (meta.iter)')
        changes += [
            f'{here}.{name} was {show(state[name])} and is {show(own[name])} by the config, which applies'
            for name in changed
        ]
        kept = PROGRESS & state.keys() if changed else state.keys() - {'base_values'}
        checked.append(own | {name: state[name] for name in kept})
    return checked


def _arguments_of(scheduler: type) -> set[str]:
    """Names of what a class of schedules is built with."""
    inits = [vars(part)['__init__'] for part in scheduler.__mro__ if '__init__' in vars(part) and part is not object]
    return {name for init in inits for name in inspect.signature(init).parameters} - {'self', 'optimizer', 'last_step'}


def _is_same(own: Any, value: Any) -> bool:
    """Whether two settings are equal; those of another kind are not."""
    if isinstance(own, (list, tuple)):
        return isinstance(value, (list, tuple)) and len(own) == len(value) and all(map(_is_same, own, value))
    if isinstance(own, dict):
        return isinstance(value, dict) and own.keys() == value.keys() and all(_is_same(own[k], value[k]) for k in own)
    plain = (str, bool, int, float, type(None))
    return isinstance(own, plain) and isinstance(value, plain) and own == value


def _require_like(own: Any, value: Any, where: str) -> None:
    """Refuse a value of another kind than the run's own; texts have to be the same, since they decide what is done."""
    if isinstance(own, Tensor):
        fits = isinstance(value, Tensor) and is_dense(value) and value.shape == own.shape
    elif own is None or isinstance(own, bool):
        fits = value is None or isinstance(value, bool)
    elif isinstance(own, (int, float)):
        fits = is_number(value) and (math.isfinite(value) or not math.isfinite(own))
    elif isinstance(own, (list, tuple)):
        fits = isinstance(value, (list, tuple)) and len(value) == len(own)
        for number, (mine, theirs) in enumerate(zip(own, value if fits else ())):
            _require_like(mine, theirs, f'{where}.{number}')
    elif isinstance(own, dict):
        fits = isinstance(value, dict) and value.keys() == own.keys()
        for name, mine in own.items() if fits else ():
            _require_like(mine, value[name], f'{where}.{name}')
    else:
        fits = type(own) is type(value) and own == value
    require(fits, f'{where} is {show(value)}, and in the run {show(own)}')


def _require_plain(value: Any, where: str, depth: int = 0) -> None:
    require(depth < DEPTH, f'{where} is nested too deeply')
    if isinstance(value, dict):
        for key, item in value.items():
            require(isinstance(key, (str, int, float)), f'{where} has the key {show(key)}')
            _require_plain(item, where, depth + 1)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            _require_plain(item, where, depth + 1)
    elif isinstance(value, Tensor):
        require(is_dense(value), f'{where} is no tensor of plain numbers')
    else:
        require(value is None or isinstance(value, (str, int, float)), f'{where} is {show(value)}')


def _is_packed(value: Tensor) -> bool:
    return value.is_contiguous() or value.dim() == 4 and value.is_contiguous(memory_format=torch.channels_last)
