"""Where a model looks, as a picture that a browser shows."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import images
from imgcls.errors import ConfigurationError
from imgcls.plotting._images import MOST_OPAQUE
from imgcls.plotting._style import HEAT

_SIDE = 640  # pixels of the longer side: more than a page shows it at


def heat_picture(explain: Callable[..., Any], data: bytes) -> tuple[Any, str]:
    """Explain the likeliest class of an image.

    Args:
        explain: `ImageClassifier.explain`.
        data: The bytes of an image file.

    Returns:
        The class, and the image with the heat laid over it, as `data:image/png;base64,...`.
    """
    try:
        found = explain(data)
    except ConfigurationError:  # a model without a feature map
        found = explain(data, method="occlusion")
    return found.label, images.data_uri(_laid_over(found.image, found.heat), _SIDE)


def _laid_over(image: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Lay heat `float32 (H, W)` in [0, 1] over an image, the less transparent the hotter."""
    from matplotlib import colormaps

    height, width = image.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    share = images.resize(np.round(heat[..., None] * 255).astype(np.uint8), size)[..., :1] / 255
    colour = 255 * np.asarray(colormaps[HEAT](share[..., 0]))[..., :3]
    small = images.resize(image, size)
    small = small[..., :3] if small.shape[2] >= 3 else small[..., :1].repeat(3, axis=2)
    return (small * (1 - MOST_OPAQUE * share) + colour * MOST_OPAQUE * share).round().astype(np.uint8)
