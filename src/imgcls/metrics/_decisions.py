"""From probabilities to decisions: abstaining, thresholds, costs.

Every promise here rests on images that the model has not learnt from (they are called held out), and holds for images
that come from where those came from.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks
from imgcls._intervals import wilson
from imgcls._thresholds import decimals_of, in_digits
from imgcls.errors import ConfigurationError, DataError
from imgcls.metrics._ranking import Curve

Floats = NDArray[np.float64]
_CONFIDENCE = 0.95  # of a bound on the error
_STARTS = (0.25, 0.5, 0.75, 1.0)  # shares of the images held out, from where on answers are let in


class RiskCoverage(NamedTuple):
    """The error of the surest answers, for ever more of them: a point for each of T confidences that differ.

    Attributes:
        coverage: `float (T,)`, rising: the share of images that are answered, the surest first.
        risk: `float (T,)`: the share of these answers that is wrong.
        lower: `float (T,)`: the lower ends of its 95 % intervals (Wilson).
        upper: `float (T,)`: the upper ends.

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
    """Measure what answering only the surest images brings. Equal confidences stand or fall together.

    Args:
        confidence: `float (N,)`: the probability of what was predicted.
        right: `bool (N,)`, or zeros and ones: whether it was right.

    Examples:
        >>> import numpy as np
        >>> risk_coverage(np.array([0.6, 0.9]), np.array([False, True])).risk.tolist()
        [0.0, 0.5]
        >>> risk_coverage(np.array([0.9, 0.9]), np.array([False, True])).risk.tolist()
        [0.5]
    """
    _, answered, wrong = _answers(np.asarray(confidence), np.asarray(right, bool))
    return RiskCoverage(answered / len(right), wrong / answered, *wilson(wrong, answered))


def _answers(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> tuple[Floats, NDArray[Any], NDArray[Any]]:
    """Return confidences that differ `(T,)`, falling, how many images have at least these, and how many are wrong."""
    order = np.argsort(-confidence, kind="stable")
    ordered, wrong = confidence[order].astype(np.float64), np.cumsum(~right[order])
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    return ordered[last], last + 1, wrong[last]


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
        share = 100 * self.coverage
        return (
            f"answers {share:.{decimals_of(share, 0, 100)}f} % of images, {100 * self.error:.2g} % of them wrong here, "
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
    thresholds, answered, errors = _answers(np.asarray(confidence), np.asarray(right, bool))
    sure = 1 - (1 - _CONFIDENCE) / len(_STARTS)
    bounds = np.where(errors < answered, beta.ppf(sure, errors + 1, np.maximum(answered - errors, 1e-9)), 1.0)
    place = -1
    for start in np.searchsorted(answered, np.ceil(np.array(_STARTS) * answered[-1])):
        failed = np.flatnonzero(np.append(bounds[start:], np.inf) > most_error)[0]
        place = max(place, int(start + failed) - 1 if failed else -1)
    if place < 0:
        return Selection(np.inf, 0.0, 0.0, 0.0)
    share, error = answered[place] / answered[-1], errors[place] / answered[place]
    return Selection(float(thresholds[place]), float(share), float(error), float(bounds[place]))


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
        return f"{self.label!r} from a probability of {in_digits(self.threshold)}: {precision}, {recall}"


def operating_point(
    curve: Curve, label: Any, *, precision: float | None = None, recall: float | None = None
) -> OperatingPoint | None:
    """Return the threshold that reaches a precision with the highest recall, or a recall with the highest precision.

    Of several that are alike in that, it is the one with the higher precision, or the higher recall.

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
        reached, other, of_alike = curve.precision >= precision, curve.recall, 0  # thresholds fall: alarms are fewest
    else:
        reached, other, of_alike = curve.recall >= (recall or 0.0), curve.precision, -1  # hits are most
    if not reached.any() or not curve.positives:
        return None
    place = int(np.flatnonzero(reached & (other == other[reached].max()))[of_alike])
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
