"""Models made again."""

from typing import Any

import keras


def copied(model: Any) -> Any:
    """Return a model with layers like those of another, and new weights; what that was compiled with is left out.

    Keras' `clone_model` makes the optimizer, loss and metrics again too, which it cannot where one is the user's own.

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
        return keras.models.clone_model(model)
    finally:
        for part, before in zip(parts, compiled, strict=True):
            part.compiled = before
