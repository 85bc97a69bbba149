"""What images are called: their ids, and the groups that they belong to."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls.datasets import _labels
from imgcls.errors import DataError

_NO_GROUP = "no group: "  # and an id, which alone may be the name of a group
_SEVERAL = (list, tuple, set, frozenset, np.ndarray)  # values that are not the name of one group


def check_number(what: str, given: Sequence[Any] | NDArray[Any] | None, count: int) -> None:
    """Refuse what is not given for each image."""
    if given is not None and len(given) != count:
        message = f"there are {count:,} images and {len(given):,} {what}. Give one for each image."
        raise DataError(message)


def texts(ids: Sequence[Any]) -> tuple[str, ...]:
    """Return ids as text, as files of splits and of answers hold them: 1.0 is called 1, as a group is."""
    _labels.check_listed("ids", ids)
    given = list(ids)
    if all(type(name) is str for name in given):  # a million file names, in a tenth of the time
        return tuple(given)
    missing = [place for place, name in enumerate(given) if not isinstance(name, str) and _labels.is_missing(name)]
    if missing:
        message = (
            f"{len(missing):,} of {len(given):,} ids are missing, first at position {missing[0]}: "
            f"{given[missing[0]]!r}. Accepted: names or numbers. Name these images, or leave ids out: then all are "
            "called by their positions."
        )
        raise DataError(message)
    return tuple(str(int(name) if _is_whole(name) else name) for name in given)


def own_where_missing(groups: Sequence[Any], ids: Sequence[str]) -> NDArray[Any]:
    """Put an image without a group (None, NaN, pandas' NA) into one of its own, called after its id.

    A name does not change with the kind of number, which a table changes where one cell is empty: 1.0 is called 1.
    """
    _labels.check_listed("groups", groups)
    check_number("groups", groups, len(ids))
    several = next((group for group in groups if isinstance(group, _SEVERAL)), None)
    if several is not None:
        message = (
            f"groups hold several values an image, such as {several!r}. Accepted: one name or number each, or None. "
            "Make one name of them, such as '/'.join(map(str, group))."
        )
        raise DataError(message)
    missing = [_labels.is_missing(group) for group in groups]
    named = [int(group) if _is_whole(group) else group for group in groups]
    whole = np.array(named) if not any(missing) else None
    if whole is not None and whole.dtype.kind != "f":
        return whole
    both = zip(named, ids, missing, strict=True)
    return np.array([f"{_NO_GROUP}{name}" if lacks else str(group) for group, name, lacks in both])


def renamed(groups: NDArray[Any] | None, ids: Sequence[str], names: Sequence[str]) -> NDArray[Any] | None:
    """Return groups of images that are called `names` now: a group of its own is called after its image."""
    if groups is None or groups.dtype.kind != "U":  # numbers
        return groups
    three = zip(groups.tolist(), ids, names, strict=True)
    return np.array([f"{_NO_GROUP}{name}" if group == f"{_NO_GROUP}{old}" else group for group, old, name in three])


def _is_whole(group: Any) -> bool:
    return isinstance(group, float | np.floating) and float(group).is_integer()
