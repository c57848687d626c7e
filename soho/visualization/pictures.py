"""Pictures inside a page: shrunk, cut and written into the address itself."""

import base64

import cv2
import numpy as np

from soho.visualization.dictionary_atlas import Patch


def jpeg_uri(image: np.ndarray, longest: int, quality: int = 80) -> str:
    """A ``data:`` address of a picture.

    Args:
        image: (H, W, 3) uint8 RGB.
        longest: Shrink it until no side is longer, in pixels.
        quality: Of the JPEG, 1 to 100.
    """
    factor = longest / max(image.shape[:2])
    if factor < 1:
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return 'data:image/jpeg;base64,' + base64.b64encode(data.tobytes()).decode()


def cut_patch(image: np.ndarray, patch: Patch, context: float = 1.0) -> tuple[np.ndarray, tuple[float, ...]]:
    """A cell of a picture with what lies around it.

    Args:
        image: (H, W, 3), any size: the patch's box is in shares of it.
        patch: The cell.
        context: Cells of surroundings on each side. At the picture's edge the
            cut is moved inwards, so that all cuts are of the same kind.

    Returns:
        The cut (h, w, 3), and left, top, width and height of the cell within it as shares.
    """
    height, width = image.shape[:2]
    left, top, right, bottom = patch.box * np.array([width, height, width, height])
    side = max(right - left, bottom - top) * (1 + 2 * context)
    side = min(side, width, height)
    x = np.clip((left + right - side) / 2, 0, width - side)
    y = np.clip((top + bottom - side) / 2, 0, height - side)
    cut = image[int(y) : int(round(y + side)), int(x) : int(round(x + side))]
    return cut, ((left - x) / side, (top - y) / side, (right - left) / side, (bottom - top) / side)
