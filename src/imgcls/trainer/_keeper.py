"""The state of a training, kept in memory to go back to and in checkpoints, as often as that costs little."""

import time
from collections.abc import Callable
from typing import final

import numpy as np

from imgcls.trainer._checkpoint import Checkpoints, State

SAVE_SECONDS = 30.0  # between two checkpoints, at least
SAVE_SHARE = 50  # a state is kept after so many times what keeping one costs: below 2 % of a run
VARIABLE = "variable "  # what their names in a state begin with; callbacks have arrays too


class NotANumberError(Exception):
    """The loss, or what was learnt, is NaN or infinite."""


@final
class Keeper:
    """Keeps the last good state in memory, and states in checkpoints.

    Args:
        checkpoints: Where states are kept beyond memory, or None.
        state: Where training begins.

    Attributes:
        good: The state to go back to when the loss is not a number.
    """

    def __init__(self, checkpoints: Checkpoints | None, state: State) -> None:
        self._checkpoints, self.good = checkpoints, state
        self._saved = self._noted = time.monotonic()
        self._saving = self._noting = 0.0  # seconds that the last one took

    @property
    def save_is_due(self) -> bool:
        """Whether it is time for a checkpoint, with or without a folder for it."""
        return time.monotonic() - self._saved >= max(SAVE_SECONDS, SAVE_SHARE * self._saving)

    @property
    def note_is_cheap(self) -> bool:
        """Whether noting the state costs little beside what was done since the last time."""
        return time.monotonic() - self._noted >= SAVE_SHARE * self._noting

    def note(self, capture: Callable[[], State]) -> State:
        """Keep the state in memory.

        Raises:
            NotANumberError: A variable is NaN or infinite.
        """
        begin = time.monotonic()
        state = capture()
        ours = (array for name, array in state.arrays.items() if name.startswith(VARIABLE))
        if not all(np.isfinite(array).all() for array in ours if "float" in array.dtype.name):  # bfloat16 too
            raise NotANumberError
        self.good = state
        self._noted = time.monotonic()
        self._noting = self._noted - begin
        return state

    def save(self, capture: Callable[[], State]) -> str | None:
        """Keep the state in memory and in a checkpoint; where none can be written any more, return why, once.

        Raises:
            NotANumberError: A variable is NaN or infinite.
        """
        begin, trouble = time.monotonic(), None
        state = self.note(capture)
        if self._checkpoints is not None and self._checkpoints.trouble is None:
            self._checkpoints.save(state)
            trouble = self._checkpoints.trouble
        self._saved = time.monotonic()
        self._saving = self._saved - begin
        return trouble
