"""Whether arrays have the shape that a plot can draw. Each check returns a sentence, or None when all is well."""

from collections.abc import Mapping, Sized
from typing import Any

import numpy as np


def not_numbers(argument: str, value: Any, shape: tuple[int | str, ...], each: str) -> str | None:
    """Check that `value` are numbers of a shape, in which a letter stands for any length of at least 1."""
    wanted = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    accepted = f"Accepted: {wanted} numbers, {each}."
    try:
        found = np.asarray(value, dtype=float).shape
    except (TypeError, ValueError):
        return f"{argument} are not numbers, or not as many in each row. {accepted}"
    fits = len(found) == len(shape) and all(
        length >= 1 if isinstance(size, str) else length == size for length, size in zip(found, shape, strict=True)
    )
    return None if fits else f"{argument} have the shape {found}. {accepted}"


def nothing(argument: str, value: Sized) -> str | None:
    """Check that there is something to draw."""
    return None if len(value) else f"{argument} are empty. Accepted: at least one."


def nameless(argument: str, value: Mapping[Any, Any] | None, names: Mapping[Any, Any]) -> str | None:
    """Check that a mapping, where there is one, has a number for each of `names`."""
    if value is None:
        return None
    missing = [name for name in names if name not in value]
    if not missing:
        return None
    more = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
    return f"{argument} have nothing for {missing[0]!r}{more}. Accepted: one number for each curve, under its name."
