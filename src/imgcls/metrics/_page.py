"""What the page and the card of an `Evaluation` say: plain facts, gathered once. `imgcls.report` writes them down."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgcls import plotting, report
from imgcls._thresholds import decimals_of, foremost, in_digits
from imgcls.errors import ImgclsError
from imgcls.metrics import _thumbnails
from imgcls.metrics._figures import Cells
from imgcls.metrics._label_errors import suspected_labels
from imgcls.metrics._pictures import MOST_IN_MATRIX
from imgcls.metrics._thumbnails import Thumbnails

if TYPE_CHECKING:
    from imgcls.metrics._evaluation import Evaluation

ENDINGS = (".html", ".md", ".json", ".csv")
_PER_CLASS = ("precision", "recall", "f1", "roc_auc", "average_precision")
_LOSSES, _SUSPECTS, _LEAKED, _MISTAKES = 12, 24, 12, 8  # shown
_CALLED = 100  # labels whose threshold is named
_ERRORS = (0.01, 0.05)  # of the answers that are given
_PROMISED = (0.9, 0.99)  # of prediction sets
_FEW = 30  # images of a class; its own figures say little
_OFF = 0.05  # calibration error that deserves a word
_COMPACT = 40  # classes; more are a grid without numbers
_MOST_ORDERED = 400  # classes; to order more takes longer than the page is worth
_MOST_CELLS = 10_000  # cells of the matrix that are drawn
_POINTS = 300  # of a curve
_TOLD_ELSEWHERE = frozenset({"choices", "history", "environment", "measured on", "cross-fitted", "thresholds"})


def facts(
    evaluation: "Evaluation",
    *,
    read: Callable[[int], NDArray[np.uint8]] | None = None,
    explain: Callable[[Sequence[int]], Sequence[NDArray[np.float32]]] | None = None,
    quick: bool = False,
) -> dict[str, Any]:
    """Return everything that a page says.

    Args:
        evaluation: What is reported.
        read: From a position to an image; None for a page without pictures.
        explain: From positions to heat maps.
        quick: Whether to leave out what looks at images again: leaks, shortcuts, slices, robustness, heat maps.
    """
    choices = evaluation.about.get("choices") or {}
    search, thumbnails, several = _Search(quick=quick), Thumbnails(read), evaluation.multi_label
    decided = bool(evaluation.thresholds_) and not several  # what is said need not be the likeliest class
    abstains = not several and not decided
    if decided:
        search.left_out.append("abstaining: it speaks of the likeliest class, and here a threshold decides")
    cross_fitted = "cross-fitted" in evaluation.about  # on images that were learnt from, but not by what judges them
    absent = "the images that were learnt from are not at hand"
    leaks = None if cross_fitted else search("leaks", evaluation.leaks, absent)
    rows = _per_class(evaluation)
    found = {
        "images": len(evaluation.y_true),
        "classes": len(evaluation.classes),
        "several": several,
        "called": _called(evaluation),
        "decided": decided,
        "figures": _figures(evaluation),
        "per_class": rows,
        "two_by_two": _two_by_two(evaluation, rows) if several else [],
        # In the order in which pictures are wanted, should the page have no room for all.
        "losses": _losses(evaluation, thumbnails, None if read is None else partial(search, "heat maps", explain)),
        "suspected": None if several else _suspected(evaluation, thumbnails),
        "leaked": _leaked(evaluation, leaks, thumbnails),
        "confusion": None if several else _confusion(evaluation, thumbnails),
        "reliability": evaluation.reliability(),
        "calibration_error": evaluation["calibration_error"],
        "temperature": choices.get("temperature"),
        "abstaining": [_selection(evaluation, share) for share in _ERRORS] if abstains else [],
        "sets": [evaluation.sets(share) for share in _PROMISED] if abstains and len(evaluation.y_true) >= _FEW else [],
        "risk_coverage": _risk_coverage(evaluation) if abstains else None,
        "slices": search("slices", evaluation.slices, "there are no images to read") or [],
        "leaks": leaks,
        "cross_fitted": cross_fitted,
        "shortcuts": search("shortcuts", evaluation.shortcuts, "there are no images to search") or [],
        "robustness": search("robustness", evaluation.robustness, "the model is not at hand") or [],
        "history": evaluation.about.get("history") or {},
        "choices": choices,
        "about": {
            name: value
            for name, value in evaluation.about.items()
            if name not in _TOLD_ELSEWHERE and value not in (None, "")
        },
        "environment": evaluation.about.get("environment") or {},
        "quarantined": evaluation.quarantined,
        "unreadable": evaluation.left_out,
        "pictures": read is not None,
        "left_out": search.left_out,
    }
    return found | {"summary": _summary(evaluation, found), "limits": _limits(evaluation, found)}


def check_report_path(path: str | Path) -> None:
    """Refuse a path that `Evaluation.save` cannot write to, before anything is measured.

    Raises:
        ConfigurationError: The ending is not one of .html, .md, .json and .csv, or the folder does not exist.
    """
    report.check_path(Path(path), ENDINGS, example="report.html")


def to_csv(evaluation: "Evaluation") -> str:
    """Return one row an image: id, true, predicted, probability of the predicted class, loss.

    Several labels of one image are joined by "|".
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "true", "predicted", "probability", "loss"))
    columns = (
        evaluation.ids,
        (words(evaluation, code, "|") for code in evaluation.y_true),
        (words(evaluation, code, "|") for code in evaluation.y_pred),
        beside(evaluation).tolist(),
        evaluation.losses.tolist(),
    )
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


class _Search:
    """Runs what may be impossible, and notes what was left out and why."""

    def __init__(self, *, quick: bool) -> None:
        self.left_out: list[str] = []
        self._quick = quick

    def __call__(self, name: str, search: Callable[..., Any] | None, otherwise: str, *given: Any) -> Any:
        if self._quick:
            self.left_out.append(f"{name}: a quick report was asked for")
            return None
        try:
            found = None if search is None else search(*given)
        except (ImgclsError, OSError) as error:  # such as images that were moved since
            otherwise, found = str(error), None
        if found is None:
            self.left_out.append(f"{name}: {otherwise}")
        return found


# --- figures -----------------------------------------------------------------------------------------------------


def _figures(evaluation: "Evaluation") -> list[dict[str, Any]]:
    return [
        {"name": name, "value": value, **evaluation.intervals[name]._asdict(), "share": name != "log_loss"}
        for name, value in evaluation.items()
    ]


def _per_class(evaluation: "Evaluation") -> list[dict[str, Any]]:
    return [
        {
            "name": str(name),
            "support": int(row["support"]),
            "figures": {one: (row[one], *evaluation.per_class_intervals[name][one]) for one in _PER_CLASS},
        }
        for name, row in evaluation.per_class.items()
    ]


def _two_by_two(evaluation: "Evaluation", rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        row | {"hits": int(d), "missed": int(c), "alarms": int(b), "rest": int(a)}
        for row, ((a, b), (c, d)) in zip(rows, evaluation.confusion, strict=True)
    ]


def _selection(evaluation: "Evaluation", share: float) -> tuple[float, Any, str]:
    found = evaluation.select(share)
    return share, found, in_digits(found.threshold)


def _risk_coverage(evaluation: "Evaluation") -> dict[str, list[float]]:
    curve = evaluation.risk_coverage()
    some = np.unique(np.linspace(0, len(curve.risk) - 1, _POINTS).round().astype(int))
    return {name: column[some].tolist() for name, column in curve._asdict().items()}


# --- images ------------------------------------------------------------------------------------------------------


def words(evaluation: "Evaluation", code: Any, between: str = ", ") -> str:
    """Return the name of the class of a code, or the names of an indicator, of which there may be none."""
    codes = np.flatnonzero(code) if evaluation.multi_label else [code]
    return between.join(str(evaluation.classes[one]) for one in codes)


def beside(evaluation: "Evaluation") -> NDArray[np.floating]:
    """Return the probability of what was predicted of each image `(N,)`; of several labels, of the likeliest of them.

    Where none was predicted, it is that of the likeliest class.
    """
    codes = foremost(evaluation.probabilities, evaluation.y_pred)
    return np.asarray(evaluation.probabilities[np.arange(len(codes)), codes])


def _shown(evaluation: "Evaluation", position: int) -> dict[str, Any]:
    """Return what is said of one image."""
    likeliest = int(evaluation.probabilities[position].argmax())
    uncalled = evaluation.multi_label and not evaluation.y_pred[position, likeliest]
    return {
        "id": str(evaluation.ids[position]),
        "true": words(evaluation, evaluation.y_true[position]) or "none",
        "predicted": words(evaluation, evaluation.y_pred[position]) or "none",
        "likeliest": str(evaluation.classes[likeliest]) if uncalled else "",  # whose probability it is, if not called
        "probability": float(evaluation.confidence[position]),
        "loss": float(evaluation.losses[position]),
        "right": bool(evaluation.right[position]),
        "picture": "",
        "heat": "",
    }


def _confusion(evaluation: "Evaluation", thumbnails: Thumbnails) -> dict[str, Any]:
    """Return the cells that are drawn: of too many classes for a matrix, the commonest mistakes alone."""
    size = len(evaluation.classes)
    filled = Cells.of(evaluation.y_true, evaluation.y_pred, size)
    support = np.bincount(filled.true, filled.images, size)
    mistakes, matrix = filled.mistakes.most(_MISTAKES), size <= MOST_IN_MATRIX
    drawn = filled.most(_MOST_CELLS) if matrix else mistakes
    chosen = _thumbnails.of_cells(evaluation.y_true, evaluation.y_pred, evaluation.losses)
    cells = []
    for true, predicted, count in zip(*(column.tolist() for column in drawn), strict=True):
        positions, shown = chosen[true, predicted]
        pictures = [_shown(evaluation, place) for place in positions]
        for one, place in zip(pictures[:shown], positions, strict=False):
            one["picture"] = thumbnails.picture(place)
        share = count / float(support[true])
        cells.append({"true": true, "predicted": predicted, "count": count, "share": share, "images": pictures})
    return {
        "names": [str(name) for name in evaluation.classes],
        "matrix": matrix,
        "cells": sorted(cells, key=lambda one: (one["true"], one["predicted"])),
        "not_drawn": len(filled.images) - len(drawn.images) if matrix else 0,
        "mistakes": list(zip(*(column.tolist() for column in mistakes), strict=True)),
        "compact": size > _COMPACT,
        "order": plotting.clustered_order(evaluation.confusion).tolist() if _COMPACT < size <= _MOST_ORDERED else [],
    }


def _losses(
    evaluation: "Evaluation", thumbnails: Thumbnails, explain: Callable[..., Any] | None
) -> list[dict[str, Any]]:
    positions = np.argsort(-evaluation.losses, kind="stable")[:_LOSSES].tolist()
    found = [_shown(evaluation, place) for place in positions]
    for place, one in zip(positions, found, strict=True):
        one["picture"] = thumbnails.picture(place, _thumbnails.LARGE)
    maps = explain("the model is not at hand", positions) if explain is not None else None
    for place, one, heat in zip(positions, found, maps if maps is not None else (), strict=maps is not None):
        one["heat"] = thumbnails.with_heat(place, heat)
    return found


def _suspected(evaluation: "Evaluation", thumbnails: Thumbnails) -> dict[str, Any]:
    positions, suggested = suspected_labels(evaluation.y_true, evaluation.probabilities)
    found = []
    for place, code in zip(positions[:_SUSPECTS].tolist(), suggested.tolist(), strict=False):
        found.append(
            _shown(evaluation, place)
            | {
                "suggested": str(evaluation.classes[code]),
                "probability": float(evaluation.probabilities[place, code]),
                "picture": thumbnails.picture(place),
            }
        )
    return {"count": len(positions), "images": found}


def _leaked(evaluation: "Evaluation", leaks: Any, thumbnails: Thumbnails) -> list[dict[str, Any]]:
    if leaks is None or not leaks.ids:
        return []
    places = {name: place for place, name in enumerate(evaluation.ids)}
    positions = [places[name] for name in leaks.ids[:_LEAKED]]
    return [_shown(evaluation, place) | {"picture": thumbnails.picture(place)} for place in positions]


# --- words -------------------------------------------------------------------------------------------------------


def _called(evaluation: "Evaluation") -> str:
    """Say from which probability on a class is said; nothing where it is the likeliest."""
    given = evaluation.thresholds_ or {}
    if evaluation.multi_label:
        own = [f"{name} {in_digits(least, 4)}" for name, least in list(given.items())[:_CALLED]]
        own += [f"{len(given) - _CALLED:,} more from theirs"] if len(given) > _CALLED else []
        others = ["all others 0.5"] if len(given) < len(evaluation.classes) else []
        words = f"its own probability on: {', '.join(own + others)}" if own else "a probability of 0.5 on"
        return f"Each label by itself, called from {words}."
    if not given:
        return ""
    ((name, least),) = given.items()
    (other,) = (one for one in evaluation.classes if one != name)
    return f"From a probability of {in_digits(least, 4)} on, {name} is said, and {other} otherwise."


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _with_ends(figure: float, interval: Sequence[Any], least: int, whole: float = 1.0) -> tuple[str, str]:
    """Return a figure and its interval in words: in decimals enough that nearly all is not written as all."""
    decimals = decimals_of(whole * figure, least, whole)
    value, lower, upper = (f"{whole * one:.{decimals}f}" for one in (figure, interval[0], interval[1]))
    return value, f"[{lower}, {upper}]"


def _summary(evaluation: "Evaluation", found: Mapping[str, Any]) -> list[str]:
    """Return the page in a few sentences, the most important one first."""
    share, ends = _with_ends(evaluation.accuracy, evaluation.intervals["accuracy"], 1, 100)
    what = "Every label right" if evaluation.multi_label else "Right"
    right = f"{what} on {share} % of {_count(len(evaluation.y_true), 'image')} {ends}."
    sentences = [right]
    if next(iter(evaluation)) != "accuracy":
        mean, ends = _with_ends(evaluation.balanced_accuracy, evaluation.intervals["balanced_accuracy"], 3)
        sentences = [
            f"Mean recall over classes {mean} {ends}.",
            f"It stands first because classes differ {evaluation.imbalance:.1f} to 1 in size. {right}",
        ]
    sentences += [evaluation.about["measured on"]] if "measured on" in evaluation.about else []
    seen = [row for row in found["per_class"] if row["support"]]
    weakest = min(seen, key=lambda row: (row["figures"]["recall"][0], -row["support"]), default=None)
    if weakest is not None and weakest["figures"]["recall"][0] < 1:
        recall, *interval = weakest["figures"]["recall"]
        share, ends = _with_ends(recall, interval, 2)
        sentences.append(
            f"Weakest class: {weakest['name']} (recall {share} {ends} of {_count(weakest['support'], 'image')})."
        )
    for true, predicted, count in evaluation.most_confused(1):
        sentences.append(f"Commonest mistake: {true} taken for {predicted} ({count:,}).")
    value = str(found["temperature"][0]) if found["temperature"] else "1.0"
    after = "" if value in {"1.0", "1"} else f" after the temperature {value}"
    low, high, _ = evaluation.intervals["calibration_error"]
    error = evaluation["calibration_error"]
    sentences.append(f"Probabilities: {error:.2f} [{low:.2f}, {high:.2f}] off on average{after}.")
    suspected = (found["suspected"] or {"count": 0})["count"]
    if suspected:
        sentences.append(f"{_count(suspected, 'label')} may be wrong.")
    if found["leaks"] is not None and found["leaks"].ids:
        verb = "was" if len(found["leaks"].ids) == 1 else "were"
        sentences.append(f"{_count(len(found['leaks'].ids), 'image')} {verb} learnt from before.")
    if found["leaks"] is None and not found["cross_fitted"]:
        sentences.append("Not checked: whether any of these images was learnt from.")
    if evaluation.left_out:
        verb = "is" if evaluation.left_out == 1 else "are"
        sentences.append(f"{_count(evaluation.left_out, 'image')} cannot be read and {verb} left out.")
    return sentences


def _limits(evaluation: "Evaluation", found: Mapping[str, Any]) -> list[str]:
    """Return what the figures do not say, in words."""
    always = (
        "The figures speak of images like those that were measured. Intervals say how far they may be off because "
        "these images are a sample, and not whether later images are like them."
    )
    said = [always]
    few = [row["name"] for row in found["per_class"] if row["support"] < _FEW]
    if few:
        names = ", ".join(few[:5]) + (f" and {len(few) - 5:,} more" if len(few) > 5 else "")
        said.append(f"Fewer than {_FEW} images were measured of: {names}.")
    error = evaluation["calibration_error"]
    if evaluation.intervals["calibration_error"].lower > _OFF:  # few images look off by chance
        said.append(f"Probabilities are {error:.2f} off on average: do not take them at their word.")
    said += [f"Worse than the rest: {one}." for one in found["slices"] if one.worse]
    said += [f"Classes differ by something other than content: {one}." for one in found["shortcuts"] if one.found]
    if found["leaks"] is not None and found["leaks"].ids:
        said.append(f"{found['leaks']}.")
    if evaluation.left_out:
        said.append(f"The figures leave out {_count(evaluation.left_out, 'image')} that cannot be read.")
    said += [f"Not looked at: {one}." for one in found["left_out"]]
    return said
