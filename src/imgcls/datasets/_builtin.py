"""Well-known sets: from scikit-learn, from files on disk, or through keras.datasets.

CIFAR's python batches are pickles. They are read by an unpickler that knows the four names they hold, puts harmless
stand-ins in their place and refuses every other name, so that a foreign file cannot run code.
"""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks
from imgcls.datasets._sources import check_arrays
from imgcls.errors import DataError

_DIGITS = tuple("0123456789")
_CLASSES: dict[str, tuple[str, ...]] = {
    "digits": _DIGITS,
    "mnist": _DIGITS,
    "fashion_mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "cifar100": (
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle", "bowl",
        "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle", "chair", "chimpanzee",
        "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant",
        "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower",
        "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom",
        "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate",
        "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark",
        "shrew", "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower",
        "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor", "train", "trout", "tulip",
        "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
    ),
}  # fmt: skip

_Half = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True)
class Loaded:
    """Images, codes, class names, and where each image belongs."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    parts: list[str] | None
    ids: list[str]


def load(name: str, path: Path | None) -> Loaded:
    """Load a well-known set by name."""
    _checks.refuse([_checks.unknown_name("name", name, tuple(_CLASSES))])
    if name == "digits":
        return _digits()
    train, test = _from_keras(name) if path is None else _from_disk(name, path)
    images, labels = np.concatenate([train[0], test[0]]), np.concatenate([train[1], test[1]])
    parts = ["train"] * len(train[1]) + ["test"] * len(test[1])
    ids = [f"train/{index:05d}" for index in range(len(train[1]))] + [
        f"test/{index:05d}" for index in range(len(test[1]))
    ]
    if labels.min() < 0 or labels.max() >= len(_CLASSES[name]):
        message = f"{str(path)!r} has labels from {labels.min()} to {labels.max()}: it is not {name}."
        raise DataError(message)
    return Loaded(images, labels, _CLASSES[name], parts, ids)


def _digits() -> Loaded:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images * 255 / 16).round().astype(np.uint8)  # scikit-learn's range is 0 to 16
    return Loaded(
        images, digits.target.astype(np.int64), _DIGITS, None, [f"{index:04d}" for index in range(len(images))]
    )


def _from_keras(name: str) -> tuple[_Half, _Half]:
    import keras

    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises bare Exception for a failed download
        message = f"{name} could not be downloaded: {error}. Download it elsewhere and give path= of the files."
        raise DataError(message) from error
    return _half(*train), _half(*test)


def _half(images: Any, labels: Any) -> _Half:
    return check_arrays(np.asarray(images)), np.asarray(labels, np.int64).reshape(-1)


def _from_disk(name: str, path: Path) -> tuple[_Half, _Half]:
    if not path.exists():
        message = f"{str(path)!r} does not exist. Check the path and the working directory."
        raise DataError(message)
    try:
        if path.suffix.lower() == ".npz":
            return _from_npz(path)
        return _from_cifar(name, path) if name.startswith("cifar") else _from_idx(path)
    except DataError:
        raise
    except zipfile.BadZipFile as error:
        message = f"{str(path)!r} is not an .npz file: {error}."
        raise DataError(message) from error
    except Exception as error:  # damaged archives, arrays and pickles raise nearly anything
        cause = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        message = f"{str(path)!r} cannot be read as {name}: {cause}."
        raise DataError(message) from error


def _from_npz(path: Path) -> tuple[_Half, _Half]:
    with np.load(path, allow_pickle=False) as arrays:
        return _half(arrays["x_train"], arrays["y_train"]), _half(arrays["x_test"], arrays["y_test"])


def _from_idx(folder: Path) -> tuple[_Half, _Half]:
    return (
        _half(_idx(folder, "train-images-idx3-ubyte"), _idx(folder, "train-labels-idx1-ubyte")),
        _half(_idx(folder, "t10k-images-idx3-ubyte"), _idx(folder, "t10k-labels-idx1-ubyte")),
    )


def _idx(folder: Path, stem: str) -> NDArray[np.uint8]:
    """Read one IDX file: two zero bytes, type 8 (unsigned byte), the number of axes, their lengths, the data."""
    names = [stem, stem.replace("-idx", ".idx")]
    files = [folder / f"{name}{ending}" for name in names for ending in (".gz", "")]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        message = (
            f"{str(folder)!r} has no {files[0].name}. Accepted: a folder with the four IDX files, or an .npz file."
        )
        raise DataError(message)
    data = gzip.decompress(file.read_bytes()) if file.suffix.lower() == ".gz" else file.read_bytes()
    zeros, kind, axes = struct.unpack(">HBB", data[:4])
    if zeros or kind != 8:
        message = f"{str(file)!r} is not an IDX file of unsigned bytes."
        raise DataError(message)
    shape = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _from_cifar(name: str, path: Path) -> tuple[_Half, _Half]:
    halves: dict[str, list[_Half]] = {"train": [], "test": []}
    files = dict(_cifar_files(path))
    for stem, data in sorted(files.items()):
        if stem.removesuffix(".bin") != stem and stem.removesuffix(".bin") in files:
            continue  # both versions are there, and one is enough
        part = "test" if stem.startswith("test") else "train"
        halves[part].append(_cifar_binary(name, data) if stem.endswith(".bin") else _cifar_python(name, data))
    if not halves["train"] or not halves["test"]:
        message = (
            f"{str(path)!r} has no {name} batches. Accepted: a folder or .tar.gz with data_batch_1 to 5 and test_batch "
            "(cifar10) or train and test (cifar100), python or .bin version."
        )
        raise DataError(message)
    train, test = (
        (np.concatenate([images for images, _ in half]), np.concatenate([labels for _, labels in half]))
        for half in halves.values()
    )
    return train, test


def _cifar_files(path: Path) -> Iterator[tuple[str, bytes]]:
    wanted = {f"data_batch_{number}{ending}" for number in range(1, 6) for ending in ("", ".bin")}
    wanted |= {f"{stem}{ending}" for stem in ("test_batch", "train", "test") for ending in ("", ".bin")}
    if path.is_dir():
        for file in path.rglob("*"):
            if file.is_file() and file.name in wanted:
                yield file.name, file.read_bytes()
        return
    with tarfile.open(path) as archive:  # members are read, never extracted
        for member in archive:
            stem = member.name.rsplit("/", 1)[-1]
            stream = archive.extractfile(member) if member.isfile() and stem in wanted else None
            if stream is not None:
                yield stem, stream.read()


def _cifar_binary(name: str, data: bytes) -> _Half:
    label_bytes = 1 if name == "cifar10" else 2  # cifar100: coarse label, then fine label
    records = np.frombuffer(data, np.uint8).reshape(-1, label_bytes + 3072)
    return _cifar_images(records[:, label_bytes:]), records[:, label_bytes - 1].astype(np.int64)


def _cifar_python(name: str, data: bytes) -> _Half:
    batch = _PlainUnpickler(io.BytesIO(data), encoding="bytes").load()
    labels = batch[b"labels" if name == "cifar10" else b"fine_labels"]
    return _cifar_images(_array(batch[b"data"])), np.asarray(labels, np.int64)


def _array(stand_in: Any) -> NDArray[np.uint8]:
    if isinstance(stand_in, _StandIn) and isinstance(stand_in.state, tuple) and len(stand_in.state) == 5:
        _, shape, dtype, fortran, data = stand_in.state
        if isinstance(dtype, _StandIn) and dtype.arguments[:1] in {("u1",), (b"u1",)}:
            return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")
    message = "its images are not unsigned bytes"
    raise ValueError(message)


def _cifar_images(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


class _StandIn:
    """Takes what a pickle gives to an array or a dtype: damaged, it would reach into the memory of NumPy's own."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        message = f"it asks for the codec {encoding!r}, which no CIFAR batch contains"
        raise pickle.UnpicklingError(message)
    return text.encode("latin1")


class _PlainUnpickler(pickle.Unpickler):
    """Unpickles dicts, lists, numbers, bytes and, as stand-ins, NumPy arrays; refuses every other name."""

    _KNOWN = {  # noqa: RUF012 - a table
        ("numpy.core.multiarray", "_reconstruct"): _StandIn,
        ("numpy._core.multiarray", "_reconstruct"): _StandIn,
        ("numpy", "ndarray"): _StandIn,
        ("numpy", "dtype"): _StandIn,
        ("_codecs", "encode"): _latin1,  # how Python 3 writes bytes into old pickles
    }

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        known = self._KNOWN.get((module_name, global_name))
        if known is None:
            message = f"it asks for {module_name}.{global_name}, which no CIFAR batch contains"
            raise pickle.UnpicklingError(message)
        return known
