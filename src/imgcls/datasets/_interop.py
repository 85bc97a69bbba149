"""Data from and for other libraries: tf.data, Hugging Face datasets, PyTorch. None of them is imported before use."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls.datasets import _labels
from imgcls.datasets._parts import part_names
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError

if TYPE_CHECKING:
    from imgcls.datasets._dataset import Dataset

_INFINITE = -1  # what tf.data calls the number of elements of a dataset that repeats for ever


def from_tf(dataset: Any) -> tuple[list[NDArray[np.uint8]], Any, Sequence[Any] | None]:
    """Return the images, labels (or None) and class names (or None) of a `tf.data.Dataset`.

    Where there are class names, labels are those and no codes.
    """
    if not hasattr(dataset, "as_numpy_iterator"):
        message = f"dataset is a {type(dataset).__name__}. Accepted: a tf.data.Dataset of (image, label)."
        raise ConfigurationError(message)
    if int(dataset.cardinality()) == _INFINITE:
        message = "the tf.data.Dataset repeats for ever. Leave out repeat(), or end it with take(n)."
        raise ConfigurationError(message)
    images: list[NDArray[Any]] = []
    labels: list[Any] = []
    for element in dataset.as_numpy_iterator():
        image, label = _image_and_label(element)
        if _is_batch(image, label):
            images += list(image)
            labels += [] if label is None else list(label)
        else:
            images.append(image)
            labels += [] if label is None else [label]
    if not images:
        message = "the tf.data.Dataset holds no images. Give at least one."
        raise EmptyDatasetError(message)
    plain = [label.decode() if isinstance(label, bytes) else label for label in labels]
    names = getattr(dataset, "class_names", None)
    found = np.stack(plain) if plain else None
    return _whole(images), found if found is None or names is None else _named(found, names), names


def to_tf(dataset: "Dataset", batch_size: int, *, image_size: tuple[int, int], channels: int, seed: int | None) -> Any:
    """Return a `tf.data.Dataset` over our batches."""
    from imgcls import _backend
    from imgcls.datasets._batches import Batches

    batches = Batches(dataset, image_size=image_size, channels=channels, batch_size=batch_size)
    labels, epoch = dataset.labels, iter(range(2**62))

    def one_pass() -> Iterator[Any]:
        stream = batches.in_order() if seed is None else batches.shuffled(seed=seed, epoch=next(epoch))
        for images, positions in stream:
            yield images if labels is None else (images, labels[positions])

    shape = (None, *image_size, channels)
    return _backend.streamed(
        one_pass, len(batches), shape, None if labels is None else (labels.dtype, (None, *labels.shape[1:]))
    )


@final
class ForTorch:
    """A map-style dataset as PyTorch's `DataLoader` wants it: `len` and (image, label) at a position."""

    def __init__(self, dataset: "Dataset", size: tuple[int, int] | None, channels: int) -> None:
        self._dataset, self._size, self._channels = dataset, size, channels

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> Any:
        pixels = self._dataset.read(index, size=self._size, channels=self._channels)
        image = np.ascontiguousarray(pixels.transpose(2, 0, 1)).copy()  # tensors may be written to
        return image if self._dataset.labels is None else (image, self._dataset.labels[index])


@dataclass
class FromHub:
    """What a Hugging Face dataset holds."""

    images: "_Column"
    labels: Any
    classes: Sequence[Any] | None
    parts: list[str] | None


@final
class _Column:
    """The encoded images of one or several Hugging Face datasets, fetched when asked for."""

    def __init__(self, splits: Sequence[Any], image: str) -> None:
        import datasets

        self._splits = [one.select_columns([image]).cast_column(image, datasets.Image(decode=False)) for one in splits]
        self._image = image
        self._ends = np.cumsum([len(one) for one in splits])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: Any) -> Any:
        which = int(np.searchsorted(self._ends, index, side="right"))
        split = self._splits[which]
        cell = split[int(index) - int(self._ends[which]) + len(split)][self._image]
        if cell is None:  # a row without an image: the decoder refuses it in words
            return None
        return cell["bytes"] if cell["bytes"] is not None else cell["path"]


def from_huggingface(dataset: Any, image: str | None, label: str | None) -> FromHub:
    """Return the images, labels, classes and parts of a Hugging Face dataset or dictionary of splits."""
    named = dict(dataset) if isinstance(dataset, Mapping) else {"": dataset}
    needed = ("features", "select_columns", "with_format", "__len__")  # one that streams has no length
    if not named or not all(hasattr(one, name) for one in named.values() for name in needed):
        message = (
            f"dataset is a {type(dataset).__name__}. Accepted: a datasets.Dataset, or a dictionary of them, loaded "
            "without streaming=True."
        )
        raise ConfigurationError(message)
    names = part_names(named, "the dictionary of splits") if isinstance(dataset, Mapping) else None
    splits = [one.with_format(None) for one in named.values()]  # a format turns cells into tensors, or hides columns
    features = splits[0].features
    image = _column("image", image, features, "Image", ("image", "img"))
    label = _column("label", label, features, "ClassLabel", ("label", "labels"))
    labels = [one for split in splits for one in _labels_of(split, label)]
    known = [getattr(split.features[label], "names", None) for split in splits]
    classes = None if None in known else list(dict.fromkeys(name for one in known if one for name in one))
    parts = None if names is None else [name for name, one in zip(names, splits, strict=True) for _ in range(len(one))]
    return FromHub(_Column(splits, image), labels, classes, parts)


def _labels_of(split: Any, label: str) -> Sequence[Any]:
    """Return the labels of a split, as names where it has some: the code of a class may differ between splits."""
    column: Sequence[Any] = split[label]
    names = getattr(split.features[label], "names", None)
    if names is None:
        return column
    if any(code is None or code < 0 for code in column):  # the hub's sign for "no label"
        message = f"column {label!r} has images without a label (-1). Filter them out, or name another split."
        raise DataError(message)
    return _labels.named(column, names)


def _column(argument: str, given: str | None, features: Any, kind: str, usual: tuple[str, ...]) -> str:
    if given is not None and given in features:
        return given
    fitting = [name for name, feature in features.items() if type(feature).__name__ == kind]
    fitting = fitting if len(fitting) == 1 else [name for name in usual if name in features][:1]
    if given is not None or not fitting:
        message = f"{argument}={given!r} names no column. The columns are {', '.join(features)}: give {argument}=."
        raise ConfigurationError(message)
    return fitting[0]


def _image_and_label(element: Any) -> tuple[NDArray[Any], Any]:
    if isinstance(element, dict) and "image" in element:
        return np.asarray(element["image"]), element.get("label")
    if isinstance(element, tuple) and len(element) > 2:  # Keras' third is a weight
        message = (
            f"elements of the tf.data.Dataset hold {len(element)} things each. Accepted: (image, label). Leave out the "
            "others by map(lambda image, label, weight: (image, label)), and give weights as fit(sample_weight=...)."
        )
        raise ConfigurationError(message)
    if isinstance(element, tuple) and len(element) == 2:
        return np.asarray(element[0]), element[1]
    if isinstance(element, np.ndarray) and element.ndim in {3, 4}:
        return element, None
    message = 'elements of the tf.data.Dataset are neither (image, label), {"image": ..., "label": ...} nor images.'
    raise ConfigurationError(message)


def _is_batch(image: NDArray[Any], label: Any) -> bool:
    """Say whether it is a batch: (N, H, W, C); or (N, H, W) with N labels, which is no image of 1, 3 or 4 channels."""
    if image.ndim != 3:
        return image.ndim == 4
    return label is not None and image.shape[2] not in {1, 3, 4} and np.shape(label)[:1] == image.shape[:1]


def _named(labels: NDArray[Any], names: Sequence[Any]) -> list[Any]:
    """Return the names of labels: of codes (N,) or (N, 1), of one-hot rows, of rows that have several."""
    if labels.dtype.kind not in "biuf":  # names already
        return list(labels)
    if labels.ndim != 2 or labels.shape[1] == 1:
        return _labels.named(labels.reshape(-1), names)
    codes, _ = _labels.encode(labels, count=len(labels), classes=names)
    if codes.ndim == 1:
        return _labels.named(codes, names)
    return [_labels.named(np.flatnonzero(row), names) for row in codes]


def _whole(images: list[NDArray[Any]]) -> list[NDArray[np.uint8]]:
    """Round floating-point images 0-255, which tf.image.resize makes, to `uint8`."""
    if all(image.dtype == np.uint8 for image in images):
        return images
    low, high = np.min([image.min() for image in images]), np.max([image.max() for image in images])
    if np.isnan(low):  # Python's min and max pass over it
        message = (
            "images of the tf.data.Dataset have values that are NaN. Accepted: 0 to 255. Mend these images or leave "
            "them out."
        )
        raise DataError(message)
    if not (low >= 0 and 1 < high <= 255):
        message = (
            f"images of the tf.data.Dataset have values from {low:.4g} to {high:.4g}. Accepted: 0 to 255. Leave out "
            "the rescaling, which imgcls does inside the model."
        )
        raise DataError(message)
    return [np.round(image).astype(np.uint8) for image in images]
