"""Metrics: pure functions of (true labels, probabilities), and `Evaluation`, which holds them all.

Needs NumPy, SciPy and scikit-learn; neither Keras nor TensorFlow.
"""

from imgcls.metrics._calibration import Reliability, fit_temperature, reliability, tempered
from imgcls.metrics._comparison import Comparison, compare
from imgcls.metrics._decisions import (
    OperatingPoint,
    Selection,
    SetCoverage,
    cheapest,
    prediction_sets,
    select,
    set_coverage,
)
from imgcls.metrics._evaluation import Evaluation, Leaks
from imgcls.metrics._intervals import Interval, wilson
from imgcls.metrics._label_errors import suspected_labels
from imgcls.metrics._ranking import Curve
from imgcls.metrics._robustness import Robustness, robustness
from imgcls.metrics._slices import Slice, slices
from imgcls.metrics._unknown import KNOWN, Familiarity, energy

__all__ = [
    "KNOWN",
    "Comparison",
    "Curve",
    "Evaluation",
    "Familiarity",
    "Interval",
    "Leaks",
    "OperatingPoint",
    "Reliability",
    "Robustness",
    "Selection",
    "SetCoverage",
    "Slice",
    "cheapest",
    "compare",
    "energy",
    "fit_temperature",
    "prediction_sets",
    "reliability",
    "robustness",
    "select",
    "set_coverage",
    "slices",
    "suspected_labels",
    "tempered",
    "wilson",
]
