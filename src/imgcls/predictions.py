"""`Prediction` for one image, `Predictions` for many."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import plotting

if TYPE_CHECKING:
    import pandas as pd

Reader = Callable[[], NDArray[np.uint8]]


@final
@dataclass(frozen=True, slots=True)
class Prediction:
    """What the classifier says about one image. Prints as "daisy 0.97".

    Attributes:
        label: The class, or with several labels an image a tuple of the classes with a probability of at least 0.5.
        probability: The probability of the likeliest class.
        probabilities: Each class with its probability, the likeliest first.
        id: The name of the image.
        candidates: Where sets were asked for, the classes of which one is true as often as was promised; the likeliest
            comes first.
        unknown: Whether the image is not answered: unlike what was learnt from, or not sure enough, as was asked.
    """

    label: Any
    probability: float
    probabilities: dict[Any, float]
    id: str = ""
    candidates: tuple[Any, ...] | None = None
    unknown: bool = False
    _read: Reader | None = field(default=None, repr=False, compare=False)

    def show(self) -> NDArray[Any]:
        """Draw the image with its predicted label and probability, and return the Axes (1,)."""
        if self._read is None:
            message = "this prediction has no image to show."
            raise ValueError(message)
        return plotting.image_grid([self._read()], [str(self)])

    @property
    def answer(self) -> Any:
        """The label; or a tuple of the classes that it may be; or "unknown"."""
        if self.unknown or self.candidates == ():
            return "unknown"
        return self.label if self.candidates is None or self.candidates == (self.label,) else self.candidates

    def __str__(self) -> str:
        if self.unknown or self.candidates == ():
            return "unknown"
        if self.candidates is not None and len(self.candidates) > 1:
            return " or ".join(map(str, self.candidates))
        if self.label == ():
            return f"none ({next(iter(self.probabilities), '')} {self.probability:.2f})"
        label = ", ".join(map(str, self.label)) if isinstance(self.label, tuple) else self.label
        return f"{label} {self.probability:.2f}"


@final
class Predictions(Sequence[Prediction]):
    """What the classifier says about N images.

    Works wherever an array of labels is accepted: in NumPy, pandas and scikit-learn's metrics it is the array
    `labels`. Indexed by an integer it gives a `Prediction`.

    Args:
        probabilities: `float32 (N, K)`.
        classes: K classes.
        ids: N names of the images.
        multi_label: Whether an image may have several labels.
        read: A function from a position to the image there; needed to show images.
        sets: `bool (N, K)`: which classes each image may be; None where that was not asked.
        unknown: `bool (N,)`: which images are not answered; None for none.

    Attributes:
        probabilities: `float32 (N, K)`.
        classes: K classes.
        ids: N names.
        labels: The likeliest class of each image `(N,)`; or with several labels an indicator `uint8 (N, K)`.
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
    """

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
    ) -> None:
        self.sets = sets
        self.unknown = np.zeros(len(ids), bool) if unknown is None else unknown
        self.probabilities = np.asarray(probabilities)
        self.classes = tuple(classes)
        self.ids = tuple(ids)
        self._multi_label = multi_label
        self._read = read
        if multi_label:
            self.labels: NDArray[Any] = (self.probabilities >= 0.5).astype(np.uint8)
        else:
            self.labels = np.array(self.classes)[self.probabilities.argmax(axis=1)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.labels, dtype=dtype, copy=copy)

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
            unknown=self.unknown[chosen],
        )

    def __iter__(self) -> Iterator[Prediction]:
        return (self._one(position) for position in range(len(self)))

    @property
    def answers(self) -> list[Any]:
        """What is said of each image: its label, a tuple of the classes that it may be, or "unknown"."""
        return [one.answer for one in self]

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas frame: id, label, probability, and one column of probabilities for each class.

        Where it was asked to abstain, "answer" stands after the label: a class, several joined by "|", or "unknown".
        """
        import pandas as pd

        head = {
            "id": self.ids,
            "label": [one.label for one in self],
            **self._answered(),
            "probability": self.probabilities.max(axis=1),
        }
        columns = [str(name) for name in self.classes]
        return pd.concat([pd.DataFrame(head), pd.DataFrame(self.probabilities, columns=columns)], axis=1)

    def show(self, n: int = 16) -> NDArray[Any]:
        """Draw the first `n` images with their predicted labels and return the Axes (n,)."""
        if self._read is None:
            message = "these predictions have no images to show."
            raise ValueError(message)
        chosen = range(min(n, len(self)))
        return plotting.image_grid(
            [self._read(position) for position in chosen], [str(self[index]) for index in chosen]
        )

    def __repr__(self) -> str:
        return f"Predictions({len(self):,} images, {len(self.classes)} classes)"

    def _one(self, position: int) -> Prediction:
        row = self.probabilities[position]
        order = np.argsort(-row, kind="stable")
        label = self.labels[position]
        if self._multi_label:
            label = tuple(self.classes[code] for code in np.flatnonzero(label))
        else:
            label = self.classes[order[0]]
        read = self._read
        return Prediction(
            label,
            float(row[order[0]]),
            {self.classes[code]: float(row[code]) for code in order},
            self.ids[position],
            candidates=None
            if self.sets is None
            else tuple(self.classes[code] for code in order if self.sets[position, code]),
            unknown=bool(self.unknown[position]),
            _read=None if read is None else lambda: read(position),
        )

    def _answered(self) -> dict[str, list[str]]:
        if self.sets is None and not self.unknown.any():
            return {}
        answers = ("|".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in self.answers)
        return {"answer": list(answers)}


@final
class Similar(Sequence[str]):
    """The images most like another, the likest first: a sequence of their ids.

    Attributes:
        ids: Their names.
        labels: Their classes; empty where they have none.
        similarities: The cosine of the angle between their features and those of the image, from 1 downwards.
    """

    def __init__(
        self,
        ids: Sequence[str],
        similarities: Sequence[float],
        *,
        labels: Sequence[Any] = (),
        read: Callable[[int], NDArray[np.uint8]] | None = None,
    ) -> None:
        self.ids, self.labels, self.similarities = tuple(ids), tuple(labels), tuple(similarities)
        self._read = read

    @classmethod
    def nearest(cls, wanted: NDArray[np.float32], features: NDArray[np.float32], dataset: Any, k: int) -> "Similar":
        """Search by brute force: N products of D numbers.

        Args:
            wanted: `float32 (D,)`.
            features: `float32 (N, D)`.
            dataset: The N images.
            k: How many are wanted, at most.
        """
        lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(wanted)
        similarities = features @ wanted / np.maximum(lengths, 1e-12)
        order = np.argsort(-similarities, kind="stable")[:k]
        found = dataset[order]
        names = dataset.classes
        labels = () if found.labels is None or found.multi_label else [names[code] for code in found.labels]
        return cls(found.ids, similarities[order].tolist(), labels=labels, read=found.read)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Any:
        return self.ids[index]

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas frame with the columns `id`, `label` where there are labels, and `similarity`."""
        import pandas as pd

        labels = {"label": self.labels} if self.labels else {}
        return pd.DataFrame({"id": self.ids, **labels, "similarity": self.similarities})

    def show(self) -> NDArray[Any]:
        """Draw the images with their similarities, and return the Axes."""
        if self._read is None:
            message = "there are no images to show."
            raise ValueError(message)
        names = self.labels or self.ids
        titles = [f"{name} {similarity:.2f}" for name, similarity in zip(names, self.similarities, strict=True)]
        return plotting.image_grid([self._read(index) for index in range(len(self))], titles)

    def __repr__(self) -> str:
        pairs = [f"{name!r} {similarity:.2f}" for name, similarity in zip(self.ids, self.similarities, strict=True)]
        return f"Similar({', '.join(pairs)})"
