"""Shared memory for batches of images that a worker process reuses once the batch has been released.

A worker sends its batch in shared memory. Allocating it for every batch takes
about as long as decoding the images, because the kernel zeroes each page at its
first access. Here a worker keeps a few pieces, and the process that receives one
clears its flag when the batch has been freed.
"""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

_FLAG = 64  # bytes before the pixels; the first is 1 while the piece is in use
_SPARE = 3  # free pieces that are kept
_pieces: list[Tensor] = []


class SharedBatchTensor(Tensor):
    """Tensor in a piece of shared memory, which another process receives as a plain tensor.

    Once that tensor and all its views have been freed there, the piece can be reused here.
    """

    piece: Tensor
    # Results of operations are plain tensors.
    __torch_function__ = torch._C._disabled_torch_function_impl

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _arrive, (self.piece, tuple(self.shape))


def empty_canvas(batch: int, height: int, width: int) -> Tensor:
    """Return an uninitialized (B, 3, H, W) uint8 tensor in ``channels_last``; in a worker, in reused shared memory."""
    if get_worker_info() is None:
        return torch.empty(batch, height, width, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
    piece = _acquire(_FLAG + batch * height * width * 3)
    canvas = _pixels(piece, batch, height, width).as_subclass(SharedBatchTensor)
    canvas.piece = piece
    return canvas


def _acquire(size: int) -> Tensor:
    free = [piece for piece in _pieces if not piece[0]]
    piece = next((piece for piece in free if len(piece) >= size), None)
    spare = [other for other in free if other is not piece and len(other) >= size][:_SPARE]
    _pieces[:] = [other for other in _pieces if other[0]] + spare
    if piece is None:
        # Rounded up to one of eight sizes per power of two, so that the next larger batch often fits as well.
        step = 1 << max(0, size.bit_length() - 4)
        storage = torch.UntypedStorage._new_shared(-(-size // step) * step)
        piece = torch.empty(0, dtype=torch.uint8).set_(storage)
    _pieces.append(piece)
    piece[0] = 1
    return piece


def _pixels(piece: Tensor, batch: int, height: int, width: int) -> Tensor:
    return piece[_FLAG : _FLAG + batch * height * width * 3].view(batch, height, width, 3).permute(0, 3, 1, 2)


def _arrive(piece: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    batch, _, height, width = shape
    # A tensor made from an array keeps the array alive as long as any view of its storage.
    array = piece.numpy()
    canvas = torch.from_numpy(array)
    weakref.finalize(array, _release, piece[:1]).atexit = False
    return _pixels(canvas, batch, height, width)


def _release(flag: Tensor) -> None:
    flag.zero_()
