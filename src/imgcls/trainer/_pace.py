"""How far training is, from 0 to 1, and the learning rate there."""

import re
from typing import Any, final

from imgcls.errors import ConfigurationError
from imgcls.trainer import _schedules

_UNITS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600}


def budget_seconds(budget: Any) -> float | None:
    """Return the seconds of a budget: a number, or words such as "90s", "10min", "1h30min"; None for none.

    Raises:
        ConfigurationError: It is none of these.
    """
    if budget is None:
        return None
    if isinstance(budget, str):
        parts = re.findall(r"([\d.]+)\s*([a-z]+)", budget.lower())
        whole = "".join(number + unit for number, unit in parts) == re.sub(r"\s+", "", budget.lower())
        if parts and whole and all(unit in _UNITS and number.count(".") < 2 for number, unit in parts):
            budget = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if isinstance(budget, int | float) and not isinstance(budget, bool) and 0 < budget < float("inf"):
        return float(budget)
    message = (
        f"budget={budget!r} is not accepted. Accepted: seconds above 0, or words such as '90s', '10min', '1h30min'."
    )
    raise ConfigurationError(message)


@final
class Pace:
    """The share of training that is done, and the learning rate that goes with it.

    Without a budget the share is that of steps. With one it is the larger of the shares of steps and of time: the
    schedule always reaches its end, whichever is over first. A budget that is never reached changes nothing.

    Args:
        steps: How many steps all epochs have.
        schedule: A name from `SCHEDULES`.
        peak: The rate that the schedule multiplies; None where the optimizer has a rate of its own.
        budget: Seconds, or None.

    Attributes:
        scale: Multiplies every rate; halved when the loss was not a number.
        overhead: Seconds until the first step was done: reading images and compiling are no progress.
    """

    def __init__(self, *, steps: int, schedule: str, peak: float | None, budget: float | None = None) -> None:
        self._steps, self._schedule, self._peak, self._budget = steps, schedule, peak, budget
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
