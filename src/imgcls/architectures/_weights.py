"""Weights into a model, checked layer by layer before the first one is set. Nothing in a weights file is executed."""

import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls import _backend
from imgcls.architectures._channels import adapted, fits
from imgcls.architectures._files import SUFFIXES, Match, matches
from imgcls.architectures._graph import leaves
from imgcls.architectures._table import Architecture, describe, names
from imgcls.errors import ConfigurationError, DataError

_EFFICIENTNET_STD = np.array([0.229, 0.224, 0.225])  # ImageNet, in [0, 1]
# What a damaged archive, group or array raises.
_FAULTS = (OSError, KeyError, ValueError, TypeError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)


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
    _backend.refresh_normalizations(model)


def load_pretrained(backbone: Any, row: Architecture, weights: str | Path) -> None:
    """Load weights trained elsewhere into `backbone`: "imagenet", or the path of a file.

    Raises:
        ConfigurationError: The architecture has no pretrained weights, or the file is of another kind.
        DataError: The download failed; or the file is missing, cannot be read or does not fit the architecture.
    """
    if str(weights) != "imagenet":
        path = Path(weights)
        if not path.name.lower().endswith(SUFFIXES):
            message = (
                f"weights={str(weights)!r} is not accepted. Accepted: 'imagenet', None, or the path of a file that "
                f"ends with {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}."
            )
            raise ConfigurationError(message)
        if not path.is_file():
            message = f"weights file {str(path)!r} does not exist. Check the path and the working directory."
            raise DataError(message)
        arrays = _from_file(backbone, row, path)
    elif row.weights_file is None:
        message = (
            f"there are no 'imagenet' weights for {row.name!r}. Accepted: weights=None, or the path of a weights file."
        )
        raise ConfigurationError(message)
    else:
        side = row.weights_side(min(backbone.input_shape[1:3]))
        path = _place(row.weights_file.format(size=side))
        arrays = _from_file(backbone, row, path) if path.is_file() else _downloaded(row, path, side)
    _assign(backbone, row, arrays)


def installed() -> tuple[str, ...]:
    """Return the architectures whose ImageNet weights lie in Keras' folder, of some image size.

    They compete where no architecture is named, and nothing is downloaded then: see `weights_at_hand`. The folder is
    `models` in `KERAS_HOME`, or else in `~/.keras`; and where Keras cannot write to that, also in `/tmp/.keras`.

    Examples:
        >>> from imgcls import architectures
        >>> set(architectures.installed()) <= set(architectures.names())
        True
    """
    return tuple(name for name in names() if weights_at_hand(name, describe(name).image_size or 0))


def weights_at_hand(name: str, side: int) -> Path | None:
    """Return the file in Keras' folder with the ImageNet weights that suit images of `side` pixels: the nearest there.

    Args:
        name: An architecture.
        side: In pixels.

    Returns:
        The file; None where there is none, of no size.

    Examples:
        >>> from imgcls import architectures
        >>> print(architectures.weights_at_hand("small_cnn", 96))  # nobody has published any
        None
    """
    row = describe(name)
    if row.weights_file is None:
        return None
    files = {size: _place(row.weights_file.format(size=size)) for size in row.weights_sizes or (side,)}
    there = [size for size, file in files.items() if file.is_file()]
    return files[min(there, key=lambda size: abs(size - side))] if there else None


def _place(file: str) -> Path:
    """Return where Keras keeps a file of weights, or would put it.

    Keras has no public word for its folder: these are the rules of its configuration and of `keras.utils.get_file`.
    What lies in the folder that is named is taken even where nobody can write there, as in one that many users share.
    """
    given, home = os.environ.get("KERAS_HOME"), os.path.expanduser("~")  # noqa: PTH111 - Path raises without a home
    folders = [Path(os.path.expanduser(given or "~/.keras"))]  # noqa: PTH111 - the same
    if not os.access(folders[0], os.W_OK) or not (given or os.access(home, os.W_OK)):
        folders.append(Path("/tmp" if os.path.isdir("/tmp") else gettempdir()) / ".keras")  # noqa: PTH112, S108 - Keras'
    found = [folder / "models" / file for folder in folders]
    return next((path for path in found if path.is_file()), found[-1])


def _downloaded(row: Architecture, path: Path, side: int) -> list[NDArray[Any]]:
    """Let Keras download weights, check their hash and keep them in its folder."""
    try:
        donor = getattr(keras.applications, str(row.builder))(
            include_top=False, weights="imagenet", input_shape=(side, side, 3), **row.options
        )
    except Exception as error:  # Keras raises bare Exception for a failed download
        message = (
            f"the ImageNet weights of {row.name!r} could not be had: {error}. Without a network, put the file "
            f"{path.name!r} into the folder {str(path.parent)!r}, or give weights='path/of/a/file', or train from "
            "scratch with weights=None."
        )
        raise DataError(message) from error
    arrays: list[NDArray[Any]] = donor.get_weights()
    return arrays


def _from_file(backbone: Any, row: Architecture, path: Path) -> list[NDArray[Any]]:
    """Return the arrays in a file that belong to `backbone.weights`, in that order; or say why there are none."""
    import safetensors

    from_rgb = set(_from_rgb(backbone, row))
    try:
        with matches(path, backbone) as ways:
            found, misfit = _likeliest(ways, from_rgb)
            if misfit is None:
                arrays = {
                    id(variable): stored.read()
                    for match in found
                    for variable, stored in zip(match.variables, match.stored, strict=True)
                }
    except (*_FAULTS, safetensors.SafetensorError) as error:
        message = f"weights file {str(path)!r} cannot be read: {error}. Get it again, or use another file."
        raise DataError(message) from error
    if misfit is not None:
        wanted = [tuple(variable.shape) for variable in misfit.variables]
        message = (
            f"weights file {str(path)!r} does not fit {row.name!r}: layer {misfit.layer!r} needs arrays {wanted} and "
            f"the file has {[stored.shape for stored in misfit.stored] or 'none'}. File and architecture must be of "
            "one family and width."
        )
        raise DataError(message)
    if not all(np.isfinite(array).all() for array in arrays.values()):
        message = f"weights file {str(path)!r} holds numbers that are not finite. Get it again, or use another file."
        raise DataError(message)
    return [arrays[id(variable)] for variable in backbone.weights]


def _likeliest(ways: Iterator[list[Match]], from_rgb: set[int]) -> tuple[list[Match], Match | None]:
    """Return the first way in which all layers fit; or the one in which most do, and its first layer that does not."""

    def wrong(match: Match) -> bool:
        pairs = zip(match.variables, match.stored, strict=False)
        return len(match.variables) != len(match.stored) or not all(
            fits(stored.shape, tuple(variable.shape), takes_images=id(variable) in from_rgb)
            for variable, stored in pairs
        )

    best: tuple[list[Match], list[Match]] | None = None
    for way in ways:
        misfits = [match for match in way if wrong(match)]
        if not misfits:
            return way, None
        if best is None or len(misfits) < len(best[1]):
            best = way, misfits
    if best is None:
        message = "it holds no layers as Keras writes them"
        raise ValueError(message)
    return best[0], best[1][0]


def _from_rgb(backbone: Any, row: Architecture) -> Iterator[int]:
    """Give the ids of the variables that meet images, and were trained on RGB: of the layers up to the first kernel."""
    for layer in leaves(backbone) if row.builder else ():
        if isinstance(layer, keras.layers.Conv2D):
            yield id(layer.kernel)
            return
        yield from (id(variable) for variable in layer.weights if len(variable.shape) == 1)  # of a layer that scales


def _assign(backbone: Any, row: Architecture, arrays: Sequence[NDArray[Any]]) -> None:
    from_rgb = set(_from_rgb(backbone, row))
    set_weights(
        backbone,
        [
            adapted(array, tuple(variable.shape), row) if id(variable) in from_rgb else array
            for variable, array in zip(backbone.weights, arrays, strict=True)
        ],
    )
    if row.builder and row.builder.startswith("EfficientNetB"):
        _fold_efficientnet_scaling(backbone)


def _fold_efficientnet_scaling(backbone: Any) -> None:
    """Fold the extra division by sqrt(std) into the variance of the first `Normalization`.

    The weights that Keras publishes hold the deviation where the variance belongs, and `EfficientNetB*` makes up for it
    by a `Rescaling` of 1 / sqrt(std), under `weights="imagenet"` only. The graph here is always built without it, so
    that a saved model can be rebuilt from its name alone. Other weights, ours among them, are as they should be.
    """
    layer = next(layer for layer in backbone.layers if isinstance(layer, keras.layers.Normalization))
    mean, variance, count = layer.get_weights()
    deviation = np.resize(_EFFICIENTNET_STD, variance.shape).astype(variance.dtype)
    if np.allclose(variance, deviation, rtol=1e-3):
        layer.set_weights([mean, deviation**2, count])
        layer.finalize_state()
