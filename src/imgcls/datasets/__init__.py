"""Labelled images from any source, read by one decoder: folders, files, tables, arrays, well-known sets.

Needs NumPy and Pillow; neither Keras nor TensorFlow.
"""

from imgcls.datasets._batches import Batch, Batches, check_readable
from imgcls.datasets._convert import as_dataset, is_one_image
from imgcls.datasets._dataset import Dataset, Sample
from imgcls.datasets._images import read, resize, write_png

__all__ = [
    "Batch",
    "Batches",
    "Dataset",
    "Sample",
    "as_dataset",
    "check_readable",
    "is_one_image",
    "read",
    "resize",
    "write_png",
]
