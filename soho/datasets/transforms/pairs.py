"""Exchange of the two images of a sample."""

from mmcv.transforms import BaseTransform

from soho.datasets.transforms.base import Results
from soho.datasets.transforms.image import swap_sides
from soho.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SwapImages(BaseTransform):
    """Reverse the order of a sample's images, and exchange "left" and "right" in its sentences, as whole words.

    Samples of evaluation (``training`` False) are never swapped.

    Args:
        prob: Probability of a swap.
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    def transform(self, results: Results) -> Results:
        if not results['training'] or results['rng'].random() >= self.prob:
            return results
        results['images'] = results['images'][::-1]
        results['sentences'] = [swap_sides(sentence) for sentence in results['sentences']]
        return results
