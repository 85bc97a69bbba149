"""Weights into a model, checked layer by layer. Nothing in a weights file is executed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls.architectures._table import Architecture
from imgcls.errors import ConfigurationError, DataError

_EFFICIENTNET_STD = np.array([0.229, 0.224, 0.225])  # ImageNet, in [0, 1]


def set_weights(model: Any, arrays: Sequence[NDArray[Any]]) -> None:
    """Assign `arrays` to `model.weights`, in that order.

    Unlike `model.set_weights` this also refreshes `Normalization` layers, which keep a copy of their statistics.

    Raises:
        DataError: Their number or a shape differs.

    Examples:
        >>> from imgcls import architectures
        >>> model = architectures.small_cnn((8, 8, 1))
        >>> architectures.set_weights(model, model.get_weights())
    """
    shapes, given = [tuple(weight.shape) for weight in model.weights], [array.shape for array in arrays]
    if shapes != given:
        different = next(
            (index for index, pair in enumerate(zip(shapes, given, strict=False)) if pair[0] != pair[1]), None
        )
        where = "" if different is None else f"; the first difference is {given[different]} for {shapes[different]}"
        message = f"the model has {len(shapes)} weight arrays and {len(given)} are given{where}."
        raise DataError(message)
    model.set_weights(arrays)
    for layer in model._flatten_layers():  # noqa: SLF001 - Keras offers no public walk through nested models
        if isinstance(layer, keras.layers.Normalization) and layer.built:
            layer.finalize_state()


def load_pretrained(backbone: Any, row: Architecture, weights: str | Path) -> None:
    """Load weights trained elsewhere into `backbone`: "imagenet", or the path of an `.h5` file.

    Raises:
        ConfigurationError: The architecture has no pretrained weights, or the file is of another kind.
        DataError: The download failed, the file is missing or does not fit the architecture.
    """
    if str(weights) == "imagenet":
        _load_imagenet(backbone, row)
    else:
        _load_h5(backbone, row, Path(weights))
    if row.builder and row.builder.startswith("EfficientNetB"):
        _fold_efficientnet_scaling(backbone)


def _load_imagenet(backbone: Any, row: Architecture) -> None:
    if row.builder is None:
        message = (
            f"there are no 'imagenet' weights for {row.name!r}. Accepted: weights=None, or the path of an .h5 file."
        )
        raise ConfigurationError(message)
    try:
        donor = getattr(keras.applications, row.builder)(
            include_top=False, weights="imagenet", input_shape=backbone.input_shape[1:], **row.options
        )
    except Exception as error:  # Keras raises bare Exception for a failed download
        message = (
            f"the ImageNet weights of {row.name!r} could not be had: {error}. Without a network, get the "
            f"'no_top' .h5 file elsewhere and give weights='that/file.h5', or train from scratch with weights=None."
        )
        raise DataError(message) from error
    backbone.set_weights(donor.get_weights())


def _load_h5(backbone: Any, row: Architecture, path: Path) -> None:
    import h5py

    if path.suffix != ".h5" or path.name.endswith(".weights.h5"):
        message = (
            f"weights={str(path)!r} is not accepted. Accepted: 'imagenet', None, or an .h5 file as Keras publishes."
        )
        raise ConfigurationError(message)
    if not path.is_file():
        message = f"weights file {str(path)!r} does not exist. Check the path and the working directory."
        raise DataError(message)
    try:
        with h5py.File(path, "r") as file:
            stored = _arrays_by_layer(file.get("model_weights", file))
    except (OSError, KeyError, UnicodeDecodeError) as error:
        message = f"weights file {str(path)!r} cannot be read: {error}. Get it again, or use another file."
        raise DataError(message) from error
    for layer in backbone.layers:
        expected = [tuple(weight.shape) for weight in layer.weights]
        arrays = stored.get(layer.name, [])
        found = [array.shape for array in arrays]
        if expected != found:
            message = (
                f"weights file {str(path)!r} does not fit {row.name!r}: layer {layer.name!r} needs arrays {expected} "
                f"and the file has {found or 'none'}. File and architecture must be of one family and width."
            )
            raise DataError(message)
        if arrays:
            layer.set_weights(arrays)


def _arrays_by_layer(group: Any) -> dict[str, list[NDArray[Any]]]:
    """Read Keras' layer-wise HDF5 layout: attribute `layer_names`, and `weight_names` of each layer's group."""

    def text(values: Any) -> list[str]:
        return [value.decode() if isinstance(value, bytes) else str(value) for value in values]

    return {
        layer: [np.asarray(group[layer][name]) for name in text(group[layer].attrs["weight_names"])]
        for layer in text(group.attrs["layer_names"])
    }


def _fold_efficientnet_scaling(backbone: Any) -> None:
    """Fold the extra division by sqrt(std) into the variance of the first `Normalization`.

    `keras.applications.EfficientNetB*` inserts a `Rescaling` of 1 / sqrt(std) only under `weights="imagenet"`. The
    graph here is always built without it, so that a saved model can be rebuilt from its name alone.
    """
    layer = next(layer for layer in backbone.layers if isinstance(layer, keras.layers.Normalization))
    mean, variance, count = layer.get_weights()
    layer.set_weights([mean, variance * _EFFICIENTNET_STD.astype(variance.dtype), count])
    layer.finalize_state()
