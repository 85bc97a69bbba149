"""Small pictures as text that stands in a page."""

import base64
import io

import numpy as np
from numpy.typing import NDArray

from imgcls.images._decoder import resize, write_jpeg, write_png

_QUALITY = 85  # of a JPEG: photos look the same, at a quarter of the bytes


def data_uri(image: NDArray[np.uint8], side: int) -> str:
    """Return an image whose longer side has at most `side` pixels, as `data:image/png;base64,...`.

    As JPEG where that is shorter, as it is of photos.

    Args:
        image: `uint8 (H, W, C)`, any C: of more than three bands the first three are shown, of two the first.
        side: In pixels; smaller images keep their size.
    """
    small, channels = shrunk(image, side), image.shape[2]
    shown = small if channels in {1, 3} else small[..., : 3 if channels > 3 else 1]
    png, jpeg = io.BytesIO(), io.BytesIO()
    write_png(shown, png)
    write_jpeg(shown, jpeg, _QUALITY)
    kind, file = min(("png", png), ("jpeg", jpeg), key=lambda one: one[1].tell())
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def shrunk(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return an image `uint8 (H, W, C)` whose longer side has at most `side` pixels."""
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    return resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))
