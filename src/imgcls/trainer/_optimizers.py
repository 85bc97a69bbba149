"""Optimizers by name."""

from typing import Any

import keras

from imgcls import _checks
from imgcls.errors import ConfigurationError

OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
_PEAK_RATES = {"adam": 2e-3, "adamw": 2e-3, "sgd": 0.05, "rmsprop": 1e-3}


def optimizer(name: Any, learning_rate: Any = "auto", *, steps: int) -> Any:
    """Build a Keras optimizer.

    Args:
        name: "adam", "adamw", "sgd" (Nesterov momentum 0.9), "rmsprop", or a Keras optimizer, which is copied with
            its settings and without its state.
        learning_rate: A number, which stays constant; a Keras schedule; or "auto": a linear warm-up over the first
            tenth of training to a peak, then a cosine to zero (Loshchilov and Hutter, arXiv 1608.03983).
        steps: The number of steps that training will take.

    Returns:
        A `keras.optimizers.Optimizer`.

    Raises:
        ConfigurationError: The name is not known; or a rate is given beside a Keras optimizer, which has its own.

    Examples:
        >>> from imgcls import trainer
        >>> trainer.optimizer("sgd", 0.1, steps=100).get_config()["nesterov"]
        True
    """
    if isinstance(name, keras.optimizers.Optimizer):
        if not isinstance(learning_rate, str):
            message = (
                f"learning_rate={learning_rate!r} goes with a named optimizer; {type(name).__name__} has its own. "
                "Leave it out."
            )
            raise ConfigurationError(message)
        return type(name).from_config(name.get_config())
    _checks.refuse([_checks.unknown_name("optimizer", name, OPTIMIZERS)])
    if isinstance(learning_rate, str):
        _checks.refuse([_checks.unknown_name("learning_rate", learning_rate, ("auto",))])
        peak, warmup = _PEAK_RATES[name], max(1, steps // 10)
        learning_rate = keras.optimizers.schedules.CosineDecay(
            peak / 25, decay_steps=max(1, steps - warmup), warmup_target=peak, warmup_steps=warmup
        )
    elif not is_schedule(learning_rate):
        _checks.refuse([_checks.not_positive("learning_rate", learning_rate)])
        learning_rate = float(learning_rate)  # Keras knows no NumPy scalars
    kinds = {
        "adam": lambda: keras.optimizers.Adam(learning_rate),
        "adamw": lambda: keras.optimizers.AdamW(learning_rate, weight_decay=0.01),
        "sgd": lambda: keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True),
        "rmsprop": lambda: keras.optimizers.RMSprop(learning_rate),
    }
    return kinds[name]()


def is_schedule(rate: Any) -> bool:
    """Say whether a learning rate is a Keras schedule."""
    return isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)
