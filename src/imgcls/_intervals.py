"""Wilson's interval of a share, and the interval of a mean of independent shares. NumPy alone, for every floor."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Z = 1.959963984540054  # the normal quantile of 0.975: intervals are of 95 %

Floats = NDArray[np.float64]


def wilson(hits: Any, count: Any) -> tuple[Floats, Floats]:
    """Return Wilson's score interval of a share, element by element.

    It keeps its promise for few images and for shares near 0 and 1, where the textbook interval fails: Brown, Cai and
    DasGupta, Interval Estimation for a Binomial Proportion, Statistical Science 16 (2001), recommend it.

    Args:
        hits: How many of each `count`.
        count: Of how many; where it is 0, the interval is [0, 1].

    Examples:
        >>> from imgcls.metrics import wilson
        >>> lower, upper = wilson(8, 10)
        >>> round(float(lower), 3), round(float(upper), 3)
        (0.49, 0.943)
    """
    hits, count = np.asarray(hits, float), np.asarray(count, float)
    total = count + Z**2
    middle = (hits + Z**2 / 2) / total
    share = hits / np.maximum(count, 1)
    half = Z / total * np.sqrt(count * share * (1 - share) + Z**2 / 4)
    return np.where(hits <= 0, 0.0, middle - half), np.where(hits >= count, 1.0, middle + half)  # without rounding


def of_sum(values: Floats, ends: tuple[Floats, Floats]) -> tuple[float, float]:
    """Return how far a sum of independent figures may lie below and above its value.

    Made of the interval of each (MOVER: Zou and Donner, Statistics in Medicine 27, 2008): where all are hits, a normal
    interval would have no width.

    Args:
        values: `float (K,)`.
        ends: Lower and upper ends of the intervals, `float (K,)` each.

    Examples:
        >>> import numpy as np
        >>> of_sum(np.array([0.5, 0.5]), (np.array([0.2, 0.1]), np.array([0.8, 0.9])))
        (0.5, 0.5)
    """
    lower, upper = ends
    below, above = (float(np.sqrt(np.square(apart).sum())) for apart in (values - lower, upper - values))
    return below, above
