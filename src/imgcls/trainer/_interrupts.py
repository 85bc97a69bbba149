"""Ctrl-C and SIGTERM, seen between two steps and not in the middle of one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self, final


@final
class Interrupts:
    """Notes the first signal for the loop to see; a second Ctrl-C interrupts at once.

    Signals can be watched from the main thread only; elsewhere nothing is noted.

    Args:
        terminate: Whether SIGTERM is noted too, which batch systems and container hosts send before they kill.

    Attributes:
        asked: The signal that came, or None.
        patient: Whether a second Ctrl-C is noted only: what is done now is short, and keeps what was learnt.
    """

    def __init__(self, *, terminate: bool) -> None:
        self.asked: int | None = None
        self.patient = False
        self._numbers = (signal.SIGINT, signal.SIGTERM) if terminate else (signal.SIGINT,)
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in self._numbers:
                if signal.getsignal(number) not in {signal.SIG_IGN, None}:  # as under nohup
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    @contextmanager
    def giving_way(self) -> Iterator[None]:
        """Let a second Ctrl-C end what is done within, and nothing after it: from then on it is noted only."""
        try:
            self.patient = False
            yield
        except KeyboardInterrupt:
            pass
        finally:
            self.patient = True

    def pass_on(self) -> None:
        """Send a SIGTERM that was noted once more, now that its work is done: the process ends as it was told to."""
        if self.asked == signal.SIGTERM:
            signal.raise_signal(signal.SIGTERM)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.asked is None or number != signal.SIGINT:
            self.asked = number
        elif not self.patient:
            raise KeyboardInterrupt
