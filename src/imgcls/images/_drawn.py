"""Pictures of nobody: drawn by whole numbers alone, so that every machine and every program draws the same.

The contract: `uint8 (count, H, W, C)`, 0-255, any C. Coordinates run from 0 to 255 over the picture, whatever its size,
so that the same picture is drawn larger or smaller. Colours differ from channel to channel, and no picture is its own
mirror image: what is done wrong to it, such as BGR for RGB or a division too many, can be seen in what a model answers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls._checks import not_whole, refuse

Whole = NDArray[np.int64]


def drawn(count: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Draw pictures: a slope of light, a disc, stripes, a board, noise, rings, a dark and a bright half, hills; again.

    Args:
        count: How many. From the ninth on, the same kinds come again in other places and colours.
        shape: (H, W, C) in pixels; any number of channels.

    Returns:
        `uint8 (count, H, W, C)`, the same on every machine.

    Raises:
        ConfigurationError: A number is not whole, or below 1.

    Examples:
        >>> from imgcls import images
        >>> pictures = images.drawn(2, (2, 3, 3))
        >>> pictures.shape, pictures[0, 0].tolist()
        ((2, 2, 3, 3), [[28, 39, 50], [91, 81, 71], [155, 124, 92]])
    """
    refuse([not_whole(f"shape[{place}]", side) for place, side in enumerate(shape)] + [not_whole("count", count)])
    height, width, channels = shape
    y = (np.arange(height, dtype=np.int64)[:, None] * 256 // height)[..., None]
    x = (np.arange(width, dtype=np.int64)[None, :] * 256 // width)[..., None]
    channel = np.arange(channels, dtype=np.int64)
    pictures = np.empty((count, *shape), np.uint8)
    for number in range(count):
        paint, turn = _KINDS[number % len(_KINDS)], number // len(_KINDS)
        pictures[number] = paint(y, x, channel, turn).clip(0, 255)
    return pictures


def _color(channel: Whole, number: int) -> Whole:
    """Return a colour, one number from 0 to 255 for each channel, that no channel shares with its neighbours."""
    color: Whole = (channel * 89 + number * 57 + channel * number * 31) % 256
    return color


def _slope(y: Whole, x: Whole, channel: Whole, turn: int) -> Any:
    light = (y * (1 + channel) + x * (3 - channel % 3) + turn * 40) // (4 + channel // 3)
    return light + _color(channel, turn) // 8 + 28


def _disc(y: Whole, x: Whole, channel: Whole, turn: int) -> Any:
    inside = (y - 100 - 20 * turn) ** 2 + (x - 90 + 30 * turn) ** 2 < 60**2
    return np.where(inside, _color(channel, 3 + turn), 30 + _color(channel, 7 + turn) // 2)


def _stripes(y: Whole, x: Whole, channel: Whole, turn: int) -> Any:
    return np.where((x + 2 * y + turn * 9) % 48 < 20, _color(channel, 11 + turn), _color(channel, 2 + turn))


def _board(y: Whole, x: Whole, channel: Whole, turn: int) -> Any:
    field = (y // (36 + turn) + x // 43) % 3
    return _color(channel, 5 + turn) * (field == 0) + _color(channel, 9) * (field == 1) + 128 * (field == 2)


def _noise(y: Whole, x: Whole, channel: Whole, turn: int) -> Any:
    mixed = (y * 40_503 + x * 30_011 + channel * 10_007 + turn * 6_007 + 1) * 69_069 % 2**31
    return (mixed ^ (mixed >> 13)) * 1_103 // 64 % 256


def _rings(y: Whole, x: Whole, channel: Whole, turn: int) -> Any:
    apart = ((y - 140) ** 2 + (x - 70 - 40 * turn) ** 2) // 64
    return (apart * (3 + channel % 5) + _color(channel, 4)) % 256


def _halves(y: Whole, x: Whole, channel: Whole, turn: int) -> Any:
    left = 3 * x + y < 400 + 50 * turn
    return np.where(left, _color(channel, 6 + turn) // 6, 255 - _color(channel, 8 + turn) // 6)


def _hills(y: Whole, x: Whole, channel: Whole, turn: int) -> Any:
    height = (255 - abs(2 * x - 200 - 30 * turn)) * (255 - abs(2 * y - 330)) // 255
    return abs(height) * (160 + _color(channel, 12) // 3) // 256 + _color(channel, 1) // 4


_KINDS: tuple[Callable[[Whole, Whole, Whole, int], Any], ...] = (
    *(_slope, _disc, _stripes, _board, _noise, _rings, _halves, _hills),
)
