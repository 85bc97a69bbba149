"""How well probabilities put the images of one class before all others: ROC and precision-recall curves and areas.

One sort a class, and then everything is looked up for its positives alone, of which there are few: scikit-learn's
figures for 100 classes of a million images in seconds.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_HALF = 0.5  # of an image: the continuity correction
_LOOKED_AT = 50_000  # images from which the variance of a mean of areas is estimated, at most


class Curve(NamedTuple):
    """Precision and recall, or the rates of a ROC curve, at falling thresholds.

    Attributes:
        thresholds: `float (T,)`, falling: what has at least this probability counts as predicted.
        hits: How many of the class have it.
        alarms: How many of all others have it.
        positives: How many there are of the class.
        negatives: How many others.

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics import Evaluation
        >>> sick = np.array([0.1, 0.3, 0.6, 0.4, 0.8])
        >>> evaluation = Evaluation(np.array([0, 0, 0, 1, 1]), np.stack([1 - sick, sick], 1), classes=["well", "sick"])
        >>> curve = evaluation.curve("sick")
        >>> for row in zip(curve.thresholds, curve.recall, curve.precision, curve.false_positive_rate):
        ...     print("from {:.1f} on: recall {:.2f}, precision {:.2f}, false positives {:.2f}".format(*row))
        from 0.8 on: recall 0.50, precision 1.00, false positives 0.00
        from 0.6 on: recall 0.50, precision 0.50, false positives 0.33
        from 0.4 on: recall 1.00, precision 0.67, false positives 0.33
        from 0.3 on: recall 1.00, precision 0.50, false positives 0.67
        from 0.1 on: recall 1.00, precision 0.40, false positives 1.00
    """

    thresholds: Floats
    hits: NDArray[np.int64]
    alarms: NDArray[np.int64]
    positives: int
    negatives: int

    @property
    def recall(self) -> Floats:
        """The share of the class that is predicted: also the true positive rate."""
        return np.asarray(self.hits / max(self.positives, 1))

    @property
    def precision(self) -> Floats:
        """The share of what is predicted that is of the class."""
        return np.asarray(self.hits / np.maximum(self.hits + self.alarms, 1))

    @property
    def false_positive_rate(self) -> Floats:
        """The share of all others that is predicted."""
        return np.asarray(self.alarms / max(self.negatives, 1))


class Ranking(NamedTuple):
    """The areas of one class, and their standard errors; NaN where all images are of the class, or none."""

    roc_auc: float
    roc_auc_error: float
    average_precision: float
    average_precision_error: float


def curve(is_class: NDArray[np.bool_], probabilities: NDArray[np.floating]) -> Curve:
    """Return the curve of one class.

    Args:
        is_class: `bool (N,)`.
        probabilities: `float (N,)`.

    Examples:
        >>> import numpy as np
        >>> found = curve(np.array([True, True, False]), np.array([0.9, 0.4, 0.6]))
        >>> found.recall.tolist(), found.precision.round(2).tolist()
        ([0.5, 0.5, 1.0], [1.0, 0.5, 0.67])
    """
    order = np.argsort(-probabilities, kind="stable")
    scores, right = probabilities[order], is_class[order]
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True))  # of equal probabilities, the last
    hits = np.asarray(np.cumsum(right)[last], np.int64)
    return Curve(scores[last].astype(np.float64), hits, last + 1 - hits, int(right.sum()), int((~right).sum()))


def ranking(is_class: NDArray[np.bool_], probabilities: NDArray[np.floating]) -> Ranking:
    """Return the area under the ROC curve and the average precision of one class.

    The error of the former is DeLong's (Biometrics 44, 1988); of the latter, that of Boyd, Eng and Page, Area under
    the Precision-Recall Curve (ECML 2013), section 3, for the logit interval.

    Args:
        is_class: `bool (N,)`.
        probabilities: `float (N,)`.

    Examples:
        >>> import numpy as np
        >>> found = ranking(np.array([True, True, False]), np.array([0.9, 0.4, 0.6]))
        >>> found.roc_auc, round(found.average_precision, 4)
        (0.5, 0.8333)
    """
    positives = int(np.count_nonzero(is_class))
    negatives = len(is_class) - positives
    if not positives or not negatives:
        return Ranking(np.nan, np.nan, np.nan, np.nan)
    everything = np.sort(probabilities)
    mine = np.sort(probabilities[is_class])
    below, up_to = (np.searchsorted(everything, mine, side) for side in ("left", "right"))
    mine_below, mine_up_to = (np.searchsorted(mine, mine, side) for side in ("left", "right"))
    others_below, others_up_to = below - mine_below, up_to - mine_up_to
    beaten = (others_below + others_up_to) / 2 / negatives  # the share of others that each positive outranks
    area = float(beaten.mean())
    spread = _spread_of_others(others_below, others_up_to, mine_below, mine_up_to, negatives, area)
    error = np.sqrt((beaten.var(ddof=1) / positives if positives > 1 else 0.0) + spread / negatives)
    error = error or _HALF / min(positives, negatives)  # of few that none outranks, not all later ones need be so
    hits, predicted = positives - mine_below, len(everything) - below
    precision = float((hits / predicted).mean())
    inside = min(precision, 1 - _HALF / positives)
    return Ranking(area, float(error), precision, float(np.sqrt(inside * (1 - inside) / positives)))


def _spread_of_others(
    below: NDArray[np.int64],
    up_to: NDArray[np.int64],
    mine_below: NDArray[np.int64],
    mine_up_to: NDArray[np.int64],
    negatives: int,
    area: float,
) -> float:
    """Return the variance over all others of the share of positives that outrank each; from the positives alone."""
    positives = len(below)
    first = np.flatnonzero(np.append(True, np.diff(mine_below) != 0))  # one of each run of equal positives
    tied = up_to[first] - below[first]  # others with the very probability of a positive
    outranking_tied = positives - (mine_below[first] + mine_up_to[first]) / 2
    between = np.diff(np.concatenate([[0], np.stack([below[first], up_to[first]], 1).ravel(), [negatives]]))[::2]
    outranking_between = positives - np.append(mine_below[first], positives)
    shares = np.concatenate([outranking_tied, outranking_between]) / positives
    counts = np.concatenate([tied, between])
    return float((counts * (shares - area) ** 2).sum() / max(negatives - 1, 1))


def error_of_mean_area(y_true: NDArray[Any], probabilities: NDArray[np.floating], *, seed: int = 0) -> float:
    """Return the standard error of the mean over classes of the areas under their ROC curves.

    Areas of several classes come from the same images, so that their errors do not add up as independent ones would:
    each image's influence is summed over classes first (DeLong's components).

    Args:
        y_true: `int (N,)`, or an indicator `(N, K)`; classes that all images or none show are left out.
        probabilities: `float (N, K)`.
        seed: Of the images that are looked at, where there are more than 50,000.
    """
    count = len(y_true)
    if count > _LOOKED_AT:
        chosen = np.sort(np.random.default_rng(seed).permutation(count)[:_LOOKED_AT])
        y_true, probabilities = y_true[chosen], probabilities[chosen]
    influence, classes = np.zeros(len(y_true)), 0
    for code, scores in enumerate(probabilities.T):
        mine = y_true[:, code] == 1 if y_true.ndim == 2 else y_true == code
        own, others = np.sort(scores[mine]), np.sort(scores[~mine])
        if not len(own) or not len(others):
            continue
        classes += 1
        for chosen, reference, outranks in ((mine, others, True), (~mine, own, False)):
            asked = scores[chosen]
            half = (np.searchsorted(reference, asked, "left") + np.searchsorted(reference, asked, "right")) / 2
            share = half / len(reference) if outranks else 1 - half / len(reference)
            influence[chosen] += (share - share.mean()) * len(mine) / len(asked)
    error = float(np.sqrt(np.var(influence / max(classes, 1)) / count))
    return error or _HALF / count
