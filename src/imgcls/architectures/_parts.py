"""The parts of a built classifier: its features, its head, the last feature map. All of them share its layers."""

from itertools import takewhile
from typing import Any

import keras

from imgcls.errors import ConfigurationError


def cut(model: Any) -> Any:
    """Return the part of a classifier that makes features of pixels, without dropout and head.

    Args:
        model: What `build` returned.

    Returns:
        A `keras.Model` from `(N, H, W, C)` pixels to `float32 (N, D)` features. Its layers are those of `model`, so what
        one of them learns later, the other has learnt.

    Raises:
        ConfigurationError: It is a model of your own that has no last `Dense` layer to be cut off.

    Examples:
        >>> from imgcls import architectures
        >>> model = architectures.build("small_cnn", input_shape=(32, 32, 3), num_classes=10)
        >>> architectures.cut(model).output.shape
        (None, 64)
    """
    model = _one_way(model)
    if {"dropout", "head"} <= {layer.name for layer in model.layers}:
        return keras.Model(model.input, model.get_layer("dropout").input, name="features")
    flat = opened(model)
    node = _made_by(flat.output)
    while isinstance(node.operation, keras.layers.Activation):
        node = _made_by(node.input_tensors[0])
    if not isinstance(node.operation, keras.layers.Dense) or len(node.input_tensors[0].shape) != 2:
        message = (
            f"the model ends with the layer {node.operation.name!r}, and features are what its last Dense layer takes. "
            "Let it end with Dense, or give a model without a head: it gets one."
        )
        raise ConfigurationError(message)
    return keras.Model(flat.input, node.input_tensors[0], name="features")


def last_feature_map(model: Any) -> Any:
    """Return a model that also gives the feature map on which a classifier decides, as Grad-CAM needs it.

    It is the last tensor `(N, h, w, C)` of more than one pixel, found also in models inside of models.

    Args:
        model: What `build` returned.

    Returns:
        A `keras.Model` from `(N, H, W, C)` pixels to `[feature map (N, h, w, C), probabilities (N, K)]`, the second
        computed from the first, so that a gradient can be taken between them. Its layers are those of `model`.

    Raises:
        ConfigurationError: No layer gives a feature map, as in a network of `Dense` layers.

    Examples:
        >>> from imgcls import architectures
        >>> model = architectures.build("small_cnn", input_shape=(32, 32, 3), num_classes=10)
        >>> [tuple(output.shape) for output in architectures.last_feature_map(model).outputs]
        [(None, 4, 4, 64), (None, 10)]
    """
    model = _one_way(model)
    flat = opened(model)
    front = list(takewhile(lambda layer: layer.name != "backbone", model.layers))
    waiting = [_made_by(flat.output)]
    for node in waiting:  # breadth first: what is nearest to the output is found first
        shape = node.output_tensors[0].shape
        if len(shape) == 4 and shape[1:3] != (1, 1) and isinstance(node.operation, keras.Layer) and not node.is_input:
            return keras.Model(flat.input, [node.output_tensors[0], flat.output], name="last_feature_map")
        waiting += [one for one in node.parent_nodes if one not in waiting and one.operation not in front]
    message = "no layer of the model gives a feature map (N, h, w, C) of more than one pixel: there is none to explain."
    raise ConfigurationError(message)


def opened(model: Any) -> Any:
    """Return `model` with its layers in one graph: where a layer is a model, the layers inside of it."""
    flat = keras.Model(model.input, model.output)
    while any(_is_graph(layer) for layer in flat.layers):
        flat = keras.models.clone_model(flat, clone_function=_itself, call_function=_open)
    return flat


def _one_way(model: Any) -> Any:
    """Return a classifier without its second look at the mirror image."""
    node = _made_by(model.output)
    return keras.Model(model.input, node.input_tensors[0]) if node.operation.name == "both_ways" else model


def _itself(layer: Any) -> Any:
    return layer


def _open(layer: Any, *arguments: Any, **options: Any) -> Any:
    return layer.call(*arguments) if _is_graph(layer) else layer(*arguments, **options)


def _is_graph(layer: Any) -> bool:
    """Return whether a layer is itself a model made of layers, and not one written as a class."""
    return isinstance(layer, keras.Model) and bool(getattr(layer, "inputs", None))


def _made_by(tensor: Any) -> Any:
    """Return the node of Keras' graph that a symbolic tensor comes from."""
    operation, index, _ = tensor._keras_history  # noqa: SLF001 - Keras has no public way back from a tensor
    return operation._inbound_nodes[index]  # noqa: SLF001 - the same
