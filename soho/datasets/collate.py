"""From samples to one batch: the dict of tensors that every model receives."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from soho.datasets.storage.shared_canvas import empty_canvas
from soho.errors import UserError
from soho.registry import FUNCTIONS

Sample = dict[str, Any]
CanvasSizes = int | Sequence[int] | None

# Arrays whose sizes may differ between samples, and what fills the gaps.
_FILL = dict(
    answer_labels=-1,
    answer_scores=0,
    caption_tokens=0,
    noitpac_tokens=0,
    masked_labels=0,
    labels=0,
    boxes=0,
    box_labels=0,
    mask_edges=0,
)

TEXT = ('input_ids', 'attention_mask', 'mlm_labels')  # (B, S, L), padded on the right


@FUNCTIONS.register_module()
def collate(
    samples: Sequence[Sample], size_divisor: int = 32, canvas_sizes: CanvasSizes = None, trim_text: bool = False
) -> dict[str, torch.Tensor]:
    """Make a batch of samples that have the same keys.

    With B images, S sentences an image, L text tokens, K answers a question or objects of an image, E edges of
    an outline:

    ===================  =================  ==============================================================
    ``image``            (B, 3, H, W)       uint8 RGB, each at the top left of the canvas, zeros elsewhere;
                                            laid out as ``channels_last``, as it is decoded and convolved
    ``image_size``       (B, 2)             int64, valid (h, w)
    ``pad_size``         (B, 2)             int64, valid size rounded up to a multiple of ``size_divisor``
    ``input_ids``        (B, S, L)          int64
    ``attention_mask``   (B, S, L)          int64
    ``sentence_mask``    (B, S)             bool, rows that count
    ``mlm_labels``       (B, S, L)          int64, -100 where nothing is asked (pretraining)
    ``itm_labels``       (B, S)             int64, 1 matched, 0 replaced (pretraining)
    ``question_id``      (B, S)             int64 (VQA)
    ``answer_labels``    (B, S, K)          int64, padded with -1 (VQA)
    ``answer_scores``    (B, S, K)          float32, padded with 0 (VQA)
    ``image_id``         (B,)               int64 (VirTex, as what follows)
    ``caption_tokens``   (B, L)             int64, [SOS] ... [EOS], padded with 0; (B, S, L) for S captions an image
    ``noitpac_tokens``   (B, L)             int64, [EOS] ... [SOS], padded with 0; (B, S, L)
    ``caption_lengths``  (B,)               int64; (B, S)
    ``masked_labels``    (B, L)             int64, 0 where nothing is asked (masked captions)
    ``labels``           (B, K)             int64, padded with 0 (tokens or objects as labels)
    ``full_size``        (B, 2)             int64, (h, w) of the picture as annotated (detection, as what follows)
    ``boxes``            (B, K, 4)          float32, x0, y0, x1, y1 in pixels of ``image``, padded with 0
    ``box_labels``       (B, K)             int64, from 1; 0 for padding
    ``mask_edges``       (B, K, E, 4)       float32, x0, y0, x1, y1 of every edge of an outline, padded with 0
    ===================  =================  ==============================================================

    The canvas is the largest height and the largest width among ``pad_size``,
    taken independently, as in the official code. Arrays that are not named
    above are stacked.

    Args:
        samples: Dicts of numpy arrays and numbers; ``image`` is (h, w, 3) uint8.
        size_divisor: Every side of ``pad_size`` is a multiple of it.
        canvas_sizes: Bounds the set of canvas shapes, so that compiled and
            tuned kernels are reused: both sides of the canvas are rounded up to
            a multiple of an int, or to the next of a list of lengths.
        trim_text: Leave out the text positions that are padding in every row. Results are the same for less work,
            but L then differs between batches, which compiled kernels do not like.

    Raises:
        ValueError: Samples whose keys or shapes differ, a value that is not
            numeric, or an image larger than every canvas size.
    """
    batch = {}
    for key in samples[0]:
        values = [_get(sample, key, samples[0]) for sample in samples]
        if key == 'image':
            batch.update(_collate_images(values, size_divisor, canvas_sizes))
        elif key != 'image_size' or 'image' not in samples[0]:
            batch[key] = _collate_arrays(key, values)
    if trim_text and 'attention_mask' in batch:
        length = int(batch['attention_mask'].sum(-1).max())
        batch.update({key: batch[key][..., :length].contiguous() for key in TEXT if key in batch})
    return batch


def _get(sample: Sample, key: str, first: Sample) -> Any:
    if sample.keys() != first.keys():
        differ = ', '.join(sorted(map(str, sample.keys() ^ first.keys())))
        raise UserError(f'samples of one batch must have the same keys, and some lack: {differ}')
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
            'pixels: a larger one must be added, or images resized to less'
        )
    return min(allowed)


def _collate_arrays(key: str, values: list[Any]) -> torch.Tensor:
    arrays = [np.asarray(value) for value in values]
    if arrays[0].dtype.kind not in 'biuf':
        raise UserError(f'{key} cannot be batched: its values are {type(values[0]).__name__}, not numbers')
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) == 1:
        return torch.from_numpy(np.stack(arrays))
    if key not in _FILL or len({len(shape) for shape in shapes}) > 1:
        raise UserError(f'{key} cannot be batched: its shapes differ, {shapes[0]} and {shapes[-1]}')
    stacked = np.full((len(arrays), *np.max(shapes, axis=0)), _FILL[key], arrays[0].dtype)
    for row, array in zip(stacked, arrays):
        row[tuple(slice(side) for side in array.shape)] = array
    return torch.from_numpy(stacked)
