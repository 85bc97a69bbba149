"""Models made again."""

from typing import Any

import keras


def copied(model: Any) -> Any:
    """Return a model with layers like those of another, and new weights; what that was compiled with is left out.

    Keras' `clone_model` makes the optimizer, loss and metrics again too, which it cannot where one is the user's own.
    What is fixed is fixed in the copy too, also in layers that a layer is made of, of which its config says nothing.

    Raises:
        TypeError, ValueError, NotImplementedError: Keras cannot make a layer again from its `get_config`.

    Examples:
        >>> import keras
        >>> from imgcls import _backend
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        >>> model.compile("sgd", loss=lambda targets, outputs: outputs[:, 0])
        >>> _backend.copied(model).output_shape, model.compiled
        ((None, 64), True)
    """
    parts = [part for part in model._flatten_layers() if isinstance(part, keras.Model)]  # noqa: SLF001 - Keras has no public walk
    compiled = [part.compiled for part in parts]
    for part in parts:
        part.compiled = False  # then Keras has no compile config of it
    try:
        copy = keras.models.clone_model(model)
    finally:
        for part, before in zip(parts, compiled, strict=True):
            part.compiled = before
    _fix_alike(copy, model)
    return copy


def _fix_alike(copy: Any, model: Any) -> None:
    """Let layers and weights of a copy learn where those of the model do, and nowhere else.

    Raises:
        ValueError: The copy is made of other layers, so that nobody could say which of them are fixed.
    """
    ours, theirs = _every(copy), _every(model)
    if not _are_alike(ours, theirs):
        if _fixes_nothing(theirs):
            return
        message = "some of its layers are fixed, and its get_config does not bring back all layers that it is made of"
        raise ValueError(message)
    for own, layer in zip(ours, theirs, strict=True):
        own._trainable = layer.trainable  # noqa: SLF001 - set in public, it would be passed on to the layers within
        for weight, other in zip(_learnable(own), _learnable(layer), strict=False):  # a layer may be built later
            weight.trainable = other.trainable


def _every(layer: Any) -> list[Any]:
    """Return a layer and all that it is made of; of a graph in its order, in which its copy has them too.

    One that several share is met by each of them, for its copies may be several.
    """
    within = layer.layers if isinstance(layer, keras.Model) else layer._layers  # noqa: SLF001 - Keras has no public walk
    return [layer, *(one for inner in within for one in _every(inner))]


def _are_alike(ours: list[Any], theirs: list[Any]) -> bool:
    """Say whether layers are of the same kinds, one by one; a model class may come back as what it was derived from."""
    if len(ours) != len(theirs):
        return False
    return all(type(own) is type(one) or isinstance(one, keras.Model) for own, one in zip(ours, theirs, strict=True))


def _fixes_nothing(layers: list[Any]) -> bool:
    return all(one.trainable for layer in layers for one in (layer, *_learnable(layer)))


def _learnable(layer: Any) -> list[Any]:
    """Return the weights of a layer, without those of layers within, that may be fixed or not."""
    weights: list[Any] = layer._trainable_variables  # noqa: SLF001 - the public lists have those of layers within
    return weights
