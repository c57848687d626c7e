"""Crops and colour jitter of VirTex's training and evaluation, from RGB uint8 to RGB uint8.

Interpolation is OpenCV's bilinear without antialiasing, and rounding follows
albumentations 1.1, which the official release uses.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from soho.datasets.storage.decoding import Size
from soho.datasets.transforms.base import ImageTransform, Results
from soho.errors import UserError
from soho.registry import TRANSFORMS

TRIES = 10  # attempts to sample a crop that fits in the image


def _resize(results: Results, image: np.ndarray, width: int, height: int) -> None:
    results['image'] = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    results['image_size'] = (height, width)


@TRANSFORMS.register_module()
class RandomResizedCrop(ImageTransform):
    """Random crop, resized to a square (arXiv:1409.4842, section 6).

    Args:
        size: Side of the square in pixels.
        scale: Range of the crop's area as a fraction of the image's; (0.2, 1)
            in VirTex's pretraining, (0.08, 1) for ImageNet.
        ratio: Range of the crop's width over height, sampled uniformly on a log scale.
    """

    def __init__(
        self, size: int = 224, scale: Sequence[float] = (0.2, 1.0), ratio: Sequence[float] = (0.75, 1.333)
    ) -> None:
        self.size = size
        self.scale = scale
        self.ratio = ratio

    def sample(self, image_size: Size, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height and width of a random crop of an image of size (h, w).

        After ten crops that do not fit, the largest centred one whose ratio is in range.
        """
        height, width = image_size
        for _ in range(TRIES):
            area = height * width * rng.uniform(self.scale[0], self.scale[1])
            ratio = math.exp(rng.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                top = int(rng.integers(height - h, endpoint=True))
                return top, int(rng.integers(width - w, endpoint=True)), h, w
        w = min(width, round(height * self.ratio[1]))
        h = min(height, round(width / self.ratio[0]))
        return (height - h) // 2, (width - w) // 2, h, w

    def transform_image(self, results: Results) -> None:
        crop_and_resize(results, self.sample(results['image'].shape[:2], results['rng']), self.size)


def crop_and_resize(results: Results, part: tuple[int, int, int, int], size: int) -> Results:
    """Crop ``part`` (top, left, height, width) of ``results['image']`` and resize it to a square of side ``size``."""
    results.pop('reduced_from', None)
    top, left, height, width = part
    _resize(results, results['image'][top : top + height, left : left + width], size, size)
    return results


@TRANSFORMS.register_module()
class ResizeShortEdge(ImageTransform):
    """Resize so that the short edge has ``size`` pixels; halves round to even.

    Args:
        size: Length in pixels; 224 in VirTex's own validation, 256 in its other evaluations.
    """

    def __init__(self, size: int = 256) -> None:
        self.size = size

    def transform_image(self, results: Results) -> None:
        size = results.pop('reduced_from', results['image'].shape[:2])
        height, width = (round(edge * self.size / min(size)) for edge in size)
        _resize(results, results['image'], width, height)


@TRANSFORMS.register_module()
class CenterCrop(ImageTransform):
    """Central square of side ``size``, towards the top left where it cannot be centred exactly.

    Raises:
        UserError: In ``transform``, for an image with a smaller edge.
    """

    def __init__(self, size: int = 224) -> None:
        self.size = size

    def transform_image(self, results: Results) -> None:
        height, width = results['image'].shape[:2]
        if min(height, width) < self.size:
            raise UserError(
                f'CenterCrop takes {self.size} x {self.size} pixels, but the image has {width} x '
                f'{height}; ResizeShortEdge before it makes any image large enough'
            )
        top, left = (height - self.size) // 2, (width - self.size) // 2
        image = results['image'][top : top + self.size, left : left + self.size]
        results.update(image=np.ascontiguousarray(image), image_size=(self.size, self.size))


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    return cv2.LUT(image, _table(np.arange(256) * factor))


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean grey of the image."""
    mean = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean()
    return cv2.LUT(image, _table(np.arange(256) * factor + mean * (1 - factor)))


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the grey image."""
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, factor, gray, 1 - factor, 0)


def adjust_hue(image: np.ndarray, shift: float) -> np.ndarray:
    """Rotate the hue by ``shift`` of a full turn."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)  # OpenCV counts hues in 180 steps
    hsv[..., 0] = cv2.LUT(hsv[..., 0], _table(np.mod(np.arange(256) + 180 * shift, 180)))
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _table(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


ADJUST = dict(brightness=adjust_brightness, contrast=adjust_contrast, saturation=adjust_saturation, hue=adjust_hue)
NEUTRAL = dict(brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0)


@TRANSFORMS.register_module()
class ColorJitter(ImageTransform):
    """Random changes of brightness, contrast, saturation and hue, in random order.

    Args:
        brightness, contrast, saturation: Maximum distance of the factor from 1.
        hue: Maximum shift, as a fraction of a full turn.
        prob: Probability that the transform is applied.
    """

    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.1,
        prob: float = 0.8,
    ) -> None:
        self.limits = dict(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
        self.prob = prob

    def transform_image(self, results: Results) -> None:
        rng = results['rng']
        if rng.random() < self.prob:
            factors = {name: NEUTRAL[name] + rng.uniform(-limit, limit) for name, limit in self.limits.items()}
            names = list(factors)
            results['image'] = jitter(results['image'], {names[i]: factors[names[i]] for i in rng.permutation(4)})


def jitter(image: np.ndarray, factors: dict[str, float]) -> np.ndarray:
    """Image after the given adjustments, in order; neutral factors are skipped."""
    for name, factor in factors.items():
        if factor != NEUTRAL[name]:
            image = ADJUST[name](image, factor)
    return image
