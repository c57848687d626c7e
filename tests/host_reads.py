"""A guard against every way in which the host can wait for what a device computes."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# Methods that hand values of a tensor to Python. On a CPU most of them read memory without calling an operation.
READS = {
    getattr(Tensor, name)
    for name in (
        *('item', 'tolist', 'numpy', 'cpu', 'is_nonzero', 'equal', 'allclose', 'nonzero', 'unique'),
        *('__bool__', '__float__', '__int__', '__index__', '__complex__', '__array__', '__contains__'),
        *('__repr__', '__format__', '__dlpack__', '__reduce_ex__'),
    )
}
# Operations that wait although torch's tags do not say so.
UNTAGGED = ('is_nonzero', 'nms')
WAIT_TAGS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
MASKS = (torch.bool, torch.uint8)
# A wait inside of these is its caller's.
MACHINERY = (*(f'{Path(module.__file__).parent}{os.sep}' for module in (torch, torchvision)), __file__)


class HostReads:
    """Context in which nothing may read a tensor of a device on the host, backward passes included.

    What counts is anything after which Python has a value, or a shape that depends on values: conversions,
    ``tolist``, copies to the host, boolean masks as indices, ``nonzero``, and lists as indices, which are
    copied to the device while the host waits.

    Args:
        refuse: Raise at the first wait; otherwise they are only noted.
        device: Type of the device; on a machine without an accelerator CPU tensors stand for those of a device.

    Attributes:
        found: Functions that waited, as ``file.py:function``.
    """

    def __init__(self, refuse: bool = True, device: str | None = None) -> None:
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        self.device = device or (accelerator.type if accelerator else 'cpu')
        self.refuse = refuse
        self.found: set[str] = set()

    def __enter__(self) -> 'HostReads':
        self._modes = (_Functions(self), _Operations(self))
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)

    def holds(self, value: Any) -> bool:
        """Return whether ``value`` is a tensor of the device."""
        return isinstance(value, Tensor) and value.device.type == self.device

    def wait(self, name: str) -> None:
        """Note a wait of the function that runs.

        Raises:
            AssertionError: Waiting is refused.
        """
        frames = (f for f, _ in traceback.walk_stack(sys._getframe()) if not f.f_code.co_filename.startswith(MACHINERY))
        code = next(frames).f_code
        place = f'{Path(code.co_filename).name}:{code.co_name}'
        self.found.add(place)
        assert not self.refuse, f'{name} in {place} makes the host wait for the device'


class _Functions(TorchFunctionMode):
    """What a call in Python shows, before it becomes operations."""

    def __init__(self, guard: HostReads) -> None:
        super().__init__()
        self.guard = guard

    def __torch_function__(
        self, function: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if args and self.guard.holds(args[0]):
            if function in READS or (function is Tensor.to and self._goes_to_host(*args[1:], **kwargs)):
                self.guard.wait(function.__name__)
            if function in (Tensor.__getitem__, Tensor.__setitem__):
                index = args[1] if isinstance(args[1], tuple) else (args[1],)
                if any(isinstance(i, list) for i in index):
                    self.guard.wait('a list as an index')
        return function(*args, **kwargs)

    @staticmethod
    def _goes_to_host(*args: Any, **kwargs: Any) -> bool:
        # Where CPU tensors stand for those of a device, `.to(other.device)` stays there, but `.to('cpu')` would not.
        return 'cpu' in (value for value in (*args, *kwargs.values()) if isinstance(value, str))


class _Operations(TorchDispatchMode):
    """What operations are called, from Python or not."""

    def __init__(self, guard: HostReads) -> None:
        super().__init__()
        self.guard = guard

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = function.overloadpacket.__name__
        inputs = [value for value in torch.utils._pytree.tree_leaves((args, kwargs)) if self.guard.holds(value)]
        if inputs:
            if name.removesuffix('_').endswith(('index', 'index_put')):
                if any(index is not None and index.dtype in MASKS for index in args[1]):
                    self.guard.wait('a boolean mask as an index')
            elif WAIT_TAGS.intersection(function.tags) or name in UNTAGGED:
                self.guard.wait(name)
        result = function(*args, **kwargs)
        if inputs and self.guard.device != 'cpu' and isinstance(result, Tensor) and result.device.type == 'cpu':
            self.guard.wait(f'{name} to the host')
        return result
