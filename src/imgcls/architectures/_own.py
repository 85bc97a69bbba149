"""A model of the user's own: taken as it is, copied or drawn anew, checked, and its end told by its last layer."""

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from imgcls import _backend, _checks
from imgcls.architectures._graph import is_graph, made_by, reproducible
from imgcls.architectures._weights import set_weights
from imgcls.errors import ConfigurationError

HEADS = ("softmax", "sigmoid")
_ROUNDING = 0.02  # of probabilities that are computed in bfloat16


def own_model(architecture: Any, shape: tuple[int, int, int], num_classes: int, head: str) -> Any:
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


def ended(model: Any, head: str) -> list[Any]:
    """Return the stages of a model that is a whole classifier: with the head's activation, where it has none."""
    linear = _last_activation(model) is keras.activations.linear
    return [model, layers.Activation(head, name="head")] if linear else [model]


def untrained(model: Any, *, seed: int = 0) -> Any:
    """Return a copy of a model as before training: what was learnt is drawn anew.

    Layers that have nothing to learn keep their weights: those that are fixed, and such as `Normalization`.

    Args:
        model: A functional or sequential model, such as the layer "backbone" of what `build` returned.
        seed: Another seed, other initial weights.

    Examples:
        >>> import keras
        >>> from imgcls import architectures
        >>> layers = [keras.layers.Dense(2, trainable=False), keras.layers.Dense(2)]
        >>> model = keras.Sequential([keras.Input((2,)), *layers])
        >>> copy = architectures.untrained(model)
        >>> kernels = [(one.kernel, other.kernel) for one, other in zip(model.layers, copy.layers)]
        >>> [bool((one == other).numpy().all()) for one, other in kernels]
        [True, False]
    """
    with reproducible(seed):
        copy = _backend.copied(model)
    every = model._flatten_layers()  # noqa: SLF001 - Keras has no public walk
    kept = {id(weight) for layer in every if _learns_nothing(layer) for weight in layer.weights}
    pairs = zip(model.weights, copy.weights, strict=True)
    set_weights(copy, [np.asarray(old if id(old) in kept else new) for old, new in pairs])
    return copy


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


def _last_layer(model: Any) -> Any:
    """Return the layer that a model's outputs come from; of one that is itself made of layers, its last."""
    layer = made_by(model.outputs[0]).operation
    return _last_layer(layer) if is_graph(layer) else layer


def _last_activation(model: Any) -> Any:
    """Return the activation of a model's last layer; None where it has none, or is a class, whose affair it is."""
    last = _last_layer(model)
    return None if isinstance(last, keras.Model) else getattr(last, "activation", None)


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
        copy = _backend.copied(model)
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


def _learns_nothing(layer: Any) -> bool:
    """Say whether training leaves a layer's weights as they are: statistics of batches move with nothing to learn."""
    inner = layer._flatten_layers()  # noqa: SLF001 - Keras has no public walk
    moves = any(isinstance(one, layers.BatchNormalization) and one.trainable for one in inner)
    return not (layer.trainable_weights or moves)
