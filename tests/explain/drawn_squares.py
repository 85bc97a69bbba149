"""Images in which a square of known place decides the class."""

import numpy as np

SIDE, SQUARE = 48, 12
COLORS = {"blue": (40, 60, 220), "red": (220, 50, 40)}
DISTRACTION = (40, 200, 70)  # of a green square, which is in images of both classes


def squares(count, seed):
    """Draw `count` images; return them, their classes, and where the deciding square is, (top, left)."""
    random = np.random.default_rng(seed)
    images = random.integers(90, 150, (count, SIDE, SIDE, 1)).repeat(3, axis=3).astype(np.uint8)
    codes = random.integers(0, 2, count)
    places = []
    for image, code in zip(images, codes, strict=True):
        cells = random.permutation(9)[:2]
        for cell, color in zip(cells, (tuple(COLORS.values())[code], DISTRACTION), strict=True):
            top, left = (int(one) * 16 + int(random.integers(0, 5)) for one in divmod(cell, 3))
            image[top : top + SQUARE, left : left + SQUARE] = color
            places.append((top, left))
    return images, codes, places[::2]
