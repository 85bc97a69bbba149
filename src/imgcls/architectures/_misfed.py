"""A pretrained network of `keras.applications` inside a model of the user's own: does it get the pixels it expects?"""

from typing import Any

import keras
import numpy as np

from imgcls.architectures._channels import front
from imgcls.architectures._table import Architecture, describe, names

_BEGIN_AT_0 = ("bias", "beta", "moving_mean")
_APART = 0.05  # of the range that its authors feed it


def misfed(model: Any) -> Architecture | None:
    """Return the pretrained network in a model that gets other pixels than its authors feed it; None where all is well.

    A network is known by the number of its parameters. Only those count that scale no pixels themselves.

    Args:
        model: A model from pixels 0-255 to probabilities.

    Examples:
        >>> from imgcls import architectures
        >>> model = architectures.build("mobilenet_v2", input_shape=(96, 96, 3), num_classes=2)
        >>> architectures.misfed(model) is None
        True
    """
    rows = [describe(name) for name in names()]
    known = {row.parameters: row for row in rows if row.builder is not None and row.scaling != "inside"}
    if not any(_network(layer, known) for layer in model._flatten_layers()):  # noqa: SLF001 - Keras has no public walk
        return None
    pixels = np.zeros((3, *model.input_shape[1:]), np.float32)  # black, white, and one channel alone
    pixels[1], pixels[2, ..., 0] = 255, 255
    try:
        row, fed = _fed(model, pixels, known)
        expected = pixels
        for stage in front(row, pixels.shape[-1]):
            expected = stage(expected)
        apart = np.abs(np.asarray(fed) - np.asarray(expected)).max()
    except Exception:  # noqa: BLE001 - layers of anybody's own, not in a row: nothing is known, and nothing said
        return None
    return row if apart > _APART * np.ptp(np.asarray(expected)) else None


def _network(layer: Any, known: dict[int, Architecture]) -> Architecture | None:
    """Return the row of a network whose weights have been trained."""
    row = known.get(layer.count_params()) if isinstance(layer, keras.Model) and layer.built else None
    trained = row and any(np.any(one.numpy()) for one in layer.weights if one.name in _BEGIN_AT_0)
    return row if trained else None


def _fed(model: Any, pixels: Any, known: dict[int, Architecture]) -> tuple[Architecture, Any]:
    """Return the first network in a row of layers, and what it is fed."""
    for layer in model.layers:
        row = _network(layer, known)
        if row is not None:
            return row, pixels
        if isinstance(layer, keras.Model):
            return _fed(layer, pixels, known)
        if not isinstance(layer, keras.layers.InputLayer):
            pixels = layer(pixels)
    raise LookupError
