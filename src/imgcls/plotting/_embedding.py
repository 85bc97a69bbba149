"""A map of the images: alike in the eyes of the model, near each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks
from imgcls.plotting._shapes import not_numbers, nothing
from imgcls.plotting._style import MARKERS, PALETTE, entry, legend, new_axes, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEGEND_CLASSES = 10
_MOST_NAMES = 200
_SIZE, _SHIFTS = 7, 1_500  # points of a name, and places to try for it


def embedding_map(
    points: Any, labels: Any, classes: Sequence[Any], *, wrong: Any = None, ax: "Axes | None" = None
) -> "Axes":
    """Draw images as points in the plane, with the colour and the marker of their class.

    Up to 10 classes, a legend names them. Beyond, colours come back with other markers, from the hundredth class on
    with hollow ones, and from the two hundredth as at first. Each name stands at the median of its points, or beside
    it, at the end of a line; the 200 commonest classes are named.

    Args:
        points: `float (N, 2)`, such as the first two principal components of embeddings.
        labels: `int (N,)`: the class of each image, an index into `classes`.
        classes: K names; classes without images are not drawn.
        wrong: `bool (N,)`: images to cross out, such as those predicted wrong; or None.
        ax: Where to draw; None for a new figure that fits K names.

    Returns:
        The Axes.

    Raises:
        ConfigurationError: The lengths differ, or a label is not the index of a class.

    Examples:
        >>> from imgcls.plotting import embedding_map
        >>> ax = embedding_map([[0, 0], [0, 1], [5, 5]], [0, 0, 1], ["cat", "dog"], wrong=[False, True, False])
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['cat', 'dog', 'wrong']
    """
    problem = nothing("classes", classes) or not_numbers("points", points, ("N", 2), "one row for each image")
    size = (0,) if problem else (len(points),)
    each = "one for each point"
    columns = {} if problem else {"labels": labels} | ({} if wrong is None else {"wrong": wrong})
    _checks.refuse([problem, *(not_numbers(name, column, size, each) for name, column in columns.items())])
    points, labels = np.asarray(points, float), np.asarray(labels)
    outside = labels[(labels < 0) | (labels >= len(classes)) | (labels % 1 != 0)]
    if len(outside):
        accepted = f"Accepted: whole numbers from 0 to {len(classes) - 1:,}, one index into the classes for each point."
        _checks.refuse([f"labels hold {outside[0]}. {accepted}"])
    labels = labels.astype(np.intp)
    many = len(classes) > _LEGEND_CLASSES
    side = min(6 + 0.04 * len(classes), 14) if many else 5.4
    ax = ax or new_axes((side + 1.6, side))
    present = np.unique(labels)
    area = float(np.clip(12_000 / len(points), 6, 40))
    for label in present.tolist():
        marker = MARKERS[(label + label // len(PALETTE)) % len(MARKERS)]
        color, hollow = PALETTE[label % len(PALETTE)], label // (len(PALETTE) * len(MARKERS)) % 2
        ax.scatter(
            points[labels == label, 0],
            points[labels == label, 1],
            s=area,
            facecolors="none" if hollow else color,
            edgecolors=color,
            marker=marker,
            alpha=0.75,
            linewidths=0.8 if hollow else 0,
            label=None if many else entry(short(classes[label])),
        )
    if wrong is not None:
        crossed = points[np.asarray(wrong, bool)]
        ax.scatter(crossed[:, 0], crossed[:, 1], s=1.2 * area, color="black", marker="x", linewidths=0.8, label="wrong")
    ax.set(xticks=[], yticks=[], xlabel="first direction (no unit)", ylabel="second direction (no unit)")
    ax.set_title("Map of the images: near means alike to the model")
    if not many or wrong is not None:
        legend(ax, None, markerscale=6 / area**0.5)
    if many:
        ax.figure.canvas.figure.draw_without_rendering()  # names keep apart in the layout that will be drawn
        _name_medians(ax, points, labels, present, classes)
    return ax


def _name_medians(ax: "Axes", points: Any, labels: Any, present: Any, classes: Sequence[Any]) -> None:
    from matplotlib.patheffects import withStroke

    counts = np.bincount(labels, minlength=len(classes))
    commonest = present[np.argsort(-counts[present], kind="stable")][:_MOST_NAMES].tolist()
    names = [short(classes[label]) for label in commonest]
    medians = np.array([np.median(points[labels == label], axis=0) for label in commonest])
    scale = 72 / ax.figure.dpi
    shifts = _apart(ax.transData.transform(medians) * scale, names, ax.get_window_extent().bounds, scale)
    for name, median, shift in zip(names, medians, shifts, strict=True):
        ax.annotate(
            name,
            median,
            xytext=shift,
            textcoords="offset points",
            fontsize=_SIZE,
            ha="center",
            va="center",
            parse_math=False,
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0} if shift.any() else None,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )


def _apart(places: Any, names: Sequence[str], bounds: Any, scale: float) -> NDArray[np.float64]:
    """Return by how many points to shift each name so that none covers another: the nearest free place of a spiral."""
    steps = np.arange(_SHIFTS)
    turns = 2.4 * steps  # radians: the golden angle, which leaves no gaps
    shifts = 4 * np.sqrt(steps)[:, None] * np.stack([2 * np.cos(turns), np.sin(turns)], axis=1)  # names are wide
    halves = np.array([[0.3 * _SIZE * len(name) + 1, 0.6 * _SIZE] for name in names])
    low = np.array(bounds[:2]) * scale
    high = low + np.array(bounds[2:]) * scale
    centres = places.copy()
    for index, half in enumerate(halves):
        for some in np.array_split(shifts, _SHIFTS // 50):  # the first are mostly enough
            found = places[index] + some
            free = ((found - half >= low) & (found + half <= high)).all(axis=1)
            gaps = np.abs(found[:, None] - centres[:index]) - halves[:index] - half
            free &= (gaps > 0).any(axis=2).all(axis=1)
            if free.any():  # otherwise it stays where it is
                centres[index] = found[np.argmax(free)]
                break
    return np.asarray(centres - places)
