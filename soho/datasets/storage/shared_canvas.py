"""Memory for batches of images that a worker process fills again once the batch has been used.

A worker's batch travels in shared memory. A new piece of it for every batch costs
about as much as decoding the images, because the kernel zeroes each page at its
first touch. Here a worker keeps a few pieces, and the process that receives one
says when it has let go of it.
"""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

_FLAG = 64  # bytes before the pixels; the first is 1 while the piece is lent
_SPARE = 3  # pieces that may wait for another batch
_pieces: list[Tensor] = []


class SharedBatchTensor(Tensor):
    """A tensor in a piece of shared memory, which arrives in another process as a plain one.

    When that one's storage is gone there, all its views among it, the piece is
    free for another batch here.
    """

    piece: Tensor
    # What is computed from it is a plain tensor.
    __torch_function__ = torch._C._disabled_torch_function_impl

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _arrive, (self.piece, tuple(self.shape))


def empty_canvas(batch: int, height: int, width: int) -> Tensor:
    """(B, 3, H, W) uint8 without contents and in ``channels_last`` layout; in a worker in memory used before."""
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
        # It takes its whole memory at once. With eight sizes an octave the next larger batch often fits as well.
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
    # A tensor made of an array lives as long as any view of its storage and holds on to the array.
    array = piece.numpy()
    canvas = torch.from_numpy(array)
    weakref.finalize(array, _release, piece[:1]).atexit = False
    return _pixels(canvas, batch, height, width)


def _release(flag: Tensor) -> None:
    flag.zero_()
