"""How long a model takes on this machine: to get ready, and for an image."""

import time
from typing import Any, NamedTuple

import numpy as np

from imgcls import _backend


class Speed(NamedTuple):
    """What `speed` has measured, in seconds."""

    starting: float  # until the model is ready for the first image
    image: float  # for each


def speed(model: Any, batch_size: int) -> Speed:
    """Time a model on two batches, as TensorFlow computes it in use.

    Examples:
        >>> from imgcls import architectures
        >>> from imgcls.trainer._speed import speed
        >>> model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
        >>> speed(model, batch_size=4).image > 0
        True
    """
    images = np.zeros((batch_size, *model.input_shape[1:]), np.uint8)
    begin = time.perf_counter()
    run = _backend.compiled(model)
    run(images)
    middle = time.perf_counter()
    run(images)
    once = time.perf_counter() - middle
    return Speed(max(middle - begin - once, 0.0), once / batch_size)
