"""The state of a training, kept in memory to go back to and in checkpoints, as often as that costs little."""

import time
from collections.abc import Callable, Iterator
from typing import final

import numpy as np
from numpy.typing import NDArray

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
        self._given = {name: ~there for name, there in _numbers(state) if not there.all()}  # such as a mask of -inf
        self._saved = self._noted = time.perf_counter()
        self._saving = self._noting = 0.0  # seconds that the last one took

    @property
    def save_is_due(self) -> bool:
        """Whether it is time for a checkpoint, with or without a folder for it."""
        return time.perf_counter() - self._saved >= max(SAVE_SECONDS, SAVE_SHARE * self._saving)

    @property
    def note_is_cheap(self) -> bool:
        """Whether noting the state costs little beside what was done since the last time."""
        return time.perf_counter() - self._noted >= SAVE_SHARE * self._noting

    def note(self, capture: Callable[[], State]) -> State:
        """Keep the state in memory.

        Raises:
            NotANumberError: A variable is NaN or infinite where it was a number when training began.
        """
        begin = time.perf_counter()
        state = capture()
        if not all((there | self._given.get(name, False)).all() for name, there in _numbers(state)):
            raise NotANumberError
        self.good = state
        self._noted = time.perf_counter()
        self._noting = self._noted - begin
        return state

    def save(self, capture: Callable[[], State]) -> str | None:
        """Keep the state in memory and in a checkpoint; where that cannot be written, return why.

        Raises:
            NotANumberError: A variable is NaN or infinite.
        """
        begin = time.perf_counter()
        state = self.note(capture)
        if self._checkpoints is not None:
            self._checkpoints.save(state)
        self._saved = time.perf_counter()
        self._saving = self._saved - begin
        return None if self._checkpoints is None else self._checkpoints.trouble


def _numbers(state: State) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield the name of each variable of floats, and where it is a finite number."""
    for name, array in state.arrays.items():
        if name.startswith(VARIABLE) and "float" in array.dtype.name:  # bfloat16 too
            yield name, np.asarray(np.isfinite(array))
