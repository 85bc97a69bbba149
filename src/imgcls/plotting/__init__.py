"""Plots: data and `ax` in, Axes out. Nothing here calls `show()` or writes a file.

Needs Matplotlib and seaborn only, and SciPy to cluster classes, which are imported when something is drawn. Figures
come from `pyplot`, so a notebook shows them and a script can call `matplotlib.pyplot.show()`. Every plot reads at 2
and at 200 classes, for colour-blind eyes, and from a gray printer.
"""

from imgcls.plotting._calibration import reliability_diagram, risk_coverage
from imgcls.plotting._classes import class_bars, class_counts, slices
from imgcls.plotting._confusion import clustered_order, confusion_matrix
from imgcls.plotting._curves import precision_recall_curves, roc_curves, threshold_curve
from imgcls.plotting._embedding import embedding_map
from imgcls.plotting._images import image_grid
from imgcls.plotting._training import curves, learning_rate_curve

__all__ = [
    "class_bars",
    "class_counts",
    "clustered_order",
    "confusion_matrix",
    "curves",
    "embedding_map",
    "image_grid",
    "learning_rate_curve",
    "precision_recall_curves",
    "reliability_diagram",
    "risk_coverage",
    "roc_curves",
    "slices",
    "threshold_curve",
]
