"""Keras callbacks: what they may do beside our loop, and what of them a checkpoint keeps."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls.errors import ConfigurationError

_OURS = ("_model", "params")  # Keras sets these anew
_NONE = object()  # differs from every value


def checked_callbacks(callbacks: Any, *, scheduled: bool) -> list[Any]:
    """Return callbacks as a list, also one alone.

    Raises:
        ConfigurationError: One is no Keras callback, or changes a rate which follows a schedule.
    """
    found = in_a_list(callbacks)
    wrong = [one for one in found if not isinstance(one, keras.callbacks.Callback)]
    if wrong:
        message = f"callbacks holds {wrong[0]!r}. Accepted: a list of Keras callbacks, such as [EarlyStopping()]."
        raise ConfigurationError(message)
    movers = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
    moving = [type(one).__name__ for one in found if isinstance(one, movers)]
    if moving and scheduled:
        message = (
            f"{moving[0]} changes a constant rate, and learning_rate follows a schedule. Give a number, such as 0.001."
        )
        raise ConfigurationError(message)
    return found


def in_a_list(given: Any) -> list[Any]:
    """Return a list of what is given: a list or tuple, one thing alone, or None.

    Examples:
        >>> from imgcls.trainer._callbacks import in_a_list
        >>> in_a_list(("AUC", "Precision")), in_a_list("AUC"), in_a_list(None)
        (['AUC', 'Precision'], ['AUC'], [])
    """
    if given is None:
        return []
    return list(given) if isinstance(given, list | tuple) else [given]


@final
class Heard(keras.callbacks.Callback):  # type: ignore[misc]  # Keras publishes no types
    """The last callback of a list: it hears what the others have written into the figures of an epoch.

    Attributes:
        numbers: What of it is a number, by its name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[str, float] = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        del epoch
        self.numbers = {str(name): float(value) for name, value in (logs or {}).items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    """Say whether a value is one number, of Python, NumPy or Keras."""
    return hasattr(value, "__float__") and tuple(getattr(value, "shape", ())) == ()


def watches_batches(callback: Any) -> bool:
    """Say whether a callback looks at batches; `LambdaCallback` keeps its functions on the instance."""
    names = ("on_batch_begin", "on_train_batch_begin", "on_batch_end", "on_train_batch_end")
    plain = keras.callbacks.Callback
    return any(getattr(type(callback), name) is not getattr(plain, name) or name in vars(callback) for name in names)


def early_stopping(patience: int, *, first: int = 0) -> Any:
    """Stop after `patience` epochs without a lower `val_loss`, and restore the weights of the best, from `first` on."""
    return keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=patience, restore_best_weights=True, start_from_epoch=first
    )


def reduce_on_plateau(*, validated: bool) -> Any:
    """Divide the rate by 5 after 3 epochs without a lower `val_loss`, or loss where nothing is validated."""
    return keras.callbacks.ReduceLROnPlateau(monitor="val_loss" if validated else "loss", factor=0.2, patience=3)


@final
class Memory:
    """What callbacks have noted since training began: plain values, and arrays or lists of them.

    Only what has changed since `on_train_begin` is kept, so that a run which is resumed with other arguments of a
    callback (another folder of logs) gets those. Functions, files and other objects cannot be kept.
    """

    def __init__(self, callbacks: Sequence[Any]) -> None:
        kinds = [type(one).__name__ for one in callbacks]
        names = [f"{kind} {kinds[:place].count(kind)}" for place, kind in enumerate(kinds)]
        self._callbacks = dict(zip(names, callbacks, strict=True))
        self._before = {name: _facts(one) for name, one in self._callbacks.items()}

    def capture(self) -> tuple[dict[str, dict[str, Any]], dict[str, NDArray[Any]]]:
        """Return plain values for each callback, and arrays by name."""
        facts: dict[str, dict[str, Any]] = {}
        arrays: dict[str, NDArray[Any]] = {}
        for name, callback in self._callbacks.items():
            before = self._before[name]
            changed = {key: value for key, value in _facts(callback).items() if before.get(key, _NONE) != value}
            facts[name] = changed
            for key, several in _array_lists(callback).items():
                arrays |= {f"callback {name} {key} {place:04d}": one for place, one in enumerate(several)}
        return facts, arrays

    def restore(self, facts: Mapping[str, dict[str, Any]], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Give the values back to callbacks of the same kinds; what is not among them is as when training began.

        An open file stays open: what cannot be kept is not touched.
        """
        for name, callback in self._callbacks.items():
            noted = deepcopy({**self._before[name], **facts.get(name, {})})
            kept = _facts(callback).keys() | _array_lists(callback).keys()
            vars(callback).update({key: value for key, value in noted.items() if key in kept})
            prefix, lists = f"callback {name} ", dict[str, list[NDArray[Any]]]()
            for key in sorted(key for key in arrays if key.startswith(prefix)):
                lists.setdefault(key.removeprefix(prefix).rsplit(" ", 1)[0], []).append(arrays[key])
            vars(callback).update(lists)


def _facts(callback: Any) -> dict[str, Any]:
    found = {name: _plain(value) for name, value in vars(callback).items() if name not in _OURS}
    return {name: deepcopy(value) for name, value in found.items() if _is_plain(value)}


def _array_lists(callback: Any) -> dict[str, list[NDArray[Any]]]:
    return {
        name: value
        for name, value in vars(callback).items()
        if isinstance(value, list) and value and all(isinstance(one, np.ndarray) for one in value)
    }


def _plain(value: Any) -> Any:
    return (
        value.item() if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim) else value
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(one) for one in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    return value is None or isinstance(value, bool | int | float | str)
