"""Where the random generators of this process stand, as plain data that a checkpoint holds.

Parts of other toolboxes may use numpy's global generator, so that it belongs to the state of a run.
"""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor

# What `get_random_state` gives: names, dtypes and shapes; those of a device hold as many bytes as its generator has.
FORMS: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {
    'python': (torch.int64, (625,)),
    'numpy': (torch.int64, (625,)),
    'torch': (torch.uint8, (len(torch.get_rng_state()),)),
}


def get_random_state() -> dict[str, Any]:
    """State of the generators of Python, numpy, torch and, under ``device``, of this process's accelerator."""
    _, numbers, next_gauss = random.getstate()
    _, key, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    state = dict(
        python=torch.tensor(numbers),
        python_next_gauss=next_gauss,
        numpy=torch.tensor([*key.tolist(), position]),
        numpy_gauss=cached if has_gauss else None,
        torch=torch.get_rng_state(),
    )
    if torch.cuda.is_available():
        state['device'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Let the generators go on where :func:`get_random_state` found them."""
    random.setstate((3, tuple(state['python'].tolist()), state['python_next_gauss']))
    *key, position = state['numpy'].tolist()
    gauss = state['numpy_gauss']
    np.random.set_state(('MT19937', np.array(key, np.uint32), position, int(gauss is not None), gauss or 0.0))  # noqa: NPY002
    torch.set_rng_state(state['torch'].cpu())
    if torch.cuda.is_available() and state.get('device') is not None:
        torch.cuda.set_rng_state(state['device'].cpu())


def is_random_state(state: Any) -> bool:
    """Whether a checkpoint's value is what :func:`set_random_state` takes."""
    if not isinstance(state, dict):
        return False
    for name, (dtype, shape) in FORMS.items():
        value = state.get(name)
        if not (isinstance(value, Tensor) and value.dtype == dtype and value.shape == shape):
            return False
    try:
        torch.Generator().set_state(state['torch'].cpu())
    except RuntimeError:
        return False
    device = state.get('device')
    gauss = (state.get('python_next_gauss'), state.get('numpy_gauss'))
    words, places = torch.cat([state['python'][:-1], state['numpy'][:-1]]), [state[k][-1] for k in ('python', 'numpy')]
    return (
        all(value is None or type(value) is float for value in gauss)
        and bool(((words >= 0) & (words < 2**32)).all())
        and all(0 <= place <= 624 for place in places)
        and (device is None or isinstance(device, Tensor) and device.dtype == torch.uint8 and device.dim() == 1)
    )
