"""Wilson's interval of a share, and the interval of a mean of shares. NumPy alone, for every floor."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-9
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


def mean_of_shares(
    shares: Floats, images: Floats, classes: int, *, shared: float = 1.0, unknown: int = 0
) -> tuple[float, float, float]:
    """Return the mean of shares, and the ends of its interval.

    Wilson's interval adds Z**2 images to those seen, about four, of which half are hits. Here as many are divided among
    the classes, and the variance is that of the adjusted shares (Price and Bonett, An Improved Confidence Interval for
    a Linear Function of Binomial Proportions, Computational Statistics and Data Analysis 45, 2004). Combining intervals
    of the classes instead holds less and less, the more classes there are: each lies nearer to one half than its share.

    They are divided among as many classes as the error comes from: where one is much rarer than the others, that is
    one, and it gets them all. Of one share, or of several that are always wrong together, the interval is Wilson's.

    Args:
        shares: `float (K,)`.
        images: `float (K,)`: of how many; where it is 0, the share is one of nothing and adds 0.
        classes: What the sum is divided by.
        shared: How many times as large the error is as that of independent shares.
        unknown: How many of those that add 0 may be anything.

    Examples:
        >>> import numpy as np
        >>> mean, lower, upper = mean_of_shares(np.array([0.8]), np.array([10.0]), 1)  # wilson(8, 10)
        >>> round(lower, 3), round(upper, 3)
        (0.49, 0.943)
        >>> mean, lower, upper = mean_of_shares(np.array([0.8, 0.9]), np.array([10.0, 20.0]), 2)
        >>> round(mean, 3), round(lower, 3), round(upper, 3)
        (0.85, 0.662, 0.946)
    """
    known = images > 0
    shares, images = shares[known], images[known]
    weights = 1 / images
    independent = float(weights.sum() ** 2 / np.square(weights).sum() / shared**2) if len(weights) else 1.0
    more = Z**2 / 2 / max(independent, 1.0)  # hits, and as many others, in each class
    adjusted = (shares * images + more) / (images + 2 * more)
    variances = adjusted * (1 - adjusted) / (images + 2 * more)
    if independent < 1 + _ROUNDING:  # Wilson's
        variances = (images * shares * (1 - shares) + more / 2) / (images + 2 * more) ** 2
    total, middle = float(shares.sum()), float(adjusted.sum())
    half = Z * shared * float(np.sqrt(variances.sum()))
    lower, above = min(middle - half, total), max(middle + half - total, 0.0)
    upper = total + float(np.hypot(above, np.sqrt(unknown)))
    return total / classes, max(lower / classes, 0.0), min(upper / classes, 1.0)
