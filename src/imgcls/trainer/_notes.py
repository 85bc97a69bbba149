"""What callbacks have noted since training began, as a checkpoint keeps it."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from numbers import Real
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

_OURS = "our "  # what names of callbacks begin with that are none of the user's: no kind has a blank in its name
_SET_ANEW = ("_model", "params")  # by Keras
_DATA = 2**26  # bytes of arrays that a callback has from the beginning: data to look at, and no note
_KINDS = {"tuple": tuple, "set": set, "frozenset": frozenset}
_NONE = object()

Arrays = dict[str, NDArray[Any]]


def named(callbacks: Sequence[Any], ours: Sequence[Any] = ()) -> dict[str, Any]:
    """Return callbacks by names that tell them apart in another process too: the kind, and which one of that kind.

    Args:
        callbacks: The user's, in their order.
        ours: What arguments of training stand for, such as `patience`: one of a kind. They come last.

    Examples:
        >>> import keras
        >>> from imgcls.trainer._notes import named
        >>> kind = keras.callbacks.EarlyStopping
        >>> list(named([kind(), kind()], [kind()]))
        ['EarlyStopping 0', 'EarlyStopping 1', 'our EarlyStopping']
    """
    kinds = [type(one).__name__ for one in callbacks]
    names = [f"{kind} {kinds[:place].count(kind)}" for place, kind in enumerate(kinds)]
    names += [f"{_OURS}{type(one).__name__}" for one in ours]
    return dict(zip(names, [*callbacks, *ours], strict=True))


@final
class Notes:
    """The attributes of callbacks: numbers, text, arrays, and lists, tuples, sets and dictionaries of them.

    Only what has changed since `on_train_begin` is kept, so that a run which is resumed with other arguments of a
    callback (another folder of logs) gets those. Functions, files and other objects cannot be kept.

    Args:
        callbacks: Keras callbacks by name, after `on_train_begin`.
    """

    def __init__(self, callbacks: Mapping[str, Any]) -> None:
        self._callbacks = dict(callbacks)
        self._data = {
            name: {key for key, value in _kept(one).items() if sum(array.nbytes for array in _arrays(value)) > _DATA}
            for name, one in self._callbacks.items()
        }
        self._before = {name: deepcopy(self._noted(name)) for name in self._callbacks}

    def capture(self) -> tuple[dict[str, dict[str, Any]], Arrays]:
        """Return what JSON holds for each callback, and arrays by name."""
        facts: dict[str, dict[str, Any]] = {}
        arrays: Arrays = {}
        for name in self._callbacks:
            before = self._before[name]
            facts[name] = {
                key: _told(value, arrays, f"callback {name} {key}")
                for key, value in self._noted(name).items()
                if not _alike(before.get(key, _NONE), value)
            }
        return facts, arrays

    def restore(self, facts: Mapping[str, dict[str, Any]], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Give the values back to callbacks of the same kinds; what is not among them is as when training began.

        An open file stays open: what cannot be kept is not touched.
        """
        known = self._by_name(facts)
        for name, callback in self._callbacks.items():
            noted = {key: _heard(value, arrays) for key, value in known.get(name, {}).items()}
            noted = {**deepcopy(self._before[name]), **noted}
            now = vars(callback)
            sizes = (noted.get("min_delta"), now.get("min_delta"))
            if "monitor_op" in now and all(isinstance(one, Real) for one in sizes):
                noted["min_delta"] = _with_sign_of(*sizes)
            now.update({key: value for key, value in noted.items() if key not in now or _can_be_kept(now[key])})

    def missing_in(self, facts: Mapping[str, Any]) -> list[Any]:
        """Return the callbacks of which the facts say nothing: they are new."""
        known = self._by_name(facts)
        return [callback for name, callback in self._callbacks.items() if name not in known]

    def _by_name(self, facts: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return facts by the names of now: where ours had none of their own, they were the last of their kind."""
        found = dict(facts)
        for name in self._callbacks:
            kind = name.removeprefix(_OURS)
            last = f"{kind} {sum(one.startswith(f'{kind} ') for one in facts) - 1}"
            if kind != name and name not in facts and last in facts:
                found[name] = found.pop(last)
        return found

    def _noted(self, name: str) -> dict[str, Any]:
        found = _kept(self._callbacks[name])
        return {key: value for key, value in found.items() if key not in self._data[name]}


def _kept(callback: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(callback).items() if key not in _SET_ANEW and _can_be_kept(value)}


def _can_be_kept(value: Any) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return type(value) in {list, *_KINDS.values()} and all(map(_can_be_kept, value))
    if isinstance(value, dict):
        return type(value) is dict and all(_can_be_kept(one) for pair in value.items() for one in pair)
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "biuf" or "float" in value.dtype.name  # bfloat16 is a stranger to NumPy
    return value is None or isinstance(value, bool | int | float | str)


def _with_sign_of(size: Any, other: Any) -> Any:
    """Return a number with the sign of what the callback has now.

    Keras turns the sign of `min_delta` once, where it sets `monitor_op`, and that function is no note.
    """
    return -abs(size) if other < 0 else abs(size)


def _arrays(value: Any) -> Iterator[NDArray[Any]]:
    """Yield the arrays within a value."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _arrays(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _arrays(one)


def _alike(one: Any, other: Any) -> bool:
    """Say whether two values are the same; NaN differs from itself, and is kept."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        same = isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and one.dtype == other.dtype
        return same and np.array_equal(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(_alike, one.values(), other.values()))
    return bool(one == other)


def _told(value: Any, arrays: Arrays, name: str) -> Any:
    """Return a value as JSON holds it, its arrays put among the others under names that begin with `name`."""
    if isinstance(value, np.ndarray):
        key = f"{name} {len(arrays):04d}"
        arrays[key] = np.array(value)
        return {"array": key}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list):
        return [_told(one, arrays, name) for one in value]
    if isinstance(value, dict):
        return {"dict": [[_told(one, arrays, name) for one in pair] for pair in value.items()]}
    for kind, cls in _KINDS.items():
        if isinstance(value, cls):
            return {kind: [_told(one, arrays, name) for one in value]}
    return value


def _heard(told: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Return the value that `_told` has told."""
    if isinstance(told, list):
        return [_heard(one, arrays) for one in told]
    if not isinstance(told, dict):
        return told
    ((kind, what),) = told.items()
    if kind == "array":
        return np.array(arrays[what])
    if kind == "dict":
        return {_heard(key, arrays): _heard(value, arrays) for key, value in what}
    return _KINDS[kind](_heard(one, arrays) for one in what)
