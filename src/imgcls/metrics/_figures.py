"""Every figure of labels and probabilities, each with its 95 % interval. Memory beyond the input: some columns."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls._intervals import mean_of_shares, wilson
from imgcls.metrics import _calibration, _ranking
from imgcls.metrics._intervals import Blocks, Interval, Shared, logit_interval, looked_at, studentized, sum_of_distances

Floats = NDArray[np.float64]
_ROWS = 65_536  # looked at together
_WILSON, _ADJUSTED = "Wilson", "adjusted shares"
_STUDENTIZED, _INVERTED = "bootstrap-t", "test inversion"
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
    return (rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS))


# --- figures ---------------------------------------------------------------------------------------------------------


def confusion(seen: Outcome, num_classes: int) -> NDArray[np.int64]:
    """Return `(K, K)` counts, rows true and columns predicted; or `(K, 2, 2)` with several labels."""
    if seen.y_true.ndim == 1:
        cells = np.bincount(seen.y_true.astype(np.int64) * num_classes + seen.y_pred, minlength=num_classes**2)
        return cells.reshape(num_classes, num_classes)
    both = seen.y_true.astype(np.int64) * 2 + seen.y_pred
    return np.stack([np.bincount(column, minlength=4).reshape(2, 2) for column in both.T])


class Counts(NamedTuple):
    """Of each class: how many were found, how many there are, how many were predicted; the last axis is classes."""

    hits: Floats
    true: Floats
    predicted: Floats

    @classmethod
    def of(cls, tables: NDArray[Any], *, multi_label: bool) -> "Counts":
        """Count in confusion matrices `(..., K, K)`, or `(..., K, 2, 2)` with several labels."""
        if multi_label:
            return cls(tables[..., 1, 1], tables[..., 1, :].sum(-1), tables[..., :, 1].sum(-1))
        return cls(np.diagonal(tables, axis1=-2, axis2=-1), tables.sum(-1), tables.sum(-2))

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
        return 2 * self.hits / np.maximum(self.true + self.predicted, 1)

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


def macro(seen: Outcome, table: NDArray[np.int64]) -> dict[str, tuple[float, Interval]]:
    """Return the means over classes of a confusion matrix.

    With one label an image, classes have different images, so that the errors of their recalls, and of their
    precisions, are independent; those of F1 are not, and with several labels none are.

    A class that has no images adds 0 for sure. One that has some, and is never predicted, may have any precision.
    """
    multi_label = seen.y_true.ndim == 2
    counts = Counts.of(table, multi_label=multi_label)
    of_recall, of_precision, of_f1 = (
        _shared_images(seen) if multi_label else (1.0, 1.0, _shared_mistakes(table, counts))
    )
    classes, there = len(counts.true), counts.true > 0
    never = int((there & (counts.predicted == 0)).sum())
    return {
        "balanced_accuracy": _mean(counts.recall, counts.true, max(int(there.sum()), 1), of_recall),
        "macro_precision": _mean(counts.precision, counts.predicted, classes, of_precision, unknown=never),
        "macro_recall": _mean(counts.recall, counts.true, classes, of_recall),
        "macro_f1": _mean(counts.f1, counts.f1_images, classes, of_f1),
    }


def _mean(
    shares: Floats, images: Floats, classes: int, shared: float, method: str = _ADJUSTED, *, unknown: int = 0
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


def _shared_mistakes(table: NDArray[np.int64], counts: Counts) -> float:
    """Return by how much the F1 of classes err together: a mistake costs the class that it is of, and the one named.

    As in `Shared`, there is one more mistake than was seen: of any class, for any other.
    """
    classes = len(table)
    lost = counts.f1 / np.maximum(counts.true + counts.predicted, 1)  # by each mistake of it, or for it
    won = 2 * (1 - counts.f1) / np.maximum(counts.true + counts.predicted, 1)  # by each hit
    mistakes = np.where(np.eye(classes) == 1, 0, table + 1 / max(classes * (classes - 1), 1))
    of_hits = float((counts.hits * won**2).sum())
    alone = of_hits + float((mistakes * (lost[:, None] ** 2 + lost**2)).sum())
    together = of_hits + float((mistakes * (lost[:, None] + lost) ** 2).sum())
    return float(np.sqrt(together / alone)) if alone else 1.0


def losses(seen: Outcome, num_classes: int) -> dict[str, tuple[float, Interval]]:
    """Return log loss and Brier score."""
    blocks = Blocks(len(seen.losses))
    means = blocks.means([seen.losses, seen.brier])
    lower, upper = studentized(means, *blocks.draw(means))
    values = (float(seen.losses.mean()), float(seen.brier.mean()))
    halved = seen.y_true.ndim == 2 or num_classes == 2  # see `outcome`
    most = (-np.log(_smallest(seen.confidence)), 1.0 if halved else 2.0)
    if len(seen.losses) < 2:  # one image says nothing of the next
        lower, upper = np.zeros(2), np.array(most)
    return {
        name: (
            values[place],
            Interval(
                float(np.clip(lower[place], 0, values[place])),
                float(np.clip(upper[place], values[place], most[place])),
                _STUDENTIZED,
            ),
        )
        for place, name in enumerate(("log_loss", "brier"))
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
