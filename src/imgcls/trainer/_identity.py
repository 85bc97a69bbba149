"""Which run this is: data, model and settings in words and hashes, equal in every process that repeats the run.

What is drawn at random without a seed differs between processes and does not count, since a state holds it: weights
that learn, seeds and names that Keras counts up.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls.architectures._speed import FIXED_LAYER
from imgcls.datasets import Dataset
from imgcls.errors import CheckpointError
from imgcls.trainer._backbone import numbered

_UNTOLD = (NotImplementedError, TypeError, ValueError, AttributeError, KeyError)  # from configs that cannot be told
_DRAWN = frozenset({"name", "seed", "module", "registered_name"})  # of processes, not of the run
_SIZES = frozenset({"batch_shape", "build_config", "build_input_shape"})  # follow from the size of images


def hash_of(array: NDArray[Any]) -> str:
    """Return a short hash of the numbers in an array."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:12]


def fingerprint(data: Dataset | None) -> str | None:
    """Describe data by their number, a hash of ids, classes and labels, and one of pixels that are in memory.

    Files are not read for it.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Dataset
        >>> from imgcls.trainer._identity import fingerprint
        >>> black, gray = (Dataset.from_arrays(np.full((2, 8, 8), tone, np.uint8), [0, 1]) for tone in (0, 99))
        >>> fingerprint(black)
        '2 images of 2 classes, names and labels a69763689d5f, pixels a15e10c04f44'
        >>> fingerprint(black).split(", pixels")[0] == fingerprint(gray).split(", pixels")[0]
        True
    """
    if data is None:
        return None
    digest = hashlib.sha256(json.dumps([data.ids, [str(name) for name in data.classes]]).encode())
    digest.update(np.ascontiguousarray(data.labels).tobytes())
    words = f"{len(data):,} images of {len(data.classes)} classes, names and labels {digest.hexdigest()[:12]}"
    held, count = hashlib.sha256(), 0
    for contents in filter(None, map(_in_memory, map(data.source, range(len(data))))):
        count += 1
        for part in contents:
            held.update(part)
    return f"{words}, pixels {held.hexdigest()[:12]}" if count else words


def _in_memory(source: Any) -> tuple[Any, ...] | None:
    """Return the bytes of an image that is in memory, and of what shape and kind it is; None for a file."""
    if isinstance(source, bytes):
        return str(len(source)).encode(), source
    if isinstance(source, np.ndarray):
        return f"{source.dtype} {source.shape}".encode(), np.ascontiguousarray(source).data
    if hasattr(source, "tobytes") and not getattr(source, "filename", ""):  # a PIL image that is of no file
        return f"{source.mode} {source.size}".encode(), source.tobytes()
    return None


def shape_of(model: Any) -> str:
    """Describe a model by a hash of its layers and the shapes of its weights."""
    digest = hashlib.sha256(json.dumps([layers_of(model), connections_of(model)]).encode()).hexdigest()
    return f"{model.count_params():,} parameters, {digest[:12]}"


def layers_of(model: Any) -> dict[str, dict[str, Any]]:
    """Return the settings of each layer and the shapes of its weights, by its number and kind.

    Of a layer that cannot tell its settings, its kind and its shapes have to do.

    Examples:
        >>> import keras
        >>> from imgcls.trainer._identity import layers_of
        >>> layers = layers_of(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Dropout(0.3)]))
        >>> layers["2 Dropout"]["rate"]
        0.3
    """
    layers = model._flatten_layers()  # noqa: SLF001 - Keras offers no public walk through nested models
    return {f"{index} {type(one).__name__}": _layer(one) for index, one in enumerate(layers)}


def connections_of(model: Any) -> str | None:
    """Return a hash of which layer is called with the outputs of which; None where the model cannot tell."""
    try:
        config = json.loads(json.dumps(model.get_config(), default=_named))
        words = json.dumps(_drawn_left_out(_edges(numbered(config))), sort_keys=True)
    except _UNTOLD:
        return None
    return hashlib.sha256(words.encode()).hexdigest()[:12]


def frozen_weights(model: Any) -> str | None:
    """Describe the weights of layers that do not learn, as those of a pretrained network; None where all learn.

    What is set from the images is left out: another kind of processor rounds it in another way.
    """
    layers = model._flatten_layers()  # noqa: SLF001 - as above
    changing = {id(one) for layer in layers if layer.trainable or layer.name == FIXED_LAYER for one in _own(layer)}
    frozen = [one for one in model.weights if id(one) not in changing]
    return f"{len(frozen)} arrays, {hash_of_weights(frozen)}" if frozen else None


def hash_of_weights(weights: Iterable[Any]) -> str:
    """Return a short hash of the values of Keras variables."""
    digest = hashlib.sha256()
    for one in weights:
        digest.update(np.ascontiguousarray(one.numpy()).tobytes())
    return digest.hexdigest()[:12]


def settings_of(one: Any) -> Any:
    """Return the configuration of a Keras object, as text; the name of any other function, or where there is none."""
    if one is None:
        return None
    name = getattr(one, "__name__", type(one).__name__)
    return name if not hasattr(one, "get_config") else _settings(one) or name


def identity(
    model: Any,
    data: Dataset,
    validation_data: Dataset | None,
    parts: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    told: bool,
) -> dict[str, Any]:
    """Return which run this is, as JSON can hold it, each entry under the words that a refusal names it by.

    Args:
        model: The model that is trained.
        data: The training images.
        validation_data: The validation images, or None.
        parts: Keras objects, or None, by the argument that they are given by.
        settings: All else.
        told: Whether each of the parts must tell its settings: else nobody could know a checkpoint to be of this run.

    Raises:
        CheckpointError: One of the parts cannot tell its settings.
    """
    for argument, one in parts.items():
        if told and hasattr(one, "get_config") and _settings(one) is None:
            message = (
                f"{argument}={type(one).__name__} cannot tell its settings: get_config, of it or of what it holds, "
                "does not return them. With checkpoint=, a run must be known again. Write get_config, or leave "
                "checkpoint out."
            )
            raise CheckpointError(message)
    return {
        "data": fingerprint(data),
        "validation_data": fingerprint(validation_data),
        "image_size": " x ".join(map(str, model.input_shape[1:])),
        "model": f"{model.count_params():,} parameters",
        "frozen weights": frozen_weights(model),
        **{argument: settings_of(one) for argument, one in parts.items()},
        **settings,
        "layer": layers_of(model),
        "connections of layers": connections_of(model),
    }


# --- inside -------------------------------------------------------------------------------------------------------


def _settings(one: Any) -> str | None:
    try:
        settings = json.dumps(_without_names(one.get_config(), _drawn_seeds(one)), default=str, sort_keys=True)
    except _UNTOLD:
        return None
    return f"{type(one).__name__} {settings}"


def _drawn_seeds(one: Any) -> list[Any]:
    """Return the seeds that layers drew since none was given, and name in their settings, as `RandomCrop` does."""
    layers = one._flatten_layers() if hasattr(one, "_flatten_layers") else ()  # noqa: SLF001 - Keras has no public walk
    drawn = (layer for layer in layers if any(map(_is_drawn, layer._seed_generators)))  # noqa: SLF001 - nor a list of these
    return [layer.seed for layer in drawn if getattr(layer, "seed", None) is not None]


def _is_drawn(generator: Any) -> bool:
    return generator.get_config()["seed"] is None


def _without_names(config: Any, drawn: Sequence[Any]) -> Any:
    """Leave out the names that Keras counts up in each process, names of memory addresses, and what building adds.

    Seeds that were drawn are None, as where Keras notes that none was given.
    """
    if isinstance(config, dict):
        kept = {key: value for key, value in config.items() if key not in _SIZES | {"name"}}
        return {
            key: None if key == "seed" and value in drawn else _without_names(value, drawn)
            for key, value in kept.items()
        }
    if isinstance(config, list | tuple):
        return [_without_names(one, drawn) for one in config if not _is_input(one)]
    return config


def _is_input(config: Any) -> bool:
    return isinstance(config, dict) and config.get("class_name") == "InputLayer"


def _layer(layer: Any) -> dict[str, Any]:
    facts = {"trainable": layer.trainable, "weights": [list(one.shape) for one in _own(layer)]}
    try:
        config = layer.get_config()
        config = {} if "layers" in config else _drawn_left_out(config)  # those have entries of their own
        told: dict[str, Any] = json.loads(json.dumps({**config, **facts}, default=_named))
    except _UNTOLD:
        return facts
    return told


def _edges(graph: dict[str, Any]) -> list[Any]:
    """Return the ends of a graph, what each layer is called with, and settings of operations that are no layers."""
    layers = []
    for layer in graph["layers"]:
        config = layer["config"]
        within = _edges(config) if "layers" in config else None if "dtype" in config else config
        layers.append([layer["class_name"], layer["inbound_nodes"], within])
    return [graph.get("input_layers"), graph.get("output_layers"), layers]


def _own(layer: Any) -> Iterator[Any]:
    """Yield the weights of a layer that are of no layer within it."""
    within = {id(weight) for inner in layer._layers for weight in inner.weights}  # noqa: SLF001 - as above
    yield from (weight for weight in layer.weights if id(weight) not in within)


def _drawn_left_out(config: Any) -> Any:
    """Leave out what differs between processes, and the last digits of numbers, which differ between processors.

    Sizes are left out too: they follow from the size of images, which is named.
    """
    if isinstance(config, dict):
        if config.get("class_name") == "__lambda__":  # the code of a function, with the place where it was written
            return "lambda"
        if config.get("class_name") == "DTypePolicy":
            return config["config"]["name"]
        if config.get("class_name") == "__keras_tensor__":  # of the shape that the size of images gives it
            return config["config"].get("keras_history")
        return {key: _drawn_left_out(value) for key, value in config.items() if key not in _DRAWN | _SIZES}
    if isinstance(config, list | tuple):
        return [_drawn_left_out(one) for one in config]
    return float(f"{config:.6g}") if isinstance(config, float) else config


def _named(one: Any) -> Any:
    """Return in words what JSON does not know: without its place in memory."""
    return hash_of(np.asarray(one)) if isinstance(one, np.ndarray) else getattr(one, "__name__", type(one).__name__)
