"""Labels that are probably wrong: confident learning.

Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70 (2021),
arXiv 1911.00068.
"""

import numpy as np
from numpy.typing import NDArray


def suspected_labels(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the images whose label is probably wrong, the most suspect first, and the label that fits better.

    A class's threshold is the mean probability it gets where it is the label. An image is suspected where another class
    passes its own threshold, and is likelier there than the label. The order is by how much likelier.

    Args:
        labels: `int (N,)`, as they were given.
        probabilities: `float (N, K)` from a model that has not learnt from these images.

    Returns:
        Positions `int64 (n,)` and suggested labels `int64 (n,)`.

    Examples:
        >>> import numpy as np
        >>> labels = np.array([0, 0, 0, 1, 1, 1])
        >>> sure = np.array([0.9, 0.8, 0.1, 0.1, 0.2, 0.3])  # of class 0
        >>> positions, suggested = suspected_labels(labels, np.stack([sure, 1 - sure], axis=1))
        >>> positions.tolist(), suggested.tolist()
        ([2], [1])
    """
    count, classes = probabilities.shape
    own = probabilities[np.arange(count), labels].astype(np.float64)
    given = np.bincount(labels, minlength=classes)
    thresholds = np.where(given > 0, np.bincount(labels, own, classes) / np.maximum(given, 1), np.inf)
    passing = np.where(probabilities >= thresholds, probabilities, -1.0)
    suggested = passing.argmax(axis=1)
    best = passing[np.arange(count), suggested]
    suspect = np.flatnonzero((suggested != labels) & (best > own))
    order = suspect[np.argsort(own[suspect] - best[suspect], kind="stable")]
    return order.astype(np.int64), suggested[order].astype(np.int64)
