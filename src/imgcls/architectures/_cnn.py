"""Convolutional networks of our own, small enough for a laptop. Each returns a feature extractor without a head."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers


def small_cnn(input_shape: tuple[int, int, int], *, filters: Sequence[int] = (16, 32, 64)) -> Any:
    """Build the textbook CNN: blocks of Conv2D 3x3, MaxPooling2D, BatchNormalization and ReLU.

    Pooling comes before normalisation and ReLU: the same function class for a quarter of the element-wise work
    (ReLU and max commute).

    Args:
        input_shape: (H, W, C); H and W at least 2 to the number of blocks.
        filters: The width of each block.

    Returns:
        A `keras.Model` from `float32 (N, H, W, C)` to a feature map `(N, H / 8, W / 8, 64)` with three blocks.

    Examples:
        >>> from imgcls.architectures import small_cnn
        >>> small_cnn((32, 32, 3)).output.shape
        (None, 4, 4, 64)
    """
    inputs = keras.Input(input_shape, name="images")
    x = inputs
    for block, width in enumerate(filters, start=1):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"block{block}_conv")(x)
        x = layers.MaxPooling2D(name=f"block{block}_pool")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"block{block}_norm")(x)
        x = layers.ReLU(name=f"block{block}_relu")(x)
    return keras.Model(inputs, x, name="small_cnn")


def small_resnet(input_shape: tuple[int, int, int], *, filters: Sequence[int] = (32, 64, 128, 256)) -> Any:
    """Build a residual network: a stem, then one block of two 3x3 convolutions for each width, halving the size.

    Source: He et al., Deep Residual Learning for Image Recognition, CVPR 2016, section 3.3, with stride in the
    second and later blocks and a 1x1 convolution on the shortcut.

    Args:
        input_shape: (H, W, C). From 96 pixels on, the stem halves the size twice.
        filters: The width of each block.

    Returns:
        A `keras.Model` from `float32 (N, H, W, C)` to a feature map `(N, h, w, 256)`.

    Examples:
        >>> from imgcls.architectures import small_resnet
        >>> small_resnet((128, 128, 3)).output.shape
        (None, 4, 4, 256)
    """
    inputs = keras.Input(input_shape, name="images")
    large = min(input_shape[:2]) >= 96
    x = _conv_norm(inputs, filters[0], 3, stride=2 if large else 1, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    if large:
        x = layers.MaxPooling2D(name="stem_pool")(x)
    for block, width in enumerate(filters, start=1):
        stride, name = 1 if block == 1 else 2, f"block{block}"
        shortcut = x
        if stride != 1:
            shortcut = _conv_norm(x, width, 1, stride=stride, name=f"{name}_shortcut")
        x = _conv_norm(x, width, 3, stride=stride, name=f"{name}_a")
        x = layers.ReLU(name=f"{name}_a_relu")(x)
        x = _conv_norm(x, width, 3, stride=1, name=f"{name}_b")
        x = layers.Add(name=f"{name}_add")([x, shortcut])
        x = layers.ReLU(name=f"{name}_relu")(x)
    return keras.Model(inputs, x, name="small_resnet")


def _conv_norm(x: Any, width: int, kernel: int, *, stride: int, name: str) -> Any:
    x = layers.Conv2D(width, kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
