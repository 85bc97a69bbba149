"""The moving average of the weights, where the optimizer keeps one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

import numpy as np


@final
class Average:
    """Puts the average in place of the weights.

    Args:
        model: A compiled `keras.Model`.

    Attributes:
        taken: Whether the average is the weights now; set it where weights are put back by others.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.taken = False

    @contextmanager
    def lent(self, *, stays: Callable[[], bool]) -> Iterator[None]:
        """Let the average be the weights for a while, to be validated.

        Args:
            stays: Called at the end: whether the average stays, since training is over.
        """
        if not self._engine.use_ema:
            yield
            return
        variables = self._model.trainable_variables
        raw = [np.array(variable.numpy()) for variable in variables]
        self.taken = False  # steps were done since
        self.take()
        over = False
        try:
            yield
            over = stays()
        finally:
            if not over:
                self.taken = False  # first: whoever is interrupted below takes it as a whole
                for variable, value in zip(variables, raw, strict=True):
                    variable.assign(value)

    def take(self) -> None:
        """Let the average be the weights, where it is not yet, and where a step was done: before, it is all zeros."""
        if self._engine.use_ema and not self.taken and int(self._engine.iterations.numpy()):
            self._engine.finalize_variable_values(self._model.trainable_variables)
            self.taken = True

    @property
    def _engine(self) -> Any:
        """Return the optimizer that keeps the average, which may stand in one that scales the loss."""
        return getattr(self._model.optimizer, "inner_optimizer", self._model.optimizer)
