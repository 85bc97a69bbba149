"""The confusion matrix."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks
from imgcls.plotting._shapes import not_numbers, nothing
from imgcls.plotting._style import FAINT, SHARES, fitting, new_axes, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ANNOTATED_CLASSES = 30  # beyond this, numbers in cells cannot be read
_NUMBER = 10.0  # points, where there is room
_WIDTH = 0.65  # of a character, as a share of its size
_LARGEST_SIDE = 24.0  # inches
_CLUSTERED = "clustered"


def confusion_matrix(
    counts: Any,
    classes: Sequence[Any],
    *,
    normalize: bool = False,
    order: str | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw a confusion matrix: rows are the true classes, columns the predicted ones.

    Cells hold numbers up to 30 classes; beyond, colour rises with the root of the share, so that rare errors are seen.
    Names shrink as classes grow in number; where the Axes is too small for all, every second or third is shown.

    Args:
        counts: `int (K, K)`; `counts[i, j]` images of class i were predicted as class j. With `normalize` any
            finite numbers from 0, such as sums of weights.
        classes: K names.
        normalize: Draw the share of each row instead of counts.
        order: None for the order of `classes`; "clustered" to let classes that are confused stand together.
        ax: Where to draw; None for a new figure that fits K classes.

    Returns:
        The Axes.

    Raises:
        ConfigurationError: The counts are not (K, K), no whole numbers, below 0 or not finite, or the order is not
            known.

    Examples:
        >>> from imgcls.plotting import confusion_matrix
        >>> confusion_matrix([[5, 1], [0, 4]], ["cat", "dog"]).get_xlabel()
        'predicted'
        >>> counts = [[9, 0, 1], [0, 9, 0], [3, 0, 7]]
        >>> ax = confusion_matrix(counts, ["cat", "car", "dog"], order="clustered")
        >>> [label.get_text() for label in ax.get_yticklabels()]
        ['car', 'dog', 'cat']
    """
    import seaborn as sns
    from matplotlib.colors import Normalize, PowerNorm

    size = len(classes)
    _checks.refuse(
        [
            nothing("classes", classes)
            or not_numbers("counts", counts, (size, size), "one row and one column for each class")
            or _not_counts(counts, whole=not normalize),
            _checks.unknown_name("order", order, (None, _CLUSTERED)),
        ]
    )
    counts = np.asarray(counts) if normalize else np.asarray(counts, float).astype(np.int64)
    places = clustered_order(counts) if order == _CLUSTERED else np.arange(size)
    counts, names = counts[np.ix_(places, places)], [short(classes[place]) for place in places]
    shares = _shares(counts)
    side = min(4 + 0.38 * size, _LARGEST_SIDE)
    ax = ax or new_axes((side + 0.8, side))
    space = _space(ax, size)
    longest = 4 if normalize else len(str(counts.max()))
    annotated, before = size <= _ANNOTATED_CLASSES, len(ax.texts)
    sns.heatmap(
        shares,  # colour is always the share of the true class, so that rare classes are seen
        annot=(shares if normalize else counts) if annotated else False,
        annot_kws={"fontsize": min(_NUMBER, 0.9 * space / (_WIDTH * longest))},
        fmt=".2f" if normalize else "d",
        cmap=SHARES,
        norm=Normalize(0, 1) if annotated else PowerNorm(0.5, 0, 1),  # the root where there are no numbers
        square=True,
        linewidths=0.5 if annotated else 0,
        cbar_kws={"label": "share of the true class", "shrink": 0.8},
        xticklabels=False,
        yticklabels=False,
        ax=ax,
    )
    for text, count in zip(ax.texts[before:], counts.ravel() if annotated else (), strict=True):
        if count == 0:
            text.set_color(FAINT)  # nothing to read there: eyes go to the errors
    _name_cells(ax, names, space)
    ax.set(xlabel="predicted", ylabel="true", title="Confusion matrix")
    return ax


def clustered_order(counts: NDArray[Any]) -> NDArray[np.intp]:
    """Return the order of K classes in which those that are confused with each other stand together.

    Average linkage over the shares that go from one class to the other, either way, and the order of its leaves in
    which neighbours are nearest (Bar-Joseph, Gifford and Jaakkola, Bioinformatics 17, 2001).

    Args:
        counts: `int (K, K)`; `counts[i, j]` images of class i were predicted as class j.

    Returns:
        `int (K,)`; as it was where nothing is confused.

    Examples:
        >>> import numpy as np
        >>> clustered_order(np.array([[9, 0, 1], [0, 9, 0], [3, 0, 7]])).tolist()
        [1, 2, 0]
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    shares = _shares(counts)
    mixed = shares + shares.T
    np.fill_diagonal(mixed, 0)
    if mixed.max() == 0 or len(mixed) < 3:
        return np.arange(len(mixed))
    # The root lets rare confusions count beside a frequent one.
    distances = squareform(1 - np.sqrt(mixed / mixed.max()), checks=False)
    return np.asarray(leaves_list(linkage(distances, "average", optimal_ordering=True)), np.intp)


def _not_counts(counts: Any, *, whole: bool) -> str | None:
    """Check that numbers are counts, of whatever dtype; or weights, where they need not be whole."""
    numbers = np.asarray(counts, float)
    accepted = np.isfinite(numbers) & (numbers >= 0)
    wrong = numbers[~(accepted & (numbers == np.floor(numbers)) if whole else accepted)]
    if not wrong.size:
        return None
    if not whole:
        return (
            f"counts hold {wrong[0]:.4g}. Accepted with normalize=True: finite numbers from 0, such as sums of weights."
        )
    return (
        f"counts hold {wrong[0]:.4g}. Accepted: whole numbers from 0. Where they are sums of weights, give "
        "normalize=True, which draws the share of each row."
    )


def _shares(counts: NDArray[Any]) -> NDArray[np.float64]:
    totals = counts.sum(axis=1, keepdims=True)
    return np.asarray(counts / np.where(totals > 0, totals, 1), np.float64)


def _space(ax: "Axes", size: int) -> float:
    """Return how many points there are for each class; cells are square."""
    box = ax.get_window_extent()
    return float(72 / ax.figure.dpi * min(box.width, box.height) / size)


def _name_cells(ax: "Axes", names: list[str], space: float) -> None:
    """Name rows and columns, upright where the names would touch."""
    places = np.arange(len(names)) + 0.5
    every, size = fitting(space)
    ax.set_xticks(
        places[::every], names[::every], parse_math=False, fontsize=size
    )  # a class may be called "$5 and $10"
    ax.set_yticks(places[::every], names[::every], parse_math=False, fontsize=size)
    widest = _WIDTH * size * max(map(len, names))
    ax.tick_params(axis="x", rotation=0 if widest < space else 90)
    ax.tick_params(axis="y", rotation=0)
