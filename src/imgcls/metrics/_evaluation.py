"""`Evaluation`: every figure from one pass, keyed by sample id."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import plotting
from imgcls.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_SMALLEST = 1e-7  # a probability of 0 for the true class costs -ln(1e-7) = 16.1, not infinity


@final
class Evaluation(Mapping[str, float]):
    """How good the predictions of one pass are: a mapping of figures that prints, tabulates and draws itself.

    The figures equal scikit-learn's: `accuracy`, `balanced_accuracy`, `macro_precision`, `macro_recall`, `macro_f1`,
    `log_loss`. With several labels an image, `accuracy` is the share of images with every label right, and a label
    counts as predicted from a probability of 0.5.

    Args:
        y_true: `int (N,)` codes into `classes`, or a `uint8 (N, K)` indicator.
        probabilities: `float32 (N, K)`.
        classes: K names.
        ids: N names of the images.
        read: A function from a position to the image there, `uint8 (H, W, C)`; needed to show images.
        quarantined: The ids of images that were left out because they could not be read, each with the reason. The
            figures do not speak of them.

    Raises:
        DataError: Lengths differ, or a probability is NaN.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Evaluation
        >>> y_true = np.array([0, 0, 1, 1])
        >>> probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
        >>> evaluation = Evaluation(y_true, probabilities, classes=["cat", "dog"])
        >>> evaluation["accuracy"]
        0.75
        >>> evaluation.confusion.tolist()
        [[1, 1], [0, 2]]
    """

    def __init__(
        self,
        y_true: NDArray[Any],
        probabilities: NDArray[Any],
        *,
        classes: Sequence[Any],
        ids: Sequence[str] | None = None,
        read: Callable[[int], NDArray[np.uint8]] | None = None,
        quarantined: Mapping[str, str] | None = None,
    ) -> None:
        self.y_true = np.asarray(y_true)
        self.probabilities = np.asarray(probabilities)
        self.classes = tuple(classes)
        self.ids = tuple(ids) if ids is not None else tuple(map(str, range(len(self.y_true))))
        self.quarantined = dict(quarantined or {})
        self._read = read
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
        if not np.isfinite(self.probabilities).all():
            message = "probabilities contain NaN or infinity. The model did not train: lower the learning rate."
            raise DataError(message)

    # --- figures -------------------------------------------------------------------------------------------------

    @cached_property
    def y_pred(self) -> NDArray[Any]:
        """Predicted codes `int64 (N,)`, or an indicator `uint8 (N, K)`."""
        return (self.probabilities >= 0.5).astype(np.uint8) if self.multi_label else self.probabilities.argmax(axis=1)

    @property
    def multi_label(self) -> bool:
        """Whether an image may have several labels."""
        return self.y_true.ndim == 2

    @cached_property
    def losses(self) -> NDArray[np.float64]:
        """The cross-entropy of each image `(N,)`, in nats; with several labels, the mean over classes."""
        clipped = np.clip(self.probabilities.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
        if self.multi_label:
            right = np.where(self.y_true == 1, clipped, 1 - clipped)
            return np.asarray(-np.log(right).mean(axis=1))
        return np.asarray(-np.log(clipped[np.arange(len(clipped)), self.y_true]))

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """`(K, K)`: row i, column j counts images of class i predicted as class j; `(K, 2, 2)` with several labels."""
        from sklearn import metrics

        if self.multi_label:
            return np.asarray(metrics.multilabel_confusion_matrix(self.y_true, self.y_pred))
        return np.asarray(metrics.confusion_matrix(self.y_true, self.y_pred, labels=range(len(self.classes))))

    @cached_property
    def per_class(self) -> dict[Any, dict[str, float]]:
        """Precision, recall, F1 and support of each class; 0 where a figure has nothing to divide by."""
        from sklearn.metrics import precision_recall_fscore_support

        labels = range(len(self.classes))
        rows = precision_recall_fscore_support(self.y_true, self.y_pred, labels=labels, zero_division=0)
        names = ("precision", "recall", "f1", "support")
        return {
            name: dict(zip(names, map(float, row), strict=True))
            for name, row in zip(self.classes, zip(*rows, strict=True), strict=True)
        }

    @cached_property
    def _figures(self) -> dict[str, float]:
        per_class = {name: [row[name] for row in self.per_class.values()] for name in ("precision", "recall", "f1")}
        present = [row["recall"] for row in self.per_class.values() if row["support"]]
        right = (self.y_true == self.y_pred).reshape(len(self.y_true), -1).all(axis=1)
        return {
            "accuracy": float(right.mean()),
            "balanced_accuracy": float(np.mean(present)) if present else 0.0,
            "macro_precision": float(np.mean(per_class["precision"])),
            "macro_recall": float(np.mean(per_class["recall"])),
            "macro_f1": float(np.mean(per_class["f1"])),
            "log_loss": float(self.losses.mean()),
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

    def __getitem__(self, name: str) -> float:
        return self._figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)

    # --- tables --------------------------------------------------------------------------------------------------

    def report(self, *, digits: int = 3) -> str:
        """Return scikit-learn's `classification_report` as text."""
        from sklearn.metrics import classification_report

        return str(
            classification_report(
                self.y_true,
                self.y_pred,
                labels=range(len(self.classes)),
                target_names=[str(name) for name in self.classes],
                digits=digits,
                zero_division=0,
            )
        )

    @property
    def table(self) -> "pd.DataFrame":
        """One row an image: id, true, predicted, probability of the predicted class, loss."""
        import pandas as pd

        return pd.DataFrame(
            {
                "id": self.ids,
                "true": [self._names(code) for code in self.y_true],
                "predicted": [self._names(code) for code in self.y_pred],
                "probability": self.probabilities.max(axis=1),
                "loss": self.losses,
            }
        )

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas frame of precision, recall, F1 and support, one row a class."""
        import pandas as pd

        return pd.DataFrame(self.per_class).T

    def to_json(self) -> str:
        """Return the figures, the figures of each class and the confusion matrix as JSON text.

        `images` counts those measured, `quarantined` those left out.
        """
        return json.dumps(
            {
                "images": len(self.y_true),
                "quarantined": len(self.quarantined),
                **self._figures,
                "per_class": {str(name): row for name, row in self.per_class.items()},
                "confusion": self.confusion.tolist(),
            },
            allow_nan=False,
        )

    def most_confused(self, n: int = 5) -> list[tuple[Any, Any, int]]:
        """Return the `n` commonest mistakes as (true, predicted, number of images), the commonest first."""
        if self.multi_label:
            return []
        wrong = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-wrong, axis=None, kind="stable")[:n]
        pairs = zip(*np.unravel_index(order, wrong.shape), strict=True)
        return [(self.classes[i], self.classes[j], int(wrong[i, j])) for i, j in pairs if wrong[i, j]]

    def top_losses(self, n: int = 9) -> "pd.DataFrame":
        """Return the `n` rows of `table` with the highest loss: the images that the model finds hardest."""
        return self.table.sort_values("loss", ascending=False, kind="stable").head(n)

    # --- pictures ------------------------------------------------------------------------------------------------

    def plot(self, *, normalize: bool = False, ax: "Axes | None" = None) -> "Axes":
        """Draw the confusion matrix.

        Raises:
            DataError: Images have several labels: there is one matrix for each class, in `confusion`.
        """
        if self.multi_label:
            message = "with several labels an image there is one 2 x 2 matrix for each class: see confusion (K, 2, 2)."
            raise DataError(message)
        return plotting.confusion_matrix(self.confusion, self.classes, normalize=normalize, ax=ax)

    def show_top_losses(self, n: int = 9) -> NDArray[Any]:
        """Draw the `n` images with the highest loss, titled "true → predicted", and return the Axes (n,)."""
        return self.show(np.argsort(-self.losses, kind="stable")[:n])

    def show(self, positions: Sequence[int] | NDArray[np.int64] | None = None) -> NDArray[Any]:
        """Draw images with their true and predicted labels, wrong ones in red, and return the Axes.

        Args:
            positions: Which images; None for the first 16.

        Raises:
            DataError: The evaluation was made without `read`, so it has no images.
        """
        if self._read is None:
            message = "this evaluation has no images to show. Make it by classifier.evaluate(data), or give read=."
            raise DataError(message)
        chosen = range(min(16, len(self.y_true))) if positions is None else [int(position) for position in positions]
        titles, wrong = [], []
        for index in chosen:
            true, predicted = self._names(self.y_true[index]), self._names(self.y_pred[index])
            wrong.append(true != predicted)
            titles.append(f"{true} → {predicted}" if wrong[-1] else f"{predicted}")
        axes = plotting.image_grid([self._read(index) for index in chosen], titles, wrong=wrong)
        if len(axes):  # none where nothing is wrong
            axes[0].figure.suptitle("predicted label; wrong ones in red: ✗ true → predicted", fontsize=10)
        return axes

    def __str__(self) -> str:
        figures = "   ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in self.items())
        found, left_out = len(self.y_true), len(self.quarantined)
        lacking = f"{left_out:,} of {found + left_out:,} images cannot be read and are left out\n" * bool(left_out)
        return f"{found:,} images, {len(self.classes)} classes\n{lacking}{figures}\n\n{self.report()}"

    def __repr__(self) -> str:
        return f"Evaluation({len(self.y_true):,} images, accuracy {self.accuracy:.3f}, macro F1 {self.macro_f1:.3f})"

    def _names(self, code: Any) -> Any:
        return tuple(self.classes[one] for one in np.flatnonzero(code)) if self.multi_label else self.classes[code]
