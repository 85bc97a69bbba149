"""Images in a grid."""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks
from imgcls.errors import ConfigurationError
from imgcls.plotting._style import HEAT, WARNING, readable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE = 26  # characters of a title that stand above one image
MOST_OPAQUE = 0.75  # the image must be seen below the hottest place too
_OUTLINED = 0.5


def image_grid(
    images: Sequence[NDArray[np.uint8]],
    titles: Sequence[str] = (),
    *,
    wrong: Sequence[bool] = (),
    heat: Sequence[NDArray[np.float32]] | None = None,
    columns: int | None = None,
    ax: "Axes | None" = None,
) -> "NDArray[Any]":
    """Draw images in rows, each with a title, and with heat laid over it where there is some.

    Heat is the brighter and the less transparent the hotter it is; a line goes around what is hotter than half.

    Args:
        images: `uint8 (H, W, C)` arrays of any size, any C: of more than three bands the first three are shown, of two
            the first.
        titles: One line for each image.
        wrong: Which titles to mark as wrong: in red, with a cross.
        heat: `float32 (H, W)` in [0, 1] for each image, of its size or any other: it is stretched; or None.
        columns: Images in a row; None for a nearly square grid of at most 8.
        ax: Where to draw a single image; None for a new figure.

    Returns:
        The Axes of the images, an object array (N,).

    Raises:
        ConfigurationError: `ax` is given for several images, there are not as many heat maps as images, or one is not
            (H, W) in [0, 1].

    Examples:
        >>> import numpy as np
        >>> from imgcls.plotting import image_grid
        >>> image_grid([np.zeros((8, 8, 1), np.uint8)] * 5, ["a", "b", "c", "d", "e"]).shape
        (5,)

        What augmentation makes of one image:

        >>> image = np.zeros((8, 8, 3), np.uint8)
        >>> augmented = np.zeros((7, 8, 8, 3), np.uint8)
        >>> axes = image_grid([image, *augmented], ["original"], columns=4)
        >>> axes[0].get_title(), axes[0].get_gridspec().nrows
        ('original', 2)
    """
    from matplotlib import pyplot as plt

    if ax is not None and len(images) != 1:
        message = f"ax takes one image and there are {len(images)}. Leave ax out for a grid."
        raise ConfigurationError(message)
    if heat is not None:
        _checks.refuse(_wrong_heat(heat, len(images)))
    if not len(images):
        return np.empty(0, dtype=object)  # such as the wrong ones where none is wrong
    if ax is not None:
        axes = np.array([ax])
    else:
        columns = columns or min(8, int(np.ceil(np.sqrt(len(images)))))
        rows = -(-len(images) // columns)
        size = (max(1.7 * columns, 2.4), max(1.95 * rows, 2.6))
        axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")[1].ravel()
    for one in axes:
        one.set_axis_off()
    for index, image in enumerate(images):
        gray = image.shape[2] < 3
        shown = image[..., 0] if gray else image[..., :3]
        axes[index].imshow(shown, cmap="gray" if gray else None, vmin=0, vmax=255)
        if index < len(titles):
            bad = index < len(wrong) and wrong[index]
            title = readable(titles[index])
            title = fill(f"✗ {title}" if bad else title, _LINE)
            axes[index].set_title(title, fontsize=9, color=WARNING if bad else "black", parse_math=False)
        if heat is not None:
            _lay_over(axes[index], np.asarray(heat[index], float), image.shape[:2])
    return axes[: len(images)]


def _wrong_heat(heat: Sequence[Any], count: int) -> list[str | None]:
    if len(heat) != count:
        return [f"there are {len(heat):,} heat maps and {count:,} images. Accepted: one for each image."]
    return [
        None
        if np.ndim(one) == 2 and np.size(one) and np.all((np.asarray(one) >= 0) & (np.asarray(one) <= 1))
        else f"heat map {index} is not accepted. Accepted: numbers (H, W) from 0 to 1."
        for index, one in enumerate(heat)
    ]


def _lay_over(ax: "Axes", heat: NDArray[np.float64], size: tuple[int, ...]) -> None:
    extent = (-0.5, size[1] - 0.5, size[0] - 0.5, -0.5)  # of the image, so that coarse heat covers all of it
    ax.imshow(heat, cmap=HEAT, vmin=0, vmax=1, alpha=heat * MOST_OPAQUE, extent=extent, interpolation="bilinear")
    if heat.max() > _OUTLINED > heat.min() and min(heat.shape) > 1:
        for color, width in (("black", 2.2), ("white", 1.0)):  # white on black is seen on any image
            ax.contour(heat, [_OUTLINED], colors=color, linewidths=width, extent=extent, origin="upper")
