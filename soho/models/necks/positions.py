"""Valid cells of a feature grid and their position encoding."""

import math

import numpy as np
import torch
from torch import Tensor


def valid_cells(image_size: Tensor, canvas: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Cells of the grid that lie on each image: a rectangle at the top left.

    A cell is valid if the canvas pixel that a nearest-neighbour resize picks
    for it is.

    Args:
        image_size: (B, 2) int64, valid height and width in pixels.
        canvas: Height and width of the padded canvas in pixels.
        grid: Height and width of the feature map in cells.

    Returns:
        (B, h, w) bool.
    """
    picked = []
    for axis in range(2):
        cells = torch.arange(grid[axis], device=image_size.device, dtype=torch.float32)
        pixels = (cells * (canvas[axis] / grid[axis])).floor()
        picked.append(pixels < image_size[:, axis, None])
    rows, columns = picked  # (B, h) and (B, w)
    return rows[:, :, None] & columns[:, None, :]


def count_valid_cells(image_size: np.ndarray, canvas: tuple[int, int], grid: tuple[int, int]) -> np.ndarray:
    """How many rows and columns of cells :func:`valid_cells` marks; on the host, where it takes a tenth of the time.

    Args:
        image_size: (B, 2) int64, valid height and width in pixels.
        canvas: Height and width of the padded canvas in pixels.
        grid: Height and width of the feature map in cells.

    Returns:
        (B, 2) int64.
    """
    counts = []
    for axis in range(2):
        pixels = np.floor(np.arange(grid[axis], dtype=np.float32) * np.float32(canvas[axis] / grid[axis]))
        counts.append((pixels < image_size[:, axis, None]).sum(1))
    return np.stack(counts, axis=1)


def sine_positions(valid: Tensor, dim: int) -> Tensor:
    """Sine position encoding over the valid area (DETR's form, arXiv:2005.12872, A.4).

    Coordinates are scaled to 2 pi over the valid extent of each image, so that
    the encoding does not depend on the padding of the batch.

    Args:
        valid: (B, h, w) bool, see :func:`valid_cells`.
        dim: Size of the encoding; the first half encodes the row.

    Returns:
        (B, h * w, dim) float32.
    """
    y = valid.cumsum(1, dtype=torch.float32)  # (B, h, w)
    x = valid.cumsum(2, dtype=torch.float32)
    y = y / (y[:, -1:, :] + 1e-6) * (2 * math.pi)
    x = x / (x[:, :, -1:] + 1e-6) * (2 * math.pi)
    half = dim // 2
    channel = torch.arange(half, dtype=torch.float32, device=valid.device)
    wavelength = 10000 ** (2 * (channel // 2) / half)

    def encode(coordinate: Tensor) -> Tensor:
        angle = coordinate[..., None] / wavelength  # (B, h, w, dim / 2)
        return torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), dim=-1).flatten(3)

    return torch.cat((encode(y), encode(x)), dim=3).flatten(1, 2)
