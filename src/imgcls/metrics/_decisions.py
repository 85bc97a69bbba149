"""From probabilities to decisions: sets that hold the truth as often as promised, abstaining, thresholds, costs.

Every promise here rests on images that the model has not learnt from (they are called held out), and holds for images
that come from where those came from.
"""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks
from imgcls._intervals import wilson
from imgcls.errors import ConfigurationError, DataError
from imgcls.metrics._ranking import Curve

Floats = NDArray[np.float64]
METHODS = ("lac", "raps")
COVERAGE = 0.9
_RAPS_FREE, _RAPS_COST = 2, 0.01  # classes that cost nothing, and what each further one costs
_CONFIDENCE = 0.95  # of a bound on the error
_STARTS = (0.25, 0.5, 0.75, 1.0)  # shares of the images held out, from where on answers are let in


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


class RiskCoverage(NamedTuple):
    """The error of the surest answers, for ever more of them.

    Attributes:
        coverage: `float (N,)`, rising: the share of images that are answered, the surest first.
        risk: `float (N,)`: the share of these answers that is wrong.
        lower: `float (N,)`: the lower ends of its 95 % intervals (Wilson).
        upper: `float (N,)`: the upper ends.

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics import risk_coverage
        >>> confidence = np.linspace(0.5, 1, 100)
        >>> right = confidence > 0.7
        >>> right[-1] = False  # the surest answer is wrong
        >>> found = risk_coverage(confidence, right)
        >>> float(found.risk[-1])  # all are answered
        0.41
        >>> float(found.coverage[found.risk < 0.05].max())  # what can be answered with fewer than 5 % wrong
        0.62
    """

    coverage: Floats
    risk: Floats
    lower: Floats
    upper: Floats


def risk_coverage(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> RiskCoverage:
    """Measure what answering only the surest images brings.

    Args:
        confidence: `float (N,)`: the probability of what was predicted.
        right: `bool (N,)`: whether it was right.

    Examples:
        >>> import numpy as np
        >>> risk_coverage(np.array([0.6, 0.9]), np.array([False, True])).risk.tolist()
        [0.0, 0.5]
    """
    wrong = np.cumsum(~right[np.argsort(-confidence, kind="stable")])
    answered = np.arange(1, len(wrong) + 1)
    return RiskCoverage(answered / len(wrong), wrong / answered, *wilson(wrong, answered))


class Selection(NamedTuple):
    """From which confidence on answers are given, and what that promises.

    Attributes:
        threshold: Answers with at least this probability are given; infinite where none keeps the promise.
        coverage: The share of images held out that are answered.
        error: The share of those answers that is wrong.
        bound: With 95 % confidence, at most this share of later answers is wrong.

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics import select
        >>> confidence = np.linspace(0.5, 1, 400)
        >>> selection = select(confidence, confidence > 0.6, most_error=0.05)
        >>> round(selection.threshold, 2), round(selection.bound, 3)
        (0.59, 0.047)
        >>> later = np.array([0.97, 0.55, 0.8])
        >>> (later >= selection.threshold).tolist()  # which of later images are answered
        [True, False, True]
        >>> print(select(confidence[:20], np.ones(20, bool), most_error=0.05))
        no confidence is high enough to promise so few errors: accept more, or hold out more images
    """

    threshold: float
    coverage: float
    error: float
    bound: float

    def __str__(self) -> str:
        if not self.coverage:
            return "no confidence is high enough to promise so few errors: accept more, or hold out more images"
        return (
            f"answers {100 * self.coverage:.0f} % of images, {100 * self.error:.2g} % of them wrong here, "
            f"and with 95 % confidence at most {100 * self.bound:.2g} % later"
        )


def select(confidence: NDArray[np.floating], right: NDArray[np.bool_], *, most_error: float) -> Selection:
    """Find the lowest confidence from which on errors are rare enough, with 95 % confidence.

    From the surest quarter, half, three quarters and all on, ever more answers are let in until the exact binomial
    bound of Clopper and Pearson exceeds what was asked for. Each of the four searches ends at its first failure and may
    fail by chance in a quarter of 5 %, so that their best result holds with 95 % (fixed-sequence testing with several
    starts: Angelopoulos et al., Learn then Test, arXiv 2110.01052, section 2.3).

    Args:
        confidence: `float (n,)`: the probability of what was predicted for images held out.
        right: `bool (n,)`: whether it was right.
        most_error: The share of answers that may be wrong, between 0 and 1.

    Examples:
        >>> import numpy as np
        >>> confidence = np.linspace(0.5, 1, 400)
        >>> print(select(confidence, confidence > 0.6, most_error=0.05))
        answers 82 % of images, 2.1 % of them wrong here, and with 95 % confidence at most 4.7 % later
    """
    from scipy.stats import beta

    _checks.refuse([_checks.not_between("most_error", most_error)])
    order = np.argsort(-np.asarray(confidence), kind="stable")
    ordered, wrong = np.asarray(confidence, np.float64)[order], np.cumsum(~np.asarray(right, bool)[order])
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))  # equal confidences stand or fall together
    answered, errors = last + 1, wrong[last]
    sure = 1 - (1 - _CONFIDENCE) / len(_STARTS)
    bounds = np.where(errors < answered, beta.ppf(sure, errors + 1, np.maximum(answered - errors, 1e-9)), 1.0)
    place = -1
    for start in np.searchsorted(answered, np.ceil(np.array(_STARTS) * len(ordered))):
        failed = np.flatnonzero(np.append(bounds[start:], np.inf) > most_error)[0]
        place = max(place, int(start + failed) - 1 if failed else -1)
    if place < 0:
        return Selection(np.inf, 0.0, 0.0, 0.0)
    share, error = answered[place] / len(ordered), errors[place] / answered[place]
    return Selection(float(ordered[last[place]]), float(share), float(error), float(bounds[place]))


class OperatingPoint(NamedTuple):
    """A threshold of one class, and what it gives; intervals are Wilson's, of 95 %.

    Attributes:
        label: The class.
        threshold: What has at least this probability is called of the class.
        precision: The share of what is called so that is.
        precision_interval: (lower, upper).
        recall: The share of the class that is called so.
        recall_interval: (lower, upper).

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics import Evaluation
        >>> sick = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.8, 0.9])
        >>> y_true = np.array([0, 0, 0, 0, 1, 1, 1])
        >>> evaluation = Evaluation(y_true, np.stack([1 - sick, sick], axis=1), classes=["well", "sick"])
        >>> point = evaluation.operating_point("sick", recall=0.9)
        >>> point.threshold, point.precision, point.recall
        (0.4, 0.75, 1.0)
        >>> lower, upper = point.recall_interval
        >>> round(lower, 2), round(upper, 2)  # of three sick ones, little is known
        (0.44, 1.0)
        >>> {point.label: point.threshold}  # as ImageClassifier.set_thresholds takes it
        {'sick': 0.4}
    """

    label: Any
    threshold: float
    precision: float
    precision_interval: tuple[float, float]
    recall: float
    recall_interval: tuple[float, float]

    def __str__(self) -> str:
        precision = "precision {:.3f} [{:.3f}, {:.3f}]".format(self.precision, *self.precision_interval)
        recall = "recall {:.3f} [{:.3f}, {:.3f}]".format(self.recall, *self.recall_interval)
        return f"{self.label!r} from a probability of {self.threshold:.3g}: {precision}, {recall}"


def operating_point(
    curve: Curve, label: Any, *, precision: float | None = None, recall: float | None = None
) -> OperatingPoint | None:
    """Return the threshold that reaches a precision with the highest recall, or a recall with the highest precision.

    Args:
        curve: Of the class.
        label: Its name.
        precision: The least precision; or
        recall: the least recall.

    Returns:
        The point, or None where none reaches it.

    Raises:
        ConfigurationError: Both are given, or none.
    """
    _checks.refuse(
        [
            None if value in {None, 1} else _checks.not_between(name, value)
            for name, value in (("precision", precision), ("recall", recall))
        ]
    )
    if (precision is None) == (recall is None):
        message = "say what to reach, one of the two: precision=0.95, or recall=0.95."
        raise ConfigurationError(message)
    if precision is not None:
        reached, other = curve.precision >= precision, curve.recall
    else:
        reached, other = curve.recall >= (recall or 0.0), curve.precision
    if not reached.any() or not curve.positives:
        return None
    place = int(np.where(reached, other, -1.0).argmax())
    hits, called = int(curve.hits[place]), int(curve.hits[place] + curve.alarms[place])
    ends = [(float(lower), float(upper)) for lower, upper in (wilson(hits, called), wilson(hits, curve.positives))]
    return OperatingPoint(
        label, float(curve.thresholds[place]), hits / called, ends[0], hits / curve.positives, ends[1]
    )


def cheapest(probabilities: NDArray[np.floating], costs: Any) -> NDArray[np.int64]:
    """Return for each image the class whose expected cost is lowest, `int64 (N,)`.

    Elkan, The Foundations of Cost-Sensitive Learning, IJCAI 2001.

    Args:
        probabilities: `float (N, K)`.
        costs: `float (K, K)`: row i, column j is the cost of saying j where i is true.

    Raises:
        DataError: The costs have another shape.

    Examples:
        >>> import numpy as np
        >>> missed, alarm = 20, 1  # missing class 1 costs twenty times a false alarm
        >>> cheapest(np.array([[0.9, 0.1], [0.98, 0.02]]), [[0, alarm], [missed, 0]]).tolist()
        [1, 0]
    """
    classes = probabilities.shape[1]
    try:
        costs = np.asarray(costs, np.float64)
        given = f"have the shape {costs.shape}"
    except (TypeError, ValueError):
        costs, given = np.empty(0), f"are a {type(costs).__name__} that is no matrix of numbers"
    if costs.shape != (classes, classes) or not np.isfinite(costs).all():
        message = (
            f"costs {given}. Accepted: finite numbers ({classes}, {classes}); row i, column j is "
            "the cost of saying j where i is true."
        )
        raise DataError(message)
    return np.asarray((probabilities @ costs).argmin(axis=1))
