"""What a classifier loses when its images are blurred, noisy, compressed, dark or turned."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls._intervals import wilson
from imgcls.metrics._comparison import compare
from imgcls.metrics._slices import holm


class Robustness(NamedTuple):
    """How well images are told that were made worse in one way.

    Attributes:
        kind: What was done to them, such as "blur".
        severity: How much of it, from 1 to 3.
        images: How many.
        accuracy: The share that is right.
        lower: The lower end of its 95 % interval (Wilson).
        upper: The upper end.
        lost: The accuracy on the same images as they are, less this one.
        sure: Whether chance does not explain what was lost (McNemar's exact test, Holm's correction over all rows).

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics import robustness
        >>> clean = np.repeat([True, False], [90, 10])
        >>> rows = robustness(clean, {("blur", 2): np.arange(100) < 70, ("jpeg", 2): np.arange(100) < 89})
        >>> worst = rows[0]
        >>> worst.kind, worst.accuracy, round(worst.lost, 3)
        ('blur', 0.7, 0.2)
        >>> [row.kind for row in rows if row.sure]  # what "jpeg" lost may be chance
        ['blur']
    """

    kind: str
    severity: int
    images: int
    accuracy: float
    lower: float
    upper: float
    lost: float
    sure: bool

    def __str__(self) -> str:
        words = f"{self.kind} {self.severity}: {self.accuracy:.3f} [{self.lower:.3f}, {self.upper:.3f}]"
        direction = "less" if self.lost >= 0 else "more"
        return f"{words}, {100 * abs(self.lost):.1f} points {direction}{'' if self.sure else ', which may be chance'}"


def robustness(clean: NDArray[np.bool_], corrupted: Mapping[tuple[str, int], NDArray[np.bool_]]) -> list[Robustness]:
    """Compare the same images before and after; what loses most comes first.

    Args:
        clean: `bool (N,)`: whether each image is told right as it is.
        corrupted: The same for each kind and severity.

    Examples:
        >>> import numpy as np
        >>> clean = np.repeat([True, False], [90, 10])
        >>> for one in robustness(clean, {("blur", 2): np.arange(100) < 70, ("jpeg", 2): np.arange(100) < 89}):
        ...     print(one)
        blur 2: 0.700 [0.604, 0.781], 20.0 points less
        jpeg 2: 0.890 [0.814, 0.937], 1.0 points less, which may be chance
    """
    rows, p_values = [], []
    for (kind, severity), right in corrupted.items():
        lower, upper = wilson(int(right.sum()), len(right))
        compared = compare(clean, right)
        p_values.append(compared.p_value)
        ends = (float(lower), float(upper))
        rows.append(Robustness(kind, severity, len(right), float(right.mean()), *ends, compared.difference, sure=False))
    rows = [row._replace(sure=bool(sure)) for row, sure in zip(rows, holm(p_values), strict=True)]
    return sorted(rows, key=lambda row: -row.lost)
