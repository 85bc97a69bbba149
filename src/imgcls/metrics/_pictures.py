"""The plots of an `Evaluation`, by name."""

from typing import TYPE_CHECKING, Any

import numpy as np

from imgcls import plotting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from imgcls.metrics._evaluation import Evaluation

PLOTS = ("confusion", "classes", "reliability", "roc", "precision_recall", "risk_coverage")


def draw(evaluation: "Evaluation", kind: str, ax: "Axes | None") -> "Axes":
    """Draw one of `PLOTS`, but for the confusion matrix."""
    if kind == "reliability":
        return plotting.reliability_diagram(*evaluation.reliability(), ax=ax)
    if kind == "classes":
        ends = np.array([one["f1"] for one in evaluation.per_class_intervals.values()]).T
        rows = evaluation.per_class.values()
        values, support = [row["f1"] for row in rows], [int(row["support"]) for row in rows]
        lower, upper = ends
        return plotting.class_bars(values, lower, upper, evaluation.classes, metric="F1", support=support, ax=ax)
    if kind == "risk_coverage":
        curve = evaluation.risk_coverage()
        return plotting.risk_coverage(curve.coverage, curve.risk, lower=curve.lower, upper=curve.upper, ax=ax)
    curves: dict[str, Any] = {label: evaluation.curve(label) for label in evaluation.classes}
    curves = {label: one for label, one in curves.items() if one.positives and one.negatives}
    figure = "roc_auc" if kind == "roc" else "average_precision"
    areas = {label: evaluation.per_class[label][figure] for label in curves}
    if kind == "roc":
        points = {label: (one.false_positive_rate, one.recall) for label, one in curves.items()}
        return plotting.roc_curves(points, areas=areas, ax=ax)
    points = {label: (one.recall, one.precision) for label, one in curves.items()}
    rates = {label: one.positives / (one.positives + one.negatives) for label, one in curves.items()}
    return plotting.precision_recall_curves(points, areas=areas, base_rates=rates, ax=ax)
