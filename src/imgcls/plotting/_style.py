"""What all plots share: colours that survive colour blindness and a grey printer, names that fit, new Axes.

Colour never stands alone: what differs in colour differs in marker or dashes too.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours in seaborn's version "colorblind", with black for its yellow, which a white page swallows.
PALETTE = (
    "#0173b2",
    "#de8f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#000000",
    "#56b4e9",
    "#949494",
    "#ca9161",
    "#fbafe4",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "<", "*", ">", "h")
# Two colours share a pattern only where they are far apart in gray: by more than 11 of the 100 steps of lightness L*.
_SOLID, _DASHED, _DOTTED = "-", (0, (5, 2)), (0, (1, 1.2))
_MIXED, _LONG = (0, (6, 1.5, 1, 1.5)), (0, (10, 3))
DASHES = (_SOLID, _DASHED, _DOTTED, _DASHED, _MIXED, _MIXED, _DOTTED, _LONG, _SOLID, _LONG)

FIRST, SECOND = PALETTE[0], PALETTE[1]  # dark and light, where there are two
BAR, WARNING, FAINT = "#56b4e9", "#b3261e", "#b5b5b5"
SHARES, HEAT = "Blues", "viridis"  # lightness of both is monotone: white to dark, and dark to light

INSIDE = 4  # entries of a legend that leave room for data beside them
_LONGEST = 32  # characters of a name
_MOST_POINTS = 2_000
_SMALLEST, _LARGEST = 5.0, 10.0  # points


def new_axes(size: tuple[float, float] = (6, 4)) -> "Axes":
    """Return the Axes of a new figure of `size` inches, whose labels are never cut."""
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def readable(text: str) -> str:
    r"""Return a text that can be drawn: names of files that are no UTF-8 have characters that no font can have.

    Examples:
        >>> print(readable("ros\udce9"))
        ros\udce9
    """
    return text.encode(errors="backslashreplace").decode()


def short(name: Any) -> str:
    """Return a name as text, without its middle where it is long: names from a list often differ at their ends."""
    text = readable(str(name))
    half = (_LONGEST - 1) // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[-half:]}"


def fitting(space: float) -> tuple[int, float]:
    """Return every how many names one is shown where each has `space` points of an axis, and its size in points."""
    size = min(_LARGEST, max(_SMALLEST, 0.9 * space))
    return max(1, math.ceil(1.1 * size / space)), size


def thinned(*columns: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return which points of a curve to draw: all, or up to 2,000 that no eye tells from a million.

    They stand evenly along the way that the curve goes, and not by rank: of a rare class among a million images, the
    first hundred ranks are all that there is to see.

    Args:
        columns: `float (T,)` each, on axes from 0 to 1: the places of the points.

    Examples:
        >>> import numpy as np
        >>> recall = np.append(np.arange(1, 100) / 100, np.linspace(0.99, 1, 1_000_000))
        >>> found = thinned(recall)
        >>> len(found), recall[found][:3].tolist()
        (120, [0.01, 0.02, 0.03])
    """
    count = len(columns[0])
    if count <= _MOST_POINTS:
        return np.arange(count)
    steps = sum(np.nan_to_num(np.abs(np.diff(column)), posinf=0) for column in columns)
    way = np.append(0, np.cumsum(steps))
    return np.unique(np.searchsorted(way, np.linspace(0, way[-1], _MOST_POINTS)))


def entry(label: str) -> str:
    """Return a label that a legend shows: Matplotlib leaves out what is empty or begins with "_", but no space."""
    return f" {label}" if not label or label.startswith("_") else label


def legend(ax: "Axes", inside: str | None, **options: Any) -> None:
    """Draw the legend of `ax` in the corner `inside`, or at the right of it where it is None or the entries are many.

    Names in it are never mathematics.
    """
    if inside is None or len(ax.get_legend_handles_labels()[1]) > INSIDE:
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.02, 1), "borderaxespad": 0}
    else:
        place = {"loc": inside}
    drawn = ax.legend(fontsize=8, framealpha=0.9, **place, **options)
    for text in drawn.get_texts():
        text.set_parse_math(False)
