"""Learning-rate schedules as pure functions of progress: no state, so a run resumes anywhere and can end by the clock.

A schedule turns progress, the share of training that is done, into a factor of the peak rate.
"""

import math
from collections.abc import Callable

from imgcls import _checks

_START = 1 / 25  # of the peak; fastai's and PyTorch's `div_factor`
_WARMUP = 0.1
_ONE_CYCLE_WARMUP = 0.3  # PyTorch's `pct_start`


def factor(name: str, progress: float) -> float:
    """Return the factor of the peak learning rate at a point of training.

    - "cosine": a straight line from 1/25 up to 1 over the first tenth, then half a cosine down to 0 (Loshchilov and
      Hutter, SGDR, arXiv 1608.03983, equation 5, without restarts).
    - "one_cycle": half a cosine from 1/25 up to 1 over the first 30 %, then half a cosine down to 0 (Smith and Topin,
      Super-Convergence, arXiv 1708.07120, in the shape that fastai and PyTorch gave it; theirs ends at 1/250,000).
    - "linear": the same straight line up as in "cosine", then a straight line down to 0.
    - "constant": 1.

    Args:
        name: One of these four.
        progress: The share of training that is done, in [0, 1]; what lies outside counts as the nearer end, so that a
            clock that runs over does not end a run.

    Returns:
        A number in [0, 1].

    Raises:
        ConfigurationError: The name is not known.

    Examples:
        >>> from imgcls.trainer import factor
        >>> [round(factor("cosine", progress), 2) for progress in (0, 0.05, 0.1, 0.55, 1)]
        [0.04, 0.52, 1.0, 0.5, 0.0]
    """
    _checks.refuse([_checks.unknown_name("schedule", name, SCHEDULES)])
    return _SHAPES[name](min(max(progress, 0.0), 1.0))


def _cosine(progress: float) -> float:
    return _up(progress / _WARMUP) if progress < _WARMUP else _wave((progress - _WARMUP) / (1 - _WARMUP))


def _one_cycle(progress: float) -> float:
    if progress < _ONE_CYCLE_WARMUP:
        return _up(1 - _wave(progress / _ONE_CYCLE_WARMUP))
    return _wave((progress - _ONE_CYCLE_WARMUP) / (1 - _ONE_CYCLE_WARMUP))


def _linear(progress: float) -> float:
    return _up(progress / _WARMUP) if progress < _WARMUP else (1 - progress) / (1 - _WARMUP)


def _up(share: float) -> float:
    """Return the factor at a share of the way up."""
    return _START + (1 - _START) * share


def _wave(share: float) -> float:
    """Return half a cosine from 1 down to 0."""
    return (1 + math.cos(math.pi * share)) / 2


_SHAPES: dict[str, Callable[[float], float]] = {
    "cosine": _cosine,
    "one_cycle": _one_cycle,
    "linear": _linear,
    "constant": lambda _: 1.0,
}
SCHEDULES = tuple(_SHAPES)
