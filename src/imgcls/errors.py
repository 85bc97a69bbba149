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
├── DataWarning             images are left out, or are not read or counted as some would expect
├── EngineWarning           another engine answers than the one that was asked for
└── TrainingWarning         training went on, but not as it should
```

`NotFittedError` stands in `imgcls.classifier`, because its other parent is scikit-learn's and this file imports
nothing.
"""


class ImgclsError(Exception):
    """The root: `except imgcls.ImgclsError` catches everything that imgcls raises on purpose.

    Examples:
        >>> import imgcls
        >>> try:
        ...     imgcls.Dataset.from_folder("nowhere")
        ... except imgcls.ImgclsError as error:
        ...     print(type(error).__name__)
        DataError
    """


class ConfigurationError(ImgclsError, ValueError):
    """An argument is wrong; the message lists every problem found, what is accepted and the nearest name.

    Examples:
        >>> from imgcls import ConfigurationError, transforms
        >>> try:
        ...     transforms.mixing("mixip")
        ... except ConfigurationError as error:
        ...     print(error)
        mixing='mixip' is not known. Did you mean 'mixup'? Accepted: mixup, cutmix, both.
    """


class DataError(ImgclsError, ValueError):
    """Images or labels cannot be used as they are.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Dataset
        >>> Dataset.from_arrays(np.zeros((3, 8, 8), np.uint8), ["cat", "dog"])
        Traceback (most recent call last):
        imgcls.errors.DataError: there are 3 images and 2 labels. Give one label for each image.
    """


class EmptyDatasetError(DataError):
    """There are no images where images were expected.

    Examples:
        >>> from imgcls import Dataset
        >>> Dataset([])
        Traceback (most recent call last):
        imgcls.errors.EmptyDatasetError: there are no images. Give at least one.
    """


class UnreadableImageError(DataError):
    """A file, byte string or array is not an image that imgcls reads.

    Attributes:
        id: The name of the image, where it is one of many.

    Examples:
        >>> from imgcls import UnreadableImageError, datasets
        >>> try:
        ...     datasets.read("nowhere.png")
        ... except UnreadableImageError as error:
        ...     print(error)
        'nowhere.png' does not exist. Check the path, and the working directory if the path is relative.
    """

    id: str = ""


class TrainingError(ImgclsError):
    """Training cannot go on: the loss is not a number, memory does not hold one image, another worker is lost.

    Examples:
        >>> import keras
        >>> from imgcls import Dataset, TrainingError, architectures, trainer
        >>> model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
        >>> far_too_high = keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(1e38, 9))
        >>> try:
        ...     trainer.train(model, Dataset.builtin("digits")[:100], optimizer=far_too_high, verbose=0)
        ... except TrainingError as error:
        ...     print(str(error).partition(",")[0])
        the loss became NaN or infinite at epoch 1/10
    """


class CheckpointError(TrainingError):
    """A folder of checkpoints is of another run or version, in use by another process, or cannot be read or written.

    Examples:
        >>> from pathlib import Path
        >>> from imgcls import CheckpointError, Dataset, architectures, trainer
        >>> model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
        >>> _ = Path("run").write_text("a file, where a folder is wanted")
        >>> try:
        ...     trainer.train(model, Dataset.builtin("digits"), checkpoint="run", verbose=0)
        ... except CheckpointError as error:
        ...     print(error)
        checkpoint='run' is a file. Accepted: a folder, which is made where it does not exist.
    """


class BundleError(ImgclsError):
    """A model file is not a bundle, is of another version, or does not fit its own description.

    Examples:
        >>> import pickle
        >>> from pathlib import Path
        >>> from imgcls import BundleError, bundle
        >>> _ = Path("model.pkl").write_bytes(pickle.dumps(["cat", "dog"]))  # to open one may run code
        >>> try:
        ...     bundle.load("model.pkl")
        ... except BundleError as error:
        ...     print(str(error).partition(". ")[0])
        'model.pkl' is a pickle
    """


class TamperedBundleError(BundleError):
    """The bytes of a bundle are not the ones that were saved: truncated, damaged or altered.

    Examples:
        >>> from zipfile import ZipFile
        >>> from imgcls import TamperedBundleError, bundle
        >>> with ZipFile("model.imgcls", "w") as file:
        ...     file.writestr("manifest.json", "{}")  # and no seal
        >>> try:
        ...     bundle.load("model.imgcls")
        ... except TamperedBundleError as error:
        ...     print(error)
        'model.imgcls' is not as it was saved: it is truncated, damaged or altered. Get the file again.
    """


class ExportError(ImgclsError):
    """A model cannot be exported, or an exported file cannot be opened or does not give what its certificate says.

    Examples:
        >>> from imgcls import ExportedModel
        >>> ExportedModel.open("nowhere.onnx")
        Traceback (most recent call last):
        imgcls.errors.ExportError: 'nowhere.onnx' does not exist. Check the path and the working directory.
    """


class DataWarning(UserWarning):
    """Something about the images should be known: some cannot be read and were left out, for instance.

    In training it warns from 1 % of them on, in evaluation of any. Others are classes without an image to learn from, a
    fourth channel that is taken for transparency, and a score of images whose class was not learnt.

    Examples:
        >>> import warnings
        >>> import numpy as np
        >>> from imgcls import Dataset, datasets
        >>> two = Dataset([np.zeros((8, 8), np.uint8), b"no image"])
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     rest, quarantined = datasets.leave_out_unreadable(two, say=lambda line: None)
        >>> caught[0].category.__name__, len(rest), list(quarantined)
        ('DataWarning', 1, ['1'])
    """


class EngineWarning(UserWarning):
    """A bundle was saved with an engine that is not installed here, and TensorFlow answers in its place.

    Examples:
        >>> import warnings
        >>> from imgcls import Dataset, EngineWarning, ImageClassifier
        >>> fitted = ImageClassifier("small_cnn", epochs=1).fit(Dataset.builtin("digits")[:100], verbose=0)
        >>> path = fitted.save("digits.imgcls")
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("error", EngineWarning)  # where no other engine will do
        ...     loaded = ImageClassifier.load(path)
    """


class TrainingWarning(UserWarning):
    """Training went on, but not as it should: the loss was no number, or checkpoints are damaged or cannot be written.

    Examples:
        >>> import warnings
        >>> import keras
        >>> from imgcls import Dataset, architectures, trainer
        >>> digits, broken = Dataset.builtin("digits")[:100], iter([float("nan")])
        >>> model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
        >>> def spoil(batch, logs=None):  # the first time, one weight is no number
        ...     model.set_weights([weight * next(broken, 1.0) for weight in model.get_weights()])
        >>> spoiler = keras.callbacks.LambdaCallback(on_train_batch_begin=spoil)
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     history = trainer.train(model, digits, epochs=2, callbacks=[spoiler], verbose=0)
        >>> [str(one.message).partition(",")[0] for one in caught if one.category.__name__ == "TrainingWarning"]
        ['the loss became NaN or infinite at epoch 1/2']
        >>> history.epochs
        2
    """
