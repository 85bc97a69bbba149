"""Images made worse on purpose, answered, and compared with the answers to the same images as they are."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls.datasets import Dataset
from imgcls.images import CORRUPTIONS, corrupt
from imgcls.metrics import Robustness, robustness
from imgcls.trainer import ProgressReport


def robust(
    run: Callable[[Dataset], NDArray[np.float32]],
    dataset: Dataset,
    input_shape: tuple[int, int, int],
    severities: Sequence[int],
    report: ProgressReport,
    *,
    said: Callable[[NDArray[np.float32]], NDArray[Any]],
) -> list[Robustness]:
    """Measure what is lost.

    Args:
        run: From images to probabilities `float32 (N, K)`.
        dataset: Labelled images.
        input_shape: (H, W, C) of what the model sees: images are made worse after they were resized.
        severities: Of 1, 2 and 3.
        report: Says how far it is; it must be open.
        said: From probabilities to what is said: codes, or an indicator.
    """
    height, width, channels = input_shape
    images = [dataset.read(place, size=(height, width), channels=channels) for place in range(len(dataset))]
    labels = np.asarray(dataset.labels)

    def right(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.bool_]:
        answers = run(Dataset(images))
        told = np.isfinite(answers).all(axis=1)  # NaN is no answer, and not that of the first class
        return np.asarray(told & (said(answers) == labels).reshape(len(labels), -1).all(axis=1))

    clean, found = right(images), {}
    report.say(f"{len(images):,} images as they are: {clean.mean():.3f} right")
    for kind in CORRUPTIONS:
        for severity in severities:
            worse = [corrupt(image, kind, severity, seed=place) for place, image in enumerate(images)]
            found[kind, severity] = right(worse)
            report.say(f"{kind} {severity}: {found[kind, severity].mean():.3f} right")
    return robustness(clean, found)
