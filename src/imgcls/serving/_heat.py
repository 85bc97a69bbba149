"""Where a model looks, as a picture that a browser shows."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import images
from imgcls.errors import ConfigurationError

_SIDE = 640  # pixels of the longer side: more than a page shows it at


def heat(explain: Callable[..., Any], pixels: NDArray[np.uint8]) -> tuple[Any, NDArray[np.float32]]:
    """Explain what is said of an image.

    Args:
        explain: `ImageClassifier.explain`.
        pixels: The image as the model sees it, `uint8 (h, w, c)`. How large the file was takes none of its time.

    Returns:
        The class, and heat `float32 (h, w)` in [0, 1].
    """
    try:
        found = explain(pixels)
    except ConfigurationError:  # a model without a feature map
        found = explain(pixels, method="occlusion")
    return found.label, found.heat


def picture(data: bytes, name: str, heat: NDArray[np.float32]) -> str:
    """Return an image with heat laid over it, as `data:image/...;base64,...`.

    Args:
        data: The bytes of an image file.
        name: What to call it in an error.
        heat: `float32 (h, w)` in [0, 1], of any size.

    Raises:
        UnreadableImageError: It is not an image that we read.
    """
    image, _ = images.glance(data, _SIDE, name)
    return images.data_uri(images.with_heat(images.shrunk(image, _SIDE), heat), _SIDE)
