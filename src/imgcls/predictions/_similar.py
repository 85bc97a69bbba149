"""What is most like an image."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import plotting
from imgcls.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


@final
class Similar(Sequence[str]):
    """The images most like another, the likest first: a sequence of their ids.

    Attributes:
        ids: Their names.
        labels: Their classes; empty where they have none.
        similarities: The cosine of the angle between their features and those of the image, from 1 downwards.

    Examples:
        >>> from imgcls.predictions import Similar
        >>> found = Similar(["b.jpg", "c.jpg"], [0.98, 0.61], labels=["cat", "dog"])
        >>> found
        Similar('b.jpg' 0.98, 'c.jpg' 0.61)
        >>> found[0], found.labels[0], len(found)
        ('b.jpg', 'cat', 2)
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

        Examples:
            >>> import numpy as np
            >>> from imgcls import Dataset
            >>> from imgcls.predictions import Similar
            >>> dataset = Dataset.from_arrays(np.zeros((3, 8, 8), np.uint8), ids=["a.jpg", "b.jpg", "c.jpg"])
            >>> features = np.float32([[0, 1], [2, 0], [3, 1]])
            >>> Similar.nearest(np.float32([1, 0]), features, dataset, k=2)  # the angle counts, and not the length
            Similar('b.jpg' 1.00, 'c.jpg' 0.95)
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
        """Draw the images with their similarities, and return the Axes.

        Raises:
            DataError: They were named without `read`, so there are no images.
        """
        if self._read is None:
            message = "there are no images to show. Find them by classifier.similar(image), or give read=."
            raise DataError(message)
        names = self.labels or self.ids
        titles = [f"{name} {similarity:.2f}" for name, similarity in zip(names, self.similarities, strict=True)]
        return plotting.image_grid([self._read(index) for index in range(len(self))], titles)

    def __repr__(self) -> str:
        pairs = [f"{name!r} {similarity:.2f}" for name, similarity in zip(self.ids, self.similarities, strict=True)]
        return f"Similar({', '.join(pairs)})"
