"""From probabilities to what is said: the likeliest class, or a class from a probability on."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks
from imgcls.errors import ConfigurationError

_HALF = 0.5  # from where on one of several labels is said
_MOST_DECIMALS = 16  # which doubles have


@final
class Thresholds:
    """From which probability on classes are said, in place of the likeliest class or of one half.

    Args:
        given: {class: probability from 0 to 1}. With several labels an image, of any classes. With one label, of one of
            two classes: it is said from there on, and the other one otherwise. None for no thresholds.
        classes: K classes, in the order of probabilities.
        multi_label: Whether an image may have several labels.

    Raises:
        ConfigurationError: `given` is something else; the message lists every problem.

    Examples:
        >>> import numpy as np
        >>> from imgcls._thresholds import Thresholds
        >>> probabilities = np.array([[0.8, 0.2], [0.6, 0.4]])
        >>> Thresholds(None, ["well", "sick"], multi_label=False).said(probabilities).tolist()
        [0, 0]
        >>> Thresholds({"sick": 0.3}, ["well", "sick"], multi_label=False).said(probabilities).tolist()
        [0, 1]
    """

    def __init__(self, given: Mapping[Any, float] | None, classes: Sequence[Any], *, multi_label: bool) -> None:
        chosen = {} if given is None else _checked(given, classes, multi_label=multi_label)
        self.given = None if given is None else chosen
        self._classes, self._multi_label = tuple(classes), multi_label
        self._least, self._positive = np.full(len(classes), _HALF), None
        for code, name in enumerate(self._classes) if chosen else ():
            if name in chosen:
                self._least[code] = chosen[name]
                self._positive = None if multi_label else code

    @classmethod
    def of(cls, numbers: Sequence[float | None] | None, classes: Sequence[Any], *, multi_label: bool) -> Self:
        """Return what `numbers` gave.

        Raises:
            ConfigurationError: They are not those of these classes.
        """
        if numbers is not None and len(numbers) != len(classes):
            message = f"thresholds are {len(numbers)} numbers, and there are {len(classes)} classes."
            raise ConfigurationError(message)
        given = (
            None
            if numbers is None
            else {name: least for name, least in zip(classes, numbers, strict=True) if least is not None}
        )
        return cls(given, classes, multi_label=multi_label)

    @property
    def numbers(self) -> list[float | None] | None:
        """A number for each class, or None where it has none; for files."""
        return None if self.given is None else [self.given.get(name) for name in self._classes]

    def said(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        """Return codes `int64 (N,)`, or with several labels an image an indicator `uint8 (N, K)`."""
        least = self._least.astype(probabilities.dtype)  # 0.9 is the probability that prints as 0.9
        if self._multi_label:
            return (probabilities >= least).astype(np.uint8)
        if self._positive is None:
            return np.asarray(probabilities.argmax(axis=1))
        return np.where(probabilities[:, self._positive] >= least[self._positive], self._positive, 1 - self._positive)

    def margins(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        """Return by how much each class is above what it takes, `(N, K)`.

        With one label an image the class with the largest margin is said; with several, each with one of 0 or more.

        Examples:
            >>> import numpy as np
            >>> from imgcls._thresholds import Thresholds
            >>> probabilities = np.array([[0.75, 0.25], [0.5, 0.5]])
            >>> Thresholds({"sick": 0.25}, ["well", "sick"], multi_label=False).margins(probabilities).tolist()
            [[-0.0, 0.0], [-0.25, 0.25]]
        """
        least = self._least.astype(probabilities.dtype)
        if self._multi_label:
            return np.asarray(probabilities - least)
        if self._positive is None:
            return probabilities
        above = probabilities[:, self._positive] - least[self._positive]
        margins = np.stack([-above, -above], axis=1)
        margins[:, self._positive] = above
        return margins


def foremost(probabilities: NDArray[Any], said: NDArray[Any]) -> NDArray[np.int64]:
    """Return the code of the class whose probability stands beside what is said, `int (N,)`.

    Of several labels it is the likeliest of those said, and where none is said the likeliest of all.

    Args:
        probabilities: `float (N, K)`.
        said: As `Thresholds.said` returns it.

    Examples:
        >>> import numpy as np
        >>> from imgcls._thresholds import foremost
        >>> foremost(np.array([[0.6, 0.9], [0.3, 0.4]]), np.array([[1, 0], [0, 0]])).tolist()
        [0, 1]
    """
    if said.ndim == 1:
        return said
    hidden = (said == 0) & said.any(axis=1, keepdims=True)
    return np.asarray(np.where(hidden, -1, probabilities).argmax(axis=1))


def in_digits(threshold: float, digits: int = 3) -> str:
    """Return a threshold as text that tells it from 0 and from 1: in so many digits of it, or of what it lacks of 1.

    Examples:
        >>> from imgcls._thresholds import in_digits
        >>> [in_digits(one) for one in (0.000123456, 0.8, 0.987654, 0.99973)]
        ['0.000123', '0.8', '0.9877', '0.99973']
    """
    if not _HALF < threshold < 1:
        return f"{threshold:.{digits}g}"
    decimals = digits - 1 - math.floor(math.log10(1 - threshold))
    return f"{threshold:.{decimals}f}".rstrip("0")


def decimals_of(number: float, least: int, whole: float = 1.0) -> int:
    """Return how many decimals tell a number from 0 and from the whole, where it is neither: at least so many.

    Args:
        number: From 0 to `whole`.
        least: How many are enough for others.
        whole: 1 for a share, 100 for percent.

    Examples:
        >>> from imgcls._thresholds import decimals_of
        >>> [f"{one:.{decimals_of(one, 2)}f}" for one in (0, 0.0004, 0.8, 0.9976, 1)]
        ['0.00', '0.0004', '0.80', '0.998', '1.00']
    """
    number = float(number)
    if not 0 < number < whole:
        return least
    return next((many for many in range(least, _MOST_DECIMALS) if 0 < round(number, many) < whole), least)


def _checked(given: Any, classes: Sequence[Any], *, multi_label: bool) -> dict[Any, float]:
    if not isinstance(given, Mapping):
        message = f"thresholds={given!r} is not accepted. Accepted: {{class: probability from 0 to 1}}, or None."
        raise ConfigurationError(message)
    known, names = set(classes), list(classes)
    problems = [_checks.unknown_name("thresholds: class", name, names) for name in given if name not in known]
    for name, least in given.items():
        number = isinstance(least, int | float | np.number) and not isinstance(least, bool)
        if not (number and 0 <= least <= 1):
            problems.append(f"thresholds[{name!r}]={least!r} is not accepted. Accepted: a number from 0 to 1.")
    if not multi_label and len(classes) != 2:
        problems.append(
            f"thresholds are for several labels an image, or for two classes, and these are {len(classes)} classes "
            "with one label an image: the likeliest is said. Accepted: None."
        )
    elif not multi_label and len(given) != 1:
        problems.append(
            f"of two classes one has the threshold, and the other is said below it: {len(given)} are given. Accepted: "
            f"such as {{{classes[-1]!r}: 0.3}}, or None."
        )
    _checks.refuse(problems)
    return {name: float(least) for name, least in given.items()}
