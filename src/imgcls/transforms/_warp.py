"""Geometry: flip, rotation, zoom and translation in one affine map, so that an image is blurred once."""

import math
from typing import Any, final

import keras

from imgcls import _checks
from imgcls.errors import ConfigurationError

_FLIPS = ("horizontal", "vertical", "both")
_FILL_MODES = ("reflect", "nearest", "constant")


@final
@keras.saving.register_keras_serializable(package="imgcls")
class RandomWarp(keras.layers.Layer):  # type: ignore[misc]  # Keras publishes no types
    """Flip, rotate, zoom and move each image by its own random amounts, in one affine map (bilinear).

    Without rotation and zoom, images move by whole pixels: none is blurred. Images have any number of channels.

    Args:
        flip: "horizontal", "vertical", "both" or None; each with probability 1/2.
        rotation: Degrees; angles are uniform in [-rotation, rotation].
        zoom: A share; sizes are uniform in [1 - zoom, 1 + zoom], where 2 means twice as large.
        translation: A share of height and width; shifts are uniform in [-translation, translation].
        fill_mode: What fills the border: "reflect" (d c b a | a b c d | d c b a), "nearest" or "constant" (black).
        seed: Another seed, other random numbers.

    Raises:
        ConfigurationError: An argument is not accepted.

    Examples:
        >>> import numpy as np
        >>> from imgcls.transforms import RandomWarp
        >>> image = np.arange(4.0, dtype="float32").reshape(1, 1, 4, 1)
        >>> RandomWarp(flip=None)(image, training=True).numpy().ravel().tolist()
        [0.0, 1.0, 2.0, 3.0]
        >>> warp = RandomWarp(flip="horizontal", rotation=10.0)
        >>> warp.compute_output_shape((None, 32, 32, 3))
        (None, 32, 32, 3)
        >>> same = RandomWarp.from_config(warp.get_config())
        >>> same.flip, same.rotation
        ('horizontal', 10.0)
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
        super().__init__(**{"dtype": "float32", **keras_arguments})  # half precision cannot tell 254 from 255
        _checks.refuse(
            [
                None if flip is None else _checks.unknown_name("flip", flip, _FLIPS),
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
        count, height, width = ops.shape(images)[0], images.shape[1], images.shape[2]
        # One draw for all amounts: on small images, the time goes into the number of operations.
        draws = keras.random.uniform((6, count), -1.0, 1.0, seed=self.seed_generator)
        turn, enlarge, move_x, move_y, mirror_x, mirror_y = ops.unstack(draws, 6)
        angle, size = math.radians(self.rotation) * turn, 1 + self.zoom * enlarge
        cos, sin = ops.cos(angle) / size, ops.sin(angle) / size
        flip_x = ops.where(mirror_x < 0, -1.0, 1.0) if self.flip in {"horizontal", "both"} else 1.0
        flip_y = ops.where(mirror_y < 0, -1.0, 1.0) if self.flip in {"vertical", "both"} else 1.0
        a0, a1, b0, b1 = cos * flip_x, -sin * flip_x, sin * flip_y, cos * flip_y
        center_x, center_y = (width - 1) / 2, (height - 1) / 2  # the centre of the image stays where it is
        a2 = center_x - a0 * center_x - a1 * center_y + self._shift(move_x, width)
        b2 = center_y - b0 * center_x - b1 * center_y + self._shift(move_y, height)
        zeros = ops.zeros_like(a0)
        return ops.stack([a0, a1, a2, b0, b1, b2, zeros, zeros], axis=1)

    def _shift(self, draw: Any, pixels: int) -> Any:
        """Turn a draw from [-1, 1) into a shift in pixels."""
        reach = self.translation * pixels
        if self.rotation or self.zoom:
            return reach * draw
        return keras.ops.floor((round(reach) + 0.5) * draw + 0.5)  # each whole number is equally likely, both ends too

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return `input_shape`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        arguments = ("flip", "rotation", "zoom", "translation", "fill_mode", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in arguments}}
