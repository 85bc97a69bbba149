"""Which run this is: data, model and settings in words and hashes, equal in every process that repeats the run."""

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls.datasets import Dataset


def hash_of(array: NDArray[Any]) -> str:
    """Return a short hash of the numbers in an array."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:12]


def fingerprint(data: Dataset | None) -> str | None:
    """Describe data by their number and a hash of ids, classes and labels; files are not read for it."""
    if data is None:
        return None
    digest = hashlib.sha256(json.dumps([data.ids, [str(name) for name in data.classes]]).encode())
    digest.update(np.ascontiguousarray(data.labels).tobytes())
    return f"{len(data):,} images of {len(data.classes)} classes, {digest.hexdigest()[:12]}"


def shape_of(model: Any) -> str:
    """Describe a model by its layers and the shapes of its weights; names of layers differ between processes."""
    layers = [
        [type(layer).__name__, layer.trainable, [list(weight.shape) for weight in layer.weights]]
        for layer in model._flatten_layers()  # noqa: SLF001 - Keras offers no public walk through nested models
    ]
    digest = hashlib.sha256(json.dumps(layers).encode()).hexdigest()
    return f"{model.count_params():,} parameters, {digest[:12]}"


def settings_of(one: Any) -> Any:
    """Return the configuration of a Keras object, as text; the name of any other function."""
    if one is None:
        return None
    if hasattr(one, "get_config"):
        return f"{type(one).__name__} {json.dumps(_without_names(one.get_config()), default=str, sort_keys=True)}"
    return getattr(one, "__name__", type(one).__name__)


def _without_names(config: Any) -> Any:
    """Leave out the names that Keras counts up in each process, and names of memory addresses."""
    if isinstance(config, dict):
        return {key: _without_names(value) for key, value in config.items() if key not in {"name", "build_config"}}
    return [_without_names(one) for one in config] if isinstance(config, list | tuple) else config
