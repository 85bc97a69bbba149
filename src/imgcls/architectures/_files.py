"""Files of weights, read as data: a file says which arrays it has, and one is read when its shape is known to fit.

Nothing in a file is executed: no configuration is opened, no pickle. Refused are links, arrays that lie in other files,
filters other than those HDF5 brings along, and arrays that would unfold to more than their shape says. What goes wrong
is a ValueError, KeyError, OSError or the like; who calls says which file it was.
"""

import io
import math
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls.architectures._graph import is_graph

SUFFIXES = (".h5", ".weights.h5", ".keras", ".safetensors")
_MEMBER = "model.weights.h5"  # of a .keras file
_LARGEST = 16  # times what the model needs: a trained model with its optimizer and a wide head stays below
_FILTERS = (1, 2, 3, 32000)  # deflate, shuffle, checksum, LZF
_MOST_GROUPS, _DEEPEST, _MOST_MODELS = 20_000, 12, 50  # looked through for a backbone inside of a model
_WIDEST = 100  # times its array: a chunk of HDF5 may be larger, and is read as a whole


class Stored(NamedTuple):
    """An array in a file: its shape, and how to read it."""

    shape: tuple[int, ...]
    read: Callable[[], NDArray[Any]]


class Match(NamedTuple):
    """A layer of a model, its variables, and what a file holds for it."""

    layer: str
    variables: list[Any]
    stored: list[Stored]


@contextmanager
def matches(path: Path, model: Any) -> Iterator[Iterator[list[Match]]]:
    """Open a file, and give every way in which its arrays can be meant for the layers of a model, likeliest first."""
    if path.suffix.lower() == ".safetensors":
        import safetensors

        with safetensors.safe_open(path, framework="numpy") as file:
            yield _by_path(file, model)
        return
    import h5py

    source = io.BytesIO(_member(path, model)) if path.suffix.lower() == ".keras" else path
    with h5py.File(source, "r") as file:
        if "layer_names" in file.attrs or "layer_names0" in file.attrs:
            yield _by_layer(file, model)
        elif "model_weights" in file:
            yield _by_layer(_inside(file, "model_weights"), model)
        else:
            yield _by_place(file, model)


def _member(path: Path, model: Any) -> bytes:
    """Return the weights in a .keras file, which is a zip archive; its other members are not opened."""
    largest = _LARGEST * sum(math.prod(weight.shape) for weight in model.weights) * 4 + 2**20
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(_MEMBER)
        if info.file_size > largest:
            message = f"its weights unfold to {info.file_size:,} bytes, and no more than {largest:,} are accepted"
            raise ValueError(message)
        return archive.read(info)


# --- HDF5 as Keras 1 and 2 write it: attribute `layer_names`, and `weight_names` of each layer's group -------------


def _by_layer(group: Any, model: Any) -> Iterator[list[Match]]:
    stored: dict[str, list[Stored]] = {}
    inside: dict[str, list[Stored]] = {}  # layers of a model that was itself a layer: their names are in the arrays'
    for layer in _texts(group, "layer_names"):
        place = _inside(group, layer)
        for name in _texts(place, "weight_names"):
            array = _array(_inside(place, name))
            stored.setdefault(layer, []).append(array)
            inside.setdefault(name.split("/")[-2] if "/" in name else layer, []).append(array)
    layers = [layer for layer in model.layers if layer.weights]
    variables = [layer.trainable_weights + layer.non_trainable_weights for layer in layers]  # as Keras writes them
    for arrays in (stored, inside):
        if all(layer.name in arrays for layer in layers):
            yield [Match(layer.name, own, arrays[layer.name]) for layer, own in zip(layers, variables, strict=True)]
    # Keras itself goes by order: layers that nobody named have other names in another process.
    in_order = [*stored.values(), *([] for _ in layers)]
    yield [Match(layer.name, own, arrays) for layer, own, arrays in zip(layers, variables, in_order, strict=False)]


def _texts(group: Any, attribute: str) -> list[str]:
    """Return a list of texts, which a file holds in parts where it is long."""
    parts = [attribute] if attribute in group.attrs else []
    for part in (f"{attribute}{number}" for number in count()):
        if part not in group.attrs:
            break
        parts.append(part)
    values = [value for part in parts for value in group.attrs[part]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


# --- HDF5 as Keras 3 writes it: layers/conv2d/vars/0, layers/conv2d_1/vars/0, models inside of models -------------


def _by_place(file: Any, model: Any) -> Iterator[list[Match]]:
    wanted = list(_places(model))
    for group in islice(_with_layers(file), _MOST_MODELS):
        places = [_inside(group, place, missing=True) for place, _ in wanted]
        yield [
            Match(layer.name, layer.weights, [] if place is None else _numbered(place, len(layer.weights)))
            for (_, layer), place in zip(wanted, places, strict=True)
        ]


def _places(model: Any) -> Iterator[tuple[str, Any]]:
    """Give each layer that has weights, and the group that Keras saves them in: named after its class, and counted."""
    seen: Counter[str] = Counter()
    for layer in model.layers:
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)).lower()
        place = f"layers/{kind}_{seen[kind]}" if seen[kind] else f"layers/{kind}"
        seen[kind] += 1
        if is_graph(layer):
            yield from ((f"{place}/{inner}", one) for inner, one in _places(layer))
        elif layer.weights:
            yield f"{place}/vars", layer


def _with_layers(file: Any) -> Iterator[Any]:
    """Give every group that has layers: the whole model, and the models inside of it."""
    import h5py

    waiting = [(file, 0)]
    for group, depth in waiting:
        if "layers" in group:
            yield group
        for name in group:
            if len(waiting) < _MOST_GROUPS and depth < _DEEPEST and name != "vars":
                child = _inside(group, name)
                if isinstance(child, h5py.Group):
                    waiting.append((child, depth + 1))


def _numbered(group: Any, wanted: int) -> list[Stored]:
    """Return the arrays "0", "1" and so on; of more than are wanted, one too many says so."""
    return [_array(_inside(group, str(number))) for number in range(min(len(group), wanted + 1))]


# --- HDF5, safely ---------------------------------------------------------------------------------------------------


def _inside(group: Any, name: str, *, missing: bool = False) -> Any:
    """Return what has this name in a group, if no link leads to it; None where it may be missing, and is."""
    import h5py

    for part in name.split("/"):
        kind = group.get(part, getclass=True, getlink=True) if part and isinstance(group, h5py.Group) else None
        if kind is None and missing:
            return None
        if kind is not h5py.HardLink:
            message = f"{name!r} is {'a link' if kind else 'missing'} in it"
            raise ValueError(message)
        group = group[part]
    return group


def _array(dataset: Any) -> Stored:
    import h5py

    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "fiu":
        message = f"{dataset.name!r} is no array of numbers"
        raise ValueError(message)
    properties = dataset.id.get_create_plist()
    filters = {properties.get_filter(index)[0] for index in range(properties.get_nfilters())}
    if dataset.external or dataset.is_virtual or not filters <= set(_FILTERS):
        message = f"{dataset.name!r} lies in another file, or needs a filter that HDF5 does not bring along"
        raise ValueError(message)
    if dataset.chunks and math.prod(dataset.chunks) > _WIDEST * max(dataset.size, 1000):
        message = f"{dataset.name!r} would unfold to more than its shape {dataset.shape} holds"
        raise ValueError(message)
    return Stored(dataset.shape, lambda: np.asarray(dataset))


# --- safetensors ----------------------------------------------------------------------------------------------------


def _by_path(file: Any, model: Any) -> Iterator[list[Match]]:
    names = set(file.keys())
    paths = [weight.path for weight in model.weights]
    numbered = "0000" in names  # as imgcls writes its own, beside arrays that are no weights
    before = next((name.removesuffix(paths[0]) for name in sorted(names, key=len) if name.endswith(paths[0])), "")
    keys = [f"{number:04d}" for number in range(len(paths))] if numbered else [before + path for path in paths]
    yield [
        Match(weight.path, [weight], [_tensor(file, key)] if key in names else [])
        for key, weight in zip(keys, model.weights, strict=True)
    ]


def _tensor(file: Any, name: str) -> Stored:
    stored = file.get_slice(name)
    if not re.fullmatch(r"[FIU]\d+", stored.get_dtype()):
        message = f"{name!r} holds {stored.get_dtype()}, and accepted are whole numbers and float16, 32 or 64"
        raise ValueError(message)
    return Stored(tuple(stored.get_shape()), lambda: file.get_tensor(name))
