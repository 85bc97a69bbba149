"""Whether confidence means what it says, and what refusing to answer buys."""

from typing import TYPE_CHECKING, Any

import numpy as np

from imgcls import _checks
from imgcls.plotting._shapes import not_numbers
from imgcls.plotting._style import FIRST, SECOND, legend, new_axes, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AREA, _LEAST_AREA = 3_000, 12  # of all markers if they were full, and of one, in square points
_TOLD = 0.2  # of the images; of the surest few, the interval reaches far up and says little
_MOST_GAPS = 50  # beyond, lines to the diagonal would be a wall


def reliability_diagram(
    confidence: Any,
    accuracy: Any,
    count: Any,
    *,
    before: tuple[Any, Any, Any] | None = None,
    several: bool = False,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw how often predictions of like confidence were right: on the diagonal, confidence means what it says.

    The area of a marker grows with the images in its bin. The legend gives the calibration error (ECE): the mean
    distance from the diagonal, each bin weighted by its images.

    Args:
        confidence: `float (M,)`: the mean confidence of each of M bins.
        accuracy: `float (M,)`: the share of each bin that is right.
        count: `int (M,)`: images in each bin; empty bins are not drawn.
        before: The same three arrays, of any M, for the model before its temperature was set; or None.
        several: Whether the bins are of labels, where images may have several: `confidence` is then their mean
            probability, `accuracy` the share of them that is there, and the picture says so.
        ax: Where to draw; None for a new figure.

    Returns:
        The Axes.

    Raises:
        ConfigurationError: The lengths differ.

    Examples:
        >>> from imgcls.plotting import reliability_diagram
        >>> ax = reliability_diagram([0.6, 0.9], [0.5, 0.9], [10, 30])
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['confidence = accuracy', 'ECE 0.025']
    """
    _checks.refuse(_wrong_bins("", (confidence, accuracy, count)) + (_wrong_bins("before: ", before) if before else []))
    ax = ax or new_axes((5.4, 5.4))
    said, true = ("probability", "share that is there") if several else ("confidence", "accuracy")
    ax.plot([0, 1], [0, 1], color="black", linestyle=":", linewidth=1, label=f"{said} = {true}")
    if before is not None:
        _draw_bins(
            ax, *before, label="before temperature, ", color=SECOND, marker="s", linestyle="--", facecolor="none"
        )
    after = "after temperature, " if before is not None else ""
    _draw_bins(ax, confidence, accuracy, count, label=after, color=FIRST, marker="o", linestyle="-", facecolor=FIRST)
    share = true if several else f"{true} (share of the bin)"
    ax.set(xlabel=f"{said} (mean of the bin)", ylabel=share, title="Reliability")
    ax.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05))
    ax.set_aspect("equal")
    ax.grid(alpha=0.3)
    legend(ax, "upper left")
    return ax


def risk_coverage(
    coverage: Any,
    risk: Any,
    *,
    lower: Any = None,
    upper: Any = None,
    chosen: float | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the error of the accepted images over the share that is accepted, the surest first.

    Args:
        coverage: `float (T,)`, rising: the share of images accepted. What begins later is drawn from 0 on, with the
            error of the first: among images that are equally sure, nothing tells which are right.
        risk: `float (T,)`: the share of these that is wrong.
        lower: `float (T,)`: lower ends of the intervals of the risk; or None.
        upper: `float (T,)`: upper ends, or a bound from above alone; or None.
        chosen: A coverage whose nearest point is marked; or None.
        ax: Where to draw; None for a new figure.

    Returns:
        The Axes.

    Raises:
        ConfigurationError: The lengths differ.

    Examples:
        >>> from imgcls.plotting import risk_coverage
        >>> ax = risk_coverage([0.25, 0.5, 0.75, 1], [0, 0, 0.02, 0.1], chosen=0.75)
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['error', 'chosen: accepts 75.0 % with 2.0 % error']
    """
    from matplotlib.ticker import PercentFormatter

    wrong = not_numbers("coverage", coverage, ("T",), "at least one")
    size = (0,) if wrong else np.shape(coverage)
    columns = {"risk": risk} | {name: ends for name, ends in (("lower", lower), ("upper", upper)) if ends is not None}
    others = (
        [] if wrong else [not_numbers(name, column, size, "one for each coverage") for name, column in columns.items()]
    )
    _checks.refuse([wrong, *others])
    coverage = np.asarray(coverage, float)
    begins, coverage = (1, np.append(0, coverage)) if coverage[0] > 0 else (0, coverage)
    columns = {name: np.pad(np.asarray(column, float), (begins, 0), "edge") for name, column in columns.items()}
    risk = columns["risk"]
    some = thinned(coverage, risk)
    ends = {name: columns[name][some] for name in ("lower", "upper") if name in columns}
    ax = ax or new_axes()
    if len(ends) == 2:
        ax.fill_between(coverage[some], ends["lower"], ends["upper"], color=FIRST, alpha=0.2, linewidth=0)
    words = {"upper": "interval"} if len(ends) == 2 else {name: f"{name} end of the interval" for name in ends}
    for name, end in ends.items():
        ax.plot(coverage[some], end, color=FIRST, linestyle="--", linewidth=0.8, label=words.get(name))
    ax.plot(coverage[some], risk[some], color=FIRST, label="error")
    if chosen is not None:
        at = begins + int(np.argmin(np.abs(coverage[begins:] - chosen)))
        label = f"chosen: accepts {coverage[at]:.1%} with {risk[at]:.1%} error".replace("%", " %")
        ax.plot(coverage[at], risk[at], "D", color="black", markersize=7, linestyle="none", label=label)
        ax.plot([coverage[at], coverage[at], 0], [0, risk[at], risk[at]], color="black", linestyle=":", linewidth=1)
    ax.set(xlabel="images accepted, the surest first", ylabel="error among them", title="Risk and coverage")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    ax.set_xlim(0, 1.02)
    told = coverage > _TOLD
    highest = np.concatenate([risk, *(columns[name][told] for name in ends)])
    ax.set_ylim(0, max(1.08 * float(highest.max(initial=0)), 0.01))
    ax.grid(alpha=0.3)
    legend(ax, "upper left")
    return ax


def _wrong_bins(where: str, bins: tuple[Any, Any, Any]) -> list[str | None]:
    confidence, accuracy, count = bins
    wrong = not_numbers(f"{where}confidence", confidence, ("M",), "one for each bin")
    if wrong:
        return [wrong]
    size = np.shape(confidence)
    return [
        not_numbers(f"{where}{name}", column, size, "one for each bin")
        for name, column in (("accuracy", accuracy), ("count", count))
    ]


def _draw_bins(
    ax: "Axes",
    confidence: Any,
    accuracy: Any,
    count: Any,
    *,
    label: str,
    color: str,
    marker: str,
    linestyle: str,
    facecolor: str,
) -> None:
    """Draw bins as markers on a line, and a thin line from each to the diagonal."""
    filled = np.asarray(count) > 0
    confidence, accuracy, count = (np.asarray(column, float)[filled] for column in (confidence, accuracy, count))
    error = float((count * np.abs(accuracy - confidence)).sum() / max(count.sum(), 1))
    if len(count) <= _MOST_GAPS:
        ax.vlines(confidence, np.minimum(confidence, accuracy), np.maximum(confidence, accuracy), color=color, lw=0.8)
    line = f"{label}ECE {error:.3f}"
    ax.plot(
        confidence,
        accuracy,
        color=color,
        linestyle=linestyle,
        marker=marker,
        markersize=6,
        markevery=[],
        mfc=facecolor,
        label=line,
    )
    fullest = min(_AREA / max(len(count), 1), 250)
    areas = np.maximum(fullest * count / max(count.max(initial=0), 1), _LEAST_AREA)
    ax.scatter(confidence, accuracy, areas, marker=marker, edgecolor=color, facecolor=facecolor, zorder=3)
