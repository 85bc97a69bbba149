"""Golden images: pictures with the probabilities that a classifier gave when it was saved, to be run again anywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from imgcls import images
from imgcls._thresholds import Thresholds

TOLERANCE = 1e-3  # of a probability
MOST_GOLDEN = 16
_DRAWN, _DRAWN_SIZE = 8, (120, 160)  # of no model's size, so that the resize is tested too


def golden_images(input_shape: Sequence[int]) -> NDArray[np.uint8]:
    """Return the golden pictures of a bundle whose user gave none: drawn, resized as any image is.

    Args:
        input_shape: (H, W, C) of the model.

    Returns:
        `uint8 (8, H, W, C)`.

    Examples:
        >>> from imgcls import bundle
        >>> pictures = bundle.golden_images((32, 32, 3))
        >>> pictures.shape, pictures.dtype
        ((8, 32, 32, 3), dtype('uint8'))
        >>> bool((pictures == bundle.golden_images((32, 32, 3))).all())  # drawn, and not by chance
        True
    """
    height, width, channels = input_shape
    drawn = images.drawn(_DRAWN, (*_DRAWN_SIZE, channels))
    return np.stack([images.resize(picture, (height, width)) for picture in drawn])


@final
@dataclass(frozen=True, slots=True)
class Verification:
    """Whether golden images still give what they gave when the classifier was saved. True, if they do.

    Attributes:
        images: How many there are.
        agreeing: Of how many the same is said: the likeliest class or all labels from a probability of 0.5 on, or what
            thresholds say.
        difference: The largest difference of two probabilities, from 0 to 1.
        tolerance: What is accepted.
        resized_alike: Whether drawing and resizing give the stored pixels here too, bit for bit; None where the
            pictures are the user's own.

    Examples:
        >>> import numpy as np
        >>> from imgcls.bundle import Verification
        >>> expected = np.array([[0.9, 0.1], [0.3, 0.7]])
        >>> found = Verification.measured(expected, expected + [[0.0002, -0.0002]])
        >>> print(found)
        2 of 2 golden images give the same answer; probabilities differ by at most 2.0e-04 (accepted: 1.0e-03)
        >>> bool(found)
        True
    """

    images: int
    agreeing: int
    difference: float
    tolerance: float = TOLERANCE
    resized_alike: bool | None = None

    @classmethod
    def measured(
        cls,
        expected: NDArray[Any],
        found: NDArray[Any],
        *,
        multi_label: bool = False,
        thresholds: Sequence[float | None] | None = None,
        tolerance: float = TOLERANCE,
        resized_alike: bool | None = None,
    ) -> Self:
        """Compare probabilities `(N, K)` with those that are expected.

        Args:
            expected: What the classifier gave when it was saved.
            found: What it gives now. NaN differs from everything.
            multi_label: Whether an image may have several labels.
            thresholds: For each class, from which probability on it is said, or None; None for no thresholds.
            tolerance: The largest difference that is accepted.
            resized_alike: See the attributes.
        """
        said = Thresholds.of(thresholds, range(expected.shape[1]), multi_label=multi_label).said
        agreeing = int((said(expected) == said(found)).reshape(len(expected), -1).all(axis=1).sum())
        difference = np.abs(np.asarray(found, np.float64) - expected)
        largest = 1.0 if np.isnan(difference).any() else float(difference.max())
        return cls(len(expected), agreeing, largest, tolerance, resized_alike)

    def __bool__(self) -> bool:
        """Say whether no probability differs by more than is accepted, and pictures are resized alike."""
        return self.difference <= self.tolerance and self.resized_alike is not False

    def __str__(self) -> str:
        words = (
            f"{self.agreeing} of {self.images} golden images give the same answer; probabilities differ by at most "
            f"{self.difference:.1e} (accepted: {self.tolerance:.1e})"
        )
        return words if self.resized_alike is not False else f"{words}; images are resized otherwise than at saving"
