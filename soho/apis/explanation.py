"""A result, and where in the picture it came from."""

from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from soho.visualization.attribution import draw_heat


class Explanation(NamedTuple):
    """A result, and where in the picture it came from."""

    result: Any
    """What a call of the inferencer returns."""
    picture: np.ndarray
    """(H, W, 3) uint8 RGB, as the model sees it."""
    heat: np.ndarray
    """(H, W) float32 in [0, 1]: how much each place speaks for the result."""

    def draw(self) -> Image.Image:
        """The picture under its map."""
        return draw_heat(self.picture, self.heat)
