"""Bars and dots for each class or slice, the worst first."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from imgcls import _checks
from imgcls.plotting._rows import axes_for, name_rows, ranked
from imgcls.plotting._shapes import not_numbers, nothing
from imgcls.plotting._style import BAR, FIRST, WARNING, legend, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def class_bars(
    values: Any,
    lower: Any,
    upper: Any,
    classes: Sequence[Any],
    *,
    metric: str = "F1",
    support: Any = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw a figure of each class as a bar with its interval, the worst class at the top.

    Beyond 40 classes, the 20 worst and the 20 best are drawn, and a line says how many stand between them. Classes
    whose figure is not a number are left out and counted.

    Args:
        values: `float (K,)`, from 0 to 1.
        lower: `float (K,)`: lower ends of the intervals.
        upper: `float (K,)`: upper ends.
        classes: K names.
        metric: What the values are.
        support: `int (K,)`: images of each class, written behind its name; or None.
        ax: Where to draw; None for a new figure that fits the rows.

    Returns:
        The Axes.

    Raises:
        ConfigurationError: The lengths differ.

    Examples:
        >>> from imgcls.plotting import class_bars
        >>> ax = class_bars([0.9, 0.6], [0.8, 0.4], [0.95, 0.7], ["cat", "dog"], support=[80, 20])
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['dog (20)', 'cat (80)']
    """
    each, size = "one for each class", (len(classes),)
    columns = {"values": values, "lower": lower, "upper": upper} | ({} if support is None else {"support": support})
    empty = nothing("classes", classes)
    _checks.refuse([empty] if empty else [not_numbers(name, column, size, each) for name, column in columns.items()])
    values, lower, upper = (np.asarray(column, float) for column in (values, lower, upper))
    names = [short(name) for name in classes]
    if support is not None:
        names = [f"{name} ({count:,})" for name, count in zip(names, np.asarray(support).tolist(), strict=True)]
    rows = ranked(values)
    ax = ax or axes_for(rows)
    shown = rows.chosen
    ax.barh(rows.places, values[shown], height=0.72, color=BAR)
    _whiskers(ax, values[shown], lower[shown], upper[shown], rows.places, fmt="none")
    name_rows(ax, rows, names, [f"{value:.2f}" for value in values], "classes")
    absent = f"; {rows.unknown:,} without {metric} left out" if rows.unknown else ""
    ax.set(xlim=(0, 1), xlabel=f"{metric}, with its interval{absent}")
    ax.set_ylabel("class" if support is None else "class (images)")
    ax.set_title(f"{metric[:1].upper()}{metric[1:]} of each class, worst first", parse_math=False)
    return ax


def class_counts(counts: Mapping[Any, int], *, ax: "Axes | None" = None) -> "Axes":
    """Draw how many images each class has, the rarest at the top.

    Beyond 40 classes, the 20 rarest and the 20 commonest are drawn, and a line says how many stand between them.

    Args:
        counts: Images of each class, under its name.
        ax: Where to draw; None for a new figure that fits the rows.

    Returns:
        The Axes.

    Raises:
        ConfigurationError: There are no classes, or a count is not a number.

    Examples:
        >>> from imgcls.plotting import class_counts
        >>> ax = class_counts({"cat": 80, "dog": 20})
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['dog', 'cat']
    """
    from matplotlib.ticker import MaxNLocator

    values = list(counts.values())
    _checks.refuse([nothing("counts", counts) or not_numbers("counts", values, (len(counts),), "one for each class")])
    numbers = np.asarray(values, float)
    rows = ranked(numbers)
    ax = ax or axes_for(rows)
    ax.barh(rows.places, numbers[rows.chosen], height=0.72, color=BAR)
    name_rows(ax, rows, [short(name) for name in counts], [f"{value:,}" for value in values], "classes")
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.set(xlabel="images", ylabel="class", title="Images of each class, rarest first")
    return ax


def slices(
    names: Sequence[Any],
    accuracies: Any,
    lower: Any,
    upper: Any,
    counts: Any,
    *,
    overall: float | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the accuracy of each slice of the images as a dot with its interval; the title names the worst.

    Slices whose whole interval lies below the accuracy of all images are drawn as triangles in another colour. Beyond
    40 slices, the 20 worst and the 20 best are drawn, and a line says how many stand between them.

    Args:
        names: S names of slices, such as "brightness: dark".
        accuracies: `float (S,)`.
        lower: `float (S,)`: lower ends of the intervals.
        upper: `float (S,)`: upper ends.
        counts: `int (S,)`: images in each slice.
        overall: The accuracy of all images, drawn as a line; or None.
        ax: Where to draw; None for a new figure that fits the rows.

    Returns:
        The Axes.

    Raises:
        ConfigurationError: The lengths differ.

    Examples:
        >>> from imgcls.plotting import slices
        >>> ax = slices(["light", "dark"], [0.9, 0.6], [0.8, 0.5], [0.95, 0.7], [90, 60], overall=0.78)
        >>> ax.get_title()
        'Accuracy of slices. Worst: dark, 0.60'
    """
    columns = {"accuracies": accuracies, "lower": lower, "upper": upper, "counts": counts}
    empty, size = nothing("names", names), (len(names),)
    _checks.refuse(
        [empty]
        if empty
        else [not_numbers(name, column, size, "one for each slice") for name, column in columns.items()]
    )
    accuracies, lower, upper = (np.asarray(column, float) for column in (accuracies, lower, upper))
    rows = ranked(accuracies)
    ax = ax or axes_for(rows)
    if overall is not None:
        ax.axvline(overall, color="black", linestyle="--", linewidth=1, label=f"all images, {overall:.2f}")
    shown = rows.chosen
    below = upper[shown] < (-np.inf if overall is None else overall)
    for some, color, marker, label in (
        (below, WARNING, "v", "interval below all images"),
        (~below, FIRST, "o", "slice, with its interval"),
    ):
        if some.any():
            where = shown[some]
            _whiskers(
                ax,
                accuracies[where],
                lower[where],
                upper[where],
                rows.places[some],
                fmt=marker,
                color=color,
                label=label,
            )
    labels = [f"{short(name)} ({count:,})" for name, count in zip(names, np.asarray(counts).tolist(), strict=True)]
    name_rows(ax, rows, labels, [f"{accuracy:.2f}" for accuracy in accuracies], "slices")
    absent = f"; {rows.unknown:,} without images left out" if rows.unknown else ""
    ax.set(xlim=(0, 1), xlabel=f"accuracy{absent}", ylabel="slice (images)")
    worst = f" Worst: {short(names[shown[0]])}, {accuracies[shown[0]]:.2f}" if len(shown) else ""
    ax.set_title(f"Accuracy of slices.{worst}", parse_math=False)
    legend(ax, "lower left")  # the best stand below, at the right
    return ax


def _whiskers(ax: "Axes", values: Any, lower: Any, upper: Any, places: Any, **style: Any) -> None:
    """Draw intervals; rounding may put an end a hair on the wrong side of the value."""
    ends = np.maximum([values - lower, upper - values], 0)
    ax.errorbar(values, places, xerr=ends, ecolor="black", elinewidth=1, capsize=2, markersize=6, **style)
