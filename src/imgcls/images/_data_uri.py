"""Small pictures as text that stands in a page."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls.images._decoder import resize, write_png


def data_uri(image: NDArray[np.uint8], side: int) -> str:
    """Return an image as a PNG whose longer side has at most `side` pixels, as `data:image/png;base64,...`.

    Args:
        image: `uint8 (H, W, C)`, any C: of more than three bands the first three are shown, of two the first.
        side: In pixels; smaller images keep their size.
    """
    height, width, channels = image.shape
    scale = min(1.0, side / max(height, width))
    small = resize(image, (max(1, round(height * scale)), max(1, round(width * scale))))
    file: Any = io.BytesIO()
    write_png(small if channels in {1, 3} else small[..., : 3 if channels > 3 else 1], file)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
