"""What a classifier says about one image."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import plotting
from imgcls.errors import DataError

Reader = Callable[[], NDArray[np.uint8]]


@final
@dataclass(frozen=True, slots=True)
class Prediction:
    """What the classifier says about one image. Prints as "daisy 0.97".

    Attributes:
        label: The class, or with several labels an image a tuple of the classes with a probability of at least 0.5, or
            of at least their threshold.
        probability: The probability of the label; with several labels, of the likeliest of them, or where none is said,
            of the likeliest class.
        probabilities: Each class with its probability, the likeliest first.
        id: The name of the image.
        candidates: Where sets were asked for, the classes of which one is true as often as was promised; the likeliest
            comes first.
        unknown: Whether the image is not answered: unlike what was learnt from, or not sure enough, as was asked.

    Examples:
        >>> from imgcls import Prediction
        >>> probabilities = {"cat": 0.55, "dog": 0.42, "cow": 0.03}
        >>> print(Prediction("cat", 0.55, probabilities, "a.jpg"))
        cat 0.55
        >>> either = Prediction("cat", 0.55, probabilities, "a.jpg", candidates=("cat", "dog"))
        >>> print(either)
        cat or dog
        >>> either.label, either.answer
        ('cat', ('cat', 'dog'))
        >>> Prediction("cat", 0.55, probabilities, "a.jpg", unknown=True).answer
        'unknown'
    """

    label: Any
    probability: float
    probabilities: dict[Any, float]
    id: str = ""
    candidates: tuple[Any, ...] | None = None
    unknown: bool = False
    _read: Reader | None = field(default=None, repr=False, compare=False)

    def show(self) -> NDArray[Any]:
        """Draw the image with its predicted label and probability, and return the Axes (1,).

        Raises:
            DataError: It has no image: it is of a stream, which keeps none, was pickled or copied, or made by hand.
        """
        if self._read is None:
            message = (
                "this prediction has no image to show: a stream keeps none, nor does what was pickled or copied. "
                "Predict one image or a list."
            )
            raise DataError(message)
        return plotting.image_grid([self._read()], [str(self)])

    @property
    def answer(self) -> Any:
        """The label; or a tuple of the classes that it may be; or "unknown"."""
        if self.unknown or self.candidates == ():
            return "unknown"
        return self.label if self.candidates is None or self.candidates == (self.label,) else self.candidates

    def __reduce__(self) -> tuple[Any, ...]:
        plain = (self.label, self.probability, self.probabilities, self.id, self.candidates, self.unknown)
        return Prediction, plain  # without the image: a whole dataset may hang on it

    def __str__(self) -> str:
        if self.unknown or self.candidates == ():
            return "unknown"
        if self.candidates is not None and len(self.candidates) > 1:
            return " or ".join(map(str, self.candidates))
        if self.label == ():
            return f"none ({next(iter(self.probabilities), '')} {self.probability:.2f})"
        label = ", ".join(map(str, self.label)) if isinstance(self.label, tuple) else self.label
        return f"{label} {self.probability:.2f}"
