"""Probabilities of all classes, batch by batch."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

BATCH = 32


def probabilities(
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return probabilities `(N, K)` of images `(N, H, W, C)`: one sigmoid for two classes becomes [1 - p, p]."""
    outputs = np.concatenate([run(images[first : first + BATCH]) for first in range(0, len(images), BATCH)])
    return outputs if outputs.shape[1] > 1 else np.concatenate([1 - outputs, outputs], axis=1)
