"""One pass of a compiled model over images."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from imgcls._runtimes import Run
from imgcls.datasets import Batches

PIXELS = 32 * 224 * 224  # of a pass through a model: a batch of photos


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

    Examples:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from PIL import Image
        >>> from imgcls import Dataset
        >>> from imgcls.datasets import Batches
        >>> from imgcls.inference import outputs
        >>> for name, gray in {"dark.png": 0, "light.png": 255}.items():
        ...     Image.new("L", (20, 30), gray).save(name)
        >>> _ = Path("damaged.png").write_bytes(b"no image")
        >>> dataset = Dataset.from_files(["dark.png", "damaged.png", "light.png"])
        >>> def run(pixels):  # a model that gives one number for each image
        ...     return pixels.mean(axis=(1, 2, 3), dtype=np.float32)[:, None] / 255
        >>> batches = Batches(dataset, image_size=(8, 8), channels=1, batch_size=2, keep="stream", on_error="skip")
        >>> found, positions = outputs(run, batches)
        >>> found.tolist(), positions.tolist()
        ([[0.0], [1.0]], [0, 2])
    """
    found, places, done = [], [], 0
    for images, positions in batches.in_order():
        if on_progress is not None:
            on_progress(done)
        if len(positions):
            found.append(in_passes(run, images))
            places.append(positions)
        done += len(positions)
    return np.concatenate(found), np.concatenate(places)


def in_passes(run: Run, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what a model gives for images, in passes of no more pixels than a batch of photos has.

    So memory that a batch of photos fits into is enough for larger images too; one image alone is the least.

    Args:
        run: The model: `uint8 (n, H, W, C)` to `float32 (n, ...)`.
        images: `uint8 (n, H, W, C)`.

    Examples:
        >>> import numpy as np
        >>> from imgcls.inference import in_passes
        >>> def run(pixels):
        ...     print(pixels.shape)
        ...     return np.ones((len(pixels), 2), np.float32)
        >>> in_passes(run, np.zeros((7, 700, 700, 1), np.uint8)).shape
        (3, 700, 700, 1)
        (2, 700, 700, 1)
        (2, 700, 700, 1)
        (7, 2)
    """
    most = max(1, PIXELS // math.prod(images.shape[1:3]))
    if len(images) <= most:
        return run(images)
    return np.concatenate([run(part) for part in np.array_split(images, math.ceil(len(images) / most))])
