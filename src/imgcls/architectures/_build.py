"""From a name to a model: preprocessing, backbone, pooling, dropout, head."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
from keras import layers

from imgcls import _backend, _checks, transforms
from imgcls.architectures import _cnn, _speed
from imgcls.architectures._channels import front
from imgcls.architectures._graph import named_afresh, reproducible
from imgcls.architectures._own import HEADS, ended, own_model
from imgcls.architectures._parts import BOTH_WAYS
from imgcls.architectures._table import Architecture, describe
from imgcls.architectures._weights import load_pretrained
from imgcls.errors import ConfigurationError

POOLINGS = ("average", "max", "flatten")
TEST_TIME_AUGMENTATIONS = (None, "flip")
PRECISIONS = ("float32", "mixed_bfloat16")  # float16 would need its loss scaled
_DROPOUT = 0.2
_OURS: dict[str, Callable[..., Any]] = {
    "small_cnn": _cnn.small_cnn,
    "small_resnet": _cnn.small_resnet,
    "speed_cnn": _speed.speed_cnn,
    "speed_cnn_narrow": _speed.speed_cnn,
    "speed_cnn_wide": _speed.speed_cnn,
}


def build(
    architecture: Any,
    *,
    input_shape: tuple[int, int, int],
    num_classes: int,
    weights: str | Path | None = None,
    head: str = "softmax",
    pooling: str = "average",
    dropout: float = _DROPOUT,
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
        architecture: A name from `names()`; a `keras.Model` from `(N, H, W, C)`; or a function
            `(input_shape, num_classes)` that returns one. A model that gives `(N, K)` is a whole classifier; where its
            last layer has no activation, it gets the head's; Keras does not see the layers of one written as a class,
            which has to end with it. One that gives a feature map `(N, h, w, D)`, or features `(N, D)`, is a backbone:
            pooling, dropout and head follow.
        input_shape: (H, W, C). A backbone of `keras.applications` takes any C: one channel as RGB, of other counts
            channel c as colour c modulo 3.
        num_classes: K, the number of outputs.
        weights: None for random numbers, "imagenet", or the path of a file: `.h5`, `.weights.h5`, `.keras` or
            `.safetensors`. Nothing in it is executed. Names only.
        head: "softmax" (one label an image) or "sigmoid" (several labels, or one output for two classes).
        pooling: From feature map to features: "average", "max" or "flatten". Not for a whole classifier, or for a
            model of your own that gives features.
        dropout: The share of features dropped in training, from 0 to below 1. Not for a whole classifier.
        fine_tune: Whether the backbone is trained; False trains the head only. Not for a whole classifier, of which
            `layer.trainable = False` fixes layers.
        grayscale: Convert RGB to grayscale inside the model.
        mean: Subtracted from pixels; one number, or one a channel. Backbones of `keras.applications` ignore it, and
            `std`: they bring their own scaling.
        std: Pixels are divided by it. A model of your own that takes whole numbers gets them as they are: 0 and 1.
        test_time_augmentation: "flip" for the mean of the features of an image and its mirror image, at twice the
            cost; None for those of the image alone.
        precision: In what the backbone computes: "float32", or "mixed_bfloat16" for devices that are quicker with it.
            Weights, preprocessing and head are float32 in any case. Names only: a model of your own computes in its
            dtype policy, and a function's in that of `keras.config.dtype_policy()`.
        seed: Another seed, other initial weights.

    Returns:
        A `keras.Model` from `(N, H, W, C)` pixels to `float32 (N, K)` probabilities. Its layer "backbone" is the
        network itself.

    Raises:
        ConfigurationError: Arguments are not accepted, the name is not known, the image is too small, weights do not go
            with the architecture, a model of your own has another shape or leaves nothing to pool, drop or fix, or
            Keras is set to channels first.
        DataError: A weights file cannot be had or read, or does not fit.

    Examples:
        >>> from imgcls import architectures
        >>> model = architectures.build("small_cnn", input_shape=(32, 32, 3), num_classes=10)
        >>> model.input.shape, model.output.shape
        ((None, 32, 32, 3), (None, 10))
    """
    _checks.refuse(
        [
            None
            if isinstance(architecture, str) or callable(architecture)
            else f"architecture={architecture!r} is not accepted. Accepted: a name from imgcls.architectures.names(), "
            "a keras.Model, or a function (input_shape, num_classes) that returns one.",
            _checks.unknown_name("head", head, HEADS),
            _checks.unknown_name("pooling", pooling, POOLINGS),
            _checks.not_fraction("dropout", dropout),
            _checks.not_whole("num_classes", num_classes),
            _checks.unknown_name("test_time_augmentation", test_time_augmentation, TEST_TIME_AUGMENTATIONS),
            _checks.unknown_name("precision", precision, PRECISIONS),
        ]
    )
    _backend.refuse_channels_first()
    num_classes, dropout, seed = (_checks.plain(number) for number in (num_classes, dropout, seed))
    if not isinstance(architecture, str) and weights is not None:
        message = (
            f"weights={str(weights)!r} goes with a named architecture. Load weights into your own model beforehand."
        )
        raise ConfigurationError(message)
    theirs = keras.config.dtype_policy()
    with reproducible(seed), _computing_in("float32"):
        inputs = keras.Input(input_shape, name="images")
        if not isinstance(architecture, str):
            x = _chain(inputs, transforms.preprocessing(grayscale=grayscale, mean=mean, std=std))
            with _computing_in(theirs):
                backbone = own_model(architecture, tuple(x.shape[1:]), num_classes, head)
            _refuse_to_round(backbone, mean, std)
            if backbone.output_shape == (None, num_classes):
                _refuse_for_whole(num_classes, pooling=pooling, dropout=dropout, fine_tune=fine_tune)
                return _whole(inputs, _chain(x, ended(backbone, head)), test_time_augmentation)
            _refuse_to_pool(backbone, pooling)
        else:
            row = describe(architecture)
            if min(input_shape[:2]) < row.least_size:
                message = (
                    f"images of {input_shape[0]} x {input_shape[1]} pixels are too small for {row.name!r}. "
                    f"Accepted: image_size of at least {row.least_size}; it was made for {row.image_size or 'any'}."
                )
                raise ConfigurationError(message)
            x = _chain(inputs, _front(row, input_shape[2], grayscale=grayscale, mean=mean, std=std))
            with _computing_in(precision):
                backbone = _backbone(row, tuple(x.shape[1:]))
            if weights is not None:
                with reproducible(seed):  # a network that is built for a download draws nothing from what follows
                    load_pretrained(backbone, row, weights)
        x = _chain(x, _features(backbone, pooling=pooling, dropout=dropout, fine_tune=fine_tune, seed=seed))
        x = _both_ways(inputs, x, test_time_augmentation)
        outputs = layers.Dense(num_classes, activation=head, name="head")(x)
        return keras.Model(inputs, outputs, name="classifier")


def _refuse_for_whole(num_classes: int, *, pooling: str, dropout: float, fine_tune: bool) -> None:
    """Refuse what a classifier whose end is the user's own has no place for, where it was not left at its default."""
    given = {
        "pooling": (pooling, (POOLINGS[0],)),
        "dropout": (round(dropout, 6), (_DROPOUT, 0.0)),  # 0.2 may have been a number of 32 bits
        "fine_tune": (fine_tune, (True,)),
    }
    named = [f"{name}={value!r}" for name, (value, accepted) in given.items() if value not in accepted]
    if named:
        verb, them = ("goes", "it") if len(named) == 1 else ("go", "them")
        message = (
            f"{', '.join(named)} {verb} with a backbone, and your model is a whole classifier: it ends in its own "
            f"{num_classes} classes. Leave {them} out and say it in your layers, such as layer.trainable = False; or "
            "give the model without its last layer: pooling, dropout and head follow then."
        )
        raise ConfigurationError(message)


def _refuse_to_pool(backbone: Any, pooling: str) -> None:
    """Refuse a pooling that would do nothing, where it was not left at its default."""
    width = backbone.output_shape[-1]
    if len(backbone.output_shape) == 2 and pooling != POOLINGS[0]:
        message = (
            f"pooling={pooling!r} goes with a feature map (None, h, w, D), and your model gives features "
            f"(None, {width}), which are pooled already. Leave it out; or give the model without its last layers."
        )
        raise ConfigurationError(message)


def _refuse_to_round(backbone: Any, mean: Sequence[float], std: Sequence[float]) -> None:
    """Refuse to scale pixels for a model that takes whole numbers, which would make a few of them all."""
    dtype = backbone.inputs[0].dtype
    if keras.backend.is_int_dtype(dtype) and (any(mean) or any(one != 1 for one in std)):
        message = (
            f"the model takes {dtype}, which would round pixels that are scaled. Accepted: normalization=None, or here "
            "std=(1.0,), so that it gets 0-255 as they are and scales them itself; or an Input of float32."
        )
        raise ConfigurationError(message)


def _whole(inputs: Any, outputs: Any, test_time_augmentation: str | None) -> Any:
    """Return a classifier whose end is the user's own: of both ways, probabilities are averaged."""
    return keras.Model(inputs, _both_ways(inputs, outputs, test_time_augmentation), name="classifier")


def _both_ways(inputs: Any, x: Any, test_time_augmentation: str | None) -> Any:
    if test_time_augmentation is None:
        return x
    mirrored = _chain(keras.ops.flip(inputs, axis=2), keras.Model(inputs, x).layers[1:])
    return layers.Average(name=BOTH_WAYS)([x, mirrored])


def _chain(x: Any, stages: Sequence[Any]) -> Any:
    for layer in stages:
        x = layer(x)
    return x


def _front(
    row: Architecture, channels: int, *, grayscale: bool, mean: Sequence[float], std: Sequence[float]
) -> list[Any]:
    if row.builder is None:
        return transforms.preprocessing(grayscale=grayscale, mean=mean, std=std)
    return [transforms.Grayscale(name="grayscale"), *front(row, 1)] if grayscale else front(row, channels)


def _backbone(row: Architecture, shape: tuple[int, int, int]) -> Any:
    with named_afresh(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This model usually expects 1 or 3 input channels")
        if row.builder is None:
            model = _OURS[row.name](shape, **row.options)
        else:
            builder = getattr(keras.applications, row.builder)
            model = builder(include_top=False, weights=None, input_shape=shape, **row.options)
    model.name = "backbone"
    return model


def _features(backbone: Any, *, pooling: str, dropout: float, fine_tune: bool, seed: int) -> list[Any]:
    """Return the stages from scaled images to features, with dropout."""
    if not fine_tune:  # where it is trained, layers that are fixed by design stay fixed
        backbone.trainable = False
    kinds = {"average": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D, "flatten": layers.Flatten}
    pool = [kinds[pooling](name="pooling")] if len(backbone.output_shape) == 4 else []
    return [backbone, *pool, layers.Dropout(dropout, seed=seed, name="dropout")]


@contextmanager
def _computing_in(precision: Any) -> Iterator[None]:
    """Let new layers compute in a precision: Keras gives a model's builder no other way to say so."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
