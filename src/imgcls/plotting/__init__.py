"""Plots: data and `ax` in, Axes out. Nothing here calls `show()` or writes a file.

Needs Matplotlib and seaborn only, which are imported when something is drawn. Figures come from `pyplot`, so a
notebook shows them and a script can call `matplotlib.pyplot.show()`.
"""

from imgcls.plotting._charts import confusion_matrix, curves, learning_rate_curve
from imgcls.plotting._images import image_grid

__all__ = ["confusion_matrix", "curves", "image_grid", "learning_rate_curve"]
