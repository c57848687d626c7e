"""One image at several scales, for evaluation."""

from collections.abc import Sequence

from mmcv.transforms import BaseTransform

from soho.datasets.storage.decoding import Size
from soho.datasets.transforms.base import Results
from soho.datasets.transforms.image import resize_keep_ratio
from soho.errors import UserError
from soho.registry import TRANSFORMS

_OF_IMAGE = ('image', 'image_size', 'ori_size', 'reduced_from', 'flipped', 'file_name')


@TRANSFORMS.register_module()
class ResizeScales(BaseTransform):
    """Resize the image of a sample to several scales, as :class:`ResizeKeepRatio` does to one.

    The sample then holds an image a scale, on one canvas, and ``ClassificationHead`` averages their logits. In place
    of ``ResizeKeepRatio`` in the pipeline of a test; the cost is that of the largest scale as many times as there
    are scales.

    Args:
        scales: Maximum long edge and maximum short edge of each.

    Raises:
        UserError: There is no scale, or a sample has several images.
    """

    def __init__(self, scales: Sequence[Size]) -> None:
        if not scales:
            raise UserError('ResizeScales needs at least one scale, such as (1000, 600)')
        self.scales = [tuple(scale) for scale in scales]

    def transform(self, results: Results) -> Results:
        if 'images' in results:
            raise UserError('ResizeScales is for samples of one image, and this one has several: use ResizeKeepRatio')
        image = {key: results.pop(key) for key in _OF_IMAGE if key in results}
        results['images'] = [resize_keep_ratio(dict(image), scale) for scale in self.scales]
        return results
