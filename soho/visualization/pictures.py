"""Pictures embedded in a page as ``data:`` URIs: resized, cropped and encoded."""

import base64

import cv2
import numpy as np

from soho.visualization.dictionary_atlas import Patch


def jpeg_uri(image: np.ndarray, longest: int, quality: int = 80) -> str:
    """Return a picture as a ``data:`` URI of a JPEG.

    Args:
        image: Picture, (H, W, 3) uint8 RGB.
        longest: Largest side in pixels; larger pictures are shrunk.
        quality: JPEG quality, 1 to 100.
    """
    factor = longest / max(image.shape[:2])
    if factor < 1:
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return 'data:image/jpeg;base64,' + base64.b64encode(data.tobytes()).decode()


def crop_patch(image: np.ndarray, patch: Patch, context: float = 1.0) -> tuple[np.ndarray, tuple[float, ...]]:
    """Return a square crop around a grid cell.

    Args:
        image: Picture, (H, W, 3), of any size, since the patch's box is relative.
        patch: The cell.
        context: Width of the surroundings on each side, in cells. At the picture's edge the
            crop is moved inwards.

    Returns:
        The crop, (h, w, 3), and the cell's left, top, width and height relative to it.
    """
    height, width = image.shape[:2]
    left, top, right, bottom = patch.box * np.array([width, height, width, height])
    side = max(right - left, bottom - top) * (1 + 2 * context)
    side = min(side, width, height)
    x = np.clip((left + right - side) / 2, 0, width - side)
    y = np.clip((top + bottom - side) / 2, 0, height - side)
    crop = image[int(y) : int(round(y + side)), int(x) : int(round(x + side))]
    return crop, ((left - x) / side, (top - y) / side, (right - left) / side, (bottom - top) / side)
