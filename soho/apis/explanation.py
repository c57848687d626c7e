"""A result, and where in the picture it came from."""

from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from soho.apis.words import Words
from soho.visualization.attribution import draw_heat


class Explanation(NamedTuple):
    """A result, and where in the picture it came from."""

    result: Any
    """What a call of the inferencer returns."""
    picture: np.ndarray
    """(H, W, 3) uint8 RGB, as the model sees it."""
    heat: np.ndarray
    """(H, W) float32 in [0, 1]: how much each place speaks for the result."""
    words: Words | None = None
    """The words of the visual dictionary in the picture, where they were asked for."""

    def draw(self) -> Image.Image:
        """The picture under its map and, where they were asked for, tinted by its dictionary words beside."""
        heat = draw_heat(self.picture, self.heat)
        if self.words is None:
            return heat
        both = Image.new('RGB', (2 * heat.width, heat.height))
        both.paste(heat)
        both.paste(self.words.picture, (heat.width, 0))
        return both
