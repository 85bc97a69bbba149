"""The figures of an epoch's validation."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

import numpy as np

from imgcls import _backend
from imgcls.datasets import Batches
from imgcls.inference import outputs
from imgcls.trainer._objective import Objective

if TYPE_CHECKING:
    from numpy.typing import NDArray


@final
class Validation:
    """Measures a model on images that it does not learn from.

    Args:
        model: The model.
        batches: The images.
        goal: The loss to measure by.

    Attributes:
        targets: What the loss compares outputs with, for each image.
        outputs: Of the last measurement, `float32 (N, ...)`; None before it.
        positions: The images that they belong to: all, but for those in quarantine.
    """

    def __init__(self, model: Any, batches: Batches, goal: Objective) -> None:
        self.targets = goal.targets(np.asarray(batches.dataset.labels))
        self.outputs: NDArray[np.float32] | None = None
        self.positions = np.arange(len(self.targets))
        self._run, self._batches, self._goal = _backend.compiled(model), batches, goal

    def measure(self, between: Callable[[], None]) -> dict[str, float]:
        """Return "val_loss" and "val_accuracy"; `between` is called between batches, and may raise."""
        self.outputs, self.positions = outputs(self._run, self._batches, lambda _: between())
        targets = self.targets[self.positions]
        loss = self._goal(targets, self.outputs, np.ones(len(self.outputs), np.float32))
        return {"val_loss": float(loss), "val_accuracy": self._goal.accuracy(targets, self.outputs)}
