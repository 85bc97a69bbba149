"""Arrays as bytes and back, in the format of safetensors: a header of JSON, then numbers. Nothing can be hidden.

Written as the `safetensors` library writes, to the byte; read more strictly than it reads: every byte of the file
belongs to exactly one array, no array is empty, and there is no metadata. The arrays that come back are views of the
file's bytes, so that reading takes no memory of its own; they cannot be written to.
"""

import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _json
from imgcls._checks import some

# In the order in which they lie in a file, which is that of the `safetensors` library: the widest first, so that every
# array begins at a multiple of its own width.
DTYPES = {
    "U64": "uint64",
    "I64": "int64",
    "F64": "float64",
    "F32": "float32",
    "U32": "uint32",
    "I32": "int32",
    "F16": "float16",
    "U16": "uint16",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}
MOST_ARRAYS = 20_000  # the deepest network of the table has 1,544
_LETTERS = {name: letters for letters, name in DTYPES.items()}
_LENGTH = struct.Struct("<Q")
_ALIGNED = 8  # bytes that the header's length is a multiple of
_MOST_DIMENSIONS = 8


def write(arrays: Mapping[str, NDArray[Any]]) -> list[bytes | memoryview]:
    """Return the bytes of a file in pieces, one for each array.

    Raises:
        ValueError: An array has another dtype, or no numbers.
    """
    strange = [name for name, array in arrays.items() if array.dtype.name not in _LETTERS or not array.size]
    if strange:
        array = arrays[strange[0]]
        message = (
            f"the array {strange[0]!r} is {array.dtype} {array.shape}. Accepted: at least one number, of dtype "
            f"{', '.join(_LETTERS)}"
        )
        raise ValueError(message)
    header: dict[str, Any] = {}
    pieces: list[bytes | memoryview] = []
    place, order = 0, list(DTYPES.values())
    for name, array in sorted(arrays.items(), key=lambda item: (order.index(item[1].dtype.name), item[0])):
        numbers = np.ascontiguousarray(array, np.dtype(array.dtype.name)).reshape(-1).view(np.uint8)
        ends = [place, place + len(numbers)]
        header[name] = {"dtype": _LETTERS[array.dtype.name], "shape": list(array.shape), "data_offsets": ends}
        pieces.append(numbers.data)
        place = ends[1]
    text = _json.write(header, compact=True)
    text += b" " * (-len(text) % _ALIGNED)
    return [_LENGTH.pack(len(text)) + text, *pieces]


def read(data: memoryview) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file, by name.

    Raises:
        ValueError: An entry of the header is not one that `write` writes, there are very many, arrays overlap or leave
            a gap, or the file is longer or shorter than they are.
    """
    length = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else len(data)
    if length > len(data) - _LENGTH.size:
        message = "the header of its weights is longer than they are"
        raise ValueError(message)
    header = _json.read(data[_LENGTH.size : _LENGTH.size + length])
    if len(header) > MOST_ARRAYS:
        message = f"it holds {len(header):,} arrays, and at most {MOST_ARRAYS:,} are read"
        raise ValueError(message)
    numbers = data[_LENGTH.size + length :]
    entries = {name: _checked(name, entry, len(numbers)) for name, entry in header.items()}
    place = 0
    for name, (_, _, (start, end)) in sorted(entries.items(), key=lambda item: item[1][2]):
        if start != place:
            message = f"the array {name!r} begins at byte {start:,}, and {place:,} is where the one before it ends"
            raise ValueError(message)
        place = end
    if place != len(numbers):
        message = f"its arrays end at byte {place:,} of {len(numbers):,}"
        raise ValueError(message)
    return {
        name: np.frombuffer(numbers[start:end], dtype).reshape(shape)
        for name, (dtype, shape, (start, end)) in entries.items()
    }


def _checked(name: str, entry: Any, size: int) -> tuple[np.dtype[Any], tuple[int, ...], tuple[int, int]]:
    """Return dtype, shape and place of an array, which agree with each other and lie within `size` bytes."""
    if isinstance(entry, dict) and set(entry) == {"dtype", "shape", "data_offsets"}:
        letters, shape, ends = entry["dtype"], entry["shape"], entry["data_offsets"]
        lists = all(isinstance(one, list) and all(type(number) is int for number in one) for one in (shape, ends))
        if isinstance(letters, str) and letters in DTYPES and lists and len(shape) <= _MOST_DIMENSIONS:
            dtype = np.dtype(DTYPES[letters])
            whole = all(side > 0 for side in shape) and len(ends) == 2 and 0 <= ends[0] < ends[1] <= size
            if whole and ends[1] - ends[0] == math.prod(shape) * dtype.itemsize:
                return dtype, tuple(shape), (ends[0], ends[1])
    message = (
        f"the array {name[:60]!r} is not described as accepted: a dtype of {some(list(DTYPES))}, at most "
        f"{_MOST_DIMENSIONS} sides above 0, and a place in the file of as many bytes"
    )
    raise ValueError(message)
