"""Keras metrics of the user's own, measured on the validation images after each epoch."""

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls import _checks
from imgcls.errors import ConfigurationError
from imgcls.trainer._callbacks import in_a_list
from imgcls.trainer._objective import Objective

_ALWAYS = ("accuracy", "acc")  # are measured anyway
_TAKEN = ("loss", "accuracy")


def keras_metrics(metrics: Any, goal: Objective, *, validated: bool) -> list[Any]:
    """Return metrics as Keras objects, each tried once on two made-up images.

    Args:
        metrics: `keras.metrics.Metric` objects, or their names; or one of these alone.
        goal: What outputs and targets are like.
        validated: Whether there are validation images.

    Raises:
        ConfigurationError: One is not known, does not go with the labels, gives several numbers, or has the name of
            another; or nothing is validated.

    Examples:
        >>> from imgcls import trainer
        >>> goal = trainer.objective(num_classes=3, multi_label=False)
        >>> [metric.name for metric in keras_metrics(["AUC", "accuracy"], goal, validated=True)]
        ['auc']
    """
    metrics = in_a_list(metrics)
    if metrics and not validated:
        message = "metrics are measured on validation_data. Give it, or no metrics."
        raise ConfigurationError(message)
    found = [_named(one) for one in metrics if not (isinstance(one, str) and one in _ALWAYS)]
    names = [*_TAKEN, *(one.name for one in found)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"two metrics are called {twice[0]!r}. Give one of them another name=; loss and accuracy are taken."
        raise ConfigurationError(message)
    width = goal.num_classes if goal.head == "softmax" else goal.outputs
    targets = goal.targets(np.eye(2, width, dtype=np.int64) if _several(goal) else np.arange(2))
    outputs = np.full((2, goal.outputs), 1 / max(2, goal.outputs), np.float32)
    for one in found:
        try:
            _value(one, goal, targets, outputs)
        except Exception as error:
            message = (
                f"metric {one.name!r} does not go with these labels: {error} Accepted: what Keras measures on outputs "
                f"{outputs.shape[1:]} of {goal.head}, and what gives one number, such as F1Score(average='macro')."
            )
            raise ConfigurationError(message) from error
    return found


def measured(
    metrics: Sequence[Any], goal: Objective, targets: NDArray[Any], outputs: NDArray[np.float32]
) -> dict[str, float]:
    """Return what each metric says of outputs `float32 (n, ...)` and targets `(n, ...)`, by its name with "val_"."""
    return {f"val_{one.name}": _value(one, goal, targets, outputs) for one in metrics}


def _value(metric: Any, goal: Objective, targets: NDArray[Any], outputs: NDArray[np.float32]) -> float:
    if goal.head == "softmax":
        codes = targets if targets.ndim == 1 else targets.argmax(axis=1)
        sparse = type(metric).__name__.startswith("Sparse") or metric.name.startswith("sparse")
        targets = codes if sparse else (codes[:, None] == np.arange(goal.num_classes)).astype(np.float32)
    metric.reset_state()
    metric.update_state(targets, outputs)
    value = float(np.asarray(metric.result()))
    metric.reset_state()
    return value


def _several(goal: Objective) -> bool:
    return goal.head == "sigmoid" and goal.outputs > 1


def _named(metric: Any) -> Any:
    if isinstance(metric, keras.metrics.Metric):
        return metric
    try:
        found = keras.metrics.get(metric)
    except (ValueError, TypeError):
        found = None
    if isinstance(found, keras.metrics.Metric):
        named = re.sub(r"_\d+$", "", found.name)  # Keras counts them up in each process
        return type(found).from_config({**found.get_config(), "name": named})
    if callable(found):
        return keras.metrics.MeanMetricWrapper(found, name=getattr(found, "__name__", "metric"))
    hint = _checks.did_you_mean(str(metric), [name for name in dir(keras.metrics) if name[0].isupper()])
    message = (
        f"metric {metric!r} is not known.{hint} Accepted: Keras metrics, such as keras.metrics.AUC(), or their names."
    )
    raise ConfigurationError(message)
