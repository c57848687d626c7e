"""Image transforms: load, resize, flip; from RGB uint8 to RGB uint8.

Images are normalised on the device and padded when samples are collated.
"""

import re
from collections.abc import Sequence
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform

from soho.datasets.storage.decoding import Color, Size, decode_image, decode_reduced
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.transforms.base import ImageTransform, Results
from soho.errors import UserError, clip
from soho.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(ImageTransform):
    """Read and decode the image of a sample.

    Reads ``image_store`` (:class:`soho.datasets.storage.image_store.ImageStore`) and
    ``file_name``, or uses an existing ``image``. Writes ``image`` (H, W, 3)
    uint8 RGB, ``image_size`` its (h, w), ``ori_size`` the (h, w) of the upright
    full image, ``flipped`` = False and, only where the image was decoded at
    reduced scale, ``reduced_from``: the size that the next resize has to
    compute its scale from.

    Args:
        reduce_to: The largest scale, (long edge, short edge), of later
            resizes. Large JPEGs are then decoded at 1/2, 1/4 or 1/8. The shape
            after resizing is the same, the pixels differ; by how much, see
            :func:`soho.datasets.storage.decoding.decode_reduced`. By default
            every image is decoded in full.
        background: Colour behind transparent pixels; by default transparency
            is ignored, as in the official code.
        upright: ``False`` ignores the EXIF orientation, as ImageNet is read
            with Pillow; not together with ``reduce_to``.
        max_pixels: Height times width above which an image is refused before it is decoded; by default what can be
            decoded in 1 GiB of memory, from 33 million to 153 by the format.

    Raises:
        UserError: ``upright=False`` with ``reduce_to``.
        ImageMissingError: The store has no such image.
        ImageDecodeError: The file is not a complete image, or has too many pixels.
    """

    def __init__(
        self,
        reduce_to: Size | None = None,
        background: Color | None = None,
        upright: bool = True,
        max_pixels: int | None = None,
    ) -> None:
        if reduce_to is not None and not upright:
            raise UserError('LoadImage: images decoded at reduced scale (reduce_to) are always turned upright')
        self.reduce_to = reduce_to
        self.background = background
        self.upright = upright
        self.max_pixels = max_pixels

    def transform_image(self, results: Results) -> None:
        if 'image' in results:
            image, full_size = results['image'], results['image'].shape[:2]
        else:
            image, full_size = self._load(results['image_store'], results['file_name'])
        if full_size != image.shape[:2]:
            results['reduced_from'] = full_size
        results.update(image=image, image_size=image.shape[:2], ori_size=full_size, flipped=False)

    def _load(self, store: ImageStore, file_name: str) -> tuple[np.ndarray, Size]:
        data = store.read(file_name)
        options: dict[str, Any] = dict(
            name=f'image {clip(file_name)} of {store.path}', background=self.background, max_pixels=self.max_pixels
        )
        if self.reduce_to is not None:
            return decode_reduced(data, self.reduce_to, **options)
        image = decode_image(data, upright=self.upright, **options)
        return image, image.shape[:2]


def resize_keep_ratio(results: Results, scale: Size) -> Results:
    """Resize ``results['image']`` to the largest size within ``scale`` that keeps the aspect ratio.

    The arithmetic and the interpolation (bilinear on uint8, rounded) are those
    of mmcv and of the official code, bit for bit: with the factor f that fits
    both edges, a side x becomes ``int(x * f + 0.5)``. No side becomes 0.

    Args:
        results: Has ``image`` (H, W, 3) and, if it was decoded at reduced
            scale, ``reduced_from``; ``image`` and ``image_size`` are replaced.
        scale: Maximum long edge and maximum short edge, in either order.

    Returns:
        ``results``.
    """
    height, width = results.pop('reduced_from', results['image'].shape[:2])
    new_width, new_height = mmcv.rescale_size((width, height), tuple(scale))
    size = (max(1, new_width), max(1, new_height))
    results['image'] = mmcv.imresize(results['image'], size, interpolation='bilinear', backend='cv2')
    results['image_size'] = size[::-1]
    return results


@TRANSFORMS.register_module()
class ResizeKeepRatio(ImageTransform):
    """Resize to the largest size within ``scale`` that keeps the aspect ratio; enlarges small images.

    Args:
        scale: Maximum long edge and maximum short edge; (1000, 600) in the
            official pretraining and VQA test pipelines.
    """

    def __init__(self, scale: Size = (1000, 600)) -> None:
        self.scale = scale

    def transform_image(self, results: Results) -> None:
        resize_keep_ratio(results, self.scale)


@TRANSFORMS.register_module()
class RandomResizeKeepRatio(ImageTransform):
    """Resize within a random scale, as in the official VQA training pipeline.

    The long edge is sampled first, then the short edge, independently and
    uniformly from the integers between those of the two scales, both ends
    included.

    Args:
        scales: Two pairs (long edge, short edge), the ends of the ranges.

    Raises:
        UserError: ``scales`` are not two.
    """

    def __init__(self, scales: Sequence[Size] = ((1333, 400), (1333, 800))) -> None:
        if len(scales) != 2:
            raise UserError(f'RandomResizeKeepRatio needs two scales, the ends of a range, not {len(scales)}')
        self.long_edges = sorted(max(scale) for scale in scales)
        self.short_edges = sorted(min(scale) for scale in scales)

    def sample(self, rng: np.random.Generator) -> Size:
        """A random (long edge, short edge)."""
        long_edge = int(rng.integers(self.long_edges[0], self.long_edges[1], endpoint=True))
        return long_edge, int(rng.integers(self.short_edges[0], self.short_edges[1], endpoint=True))

    def transform_image(self, results: Results) -> None:
        resize_keep_ratio(results, self.sample(results['rng']))


_OPPOSITE = {'left': 'right', 'right': 'left'}
# "left", "right" and their compounds; not "bright", "upright", "rights" or "righteous".
_SIDE = re.compile(r'\b(left|right)(?=\b|most\b|wards?\b|hand(?:ed)?\b)', re.IGNORECASE)


def swap_sides(text: str) -> str:
    """Exchange "left" and "right" in a text, as whole words and in "leftmost", "rightward", "left-handed".

    Upper and lower case are kept. A text that uses the words in other senses
    ("right now", "nothing is left") is changed as well.
    """
    return _SIDE.sub(_opposite, text)


def _opposite(match: 're.Match[str]') -> str:
    word = match.group()
    other = _OPPOSITE[word.lower()]
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other


def swap_letters(text: str) -> str:
    """Exchange the letters "left" and "right", also within words; known bug of the official VirTex."""
    return text.replace('left', '[TMP]').replace('right', 'left').replace('[TMP]', 'right')


@TRANSFORMS.register_module()
class RandomFlip(BaseTransform):
    """Flip all images of a sample horizontally, and exchange "left" and "right" in its sentences.

    The words are exchanged in ``sentences`` (a list of str), which would
    otherwise contradict the flipped image, and in the answers of samples with
    ``answer_labels`` and ``mirrored_answers`` (A + 1,), the label of each of A
    answers, and of -1, after a flip.

    Args:
        prob: Probability of a flip.
        swap_words: Whether sentences and answers are changed with the image.
        within_words: Known bug of the official VirTex: the letters are exchanged within words too ("bright" becomes
            "bleft").
    """

    def __init__(self, prob: float = 0.5, swap_words: bool = True, within_words: bool = False) -> None:
        self.prob = prob
        self.swap_words = swap_words
        self.swap = swap_letters if within_words else swap_sides

    def transform(self, results: Results) -> Results:
        if results['rng'].random() >= self.prob:
            return results
        for image in results.get('images', (results,)):  # all or none: they share the sentences
            image['image'] = cv2.flip(image['image'], 1)
            image['flipped'] = not image['flipped']
        if self.swap_words and 'sentences' in results:
            swapped = [self.swap(sentence) for sentence in results['sentences']]
            if swapped != results['sentences']:
                results['sentences'] = swapped
                results.pop('sentence_rows', None)  # they are no longer the sentences of the annotation file
            if 'mirrored_answers' in results:
                results['answer_labels'] = results['mirrored_answers'][results['answer_labels']]
        return results
