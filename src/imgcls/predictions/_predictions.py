"""What a classifier says about many images."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import plotting
from imgcls._replace import permit_as
from imgcls._thresholds import Thresholds, foremost
from imgcls.errors import DataError
from imgcls.predictions._answers import Answers, check_path, unwritable
from imgcls.predictions._prediction import Prediction
from imgcls.predictions._rows import Rows, check_columns, joined

if TYPE_CHECKING:
    import pandas as pd


@final
class Predictions(Sequence[Prediction], np.lib.mixins.NDArrayOperatorsMixin):
    """What the classifier says about N images.

    Works wherever an array of labels is accepted: in NumPy, pandas and scikit-learn's metrics it is the array
    `labels`. So `==` and `!=` compare label by label, and give an array of bool; beside a column of pandas, a column.
    `in`, `count` and `index` look for a label, too. Indexed by an integer it gives a `Prediction`.

    Args:
        probabilities: `float32 (N, K)`.
        classes: K classes.
        ids: N names of the images.
        multi_label: Whether an image may have several labels.
        read: A function from a position to the image there; needed to show images.
        sets: `bool (N, K)`: which classes each image may be; None where that was not asked.
        unknown: `bool (N,)`: which images are not answered; None for none.
        thresholds: {class: probability} from which on it is said, in place of the likeliest class or of one half: with
            several labels an image of any classes, with one label of one of two.

    Attributes:
        probabilities: `float32 (N, K)`.
        classes: K classes.
        ids: N names.
        labels: What is said of each image `(N,)`: the likeliest class, but for thresholds; or with several labels an
            indicator `uint8 (N, K)`.
        sets: As given.
        unknown: As given.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Predictions
        >>> probabilities = np.array([[0.9, 0.1], [0.3, 0.7]])
        >>> predictions = Predictions(probabilities, classes=["cat", "dog"], ids=["a.jpg", "b.jpg"])
        >>> predictions.labels
        array(['cat', 'dog'], dtype='<U3')
        >>> print(predictions[1])
        dog 0.70
        >>> [str(name) for name in np.asarray(predictions)]
        ['cat', 'dog']
        >>> predictions == ["cat", "cat"]
        array([ True, False])
        >>> "dog" in predictions, predictions.count("dog"), predictions.index("dog")
        (True, 1, 1)
    """

    __pandas_priority__ = 5_000  # above a frame's 4,000: pandas leaves `column == predictions` to us
    __hash__ = None  # type: ignore[assignment]  # as an array, which has no one answer to `==`

    def __init__(
        self,
        probabilities: NDArray[Any],
        *,
        classes: Sequence[Any],
        ids: Sequence[str],
        multi_label: bool = False,
        read: Callable[[int], NDArray[np.uint8]] | None = None,
        sets: NDArray[np.bool_] | None = None,
        unknown: NDArray[np.bool_] | None = None,
        thresholds: Mapping[Any, float] | None = None,
    ) -> None:
        self.sets, self._abstaining = sets, sets is not None or unknown is not None
        self.unknown = np.zeros(len(ids), bool) if unknown is None else unknown
        given = np.asarray(probabilities)
        self.probabilities = given if given.dtype.kind == "f" else given.astype(np.float64)  # 0.5 is no whole number
        plain = (name.item() if isinstance(name, np.generic) else name for name in classes)  # JSON knows no NumPy
        self.classes = tuple(plain)
        self.ids = tuple(ids)
        self._multi_label = multi_label
        self._read = read
        self._thresholds = Thresholds(thresholds, self.classes, multi_label=multi_label)
        self._said = self._thresholds.said(self.probabilities)
        self._foremost = foremost(self.probabilities, self._said)
        self.labels: NDArray[Any] = self._said if multi_label else np.array(self.classes)[self._said]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.labels, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return getattr(ufunc, method)(*map(_labels, inputs), **options)

    def __eq__(self, other: object) -> Any:
        return self.labels == _labels(other)  # of other kinds nothing is equal, where `np.equal` raises

    def __ne__(self, other: object) -> Any:
        return self.labels != _labels(other)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Any:
        """Return the `Prediction` at an integer; the `Predictions` of a slice, a boolean mask or positions."""
        if isinstance(index, int | np.integer):
            return self._one(range(len(self))[index])
        chosen = np.arange(len(self))[index]
        read = self._read
        return Predictions(
            self.probabilities[chosen],
            classes=self.classes,
            ids=[self.ids[position] for position in chosen],
            multi_label=self._multi_label,
            read=None if read is None else lambda position: read(int(chosen[position])),
            sets=None if self.sets is None else self.sets[chosen],
            unknown=self.unknown[chosen] if self._abstaining else None,
            thresholds=self._thresholds.given,
        )

    def __iter__(self) -> Iterator[Prediction]:
        return (self._one(position) for position in range(len(self)))

    def __contains__(self, label: object) -> bool:
        return bool(self._places(label))

    def count(self, label: Any) -> int:
        """Return how many images have a label; with several labels an image, how many have it among them."""
        return len(self._places(label))

    def index(self, label: Any, start: int = 0, stop: int | None = None) -> int:
        """Return the position of the first image that has a label, from `start` on and before `stop`.

        Raises:
            DataError: None has it; a `ValueError`, as of a list.
        """
        asked = range(len(self))[start:stop]
        place = next((position for position in self._places(label) if position in asked), None)
        if place is None:
            message = f"{label!r} is said of none of these {len(asked):,} images. Ask `label in predictions` first."
            raise DataError(message)
        return place

    @property
    def answers(self) -> list[Any]:
        """What is said of each image: its label, a tuple of the classes that it may be, or "unknown"."""
        return [one.answer for one in self]

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas frame: id, label, its probability, and one column of probabilities for each class.

        With several labels an image, the probability is that of the likeliest of them; where none is said, that of the
        likeliest class.

        Where it was asked to abstain, "answer" stands after the label: a class, several joined by "|", or "unknown".

        Raises:
            ConfigurationError: A class has the name of another column.
        """
        import pandas as pd

        head = {
            "id": self.ids,
            "label": [one.label for one in self],
            **self._answered(),
            "probability": self.probabilities[np.arange(len(self)), self._foremost],
        }
        columns = [str(name) for name in self.classes]
        check_columns([*head, *columns], instead="`labels` and `probabilities`, which are arrays")
        return pd.concat([pd.DataFrame(head), pd.DataFrame(self.probabilities, columns=columns)], axis=1)

    def save(self, path: str | Path) -> Path:
        """Write a table, a row for each image: `.csv`, `.jsonl` or `.parquet`. An existing file is replaced.

        Raises:
            ConfigurationError: The ending is not known, what writes Parquet is not installed, or a class has the name
                of another column of a .csv or .parquet file.
            DataError: The file cannot be written.

        Examples:
            >>> import numpy as np
            >>> from imgcls import Predictions
            >>> predictions = Predictions(np.array([[0.9, 0.1]]), classes=["cat", "dog"], ids=["a.jpg"])
            >>> print(predictions.save("answers.jsonl").read_text().rstrip())
            {"id": "a.jpg", "label": "cat", "probability": 0.9, "probabilities": {"cat": 0.9, "dog": 0.1}}
        """
        path = Path(path)
        check_path(path, Rows(self.classes, self._abstaining))
        partial = path.with_name(f".{secrets.token_hex(4)}.{path.name}")  # of this writer alone
        journal = partial.with_name(f".{partial.name}.jsonl")
        try:
            with Answers(partial, self.classes, abstaining=self._abstaining) as answers:
                answers.add(self)
            permit_as(path, partial)
            partial.replace(path)
        except (OSError, DataError) as error:  # a DataError speaks of the partial file
            raise unwritable(path, error if isinstance(error, OSError) else error.__cause__) from error
        finally:
            for left in (partial, journal):
                with suppress(OSError):
                    left.unlink()
        return path

    def show(self, n: int = 16) -> NDArray[Any]:
        """Draw the first `n` images with their predicted labels and return the Axes (n,).

        Raises:
            DataError: The predictions were made without `read`, or were pickled or copied, so they have no images.
        """
        if self._read is None:
            message = (
                "these predictions have no images to show: none were given, or they were pickled or copied. "
                "Make them by classifier.predict(images), or give read=."
            )
            raise DataError(message)
        chosen = range(min(n, len(self)))
        return plotting.image_grid(
            [self._read(position) for position in chosen], [str(self[index]) for index in chosen]
        )

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_read": None}  # images hang on it, and functions that cannot be pickled

    def __repr__(self) -> str:
        return f"Predictions({len(self):,} images, {len(self.classes)} classes)"

    def _one(self, position: int) -> Prediction:
        row = self.probabilities[position]
        order = np.argsort(-row, kind="stable")
        read = self._read
        return Prediction(
            self._label(position),
            float(row[self._foremost[position]]),
            {self.classes[code]: float(row[code]) for code in order},
            self.ids[position],
            candidates=None
            if self.sets is None
            else tuple(self.classes[code] for code in order if self.sets[position, code]),
            unknown=bool(self.unknown[position]),
            _read=None if read is None else lambda: read(position),
        )

    def _places(self, wanted: Any) -> list[int]:
        """Return where a label is said, or one of several labels, or where this very prediction stands."""
        if isinstance(wanted, Prediction):
            return [position for position, one in enumerate(self) if one == wanted]
        labels = map(self._label, range(len(self))) if self._multi_label else self.labels.tolist()
        return [place for place, said in enumerate(labels) if said == wanted or (self._multi_label and wanted in said)]

    def _label(self, position: int) -> Any:
        said = self._said[position]
        return tuple(self.classes[code] for code in np.flatnonzero(said)) if self._multi_label else self.classes[said]

    def _answered(self) -> dict[str, list[str]]:
        if not self._abstaining:
            return {}
        return {"answer": [joined(one) for one in self.answers]}


def _labels(other: Any) -> Any:
    return other.labels if isinstance(other, Predictions) else other
