"""Base class of the image transforms, for samples of one or several images."""

from abc import abstractmethod
from typing import Any

from mmcv.transforms import BaseTransform

from soho.datasets.storage.image_store import ImageError

Results = dict[str, Any]


class ImageTransform(BaseTransform):
    """Base class of the transforms that process the images of a sample independently.

    A sample of one image holds the entries of the image (``image``, ``image_size``, ``file_name``, ...) itself; a
    sample of M images holds a dict of such entries for each in ``images``. All images share ``rng`` and use it one
    after the other.
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
