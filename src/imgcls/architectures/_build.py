"""From a name to a model: preprocessing, backbone, pooling, dropout, head."""

import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from imgcls import _backend, _checks, transforms
from imgcls.architectures import _cnn, _speed
from imgcls.architectures._channels import front
from imgcls.architectures._graph import is_graph, made_by, named_afresh
from imgcls.architectures._parts import BOTH_WAYS
from imgcls.architectures._table import Architecture, describe
from imgcls.architectures._weights import load_pretrained, set_weights
from imgcls.errors import ConfigurationError

POOLINGS = ("average", "max", "flatten")
HEADS = ("softmax", "sigmoid")
TEST_TIME_AUGMENTATIONS = (None, "flip")
PRECISIONS = ("float32", "mixed_bfloat16")  # float16 would need its loss scaled
_DROPOUT = 0.2
_ROUNDING = 0.02  # of probabilities that are computed in bfloat16
_OWN: dict[str, Callable[..., Any]] = {
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
        precision: In what the backbone computes: "float32", or "mixed_bfloat16" for GPUs that are quicker with it.
            Weights, preprocessing and head are float32 in any case. Names only: a model of your own computes in its
            dtype policy, and a function's in that of `keras.config.dtype_policy()`.
        seed: Another seed, other initial weights.

    Returns:
        A `keras.Model` from `(N, H, W, C)` pixels to `float32 (N, K)` probabilities. Its layer "backbone" is the
        network itself.

    Raises:
        ConfigurationError: Arguments are not accepted, the name is not known, the image is too small, weights do not go
            with the architecture, or a model of your own has another shape or leaves nothing to pool, drop or fix.
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
    num_classes, dropout, seed = (_checks.plain(number) for number in (num_classes, dropout, seed))
    if not isinstance(architecture, str) and weights is not None:
        message = (
            f"weights={str(weights)!r} goes with a named architecture. Load weights into your own model beforehand."
        )
        raise ConfigurationError(message)
    theirs = keras.config.dtype_policy()
    with _reproducible(seed), _computing_in("float32"):
        inputs = keras.Input(input_shape, name="images")
        if not isinstance(architecture, str):
            x = _chain(inputs, transforms.preprocessing(grayscale=grayscale, mean=mean, std=std))
            with _computing_in(theirs):
                backbone = _own_model(architecture, tuple(x.shape[1:]), num_classes, head)
            _refuse_to_round(backbone, mean, std)
            if backbone.output_shape == (None, num_classes):
                _refuse_for_whole(num_classes, pooling=pooling, dropout=dropout, fine_tune=fine_tune)
                return _whole(inputs, _chain(x, _ended(backbone, head)), test_time_augmentation)
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
            model = _OWN[row.name](shape, **row.options)
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


def _own_model(architecture: Any, shape: tuple[int, int, int], num_classes: int, head: str) -> Any:
    """Return the user's model, built, and named as the backbone that it is or contains."""
    given = isinstance(architecture, keras.Model)
    model = architecture if given else architecture(shape, num_classes)
    if not isinstance(model, keras.Model):
        message = f"the architecture function returned a {type(model).__name__}. Accepted: a keras.Model."
        raise ConfigurationError(message)
    unheard = _backend.passed_over(model)
    if unheard is not None:
        message = (
            f"{type(model).__name__}.{unheard} would never be called: imgcls computes the training step itself. Give "
            "a model without it, and what it does as loss=, augmentation= or mixing=; or train with Keras' own fit."
        )
        raise ConfigurationError(message)
    model = _copy(model, shape) if given else _as_graph(model, shape)
    takes, gives = model.input_shape, model.output_shape
    expected = (None, *shape)
    fits = (
        isinstance(takes, tuple)
        and len(takes) == 4
        and all(side in {None, wanted} for side, wanted in zip(takes, expected, strict=True))
        and isinstance(gives, tuple)
        and len(gives) in {2, 4}
    )
    if not fits:
        message = (
            f"the model takes {takes} and gives {gives}. Accepted for these data: {expected} to (None, {num_classes}), "
            "or to features (None, D) or (None, h, w, D). image_size and color decide the first; classes and loss the "
            "second."
        )
        raise ConfigurationError(message)
    activation = _last_activation(model)
    ending = getattr(activation, "__name__", "")
    if gives != (None, num_classes):
        if len(gives) == 2 and ending in HEADS:
            message = (
                f"the model ends with {ending!r} over {gives[1]} outputs, and these data need {num_classes}. End it "
                f"with {num_classes} outputs, or with features: before its last layer."
            )
            raise ConfigurationError(message)
    elif ending in {"relu", "tanh", *HEADS} - {head}:
        message = (
            f"the model ends with {ending!r}, and these labels and this loss need {head!r}. "
            f"End it with {head!r}, or without activation."
        )
        raise ConfigurationError(message)
    elif activation is not keras.activations.linear and ending != head:
        _check_probabilities(model, shape, head)
    model.name = "backbone"
    return model


def _last_layer(model: Any) -> Any:
    """Return the layer that a model's outputs come from; of one that is itself made of layers, its last."""
    layer = made_by(model.outputs[0]).operation
    return _last_layer(layer) if is_graph(layer) else layer


def _last_activation(model: Any) -> Any:
    """Return the activation of a model's last layer; None where it has none, or is a class, whose affair it is."""
    last = _last_layer(model)
    return None if isinstance(last, keras.Model) else getattr(last, "activation", None)


def gives_probabilities(model: Any, head: str) -> bool:
    """Say whether a whole classifier gives probabilities: by its last activation; where that is unseen, for noise.

    Args:
        model: From pixels `(N, H, W, C)` to `(N, K)`.
        head: "softmax" or "sigmoid", which decides where the end cannot be seen.

    Examples:
        >>> import keras
        >>> from imgcls import architectures
        >>> scores = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> ended = keras.Sequential([scores, keras.layers.Activation("softmax")])
        >>> [architectures.gives_probabilities(one, "softmax") for one in (scores, ended)]
        [False, True]
    """
    activation = _last_activation(model)
    if activation is keras.activations.linear:
        return False
    return getattr(activation, "__name__", "") in HEADS or _no_probabilities(model, model.input_shape[1:], head) is None


def _check_probabilities(model: Any, shape: tuple[int, int, int], head: str) -> None:
    """Refuse a classifier whose end cannot be seen, and which gives no probabilities for images of noise."""
    outputs = _no_probabilities(model, shape, head)
    if outputs is not None:
        message = (
            f"the model ends with the layer {_last_layer(model).name!r}, whose outputs are no probabilities: for one "
            f"image they are {_checks.some([round(float(one), 2) for one in outputs])}. End it with {head!r}."
        )
        raise ConfigurationError(message)


def _no_probabilities(model: Any, shape: tuple[int, int, int], head: str) -> NDArray[np.float32] | None:
    """Return the outputs for an image of noise that are no probabilities; None where all are."""
    noise = np.random.default_rng(0).uniform(-1, 1, (8, *shape))
    images = (noise * np.geomspace(0.1, 255, 8).reshape(8, 1, 1, 1)).astype(np.float32)  # faint and strong
    outputs = np.asarray(model(images, training=False), np.float32)
    wrong = ((outputs < -_ROUNDING) | (outputs > 1 + _ROUNDING)).any(axis=1)
    if head == "softmax":
        wrong |= abs(outputs.sum(axis=1) - 1) > _ROUNDING
    return outputs[wrong][0] if wrong.any() else None


def _as_graph(model: Any, shape: tuple[int, int, int]) -> Any:
    """Return a model that Keras knows as a graph; one that is written as a class becomes the only layer of one."""
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, *shape))
    if is_graph(model):
        return model
    inputs = keras.Input(shape)
    return keras.Model(inputs, model(inputs))


def _copy(model: Any, shape: tuple[int, int, int]) -> Any:
    """Return a model with the same layers and weights, built for a shape: the caller's own stays as it is."""
    if type(model).get_config is keras.Model.get_config:  # made again, its arguments would have their defaults
        message = (
            f"the model cannot be copied: {type(model).__name__} is a class without get_config. Give a function that "
            "builds it instead."
        )
        raise ConfigurationError(message)
    try:
        copy = keras.models.clone_model(model)
    except (TypeError, ValueError, NotImplementedError) as error:  # a layer that does not come back from its config
        message = f"the model cannot be copied: {error}. Give a function that builds it instead."
        raise ConfigurationError(message) from error
    layers_of_both = zip(copy._flatten_layers(), model._flatten_layers(), strict=True)  # noqa: SLF001 - Keras has no public walk
    pairs = [(copy, model)] if model.built else list(layers_of_both)  # before the copy is built, and has more layers
    graph = _as_graph(copy, shape)
    for own, theirs in pairs:
        if theirs.built and theirs.weights:  # in a model that is not built, layers may be: one that was adapted
            set_weights(own, theirs.get_weights())
    return graph


def _ended(model: Any, head: str) -> list[Any]:
    """Return the stages of a model that is a whole classifier: with the head's activation, where it has none."""
    linear = _last_activation(model) is keras.activations.linear
    return [model, layers.Activation(head, name="head")] if linear else [model]


@contextmanager
def _computing_in(precision: Any) -> Iterator[None]:
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
