"""Every figure of labels and probabilities, each with its 95 % interval. Memory beyond the input: some columns."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls._intervals import mean_of_shares, wilson
from imgcls.metrics import _calibration, _ranking
from imgcls.metrics._intervals import Blocks, Interval, Shared, logit_interval, looked_at, sum_of_distances

Floats = NDArray[np.float64]
_ROWS = 65_536  # looked at together
_NUMBERS = 2**22  # looked at together, where a row has one for each class
_NO_LOSS = 1e-300  # that no 0 is divided by 0
_WILSON, _ADJUSTED = "Wilson", "adjusted shares"
_WEIGHTED, _INVERTED = "Bayesian bootstrap", "test inversion"
_DELONG, _LINEARISED = "DeLong, adjusted", "linearised, logit"


class Outcome(NamedTuple):
    """What is known of each image, and enough for every figure but those that rank images.

    Attributes:
        y_true: `int (N,)`, or an indicator `(N, K)`.
        y_pred: The same of what was predicted.
        losses: `float (N,)`, in nats.
        brier: `float (N,)`.
        confidence: `float (N,)` of the likeliest class; `(N * K,)` with several labels: of each label.
        right: `bool`, the same: whether it was right, or whether the label was there.
    """

    y_true: NDArray[Any]
    y_pred: NDArray[Any]
    losses: Floats
    brier: Floats
    confidence: NDArray[np.floating]
    right: NDArray[np.bool_]


def outcome(y_true: NDArray[Any], probabilities: NDArray[Any], said: NDArray[Any]) -> Outcome:
    """Look once at every row.

    Args:
        y_true: `int (N,)`, or an indicator `(N, K)`.
        probabilities: `float (N, K)`.
        said: What was predicted, as `y_true`.
    """
    smallest = _smallest(probabilities)
    if y_true.ndim == 2:
        clipped = np.clip(probabilities.astype(np.float64), smallest, 1 - smallest)
        losses = -np.log(np.where(y_true == 1, clipped, 1 - clipped)).mean(axis=1)
        brier = np.square(probabilities.astype(np.float64) - y_true).mean(axis=1)
        return Outcome(y_true, said, losses, brier, probabilities.ravel(), y_true.ravel() == 1)
    likeliest = probabilities.argmax(axis=1)
    rows = np.arange(len(y_true))
    own, confidence = probabilities[rows, y_true].astype(np.float64), probabilities[rows, likeliest]
    squares = np.concatenate([np.square(part, dtype=np.float64).sum(axis=1) for part in _blocks(probabilities)])
    brier = (squares - 2 * own + 1) / (2 if probabilities.shape[1] == 2 else 1)  # of two classes, scikit-learn halves
    losses = -np.log(np.clip(own, smallest, 1 - smallest))
    return Outcome(y_true, said, losses, brier, confidence, likeliest == y_true)


def _smallest(probabilities: NDArray[np.floating]) -> float:
    """Return what a probability of 0 counts as, so that it does not cost infinity: as scikit-learn has it."""
    return float(max(np.finfo(probabilities.dtype).eps, np.finfo(np.float64).eps))


def _blocks(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    together = max(_NUMBERS // rows.shape[1], 1)
    return (rows[start : start + together] for start in range(0, len(rows), together))


# --- figures ---------------------------------------------------------------------------------------------------------


def confusion(seen: Outcome, num_classes: int) -> NDArray[np.int64]:
    """Return `(K, K)` counts, rows true and columns predicted; or `(K, 2, 2)` with several labels."""
    if seen.y_true.ndim == 1:
        cells = np.bincount(seen.y_true.astype(np.int64) * num_classes + seen.y_pred, minlength=num_classes**2)
        return cells.reshape(num_classes, num_classes)
    both = seen.y_true.astype(np.int64) * 2 + seen.y_pred
    return np.stack([np.bincount(column, minlength=4).reshape(2, 2) for column in both.T])


class Cells(NamedTuple):
    """The cells of a confusion matrix that hold images, row by row; of very many classes few do.

    Attributes:
        true: `int (C,)`: the true class.
        predicted: `int (C,)`: the predicted one.
        images: `int (C,)`: how many images.
    """

    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    images: NDArray[np.int64]

    @classmethod
    def of(cls, y_true: NDArray[Any], y_pred: NDArray[Any], num_classes: int) -> "Cells":
        """Find those of codes `(N,)` without the `K * K` others."""
        filled, images = np.unique(y_true.astype(np.int64) * num_classes + y_pred, return_counts=True)
        return cls(*np.divmod(filled, num_classes), images)

    @property
    def mistakes(self) -> "Cells":
        """Those off the diagonal."""
        wrong = self.true != self.predicted
        return Cells(*(column[wrong] for column in self))

    def most(self, count: int) -> "Cells":
        """Return the cells with most images, at most so many; of equal ones, the first."""
        chosen = np.argsort(-self.images, kind="stable")[:count]
        return Cells(*(column[chosen] for column in self))


class Counts(NamedTuple):
    """Of each class, `(K,)`: how many were found, how many there are, how many were predicted."""

    hits: NDArray[np.int64]
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]

    @classmethod
    def of(cls, y_true: NDArray[Any], y_pred: NDArray[Any], num_classes: int) -> "Counts":
        """Count in codes `(N,)`, or in indicators `(N, K)`."""
        if y_true.ndim == 2:
            true, said = y_true == 1, y_pred == 1
            return cls(*(one.sum(axis=0) for one in (true & said, true, said)))
        each = (y_true[y_true == y_pred], y_true, y_pred)
        return cls(*(np.bincount(codes.astype(np.int64), minlength=num_classes) for codes in each))

    @property
    def precision(self) -> Floats:
        """0 where nothing was predicted."""
        return self.hits / np.maximum(self.predicted, 1)

    @property
    def recall(self) -> Floats:
        """0 where there is nothing to find."""
        return self.hits / np.maximum(self.true, 1)

    @property
    def f1(self) -> Floats:
        """The harmonic mean of both."""
        return np.asarray(2 * self.hits / np.maximum(self.true + self.predicted, 1))

    @property
    def f1_images(self) -> Floats:
        """Of how many images a share would be as sure as F1 is.

        F1 is 2J / (1 + J) of the share J that hits are of all images that are or are called of the class (Goutte and
        Gaussier, A Probabilistic Interpretation of Precision, Recall and F-Score, ECIR 2005), and so is its error.
        """
        return (self.true + self.predicted) / (2 - self.f1)

    @property
    def f1_ends(self) -> tuple[Floats, Floats]:
        """The ends of its intervals: those of J."""
        lower, upper = wilson(self.hits, self.true + self.predicted - self.hits)
        return 2 * lower / (1 + lower), 2 * upper / (1 + upper)


def top_hits(y_true: NDArray[Any], probabilities: NDArray[Any], k: int) -> int:
    """Count the images whose true class is among the `k` likeliest; of equal ones, the first classes are likelier."""
    hits = 0
    for start in range(0, len(y_true), _ROWS):
        part, codes = probabilities[start : start + _ROWS], y_true[start : start + _ROWS]
        own = part[np.arange(len(codes)), codes][:, None]
        before = (part > own).sum(axis=1) + ((part == own) & (np.arange(part.shape[1]) < codes[:, None])).sum(axis=1)
        hits += int((before < k).sum())
    return hits


def rankings(y_true: NDArray[Any], probabilities: NDArray[Any]) -> list[_ranking.Ranking]:
    """Return areas of each class against the rest."""
    multi_label = y_true.ndim == 2
    return [
        _ranking.ranking(y_true[:, code] == 1 if multi_label else y_true == code, np.ascontiguousarray(column))
        for code, column in enumerate(probabilities.T)
    ]


# --- with intervals --------------------------------------------------------------------------------------------------


def shares(hits: int, count: int) -> tuple[float, Interval]:
    """Return a share and Wilson's interval."""
    lower, upper = wilson(hits, count)
    return hits / count, Interval(float(lower), float(upper), _WILSON)


def macro(seen: Outcome, counts: Counts) -> dict[str, tuple[float, Interval]]:
    """Return the means over classes.

    With one label an image, classes have different images, so that the errors of their recalls, and of their
    precisions, are independent; those of F1 are not, and with several labels none are.

    A class that has no images adds 0 for sure. One that has some, and is never predicted, may have any precision.
    """
    multi_label, classes, there = seen.y_true.ndim == 2, len(counts.true), counts.true > 0
    of_recall, of_precision, of_f1 = (
        _shared_images(seen)
        if multi_label
        else (1.0, 1.0, _shared_mistakes(Cells.of(seen.y_true, seen.y_pred, classes).mistakes, counts))
    )
    never = int((there & (counts.predicted == 0)).sum())
    return {
        "balanced_accuracy": _mean(counts.recall, counts.true, max(int(there.sum()), 1), of_recall),
        "macro_precision": _mean(counts.precision, counts.predicted, classes, of_precision, unknown=never),
        "macro_recall": _mean(counts.recall, counts.true, classes, of_recall),
        "macro_f1": _mean(counts.f1, counts.f1_images, classes, of_f1),
    }


def _mean(
    shares: Floats, images: NDArray[Any], classes: int, shared: float, method: str = _ADJUSTED, *, unknown: int = 0
) -> tuple[float, Interval]:
    mean, lower, upper = mean_of_shares(shares, images, classes, shared=shared, unknown=unknown)
    return mean, Interval(lower, upper, method)


def _shared_images(seen: Outcome) -> tuple[float, float, float]:
    """Return by how much recall, precision and F1 of several labels err together: all are of the same images."""
    chosen = looked_at(len(seen.y_true))
    y_true, y_pred = seen.y_true[chosen], seen.y_pred[chosen]
    found = []
    for of_true, of_predicted in ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5)):
        shared = Shared(len(y_true))
        for true, predicted in zip(y_true.T, y_pred.T, strict=True):
            counted = of_true * true + of_predicted * predicted  # each of the three is hits / sum of this
            hits, whole = true * predicted, max(float(counted.sum()), 1.0)
            mistake = -counted * (hits.sum() / whole) / whole
            shared.add(hits / whole + mistake, mistake)
        found.append(shared.factor)
    return found[0], found[1], found[2]


def _shared_mistakes(mistakes: Cells, counts: Counts) -> float:
    """Return by how much the F1 of classes err together: a mistake costs the class that it is of, and the one named.

    As in `Shared`, there is one more mistake than was seen: of any class, for any other. That is a sum over all pairs
    of classes, and is written as sums over classes: of very many classes, no memory holds the pairs.
    """
    classes = len(counts.true)
    lost = counts.f1 / np.maximum(counts.true + counts.predicted, 1)  # by each mistake of it, or for it
    won = 2 * (1 - counts.f1) / np.maximum(counts.true + counts.predicted, 1)  # by each hit
    of_one, of_other, one_more = lost[mistakes.true], lost[mistakes.predicted], 1 / max(classes * (classes - 1), 1)
    squares, products = (mistakes.images * (of_one**2 + of_other**2)).sum(), (mistakes.images * of_one * of_other).sum()
    all_squares = (lost**2).sum()
    all_products = lost.sum() ** 2 - all_squares  # of each pair, from either side
    alone = (counts.hits * won**2).sum() + squares + one_more * 2 * (classes - 1) * all_squares
    together = alone + 2 * products + one_more * 2 * all_products
    return float(np.sqrt(together / alone)) if alone else 1.0


def losses(seen: Outcome, num_classes: int) -> dict[str, tuple[float, Interval]]:
    """Return log loss and Brier score.

    Two numbers tell what a mistake costs, if images cost either that or nothing: the mean loss and the mean square.
    Where nothing is wrong yet they say nothing of the first mistake, so it counts as no cheaper than an image would
    be, on average, if its likeliest answer were wrong. Of several labels one would be, or as many as two images differ
    in.
    """
    halved = seen.y_true.ndim == 2 or num_classes == 2  # see `outcome`
    smallest, of_brier = _smallest(seen.confidence), 1.0 if halved else 2.0
    next_likeliest = np.minimum(seen.confidence, 1 - seen.confidence).astype(np.float64)  # at most
    if_wrong = -np.log(np.maximum(next_likeliest, smallest)).mean(), of_brier * np.square(1 - next_likeliest).mean()
    there = seen.right.reshape(len(seen.losses), -1).mean(axis=0)
    wrong = max(1 / len(there), float((2 * there * (1 - there)).mean()))  # the share of labels; 1 where there is one
    seen_wrong = [float(np.square(each).sum() / max(each.sum(), _NO_LOSS)) for each in (seen.losses, seen.brier)]
    blocks = Blocks(len(seen.losses))
    means = blocks.means([seen.losses, seen.brier])
    lower, upper = blocks.ends(means, np.maximum(seen_wrong, np.multiply(wrong, if_wrong)))
    if len(seen.losses) < 2:  # one image says nothing of the next
        lower, upper = np.zeros(2), np.array([-np.log(smallest), of_brier])
    values = (float(seen.losses.mean()), float(seen.brier.mean()))
    return {
        name: (value, Interval(min(float(low), value), max(float(high), value), _WEIGHTED))
        for name, value, low, high in zip(("log_loss", "brier"), values, lower, upper, strict=True)
    }


def calibration(seen: Outcome) -> dict[str, tuple[float, Interval]]:
    """Return both calibration errors: with bins of equal width, and with bins of as many predictions each."""
    blocks, found = Blocks(len(seen.losses)), {}
    gap: Floats = seen.right - seen.confidence.astype(np.float64)
    for name, adaptive in (("calibration_error", False), ("adaptive_calibration_error", True)):
        bins = _calibration.bins_of(seen.confidence, adaptive=adaptive)
        value = float(np.abs(np.bincount(bins, gap)).sum() / len(gap))
        in_bins = blocks.means_in_bins(gap, bins, _calibration.BINS)
        errors = in_bins.std(axis=0) / np.sqrt(len(in_bins))
        shares = np.bincount(bins, minlength=_calibration.BINS) / len(bins)
        lower, upper = sum_of_distances(in_bins.mean(axis=0), errors, shares, len(gap))
        found[name] = (value, Interval(min(lower, value), min(max(upper, value), 1.0), _INVERTED))
    return found


def areas(
    y_true: NDArray[Any], probabilities: NDArray[Any], each: Sequence[_ranking.Ranking]
) -> dict[str, tuple[float, Interval]]:
    """Return the means over classes of both areas; empty where no class has positives and negatives."""
    known = [one for one in each if not np.isnan(one.roc_auc)]
    if not known:
        return {}
    areas, as_areas, precisions, errors = np.array(known).T
    of_areas, of_precisions = _ranking.shared(y_true, probabilities)
    average = float(precisions.mean())
    lower, upper = logit_interval(average, of_precisions * np.sqrt(np.square(errors).sum()) / len(known))
    return {
        "roc_auc": _mean(areas, as_areas, len(known), of_areas, _DELONG),
        "average_precision": (average, Interval(float(lower), float(upper), _LINEARISED)),
    }
