"""Settings of the machine: cores, devices, memory of the C library, matrix products on a CPU.

torch is imported where it is used, since worker processes and preparation tools do without it.
"""

import ctypes
import os
from typing import TYPE_CHECKING

from soho.errors import UserError

if TYPE_CHECKING:
    import torch

# Options of mallopt, from glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def available_cores() -> int:
    """How many cores this process may use, which in a container are often fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def find_device(name: 'str | torch.device | None' = None) -> 'torch.device':
    """The device of that name, by default a GPU if there is one.

    Raises:
        UserError: There is none such here.
    """
    import torch
    from mmengine.device import get_device

    try:
        device = torch.device(name or get_device())
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the second of a torch without CUDA
        raise UserError(f'the device {name} is not here: leave it out, or give cpu') from error
    return device


def use_cpu_threads(number: int | None = None) -> None:
    """Let torch compute on so many threads of the CPU, unless the variable ``OMP_NUM_THREADS`` says how many.

    A small model gains little from a second thread, and loses much by it on a busy machine: at the end of each
    operation all threads wait for the slowest, and where other programs hold its core they wait for the scheduler.

    Args:
        number: Number of threads; None means all cores that this process may use, where torch counts those of
            the machine.
    """
    import torch

    if 'OMP_NUM_THREADS' not in os.environ:
        torch.set_num_threads(number or available_cores())


def name_unknown_user() -> None:
    """Give a user whom the system does not know a name and a home, as in a container with a number for a user.

    yapf, which mmengine imports, and torch's compiler ask for both and end the program where there is neither. The
    home is Debian's for users who have none: nothing is kept there, and nobody else can have put anything there.
    """
    if os.path.isabs(os.path.expanduser('~')):
        return
    os.environ['HOME'] = '/nonexistent'
    if not any(os.environ.get(name) for name in ('LOGNAME', 'USER', 'LNAME', 'USERNAME')):  # as getpass.getuser looks
        os.environ['USER'] = f'uid{os.getuid()}'


def keep_freed_memory() -> bool:
    """Let malloc hand memory that a tensor or an image has left to the next one instead of returning it to the system.

    Everything above 32 MB, and by default much that is smaller, otherwise
    comes as new pages, which the system clears one by one when they are first
    written: a tenth to a sixth of a step, a fifth of a worker's time. What a process has
    once needed, it then keeps.

    Returns:
        Whether the C library has the options; glibc does.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:
        return False
    return all([mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, 2**30), mallopt(_TOP_PAD, 2**26)])


def release_freed_memory() -> bool:
    """Give back to the system what is free at this moment; the next tensors take new pages.

    Returns:
        Whether the C library can; glibc can.
    """
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is None:
        return False
    trim(0)
    return True


def use_onednn_products() -> bool:
    """Let oneDNN compute float32 matrix products on the CPU where it is as exact as MKL.

    torch gives them to MKL, which on AMD processors keeps away from the
    widest instructions: on an EPYC of 2025 it reaches 225 GFLOP/s on two cores,
    oneDNN 500. torch's only way to oneDNN is to allow bfloat16 inside of
    float32 products. oneDNN makes use of that where a processor has units for
    it (AMX); so one product is computed, and the permission withdrawn if it
    was used.

    Returns:
        Whether oneDNN is used from here on.
    """
    import torch

    if not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(512, 512, generator=generator) for _ in range(2))
    torch.set_float32_matmul_precision('medium')
    error = (a @ b - a.double() @ b.double()).abs().max()
    exact = bool(error < 1e-3)  # float32: 1e-4; bfloat16: 0.3
    if not exact:
        torch.set_float32_matmul_precision('highest')
    return exact


def has_bfloat16_units() -> bool:
    """Whether the CPU has instructions for bfloat16.

    Without them, as on x86 before AVX-512, torch emulates it: a training step then takes ten times as long as in
    float32.
    """
    import torch

    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def is_emulated(dtype: 'torch.dtype', device_type: str) -> bool:
    """Return whether mixed precision in a type would be slower than float32: bfloat16 on a CPU without it."""
    return device_type == 'cpu' and str(dtype) == 'torch.bfloat16' and not has_bfloat16_units()
