"""Rows from worst to best: which ones are shown, where they stand, and what stands beside them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls.plotting._style import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 40  # more names than this cannot be read on a page
_BAR = 0.22  # inches that a row takes


class Rows(NamedTuple):
    """The rows of a plot.

    Attributes:
        chosen: `int (R,)`: what stands in each row, from the top: an index into what was ranked.
        places: `float (R,)`: where each row stands.
        hidden: How many are left out, between the first and the second half.
        unknown: How many are left out because they have no figure.
    """

    chosen: NDArray[np.intp]
    places: NDArray[np.float64]
    hidden: int
    unknown: int


def ranked(values: NDArray[np.float64]) -> Rows:
    """Return the rows of `values`, the smallest first: all of them, or the 20 smallest and the 20 largest."""
    order = np.argsort(values, kind="stable")
    known = order[np.isfinite(values[order])]
    unknown = len(values) - len(known)
    if len(known) <= MOST_ROWS:
        return Rows(known, np.arange(len(known), dtype=float), 0, unknown)
    half = MOST_ROWS // 2
    places = np.arange(MOST_ROWS, dtype=float)
    places[half:] += 2  # room for a line that says how many stand between
    return Rows(np.concatenate([known[:half], known[-half:]]), places, len(known) - MOST_ROWS, unknown)


def axes_for(rows: Rows) -> "Axes":
    """Return the Axes of a new figure with room for `rows`."""
    last = rows.places[-1] if len(rows.places) else 0
    return new_axes((7, 1.4 + _BAR * max(last + 1, 3)))


def name_rows(ax: "Axes", rows: Rows, names: Sequence[str], figures: Sequence[str], things: str) -> None:
    """Name the rows at the left, write a figure at the right of each, and say what was left out.

    Args:
        ax: Where.
        rows: Which of the names stand where.
        names: Of everything that was ranked.
        figures: One text for everything that was ranked.
        things: What the names are, in the plural.
    """
    ax.set_yticks(rows.places, [names[index] for index in rows.chosen], parse_math=False, fontsize=9)
    right = ax.get_yaxis_transform()
    for index, place in zip(rows.chosen, rows.places, strict=True):
        ax.text(1.025, place, figures[index], transform=right, va="center", fontsize=8, parse_math=False)
    if rows.hidden:
        middle = (rows.places[len(rows.places) // 2 - 1] + rows.places[len(rows.places) // 2]) / 2
        words = f"… {rows.hidden:,} {things} between …"
        ax.text(0.5, middle, words, transform=right, ha="center", va="center", fontsize=8)
    if len(rows.places):
        ax.set_ylim(rows.places[-1] + 0.7, -0.7)  # the first row at the top
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", alpha=0.3)
    ax.set_axisbelow(True)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
