"""Images of any number of channels into networks that were trained on RGB.

One channel is given to the network three times, as red, green and blue: what it computes is then exactly what it
computes for the same image in RGB. To sum the first kernels over RGB would be that only where red, green and blue are
scaled alike, because padding comes after scaling; and the first layer has a small share of the work.

Of any other count, channel c plays the part of colour c modulo 3: it is scaled as that colour is, and the first
convolution takes that colour's kernel, times 3 / C so that sums stay as large as they were (as timm's
`adapt_input_conv` does).
"""

from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls import transforms
from imgcls.architectures._table import Architecture

_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_CAFFE_MEAN = (123.68, 116.779, 103.939)  # of red, green, blue


@final
@keras.saving.register_keras_serializable(package="imgcls")
class GrayscaleToRGB(keras.layers.Layer):  # type: ignore[misc]  # Keras publishes no types
    """One channel three times: `(N, H, W, 1)` to `(N, H, W, 3)`.

    Examples:
        >>> import numpy as np
        >>> from imgcls.architectures._channels import GrayscaleToRGB
        >>> GrayscaleToRGB()(np.full((1, 1, 1, 1), 7.0)).numpy().tolist()
        [[[[7.0, 7.0, 7.0]]]]
    """

    def call(self, images: Any) -> Any:
        """Return `images` with their channel repeated."""
        return keras.ops.concatenate([images, images, images], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape with three channels."""
        return (*input_shape[:-1], 3)


def front(row: Architecture, channels: int) -> list[Any]:
    """Return the layers that turn pixels 0-255 into what the authors of a backbone feed it."""
    if channels == 1:
        return [GrayscaleToRGB(name="rgb"), *front(row, 3)]
    if row.scaling == "tf":
        return transforms.preprocessing(mean=[127.5], std=[127.5])
    if row.scaling == "torch":
        return transforms.preprocessing(mean=_cycled(_IMAGENET_MEAN, channels), std=_cycled(_IMAGENET_STD, channels))
    if row.scaling == "caffe":
        centred = transforms.preprocessing(mean=_cycled(_CAFFE_MEAN, channels), std=(1.0,) * channels)
        return [*centred, transforms.RGBToBGR(name="bgr")] if channels == 3 else centred
    return []


def fits(shape: tuple[int, ...], wanted: tuple[int, ...], *, takes_images: bool) -> bool:
    """Return whether an array of this shape can be loaded, as it is or, where it meets RGB images, by `adapted`."""
    if not takes_images or shape == wanted:
        return shape == wanted
    return shape == (*wanted[:-2], 3, *wanted[-1:]) if len(wanted) == 4 else (shape, len(wanted)) == ((3,), 1)


def adapted(array: NDArray[Any], wanted: tuple[int, ...], row: Architecture) -> NDArray[Any]:
    """Return an array that was trained on RGB for a layer that takes images of other channels."""
    if array.shape == wanted:
        return array
    if array.ndim == 1:  # mean and variance of a layer that normalises
        return np.resize(array, wanted)
    channels = wanted[-2]
    colors = array[..., ::-1, :] if row.scaling == "caffe" else array  # trained on blue, green, red
    return colors[..., np.arange(channels) % 3, :] * (3 / channels)


def _cycled(numbers: tuple[float, ...], channels: int) -> list[float]:
    return [numbers[channel % 3] for channel in range(channels)]
