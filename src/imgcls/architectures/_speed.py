"""A network that learns small images in few passes: a whitening layer first, then convolutions that begin as identity.

Its ideas are those of the CIFAR-10 speed runs: https://github.com/tysam-code/hlb-CIFAR10, and Jordan, 94 % on CIFAR-10
in 3.29 Seconds on a Single GPU, arXiv 2404.00498, section 3, with https://github.com/KellerJordan/cifar10-airbench.
"""

import math
from collections.abc import Sequence
from typing import Any, final

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

FIXED_LAYER = "whitening"  # is set from images and never trained
_PATCH = 2  # pixels
_COMPONENTS = 12  # at most: all of RGB; of more bands, those that vary most
_LEAST_VARIANCE = 5e-4  # of the mean variance: what varies less is noise, and is not enlarged to the full
_PIXELS = 300_000  # looked at: 256 images of 32 x 32, or fewer larger ones


def speed_cnn(input_shape: tuple[int, int, int], *, filters: Sequence[int] = (32, 64, 128)) -> Any:
    """Build a whitening convolution 2x2, then groups of two convolutions 3x3; the first of each is pooled by 2.

    The layer "whitening" is not trained: `whiten` sets it from training images, and until then its numbers are random.
    GELU follows each normalisation, which has no scale: with the convolution after it, a scale would be one too many.

    Args:
        input_shape: (H, W, C); H and W at least 9.
        filters: The width of each group.

    Returns:
        A `keras.Model` from `float32 (N, H, W, C)` to a feature map `(N, (H - 1) // 8, (W - 1) // 8, 128)`.

    Examples:
        >>> from imgcls.architectures import speed_cnn
        >>> speed_cnn((32, 32, 3)).output.shape
        (None, 3, 3, 128)
    """
    inputs = keras.Input(input_shape, name="images")
    components = min(_PATCH * _PATCH * input_shape[2], _COMPONENTS)
    x = layers.Conv2D(2 * components, _PATCH, trainable=False, name=FIXED_LAYER)(inputs)
    x = layers.Activation("gelu", name="whitening_gelu")(x)
    for group, width in enumerate(filters, start=1):
        for part in ("a", "b"):
            name = f"group{group}_{part}"
            x = layers.Conv2D(
                width, 3, padding="same", use_bias=False, kernel_initializer=PartialIdentity(), name=f"{name}_conv"
            )(x)
            if part == "a":
                x = layers.MaxPooling2D(name=f"group{group}_pool")(x)
            x = layers.BatchNormalization(momentum=0.9, scale=False, name=f"{name}_norm")(x)
            x = layers.Activation("gelu", name=f"{name}_gelu")(x)
    return keras.Model(inputs, x, name="speed_cnn")


@final
@keras.saving.register_keras_serializable(package="imgcls")
class PartialIdentity(keras.initializers.Initializer):  # type: ignore[misc]  # Keras publishes no types
    """Let the first filters of a convolution pass their input through, and draw the others at random.

    Filter i, of as many as there are input channels, has a 1 at its centre for channel i and 0 elsewhere, so that a
    deep network begins as a shallow one. The others are drawn as by `he_uniform`, divided by sqrt(6), which is
    PyTorch's default.

    Examples:
        >>> from imgcls.architectures._speed import PartialIdentity
        >>> PartialIdentity(seed=1)((1, 1, 2, 2)).numpy().tolist()
        [[[[1.0, 0.0], [0.0, 1.0]]]]
    """

    def __init__(self, seed: int | None = None) -> None:
        self._init_seed = seed
        self.rest = keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seed)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Return a kernel `(h, w, in, out)`."""
        height, width, inputs, outputs = shape
        passed = min(inputs, outputs)
        identity = np.zeros((height, width, inputs, passed), "float32")
        identity[(height - 1) // 2, (width - 1) // 2, range(passed), range(passed)] = 1
        drawn = self.rest((height, width, inputs, outputs - passed), dtype=dtype)
        return keras.ops.concatenate([keras.ops.cast(identity, drawn.dtype), drawn], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"seed": self._init_seed}


def whiten(model: Any, images: NDArray[np.uint8]) -> None:
    """Set the layer "whitening" of a model from training images.

    Its outputs are the components of image patches, uncorrelated, each of mean 0 and variance 1; and their negatives,
    so that after GELU the next layer sees both sides.

    Args:
        model: A model that `build` made for a name whose row in the table is `quick`.
        images: `uint8 (N, H, W, C)` training images, some hundred, of the model's size.

    Examples:
        >>> import numpy as np
        >>> from imgcls import architectures
        >>> model = architectures.build("speed_cnn", input_shape=(16, 16, 1), num_classes=2)
        >>> architectures.whiten(model, np.random.default_rng(0).integers(0, 256, (50, 16, 16, 1), np.uint8))
    """
    backbone = model.get_layer("backbone")
    layer = backbone.get_layer(FIXED_LAYER)
    x = images[:: math.ceil(math.prod(images.shape[:3]) / _PIXELS)].astype(np.float32)
    for stage in model.layers[1 : model.layers.index(backbone)]:  # grayscale and scaling
        x = stage(x)
    kernel, bias = _whitening(np.asarray(x), layer.filters // 2)
    layer.set_weights([np.concatenate([kernel, -kernel], axis=-1), np.concatenate([bias, -bias])])


def _whitening(images: NDArray[np.float32], components: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return kernel `(2, 2, C, components)` and bias `(components,)`; the components that vary most come first."""
    channels = images.shape[3]
    windows = np.lib.stride_tricks.sliding_window_view(images, (_PATCH, _PATCH), axis=(1, 2))
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, _PATCH * _PATCH * channels).astype(np.float64)
    variances, directions = np.linalg.eigh(np.cov(patches, rowvar=False))
    order = np.argsort(variances)[::-1][:components]
    scale = 1 / np.sqrt(variances[order] + _LEAST_VARIANCE * variances.mean() + 1e-12)
    matrix = directions[:, order] * scale
    kernel = matrix.reshape(_PATCH, _PATCH, channels, components)
    return kernel.astype(np.float32), (-patches.mean(axis=0) @ matrix).astype(np.float32)
