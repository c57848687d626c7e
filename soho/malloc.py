"""Memory of the C library, which images and tensors on a CPU live in."""

import ctypes

# Options of mallopt, from glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


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
