"""The figures of an epoch's validation."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from imgcls import _backend, _checks
from imgcls._warnings import warn
from imgcls.datasets import Batches
from imgcls.errors import DataWarning
from imgcls.trainer._metrics import measured
from imgcls.trainer._objective import Objective

if TYPE_CHECKING:
    from numpy.typing import NDArray


@final
class Validation:
    """Measures a model on images that it does not learn from; each worker answers its part of every batch.

    Args:
        model: The model.
        batches: The images.
        goal: The loss to measure by.
        placement: Which worker this is, and the others.
        metrics: Keras metrics to measure too.

    Attributes:
        targets: What the loss compares outputs with, for each image.
        outputs: Of the last measurement, `float32 (N, ...)`; None before it.
        positions: The images that they belong to: all, but for those in quarantine on their worker, and those that are
            left out.
    """

    def __init__(
        self,
        model: Any,
        batches: Batches,
        goal: Objective,
        placement: _backend.Placement,
        metrics: Sequence[Any] = (),
    ) -> None:
        self.targets = goal.targets(np.asarray(batches.dataset.labels))
        self.outputs: NDArray[np.float32] | None = None
        self.positions = np.arange(len(self.targets))
        self._model, self._batches, self._goal = model, batches, goal
        self._placement, self._metrics = placement, metrics
        self._left_out: NDArray[np.bool_] | None = None  # which; before anything is measured, nobody knows
        self._warned = False

    def compile(self) -> None:
        """Compile inference, once the model has the weights of the run: statistics to scale by are constants in it."""
        self._run = _backend.compiled(self._model)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._batches)

    @property
    def left_out(self) -> list[int] | None:
        """The images that no epoch counts: those without a number when they were first measured; None before that.

        They are part of the state of a run, as positions in the dataset that was given, so that one that goes on is
        measured as it was before.
        """
        positions: list[int] | None = None if self._left_out is None else self._batches.used[self._left_out].tolist()
        return positions

    @left_out.setter
    def left_out(self, positions: Sequence[int] | None) -> None:
        self._left_out = None if positions is None else np.isin(self._batches.used, positions)

    def measure(self, between: Callable[[], None]) -> dict[str, float]:
        """Return "val_loss", "val_accuracy" and the metrics, after `compile`.

        All measurements are of the same images. Where the model has no number any more for one that counts, the loss
        and the metrics are NaN, and the image is wrong.

        Args:
            between: Called between batches; it may raise.

        Raises:
            UnreadableImageError: No image can be read any more.
            TrainingError: One image alone does not fit into memory.
        """
        table = np.zeros((len(self.targets), 1 + self._goal.outputs), np.float32)  # whether answered, and the answer
        for images, positions in self._batches.in_order(part=(self._placement.worker, self._placement.workers)):
            between()
            if len(positions):
                table[positions, 0], table[positions, 1:] = 1, self._run(images)
        table = self._placement.total(table)
        positions = np.flatnonzero(table[:, 0])
        if not len(positions):  # a worker alone cannot know
            raise self._batches.refusal()
        self.positions = self._counted(positions, np.asarray(np.isfinite(table[positions]).all(axis=1)))
        self.outputs = table[self.positions, 1:]
        targets, there = self.targets[self.positions], np.isfinite(self.outputs).all(axis=1)
        if not there.all():
            right = self._goal.accuracy(targets[there], self.outputs[there]) * there.mean() if there.any() else 0.0
            figures = {"val_loss": math.nan, "val_accuracy": float(right)}
            return figures | {f"val_{one.name}": math.nan for one in self._metrics}
        loss = self._goal(targets, self.outputs, np.ones(len(self.outputs), np.float32))
        figures = {"val_loss": float(loss), "val_accuracy": self._goal.accuracy(targets, self.outputs)}
        return figures | measured(self._metrics, self._goal, targets, self.outputs)

    def _counted(self, positions: "NDArray[np.int64]", there: "NDArray[np.bool_]") -> "NDArray[np.int64]":
        """Leave out images for which the model gave NaN or infinity at first: one would make the figures of all NaN.

        A warning names them once. Where it gives no number for any image, no image is the cause, and all stay.

        Args:
            positions: The images that were answered, `(n,)`.
            there: For which of them there are numbers, `(n,)`.
        """
        if self._left_out is None and there.any():
            self._left_out = np.isin(np.arange(len(self.targets)), positions[~there])
        if self._left_out is None:
            return positions
        if self._left_out.any() and not self._warned:
            self._warned = True
            names = [self._batches.dataset.ids[place] for place in np.flatnonzero(self._left_out).tolist()]
            of, left_out = f"{len(positions):,} validation images", "val_loss and val_accuracy leave them out"
            warn(_checks.without_numbers(names, of, left_out), DataWarning)
        return positions[~self._left_out[positions]]
