"""One pass of a compiled model over images."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from imgcls._runtimes import Run
from imgcls.datasets import Batches


def outputs(
    run: Run, batches: Batches, on_progress: Callable[[int], None] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return a compiled model's outputs `float32 (n, ...)` in the order of the dataset.

    Args:
        run: The model: `uint8 (n, H, W, C)` to `float32 (n, ...)`.
        batches: The images.
        on_progress: Called before each batch with the number of images answered so far; it may raise.

    Returns:
        The outputs, and the positions of their images: all, but for those in quarantine.
    """
    found, places, done = [], [], 0
    for images, positions in batches.in_order():
        if on_progress is not None:
            on_progress(done)
        if len(positions):
            found.append(run(images))
            places.append(positions)
        done += len(positions)
    return np.concatenate(found), np.concatenate(places)
