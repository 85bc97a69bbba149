"""How well probabilities put the images of one class before all others: ROC and precision-recall curves and areas.

One sort a class, and then everything is looked up for its positives alone, of which there are few: scikit-learn's
figures for 100 classes of a million images in seconds.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls.metrics._intervals import Shared, looked_at

Floats = NDArray[np.float64]
_CHANCE = 0.5  # the area where images are ranked at random
_HALF = 0.5  # of an image: the continuity correction
_MORE = 4  # images that are added to those of which a variance is known
_OF_AREAS, _OF_PRECISIONS = 0.5, 1.0  # theirs, as a part of the largest that is possible


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
    """The areas of one class; NaN where all images are of the class, or none.

    Attributes:
        roc_auc: From 0 to 1.
        roc_auc_images: Of how many images a share would be as sure.
        average_precision: From 0 to 1.
        average_precision_error: Its standard error.
    """

    roc_auc: float
    roc_auc_images: float
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

    Both are means of shares. The variance of the area is DeLong's, DeLong's and Clarke-Pearson's (Biometrics 44, 1988):
    of the shares of negatives that positives outrank, and the reverse. That of the average precision is linearised
    (Deville, Survey Methodology 25, 1999): each image's influence, squared and added up. The average precision of few
    images lies too high, and its interval must reach further down: it is made on the logit scale, as Boyd, Eng and Page
    do (Area under the Precision-Recall Curve, ECML 2013).

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
    of_mine = float(beaten.var(ddof=1)) if positives > 1 else 0.0
    of_others = _spread_of_others(others_below, others_up_to, mine_below, mine_up_to, negatives, area)
    predicted = len(everything) - below
    precisions = (positives - mine_below) / predicted
    average = float(precisions.mean())
    of_mine_up_to, of_others_up_to = _of_predicted(precisions, predicted)
    influences = precisions - average + of_mine_up_to[mine_up_to]
    others_between = np.diff(np.concatenate([[0], others_below, [negatives]]))
    squares = float(np.square(influences).sum() + (others_between * np.square(of_others_up_to)).sum())
    inside = min(average, 1 - _HALF / positives)
    images = _as_sure_as(average, _OF_PRECISIONS, (squares / positives, positives))
    return Ranking(
        area,
        _as_sure_as(area, _OF_AREAS, (of_mine, positives), (of_others, negatives)),
        average,
        float(np.sqrt(inside * (1 - inside) / images)),
    )


def _of_predicted(precisions: Floats, predicted: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return what a positive, and what another image, adds to the precisions at all positives that it outranks.

    Both by how many these are, `float (P + 1,)`; for all P positives together. Where so many are predicted, each image
    is one of them: a positive adds 1 - precision to the hits, and any other -precision.

    Args:
        precisions: `float (P,)`, at positives with rising probabilities.
        predicted: `int (P,)`: how many images have at least these.
    """
    both = np.cumsum([(1 - precisions) / predicted, -precisions / predicted], axis=1)
    return np.append(0.0, both[0]), np.append(0.0, both[1])


def _as_sure_as(mean: float, spread: float, *sides: tuple[float, int]) -> float:
    """Return the number of images, each right or wrong, of which a share would be as sure as this mean of shares.

    The variance of a share of n images is mean * (1 - mean) / n, and tells what n would be. With it the intervals of
    shares hold for such means too: for few images and near 1, where the normal one fails.

    Of few images the variance is hardly known, and of one not at all. So four are added to it, as Agresti and Coull do
    (The American Statistician 52, 1998), with a `spread`. For areas it is half of the largest that is possible: what
    Hanley and McNeil find near 1 (Radiology 143, 1982). Where all shares are 1 nothing is known of their variance, and
    it is taken for all images.

    Args:
        mean: From 0 to 1.
        spread: As a part of mean * (1 - mean), the largest variance that is possible.
        sides: The variance of the shares and their number; the variance of the mean is the sum over sides.
    """
    most, of_mean = mean * (1 - mean), 0.0
    for variance, count in sides:
        known = (count - 1) * (variance / most if most else spread)
        of_mean += (known + _MORE * spread) / (count - 1 + _MORE) / count
    return 1 / of_mean


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


def shared(y_true: NDArray[Any], probabilities: NDArray[np.floating]) -> tuple[float, float]:
    """Return by how much the areas of all classes, and their average precisions, err together: see `Shared`.

    Args:
        y_true: `int (N,)`, or an indicator `(N, K)`; classes that all images or none show are left out.
        probabilities: `float (N, K)`.
    """
    chosen = looked_at(len(y_true))
    y_true, probabilities = y_true[chosen], probabilities[chosen]
    of_areas, of_precisions = Shared(len(y_true)), Shared(len(y_true))
    for code, column in enumerate(probabilities.T):
        order = np.argsort(column)
        scores, mine = column[order], (y_true[order, code] == 1 if y_true.ndim == 2 else y_true[order] == code)
        own, others = scores[mine], scores[~mine]
        if not len(own) or not len(others):
            continue
        weights = np.where(mine, 1 / len(own), 1 / len(others))
        own_below, own_up_to = (np.searchsorted(own, scores, side) for side in ("left", "right"))
        others_below, others_up_to = (np.searchsorted(others, scores, side) for side in ("left", "right"))
        outranked, outranking = (others_below + others_up_to) / 2, len(own) - (own_below + own_up_to) / 2
        shares = np.where(mine, outranked / len(others), outranking / len(own))
        area = shares[mine].mean()
        predicted = len(scores) - (own_below + others_below)[mine]
        precisions = (len(own) - own_below[mine]) / predicted
        average = precisions.mean()
        of_mine_up_to, of_others_up_to = _of_predicted(precisions, predicted)
        influence = np.where(mine, of_mine_up_to[own_up_to] - average, of_others_up_to[own_up_to])
        influence[mine] += precisions
        back = np.argsort(order)
        of_areas.add(((shares - area) * weights)[back], ((_CHANCE - area) * weights)[back])
        of_precisions.add(influence[back] / len(own), ((mine.mean() - average) * weights)[back])
    return of_areas.factor, of_precisions.factor
