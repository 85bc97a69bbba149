"""The plots of an `Evaluation`, by name."""

from typing import TYPE_CHECKING, Any

import numpy as np

from imgcls import plotting
from imgcls.errors import DataError
from imgcls.metrics._figures import Counts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from imgcls.metrics._evaluation import Evaluation

PLOTS = ("confusion", "classes", "reliability", "roc", "precision_recall", "risk_coverage")
MOST_IN_MATRIX = 2_000  # classes; of more, a confusion matrix has more cells than a picture has pixels


def draw(evaluation: "Evaluation", kind: str, ax: "Axes | None") -> "Axes":
    """Draw one of `PLOTS`, but for the confusion matrix.

    Raises:
        DataError: The figure is of one label an image, and these have several; or ROC and precision-recall curves have
            nothing to tell apart.
    """
    if kind == "reliability":
        return plotting.reliability_diagram(*evaluation.reliability(), several=evaluation.multi_label, ax=ax)
    if kind == "risk_coverage":
        curve = evaluation.risk_coverage()
        return plotting.risk_coverage(curve.coverage, curve.risk, lower=curve.lower, upper=curve.upper, ax=ax)
    counts = Counts.of(evaluation.y_true, evaluation.y_pred, len(evaluation.classes))
    if kind == "classes":
        ends = np.array([one["f1"] for one in evaluation.per_class_intervals.values()]).T
        lower, upper = ends
        seen = counts.true + counts.predicted > 0  # else there is nothing that F1 could speak of
        values = np.where(seen, [row["f1"] for row in evaluation.per_class.values()], np.nan)
        support = counts.true
        return plotting.class_bars(values, lower, upper, evaluation.classes, metric="F1", support=support, ax=ax)
    told = (counts.true > 0) & (counts.true < len(evaluation.y_true))  # those with images, and others beside them
    names = [evaluation.classes[code] for code in np.flatnonzero(told)]
    curves: dict[Any, Any] = {label: evaluation.curve(label) for label in names}
    if not curves:
        raise _nothing_to_tell_apart(evaluation)
    absent = len(evaluation.classes) - len(curves)
    figure = "roc_auc" if kind == "roc" else "average_precision"
    areas = {label: evaluation.per_class[label][figure] for label in curves}
    if kind == "roc":
        points = {label: (one.false_positive_rate, one.recall) for label, one in curves.items()}
        return _counting(plotting.roc_curves(points, areas=areas, ax=ax), absent)
    points = {label: (one.recall, one.precision) for label, one in curves.items()}
    rates = {label: one.positives / (one.positives + one.negatives) for label, one in curves.items()}
    return _counting(plotting.precision_recall_curves(points, areas=areas, base_rates=rates, ax=ax), absent)


def _counting(ax: "Axes", absent: int) -> "Axes":
    """Say below how many classes have no curve, as bars of classes do."""
    if absent:
        ax.set_xlabel(f"{ax.get_xlabel()}; {absent:,} without a curve left out")
    return ax


def _nothing_to_tell_apart(evaluation: "Evaluation") -> DataError:
    if evaluation.multi_label:
        found, wanted = "each label is on all images or on none", "of which some have a label and others do not"
    else:
        found = f"all images are of one class, {evaluation.classes[int(evaluation.y_true[0])]!r}"
        wanted = "of at least two classes"
    message = (
        f"{found}, and ROC and precision-recall curves compare images of a class with others. Evaluate on images "
        f"{wanted}."
    )
    return DataError(message)
