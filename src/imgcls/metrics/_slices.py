"""Where a classifier is worse: accuracy in parts of the images, and whether the worst part is worse by chance."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls._intervals import wilson
from imgcls.datasets import is_missing
from imgcls.errors import DataError

_LEAST = 5  # images of a slice; of fewer, nothing can be said
_MOST_VALUES = 30  # of one column
_SURE = 0.05


class Slice(NamedTuple):
    """A part of the images.

    Attributes:
        column: What they were divided by, such as "brightness".
        value: What they have in common, such as "below 61".
        images: How many they are.
        accuracy: The share that is right.
        lower: The lower end of its 95 % interval (Wilson).
        upper: The upper end.
        worse: Whether it is worse than the rest, by more than chance explains (Fisher's exact test, one-sided, Holm's
            correction over all slices).

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics import slices
        >>> right = np.repeat([True, False, True], [50, 10, 5])
        >>> found = slices(right, {"camera": ["old"] * 10 + ["new"] * 35 + ["phone"] * 20})
        >>> worst = found[0]
        >>> worst.column, worst.value, worst.images, worst.accuracy
        ('camera', 'phone', 20, 0.5)
        >>> [one.value for one in found if one.worse]  # by more than chance
        ['phone']
    """

    column: str
    value: str
    images: int
    accuracy: float
    lower: float
    upper: float
    worse: bool

    def __str__(self) -> str:
        words = f"{self.column} {self.value}: {self.accuracy:.3f} [{self.lower:.3f}, {self.upper:.3f}]"
        return f"{words} of {self.images:,} images{', worse than the rest' if self.worse else ''}"


def slices(right: NDArray[np.bool_], columns: Mapping[str, Sequence[Any]]) -> list[Slice]:
    """Divide images by each column, and measure every part; the worst first.

    Columns of numbers are divided into thirds. Of other columns each value is a part. Images without a value (None,
    NaN, NA, or an infinite number) are a part of their own, "missing". Parts of fewer than five images are left out.

    Args:
        right: `bool (N,)`, or zeros and ones: whether each image was right.
        columns: N values for each name.

    Raises:
        DataError: A column has another length, or more than 30 values that are no numbers.

    Examples:
        >>> import numpy as np
        >>> right = np.repeat([True, False, True], [50, 10, 5])
        >>> for one in slices(right, {"camera": ["old"] * 10 + ["new"] * 35 + ["phone"] * 20}):
        ...     print(one)
        camera phone: 0.500 [0.299, 0.701] of 20 images, worse than the rest
        camera new: 1.000 [0.901, 1.000] of 35 images
        camera old: 1.000 [0.722, 1.000] of 10 images
    """
    from scipy.stats import fisher_exact

    if not isinstance(columns, Mapping):
        message = f"columns are a {type(columns).__name__}. Accepted: values by name, such as {{'camera': [...]}}."
        raise DataError(message)
    right = np.asarray(right, bool)
    found, p_values = [], []
    for name, values in columns.items():
        if len(values) != len(right):
            message = f"column {name!r} has {len(values):,} values and there are {len(right):,} images."
            raise DataError(message)
        for value, inside in _parts(name, values):
            count, hits = int(inside.sum()), int(right[inside].sum())
            if count < _LEAST:
                continue
            lower, upper = wilson(hits, count)
            others = right[~inside]
            table = [[count - hits, hits], [int((~others).sum()), int(others.sum())]]
            p_values.append(float(fisher_exact(table, alternative="greater").pvalue))
            found.append(Slice(name, value, count, hits / count, float(lower), float(upper), False))
    worse = holm(p_values)
    found = [one._replace(worse=bool(flag)) for one, flag in zip(found, worse, strict=True)]
    return sorted(found, key=lambda one: (not one.worse, one.accuracy, -one.images))


def holm(p_values: Sequence[float]) -> NDArray[np.bool_]:
    """Return which of several tests hold together (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    rejected, count = np.zeros(len(p_values), bool), len(p_values)
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[place] > _SURE / (count - rank):
            break
        rejected[place] = True
    return rejected


def _parts(name: str, values: Sequence[Any]) -> list[tuple[str, NDArray[np.bool_]]]:
    column = np.asarray(values) if hasattr(values, "dtype") else np.array(values, object)  # a gap beside text stays one
    known, numbers = _known(column)
    if numbers is not None and len(np.unique(numbers[known])) > 3:
        low, high = np.quantile(numbers[known], [1 / 3, 2 / 3])
        first, last = _ends(numbers, low, high)
        return [
            (f"below {first}", known & (numbers < low)),
            (f"from {first} to {last}", (numbers >= low) & (numbers <= high)),
            (f"above {last}", known & (numbers > high)),
            ("missing", ~known),
        ]
    names, codes = np.unique(np.where(known, column.astype(str), "missing"), return_inverse=True)
    if len(names) > _MOST_VALUES:
        message = f"column {name!r} has {len(names):,} different values. Accepted: numbers, or up to {_MOST_VALUES}."
        raise DataError(message)
    return [(str(one), codes.reshape(-1) == code) for code, one in enumerate(names)]


def _known(column: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
    """Return which values there are, and all of them as numbers; None in place of these where others are among them."""
    if column.dtype.kind in "iuf":
        return np.isfinite(column), column.astype(np.float64)
    known = np.array([not is_missing(one) for one in column], bool)
    given = column[known]
    others = (not isinstance(one, Real | Decimal) or isinstance(one, bool) for one in given)
    if column.dtype != object or any(others):
        return known, None
    numbers = np.full(len(column), np.nan)
    numbers[known] = given.astype(np.float64)
    return np.isfinite(numbers), numbers


def _ends(numbers: NDArray[Any], low: float, high: float) -> tuple[str, str]:
    """Return the ends of the middle third in words: in the fewest digits from four on that divide the numbers alike.

    Digits before the point are not rounded away: in times and dates each of them counts.
    """
    below, above = numbers < low, numbers > high
    for digits in range(max(4, len(f"{max(abs(low), abs(high)):.0f}")), 17):
        ends = f"{low:.{digits}g}", f"{high:.{digits}g}"
        if np.array_equal(numbers < float(ends[0]), below) and np.array_equal(numbers > float(ends[1]), above):
            return ends
    return str(float(low)), str(float(high))
