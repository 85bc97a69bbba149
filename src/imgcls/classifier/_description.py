"""A classifier as plain data, for a bundle, and back."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from imgcls import __version__
from imgcls.trainer import Choice, History


def describe(
    *,
    parameters: Mapping[str, Any],
    classes: Sequence[Any],
    multi_label: bool,
    architecture: str | None,
    blueprint: Mapping[str, Any],
    choices: Mapping[str, Choice],
    history: History,
) -> dict[str, Any]:
    """Return what a bundle says about a classifier, in strict JSON."""
    plain = {name: value for name, value in parameters.items() if _is_plain(value)}
    description = {
        "imgcls": __version__,
        "python": platform.python_version(),
        "classes": list(classes),
        "multi_label": multi_label,
        "architecture": architecture,
        "blueprint": dict(blueprint),
        "parameters": {name: str(value) if isinstance(value, Path) else value for name, value in plain.items()},
        "choices": {name: [choice.value, choice.reason] for name, choice in choices.items()},
        "history": {
            "columns": dict(history),
            "seconds": history.seconds,
            "best_epoch": history.best_epoch,
            "interrupted": history.interrupted,
            "advice": history.advice,
        },
    }
    return {name: _without_nan(value) for name, value in description.items()}


def environment() -> dict[str, str]:
    """Return the versions of what computes."""
    names = ("tensorflow", "keras", "numpy", "pillow")
    return {"imgcls": __version__, "python": platform.python_version()} | {name: version(name) for name in names}


def history_and_choices(description: Mapping[str, Any]) -> tuple[History, dict[str, Choice]]:
    """Return both from a description."""
    history = dict(description["history"])
    choices = {name: Choice(*choice) for name, choice in description["choices"].items()}
    return History(history.pop("columns"), **history), choices


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) for key in value)
    return value is None or isinstance(value, str | int | float | tuple | list | Path)


def _without_nan(value: Any) -> Any:
    """Replace NaN and infinity by null, which strict JSON can hold."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
