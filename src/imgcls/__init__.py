"""Turn labelled images into a classifier you can trust: `fit`, `evaluate`, `predict`.

The names below are loaded when they are first used (PEP 562), so that `import imgcls` is instant and silent:
neither TensorFlow nor Keras, scikit-learn or Matplotlib is imported, and nothing in the environment changes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from imgcls._version import __version__

if TYPE_CHECKING:
    from imgcls.classifier import ImageClassifier, NotFittedError, train
    from imgcls.datasets import DataReport, Dataset, Sample, as_dataset
    from imgcls.errors import (
        BundleError,
        CheckpointError,
        ConfigurationError,
        DataError,
        DataWarning,
        EmptyDatasetError,
        EngineWarning,
        ExportError,
        ImgclsError,
        TamperedBundleError,
        TrainingError,
        TrainingWarning,
        UnreadableImageError,
    )
    from imgcls.export import ExportedModel
    from imgcls.metrics import Evaluation
    from imgcls.predictions import Prediction, Predictions
    from imgcls.trainer import History

_HOMES = {
    "imgcls.classifier": ("ImageClassifier", "NotFittedError", "train"),
    "imgcls.datasets": ("DataReport", "Dataset", "Sample", "as_dataset"),
    "imgcls.errors": (
        "BundleError",
        "CheckpointError",
        "ConfigurationError",
        "DataError",
        "DataWarning",
        "EmptyDatasetError",
        "EngineWarning",
        "ExportError",
        "ImgclsError",
        "TamperedBundleError",
        "TrainingError",
        "TrainingWarning",
        "UnreadableImageError",
    ),
    "imgcls.export": ("ExportedModel",),
    "imgcls.metrics": ("Evaluation",),
    "imgcls.predictions": ("Prediction", "Predictions"),
    "imgcls.trainer": ("History",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
_ROOMS = (
    "architectures",
    "bundle",
    "datasets",
    "errors",
    "explain",
    "export",
    "inference",
    "metrics",
    "plotting",
    "predictions",
    "serving",
    "trainer",
    "transforms",
)

__all__ = [
    "BundleError",
    "CheckpointError",
    "ConfigurationError",
    "DataError",
    "DataReport",
    "DataWarning",
    "Dataset",
    "EmptyDatasetError",
    "EngineWarning",
    "Evaluation",
    "ExportError",
    "ExportedModel",
    "History",
    "ImageClassifier",
    "ImgclsError",
    "NotFittedError",
    "Prediction",
    "Predictions",
    "Sample",
    "TamperedBundleError",
    "TrainingError",
    "TrainingWarning",
    "UnreadableImageError",
    "__version__",
    "architectures",
    "as_dataset",
    "bundle",
    "datasets",
    "errors",
    "explain",
    "export",
    "inference",
    "metrics",
    "plotting",
    "predictions",
    "serving",
    "train",
    "trainer",
    "transforms",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    elif name in _ROOMS:
        value = import_module(f"imgcls.{name}")
    else:
        message = f"module 'imgcls' has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
