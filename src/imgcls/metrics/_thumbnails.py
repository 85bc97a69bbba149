"""Pictures for the page of an `Evaluation`: which images, how large, and how many the page can hold."""

from collections import Counter
from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import images
from imgcls.errors import UnreadableImageError

SMALL, LARGE = 80, 192  # pixels of the longer side
OF_A_CELL = 12  # wrong images of one cell of the confusion matrix
_RIGHT_OF_A_CELL = 4
_MOST, _MOST_NAMED = 600, 3_000  # images of cells with a picture, and with or without
_MOST_TEXT = 9_000_000  # characters of all pictures, so that the page stays below 15 MB


@final
class Thumbnails:
    """Small pictures as text; no image is read twice, and nothing is shown once the page is full.

    Args:
        read: From a position to the image there, `uint8 (H, W, C)`; None where there are no images.
    """

    def __init__(self, read: Callable[[int], NDArray[np.uint8]] | None) -> None:
        self._read = read
        self._known: dict[int, NDArray[np.uint8] | None] = {}
        self._left = _MOST_TEXT

    def picture(self, position: int, side: int = SMALL) -> str:
        """Return the image at a position as a data URI, or "" where there is none."""
        image = self._image(position)
        return "" if image is None else self._text(image, side)

    def with_heat(self, position: int, heat: NDArray[np.floating], side: int = LARGE) -> str:
        """Return the image with heat `float (h, w)` in [0, 1] laid over it, the less transparent the hotter."""
        image = self._image(position)
        if image is None:
            return ""
        return self._text(images.with_heat(image, heat), side)

    def _image(self, position: int) -> NDArray[np.uint8] | None:
        if self._read is None or self._left <= 0:
            return None
        if position not in self._known:
            try:
                image = self._read(position)
            except (UnreadableImageError, OSError):  # moved or damaged since
                self._known[position] = None
            else:
                self._known[position] = images.shrunk(image, LARGE)  # no more is kept than is shown
        return self._known[position]

    def _text(self, image: NDArray[np.uint8], side: int) -> str:
        text = images.data_uri(image, side)
        self._left -= len(text)
        return text


def of_cells(
    y_true: NDArray[Any], y_pred: NDArray[Any], losses: NDArray[np.floating]
) -> dict[tuple[int, int], tuple[list[int], int]]:
    """Choose images for each cell of a confusion matrix, and how many of them are shown as pictures.

    Where there are too many for all, wrong images come before right ones, and common mistakes before rare ones. In a
    cell the highest loss comes first.

    Args:
        y_true: `int (N,)`.
        y_pred: `int (N,)`.
        losses: `float (N,)`.

    Returns:
        For each cell (true, predicted) with images, up to 12 positions, or none of very many cells, and how many of
        these have a picture.

    Examples:
        >>> import numpy as np
        >>> of_cells(np.array([0, 0, 1, 0]), np.array([0, 1, 1, 1]), np.array([0.1, 0.9, 0.2, 1.4]))
        {(0, 1): ([3, 1], 2), (1, 1): ([2], 1), (0, 0): ([0], 1)}
    """
    cells: dict[tuple[int, int], list[int]] = {}
    counts: Counter[tuple[int, int]] = Counter()
    for position in np.argsort(-losses, kind="stable").tolist():
        true, predicted = cell = int(y_true[position]), int(y_pred[position])
        chosen = cells.setdefault(cell, [])
        if counts[cell] < (OF_A_CELL if true != predicted else _RIGHT_OF_A_CELL):
            chosen.append(position)
        counts[cell] += 1
    order = sorted(cells, key=lambda cell: (cell[0] == cell[1], -counts[cell], cell))
    turns = [cell for cell in order for _ in cells[cell]]
    named, shown = Counter(turns[:_MOST_NAMED]), Counter(turns[:_MOST])
    return {cell: (found[: named[cell]], shown[cell]) for cell, found in cells.items()}
