"""Keras callbacks: what they may do beside our loop."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, final

import keras

from imgcls import _checks
from imgcls.errors import ConfigurationError

_MONITORS = (  # these decide by a figure of each epoch
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.OrbaxCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)
PLATEAU = 3  # epochs without a lower val_loss, after which schedule="plateau" lowers the rate


def checked_callbacks(callbacks: Any, engine: Any, metrics: Sequence[Any], *, scheduled: bool) -> list[Any]:
    """Return callbacks as a list, also one alone; they know by then whether what they monitor should fall or rise.

    Args:
        callbacks: A Keras callback, or several.
        engine: The optimizer, which may follow a Keras schedule.
        metrics: The Keras metrics that are measured beside loss and accuracy.
        scheduled: Whether the loop leads the rate.

    Raises:
        ConfigurationError: One is no Keras callback, changes a rate which follows a schedule, swaps averages, goes on
            with an interrupted run in a way of its own, or monitors a figure of which nobody knows what is better.
    """
    found = in_a_list(callbacks)
    wrong = [one for one in found if not isinstance(one, keras.callbacks.Callback)]
    if wrong:
        message = f"callbacks holds {wrong[0]!r}. Accepted: a list of Keras callbacks, such as [EarlyStopping()]."
        raise ConfigurationError(message)
    if any(isinstance(one, keras.callbacks.SwapEMAWeights) for one in found):
        message = (
            "SwapEMAWeights would put the average into training: where the optimizer keeps a moving average, it is "
            "validated, saved and left in the model anyway. Leave the callback out."
        )
        raise ConfigurationError(message)
    if any(isinstance(one, keras.callbacks.BackupAndRestore) for one in found):
        message = (
            "BackupAndRestore would load weights and begin with the first epoch all the same: only Keras' own fit goes "
            "on at its epoch. Leave the callback out; with checkpoint='folder' training goes on where it stopped."
        )
        raise ConfigurationError(message)
    movers = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
    moving = [type(one).__name__ for one in found if isinstance(one, movers)]
    if moving and (scheduled or not isinstance(engine.learning_rate, keras.Variable)):
        message = (
            f"{moving[0]} changes a constant rate, and learning_rate follows a schedule. Give a number, such as 0.001."
        )
        raise ConfigurationError(message)
    set_directions(found, metrics)
    return found


def set_directions(callbacks: Sequence[Any], metrics: Sequence[Any]) -> None:
    """Set the `mode` of callbacks that leave it "auto": whether the figure that they monitor should fall or rise.

    Keras looks for it among the metrics that the model was compiled with, after the first epoch. Ours are measured
    outside of the model.

    Args:
        callbacks: Keras callbacks.
        metrics: The Keras metrics that are measured beside loss and accuracy.

    Raises:
        ConfigurationError: Keras does not know it of that figure.

    Examples:
        >>> import keras
        >>> from imgcls.trainer._callbacks import set_directions
        >>> stopping = keras.callbacks.EarlyStopping(monitor="val_auc")
        >>> set_directions([stopping], [keras.metrics.AUC(name="auc")])
        >>> stopping.mode
        'max'
    """
    directions = {"loss": "min", "accuracy": "max"}
    for one in metrics:
        direction = getattr(one, "_direction", None)  # where Keras looks; metrics of one's own may have none
        if direction is not None:
            directions[one.name] = "max" if direction == "up" else "min"
    for one in callbacks:
        if not isinstance(one, _MONITORS) or one.mode != "auto" or one.monitor_op is not None:
            continue
        mode = directions.get(str(one.monitor).removeprefix("val_"))
        if mode is None:
            hint = _checks.did_you_mean(str(one.monitor), [*directions, *(f"val_{name}" for name in directions)])
            message = (
                f"{type(one).__name__}(monitor={one.monitor!r}) does not say whether that figure should rise or fall."
                f"{hint} Give mode='max' or mode='min'. Without it are known: {', '.join(directions)}, and each with "
                "'val_' before it."
            )
            raise ConfigurationError(message)
        one.mode = mode


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


def stops_early(callbacks: Any) -> bool:
    """Say whether one of the user's callbacks decides when training has been long enough."""
    return any(isinstance(one, keras.callbacks.EarlyStopping) for one in in_a_list(callbacks))


def plateau(schedule: str, callbacks: Any) -> int:
    """Return after how many epochs without a lower `val_loss` the rate falls: by the schedule or a callback; or 0."""
    own = [one for one in in_a_list(callbacks) if isinstance(one, keras.callbacks.ReduceLROnPlateau)]
    waits = [one.patience for one in own if one.monitor == "val_loss"]
    return max(waits, default=PLATEAU if schedule == "plateau" else 0)


def epoch_put_back(callbacks: Iterable[Any]) -> int | None:
    """Return the epoch, from 1, whose weights an early stopping has put back, now that training is over, if one has."""
    kinds = (one for one in callbacks if isinstance(one, keras.callbacks.EarlyStopping))
    found = [one.best_epoch + 1 for one in kinds if one.restore_best_weights and one.best_weights is not None]
    return int(found[-1]) if found else None  # the last one has the last word


def watches_batches(callback: Any) -> bool:
    """Say whether a callback looks at batches; `LambdaCallback` keeps its functions on the instance."""
    names = ("on_batch_begin", "on_train_batch_begin", "on_batch_end", "on_train_batch_end")
    plain = keras.callbacks.Callback
    return any(getattr(type(callback), name) is not getattr(plain, name) or name in vars(callback) for name in names)


class _NaNIsWorst(keras.callbacks.Callback):  # type: ignore[misc]  # Keras publishes no types
    """A figure that is NaN is never better: in Keras the first one stays the best for ever."""

    def _is_improvement(self, monitor_value: Any, reference_value: Any) -> bool:
        return not math.isnan(monitor_value) and bool(super()._is_improvement(monitor_value, reference_value))


class EarlyStopping(_NaNIsWorst, keras.callbacks.EarlyStopping):  # type: ignore[misc]  # Keras publishes no types
    """Keras' own, and NaN is never better. Checkpoints keep its notes by the name of its class, which is Keras' too."""


class ReduceLROnPlateau(_NaNIsWorst, keras.callbacks.ReduceLROnPlateau):  # type: ignore[misc]  # the same
    """Keras' own, and NaN is never better. Its name is Keras' for the same reason."""


def early_stopping(patience: int, *, first: int = 0) -> Any:
    """Stop after `patience` epochs without a lower `val_loss`, and restore the weights of the best, from `first` on."""
    return EarlyStopping(monitor="val_loss", patience=patience, restore_best_weights=True, start_from_epoch=first)


def reduce_on_plateau(*, validated: bool) -> Any:
    """Divide the rate by 5 after 3 epochs without a lower `val_loss`, or loss where nothing is validated."""
    return ReduceLROnPlateau(monitor="val_loss" if validated else "loss", factor=0.2, patience=PLATEAU)
