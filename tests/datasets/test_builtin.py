"""Well-known sets, from files that these tests write in the formats that their authors describe."""

import codecs
import gzip
import io
import pickle
import re
import struct
import tarfile

import numpy as np
import pytest
from sklearn.datasets import load_digits

from imgcls.datasets import Dataset
from imgcls.errors import ConfigurationError, DataError

RANDOM = np.random.default_rng(0)
STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR = {f"data_batch_{number}": number for number in range(1, 6)} | {"test_batch": 6}


def test_digits_are_scikit_learns():
    data, truth = Dataset.builtin("digits"), load_digits()
    assert data.labels.tolist() == truth.target.tolist()
    assert data.classes == tuple("0123456789")
    for index in (0, 900, 1796):
        np.testing.assert_allclose(data[index].image[..., 0], truth.images[index] * 255 / 16, atol=0.5)


# --- MNIST -----------------------------------------------------------------------------------------------------------


def test_mnist_from_npz(shared_data):
    data = Dataset.builtin("mnist", path=shared_data / "mnist" / "mnist.npz")
    with np.load(shared_data / "mnist" / "mnist.npz") as arrays:
        np.testing.assert_array_equal(data.labels, np.concatenate([arrays["y_train"], arrays["y_test"]]))
        np.testing.assert_array_equal(data[69_999].image[..., 0], arrays["x_test"][-1])
    assert [len(part) for part in data.split()] == [60_000, 10_000]
    assert data.subset("test").ids[0] == "test/00000"


@pytest.mark.parametrize("half", ["x_train", "x_test"])
def test_images_from_0_to_1_are_refused_in_words(tmp_path, halves, half):
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), halves, strict=True))
    np.savez(tmp_path / "whole.npz", **arrays | {half: arrays[half].astype(np.int64)})
    np.testing.assert_array_equal(Dataset.builtin("mnist", path=tmp_path / "whole.npz")[7].image[..., 0], halves[2][1])
    np.savez(tmp_path / "shares.npz", **arrays | {half: arrays[half] / arrays[half].max()})
    with pytest.raises(DataError) as caught:
        Dataset.builtin("mnist", path=tmp_path / "shares.npz")
    assert str(caught.value) == (
        "the array of images has dtype float64 and values from 0 to 1. Accepted: dtype uint8, values 0 to 255. "
        "Convert: (images * 255).round().astype('uint8')."
    )


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def halves():
    return [
        RANDOM.integers(0, 256, (6, 28, 28), dtype=np.uint8),
        np.arange(6, dtype=np.uint8),
        RANDOM.integers(0, 256, (3, 28, 28), dtype=np.uint8),
        np.array([9, 8, 7], np.uint8),
    ]


@pytest.mark.parametrize("ending", [".gz", ""])
@pytest.mark.parametrize("dot", ["-idx", ".idx"])
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_mnist_from_idx_files(tmp_path, halves, ending, dot, name):
    for stem, array in zip(STEMS, halves, strict=True):
        data = gzip.compress(idx(array)) if ending else idx(array)
        (tmp_path / f"{stem.replace('-idx', dot)}{ending}").write_bytes(data)
    data = Dataset.builtin(name, path=tmp_path)
    assert data.labels.tolist() == [0, 1, 2, 3, 4, 5, 9, 8, 7]
    assert data.parts.tolist() == ["train"] * 6 + ["test"] * 3
    np.testing.assert_array_equal(data[7].image[..., 0], halves[2][1])
    assert data[6].label == ("9" if name == "mnist" else "Ankle boot")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (b"", r"'.*' cannot be read as mnist: unpack requires a buffer of 4 bytes\."),
        (b"\0\0\x08", r"'.*' cannot be read as mnist: unpack requires a buffer of 4 bytes\."),
        (b"\1\0\x08\1\0\0\0\0", r"'.*train-labels-idx1-ubyte' is not an IDX file of unsigned bytes\."),
        (b"\0\0\x0d\1\0\0\0\0", r"'.*train-labels-idx1-ubyte' is not an IDX file of unsigned bytes\."),
        (idx(np.zeros(9, np.uint8))[:-1], r"'.*' cannot be read as mnist: cannot reshape array of size 8 into .*"),
        (idx(np.zeros(5, np.uint8)), r"there are 9 images and 8 labels\. Give one label for each image\."),
        (
            idx(np.full(6, 11, np.uint8)),
            r"'.*' has labels from 7 to 11: it is not mnist\.",
        ),
    ],
)
def test_a_broken_idx_file_is_refused_in_words(tmp_path, halves, broken, words):
    for stem, array in zip(STEMS, halves, strict=True):
        (tmp_path / stem).write_bytes(idx(array))
    (tmp_path / STEMS[1]).write_bytes(broken)
    with pytest.raises(DataError) as caught:
        Dataset.builtin("mnist", path=tmp_path)
    assert re.fullmatch(words, str(caught.value))


def test_every_damaged_gzip_is_refused_or_read(tmp_path, halves):
    for stem, array in zip(STEMS, halves, strict=True):
        (tmp_path / stem).write_bytes(idx(array))
    whole = gzip.compress(idx(halves[1]))
    refused = 0
    for position in range(len(whole)):
        (tmp_path / f"{STEMS[1]}.gz").write_bytes(
            bytes([*whole[:position], whole[position] ^ 255, *whole[position + 1 :]])
        )
        try:
            Dataset.builtin("mnist", path=tmp_path)
        except DataError:
            refused += 1
    assert refused > len(whole) / 2  # the time stamp and the name in a gzip header are free


@pytest.mark.parametrize(
    ("name", "path", "kind", "words"),
    [
        (
            "minst",
            None,
            ConfigurationError,
            (
                "name='minst' is not known. Did you mean 'mnist'? "
                "Accepted: digits, mnist, fashion_mnist, cifar10, cifar100."
            ),
        ),
        ("mnist", "no", DataError, "'no' does not exist. Check the path and the working directory."),
        (
            "mnist",
            ".",
            DataError,
            "'.' has no train-images-idx3-ubyte.gz. Accepted: a folder with the four IDX files, or an .npz file.",
        ),
        (
            "cifar10",
            ".",
            DataError,
            (
                "'.' has no cifar10 batches. Accepted: a folder or .tar.gz with data_batch_1 to 5 and test_batch "
                "(cifar10) or train and test (cifar100), python or .bin version."
            ),
        ),
        (
            "mnist",
            "text.npz",
            DataError,
            "'text.npz' cannot be read as mnist: This file contains pickled (object) data.",
        ),
        ("mnist", "half.npz", DataError, "'half.npz' cannot be read as mnist: it lacks"),
    ],
)
def test_what_is_not_there_is_refused_in_words(tmp_path, monkeypatch, name, path, kind, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.npz").write_bytes(b"text, and no archive")
    np.savez(tmp_path / "half.npz", x_train=np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(kind) as caught:
        Dataset.builtin(name, path=path)
    assert str(caught.value).startswith(words)  # NumPy ends the sentence in its own way


# --- CIFAR -----------------------------------------------------------------------------------------------------------


def batch(number, classes=10):
    """Return two records of a batch: pixels in planes of red, green and blue, and labels."""
    planes = np.random.default_rng(number).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    return planes, [number % classes, 9]


def python_2(value):
    """Pickle under the name that NumPy had before 2.0, as the authors of CIFAR did."""
    return pickle.dumps(value, protocol=2).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def pickled(number, protocol):
    planes, labels = batch(number)
    value = {b"data": planes.reshape(2, -1), b"labels": labels, b"batch_label": b"some"}
    return python_2(value) if protocol == 2 else pickle.dumps(value, protocol=protocol)


def binary(number):
    planes, labels = batch(number)
    return b"".join(bytes([label]) + plane.tobytes() for label, plane in zip(labels, planes, strict=True))


def write(folder, files, *, packed):
    """Write files into a folder, or into a .tar.gz with that folder inside; return the path to give."""
    if not packed:
        for name, data in files.items():
            (folder / "inside").mkdir(exist_ok=True)
            (folder / "inside" / name).write_bytes(data)
        return folder
    with tarfile.open(folder / "cifar.tar.gz", "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"inside/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return folder / "cifar.tar.gz"


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar.gz"])
@pytest.mark.parametrize("kind", ["protocol 2", "protocol 4", "binary"])
def test_cifar10(tmp_path, kind, packed):
    if kind == "binary":
        files = {f"{name}.bin": binary(number) for name, number in CIFAR.items()}
    else:
        files = {name: pickled(number, int(kind[-1])) for name, number in CIFAR.items()}
    data = Dataset.builtin("cifar10", path=write(tmp_path, files | {"readme.html": b"x"}, packed=packed))
    assert data.labels.tolist() == [1, 9, 2, 9, 3, 9, 4, 9, 5, 9, 6, 9]
    assert data.parts.tolist() == ["train"] * 10 + ["test"] * 2
    assert data[0].label == "automobile"
    np.testing.assert_array_equal(data[4].image, batch(3)[0][0].transpose(1, 2, 0))


@pytest.mark.parametrize("kind", ["python", "binary"])
def test_cifar100_uses_fine_labels(tmp_path, kind):
    files = {}
    for name, number in (("train", 1), ("test", 2)):
        planes, labels = batch(number)
        if kind == "python":
            value = {b"data": planes.reshape(2, -1), b"coarse_labels": [0, 0], b"fine_labels": labels}
            files[name] = python_2(value)
        else:
            records = zip(labels, planes, strict=True)
            files[f"{name}.bin"] = b"".join(bytes([0, label]) + plane.tobytes() for label, plane in records)
    data = Dataset.builtin("cifar100", path=write(tmp_path, files, packed=False))
    assert data.labels.tolist() == [1, 9, 2, 9]
    assert (len(data.classes), data[0].label) == (100, "aquarium_fish")


class Hostile:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize(("call", "name"), [(open, "io.open"), (exec, "__builtin__.exec"), (eval, "__builtin__.eval")])
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar.gz"])
def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(tmp_path, call, name, packed):
    victim = tmp_path / "victim"
    evil = Hostile(call, *((str(victim), "w") if call is open else (f"open({str(victim)!r}, 'w').close()",)))
    data = pickle.dumps({b"data": evil, b"labels": [0]}, protocol=2)
    path = write(tmp_path, {"data_batch_1": data}, packed=packed)
    with pytest.raises(DataError) as caught:
        Dataset.builtin("cifar10", path=path)
    assert str(caught.value) == (
        f"{str(path)!r} cannot be read as cifar10: it asks for {name}, which no CIFAR batch contains."
    )
    assert not victim.exists()
    opened = pickle.loads(data)[b"data"]  # the same pickle bites where nobody looks
    assert victim.exists()
    if opened is not None:
        opened.close()


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (np.zeros((1, 3072), np.float32), "its images are not unsigned bytes"),
        ([0] * 3072, "its images are not unsigned bytes"),
        (np.zeros((1, 3071), np.uint8), "cannot reshape array of size 3071 into shape (3,32,32)"),
        (Hostile(codecs.encode, "eJw=", "rot13"), "it asks for the codec 'rot13', which no CIFAR batch contains"),
        (None, "it lacks b'data'"),
    ],
)
def test_a_batch_of_something_else_is_refused_in_words(tmp_path, data, cause):
    value = {b"labels": [0]} | ({} if data is None else {b"data": data})
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(value, protocol=2))
    with pytest.raises(DataError) as caught:
        Dataset.builtin("cifar10", path=tmp_path)
    assert str(caught.value) == f"{str(tmp_path)!r} cannot be read as cifar10: {cause}."


def test_every_damaged_pickle_is_refused_or_read(tmp_path):
    """Each byte outside the pixels, flipped: a DataError or images, never another exception."""
    whole = pickled(1, 2)
    start = whole.index(batch(1)[0].tobytes()[:8].decode("latin1").encode()[:8])
    (tmp_path / "test_batch").write_bytes(pickled(6, 2))
    refused = 0
    for position in [*range(start), *range(len(whole) - 120, len(whole))]:
        damaged = bytes([*whole[:position], whole[position] ^ 255, *whole[position + 1 :]])
        (tmp_path / "data_batch_1").write_bytes(damaged)
        try:
            Dataset.builtin("cifar10", path=tmp_path)
        except DataError:
            refused += 1
    assert refused > start / 2
