"""What reaches the networks inside a model of the user's own: pixels as they expect them, others, or scaled twice?

Images of one colour go the road from the model's input on: through operations, layers without weights and models inside
of models, up to the first layers that learn. Judged is what arrives there, and not which layers stand in between. Where
the road cannot be computed, nothing is known, and nothing said.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls import transforms
from imgcls.architectures._channels import front
from imgcls.architectures._graph import is_graph, made_by
from imgcls.architectures._table import Architecture, describe, names

_BEGIN_AT_0 = ("bias", "beta", "moving_mean")
_WITHOUT_IMAGES = (None, "unit", "symmetric")  # normalizations that measure none
_WHITE = 255.0
_APART = 0.05  # of the range that its authors feed it
_SCALED = 0.1  # of the range of pixels: what makes less of it has scaled them
_EVEN = 0.01  # of its own range: gray lies that near the middle of black and white where a road only scales


class Misfed(NamedTuple):
    """A pretrained network that gets other pixels than its authors feed it.

    Attributes:
        network: Its row in the table.
        normalizations: Those of `ImageClassifier` with which it would get what it expects; often none.

    Examples:
        >>> from imgcls import architectures
        >>> found = architectures.Misfed(architectures.describe("mobilenet_v2"), ("symmetric",))
        >>> found.network.name, found.normalizations
        ('mobilenet_v2', ('symmetric',))
    """

    network: Architecture
    normalizations: tuple[str | None, ...]


def misfed(model: Any) -> Misfed | None:
    """Return the pretrained network in a model that gets other pixels than its authors feed it; None where all is well.

    A network is known by the number of its parameters. What it gets is what arrives at its first convolution: it does
    not matter who scales the pixels, be it imgcls, layers or operations of the model around it, or the network itself.

    Args:
        model: A model from pixels 0-255 to probabilities.

    Examples:
        >>> from imgcls import architectures
        >>> model = architectures.build("mobilenet_v2", input_shape=(96, 96, 3), num_classes=2)
        >>> architectures.misfed(model) is None
        True
    """
    try:
        pixels, ours = _colors(model.input_shape[1:]), _normalization_of(model)
        row = _wrongly_fed(model, pixels)
        if row is None:
            return None
        tried = () if ours is None else _WITHOUT_IMAGES
        suiting = [name for name in tried if _wrongly_fed(model, pixels, {ours: _layer(name)}) is None]
    except Exception:  # noqa: BLE001 - layers of anybody's own: nothing is known, and nothing said
        return None
    return Misfed(row, tuple(suiting))


def scaled_twice(model: Any) -> bool:
    """Return whether pixels are scaled by imgcls and once more by the model that the user gave.

    So it is where that model would make a tenth or less of the range 0-255 by itself.

    Args:
        model: What `build` returned.

    Examples:
        >>> import keras
        >>> from imgcls import architectures
        >>> own = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()])
        >>> architectures.scaled_twice(architectures.build(own, input_shape=(8, 8, 1), num_classes=2))
        True
        >>> architectures.scaled_twice(architectures.build(own, input_shape=(8, 8, 1), num_classes=2, std=[1.0]))
        False
    """
    try:
        pixels, ours = _colors(model.input_shape[1:]), _normalization_of(model)
        if ours is None:
            return False
        by_itself, now = _arrivals(model, pixels, {ours: _layer(None)}), _arrivals(model, pixels)
        found = [_scales(alone.values, both.values) for alone, both in zip(by_itself, now, strict=True)]
    except Exception:  # noqa: BLE001 - layers of anybody's own: nothing is known, and nothing said
        return False
    return bool(found) and all(found)


class _Arrival(NamedTuple):
    """What arrives at a layer that learns.

    Attributes:
        within: The models that the layer stands in, the outermost first.
        values: `(4, ...)`, one for each of `_colors`.
    """

    within: tuple[Any, ...]
    values: NDArray[np.float32]


def _colors(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return a black image, a white one, a gray one between them, and one that is bright in its first channel alone."""
    pixels = np.zeros((4, *shape), np.float32)
    pixels[1], pixels[2], pixels[3, ..., 0] = _WHITE, _WHITE / 2, _WHITE
    return pixels


def _arrivals(model: Any, images: Any, instead: Mapping[Any, Any] | None = None) -> list[_Arrival]:
    """Return what arrives at each first layer that learns.

    Args:
        model: A Functional or Sequential model.
        images: `(4, H, W, C)`.
        instead: What is called in place of layers.
    """
    arrived: list[_Arrival] = []
    _follow(model, [images], (), arrived, instead or {})
    return arrived


def _follow(
    model: Any,
    images: Sequence[Any],
    within: tuple[Any, ...],
    arrived: list[_Arrival],
    instead: Mapping[Any, Any],
) -> list[Any]:
    """Send images into a model, note what arrives, and return its outputs: None for those behind what learns."""
    within = (*within, model)
    inputs = zip(model.inputs, images, strict=True)
    values = {id(tensor): keras.ops.cast(image, tensor.dtype) for tensor, image in inputs}
    waiting = _nodes(model)
    while ready := [node for node in waiting if all(id(tensor) in values for tensor in node.input_tensors)]:
        waiting = [node for node in waiting if node not in ready]
        for node in ready:
            layer, taken = node.operation, [values[id(tensor)] for tensor in node.input_tensors]
            if is_graph(layer):
                given = _follow(layer, taken, within, arrived, instead)
            elif _learns(layer):
                arrived += [_Arrival(within, _numbers(one)) for one in taken]
                continue
            else:
                given = _called(instead.get(layer, layer), node, values)
            known = zip(node.output_tensors, given, strict=True)
            values |= {id(tensor): value for tensor, value in known if value is not None}
    return [values.get(id(tensor)) for tensor in model.outputs]


def _nodes(model: Any) -> list[Any]:
    """Return the nodes of a model's graph, but for its inputs."""
    found: dict[Any, None] = {}
    waiting = [made_by(tensor) for tensor in model.outputs]
    for node in waiting:
        if not node.is_input and node not in found:
            found[node] = None
            waiting += node.parent_nodes
    return list(found)


def _learns(layer: Any) -> bool:
    """Say whether a layer has weights to learn; statistics of pixels that were measured beforehand are none."""
    return bool(getattr(layer, "weights", ())) and not isinstance(layer, keras.layers.Normalization)


def _called(layer: Any, node: Any, values: dict[int, Any]) -> list[Any]:
    """Return what a layer or an operation gives in use: some of Keras' that augment do so unless they are told."""
    arguments, options = node.arguments.fill_in(values)
    if "training" in inspect.signature(layer.call).parameters:
        options = {**options, "training": False}
    return list(keras.tree.flatten(layer(*arguments, **options)))


def _numbers(tensor: Any) -> NDArray[np.float32]:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def _normalization_of(model: Any) -> Any:
    """Return the layer by which `build` scales pixels for a backbone; None where there is none."""
    named = {layer.name: layer for layer in model.layers}
    layer = named.get("normalization")  # as Keras names others, too
    return layer if "backbone" in named and isinstance(layer, keras.layers.Rescaling) else None


def _layer(normalization: str | None) -> Any:
    """Return the layer of a normalization that does not depend on the images."""
    black = np.zeros((1, 1, 1, 1), np.uint8)
    mean, std = ([0.0], [1.0]) if normalization is None else transforms.normalization(normalization, black)
    (layer,) = transforms.preprocessing(mean=mean, std=std)
    return layer


def _scales(alone: NDArray[np.float32], now: NDArray[np.float32]) -> bool:
    """Say whether a model's own road scales pixels, and those that are scaled before it once more."""
    span = np.ptp(alone, axis=0).max()
    uneven = np.abs(alone[2] - (alone[0] + alone[1]) / 2).max()
    return bool(span <= _SCALED * _WHITE and uneven <= _EVEN * span and 2 * np.ptp(now, axis=0).max() < span)


def _wrongly_fed(
    model: Any, pixels: NDArray[np.float32], instead: Mapping[Any, Any] | None = None
) -> Architecture | None:
    """Return the first pretrained network in a model at which other numbers arrive than its authors feed it."""
    known = {row.parameters: row for row in map(describe, names()) if row.builder is not None}
    for arrival in _arrivals(model, pixels, instead):
        inside_out = ((layer, _network(layer, known)) for layer in reversed(arrival.within))
        network, row = next((found for found in inside_out if found[1] is not None), (None, None))
        if row is None:
            continue
        expected = _expected(network, row, pixels)
        if expected is not None and _differ(arrival.values, expected):
            return row
    return None


def _network(layer: Any, known: dict[int, Architecture]) -> Architecture | None:
    """Return the row of a network whose weights have been trained."""
    row = known.get(layer.count_params()) if layer.built else None
    trained = row and any(np.any(one.numpy()) for one in layer.weights if one.name in _BEGIN_AT_0)
    return row if trained else None


def _expected(network: Any, row: Architecture, pixels: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return what arrives at the first layer of a network that is fed as its authors do; None where that is not known.

    One that scales pixels itself is fed them as they are, and asked what it makes of them. Of one that could, and was
    told not to, the table does not say what it expects.
    """
    images: Any = pixels
    for stage in front(row, pixels.shape[-1]):
        images = stage(images)
    if row.scaling != "inside":
        return _numbers(images)
    (arrival, *_) = _arrivals(network, images)
    return arrival.values if np.ptp(arrival.values) <= _SCALED * _WHITE else None


def _differ(found: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    """Say whether numbers differ, in the middle of images of one colour: their edges may have been padded."""
    found, expected = _middle(found), _middle(expected)
    span = found[1] - found[0]
    shares = (found[3] - found[0]) / np.where(span == 0, 1, span)
    colors = 3 if np.ptp(shares) < _APART else 4  # a model that sees gray alone has its reasons
    return bool(np.abs(found - expected)[:colors].max() > _APART * np.ptp(expected))


def _middle(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the pixel in the middle, `(4, C)`."""
    _, height, width, _ = values.shape
    return values[:, height // 2, width // 2]
