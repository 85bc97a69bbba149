"""Every figure of labels and probabilities, each with its 95 % interval. Memory beyond the input: some columns."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls._intervals import of_sum, wilson
from imgcls.metrics import _calibration, _ranking
from imgcls.metrics._intervals import (
    Blocks,
    Interval,
    bootstrap_counts,
    logit_interval,
    percentiles,
    studentized,
    sum_of_distances,
)

Floats = NDArray[np.float64]
_SMALLEST = 1e-7  # a probability of 0 for the true class costs -ln(1e-7) = 16.1, not infinity
_ROWS = 65_536  # looked at together
_COMBINED = "Wilson of each class, combined"
_WILSON, _TABLES, _IMAGES = "Wilson", "bootstrap of the confusion matrix", "bootstrap of images"
_STUDENTIZED, _INVERTED, _DELONG, _BOYD = "bootstrap-t", "test inversion", "DeLong, logit", "Boyd, logit"


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
    if y_true.ndim == 2:
        clipped = np.clip(probabilities.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
        losses = -np.log(np.where(y_true == 1, clipped, 1 - clipped)).mean(axis=1)
        brier = np.square(probabilities.astype(np.float64) - y_true).mean(axis=1)
        return Outcome(y_true, said, losses, brier, probabilities.ravel(), y_true.ravel() == 1)
    likeliest = probabilities.argmax(axis=1)
    rows = np.arange(len(y_true))
    own, confidence = probabilities[rows, y_true].astype(np.float64), probabilities[rows, likeliest]
    squares = np.concatenate([np.square(part, dtype=np.float64).sum(axis=1) for part in _blocks(probabilities)])
    brier = (squares - 2 * own + 1) / (2 if probabilities.shape[1] == 2 else 1)  # of two classes, scikit-learn halves
    losses = -np.log(np.clip(own, _SMALLEST, 1 - _SMALLEST))
    return Outcome(y_true, said, losses, brier, confidence, likeliest == y_true)


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

    Classes have different images, so that the errors of their recalls, and of their precisions, are independent.
    """
    counts = Counts.of(table, multi_label=seen.y_true.ndim == 2)
    classes, present = len(counts.true), max(int((counts.true > 0).sum()), 1)
    found = {
        "balanced_accuracy": _mean_of_shares(counts.hits, counts.true, present),
        "macro_precision": _mean_of_shares(counts.hits, counts.predicted, classes),
        "macro_recall": _mean_of_shares(counts.hits, counts.true, classes),
        "macro_f1": _macro_f1(seen, table, counts),
    }
    return {
        name: (value, Interval(max(value - below, 0.0), min(value + above, 1.0), method))
        for name, (value, below, above, method) in found.items()
    }


Around = tuple[float, float, float, str]  # a figure, how far it may lie below and above, and the method


def _mean_of_shares(hits: Floats, counts: Floats, classes: int) -> Around:
    """Return the mean over so many classes; those that count nothing add 0."""
    known = counts > 0
    shares = hits[known] / counts[known]
    below, above = of_sum(shares, wilson(hits[known], counts[known]))
    return float(shares.sum()) / classes, below / classes, above / classes, _COMBINED


def _macro_f1(seen: Outcome, table: NDArray[np.int64], counts: Counts) -> Around:
    """Return the same of macro F1: a mistake is one of two classes, so that their errors are not independent."""
    value, multi_label = float(counts.f1.mean()), seen.y_true.ndim == 2
    if (counts.hits == counts.true).all() and (counts.hits == counts.predicted).all():  # nothing to draw a mistake from
        return _mean_of_shares(counts.hits, counts.true, len(table))
    if multi_label:
        blocks, classes = Blocks(len(seen.y_true)), len(table)
        columns = [*(seen.y_true & seen.y_pred).T, *seen.y_true.T, *seen.y_pred.T]
        drawn = blocks.draw(blocks.means(columns))[0] * len(seen.y_true)
        draws, method = Counts(*np.split(drawn, [classes, 2 * classes], axis=1)).f1.mean(axis=-1), _IMAGES
    else:
        draws = bootstrap_counts(table, lambda tables: Counts.of(tables, multi_label=False).f1.mean(-1))
        method = _TABLES
    lower, upper = percentiles(draws)
    return value, max(value - float(lower), 0.0), max(float(upper) - value, 0.0), method


def losses(seen: Outcome) -> dict[str, tuple[float, Interval]]:
    """Return log loss and Brier score."""
    blocks = Blocks(len(seen.losses))
    means = blocks.means([seen.losses, seen.brier])
    lower, upper = studentized(means, *blocks.draw(means))
    values = (float(seen.losses.mean()), float(seen.brier.mean()))
    most = (-np.log(_SMALLEST), 1.0 if seen.y_true.ndim == 2 else 2.0)
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
        ends = sum_of_distances(in_bins.mean(axis=0), errors, shares)
        found[name] = (value, Interval(*(ends if len(seen.losses) > 1 else (0.0, 1.0)), _INVERTED))
    return found


def areas(
    y_true: NDArray[Any], probabilities: NDArray[Any], each: Sequence[_ranking.Ranking]
) -> dict[str, tuple[float, Interval]]:
    """Return the means over classes of both areas; empty where no class has positives and negatives."""
    known = [one for one in each if not np.isnan(one.roc_auc)]
    if not known:
        return {}
    independent = np.sqrt(sum(one.average_precision_error**2 for one in known)) / len(known)
    found = {}
    for name, values, error, method in (
        ("roc_auc", [one.roc_auc for one in known], _ranking.error_of_mean_area(y_true, probabilities), _DELONG),
        ("average_precision", [one.average_precision for one in known], independent, _BOYD),
    ):
        lower, upper = logit_interval(np.mean(values), error)
        found[name] = (float(np.mean(values)), Interval(float(lower), float(upper), method))
    return found
