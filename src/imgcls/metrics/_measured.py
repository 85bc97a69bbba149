"""`Measured`: labels and probabilities of one pass, checked once, and every figure of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks
from imgcls._intervals import wilson
from imgcls._thresholds import Thresholds
from imgcls.errors import DataError
from imgcls.metrics import _figures, _ranking
from imgcls.metrics._intervals import Interval, logit_interval
from imgcls.metrics._robustness import Robustness

_IMBALANCED = 3.0  # images of the largest class for one of the smallest: beyond, means over classes come first
_TOP = 5  # top-5 accuracy, where there are more classes
_ROUNDING = 0.01  # that probabilities may miss 1 by


class Measured(Mapping[str, float]):
    """Figures by name, each with its interval. `Evaluation` adds what is asked of them, tables and pictures."""

    def __init__(
        self,
        y_true: NDArray[Any],
        probabilities: NDArray[Any],
        *,
        classes: Sequence[Any],
        ids: Sequence[str] | None = None,
        read: Callable[[int], NDArray[np.uint8]] | None = None,
        quarantined: Mapping[str, str] | None = None,
        left_out: int | None = None,
        explain: Callable[[Sequence[int]], Sequence[NDArray[np.float32]]] | None = None,
        leaked: Callable[[], NDArray[np.int64]] | None = None,
        shortcuts: Callable[[], Sequence[Any]] | None = None,
        robust: Callable[[], Sequence[Robustness]] | None = None,
        about: Mapping[str, Any] | None = None,
        thresholds: Mapping[Any, float] | None = None,
    ) -> None:
        labels = np.asarray(y_true)
        self.y_true = labels.astype(np.int64) if labels.dtype.kind == "b" else labels  # as an index, it would be a mask
        given = np.asarray(probabilities)
        self.probabilities = given if given.dtype.kind == "f" else given.astype(np.float64)  # 0.5 is no whole number
        self.classes = tuple(classes)
        self.ids = tuple(ids) if ids is not None else tuple(map(str, range(len(self.y_true))))
        self.quarantined = dict(quarantined or {})
        self.left_out = len(self.quarantined) if left_out is None else left_out
        self.about = dict(about or {})
        self._read, self._explain = read, explain
        self._leaked, self._shortcuts, self._robust = leaked, shortcuts, robust
        expected = (len(self.y_true), len(self.classes))
        if self.probabilities.shape != expected or len(self.ids) != len(self.y_true) or not len(self.y_true):
            message = (
                f"{len(self.y_true):,} labels of {len(self.classes)} classes go with probabilities {expected}, "
                f"not {self.probabilities.shape}, and as many ids, not {len(self.ids):,}."
            )
            raise DataError(message)
        codes = self.y_true if self.y_true.dtype.kind in "iub" else np.array([-1])
        shape, most = ((len(self.classes),), 1) if self.multi_label else ((), len(self.classes) - 1)
        if self.y_true.shape[1:] != shape or codes.min() < 0 or codes.max() > most:
            message = (
                f"y_true has dtype {self.y_true.dtype} and shape {self.y_true.shape}. Accepted: (N,) whole numbers "
                f"from 0 to {len(self.classes) - 1}, or (N, {len(self.classes)}) zeros and ones."
            )
            raise DataError(message)
        broken = np.flatnonzero(~np.isfinite(self.probabilities).all(axis=1))
        if len(broken) == len(self.ids):
            message = "probabilities contain NaN or infinity. The model did not train: lower the learning rate."
            raise DataError(message)
        if broken.size:
            message = (
                f"probabilities of {len(broken):,} of {len(self.ids):,} images are NaN or infinite: "
                f"{_checks.some([self.ids[place] for place in broken])}. Look at these images, and at what the model "
                "does with them, such as a division by the deviation of pixels that are all alike; or leave them out."
            )
            raise DataError(message)
        lowest, highest = float(self.probabilities.min()), float(self.probabilities.max())
        if lowest < 0 or highest > 1 + _ROUNDING:
            message = (
                f"probabilities lie from {lowest:.3g} to {highest:.3g}. Accepted: from 0 to 1. Of scores, take the "
                f"{'sigmoid' if self.multi_label else 'softmax'} first."
            )
            raise DataError(message)
        apart = 0.0 if self.multi_label else float(np.abs(self.probabilities.sum(axis=1) - 1).max())
        if apart > _ROUNDING:
            message = (
                f"the probabilities of an image add up to 1, and here one sum is {apart:.3g} away from it. Divide each "
                "row by its sum; of scores, take the softmax first."
            )
            raise DataError(message)
        self._thresholds = Thresholds(thresholds, self.classes, multi_label=self.multi_label)

    # --- figures -------------------------------------------------------------------------------------------------

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels."""
        return self.y_true.ndim == 2

    @property
    def thresholds_(self) -> dict[Any, float] | None:
        """The thresholds that were given: {class: probability} from which on it is said; None for none."""
        return self._thresholds.given

    @cached_property
    def _seen(self) -> _figures.Outcome:
        return _figures.outcome(self.y_true, self.probabilities, self._thresholds.said(self.probabilities))

    @property
    def y_pred(self) -> NDArray[Any]:
        """Predicted codes `int64 (N,)`, or an indicator `uint8 (N, K)`."""
        return self._seen.y_pred

    @property
    def confidence(self) -> NDArray[np.floating]:
        """The probability of what was predicted `(N,)`; with several labels, of the likeliest one."""
        if self.multi_label:
            return np.asarray(self.probabilities.max(axis=1))
        return np.asarray(self.probabilities[np.arange(len(self.y_pred)), self.y_pred])

    @property
    def losses(self) -> NDArray[np.float64]:
        """The cross-entropy of each image `(N,)`, in nats; with several labels, the mean over classes."""
        return self._seen.losses

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each image was predicted right, `(N,)`; with several labels, whether every one was."""
        return np.asarray((self.y_true == self.y_pred).reshape(len(self.y_true), -1).all(axis=1))

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """`(K, K)`: row i, column j counts images of class i predicted as class j; `(K, 2, 2)` with several labels."""
        return _figures.confusion(self._seen, len(self.classes))

    @cached_property
    def _counts(self) -> _figures.Counts:
        return _figures.Counts.of(self.y_true, self.y_pred, len(self.classes))

    @cached_property
    def _rankings(self) -> list[_ranking.Ranking]:
        return _figures.rankings(self.y_true, self.probabilities)

    @cached_property
    def _measured(self) -> dict[str, tuple[float, Interval]]:
        """Every figure with its interval, in the order in which they are worth reading."""
        accuracy = {"accuracy": _figures.shares(int(self.right.sum()), len(self.y_true))}
        macro = _figures.macro(self._seen, self._counts)
        found = (macro | accuracy) if self.imbalance > _IMBALANCED else (accuracy | macro)
        if len(self.classes) > _TOP and not self.multi_label:
            hits = _figures.top_hits(self.y_true, self.probabilities, _TOP)
            found[f"top_{_TOP}_accuracy"] = _figures.shares(hits, len(self.y_true))
        found |= _figures.areas(self.y_true, self.probabilities, self._rankings)
        return found | _figures.losses(self._seen, len(self.classes)) | _figures.calibration(self._seen)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """The 95 % interval of each figure, (lower, upper, method).

        They say how far the figure may be off because these images are a sample. Whether later images are like these,
        no interval can say.
        """
        return {name: interval for name, (_, interval) in self._measured.items()}

    @property
    def imbalance(self) -> float:
        """Images of the largest class for each image of the smallest, of the classes that have images."""
        support = self._counts.true
        present = support[support > 0]
        return float(present.max() / present.min()) if len(present) else 1.0  # of several labels, there may be none

    @cached_property
    def per_class(self) -> dict[Any, dict[str, float]]:
        """Precision, recall, F1, support, ROC AUC and average precision of each class.

        The first three are 0 where a figure has nothing to divide by, the areas NaN.
        """
        counts = self._counts
        areas = np.array([[one.roc_auc, one.average_precision] for one in self._rankings])
        columns = (counts.precision, counts.recall, counts.f1, counts.true, *areas.T)
        names = ("precision", "recall", "f1", "support", "roc_auc", "average_precision")
        return {
            name: dict(zip(names, map(float, row), strict=True))
            for name, row in zip(self.classes, zip(*columns, strict=True), strict=True)
        }

    @cached_property
    def per_class_intervals(self) -> dict[Any, dict[str, tuple[float, float]]]:
        """The 95 % intervals of `per_class`, (lower, upper), but for the support.

        Precision and recall: Wilson. F1: Wilson of the share that hits are of all images that are or are called of the
        class. ROC AUC: Wilson of as many images as would be as sure. Average precision: on the logit scale.
        """
        counts = self._counts
        areas, as_areas, precisions, errors = np.array(self._rankings).T
        found = {
            "precision": np.stack(wilson(counts.hits, counts.predicted)),
            "recall": np.stack(wilson(counts.hits, counts.true)),
            "f1": np.stack(counts.f1_ends),
            "roc_auc": np.stack(wilson(areas * as_areas, as_areas)),
            "average_precision": np.stack(logit_interval(precisions, errors)),
        }
        return {
            name: {figure: (float(ends[0, code]), float(ends[1, code])) for figure, ends in found.items()}
            for code, name in enumerate(self.classes)
        }

    @property
    def accuracy(self) -> float:
        """The share of images predicted right."""
        return self["accuracy"]

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall over the classes that have images."""
        return self["balanced_accuracy"]

    @property
    def macro_precision(self) -> float:
        """The mean precision over classes."""
        return self["macro_precision"]

    @property
    def macro_recall(self) -> float:
        """The mean recall over classes."""
        return self["macro_recall"]

    @property
    def macro_f1(self) -> float:
        """The mean F1 over classes."""
        return self["macro_f1"]

    @property
    def log_loss(self) -> float:
        """The mean cross-entropy, in nats."""
        return self["log_loss"]

    def top_k(self, k: int) -> float:
        """Return the share of images whose class is among the `k` likeliest.

        Examples:
            >>> import numpy as np
            >>> from imgcls import Evaluation
            >>> probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5], [0.4, 0.35, 0.25]])
            >>> evaluation = Evaluation(np.array([0, 1, 1, 2]), probabilities, classes=["cat", "cow", "dog"])
            >>> [evaluation.top_k(k) for k in (1, 2, 3)]
            [0.5, 0.75, 1.0]
        """
        _checks.refuse([_checks.not_whole("k", k)])
        self._refuse_several("top_k")
        return _figures.top_hits(self.y_true, self.probabilities, k) / len(self.y_true)

    def __getitem__(self, name: str) -> float:
        if name not in self._measured:
            message = f"figure {name!r} is not known.{_checks.did_you_mean(str(name), self)} Known: {', '.join(self)}."
            raise KeyError(message)
        return self._measured[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._measured)

    def __len__(self) -> int:
        return len(self._measured)

    # --- inside --------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        at_hand = ("_read", "_explain", "_leaked", "_shortcuts", "_robust")  # images and a model hang on these
        return vars(self) | dict.fromkeys(at_hand)

    def _code(self, label: Any) -> int:
        _checks.refuse([_checks.unknown_name("label", label, self.classes)])
        return self.classes.index(label)

    def _refuse_several(self, what: str) -> None:
        if self.multi_label:
            message = f"{what} is for one label an image, and these images have several."
            raise DataError(message)
