"""Labelled images from any source, read by one decoder: folders, files, tables, arrays, well-known sets.

Needs NumPy and Pillow; neither Keras nor TensorFlow.
"""

from imgcls.datasets._batches import Batch, Batches
from imgcls.datasets._convert import as_dataset, is_one_image
from imgcls.datasets._data_report import DataReport
from imgcls.datasets._dataset import Dataset, Sample
from imgcls.datasets._duplicates import copies_in
from imgcls.datasets._findings import Finding
from imgcls.datasets._labels import is_missing
from imgcls.datasets._readable import ON_ERROR, check_readable, leave_out_unreadable
from imgcls.datasets._shortcuts import Shortcut, shortcuts
from imgcls.datasets._split import components
from imgcls.datasets._traces import Traces
from imgcls.datasets._turns import by_turns
from imgcls.images import read, resize, write_png

__all__ = [
    "ON_ERROR",
    "Batch",
    "Batches",
    "DataReport",
    "Dataset",
    "Finding",
    "Sample",
    "Shortcut",
    "Traces",
    "as_dataset",
    "by_turns",
    "check_readable",
    "components",
    "copies_in",
    "is_missing",
    "is_one_image",
    "leave_out_unreadable",
    "read",
    "resize",
    "shortcuts",
    "write_png",
]
