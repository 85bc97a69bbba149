"""The exceptions of imgcls. Each message names the file or argument, the cause and the fix.

```
ImgclsError
├── ConfigurationError      an argument is wrong                      (also ValueError)
├── DataError               images or labels cannot be used           (also ValueError)
│   ├── EmptyDatasetError       there are no images
│   └── UnreadableImageError    a file or array is not an image we read
├── TrainingError           training cannot go on
│   └── CheckpointError         a folder of checkpoints cannot be used
├── BundleError             a model file cannot be used
│   └── TamperedBundleError     its bytes are not the ones that were saved
├── ExportError             an exported file cannot be made, opened or trusted
└── NotFittedError          predict before fit                        (also scikit-learn's)
UserWarning
├── DataWarning             images cannot be read and are left out
└── TrainingWarning         training went on, but not as it should
```

`NotFittedError` stands in `imgcls.classifier`, because its other parent is scikit-learn's and this file imports
nothing.
"""


class ImgclsError(Exception):
    """The root: `except imgcls.ImgclsError` catches everything that imgcls raises on purpose."""


class ConfigurationError(ImgclsError, ValueError):
    """An argument is wrong; the message lists every problem found, what is accepted and the nearest name."""


class DataError(ImgclsError, ValueError):
    """Images or labels cannot be used as they are."""


class EmptyDatasetError(DataError):
    """There are no images where images were expected."""


class UnreadableImageError(DataError):
    """A file, byte string or array is not an image that imgcls reads.

    Attributes:
        id: The name of the image, where it is one of many.
    """

    id: str = ""


class TrainingError(ImgclsError):
    """Training cannot go on: the loss is not a number, memory does not hold one image, another worker is lost."""


class CheckpointError(TrainingError):
    """A folder of checkpoints is of another run, in use by another process, or cannot be written to."""


class BundleError(ImgclsError):
    """A model file is not a bundle, is of another version, or does not fit its own description."""


class TamperedBundleError(BundleError):
    """The bytes of a bundle are not the ones that were saved: truncated, damaged or altered."""


class ExportError(ImgclsError):
    """A model cannot be exported, or an exported file cannot be opened or does not give what its certificate says."""


class DataWarning(UserWarning):
    """Images cannot be read and were left out: more than 1 % in training, any in evaluation."""


class TrainingWarning(UserWarning):
    """Training went on, but not as it should: the loss was not a number, or checkpoints cannot be written."""
