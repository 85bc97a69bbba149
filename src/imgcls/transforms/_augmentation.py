"""Augmentation: one warp and one change of tone, inside the training step, never in the saved model.

Rotation, flip, zoom and translation are one affine map, so an image is resampled once and blurred once; contrast and
brightness are one multiplication and one addition. Images are `float32 (N, H, W, C)`, 0-255.
"""

import math
from dataclasses import dataclass
from typing import Any, final

import keras

from imgcls import _checks
from imgcls.errors import ConfigurationError

_FILL_MODES = ("reflect", "nearest", "constant")


@dataclass(frozen=True, slots=True)
class _Policy:
    summary: str
    warp: dict[str, Any]
    tone: dict[str, float]


_POLICIES = {
    "light": _Policy(
        "rotate ±10°, zoom ±10 %, move ±8 %: keeps left and right apart, for digits, letters, scans",
        {"rotation": 10.0, "zoom": 0.1, "translation": 0.08, "fill_mode": "nearest"},
        {},
    ),
    "standard": _Policy(
        "flip, rotate ±10°, zoom ±15 %, move ±10 %, contrast and brightness ±20 %: for photos",
        {"flip": "horizontal", "rotation": 10.0, "zoom": 0.15, "translation": 0.1},
        {"contrast": 0.2, "brightness": 0.2},
    ),
    "strong": _Policy(
        "flip, rotate ±20°, zoom ±30 %, move ±15 %, contrast and brightness ±40 %: for few photos and long training",
        {"flip": "horizontal", "rotation": 20.0, "zoom": 0.3, "translation": 0.15},
        {"contrast": 0.4, "brightness": 0.4},
    ),
    "overhead": _Policy(
        "flip both ways, any rotation, zoom ±15 %, contrast and brightness ±20 %: for views without an up, "
        "such as microscopes and satellites",
        {"flip": "both", "rotation": 180.0, "zoom": 0.15},
        {"contrast": 0.2, "brightness": 0.2},
    ),
}


def names() -> tuple[str, ...]:
    """Return the names of the augmentation policies.

    Examples:
        >>> from imgcls import transforms
        >>> transforms.names()
        ('light', 'standard', 'strong', 'overhead')
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


def choose_augmentation(*, channels: int, image_size: tuple[int, int], frozen: bool) -> tuple[str | None, str]:
    """Choose a policy for training images; return its name, or None, and the reason."""
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
        layers.append(RandomTone(**chosen.tone, seed=seed + 1))
    return keras.Sequential(layers, name=policy)


@final
@keras.saving.register_keras_serializable(package="imgcls")
class RandomWarp(keras.layers.Layer):  # type: ignore[misc]  # Keras publishes no types
    """Flip, rotate, zoom and move each image by its own random amounts, in one affine map (bilinear).

    Args:
        flip: "horizontal", "vertical", "both" or None; each with probability 1/2.
        rotation: Degrees; angles are uniform in [-rotation, rotation].
        zoom: A share; sizes are uniform in [1 - zoom, 1 + zoom], where 2 means twice as large.
        translation: A share of height and width; shifts are uniform in [-translation, translation].
        fill_mode: What fills the border: "reflect", "nearest" or "constant" (black).
        seed: Another seed, other random numbers.

    Raises:
        ConfigurationError: An argument is not accepted.

    Examples:
        >>> import numpy as np
        >>> from imgcls.transforms import RandomWarp
        >>> image = np.arange(4.0, dtype="float32").reshape(1, 1, 4, 1)
        >>> RandomWarp(flip=None)(image, training=True).numpy().ravel().tolist()
        [0.0, 1.0, 2.0, 3.0]
    """

    def __init__(
        self,
        *,
        flip: str | None = None,
        rotation: float = 0.0,
        zoom: float = 0.0,
        translation: float = 0.0,
        fill_mode: str = "reflect",
        seed: int = 0,
        **keras_arguments: Any,
    ) -> None:
        super().__init__(**keras_arguments)
        _checks.refuse(
            [
                None if flip is None else _checks.unknown_name("flip", flip, ("horizontal", "vertical", "both")),
                _checks.not_fraction("zoom", zoom),
                _checks.not_fraction("translation", translation),
                _checks.unknown_name("fill_mode", fill_mode, _FILL_MODES),
            ]
        )
        if not 0 <= rotation <= 180:
            message = f"rotation={rotation!r} is not accepted. Accepted: degrees from 0 to 180."
            raise ConfigurationError(message)
        self.flip, self.rotation, self.zoom, self.translation = flip, rotation, zoom, translation
        self.fill_mode, self.seed = fill_mode, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = True) -> Any:
        """Return the warped images `(N, H, W, C)`; the same images outside training."""
        if not training:
            return images
        return keras.ops.image.affine_transform(
            images, self._maps(images), interpolation="bilinear", fill_mode=self.fill_mode, data_format="channels_last"
        )

    def _maps(self, images: Any) -> Any:
        """Return N maps (a0, a1, a2, b0, b1, b2, 0, 0) from output pixel (x, y) to input pixel."""
        ops = keras.ops
        count = ops.shape(images)[0]
        height, width = images.shape[1], images.shape[2]

        def uniform(reach: float) -> Any:
            return keras.random.uniform((count,), -reach, reach, seed=self.seed_generator)

        def sign(wanted: bool) -> Any:
            ones = ops.ones((count,))
            return ops.where(uniform(1.0) < 0, -ones, ones) if wanted else ones

        angle = uniform(math.radians(self.rotation))
        size = 1 / (1 + uniform(self.zoom))
        flip_x, flip_y = sign(self.flip in {"horizontal", "both"}), sign(self.flip in {"vertical", "both"})
        cos, sin = ops.cos(angle) * size, ops.sin(angle) * size
        a0, a1, b0, b1 = cos * flip_x, -sin * flip_x, sin * flip_y, cos * flip_y
        center_x, center_y = (width - 1) / 2, (height - 1) / 2  # the centre of the image stays where it is
        a2 = center_x - a0 * center_x - a1 * center_y + uniform(self.translation) * width
        b2 = center_y - b0 * center_x - b1 * center_y + uniform(self.translation) * height
        zeros = ops.zeros((count,))
        return ops.stack([a0, a1, a2, b0, b1, b2, zeros, zeros], axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return `input_shape`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        arguments = ("flip", "rotation", "zoom", "translation", "fill_mode", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in arguments}}


@final
@keras.saving.register_keras_serializable(package="imgcls")
class RandomTone(keras.layers.Layer):  # type: ignore[misc]  # Keras publishes no types
    """Change contrast and brightness of each image by its own random amounts; clip to 0-255.

    Args:
        contrast: A share; the distance of pixels from the image's mean is multiplied by a factor uniform in
            [1 - contrast, 1 + contrast].
        brightness: A share of 255; shifts are uniform in [-brightness, brightness].
        seed: Another seed, other random numbers.

    Raises:
        ConfigurationError: An argument is not accepted.

    Examples:
        >>> import numpy as np
        >>> from imgcls.transforms import RandomTone
        >>> bright = RandomTone(brightness=0.5)(np.full((2, 4, 4, 3), 250.0, "float32"), training=True)
        >>> bool(bright.numpy().max() <= 255)
        True
    """

    def __init__(
        self, *, contrast: float = 0.0, brightness: float = 0.0, seed: int = 0, **keras_arguments: Any
    ) -> None:
        super().__init__(**keras_arguments)
        _checks.refuse([_checks.not_fraction("contrast", contrast), _checks.not_fraction("brightness", brightness)])
        self.contrast, self.brightness, self.seed = contrast, brightness, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = True) -> Any:
        """Return the images `(N, H, W, C)` in another tone; the same images outside training."""
        if not training:
            return images
        ops = keras.ops
        shape = (ops.shape(images)[0], 1, 1, 1)
        factor = keras.random.uniform(shape, 1 - self.contrast, 1 + self.contrast, seed=self.seed_generator)
        shift = keras.random.uniform(shape, -255 * self.brightness, 255 * self.brightness, seed=self.seed_generator)
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        return ops.clip(images * factor + (mean * (1 - factor) + shift), 0, 255)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return `input_shape`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        arguments = ("contrast", "brightness", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in arguments}}
