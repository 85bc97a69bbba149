"""Conformal prediction sets: sets of classes that hold the truth as often as promised.

Every promise here rests on images that the model has not learnt from (they are called held out), and holds for images
that come from where those came from.
"""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks
from imgcls._intervals import wilson

Floats = NDArray[np.float64]
METHODS = ("lac", "raps")
COVERAGE = 0.9
_RAPS_FREE, _RAPS_COST = 2, 0.01  # classes that cost nothing, and what each further one costs


def prediction_sets(
    probabilities: NDArray[np.floating],
    held_out: NDArray[np.floating],
    y_held_out: NDArray[np.integer],
    *,
    coverage: float = COVERAGE,
    method: str = "lac",
    by_class: bool = False,
    never_empty: bool = False,
) -> NDArray[np.bool_]:
    """Return for each image a set of classes that holds the true one with a promised probability (split conformal).

    "lac" gives the smallest sets on average: all classes with at least some probability (Sadinle, Lei and Wasserman,
    JASA 2019, arXiv 1609.00451). "raps" gives hard images larger sets and never an empty one (Angelopoulos et al., ICLR
    2021, arXiv 2009.14193; without the random choice at the edge, so that the same image always has the same set).

    Args:
        probabilities: `float (N, K)`.
        held_out: `float (n, K)` of images that the model has not learnt from.
        y_held_out: `int (n,)`.
        coverage: The share of images whose set shall hold the truth, between 0 and 1.
        method: "lac" or "raps".
        by_class: Whether the promise shall hold for each class by itself; a class with too few images held out
            (below coverage / (1 - coverage), which is 9 for 0.9) is then in every set.
        never_empty: Whether the likeliest class is in every set. Where the promise is below the accuracy, sets without
            any class would keep it; they tell nobody anything.

    Returns:
        `bool (N, K)`.

    Examples:
        >>> import numpy as np
        >>> random = np.random.default_rng(0)
        >>> probabilities = random.dirichlet([0.3] * 4, 2_000)
        >>> y_true = np.array([random.choice(4, p=row) for row in probabilities])
        >>> sets = prediction_sets(probabilities[1000:], probabilities[:1000], y_true[:1000], coverage=0.9)
        >>> bool(0.87 < sets[np.arange(1000), y_true[1000:]].mean() < 0.93)
        True
    """
    rule = SetRule.learnt(held_out, y_held_out, coverage=coverage, method=method, by_class=by_class)
    return rule.sets(probabilities, never_empty=never_empty)


class SetRule(NamedTuple):
    """What `prediction_sets` learns from images held out, for images that come one after another.

    Attributes:
        limits: `float (K,)`: how strange a class may be and stay in a set.
        method: "lac" or "raps".

    Examples:
        >>> import numpy as np
        >>> held_out = np.array([[0.9, 0.1]] * 9 + [[0.6, 0.4]])
        >>> rule = SetRule.learnt(held_out, np.zeros(10, int), coverage=0.9)
        >>> rule.sets(np.array([[0.95, 0.05], [0.55, 0.45]])).tolist()
        [[True, False], [False, False]]
    """

    limits: Floats
    method: str

    @classmethod
    def learnt(
        cls,
        held_out: NDArray[np.floating],
        y_held_out: NDArray[np.integer],
        *,
        coverage: float = COVERAGE,
        method: str = "lac",
        by_class: bool = False,
    ) -> Self:
        """Find the limits that keep a promise; arguments are those of `prediction_sets`."""
        _checks.refuse([_checks.unknown_name("method", method, METHODS), _checks.not_between("coverage", coverage)])
        y_held_out = np.asarray(y_held_out)  # a list is equal to no code
        known = _strangeness(held_out, method)[np.arange(len(held_out)), y_held_out]
        if not by_class:
            return cls(np.full(held_out.shape[1], _quantile(known, coverage)), method)
        groups = (known[y_held_out == code] for code in range(held_out.shape[1]))
        return cls(np.array([_quantile(group, coverage) for group in groups]), method)

    def sets(self, probabilities: NDArray[np.floating], *, never_empty: bool = False) -> NDArray[np.bool_]:
        """Return which classes are in the set of each image, `bool (N, K)`."""
        found = np.asarray(_strangeness(probabilities, self.method) <= self.limits)
        if never_empty:
            found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
        return found


def _strangeness(probabilities: NDArray[np.floating], method: str) -> Floats:
    """Return how badly each class fits each image, `(N, K)`: the lower, the sooner it is in the set."""
    probabilities = np.asarray(probabilities, np.float64)
    if method == "lac":
        return np.asarray(1 - probabilities)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=1)
    before = np.cumsum(ordered, axis=1) - ordered  # the mass of the likelier classes: 0 for the likeliest
    cost = _RAPS_COST * np.maximum(np.arange(1, ordered.shape[1] + 1) - _RAPS_FREE, 0)
    found = np.empty_like(ordered)
    np.put_along_axis(found, order, before + cost, axis=1)
    return found


def _quantile(scores: Floats, coverage: float) -> float:
    """Return the conformal quantile: that of one image more than there are, and infinity where they are too few."""
    rank = int(np.ceil((len(scores) + 1) * coverage - 1e-9))
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else np.inf


class SetCoverage(NamedTuple):
    """What sets promise and what they keep.

    Attributes:
        promised: The share of images whose set shall hold the truth.
        held: The share whose set does.
        lower: The lower end of its 95 % interval (Wilson).
        upper: The upper end.
        size: The mean number of classes in a set.

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics import set_coverage
        >>> random = np.random.default_rng(0)
        >>> probabilities = random.dirichlet([0.3] * 4, 2_000)
        >>> y_true = np.array([random.choice(4, p=row) for row in probabilities])
        >>> for coverage in (0.8, 0.9, 0.99):  # the more is promised, the larger are the sets
        ...     found = set_coverage(y_true, probabilities, coverage=coverage)
        ...     print(f"promised {found.promised:.0%}, held {found.held:.0%}, {found.size:.1f} classes in a set")
        promised 80%, held 80%, 1.3 classes in a set
        promised 90%, held 90%, 1.7 classes in a set
        promised 99%, held 99%, 2.7 classes in a set
    """

    promised: float
    held: float
    lower: float
    upper: float
    size: float

    def __str__(self) -> str:
        return (
            f"sets of {100 * self.promised:g} % held the truth in {100 * self.held:.1f} % of images "
            f"[{100 * self.lower:.1f}, {100 * self.upper:.1f}], with {self.size:.2f} classes in a set"
        )


def set_coverage(
    y_true: NDArray[np.integer],
    probabilities: NDArray[np.floating],
    *,
    coverage: float = COVERAGE,
    method: str = "lac",
    by_class: bool = False,
    seed: int = 0,
) -> SetCoverage:
    """Measure prediction sets on images that nothing was learnt from: each half by sets that the other half sets.

    As in `predict`, none is empty.

    Args:
        y_true: `int (N,)`.
        probabilities: `float (N, K)`.
        coverage: As in `prediction_sets`.
        method: The same.
        by_class: The same.
        seed: Of the halves.

    Examples:
        >>> import numpy as np
        >>> y_true = np.arange(400) % 2
        >>> probabilities = np.where(np.eye(2)[y_true] == 1, 0.8, 0.2)
        >>> print(set_coverage(y_true, probabilities, coverage=0.9))
        sets of 90 % held the truth in 100.0 % of images [99.0, 100.0], with 1.00 classes in a set
    """
    order = np.random.default_rng(seed).permutation(len(y_true))
    halves = np.array_split(order, 2)
    sets = np.zeros(probabilities.shape, bool)
    for judged, judging in (halves, halves[::-1]):
        sets[judged] = prediction_sets(
            probabilities[judged],
            probabilities[judging],
            y_true[judging],
            coverage=coverage,
            method=method,
            by_class=by_class,
            never_empty=True,
        )
    held = int(sets[np.arange(len(sets)), y_true].sum())
    lower, upper = wilson(held, len(sets))
    return SetCoverage(coverage, held / len(sets), float(lower), float(upper), float(sets.sum(axis=1).mean()))
