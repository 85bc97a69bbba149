"""Occlusion: hide a part of an image, and see how far a class falls."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _backend
from imgcls.explain._probabilities import in_batches, probabilities

_STEPS = 10  # along each side, at most; a square is two of them wide
_LEAST = float(np.finfo(np.float32).tiny)  # so that no logarithm is infinite
_CHANCE = 1e-4  # of log odds: what float32 rounds may differ by as much
_ROUNDED = 16 * float(np.finfo(np.float32).eps)  # of large ones, by as large a share

Exact = NDArray[np.float64]
Images = NDArray[np.uint8]
Odds = Callable[[Images, int, int], Exact]  # of images, a class, and the one it is compared with, or -1


def occlusion(model: Any, images: Images, targets: NDArray[np.int32], others: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return raw maps `float32 (N, H, W)`: by how much, in the mean, hiding a pixel lowers the log odds of a class."""
    found = _backend.score_function(model)
    odds = partial(_of_probabilities, _backend.compiled(model)) if found is None else partial(_of_scores, *found)
    return np.stack([_of_one(odds, *one) for one in zip(images, targets.tolist(), others.tolist(), strict=True)])


def _of_one(log_odds: Odds, image: Images, target: int, other: int) -> NDArray[np.float32]:
    places = list(_squares(*image.shape[:2]))
    hidden = np.repeat(image[None], len(places) + 1, axis=0)  # the last one as it is
    for place, copy in zip(places, hidden, strict=False):
        copy[place] = mean_color(image)
    odds = log_odds(hidden, target, other)
    falls = odds[-1] - odds[:-1]
    falls[np.abs(falls) < max(_CHANCE, _ROUNDED * np.abs(odds).max())] = 0
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


def _of_scores(run: _backend.Scores, exclusive: bool, images: Images, target: int, other: int) -> Exact:
    """Return log odds from scores: a class against all others, or by how much they are above those of one other."""
    scores = in_batches(run, images).astype(np.float64)
    chosen = scores[:, target]
    if other >= 0:
        return chosen - scores[:, other]
    if not exclusive:  # the score of a sigmoid is the logarithm of its odds
        return chosen
    against: Exact = np.logaddexp.reduce(np.delete(scores, target, axis=1), axis=1)
    return chosen - against


def _of_probabilities(run: _backend.Scores, images: Images, target: int, other: int) -> Exact:
    """Return the same from probabilities, where no score is known."""
    exact = probabilities(run, images).astype(np.float64)
    chosen = exact[:, target]
    if other >= 0:
        against = exact[:, other]
    elif np.allclose(exact.sum(axis=1), 1, atol=1e-3):  # one label an image: 1 - p would lose the digits of a p near 1
        against = np.delete(exact, target, axis=1).sum(axis=1)
    else:
        against = 1 - chosen
    return np.log(np.maximum(chosen, _LEAST)) - np.log(np.maximum(against, _LEAST))
