"""Outputs and probabilities of all classes, batch by batch."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from imgcls import architectures

BATCH = 32

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def in_batches(run: Run, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what `run` gives for images `(N, H, W, C)`: `(N, O)`."""
    return np.concatenate([run(images[first : first + BATCH]) for first in range(0, len(images), BATCH)])


def probabilities(run: Run, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return probabilities `(N, K)` of images `(N, H, W, C)`."""
    outputs = in_batches(run, images)
    return architectures.probabilities(outputs, max(2, outputs.shape[1]))
