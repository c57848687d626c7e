"""What transforms of pictures have in common: a sample may hold several images."""

from abc import abstractmethod
from typing import Any

from mmcv.transforms import BaseTransform

from soho.datasets.storage.image_store import ImageError

Results = dict[str, Any]


class ImageTransform(BaseTransform):
    """Base of the transforms that treat every image of a sample by itself.

    A sample of one image holds the image's entries (``image``, ``image_size``, ``file_name``, ...) itself. Of
    a sample of M images ``images`` holds a dict of such entries for each. Random choices come from ``rng``, which
    all share, one image after the other.
    """

    def transform(self, results: Results) -> Results:
        for number, image in enumerate(results.get('images', (results,))):
            try:
                self.transform_image(image)
            except ImageError as error:
                error.image_number = number
                raise
        return results

    @abstractmethod
    def transform_image(self, image: Results) -> None:
        """Change the entries of one image in place."""
