"""Curves over a threshold: ROC, precision and recall."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks
from imgcls.plotting._shapes import nameless, not_numbers, nothing
from imgcls.plotting._style import (
    DASHES,
    FAINT,
    FIRST,
    INSIDE,
    MARKERS,
    PALETTE,
    SECOND,
    entry,
    legend,
    new_axes,
    short,
    thinned,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]
Curve = tuple[Any, Any]
_MOST_NAMED, _WORST = 10, 5  # beyond ten, curves cannot be told apart: the five worst are


def roc_curves(
    curves: Mapping[Any, Curve], *, areas: Mapping[Any, float] | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Draw ROC curves, one against the rest. Beyond ten, the five worst are named and the others are thin and gray.

    Args:
        curves: `(false positive rate, true positive rate)` under each name: two `float (T,)`, rising. One that begins
            later is drawn from (0, 0) on, where nothing is predicted.
        areas: The area under each curve, under its name; None to add it up from the curve.
        ax: Where to draw; None for a new figure.

    Returns:
        The Axes.

    Raises:
        ConfigurationError: There are no curves, the two parts of one differ in length, or an area is missing.

    Examples:
        >>> from imgcls.plotting import roc_curves
        >>> ax = roc_curves({"cat": ([0, 0, 1], [0, 0.8, 1])})
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['cat, 0.900', 'chance, 0.500']
    """
    points = {
        name: (np.append(0, x), np.append(0, y)) if x[0] > 0 or y[0] > 0 else (x, y)
        for name, (x, y) in _points(curves, ("false positive rate", "true positive rate")).items()
    }
    _checks.refuse([nameless("areas", areas, curves)])
    found = {
        name: float(np.trapezoid(y, x)) if areas is None else float(areas[name]) for name, (x, y) in points.items()
    }
    ax = ax or new_axes(_size(points))
    named = _draw(ax, points, found, {name: f"{short(name)}, {area:.3f}" for name, area in found.items()})
    ax.plot([0, 1], [0, 1], color="black", linestyle=":", linewidth=1, label="chance, 0.500")
    ax.set(xlabel="false positive rate", ylabel="true positive rate (recall)", title=_title("ROC", named, points))
    _finish(ax, "area under the curve", "lower right")
    return ax


def precision_recall_curves(
    curves: Mapping[Any, Curve],
    *,
    areas: Mapping[Any, float] | None = None,
    base_rates: Mapping[Any, float] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw precision over recall. Beyond ten curves, the five worst are named and the others are thin and gray.

    Curves are steps: between two thresholds, precision is the one at the higher recall (Davis and Goadrich, ICML 2006,
    show why a straight line would promise too much).

    Args:
        curves: `(recall, precision)` under each name: two `float (T,)`, recall rising or falling. One whose lowest
            recall is above 0 is drawn from 0 on, at the precision of that recall.
        areas: The average precision of each curve, under its name; None to add it up from the curve.
        base_rates: The share of images that belong to each class, drawn as a thin line: what guessing reaches; or None.
        ax: Where to draw; None for a new figure.

    Returns:
        The Axes.

    Raises:
        ConfigurationError: There are no curves, the two parts of one differ in length, or an area or a base rate is
            missing.

    Examples:
        >>> from imgcls.plotting import precision_recall_curves
        >>> ax = precision_recall_curves({"cat": ([1, 0.5, 0], [0.6, 0.8, 1])}, base_rates={"cat": 0.3})
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['cat, 0.70 (guessing: 0.30)']
    """
    rising = {
        name: (x[::-1], y[::-1]) if x[0] > x[-1] else (x, y)
        for name, (x, y) in _points(curves, ("recall", "precision")).items()
    }
    points = {name: (np.append(0, x), np.append(y[0], y)) if x[0] > 0 else (x, y) for name, (x, y) in rising.items()}
    _checks.refuse([nameless("areas", areas, curves), nameless("base_rates", base_rates, curves)])
    found = {
        name: float((np.diff(x, prepend=0) * y).sum()) if areas is None else float(areas[name])
        for name, (x, y) in points.items()
    }
    rates = base_rates or {}
    labels = {
        name: f"{short(name)}, {area:.2f}" + (f" (guessing: {rates[name]:.2f})" if rates else "")
        for name, area in found.items()
    }
    ax = ax or new_axes(_size(points))
    named = _draw(ax, points, found, labels, drawstyle="steps-pre")
    for place, name in enumerate(named if rates else ()):
        ax.axhline(rates[name], color=PALETTE[place], linestyle=DASHES[place], linewidth=0.8, alpha=0.7)
    ax.set(xlabel="recall", ylabel="precision", title=_title("Precision and recall", named, points))
    _finish(ax, "average precision", "lower left")
    return ax


def threshold_curve(
    thresholds: Any, precision: Any, recall: Any, *, chosen: float | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Draw precision and recall over the threshold.

    Args:
        thresholds: `float (T,)`, rising or falling: an image is taken for the class from this probability on.
        precision: `float (T,)`.
        recall: `float (T,)`.
        chosen: A threshold to mark, with the precision and the recall of the images from it on; or None. Above the
            highest of `thresholds` there are no images: recall is 0, and there is no precision.
        ax: Where to draw; None for a new figure.

    Returns:
        The Axes.

    Raises:
        ConfigurationError: The lengths differ.

    Examples:
        >>> from imgcls.plotting import threshold_curve
        >>> ax = threshold_curve([0.2, 0.5, 0.8], [0.5, 0.7, 1], [1, 0.9, 0.4], chosen=0.5)
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['precision', 'recall', 'chosen: 0.5 (precision 0.70, recall 0.90)']
    """
    wrong = not_numbers("thresholds", thresholds, ("T",), "at least one")
    size = (0,) if wrong else np.shape(thresholds)
    columns = () if wrong else (("precision", precision), ("recall", recall))
    _checks.refuse([wrong, *(not_numbers(name, column, size, "one for each threshold") for name, column in columns)])
    thresholds, precision, recall = (np.asarray(column, float) for column in (thresholds, precision, recall))
    if thresholds[0] > thresholds[-1]:
        thresholds, precision, recall = thresholds[::-1], precision[::-1], recall[::-1]
    ax = ax or new_axes()
    some = thinned(thresholds, precision, recall)
    ax.plot(thresholds[some], precision[some], color=FIRST, drawstyle="steps-pre", label="precision")
    ax.plot(thresholds[some], recall[some], color=SECOND, linestyle="--", drawstyle="steps-pre", label="recall")
    if chosen is not None:
        at = int(np.searchsorted(thresholds, chosen))  # the lowest that is not below it
        reached = at < len(thresholds)
        words = f"precision {precision[at]:.2f}, recall {recall[at]:.2f}" if reached else "recall 0, no precision"
        ax.axvline(chosen, color="black", linewidth=1, linestyle=":", label=f"chosen: {chosen:.3g} ({words})")
        if reached:
            ax.plot([chosen] * 2, (precision[at], recall[at]), "o", color="black", markersize=5)
    ax.set(xlabel="threshold (probability)", ylabel="precision, recall", title="Precision and recall by threshold")
    ax.set_ylim(-0.02, 1.02)
    ax.grid(alpha=0.3)
    legend(ax, "best")
    return ax


def _size(points: Mapping[Any, Any]) -> tuple[float, float]:
    return (6, 5.4) if len(points) < INSIDE else (8.6, 5.4)


def _points(curves: Mapping[Any, Curve], parts: tuple[str, str]) -> dict[Any, tuple[Floats, Floats]]:
    """Return every curve as two arrays, or refuse what is not a curve."""
    _checks.refuse([nothing("curves", curves)])
    problems = []
    for name, (first, second) in curves.items():
        problem = not_numbers(f"{name!r}: {parts[0]}", first, ("T",), "at least one")
        problems.append(
            problem or not_numbers(f"{name!r}: {parts[1]}", second, np.shape(first), f"one for each {parts[0]}")
        )
    _checks.refuse(problems)
    return {name: (np.asarray(x, float), np.asarray(y, float)) for name, (x, y) in curves.items()}


def _draw(
    ax: "Axes",
    points: Mapping[Any, tuple[Floats, Floats]],
    areas: Mapping[Any, float],
    labels: Mapping[Any, str],
    **style: Any,
) -> list[Any]:
    """Draw all curves and return which of them have a name: all in their order, or the worst of many, worst first."""
    named = list(points)
    if len(points) > _MOST_NAMED:
        known = [name for name in points if np.isfinite(areas[name])]
        named = sorted(known, key=lambda name: areas[name])[:_WORST]
    others = [name for name in points if name not in set(named)]
    drawn = {name: (x[some], y[some]) for name, (x, y) in points.items() for some in [thinned(x, y)]}
    for index, name in enumerate(others):
        label = f"{len(others):,} others" if index == 0 else None
        ax.plot(*drawn[name], color=FAINT, linewidth=0.5, alpha=0.6, zorder=1.5, label=label, **style)
    for place, name in enumerate(named):
        ax.plot(
            *drawn[name],
            color=PALETTE[place],
            linestyle=DASHES[place],
            marker=MARKERS[place],
            markevery=(0.01 * place, 0.12),  # a share of the diagonal, so that many points show few markers
            markersize=5,
            linewidth=1.5,
            label=entry(labels[name]),
            **style,
        )
    return named


def _title(what: str, named: list[Any], points: Mapping[Any, Any]) -> str:
    return what if len(named) == len(points) else f"{what}: the {len(named)} worst of {len(points):,} classes named"


def _finish(ax: "Axes", figure: str, where: str) -> None:
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.grid(alpha=0.3)
    legend(ax, where, title=f"class, {figure}", title_fontsize=8)
