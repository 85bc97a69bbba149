"""Which backbone this is: a hash of its layers and weights, equal in every process that builds it again."""

import hashlib
import json
import warnings
from collections.abc import Iterator
from importlib import metadata
from itertools import chain
from types import FunctionType
from typing import Any

import keras
import numpy as np

_LEFT_OUT = frozenset({"name", "trainable"})  # of a layer: neither changes what a trained network computes


class UnknownCodeError(Exception):
    """The model has code that a hash of layers and weights does not see."""


def hash_of_backbone(model: Any) -> str:
    """Return 32 hexadecimal digits: others for any other layer, setting, connection, input size or weight.

    Names of layers do not count, because Keras numbers them anew in each process. The code of layers counts by the
    version of the package that it comes from.

    Raises:
        UnknownCodeError: A layer or function is not from an installed package; the message names it.
    """
    try:
        with warnings.catch_warnings():  # that functions are unsafe to load: they are refused below
            warnings.simplefilter("ignore")
            config = json.loads(model.to_json())
    except (NotImplementedError, TypeError, ValueError) as error:  # what Keras raises for what it cannot write down
        raise UnknownCodeError(type(model).__name__) from error
    layers = numbered(config["config"]) if "layers" in config["config"] else config["config"]
    words = json.dumps([_versions(model, config), config["class_name"], layers], sort_keys=True)
    digest = hashlib.blake2b(words.encode(), digest_size=16)
    for array in model.get_weights():
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.ndim else array.tobytes())
    return digest.hexdigest()


def numbered(graph: dict[str, Any]) -> dict[str, Any]:
    """Give the layers of a graph their numbers for names."""
    names = [layer.get("name") or layer["config"].get("name") for layer in graph["layers"]]
    numbers = {name: index for index, name in enumerate(names)}
    layers = []
    for layer in graph["layers"]:
        config = {key: value for key, value in layer["config"].items() if key not in _LEFT_OUT}
        config = numbered(config) if "layers" in config and "name" in layer["config"] else config
        nodes = _connected(layer.get("inbound_nodes"), numbers)
        layers.append({**layer, "name": None, "config": config, "inbound_nodes": nodes})
    rest = {key: value for key, value in graph.items() if key not in _LEFT_OUT}
    ends: dict[str, Any] = {key: _ends(rest[key], numbers) for key in ("input_layers", "output_layers") if key in rest}
    return {**rest, **ends, "layers": layers}


def _connected(value: Any, numbers: dict[str, int]) -> Any:
    """Replace the names of layers in what a layer is called with."""
    if isinstance(value, dict) and "keras_history" in value:
        return {**value, "keras_history": _ends(value["keras_history"], numbers)}
    if isinstance(value, dict):
        return {key: _connected(one, numbers) for key, one in value.items()}
    return [_connected(one, numbers) for one in value] if isinstance(value, list) else value


def _ends(value: Any, numbers: dict[str, int]) -> Any:
    """Replace the name in [name, node, tensor], in a list of these or a dict."""
    if isinstance(value, dict):
        return {key: _ends(one, numbers) for key, one in value.items()}
    if value and isinstance(value[0], str):
        return [numbers[value[0]], *value[1:]]
    return [_ends(one, numbers) for one in value]


def _versions(model: Any, config: Any) -> dict[str, str]:
    """Return the version of each package that the model's code comes from."""
    known = {"keras": keras.__version__, "imgcls": metadata.version("imgcls"), "builtins": ""}
    found: dict[str, str] = {}
    for module, name in chain(_classes(config), _functions(model)):
        package = module.partition(".")[0]
        version = known[package] if package in known else _installed_version(package)
        if version is None:
            raise UnknownCodeError(f"{module}.{name}")
        found[package] = version
    return found


def _classes(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of every class that Keras would look up to build the model again."""
    if isinstance(value, dict):
        if "module" in value:
            yield str(value["module"]), str(value.get("class_name"))
        for one in value.values():
            yield from _classes(one)
    elif isinstance(value, list):
        for one in value:
            yield from _classes(one)


def _functions(model: Any) -> Iterator[tuple[str, str]]:
    """Yield the same of functions that layers hold: Keras writes down their name alone, which Keras may use too."""
    for layer in model._flatten_layers():  # noqa: SLF001 - Keras offers no public walk through nested models
        for value in vars(layer).values():
            if isinstance(value, FunctionType):
                yield value.__module__, value.__qualname__


def _installed_version(package: str) -> str | None:
    names = metadata.packages_distributions().get(package)
    return metadata.version(names[0]) if names else None
