"""Where a model looks, as a picture that a browser shows."""

from collections.abc import Callable
from typing import Any

from imgcls import images
from imgcls.errors import ConfigurationError

_SIDE = 640  # pixels of the longer side: more than a page shows it at


def heat_picture(explain: Callable[..., Any], data: bytes) -> tuple[Any, str]:
    """Explain what is said of an image.

    Args:
        explain: `ImageClassifier.explain`.
        data: The bytes of an image file.

    Returns:
        The class, and the image with the heat laid over it, as `data:image/...;base64,...`.
    """
    try:
        found = explain(data)
    except ConfigurationError:  # a model without a feature map
        found = explain(data, method="occlusion")
    return found.label, images.data_uri(images.with_heat(images.shrunk(found.image, _SIDE), found.heat), _SIDE)
