"""Automatic choices about the network: each a function that returns a value and its reason."""

from typing import Any

import numpy as np

from imgcls.architectures._table import Architecture, describe

SMALL_SIDE = 64  # pixels
_LEAST_SIZE, _LARGEST_SIZE = 16, 128  # pixels; a CNN trained from scratch on a laptop gains little beyond


def choose_architecture(side: int, *, why: str = "there are no pretrained weights at hand") -> tuple[str, str]:
    """Choose an architecture where no pretrained one is taken.

    Args:
        side: How many pixels of the shorter side of images it will see.
        why: The reason for that, where images are large enough for one, in words.

    Returns:
        A name and the reason.

    Examples:
        >>> from imgcls import architectures
        >>> architectures.choose_architecture(28)
        ('speed_cnn', 'images of at most 64 pixels need no deep network')
    """
    if side < describe("speed_cnn").least_size:
        return "small_cnn", f"images of {side} pixels have no room for a deeper one"
    if side <= SMALL_SIDE:
        return "speed_cnn", f"images of at most {SMALL_SIDE} pixels need no deep network"
    return "small_resnet", f"images above {SMALL_SIDE} pixels need depth, and {why}"


def choose_image_size(row: Architecture | None, side: int) -> tuple[int, str]:
    """Choose the input size for an architecture (None: the user's own) and images with `side` pixels.

    Examples:
        >>> from imgcls import architectures
        >>> architectures.choose_image_size(architectures.describe("mobilenet_v2"), 500)
        (224, 'mobilenet_v2 was designed for it')
    """
    if row is not None and row.image_size is not None:
        return row.image_size, f"{row.name} was designed for it"
    size = int(np.clip(side, _LEAST_SIZE, _LARGEST_SIZE))
    return size, f"the median image has {side} pixels on its shorter side; within {_LEAST_SIZE} to {_LARGEST_SIZE}"


def choose_weights(row: Architecture | None) -> tuple[str | None, str]:
    """Choose the weights to start from, for an architecture (None: the user's own).

    Examples:
        >>> from imgcls import architectures
        >>> architectures.choose_weights(architectures.describe("small_cnn"))
        (None, 'there are no pretrained ones for this architecture')
        >>> architectures.choose_weights(None)
        (None, 'your own model brings its own')
    """
    if row is None:
        return None, "your own model brings its own"
    if row.pretrained:
        return "imagenet", "few images go further with features learnt from many"
    return None, "there are no pretrained ones for this architecture"


def choose_fine_tune(weights: Any, *, own: bool = False) -> tuple[bool, str]:
    """Choose whether the backbone is trained too.

    Args:
        weights: What it starts from; None for random numbers, or for those that a model of the user's own brings.
        own: Whether it is one.

    Returns:
        Whether, and the reason.

    Examples:
        >>> from imgcls import architectures
        >>> architectures.choose_fine_tune(None)
        (True, 'random weights must be trained')
        >>> architectures.choose_fine_tune(None, own=True)
        (True, 'your own model learns wherever its layers are trainable')
    """
    if own:
        return True, "your own model learns wherever its layers are trainable"
    if weights is None:
        return True, "random weights must be trained"
    return False, "the weights are pretrained: only the new head is trained"
