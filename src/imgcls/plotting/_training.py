"""What training measured: curves over epochs, and losses over the learning rate."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from imgcls import _checks
from imgcls.plotting._style import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def curves(history: Mapping[str, Sequence[float]], metric: str = "loss", *, ax: "Axes | None" = None) -> "Axes":
    """Draw a metric over epochs, for training and, where known, validation.

    Args:
        history: One list of E numbers for each name, such as "loss", "val_loss", "accuracy".
        metric: The name to draw; `val_<metric>` is drawn beside it. Of "val_loss", validation alone is drawn.
        ax: Where to draw; None for a new figure.

    Returns:
        The Axes.

    Raises:
        ConfigurationError: The history does not know the metric.

    Examples:
        >>> from imgcls.plotting import curves
        >>> curves({"loss": [0.9, 0.4], "val_loss": [1.0, 0.6]}).get_ylabel()
        'loss'
    """
    from matplotlib.ticker import MaxNLocator

    if f"val_{metric}" not in history:
        _checks.refuse([_checks.unknown_name("metric", metric, tuple(history))])
    ax = ax or new_axes()
    for name in (metric, f"val_{metric}"):
        if name in history:
            label, style = ("validation", "-") if name.startswith("val_") else ("training", "--")
            values = np.asarray(history[name], dtype=float)
            ax.plot(np.arange(1, len(values) + 1), values, style, marker="o", markersize=3, label=label)
    ax.set(xlabel="epoch", ylabel=metric.replace("_", " "), title=metric.replace("_", " ").capitalize())
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.grid(alpha=0.3)
    ax.legend()
    return ax


def learning_rate_curve(
    rates: Any, losses: Any, smoothed: Any, suggestion: float | None = None, *, ax: "Axes | None" = None
) -> "Axes":
    """Draw the losses of a learning-rate range test over the rate.

    Args:
        rates: `float (S,)`, rising.
        losses: `float (S,)`, drawn as points.
        smoothed: `float (S,)`, drawn as a line; losses far above its start are not shown.
        suggestion: A rate to mark, or None.
        ax: Where to draw; None for a new figure.

    Returns:
        The Axes.

    Examples:
        >>> from imgcls.plotting import learning_rate_curve
        >>> learning_rate_curve([0.01, 0.1, 1], [2.3, 1.5, 9.0], [2.3, 1.9, 4.0], 0.01).get_xscale()
        'log'
    """
    losses, smoothed = np.asarray(losses, float), np.asarray(smoothed, float)
    ax = ax or new_axes()
    ax.plot(rates, losses, ".", color="gray", alpha=0.4, markersize=4, label="loss of a step")
    ax.plot(rates, smoothed, label="smoothed")
    if suggestion is not None:
        ax.axvline(suggestion, color="black", linewidth=1, linestyle=":", label=f"suggestion {suggestion:.2g}")
    ax.set(xlabel="learning rate", ylabel="loss", title="Learning-rate range test", xscale="log")
    finite = losses[np.isfinite(losses)]
    if len(finite) and smoothed[0] > finite.min():  # where training diverges, losses would hide the fall before
        fall = smoothed[0] - finite.min()
        ax.set_ylim(finite.min() - 0.05 * fall, smoothed[0] + 0.3 * fall)
    ax.grid(alpha=0.3)
    ax.legend()
    return ax
