"""Classes that take turns: however few images are taken from the front, there are as many of each class as can be."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]


def by_turns(labels: NDArray[Any], order: Codes) -> Codes:
    """Return `order` with the classes taking turns: whatever comes first has as many of each.

    Args:
        labels: Codes `(N,)`, or an indicator `(N, K)`, where an image stands for the rarest of its classes.
        order: Positions `(M,)`. Images of one class keep it.

    Returns:
        The same positions, `(M,)`.

    Examples:
        >>> import numpy as np
        >>> from imgcls import datasets
        >>> datasets.by_turns(np.array([0, 0, 0, 0, 1, 1]), np.arange(6)).tolist()
        [0, 4, 1, 5, 2, 3]
    """
    return order[np.argsort(place_in_class(rarest_class(labels)[order]), kind="stable")]


def rarest_class(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the class of each image; with several, the rarest, and K without any."""
    if labels.ndim == 1:
        return labels
    rarest: Codes = np.where(labels > 0, labels.sum(axis=0), len(labels) + 1).argmin(axis=1)
    rarest[~labels.any(axis=1)] = labels.shape[1]
    return rarest


def place_in_class(codes: NDArray[Any]) -> Codes:
    """Return how many of the same class come before each, `int64 (N,)`."""
    order = np.argsort(codes, kind="stable")
    places = np.empty(len(codes), np.int64)
    places[order] = np.arange(len(codes)) - np.searchsorted(codes[order], codes[order])
    return places
