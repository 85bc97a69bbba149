"""Augmentation: one warp and one change of tone, inside the training step, never in the saved model.

Rotation, flip, zoom and translation are one affine map, so an image is resampled once and blurred once; saturation,
contrast and brightness are one 3x3 matrix and one offset. Images are `float32 (N, H, W, C)`, 0-255. All random state is
in the `SeedGenerator` variables of the layers, so whoever saves `layer.variables` can go on exactly.
"""

from dataclasses import dataclass
from typing import Any

import keras

from imgcls import _checks
from imgcls.transforms._tone import RandomTone
from imgcls.transforms._warp import RandomWarp


@dataclass(frozen=True, slots=True)
class _Policy:
    summary: str
    warp: dict[str, Any]
    tone: dict[str, float]
    alternates: bool = False


# Amounts follow the field where it agrees: docs/concepts/augmentation.md gives the reason for each.
_POLICIES = {
    "light": _Policy(
        "rotate ±10°, zoom ±10 %, move ±8 %: keeps left and right apart, for digits, letters, scans",
        {"rotation": 10.0, "zoom": 0.1, "translation": 0.08, "fill_mode": "nearest"},
        {},
    ),
    "standard": _Policy(
        "flip, rotate ±10°, zoom ±15 %, move ±10 %, contrast and saturation ±20 %, brightness ±10 %: for photos",
        {"flip": "horizontal", "rotation": 10.0, "zoom": 0.15, "translation": 0.1},
        {"contrast": 0.2, "saturation": 0.2, "brightness": 0.1},
    ),
    "strong": _Policy(
        "flip, rotate ±20°, zoom ±30 %, move ±15 %, contrast and saturation ±40 %, brightness ±20 %: for few photos "
        "and long training",
        {"flip": "horizontal", "rotation": 20.0, "zoom": 0.3, "translation": 0.15},
        {"contrast": 0.4, "saturation": 0.4, "brightness": 0.2},
    ),
    "overhead": _Policy(
        "flip both ways, any rotation, zoom ±15 %, contrast and saturation ±20 %, brightness ±10 %: for views without "
        "an up, such as microscopes and satellites",
        {"flip": "both", "rotation": 180.0, "zoom": 0.15},
        {"contrast": 0.2, "saturation": 0.2, "brightness": 0.1},
    ),
    "shift": _Policy(
        "move by up to 2 of 32 pixels, and by whole ones, so that nothing is blurred: for small images and short "
        "training",
        {"translation": 2 / 32},
        {},
    ),
    "flip_shift": _Policy(
        "flip every other epoch, so that two show an image both ways, and move as shift does: for small photos and "
        "short training (Jordan, arXiv 2404.00498)",
        {"translation": 2 / 32},
        {},
        alternates=True,
    ),
}


def names() -> tuple[str, ...]:
    """Return the names of the augmentation policies.

    Examples:
        >>> from imgcls import transforms
        >>> transforms.names()
        ('light', 'standard', 'strong', 'overhead', 'shift', 'flip_shift')
    """
    return tuple(_POLICIES)


def describe(name: str) -> str:
    """Say in one line what a policy does.

    Examples:
        >>> from imgcls import transforms
        >>> transforms.describe("light")
        'rotate ±10°, zoom ±10 %, move ±8 %: keeps left and right apart, for digits, letters, scans'
    """
    _checks.refuse([_checks.unknown_name("augmentation", name, names())])
    return _POLICIES[name].summary


def alternates(policy: Any) -> bool:
    """Say whether a policy flips images every other epoch: whoever reads them does so, since no layer knows the epoch.

    Examples:
        >>> from imgcls import transforms
        >>> transforms.alternates("flip_shift"), transforms.alternates("standard")
        (True, False)
    """
    return isinstance(policy, str) and policy in _POLICIES and _POLICIES[policy].alternates


def choose_augmentation(*, channels: int, image_size: tuple[int, int], frozen: bool) -> tuple[str | None, str]:
    """Choose a policy for training images; return its name, or None, and the reason.

    Args:
        channels: 1 for grayscale, 3 for RGB.
        image_size: (height, width) in pixels.
        frozen: Whether only the head is trained.

    Examples:
        >>> from imgcls import transforms
        >>> transforms.choose_augmentation(channels=1, image_size=(28, 28), frozen=False)
        ('light', 'small grayscale images are often digits or letters, which a flip would change')
        >>> transforms.choose_augmentation(channels=3, image_size=(224, 224), frozen=False)
        ('standard', 'photos keep their class when flipped, moved and lit differently')
    """
    if frozen:
        return None, "only the new head is trained: it has too few parameters to memorise the images"
    if channels == 1 and max(image_size) <= 64:
        return "light", "small grayscale images are often digits or letters, which a flip would change"
    return "standard", "photos keep their class when flipped, moved and lit differently"


def augmentation(policy: Any, *, seed: int = 0) -> Any:
    """Build the layer of an augmentation policy.

    Args:
        policy: A name from `names()`, a `keras.Layer` to use as it is, or None for no augmentation.
        seed: Another seed, other random numbers.

    Returns:
        A `keras.Layer` from float32 images `(N, H, W, C)`, 0-255, to the same; or None.

    Raises:
        ConfigurationError: The name is not known.

    Examples:
        >>> import numpy as np
        >>> from imgcls import transforms
        >>> layer = transforms.augmentation("standard", seed=1)
        >>> layer(np.zeros((4, 32, 32, 3), "float32"), training=True).shape
        TensorShape([4, 32, 32, 3])
    """
    if policy is None or isinstance(policy, keras.layers.Layer):
        return policy
    _checks.refuse([_checks.unknown_name("augmentation", policy, names())])
    chosen = _POLICIES[policy]
    layers = [RandomWarp(**chosen.warp, seed=seed)]
    if chosen.tone:
        layers.append(RandomTone(**chosen.tone, seed=(seed + 1) % 2**63))  # TensorFlow holds no larger one
    return keras.Sequential(layers, name=policy)
