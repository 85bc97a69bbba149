"""The figures of an epoch's validation."""

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
        positions: The images that they belong to: all, but for those in quarantine on their worker, and those for which
            the model gives no number while it does for others.
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
        self._placement, self._metrics, self._warned = placement, metrics, False

    def compile(self) -> None:
        """Compile inference, once the model has the weights of the run: statistics to scale by are constants in it."""
        self._run = _backend.compiled(self._model)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._batches)

    def measure(self, between: Callable[[], None]) -> dict[str, float]:
        """Return "val_loss", "val_accuracy" and the metrics, after `compile`.

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
        self.positions, self.outputs = self._numbers_of(positions, table[positions, 1:])
        targets = self.targets[self.positions]
        loss = self._goal(targets, self.outputs, np.ones(len(self.outputs), np.float32))
        figures = {"val_loss": float(loss), "val_accuracy": self._goal.accuracy(targets, self.outputs)}
        return figures | measured(self._metrics, self._goal, targets, self.outputs)

    def _numbers_of(
        self, positions: "NDArray[np.int64]", outputs: "NDArray[np.float32]"
    ) -> "tuple[NDArray[np.int64], NDArray[np.float32]]":
        """Leave out images for which the model gives NaN or infinity: one would make the figures of all NaN.

        A warning names them once. Where it gives no number for any image, no image is the cause, and all stay.
        """
        there = np.asarray(np.isfinite(outputs).all(axis=1))
        if there.all() or not there.any():
            return positions, outputs
        if not self._warned:
            self._warned = True
            names = [self._batches.dataset.ids[place] for place in positions[~there].tolist()]
            of, left_out = f"{len(there):,} validation images", "val_loss and val_accuracy leave them out"
            warn(_checks.without_numbers(names, of, left_out), DataWarning)
        return positions[there], outputs[there]
