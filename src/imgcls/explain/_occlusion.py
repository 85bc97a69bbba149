"""Occlusion: hide a part of an image, and see how far a class falls."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _backend
from imgcls.explain._probabilities import probabilities

_STEPS = 10  # along each side, at most; a square is two of them wide
_LEAST = float(np.finfo(np.float32).tiny)  # so that no logarithm is infinite
_CHANCE = 1e-4  # of log odds: what float32 rounds may differ by as much

Images = NDArray[np.uint8]
Run = Callable[[Images], NDArray[np.float32]]


def occlusion(model: Any, images: Images, targets: NDArray[np.int32], others: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return raw maps `float32 (N, H, W)`: by how much, in the mean, hiding a pixel lowers the log odds of a class."""
    run = _backend.compiled(model)
    found = [_of_one(run, *one) for one in zip(images, targets.tolist(), others.tolist(), strict=True)]
    return np.stack(found)


def _of_one(run: Run, image: Images, target: int, other: int) -> NDArray[np.float32]:
    places = list(_squares(*image.shape[:2]))
    hidden = np.repeat(image[None], len(places) + 1, axis=0)  # the last one as it is
    for place, copy in zip(places, hidden, strict=False):
        copy[place] = mean_color(image)
    odds = _log_odds(probabilities(run, hidden).astype(np.float64), target, other)
    falls = odds[-1] - odds[:-1]
    falls[np.abs(falls) < _CHANCE] = 0
    raw, count = np.zeros((2, *image.shape[:2]))
    for place, fall in zip(places, falls, strict=True):
        raw[place] += fall
        count[place] += 1
    return np.asarray(raw / count, np.float32)


def mean_color(image: Images) -> Images:
    """Return the mean of each channel `uint8 (C,)`."""
    return np.asarray(image.mean(axis=(0, 1)).round(), np.uint8)


def _squares(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Give squares that reach over the edges, so that every pixel is hidden by as many."""
    down, right = (math.ceil(side / _STEPS) for side in (height, width))
    for top in range(-down, height, down):
        for left in range(-right, width, right):
            yield slice(max(top, 0), top + 2 * down), slice(max(left, 0), left + 2 * right)


def _log_odds(exact: NDArray[np.float64], target: int, other: int) -> NDArray[np.float64]:
    """Return the logarithm of a class's probability over that of all others, or of one other."""
    chosen = exact[:, target]
    if other >= 0:
        against = exact[:, other]
    elif np.allclose(exact.sum(axis=1), 1, atol=1e-3):  # one label an image: 1 - p would lose the digits of a p near 1
        against = np.delete(exact, target, axis=1).sum(axis=1)
    else:
        against = 1 - chosen
    return np.log(np.maximum(chosen, _LEAST)) - np.log(np.maximum(against, _LEAST))
