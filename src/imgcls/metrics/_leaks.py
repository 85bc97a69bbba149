"""Images of an evaluation that the model has learnt from, and the accuracy without them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Leaks(NamedTuple):
    """Images of an evaluation that the model has learnt from.

    Attributes:
        ids: Their names.
        accuracy: On all images.
        accuracy_without: On the others; NaN where there are none.
        images: How many were measured.

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics import Evaluation
        >>> probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
        >>> evaluation = Evaluation(
        ...     np.array([0, 0, 1, 1]),
        ...     probabilities,
        ...     classes=["cat", "dog"],
        ...     ids=["a.jpg", "b.jpg", "c.jpg", "d.jpg"],
        ...     leaked=lambda: np.array([0, 3]),  # as ImageClassifier.evaluate finds them
        ... )
        >>> leaks = evaluation.leaks()
        >>> leaks.ids
        ('a.jpg', 'd.jpg')
        >>> print(leaks)
        2 of 4 images are copies of images that were learnt from: accuracy 0.750 with them, 0.500 without
    """

    ids: tuple[str, ...]
    accuracy: float
    accuracy_without: float
    images: int

    def __str__(self) -> str:
        if not self.ids:
            return f"none of the {self.images:,} images was learnt from"
        others = len(self.ids) < self.images
        without = f"{self.accuracy_without:.3f} without" if others else "and there are no others"
        return (
            f"{len(self.ids):,} of {self.images:,} images are copies of images that were learnt from: "
            f"accuracy {self.accuracy:.3f} with them, {without}"
        )


def leaks(ids: Sequence[str], right: NDArray[np.bool_], positions: NDArray[np.int64]) -> Leaks:
    """Measure with the images at `positions` and without them.

    Args:
        ids: N names.
        right: `(N,)`: whether each was right.
        positions: Of those that were learnt from.
    """
    rest = np.delete(right, positions)
    without = float(rest.mean()) if len(rest) else float("nan")
    return Leaks(tuple(ids[place] for place in positions), float(right.mean()), without, len(right))
