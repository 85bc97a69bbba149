"""Probabilities of all classes, batch by batch."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from imgcls import architectures

BATCH = 32


def probabilities(
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return probabilities `(N, K)` of images `(N, H, W, C)`."""
    outputs = np.concatenate([run(images[first : first + BATCH]) for first in range(0, len(images), BATCH)])
    return architectures.probabilities(outputs, max(2, outputs.shape[1]))
