"""Images in a grid."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def image_grid(
    images: Sequence[NDArray[np.uint8]],
    titles: Sequence[str] = (),
    *,
    wrong: Sequence[bool] = (),
    columns: int | None = None,
    ax: "Axes | None" = None,
) -> "NDArray[Any]":
    """Draw images in rows, each with a title.

    Args:
        images: `uint8 (H, W, C)` arrays of any size, C = 1 or 3.
        titles: One line for each image.
        wrong: Which titles to mark as wrong: in red, with a cross.
        columns: Images in a row; None for a nearly square grid of at most 8.
        ax: Where to draw a single image; None for a new figure.

    Returns:
        The Axes of the images, an object array (N,).

    Raises:
        ValueError: `ax` is given for several images.

    Examples:
        >>> import numpy as np
        >>> from imgcls.plotting import image_grid
        >>> image_grid([np.zeros((8, 8, 1), np.uint8)] * 5, ["a", "b", "c", "d", "e"]).shape
        (5,)
    """
    from matplotlib import pyplot as plt

    if ax is not None and len(images) != 1:
        message = f"ax takes one image and there are {len(images)}. Leave ax out for a grid."
        raise ValueError(message)
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
        gray = image.shape[2] == 1
        axes[index].imshow(image[..., 0] if gray else image, cmap="gray" if gray else None, vmin=0, vmax=255)
        if index < len(titles):
            bad = index < len(wrong) and wrong[index]
            title = f"✗ {titles[index]}" if bad else titles[index]
            axes[index].set_title(title, fontsize=9, color="#b3261e" if bad else "black", parse_math=False)
    return axes[: len(images)]
