"""A model said in Keras' own layers: what is saved of it opens where imgcls is not installed.

Keras imports no package to find a class that a file names, but those of its own house.
"""

from typing import Any

import keras
from keras import layers, ops

from imgcls.architectures._channels import GrayscaleToRGB
from imgcls.architectures._graph import is_graph
from imgcls.architectures._speed import PartialIdentity
from imgcls.transforms import Grayscale, RGBToBGR
from imgcls.transforms._preprocessing import LUMA


def portable(model: Any) -> Any:
    """Return a model that computes the same, in which Keras' own layers stand for those of imgcls.

    It shares all other layers with `model`, and their weights. It is not compiled: an optimizer may be ours too, and
    its state would be saved. Layers of your own stay: where such a model is opened, their module has to be imported.

    Args:
        model: A `keras.Model` with one input and one output.

    Examples:
        >>> import numpy as np
        >>> from imgcls import architectures
        >>> model = architectures.build("small_cnn", input_shape=(16, 16, 3), num_classes=2, grayscale=True)
        >>> same = architectures.portable(model)
        >>> [type(one.get_layer("grayscale")).__module__.partition(".")[0] for one in (model, same)]
        ['imgcls', 'keras']
        >>> image = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 3))
        >>> bool(np.allclose(same(image), model(image), atol=1e-6))
        True
    """
    graph = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    return keras.models.clone_model(graph, clone_function=_stand_in) if _holds_ours(model) else graph


def _stand_in(layer: Any) -> Any:
    """Return what computes the same without a class of ours; Keras asks once for a layer that is called twice."""
    if type(layer) in _SAID:
        images = keras.Input(batch_shape=layer.input.shape, dtype=layer.input.dtype)
        return keras.Model(images, _SAID[type(layer)](images, layer.dtype_policy), name=layer.name)
    if _is_ours(layer):  # by what its weights began with, and they are at hand
        same = type(layer).from_config(layer.get_config() | {"kernel_initializer": "glorot_uniform"})
        same.build_from_config(layer.get_build_config())
        same.set_weights(layer.get_weights())
        return same
    one_way = is_graph(layer) and len(layer.inputs) == len(layer.outputs) == 1
    return portable(layer) if one_way and _holds_ours(layer) else layer


def _holds_ours(model: Any) -> bool:
    return any(map(_is_ours, model._flatten_layers()))  # noqa: SLF001 - Keras has no public walk


def _is_ours(layer: Any) -> bool:
    return type(layer) in _SAID or isinstance(getattr(layer, "kernel_initializer", None), PartialIdentity)


def _grayscale(images: Any, policy: Any) -> Any:
    return ops.sum(layers.Rescaling(list(LUMA), dtype=policy)(images), axis=-1, keepdims=True)


def _grayscale_to_rgb(images: Any, policy: Any) -> Any:
    return layers.Concatenate(dtype=policy)([images, images, images])


def _rgb_to_bgr(images: Any, _: Any) -> Any:
    return ops.flip(images, axis=-1)


_SAID = {Grayscale: _grayscale, GrayscaleToRGB: _grayscale_to_rgb, RGBToBGR: _rgb_to_bgr}
