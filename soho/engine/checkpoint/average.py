"""The mean of the weights of several checkpoints."""

from collections.abc import Mapping

import torch
from torch import Tensor

from soho.engine.checkpoint.read import CheckpointError
from soho.errors import clip

State = Mapping[str, Tensor]


def average_states(states: Mapping[str, State]) -> dict[str, Tensor]:
    """Return the mean of each entry, computed in float64; of whole numbers, such as counts, the last state's.

    Averages make sense for checkpoints of one run, or of runs from the same start (Izmailov et al., UAI 2018).

    Args:
        states: State dicts by name, for errors.

    Raises:
        CheckpointError: There are fewer than two, or their entries or shapes differ.
    """
    if len(states) < 2:
        raise CheckpointError(f'an average is of two checkpoints or more, and there is {len(states)}')
    *others, last = states
    reference = states[last]
    for name in others:
        if odd := sorted(states[name].keys() ^ reference.keys()):
            raise CheckpointError(f'{name} and {last} are of different models: only one of them has {clip(odd[0])}')
        for key, value in reference.items():
            if states[name][key].shape != value.shape:
                raise CheckpointError(
                    f'{name} and {last} are of different models: {key} has the shapes '
                    f'{tuple(states[name][key].shape)} and {tuple(value.shape)}'
                )
    mean = {}
    for key, value in reference.items():
        if value.is_floating_point():
            total = torch.zeros(value.shape, dtype=torch.float64)
            for state in states.values():
                total += state[key]
            value = (total / len(states)).to(value.dtype)
        mean[key] = value
    return mean
