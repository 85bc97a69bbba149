"""Metrics: pure functions of (true labels, probabilities), and `Evaluation`, which holds them all.

Needs NumPy, SciPy and scikit-learn; neither Keras nor TensorFlow.
"""

from imgcls._intervals import wilson
from imgcls.metrics._calibration import Reliability, fit_temperature, reliability, tempered
from imgcls.metrics._comparison import Comparison, compare
from imgcls.metrics._decisions import OperatingPoint, RiskCoverage, Selection, cheapest, risk_coverage, select
from imgcls.metrics._evaluation import Evaluation
from imgcls.metrics._intervals import Interval
from imgcls.metrics._label_errors import suspected_labels
from imgcls.metrics._leaks import Leaks
from imgcls.metrics._ranking import Curve
from imgcls.metrics._robustness import Robustness, robustness
from imgcls.metrics._sets import SetCoverage, SetRule, prediction_sets, set_coverage
from imgcls.metrics._slices import Slice, slices
from imgcls.metrics._unknown import Familiarity, energy

__all__ = [
    "Comparison",
    "Curve",
    "Evaluation",
    "Familiarity",
    "Interval",
    "Leaks",
    "OperatingPoint",
    "Reliability",
    "RiskCoverage",
    "Robustness",
    "Selection",
    "SetCoverage",
    "SetRule",
    "Slice",
    "cheapest",
    "compare",
    "energy",
    "fit_temperature",
    "prediction_sets",
    "reliability",
    "risk_coverage",
    "robustness",
    "select",
    "set_coverage",
    "slices",
    "suspected_labels",
    "tempered",
    "wilson",
]
