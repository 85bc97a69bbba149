"""Two ways to run a model, compared: answers, probabilities, time."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls._runtimes import Run
from imgcls._thresholds import Thresholds

_BATCH = 32
_MOST_RUNS, _MOST_SECONDS = 50, 3.0


class Comparison(NamedTuple):
    """How far an export is from its original, on n images.

    Attributes:
        images: n.
        agreement: The share of images of which the same is said.
        largest_difference: Of two probabilities.
        accuracy_before: The original's, on images with labels; None where there are none.
        accuracy_after: The export's.
    """

    images: int
    agreement: float
    largest_difference: float
    accuracy_before: float | None
    accuracy_after: float | None


def batches(pixels: Any) -> Iterator[NDArray[np.uint8]]:
    """Return an array `(n, H, W, C)` in parts; an iterable of such arrays as it is."""
    if isinstance(pixels, np.ndarray):
        return (pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH))
    return iter(pixels)


def compare(
    expected: NDArray[np.float32],
    given: NDArray[np.float32],
    labels: NDArray[Any] | None,
    *,
    thresholds: Thresholds,
    tie: float,
) -> Comparison:
    """Compare probabilities `(n, K)` of an original with those of its export.

    Images for which the original gives NaN or infinity are left out: there is nothing that an export could keep to.

    Args:
        expected: The original's.
        given: The export's; NaN differs from everything.
        labels: Of the last images, `(m,)` or `(m, K)`; None for none.
        thresholds: By what is said.
        tie: Classes whose margins the original holds no further apart, or labels no further from their thresholds, may
            change places. Without thresholds, margins are probabilities.
    """
    there = np.asarray(np.isfinite(expected).all(axis=1))
    if labels is not None:
        labels = labels[there[len(there) - len(labels) :]]
    expected, given = expected[there], given[there]
    said = thresholds.said(given)
    same = _same_answers(expected, said, thresholds, tie) & ~np.isnan(given).any(axis=1)
    apart = np.abs(given.astype(np.float64) - expected)
    largest = 1.0 if np.isnan(apart).any() else float(apart.max())
    accuracies: list[float | None] = [None, None]
    if labels is not None and len(labels):
        accuracies = [_accuracy(one[-len(labels) :], labels) for one in (thresholds.said(expected), said)]
    return Comparison(len(expected), float(same.mean()), largest, *accuracies)


def medians(ways: Mapping[str, Run], image: NDArray[np.uint8]) -> tuple[dict[str, float], int]:
    """Time ways to run one image `(1, H, W, C)`, in turns, so that what else the machine does meets all of them alike.

    Returns:
        The median of each in milliseconds, and how often each was run.
    """
    for run in ways.values():  # the first calls allocate
        run(image)
        run(image)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    end = time.perf_counter() + _MOST_SECONDS
    runs = 0
    while runs < _MOST_RUNS and (runs < 3 or time.perf_counter() < end):
        for name, run in ways.items():
            began = time.perf_counter()
            run(image)
            taken[name].append(time.perf_counter() - began)
        runs += 1
    return {name: round(1000 * float(np.median(times)), 4) for name, times in taken.items()}, runs


def _same_answers(
    expected: NDArray[np.float32], said: NDArray[Any], thresholds: Thresholds, tie: float
) -> NDArray[np.bool_]:
    """Say of which images the same is said, or what is as good as the same, `(n,)`."""
    margins = thresholds.margins(expected)
    if said.ndim == 2:
        same = ((thresholds.said(expected) == said) | (np.abs(margins) <= tie)).all(axis=1)
    else:
        chosen = np.take_along_axis(margins, said[:, None], axis=1)[:, 0]
        same = margins.max(axis=1) - chosen <= tie
    return np.asarray(same)


def _accuracy(said: NDArray[Any], labels: NDArray[Any]) -> float:
    if labels.ndim > said.ndim:  # of one label an image, as an indicator
        labels = labels.argmax(axis=1)
    return float((said == labels).reshape(len(labels), -1).all(axis=1).mean())
