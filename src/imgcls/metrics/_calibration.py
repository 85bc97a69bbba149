"""Whether probabilities mean what they say, and the one number that mends them.

Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks, ICML 2017, arXiv 1706.04599.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BINS = 15
_SMALLEST = 1e-12
_COLDEST, _HOTTEST = 0.05, 20.0  # temperatures
_SURE = 3.841  # the chi-squared quantile of 0.95 with one degree of freedom


class Reliability(NamedTuple):
    """What was said and what was true, in bins of like confidence.

    Attributes:
        confidence: `float (M,)`: the mean probability of what was predicted.
        accuracy: `float (M,)`: the share of it that was right.
        counts: `int (M,)`: how many predictions lie in each bin; empty bins are left out.

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics import reliability
        >>> confidence = np.repeat([0.6, 0.9], [5, 10])
        >>> right = np.array([1, 1, 1, 0, 0] + [1] * 7 + [0] * 3, bool)
        >>> found = reliability(confidence, right)
        >>> for said, true, count in zip(found.confidence, found.accuracy, found.counts):
        ...     print(f"said {said:.0%}, true {true:.0%}, of {count}")
        said 60%, true 60%, of 5
        said 90%, true 70%, of 10
        >>> round(found.error, 3)
        0.133
    """

    confidence: Floats
    accuracy: Floats
    counts: NDArray[np.int64]

    @property
    def error(self) -> float:
        """The mean distance of what was said from what was true: the expected calibration error."""
        return float((self.counts * np.abs(self.accuracy - self.confidence)).sum() / max(self.counts.sum(), 1))


def bins_of(confidence: NDArray[np.floating], *, adaptive: bool = False, bins: int = BINS) -> NDArray[np.int64]:
    """Return the bin of each prediction: of equal width, or with as many predictions in each (`adaptive`)."""
    if not adaptive:
        return np.minimum((confidence * bins).astype(np.int64), bins - 1)
    edges = np.quantile(confidence, np.arange(1, bins) / bins)
    return np.asarray(np.searchsorted(edges, confidence, side="right"), np.int64)


def reliability(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], *, adaptive: bool = False, bins: int = BINS
) -> Reliability:
    """Compare what was said with what was true.

    Args:
        confidence: `float (N,)`: the probability of what was predicted.
        right: `bool (N,)`: whether it was right.
        adaptive: Bins with as many predictions in each, instead of bins of equal width.
        bins: How many bins.

    Examples:
        >>> import numpy as np
        >>> found = reliability(np.array([0.9, 0.9, 0.6]), np.array([True, False, True]))
        >>> found.confidence.tolist(), found.accuracy.tolist(), round(found.error, 3)
        ([0.6, 0.9], [1.0, 0.5], 0.4)
    """
    place = bins_of(confidence, adaptive=adaptive, bins=bins)
    count = np.bincount(place, minlength=bins)
    said, true = (np.bincount(place, np.asarray(values, float), bins) for values in (confidence, right))
    filled = count > 0
    return Reliability(said[filled] / count[filled], true[filled] / count[filled], count[filled])


def tempered(probabilities: NDArray[np.floating], temperature: float, *, multi_label: bool = False) -> Floats:
    """Return probabilities as if the scores behind them had been divided by a temperature.

    Args:
        probabilities: `float (N, K)`.
        temperature: Above 1 less sure, below 1 surer; the likeliest class stays the likeliest.
        multi_label: Whether each column stands for itself.

    Examples:
        >>> import numpy as np
        >>> tempered(np.array([[0.9, 0.1]]), 2.0).round(3).tolist()
        [[0.75, 0.25]]
    """
    return softened(scores_of(probabilities, multi_label=multi_label), temperature, multi_label=multi_label)


def scores_of(probabilities: NDArray[np.floating], *, multi_label: bool = False) -> Floats:
    """Return scores `float (N, K)` of which a softmax, or of several labels a sigmoid, makes probabilities.

    A probability of 0 counts as one of 1e-12. How large the score behind one of 0 or 1 was, nothing tells.

    Args:
        probabilities: `float (N, K)`.
        multi_label: Whether each column stands for itself.

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics._calibration import scores_of
        >>> scores_of(np.array([[0.9, 0.1]])).round(2).tolist()
        [[-0.11, -2.3]]
        >>> scores_of(np.array([[0.5, 1.0]]), multi_label=True).round(1).tolist()
        [[0.0, 27.6]]
    """
    given = np.asarray(probabilities, np.float64)
    scores = np.log(np.clip(given, _SMALLEST, 1.0))
    return np.asarray(scores - np.log(np.clip(1 - given, _SMALLEST, 1.0)) if multi_label else scores)


def softened(scores: NDArray[np.floating], temperature: float, *, multi_label: bool = False) -> Floats:
    """Return the probabilities `float (N, K)` of scores that are divided by a temperature.

    Args:
        scores: `float (N, K)`, before softmax or sigmoid.
        temperature: As for `tempered`.
        multi_label: The same.

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics._calibration import softened
        >>> softened(np.log([[81.0, 1.0]]), 2.0).round(3).tolist()
        [[0.9, 0.1]]
    """
    from scipy.special import expit, softmax

    divided = np.asarray(scores, np.float64) / temperature
    return np.asarray(expit(divided) if multi_label else softmax(divided, axis=1))


def fit_temperature(y_true: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """Return the temperature with the lowest log loss on these images, which the model must not have learnt from.

    Where nearly every image is right, that alone would drive it to 0, and one later mistake would cost dearly. So each
    of n labels counts as if one in n + 2 were another (as in Platt, Probabilistic Outputs for Support Vector Machines,
    1999), and a temperature must gain more than chance would in 95 of 100 cases (the likelihood-ratio test). With
    several labels an image, n is N times K: for each class, whether it is there.

    Args:
        y_true: `int (N,)`, or an indicator `(N, K)` of several labels an image.
        probabilities: `float (N, K)`.

    Returns:
        The temperature; exactly 1 where no other gains more than chance would.

    Examples:
        >>> import numpy as np
        >>> y_true = np.array([0] * 8 + [1] * 2)
        >>> round(fit_temperature(y_true, np.tile([0.99, 0.01], (10, 1))), 1)  # 99 % sure and 80 % right
        4.2
    """
    return temperature_of(y_true, scores_of(probabilities, multi_label=y_true.ndim == 2))


def temperature_of(y_true: NDArray[np.integer], scores: NDArray[np.floating]) -> float:
    """Return the temperature that `fit_temperature` finds, of scores.

    They say more than probabilities do: in float32, a sigmoid makes 1 of every score from 17 on.

    Args:
        y_true: As there.
        scores: `float (N, K)`, before softmax or sigmoid.

    Examples:
        >>> import numpy as np
        >>> from imgcls.metrics._calibration import temperature_of
        >>> y_true = np.array([[1]] * 900 + [[0]] * 100)
        >>> round(18 / temperature_of(y_true, np.full((1_000, 1), 18.0)), 1)  # ln(9) says 90 %
        2.2
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_expit, log_softmax

    multi_label, count, labels = y_true.ndim == 2, len(y_true), y_true.size
    right, other = (labels + 1) / (labels + 2), 1 / (labels + 2)
    truth = y_true == 1 if multi_label else y_true[:, None] == np.arange(scores.shape[1])
    scores = np.asarray(scores, np.float64)

    def losses(power: float) -> tuple[float, float]:
        """Return the loss of the labels as they are, and of the smoothed ones, in nats an image."""
        divided = scores / np.exp(power)
        if multi_label:
            towards = np.where(truth, divided, -divided)
            told, untold = log_expit(towards).sum(), log_expit(-towards).sum()
        else:
            logs = log_softmax(divided, axis=1)
            told = logs[truth].sum()
            untold = (logs.sum() - told) / max(logs.shape[1] - 1, 1)
        return float(-told / count), float(-(right * told + other * untold) / count)

    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    found = minimize_scalar(lambda power: losses(power)[1], bounds=bounds, method="bounded")
    gain = losses(0.0)[0] - losses(float(found.x))[0]
    return float(np.exp(found.x)) if 2 * count * gain > _SURE else 1.0
