"""The random state of layers that belong to somebody else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def put_back(layers: Sequence[Any]) -> Iterator[None]:
    """Give layers their variables back in the end, as they are now: random numbers are drawn from them in between.

    Args:
        layers: Keras layers, or None. Variables that they make in between stay as they are then.

    Examples:
        >>> import keras
        >>> from imgcls.transforms._state import put_back
        >>> noise = keras.layers.GaussianNoise(1.0, seed=3)
        >>> drawn = []
        >>> for _ in range(2):
        ...     with put_back([noise, None]):
        ...         drawn.append(float(noise(keras.ops.zeros(1), training=True)[0]))
        >>> drawn[0] == drawn[1]
        True
    """
    theirs = [variable for layer in layers if layer is not None for variable in layer.variables]
    held = [(variable, np.array(variable.numpy())) for variable in theirs]
    try:
        yield
    finally:
        for variable, value in held:
            variable.assign(value)
