"""The arrays of a bundle: which there may be, of which dtype and shape, and what their numbers may be.

Weights are numbered, "0000", "0001" and so on, in the order of the model's weights. All others are named here, a row
each. A side of a shape that is a letter is the same wherever the letter stands: K classes, H x W x C pixels as the
blueprint says, and any number for the others, up to `_MOST`.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

WEIGHTS = frozenset({"float32", "int32"})  # of a named architecture; int32 counts what a normalisation has seen
OWN_WEIGHTS = WEIGHTS | {"float64", "float16", "int64", "int16", "int8", "uint32", "uint8", "bool"}

_NUMBER = re.compile(r"[0-9]{4,6}")
_MOST = {"g": 16, "h": 100_000, "m": 100_000, "D": 1_000_000, "n": 100_000, "p": 100_000, "q": 100_000}


class _Row(NamedTuple):
    """What an array must be: dtype, letters and numbers of its shape, and its least and largest number."""

    dtype: str
    shape: tuple[str | int, ...]
    least: float | None = None
    most: float | str | None = None
    rising: bool = False


_ROWS = {
    "golden/images": _Row("uint8", ("g", "H", "W", "C")),
    "golden/probabilities": _Row("float32", ("g", "K"), 0, 1),
    "held_out/labels": _Row("int64", ("h",), 0, "K"),
    "held_out/probabilities": _Row("float32", ("h", "K"), 0, 1),
    "familiarity/known": _Row("float16", ("m", "D")),
    "familiarity/distances": _Row("float32", ("h",), rising=True),
    "familiarity/energies": _Row("float32", ("h",), rising=True),
    "training/contents": _Row("uint8", ("n", 16)),
    "training/pixels": _Row("uint8", ("p", 16)),
    "training/hashes": _Row("uint64", ("q",)),
    "training/mosaics": _Row("uint8", ("q", 4, 4, 3)),
}
_LABELS_OF_SEVERAL = _Row("uint8", ("h", "K"), 0, 1)
# What stands together, or not at all.
_TOGETHER = (
    ("golden/images", "golden/probabilities"),
    ("held_out/labels", "held_out/probabilities"),
    ("familiarity/known", "familiarity/distances", "familiarity/energies"),
    ("training/contents", "training/pixels"),
    ("training/hashes", "training/mosaics"),
)
_RESTS_ON = {
    "familiarity/known": "held_out/labels",
    "training/hashes": "training/contents",
}


def number(index: int) -> str:
    """Return the name of a weight.

    Examples:
        >>> from imgcls.bundle import _arrays
        >>> _arrays.number(7), _arrays.number(12_345)
        ('0007', '12345')
    """
    return f"{index:04d}"


def divide(arrays: Mapping[str, NDArray[Any]]) -> tuple[list[NDArray[Any]], dict[str, NDArray[Any]]]:
    """Return the weights, in their order, and the named arrays.

    Raises:
        ValueError: A weight is missing.
    """
    numbered = [name for name in arrays if _NUMBER.fullmatch(name)]
    wanted = [number(index) for index in range(len(numbered))]
    if set(wanted) != set(numbered):
        message = f"the weight {next(name for name in wanted if name not in arrays)!r} is missing"
        raise ValueError(message)
    named = {name: array for name, array in arrays.items() if not _NUMBER.fullmatch(name)}
    return [arrays[name] for name in wanted], named


def check(description: Mapping[str, Any], weights: list[NDArray[Any]], named: Mapping[str, NDArray[Any]]) -> None:
    """Check arrays against a description that is right by itself.

    Raises:
        ValueError: One is missing or not known, has another dtype or shape, or holds a number that makes no sense.
    """
    strange = sorted(set(named) - set(_ROWS))
    if strange:
        message = f"there is no array {strange[0][:60]!r} in a bundle; accepted: weights, and {', '.join(_ROWS)}"
        raise ValueError(message)
    dtypes = OWN_WEIGHTS if description["architecture"] is None else WEIGHTS
    for index, weight in enumerate(weights):
        _check_weight(number(index), weight, dtypes)
    given = set(named)
    for group in _TOGETHER:
        there = sorted(given & set(group))
        if there and len(there) < len(group):
            message = f"the arrays {', '.join(group)} belong together, and only {', '.join(there)} is there"
            raise ValueError(message)
    for one, other in _RESTS_ON.items():
        if one in given and other not in given:
            message = f"the array {one!r} rests on {other!r}, which is missing"
            raise ValueError(message)
    if "golden/images" not in given:
        message = "the arrays 'golden/images' and 'golden/probabilities' are missing"
        raise ValueError(message)
    sides = dict(zip("HWC", description["blueprint"]["input_shape"], strict=True)) | {"K": len(description["classes"])}
    for name, array in ((name, named[name]) for name in _ROWS if name in named):
        row = _LABELS_OF_SEVERAL if name == "held_out/labels" and description["multi_label"] else _ROWS[name]
        _check_shape(name, array, row, sides)
        _check_numbers(name, array, row, sides)


def _check_weight(name: str, weight: NDArray[Any], dtypes: frozenset[str]) -> None:
    if weight.dtype.name not in dtypes:
        message = f"the weight {name!r} is {weight.dtype}; accepted: {', '.join(sorted(dtypes))}"
        raise ValueError(message)
    if not _is_finite(weight):
        message = f"the weight {name!r} holds NaN or infinity; accepted: finite numbers"
        raise ValueError(message)


def _check_shape(name: str, array: NDArray[Any], row: _Row, sides: dict[str, int]) -> None:
    """Check dtype and shape; a letter that is met for the first time becomes known."""
    fits = array.dtype.name == row.dtype and array.ndim == len(row.shape)
    for letter, side in zip(row.shape, array.shape, strict=False):
        wanted = letter if isinstance(letter, int) else sides.get(letter)
        fits = fits and (side == wanted if wanted is not None else 1 <= side <= _MOST[str(letter)])
    if not fits:
        words = ", ".join(str(sides.get(str(one), one)) for one in row.shape)
        message = f"the array {name!r} is {array.dtype} {array.shape}; accepted: {row.dtype} ({words})"
        raise ValueError(message)
    sides.update({str(letter): side for letter, side in zip(row.shape, array.shape, strict=True)})


def _check_numbers(name: str, array: NDArray[Any], row: _Row, sides: Mapping[str, int]) -> None:
    if not _is_finite(array):
        message = f"the array {name!r} holds NaN or infinity; accepted: finite numbers"
        raise ValueError(message)
    most = sides["K"] - 1 if row.most == "K" else row.most
    low = row.least is not None and array.min() < row.least
    if low or (isinstance(most, int | float) and array.max() > most + (0.01 if array.dtype.kind == "f" else 0)):
        message = (
            f"the array {name!r} holds numbers from {array.min()} to {array.max()}; accepted: {row.least} to {most}"
        )
        raise ValueError(message)
    if row.rising and (np.diff(array) < 0).any():
        message = f"the array {name!r} does not rise; accepted: numbers in their order"
        raise ValueError(message)


def _is_finite(array: NDArray[Any]) -> bool:
    """Say whether no number is NaN or infinite. A sum tells it five times as fast as a look at each."""
    if array.dtype.kind != "f":
        return True
    if array.dtype.itemsize > 4:
        return bool(np.isfinite(array).all())
    return bool(np.isfinite(array.sum(dtype=np.float64)))
