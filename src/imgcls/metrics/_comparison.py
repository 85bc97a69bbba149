"""Whether one classifier is better than another on the same images, or whether these images cannot tell."""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from imgcls._intervals import Z

_POWER = 0.8416212335729143  # the normal quantile of 0.8
_SURE = 0.05


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """Two classifiers on the same images. Prints itself in words.

    Attributes:
        images: How many images both have seen.
        only_first: How many only the first got right.
        only_second: How many only the second got right.
        difference: The accuracy of the first less that of the second.
        lower: The lower end of its 95 % interval (Bonett and Price, Journal of Educational and Behavioral Statistics
            37, 2012).
        upper: The upper end.
        p_value: McNemar's exact test: how often chance alone makes them differ as much where they are equally good.
        needed: About how many images would tell them apart in four of five tries, if they differ as they do here; None
            where they do not differ.

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics import compare
        >>> first, second = np.ones(200, bool), np.ones(200, bool)
        >>> first[:5], second[5:25] = False, False
        >>> found = compare(first, second)
        >>> found.only_first, found.only_second, found.difference
        (20, 5, 0.075)
        >>> print(found)
        the first is better on these 200 images: +7.5 points of accuracy [+2.5, +12.4], p = 0.0041
        >>> found.needed  # fewer images would have done, in four of five tries
        173
    """

    images: int
    only_first: int
    only_second: int
    difference: float
    lower: float
    upper: float
    p_value: float
    needed: int | None

    def __str__(self) -> str:
        points = (
            f"{100 * self.difference:+.1f} points of accuracy [{100 * self.lower:+.1f}, {100 * self.upper:+.1f}], "
            f"p = {self.p_value:.2g}"
        )
        if self.p_value < _SURE:
            better = "first" if self.difference > 0 else "second"
            return f"the {better} is better on these {self.images:,} images: {points}"
        if self.needed is None:
            return f"these {self.images:,} images cannot tell the two apart: {points}"
        more = f"; about {self.needed:,} would" if self.needed > self.images else ""
        return f"these {self.images:,} images cannot tell the two apart{more}: {points}"


def compare(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Comparison:
    """Compare which images two classifiers get right.

    Args:
        first: `bool (N,)`: whether the first one is right, image by image.
        second: The same of the other.

    Examples:
        >>> import numpy as np
        >>> first, second = np.ones(60, bool), np.ones(60, bool)
        >>> first[:6], second[3:15] = False, False
        >>> print(compare(first, second))
        these 60 images cannot tell the two apart; about 155 would: +10.0 points of accuracy [-1.9, +21.3], p = 0.15
    """
    from scipy.stats import binomtest

    count = len(first)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    difference = (only_first - only_second) / count
    one, other = (only_first + 1) / (count + 2), (only_second + 1) / (count + 2)
    half = Z * np.sqrt((one + other - (one - other) ** 2) / (count + 2))
    share, needed = differing / count, None
    if difference:  # Connor, Sample size for testing differences in proportions for the paired-sample design, 1987
        spread = Z * np.sqrt(share) + _POWER * np.sqrt(share - difference**2)
        needed = int(np.ceil((spread / difference) ** 2))
    lower, upper = max(one - other - half, -1.0), min(one - other + half, 1.0)
    return Comparison(count, only_first, only_second, difference, float(lower), float(upper), p_value, needed)
