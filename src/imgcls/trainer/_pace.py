"""How far training is, from 0 to 1, and the learning rate there."""

import re
from typing import Any, final

from imgcls.errors import ConfigurationError
from imgcls.trainer import _schedules

_UNITS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600}
_NUMBER = r"\d+\.?\d*|\.\d+"


def budget_seconds(budget: Any) -> float | None:
    """Return the seconds of a budget: a number, as text too, or words such as "90s", "1h30min"; None for none.

    Raises:
        ConfigurationError: It is none of these.
    """
    if budget is None:
        return None
    seconds = _read(budget) if isinstance(budget, str) else budget
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < float("inf"):
        return float(seconds)
    message = (
        f"budget={budget!r} is not accepted. Accepted: seconds above 0, or words such as '90s', '10min', '1h30min'."
    )
    raise ConfigurationError(message)


def _read(words: str) -> float | None:
    """Return the seconds that words mean, or None. A number alone is seconds: a shell and a settings file give text."""
    text = words.strip().lower()
    if re.fullmatch(_NUMBER, text):
        return float(text)
    parts = re.findall(rf"({_NUMBER})\s*([a-z]+)", text)
    whole = "".join(number + unit for number, unit in parts) == re.sub(r"\s+", "", text)
    known = bool(parts) and whole and all(unit in _UNITS for _, unit in parts)
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if known else None


@final
class Pace:
    """The share of training that is done, and the learning rate that goes with it.

    Without a budget the share is that of steps. With one it is the larger of the shares of steps and of time: the
    schedule always reaches its end, whichever is over first. A budget changes nothing where time is never the larger
    share.

    Args:
        steps: How many steps all epochs have.
        schedule: A name from `SCHEDULES`.
        peak: The rate that the schedule multiplies; None where the optimizer has a rate of its own.
        budget: Seconds, or None.
        after: Seconds of the budget that are for what comes after training.

    Attributes:
        scale: Multiplies every rate; halved when the loss was not a number.
        overhead: Seconds until the first step was done: reading images and compiling are no progress.
    """

    def __init__(
        self, *, steps: int, schedule: str, peak: float | None, budget: float | None = None, after: float = 0.0
    ) -> None:
        self._steps, self._schedule, self._peak = steps, schedule, peak
        self._budget = None if budget is None else budget - after
        self.scale, self.overhead = 1.0, 0.0

    @property
    def leads(self) -> bool:
        """Whether rates come from here."""
        return self._peak is not None

    def progress(self, done: int, seconds: float, *, reserve: float = 0.0) -> float:
        """Return the share of training that is done, from 0 to 1.

        Args:
            done: Steps.
            seconds: Since the beginning.
            reserve: Seconds that what comes after the last step will take.
        """
        by_steps = done / self._steps
        if self._budget is None or not done:
            return by_steps
        by_time = (seconds - self.overhead) / max(self._budget - self.overhead - reserve, 1e-9)
        return min(1.0, max(by_steps, by_time))

    def rate(self, progress: float) -> float | None:
        """Return the learning rate; None where the optimizer has its own."""
        if self._peak is None:
            return None
        return self.scale * self._peak * _schedules.factor(self._schedule, progress)
