"""One road: whatever `fit`, `evaluate` and `predict` are given becomes a Dataset here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgcls import images
from imgcls._checks import some
from imgcls.datasets import _folders, _paths, _sources, _tables
from imgcls.datasets._dataset import Dataset
from imgcls.datasets._labels import are_labels, are_several_names
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError

_ACCEPTED = (
    "Accepted: a Dataset, a folder, a list of paths or images, an array (N, H, W[, C]), a pandas frame, a .csv file, "
    "a finite tf.data.Dataset."
)


def as_dataset(
    data: Any,
    labels: Any = None,
    *,
    labelled: bool = True,
    classes: Sequence[Any] | None = None,
    multi_label: bool | None = None,
) -> Dataset:
    """Turn anything with images in it into a Dataset.

    Args:
        data: A Dataset; a folder; a list of paths, bytes, PIL images or arrays; an array `uint8 (N, H, W[, C])`; a
            pandas frame with the columns `image` and `label`; a `.csv` file with them; a glob such as "new/*.jpg"; a
            finite `tf.data.Dataset`, which is taken into memory.
        labels: N labels, where `data` does not carry its own.
        labelled: Whether labels are needed. Without, a folder may hold images directly, and a table needs no column
            `label`: one that holds something else, or not a label for each image, is passed over.
        classes: What names are among where `labels` say several an image, and in which order they are coded; None for
            those found.
        multi_label: As in `Dataset.from_arrays`, for `labels`.

    Raises:
        ConfigurationError: `data` is nothing that holds images, or what other libraries make batches of.
        DataError: Labels are missing, or given twice.

    Examples:
        >>> import numpy as np
        >>> from imgcls import as_dataset
        >>> as_dataset(np.zeros((2, 28, 28), np.uint8), ["cat", "dog"])
        Dataset(2 images, 2 classes: 'cat', 'dog')
    """
    by_name = hasattr(labels, "__len__") and are_several_names(labels, multi_label)
    coding = {} if labels is None else {"classes": classes if by_name else None, "multi_label": multi_label}
    dataset = _convert(data, labels, labelled, coding)
    if labelled and dataset.labels is None:
        message = "there are no labels. Give y, or data that carries labels: a Dataset, class folders, a frame."
        raise DataError(message)
    return dataset


def unlabelled(path: str | Path, *, image: str = "image", root: str | Path | None = None) -> Dataset:
    """Read the images of a .csv file, as `Dataset.from_csv` does, without labels.

    Raises:
        ConfigurationError: There is no column `image`.
        DataError: A file does not exist.
    """
    return _images_of(_tables.read_csv(Path(path)), image, Path(path).parent if root is None else root)


def is_one_image(data: Any, *, channels: int = 3) -> bool:
    """Say whether `data` is one image, not many: a file, bytes, a PIL image, an array (H, W) or (H, W, C).

    An array of three dimensions is one image where C is 1, 3, 4 or `channels`, else N grayscale ones.

    Examples:
        >>> import numpy as np
        >>> from imgcls.datasets import is_one_image
        >>> is_one_image("cat.jpg"), is_one_image("photos/*.jpg")
        (True, False)
        >>> is_one_image(np.zeros((28, 28, 3), np.uint8)), is_one_image(np.zeros((3, 28, 28), np.uint8))
        (True, False)
    """
    if isinstance(data, str | Path):
        return not (_paths.is_glob(data) or Path(data).is_dir() or Path(data).suffix.lower() == ".csv")
    if isinstance(data, np.ndarray):
        return data.ndim == 2 or (data.ndim == 3 and data.shape[2] in {1, 3, 4, channels})
    return isinstance(data, bytes | bytearray | memoryview) or images.is_pil(data)


def _convert(data: Any, labels: Any, labelled: bool, coding: dict[str, Any]) -> Dataset:
    _refuse_labels_twice(data, labels)
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str | Path):
        return _from_path(data, labels, labelled, coding)
    if isinstance(data, bytes | bytearray) or images.is_pil(data):
        return Dataset([data], labels, **coding)
    if hasattr(data, "columns"):
        return _from_frame(data, labelled)
    if isinstance(data, np.ndarray) and data.dtype.kind not in "OUS":
        return Dataset.from_arrays(data, labels, **coding)
    if hasattr(data, "as_numpy_iterator"):
        return Dataset.from_tf(data)
    items = _items(data)
    if all(isinstance(item, str | Path) for item in items):
        return Dataset.from_files(items, labels, **coding)
    return Dataset.from_arrays(items, labels, **coding)


def _items(data: Any) -> list[Any]:
    """Return what `data` holds, a path or an image each; refuse batches, which may have no end, at the first."""
    name = type(data).__name__
    if hasattr(data, "on_epoch_end") and hasattr(data, "__getitem__"):  # a PyDataset or an older Iterator
        message = (
            f"data is a {name}, which makes batches for Keras, perhaps without end. Give what it reads: "
            "Dataset.from_folder for flow_from_directory, Dataset.from_frame for flow_from_dataframe, or the arrays."
        )
        raise ConfigurationError(message)
    if isinstance(data, Mapping) and data:
        message = (
            f"data is a {name} with the keys {some(list(data))}, which are no images. {_ACCEPTED} Give images and "
            "labels apart, or use what reads parts by their names: Dataset.from_huggingface of a dictionary of splits, "
            "Dataset.from_folder of a folder."
        )
        raise ConfigurationError(message)
    try:
        each = iter(data)
    except TypeError:
        message = f"data is a {name}. {_ACCEPTED}"
        raise ConfigurationError(message) from None
    items = []
    for item in each:
        if isinstance(item, tuple | list | dict):
            message = (
                f"data is a {name} of {type(item).__name__}s, which are no images. {_ACCEPTED} Give images and labels "
                "apart, or use what reads them: Dataset.from_folder, Dataset.from_tf, Dataset.from_huggingface."
            )
            raise ConfigurationError(message)
        items.append(item)
    if not items:
        message = "the list of images is empty. Give at least one image."
        raise EmptyDatasetError(message)
    return items


def _refuse_labels_twice(data: Any, labels: Any) -> None:
    if labels is None:
        return
    if hasattr(data, "as_numpy_iterator"):
        message = "y is given beside a tf.data.Dataset. Give it elements (image, label), and leave y out."
        raise DataError(message)
    carries_labels = isinstance(data, Dataset) or hasattr(data, "columns")
    if carries_labels or (isinstance(data, str | Path) and not _paths.is_glob(data)):
        message = f"y is given, but {type(data).__name__} data carries its own labels. Leave y out."
        raise DataError(message)


def _from_frame(frame: Any, labelled: bool, root: Path | None = None) -> Dataset:
    _tables.check_frame(frame)
    if labelled or ("label" in frame.columns and are_labels(frame["label"].to_numpy())):
        return Dataset.from_frame(frame, root=root)
    return _images_of(frame, "image", root)


def _images_of(frame: Any, image: str, root: str | Path | None) -> Dataset:
    _tables.check_columns(frame, [image])
    names = _tables.file_names(frame[image])
    return Dataset(_sources.existing(names, root=root), ids=names)


def _from_path(path: str | Path, labels: Any, labelled: bool, coding: dict[str, Any]) -> Dataset:
    if _paths.is_glob(path):
        return Dataset.from_files(path, labels, **coding)
    if Path(path).suffix.lower() == ".csv":
        return _from_frame(_tables.read_csv(Path(path)), labelled, root=Path(path).parent)
    if labelled:
        if Path(path).is_file():
            message = (
                f"{str(path)!r} is a file. Accepted: a folder with a sub-folder for each class, or a .csv file with "
                "the columns image and label."
            )
            raise DataError(message)
        return Dataset.from_folder(path)
    folder = Path(path)
    if folder.is_file():
        return Dataset.from_files([folder])
    _paths.check_exists(folder, "file or folder")
    names, ignored = _folders.below(folder)
    files = _sources.Files(folder, names)
    return Dataset(files, ids=[str(file) for file in files], ignored=ignored)
