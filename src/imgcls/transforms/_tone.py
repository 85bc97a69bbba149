"""Tone and colour: saturation, contrast and brightness as one 3x3 matrix and one offset an image."""

from typing import Any, final

import keras
import numpy as np

from imgcls import _checks
from imgcls.transforms._preprocessing import LUMA

_TO_LUMA = np.array(LUMA, np.float32)[:, None]  # the 3x3 product has it in every column: gray of this luma


@final
@keras.saving.register_keras_serializable(package="imgcls")
class RandomTone(keras.layers.Layer):  # type: ignore[misc]  # Keras publishes no types
    """Change saturation, contrast and brightness of each image by its own random amounts, in this order; clip to 0-255.

    Args:
        contrast: A share; the distance of values from the mean of the image, over pixels and channels, is multiplied by
            a factor uniform in [1 - contrast, 1 + contrast].
        brightness: A share of 255; shifts are uniform in [-brightness, brightness].
        saturation: A share; the distance of R, G and B from their luma, 0.299 R + 0.587 G + 0.114 B, which stays, is
            multiplied by a factor uniform in [1 - saturation, 1 + saturation]. Ignored unless C = 3: other channels are
            no colours.
        seed: Another seed, other random numbers.

    Raises:
        ConfigurationError: An argument is not accepted.

    Examples:
        >>> import numpy as np
        >>> from imgcls.transforms import RandomTone
        >>> bright = RandomTone(brightness=0.5)(np.full((2, 4, 4, 3), 250.0, "float32"), training=True)
        >>> bool(bright.numpy().max() <= 255)
        True
        >>> tone = RandomTone(contrast=0.2, saturation=0.4)
        >>> tone.compute_output_shape((None, 32, 32, 3))
        (None, 32, 32, 3)
        >>> same = RandomTone.from_config(tone.get_config())
        >>> same.contrast, same.brightness, same.saturation
        (0.2, 0.0, 0.4)
    """

    def __init__(
        self,
        *,
        contrast: float = 0.0,
        brightness: float = 0.0,
        saturation: float = 0.0,
        seed: int = 0,
        **keras_arguments: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32", **keras_arguments})  # half precision cannot tell 254 from 255
        _checks.refuse(
            [
                _checks.not_fraction("contrast", contrast),
                _checks.not_fraction("brightness", brightness),
                _checks.not_fraction("saturation", saturation),
            ]
        )
        self.contrast, self.brightness, self.saturation, self.seed = contrast, brightness, saturation, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: Any, training: bool = True) -> Any:
        """Return the images `(N, H, W, C)` in another tone; the same images outside training."""
        if not training:
            return images
        ops = keras.ops
        count, channels = ops.shape(images)[0], images.shape[-1]
        # One draw for all amounts: on small images, the time goes into the number of operations.
        draws = keras.random.uniform((3, count, 1, 1), -1.0, 1.0, seed=self.seed_generator)
        stretch, brighten, saturate = ops.unstack(draws, 3)
        contrast, saturation = 1 + self.contrast * stretch, 1 + self.saturation * saturate
        pixels = ops.reshape(images, (count, -1, channels))  # a matrix an image: the fastest product
        mean = ops.mean(pixels, axis=(1, 2), keepdims=True)
        if self.saturation and channels == 3:
            pixels = ops.matmul(pixels, contrast * (saturation * ops.eye(3) + (1 - saturation) * _TO_LUMA))
        else:
            pixels = contrast * pixels
        pixels = ops.clip(pixels + (mean * (1 - contrast) + 255 * self.brightness * brighten), 0, 255)
        return ops.reshape(pixels, ops.shape(images))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return `input_shape`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        arguments = ("contrast", "brightness", "saturation", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in arguments}}
