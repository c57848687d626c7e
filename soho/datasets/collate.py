"""Collation of samples into a batch: the dict of tensors that every model receives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from soho.datasets.batch import FIELDS, TOKEN_FIELDS
from soho.datasets.storage.shared_canvas import empty_canvas
from soho.errors import UserError
from soho.registry import FUNCTIONS

Sample = dict[str, Any]
CanvasSizes = int | Sequence[int] | None


@FUNCTIONS.register_module()
def collate(
    samples: Sequence[Sample], size_divisor: int = 32, canvas_sizes: CanvasSizes = None, trim_text: bool = False
) -> dict[str, torch.Tensor]:
    """Combine samples that have the same keys into a batch.

    :mod:`soho.datasets.batch` holds the table of all fields. Arrays that are not in it are
    stacked. The entries of the M images of a sample become separate rows.

    The canvas has the largest height and the largest width among ``pad_size``,
    taken independently, as in the official code.

    Args:
        samples: Dicts of numpy arrays and numbers; ``image`` is (h, w, 3) uint8, or a list of M of them.
        size_divisor: Divisor of every side of ``pad_size``.
        canvas_sizes: Limits the number of canvas shapes, so that compiled and
            tuned kernels are reused: both sides of the canvas are rounded up to
            a multiple of an int, or to the next of a list of lengths.
        trim_text: Remove the text positions that are padding in every row. Results are the same at lower cost, but
            L then differs between batches, for which compiled kernels have to be rebuilt.

    Raises:
        ValueError: Keys or shapes of the samples differ, a value is not numeric, or an image is larger than
            every canvas size.
    """
    batch = {}
    for key in samples[0]:
        values = [_get(sample, key, samples[0]) for sample in samples]
        if key in FIELDS and FIELDS[key].per_image:
            values = _split_images(key, values)
        if key == 'image':
            batch.update(_collate_images(values, size_divisor, canvas_sizes))
        elif key != 'image_size' or 'image' not in samples[0]:
            batch[key] = _collate_arrays(key, values)
    if trim_text and 'attention_mask' in batch:
        length = int(batch['attention_mask'].sum(-1).max())
        batch.update({key: batch[key][..., :length].contiguous() for key in TOKEN_FIELDS if key in batch})
    return batch


def _split_images(key: str, values: list[Any]) -> list[Any]:
    """One value per image, from samples that hold a list or an array with the values of their M images."""
    if key == 'image':
        several = isinstance(values[0], (list, tuple))
    else:
        several = np.ndim(values[0]) == len(FIELDS[key].shape)  # one dimension more than in a sample of one image
    return [value for of_sample in values for value in of_sample] if several else values


def _get(sample: Sample, key: str, first: Sample) -> Any:
    if sample.keys() != first.keys():
        differ = ', '.join(sorted(map(str, sample.keys() ^ first.keys())))
        raise UserError(f'samples of a batch must have the same keys, but some lack: {differ}')
    return sample[key]


def _collate_images(images: list[np.ndarray], size_divisor: int, canvas_sizes: CanvasSizes) -> dict[str, torch.Tensor]:
    image_size = torch.tensor([image.shape[:2] for image in images])
    pad_size = (image_size + size_divisor - 1) // size_divisor * size_divisor
    height, width = (_canvas_side(side, canvas_sizes) for side in pad_size.amax(0).tolist())
    canvas = empty_canvas(len(images), height, width)
    for image, pixels in zip(images, canvas.detach().permute(0, 2, 3, 1).numpy()):
        h, w = image.shape[:2]
        pixels[:h, :w] = image
        pixels[:h, w:] = 0
        pixels[h:] = 0
    return dict(image=canvas, image_size=image_size, pad_size=pad_size)


def _canvas_side(side: int, canvas_sizes: CanvasSizes) -> int:
    if canvas_sizes is None:
        return side
    if isinstance(canvas_sizes, int):
        return -(-side // canvas_sizes) * canvas_sizes
    allowed = [size for size in canvas_sizes if size >= side]
    if not allowed:
        raise UserError(
            f'canvas_sizes={list(canvas_sizes)} has no length for an image padded to {side} '
            'pixels: add a larger one, or resize images to less'
        )
    return min(allowed)


def _collate_arrays(key: str, values: list[Any]) -> torch.Tensor:
    arrays = [np.asarray(value) for value in values]
    if arrays[0].dtype.kind not in 'biuf':
        raise UserError(f'{key} cannot be batched: its values are {type(values[0]).__name__}, not numbers')
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) == 1:
        return torch.from_numpy(np.stack(arrays))
    padding = FIELDS[key].padding if key in FIELDS else None
    if padding is None or len({len(shape) for shape in shapes}) > 1:
        raise UserError(f'{key} cannot be batched: its shapes differ, {shapes[0]} and {shapes[-1]}')
    stacked = np.full((len(arrays), *np.max(shapes, axis=0)), padding, arrays[0].dtype)
    for row, array in zip(stacked, arrays):
        row[tuple(slice(side) for side in array.shape)] = array
    return torch.from_numpy(stacked)
