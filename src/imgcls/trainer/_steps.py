"""What leads the steps of a training: the schedule, the optimizer and callbacks, checked before any image is read."""

from collections.abc import Sequence
from typing import Any

from imgcls.errors import ConfigurationError
from imgcls.trainer._callbacks import checked_callbacks
from imgcls.trainer._optimizers import optimizer as named_optimizer
from imgcls.trainer._recipe import choose_schedule


def checked_steps(
    metrics: Sequence[Any],
    *,
    optimizer: Any = "adamw",
    learning_rate: Any = "auto",
    schedule: str = "auto",
    weight_decay: Any = "auto",
    clip_norm: float | None = None,
    average: float | None = None,
    callbacks: Any = (),
    **_others: Any,
) -> tuple[str, Any, list[Any]]:
    """Check arguments of `train`, whose defaults are the same; those that lead no steps are not looked at.

    Args:
        metrics: The Keras metrics that are measured beside loss and accuracy.
        optimizer: As for `train`, and so are the others.
        learning_rate: As for `train`.
        schedule: As for `train`, and known.
        weight_decay: As for `train`.
        clip_norm: As for `train`.
        average: As for `train`.
        callbacks: As for `train`.

    Returns:
        The schedule, as `checked_schedule` returns it; the optimizer; and the callbacks in a list.

    Raises:
        ConfigurationError: One is not accepted, or two do not go together.

    Examples:
        >>> import keras
        >>> from imgcls.trainer._steps import checked_steps
        >>> schedule, engine, callbacks = checked_steps([], callbacks=keras.callbacks.EarlyStopping())
        >>> schedule, type(engine).__name__, len(callbacks)
        ('cosine', 'AdamW', 1)
    """
    schedule = checked_schedule(schedule, optimizer, learning_rate)
    engine = named_optimizer(optimizer, learning_rate, weight_decay=weight_decay, clip_norm=clip_norm, average=average)
    led = schedule not in {"auto", "constant"}
    return schedule, engine, checked_callbacks(callbacks, engine, metrics, scheduled=led)


def checked_schedule(schedule: str, optimizer: Any, learning_rate: Any) -> str:
    """Return the schedule that leads the rate; "auto" where the optimizer or a Keras schedule does.

    Raises:
        ConfigurationError: One is named, and the optimizer or a Keras schedule moves the rate.

    Examples:
        >>> from imgcls.trainer._steps import checked_schedule
        >>> checked_schedule("auto", "adamw", "auto"), checked_schedule("auto", "adamw", 0.01)
        ('cosine', 'constant')
    """
    automatic = choose_schedule(optimizer, learning_rate).value
    if schedule == "auto":
        return str(automatic)
    if automatic == "auto":
        message = (
            f"schedule={schedule!r} does not go with a Keras optimizer or a Keras schedule, which move the rate "
            "themselves. Leave it out."
        )
        raise ConfigurationError(message)
    return schedule
