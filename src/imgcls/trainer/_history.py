"""`History`: one row an epoch."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import plotting

if TYPE_CHECKING:
    import pandas as pd


_WIDTH = 7  # of a column, at least: with the figures of `fit`, a line of 74 signs


@final
class History(Mapping[str, list[float]]):
    """What training measured: a mapping from a name to one number for each epoch.

    Names: "loss", "accuracy", "learning_rate"; with validation data also "val_loss", "val_accuracy", and those of
    metrics and of what callbacks wrote into `logs` at the end of an epoch, NaN for epochs without.

    Args:
        columns: Names with their numbers.
        seconds: How long training took.
        best_epoch: The epoch, from 1, whose weights the model has; None for the last.
        interrupted: Whether Ctrl-C ended training, as a rule early.
        quarantined: The ids of images that were left out because they could not be read, each with the reason. It is
            not saved with a classifier, because reasons hold paths.
        advice: What went wrong while training, in words, with what helps; nothing where all went well.

    Examples:
        >>> from imgcls import History
        >>> history = History({"loss": [0.9, 0.4]})
        >>> history["loss"], history.epochs
        ([0.9, 0.4], 2)
        >>> history.last()
        'loss 0.4'
    """

    def __init__(
        self,
        columns: Mapping[str, list[float]] | None = None,
        *,
        seconds: float = 0.0,
        best_epoch: int | None = None,
        interrupted: bool = False,
        quarantined: Mapping[str, str] | None = None,
        advice: Sequence[str] = (),
    ) -> None:
        self._columns = {
            name: [math.nan if value is None else value for value in values]  # a bundle has null for NaN
            for name, values in (columns or {}).items()
        }
        self.seconds = seconds
        self.best_epoch = best_epoch
        self.interrupted = interrupted
        self.quarantined = dict(quarantined or {})
        self.advice = list(advice)

    def append(self, row: Mapping[str, float]) -> None:
        """Add the numbers of one epoch."""
        before = max(map(len, self._columns.values()), default=0)
        for name in [*self._columns, *(name for name in row if name not in self._columns)]:
            column = self._columns.setdefault(name, [math.nan] * before)
            column.append(float(row.get(name, math.nan)))

    def last(self) -> str:
        """Return the numbers of the last epoch as one line of text."""
        return "  ".join(f"{name} {values[-1]:.4g}" for name, values in self._columns.items())

    def row(self, epochs: int) -> tuple[str, str]:
        """Return a heading, and the numbers of the last epoch as the row of a table below it.

        Args:
            epochs: How many epochs there will be, at most.

        Examples:
            >>> from imgcls import History
            >>> for line in History({"loss": [0.9, 0.4], "learning_rate": [0.002, 0.0004]}, seconds=7.8).row(5):
            ...     print(line)
              epoch     loss  learning_rate    after
                2/5   0.4000         0.0004      8 s
        """
        texts = {name: _decimals(values[-1]) for name, values in self._columns.items()}
        texts = {"epoch": f"{self.epochs}/{epochs}", **texts, "after": f"{self.seconds:,.0f} s"}
        widths = [max(len(name), _WIDTH) for name in texts]
        heading, row = (
            "  ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True))
            for line in (texts, texts.values())
        )
        return heading, row

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self._columns.get("loss", []))

    def __getitem__(self, name: str) -> list[float]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas frame with one row for each epoch, counted from 1."""
        import pandas as pd

        return pd.DataFrame(self._columns, index=pd.RangeIndex(1, self.epochs + 1, name="epoch"))

    def plot(self) -> NDArray[Any]:
        """Draw loss and accuracy over epochs side by side, and return both Axes."""
        from matplotlib import pyplot as plt

        axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")[1]
        for ax, metric in zip(axes, ("loss", "accuracy"), strict=True):
            plotting.curves(self._columns, metric, ax=ax)
            if self.best_epoch is not None:
                ax.axvline(self.best_epoch, color="gray", linewidth=1, linestyle=":", label="weights kept")
                ax.legend()
        return np.asarray(axes)

    def __repr__(self) -> str:
        return f"History({self.epochs} epochs in {self.seconds:.0f} s; last: {self.last()})"


def _decimals(value: float) -> str:
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.01 else f"{value:.3g}"
