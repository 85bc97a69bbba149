"""From pixels 0-255 to what a network likes. These layers stand at the front of the saved model."""

from collections.abc import Iterable, Sequence
from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls import _checks

NORMALIZATIONS = ("standard", "unit", "symmetric")
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in the decoder


@final
@keras.saving.register_keras_serializable(package="imgcls")
class Grayscale(keras.layers.Layer):  # type: ignore[misc]  # Keras publishes no types
    """Colour to grayscale by ITU-R BT.601 luma: `(N, H, W, 3)` to `(N, H, W, 1)`, same range.

    Examples:
        >>> import numpy as np
        >>> from imgcls.transforms import Grayscale
        >>> float(Grayscale()(np.full((1, 1, 1, 3), 200.0))[0, 0, 0, 0])
        200.0
        >>> Grayscale().compute_output_shape((None, 28, 28, 3))
        (None, 28, 28, 1)
    """

    def call(self, images: Any) -> Any:
        """Return the luma of `images`."""
        luma = keras.ops.cast(LUMA, self.compute_dtype)
        return keras.ops.sum(keras.ops.cast(images, self.compute_dtype) * luma, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape with one channel."""
        return (*input_shape[:-1], 1)


@final
@keras.saving.register_keras_serializable(package="imgcls")
class RGBToBGR(keras.layers.Layer):  # type: ignore[misc]  # Keras publishes no types
    """Reverse the channels, for networks that were trained on OpenCV's order.

    Examples:
        >>> import numpy as np
        >>> from imgcls.transforms import RGBToBGR
        >>> RGBToBGR()(np.array([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)).numpy().ravel().tolist()
        [3.0, 2.0, 1.0]
        >>> RGBToBGR().compute_output_shape((None, 28, 28, 3))
        (None, 28, 28, 3)
    """

    def call(self, images: Any) -> Any:
        """Return `images` with their channels reversed."""
        return keras.ops.flip(images, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return `input_shape`."""
        return input_shape


def preprocessing(
    *, grayscale: bool = False, mean: Sequence[float] = (0.0,), std: Sequence[float] = (255.0,)
) -> list[Any]:
    """Return the layers that stand at the front of a model: (images - mean) / std, in grayscale where asked.

    Args:
        grayscale: Convert RGB to grayscale first.
        mean: One number, or one for each channel, in pixels 0-255.
        std: The same; the default divides by 255.

    Examples:
        >>> import numpy as np
        >>> from imgcls.transforms import preprocessing
        >>> (scale,) = preprocessing(mean=[127.5], std=[127.5])
        >>> float(scale(np.full((1, 2, 2, 1), 255.0))[0, 0, 0, 0])
        1.0
    """
    scale = [1 / one for one in std]
    offset = [-one / divisor for one, divisor in zip(mean, std, strict=True)]
    layers: list[Any] = [Grayscale(name="grayscale")] if grayscale else []
    return [*layers, keras.layers.Rescaling(scale, offset, name="normalization")]


def normalization(
    name: str, images: Iterable[NDArray[np.uint8]], *, grayscale: bool = False
) -> tuple[list[float], list[float]]:
    """Return the mean and standard deviation to normalise by, in pixels 0-255.

    Args:
        name: "standard" (mean 0 and deviation 1 over the training images, by channel), "unit" (to [0, 1]) or
            "symmetric" (to [-1, 1]).
        images: `uint8 (N, H, W, C)` training images, or one `(H, W, C)` after the other; some hundred are enough. Only
            "standard" looks at them.
        grayscale: Whether the model converts RGB to grayscale first.

    Returns:
        Mean and standard deviation, one number for each channel.

    Raises:
        ConfigurationError: The name is not known.

    Examples:
        >>> import numpy as np
        >>> from imgcls.transforms import normalization
        >>> normalization("standard", np.array([0, 100], np.uint8).reshape(2, 1, 1, 1))
        ([50.0], [50.0])
    """
    _checks.refuse([_checks.unknown_name("normalization", name, NORMALIZATIONS)])
    if name == "unit":
        return [0.0], [255.0]
    if name == "symmetric":
        return [127.5], [127.5]
    mean, covariance = _moments(images)
    if grayscale:
        weights = np.array(LUMA)[:, None]
        mean, covariance = mean @ weights, weights.T @ covariance @ weights
    std = np.sqrt(np.maximum(np.diag(covariance), 1.0))  # a constant channel would divide by 0
    return mean.tolist(), std.tolist()


def _moments(images: Iterable[NDArray[np.uint8]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean `(C,)` and covariance `(C, C)` of the pixels of images, of which one is looked at at a time.

    Sums of whole numbers below 2^53 are exact in 64 bits, in any order: there is room for the squares of 10^11 pixels.
    """
    count, total, products = 0, np.zeros(1), np.zeros((1, 1))
    for image in images:
        pixels = image.reshape(-1, image.shape[-1]).astype(np.float64)
        count, total, products = count + len(pixels), total + pixels.sum(axis=0), products + pixels.T @ pixels
    mean = total / count
    return mean, products / count - np.outer(mean, mean)
