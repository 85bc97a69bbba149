"""The learning-rate range test (Smith, arXiv 1506.01186), once the loop has run it: smoothing, suggestion, plot."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks, plotting
from imgcls.errors import DataError
from imgcls.trainer._recipe import Choice

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

RULES = ("minimum", "valley")
_MOMENTUM = 0.95
_DIVERGED = 4.0  # times the lowest smoothed loss, as in fastai
_LEAST = 10


@final
@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LearningRateCurve:
    """The loss of each step of a learning-rate range test: it prints, tabulates and draws itself.

    Args:
        rates: `float (S,)`, rising: the learning rate of each step.
        losses: `float (S,)`: the loss of each step.
        rule: How the rate is suggested, see `suggest`.

    Examples:
        >>> import numpy as np
        >>> from imgcls.trainer import LearningRateCurve
        >>> rates = np.geomspace(1e-5, 10, 100)
        >>> LearningRateCurve(rates, 2.3 - np.sqrt(rates) + rates)
        LearningRateCurve(100 steps from 1e-05 to 10; suggestion 0.061: a tenth of the rate of the lowest loss)
        >>> leaping = LearningRateCurve(rates, np.tile([1.0, 3.0], 50))
        >>> leaping.smoothed[-2:].round(1).tolist(), leaping.suggestion
        ([2.0, 2.0], None)
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    rule: str = "minimum"

    @property
    def smoothed(self) -> NDArray[np.float64]:
        """The losses, smoothed: `float (S,)`."""
        return smoothed(self.losses)

    @property
    def suggestion(self) -> float | None:
        """The suggested peak learning rate, or None where the losses say nothing."""
        value: float | None = suggest(self.rates, self.losses, rule=self.rule).value
        return value

    def to_frame(self) -> "pd.DataFrame":
        """Return a pandas frame with one row for each step."""
        import pandas as pd

        return pd.DataFrame({"learning_rate": self.rates, "loss": self.losses, "smoothed": self.smoothed})

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the losses over the learning rate, with the suggestion, and return the Axes."""
        return plotting.learning_rate_curve(self.rates, self.losses, self.smoothed, self.suggestion, ax=ax)

    def __repr__(self) -> str:
        value, reason = suggest(self.rates, self.losses, rule=self.rule)
        steps = f"{len(self.rates)} steps from {self.rates[0]:.2g} to {self.rates[-1]:.2g}"
        return (
            f"LearningRateCurve({steps}; {'no suggestion' if value is None else f'suggestion {value:.2g}'}: {reason})"
        )


def suggest(rates: Any, losses: Any, *, rule: str = "minimum") -> Choice:
    """Suggest a peak learning rate from a range test.

    Losses are smoothed first. The first tenth of the steps is left out, and what follows the first loss that is no
    number.

    - "minimum": a tenth of the rate of the lowest loss (Howard and Gugger, fastai).
    - "valley": the middle of the longest series of ever lower losses (fastai's default; lower, for the cautious).

    The rule of the steepest descent is not among them: on real losses its answers lay a factor of 100 apart.

    Args:
        rates: `float (S,)`, rising.
        losses: `float (S,)`.
        rule: "minimum" or "valley".

    Returns:
        A `Choice`: the rate and the rule in words, or None and the reason why there is no rate.

    Raises:
        ConfigurationError: The rule is not known.
        DataError: There is not one loss for each rate, or rates do not rise.

    Examples:
        >>> import numpy as np
        >>> from imgcls.trainer._finder import suggest
        >>> rates = np.geomspace(1e-5, 10, 100)
        >>> suggest(rates, 2.3 + 0 * rates)
        Choice(value=None, reason='the loss did not fall by more than its noise')
    """
    _checks.refuse([_checks.unknown_name("rule", rule, RULES)])
    rates, losses = np.asarray(rates, float), np.asarray(losses, float)
    if rates.ndim != 1 or rates.shape != losses.shape or not (np.diff(rates, prepend=0.0) > 0).all():
        message = f"rates {rates.shape} and losses {losses.shape} are no range test."
        raise DataError(f"{message} Give a loss for each rising rate above 0.")
    start, end = len(losses) // 10, int(np.argmin([*np.isfinite(losses), False]))
    if end - start < _LEAST:
        return Choice(None, f"there are fewer than {_LEAST} steps with a finite loss to judge by")
    rates, losses, smooth = rates[start:end], losses[start:end], smoothed(losses[:end])[start:]
    lowest = int(smooth.argmin())
    noise = float(np.std((losses - smooth)[: lowest + 1]))  # up to there: beyond, losses explode
    if smooth[0] - smooth[lowest] <= max(noise, 1e-6 * abs(smooth[0])):  # a constant loss has rounding for noise
        return Choice(None, "the loss did not fall by more than its noise")
    if rule == "minimum":
        return Choice(float(rates[lowest]) / 10, "a tenth of the rate of the lowest loss")
    valley = _longest_fall(smooth)
    return Choice(float(rates[valley[len(valley) // 2]]), "the middle of the longest valley of the loss")


def smoothed(losses: Any) -> NDArray[np.float64]:
    """Return the exponential moving average of losses, corrected for its start at 0: `float (S,)`."""
    average, averages = 0.0, []
    for step, loss in enumerate(losses, start=1):
        average = _MOMENTUM * average + (1 - _MOMENTUM) * float(loss)
        averages.append(average / (1 - _MOMENTUM**step))
    return np.array(averages)


def diverged(losses: Sequence[float]) -> bool:
    """Say whether a range test is over: the last loss is no number, or smoothed four times the lowest."""
    averages = smoothed(losses)
    return not averages[-1] <= _DIVERGED * averages.min()


def _longest_fall(losses: NDArray[np.float64]) -> list[int]:
    """Return the positions of the longest series of ever lower losses, others may lie between (Schensted, 1961)."""
    lengths, before = np.ones(len(losses), int), np.full(len(losses), -1)
    for position, loss in enumerate(losses):
        higher = np.flatnonzero(losses[:position] > loss)
        if len(higher):
            before[position] = higher[lengths[higher].argmax()]
            lengths[position] = lengths[before[position]] + 1
    series = [int(lengths.argmax())]
    while before[series[-1]] >= 0:
        series.append(int(before[series[-1]]))
    return series[::-1]
