"""A classifier as plain data, for a bundle, and back."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from imgcls._version import __version__
from imgcls.metrics import Evaluation
from imgcls.trainer import Choice, History

_MOST_ROWS = 10_000  # classes; a row for each of more would make a bundle slow to open
_PER_CLASS = ("precision", "recall", "f1", "roc_auc", "average_precision")


def describe(
    *,
    parameters: Mapping[str, Any],
    classes: Sequence[Any],
    multi_label: bool,
    architecture: str | None,
    blueprint: Mapping[str, Any],
    temperature: float,
    thresholds: list[float | None] | None,
    choices: Mapping[str, Choice],
    history: History,
    evaluation: Evaluation | None,
) -> dict[str, Any]:
    """Return what a bundle says about a classifier, in strict JSON."""
    plain = {name: _as_plain(value) for name, value in parameters.items() if _is_plain(value)}
    description = {
        "imgcls": __version__,
        "architecture": architecture,
        "blueprint": dict(blueprint),
        "classes": list(classes),
        "multi_label": multi_label,
        "temperature": temperature,
        "thresholds": thresholds,
        "parameters": plain | ({"weights": _without_folder(Path(plain["weights"]))} if plain.get("weights") else {}),
        "choices": {name: [choice.value, choice.reason] for name, choice in choices.items()},
        "history": {
            "columns": dict(history),
            "seconds": history.seconds,
            "best_epoch": history.best_epoch,
            "interrupted": history.interrupted,
            "advice": history.advice,
        },
        "evaluation": None if evaluation is None else _figures(evaluation),
        "environment": environment(),
    }
    return {name: _without_nan(value) for name, value in description.items()}


def environment() -> dict[str, str]:
    """Return the versions of what computes."""
    found = {"imgcls": __version__, "python": platform.python_version()}
    for name in ("tensorflow", "keras", "numpy", "pillow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # such as a TensorFlow of another name
            continue
    return found


def history_and_choices(description: Mapping[str, Any]) -> tuple[History, dict[str, Choice]]:
    """Return both from a description."""
    history = dict(description["history"])
    choices = {name: Choice(*choice) for name, choice in description["choices"].items()}
    return History(history.pop("columns"), **history), choices


def arguments(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `ImageClassifier` from a description; weights of classes are by class again."""
    given = dict(description["parameters"])
    weights = given.get("class_weight")
    if isinstance(weights, dict):
        classes = {str(name): name for name in description["classes"]}
        given["class_weight"] = {classes.get(name, name): weight for name, weight in weights.items()}
    return given


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    """Return figures with their intervals, the most important first, and a row for each class."""
    figures = [
        {"name": name, "value": value, **evaluation.intervals[name]._asdict()} for name, value in evaluation.items()
    ]
    rows = None
    if len(evaluation.classes) <= _MOST_ROWS:
        rows = [
            {"support": int(row["support"])}
            | {one: [row[one], *evaluation.per_class_intervals[name][one]] for one in _PER_CLASS}
            for name, row in evaluation.per_class.items()
        ]
    return {"images": len(evaluation.y_true), "figures": figures, "per_class": rows}


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str | int | float | np.number) and _is_scalar(one) for key, one in value.items())
    return (
        all(map(_is_scalar, value)) if isinstance(value, list | tuple) else _is_scalar(value) or isinstance(value, Path)
    )


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | np.generic)


def _as_plain(value: Any) -> Any:
    """Return an argument as JSON has it: keys are text, those that are whole numbers too."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(int(key)): one for key, one in value.items()}
    return _without_folder(value)


def _without_folder(value: Any) -> Any:
    """Return a path as the name of its file: where it lies on this machine is nobody's business."""
    return Path(value).name if isinstance(value, Path) else value


def _without_nan(value: Any) -> Any:
    """Replace NaN and infinity by null, which strict JSON can hold."""
    if isinstance(value, dict):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value
