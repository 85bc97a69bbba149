"""From a name to a model: preprocessing, backbone, pooling, dropout, head."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
from keras import layers

from imgcls import _checks, transforms
from imgcls.architectures import _cnn, _speed
from imgcls.architectures._table import Architecture, describe
from imgcls.architectures._weights import load_pretrained
from imgcls.errors import ConfigurationError

POOLINGS = ("average", "max", "flatten")
HEADS = ("softmax", "sigmoid")
TEST_TIME_AUGMENTATIONS = (None, "flip")
PRECISIONS = ("float32", "mixed_bfloat16")  # float16 would need its loss scaled
_OWN: dict[str, Callable[..., Any]] = {
    "small_cnn": _cnn.small_cnn,
    "small_resnet": _cnn.small_resnet,
    "speed_cnn": _speed.speed_cnn,
    "speed_cnn_narrow": _speed.speed_cnn,
    "speed_cnn_wide": _speed.speed_cnn,
}
_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def build(
    architecture: Any,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    weights: str | Path | None = None,
    head: str = "softmax",
    pooling: str = "average",
    dropout: float = 0.2,
    fine_tune: bool = True,
    grayscale: bool = False,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (255.0,),
    test_time_augmentation: str | None = None,
    precision: str = "float32",
    seed: int = 0,
) -> Any:
    """Build a classifier that takes pixels 0-255 and gives probabilities.

    Args:
        architecture: A name from `names()`; a `keras.Model` from `(N, H, W, C)` to `(N, K)`; or a function
            `(input_shape, num_classes)` that returns one. A model whose last layer has no activation gets the head's.
        input_shape: (H, W, C), C = 1 or 3.
        num_classes: K, the number of outputs.
        weights: "imagenet", the path of an `.h5` file, or None for random numbers.
        head: "softmax" (one label an image) or "sigmoid" (several labels, or one output for two classes).
        pooling: From feature map to features: "average", "max" or "flatten". Names only.
        dropout: The share of features dropped in training, from 0 to below 1. Names only.
        fine_tune: Whether the backbone is trained; False trains the head only. Names only.
        grayscale: Convert RGB to grayscale inside the model.
        mean: Subtracted from pixels; one number, or one a channel. Backbones of `keras.applications` ignore it, and
            `std`: they bring their own scaling.
        std: Pixels are divided by it.
        test_time_augmentation: "flip" for the mean of the probabilities of an image and its mirror image, at twice the
            cost; None for those of the image alone.
        precision: In what the backbone computes: "float32", or "mixed_bfloat16" for GPUs that are quicker with it.
            Weights, preprocessing and head are float32 in any case. Names only.
        seed: Another seed, other initial weights.

    Returns:
        A `keras.Model` from `(N, H, W, C)` pixels to `float32 (N, K)` probabilities. Its layer "backbone" is the
        network itself.

    Raises:
        ConfigurationError: The name is not known, the image is too small, or a custom model has another shape.

    Examples:
        >>> from imgcls import architectures
        >>> model = architectures.build("small_cnn", input_shape=(32, 32, 3), num_classes=10)
        >>> model.input.shape, model.output.shape
        ((None, 32, 32, 3), (None, 10))
    """
    _checks.refuse(
        [
            _checks.unknown_name("head", head, HEADS),
            _checks.unknown_name("pooling", pooling, POOLINGS),
            _checks.not_fraction("dropout", dropout),
            _checks.not_whole("num_classes", num_classes),
            _checks.unknown_name("test_time_augmentation", test_time_augmentation, TEST_TIME_AUGMENTATIONS),
            _checks.unknown_name("precision", precision, PRECISIONS),
        ]
    )
    inputs = keras.Input(input_shape, name="images")
    with _reproducible(seed):
        if not isinstance(architecture, str):
            x = _chain(inputs, transforms.preprocessing(grayscale=grayscale, mean=mean, std=std))
            return _classifier(inputs, _custom(x, architecture, num_classes, head), test_time_augmentation)
        row = describe(architecture)
        if min(input_shape[:2]) < row.least_size:
            message = (
                f"images of {input_shape[0]} x {input_shape[1]} pixels are too small for {row.name!r}. "
                f"Accepted: image_size of at least {row.least_size}; it was made for {row.image_size or 'any'}."
            )
            raise ConfigurationError(message)
        own = row.builder is None
        front = transforms.preprocessing(grayscale=grayscale, mean=mean, std=std) if own else _scaling(row, grayscale)
        x = _chain(inputs, front)
        with _computing_in(precision):
            backbone = _backbone(row, tuple(x.shape[1:]))
        if weights is not None:
            load_pretrained(backbone, row, weights)
        if not fine_tune:  # where it is trained, layers that are fixed by design stay fixed
            backbone.trainable = False
        x = _chain(x, [backbone, _pool(pooling), layers.Dropout(dropout, seed=seed, name="dropout")])
        outputs = layers.Dense(num_classes, activation=head, name="head")(x)
        return _classifier(inputs, outputs, test_time_augmentation)


def _classifier(inputs: Any, outputs: Any, test_time_augmentation: str | None) -> Any:
    model = keras.Model(inputs, outputs, name="classifier")
    if test_time_augmentation is None:
        return model
    mirrored = _chain(keras.ops.flip(inputs, axis=2), model.layers[1:])
    return keras.Model(inputs, layers.Average(name="both_ways")([outputs, mirrored]), name="classifier")


def _chain(x: Any, stages: Sequence[Any]) -> Any:
    for layer in stages:
        x = layer(x)
    return x


def _backbone(row: Architecture, shape: tuple[int, int, int]) -> Any:
    if row.builder is None:
        model = _OWN[row.name](shape, **row.options)
    else:
        builder = getattr(keras.applications, row.builder)
        model = builder(include_top=False, weights=None, input_shape=shape, **row.options)
    model.name = "backbone"
    return model


def _pool(pooling: str) -> Any:
    kinds = {"average": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D, "flatten": layers.Flatten}
    return kinds[pooling](name="pooling")


def _scaling(row: Architecture, grayscale: bool) -> list[Any]:
    """Return the layers that turn RGB pixels 0-255 into what the authors of a backbone feed it."""
    if grayscale:
        message = f"color='grayscale' does not go with {row.name!r}, which takes RGB. Accepted: color='auto' or 'rgb'."
        raise ConfigurationError(message)
    if row.scaling == "tf":
        return transforms.preprocessing(mean=[127.5], std=[127.5])
    if row.scaling == "torch":
        return transforms.preprocessing(mean=_IMAGENET_MEAN, std=_IMAGENET_STD)
    if row.scaling == "caffe":
        return [transforms.RGBToBGR(name="bgr"), *transforms.preprocessing(mean=_CAFFE_MEAN_BGR, std=(1.0,) * 3)]
    return []


def _custom(x: Any, architecture: Any, num_classes: int, head: str) -> Any:
    if isinstance(architecture, keras.Model):
        model = keras.models.clone_model(architecture)  # the caller's own model stays as it is
        model.set_weights(architecture.get_weights())
    else:
        model = architecture(tuple(x.shape[1:]), num_classes)
    if not isinstance(model, keras.Model):
        message = f"the architecture function returned a {type(model).__name__}. Accepted: a keras.Model."
        raise ConfigurationError(message)
    if not model.built:
        model.build((None, *x.shape[1:]))
    expected = ((None, *x.shape[1:]), (None, num_classes))
    takes, gives = tuple(model.input_shape), tuple(model.output_shape)
    fits = len(takes) == 4 and all(side in {None, wanted} for side, wanted in zip(takes, expected[0], strict=True))
    if not fits or gives != expected[1]:
        message = (
            f"the model takes {takes} and gives {gives}. Accepted for these data: {expected[0]} to {expected[1]}. "
            "image_size and color decide the first; classes and loss the second."
        )
        raise ConfigurationError(message)
    ending = getattr(getattr(model.layers[-1], "activation", None), "__name__", "")
    if ending in {"relu", "tanh", *HEADS} - {head}:
        message = (
            f"the model ends with {ending!r}, and these labels and this loss need {head!r}. "
            f"End it with {head!r}, or without activation."
        )
        raise ConfigurationError(message)
    model.name = "backbone"
    outputs = model(x)
    ends_linear = getattr(model.layers[-1], "activation", None) is keras.activations.linear
    return layers.Activation(head, name="head")(outputs) if ends_linear else outputs


@contextmanager
def _computing_in(precision: str) -> Iterator[None]:
    """Let new layers compute in a precision: Keras gives a model's builder no other way to say so."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Let unseeded initialisers follow from `seed`: Keras draws their seeds from Python's `random`."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
