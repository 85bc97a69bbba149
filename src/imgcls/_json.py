"""Strict JSON: bounded before it is parsed, no key twice, no NaN, no infinity, no number that nobody can mean.

The contract: bytes of UTF-8 in, an object out, or a ValueError whose text says what is wrong.
"""

import json
import math
import re
from typing import Any

import numpy as np

MOST_BYTES = 16 * 2**20
MOST_VALUES = 300_000  # each takes a hundred bytes and more of memory; ten thousand classes with figures, 180,000
MOST_DEPTH = 64
_MOST_DIGITS = 20  # of a whole number: 64 bits have 20 at most
_MOST_SIGNS = 40  # of any other: Python writes 24 at most

# Possessive, and closed by the end of the text too: linear in whatever it meets.
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def write(value: dict[str, Any], *, compact: bool = False) -> bytes:
    """Return an object as text.

    Args:
        value: What JSON can hold.
        compact: Whether to leave out the blanks that make it readable.

    Raises:
        ValueError: It holds NaN or infinity, or half a character.
        TypeError: It holds what JSON has no word for.
    """
    separators = (",", ":") if compact else None
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=separators).encode()


def read(text: bytes | memoryview) -> dict[str, Any]:
    """Return the object that a text holds.

    Raises:
        ValueError: It is too large, nests too deeply, or is not strict.

    Examples:
        >>> from imgcls import _json
        >>> _json.read(b'{"a": [1, 2.5, null]}')
        {'a': [1, 2.5, None]}
        >>> _json.read(b'{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ValueError: JSON names the key 'a' twice
    """
    _check_bounds(text)
    value = json.loads(
        bytes(text).decode(),
        parse_constant=_refuse_constant,
        parse_float=_finite,
        parse_int=_whole,
        object_pairs_hook=_object,
    )
    if not isinstance(value, dict):
        message = "JSON holds no object"
        raise ValueError(message)  # noqa: TRY004 - every fault of a file is one kind of error here
    if b"\\u" in bytes(text):
        write(value)  # which refuses half a character; only an escape can spell one
    return value


def _check_bounds(text: bytes | memoryview) -> None:
    """Refuse a text by its size, by the number of its values and by its depth, before any of it is parsed."""
    if len(text) > MOST_BYTES:
        message = f"JSON has {len(text):,} bytes, and at most {MOST_BYTES:,} are read"
        raise ValueError(message)
    outside = _STRINGS.sub(b"", text)
    values = outside.count(b",") + outside.count(b"[") + outside.count(b"{")
    if values > MOST_VALUES:
        message = f"JSON has {values:,} values, and at most {MOST_VALUES:,} are read"
        raise ValueError(message)
    brackets = np.frombuffer(outside.translate(None, _NOT_BRACKETS), np.uint8)
    opens = (brackets == ord("[")) | (brackets == ord("{"))
    depth = int(np.cumsum(np.where(opens, 1, -1)).max(initial=0))
    if depth > MOST_DEPTH:
        message = f"JSON nests {depth:,} deep, and at most {MOST_DEPTH} are read"
        raise ValueError(message)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            message = f"JSON names the key {name[:60]!r} twice"
            raise ValueError(message)
        found[name] = value
    return found


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        message = f"JSON holds a whole number of {len(digits):,} digits"
        raise ValueError(message)
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits) if len(digits) <= _MOST_SIGNS else math.inf
    if not math.isfinite(number):
        message = f"JSON holds the number {digits[:30]}, which is too long or too large for float64"
        raise ValueError(message)
    return number


def _refuse_constant(name: str) -> float:
    message = f"JSON holds {name}"
    raise ValueError(message)
