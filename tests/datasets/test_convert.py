"""One road: what `fit`, `evaluate` and `predict` are given becomes a Dataset."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imgcls import images
from imgcls.datasets import Dataset, as_dataset, is_one_image, read
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError

ARRAY = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)


@pytest.fixture
def cats(photos, monkeypatch):
    monkeypatch.chdir(photos)
    return sorted(photos.glob("cat/*.jpg"))


def test_every_labelled_source_gives_the_same_dataset(photos, cats):
    truth = Dataset.from_folder(photos)
    frame = pd.DataFrame({"image": [str(photos / name) for name in truth.ids], "label": [one.label for one in truth]})
    frame.to_csv(photos / "all.csv", index=False)
    paths = frame["image"].tolist()
    labels = frame["label"].tolist()
    for data, y in (
        (truth, None),
        (str(photos), None),
        (photos, None),
        (frame, None),
        (photos / "all.csv", None),
        (paths, labels),
        (map(Path, paths), np.array(labels)),
        (np.array(paths), labels),
        ([Path(path).read_bytes() for path in paths], labels),
        ([Image.fromarray(read(path)) for path in paths], labels),
        ([read(path) for path in paths], labels),
        ("*/*.*", labels),
    ):
        dataset = as_dataset(data, y)
        assert dataset.labels.tolist() == truth.labels.tolist()
        assert dataset.classes == truth.classes
        np.testing.assert_array_equal(dataset[11].image, truth[11].image)


def test_lists_of_one_name_each_are_several_labels_where_one_says_so(cats):
    for data in (ARRAY, list(ARRAY), cats[:2], list(map(str, cats[:2])), "cat/[01].jpg"):
        several = as_dataset(data, [["cat"], ["dog"]], multi_label=True)
        assert (several.classes, several.labels.tolist()) == (("cat", "dog"), [[1, 0], [0, 1]])
        one_hot = as_dataset(data, [[1, 0], [0, 1]], multi_label=True)
        assert one_hot.labels.tolist() == [[1, 0], [0, 1]]
        assert not as_dataset(data, [["cat"], ["dog"]]).multi_label
        plain = as_dataset(data, ["dog", "cat"], multi_label=True, classes=["cow", "dog", "cat"])
        assert (plain.classes, plain.labels.tolist()) == (("cow", "dog", "cat"), [[0, 1, 0], [0, 0, 1]])


def test_without_labels_a_folder_may_hold_images_directly(photos, cats):
    count = {"cat": 8, photos: 16, "cat/0.jpg": 1, "cat/*.jpg": 8, "**/*.png": 8}
    for data, number in count.items():
        dataset = as_dataset(data, labelled=False)
        assert (len(dataset), dataset.labels) == (number, None)
    assert as_dataset("cat", labelled=False).ids == tuple(f"cat/{index}.jpg" for index in range(8))
    for data in (cats, ARRAY, list(ARRAY), pd.DataFrame({"image": map(str, cats)})):
        assert as_dataset(data, labelled=False).labels is None


def test_a_csv_file_of_new_images_needs_no_labels(photos, cats, tmp_path_factory, monkeypatch):
    new = photos / "new.csv"
    new.write_text("image,camera\ncat/1.jpg,phone\ndog/0.png,reflex\n")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))  # paths are relative to the file, as in from_csv
    for path in (new, str(new)):
        dataset = as_dataset(path, labelled=False)
        assert (dataset.ids, dataset.labels) == (("cat/1.jpg", "dog/0.png"), None)
        assert [dataset.source(index) for index in range(2)] == [photos / "cat/1.jpg", photos / "dog/0.png"]
        np.testing.assert_array_equal(dataset.read(1), np.asarray(Image.open(photos / "dog/0.png")))
    found = Dataset.from_folder(photos).check(against=new, verbose=0).findings
    assert "2 images of this dataset are in the other one too." in [one.message for one in found]
    new.write_text("image,label\ncat/1.jpg,cat\ndog/0.png,dog\n")
    assert [sample.label for sample in as_dataset(new, labelled=False)] == ["cat", "dog"]


@pytest.mark.parametrize("labels", [[None, None], ["cat", None], [float("nan"), "dog"]])
def test_a_table_whose_labels_are_yet_to_be_filled_in_has_images_all_the_same(cats, labels):
    frame = pd.DataFrame({"image": ["cat/0.jpg", "cat/1.jpg"], "label": labels})
    frame.to_csv("todo.csv", index=False)
    for data in (frame, "todo.csv"):
        dataset = as_dataset(data, labelled=False)
        assert (dataset.labels, dataset.ids) == (None, ("cat/0.jpg", "cat/1.jpg"))
        with pytest.raises(DataError, match="labels are missing"):
            as_dataset(data)


@pytest.mark.parametrize(
    "column",
    [[0.7, 0.2], ["cat", 1], [["cat", "dog"], None], [np.array([0.1, 0.9]), np.array([0.3, 0.7])], [pd.NA, "cat"]],
)
def test_a_column_that_is_no_label_is_passed_over_where_none_are_needed(cats, column):
    frame = pd.DataFrame({"image": ["cat/0.jpg", "cat/1.jpg"], "label": pd.Series(column, dtype=object)})
    dataset = as_dataset(frame, labelled=False)
    assert (dataset.labels, dataset.ids) == (None, ("cat/0.jpg", "cat/1.jpg"))
    found = Dataset.from_files(["cat/1.jpg", "dog/0.png"], ["a", "b"]).check(against=frame, verbose=0).findings
    assert "1 image of this dataset is in the other one too." in [one.message for one in found]
    with pytest.raises(DataError, match="label"):
        as_dataset(frame)
    with pytest.raises(DataError, match=r"^1 of 2 files do not exist"):
        as_dataset(frame.assign(image=["cat/0.jpg", "gone.jpg"]), labelled=False)


# --- data of other libraries -----------------------------------------------------------------------------------------


def test_a_finite_tf_dataset_is_taken_into_memory():
    import tensorflow as tf

    made, bare = (tf.data.Dataset.from_tensor_slices(slices) for slices in ((ARRAY, ["b", "a"]), ARRAY))
    for data in (made, made.batch(2)):
        dataset = as_dataset(data)
        assert [sample.label for sample in dataset] == ["b", "a"]
        np.testing.assert_array_equal(np.stack([sample.image for sample in dataset]), ARRAY)
    assert (len(as_dataset(bare, labelled=False)), as_dataset(bare, labelled=False).labels) == (2, None)
    for data, labels, kind, words in (
        (bare, None, DataError, NO_LABELS),
        (made, ["b", "a"], DataError, "y is given beside a tf.data.Dataset. Give it elements (image, label), and leave y out."),
        (made.repeat(), None, ConfigurationError, "the tf.data.Dataset repeats for ever. Leave out repeat(), or end it with take(n)."),
    ):  # fmt: skip
        with pytest.raises(kind) as caught:
            as_dataset(data, labels)
        assert str(caught.value) == words


def test_batches_for_keras_are_refused_in_words_and_at_once(photos):
    import keras
    import tensorflow as tf

    class Theirs(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return ARRAY, [0, 1]

    generator = tf.keras.preprocessing.image.ImageDataGenerator()
    endless = (generator.flow_from_directory(photos), generator.flow(ARRAY, [0, 1]), generator.flow(ARRAY))
    for data in (*endless, Theirs()):
        for labelled in (True, False):
            with pytest.raises(ConfigurationError) as caught:
                as_dataset(data, labelled=labelled)
            assert str(caught.value) == (
                f"data is a {type(data).__name__}, which makes batches for Keras, perhaps without end. Give what it reads: Dataset.from_folder for flow_from_directory, Dataset.from_frame for flow_from_dataframe, or the arrays."
            )


@pytest.mark.parametrize("item", [(ARRAY, [0, 1]), [ARRAY, [0, 1]], {"image": ARRAY[0], "label": 0}])
def test_images_with_their_labels_are_refused_at_the_first(item):
    """As Python's generators, PyTorch's loaders and Hugging Face's datasets give them; a generator may have no end."""

    def one_and_no_more():
        yield item
        pytest.fail("it asked for another one")

    for labelled in (True, False):
        with pytest.raises(ConfigurationError) as caught:
            as_dataset(one_and_no_more(), labelled=labelled)
        assert str(caught.value) == (
            f"data is a generator of {type(item).__name__}s, which are no images. Accepted: a Dataset, a folder, a list of paths or images, an array (N, H, W[, C]), a pandas frame, a .csv file, a finite tf.data.Dataset. Give images and labels apart, or use what reads them: Dataset.from_folder, Dataset.from_tf, Dataset.from_huggingface."
        )


class Table:
    """A table as polars, which is not installed here, has it."""

    __module__ = "polars.dataframe.frame"

    def __init__(self):
        self.columns = ["image", "label"]

    def __len__(self):
        return 2

    def __getitem__(self, name):
        return {"image": ["cat/0.jpg", "dog/0.png"], "label": ["cat", "dog"]}[name]


TAKE = {
    "labelled": as_dataset,
    "not": lambda table: as_dataset(table, labelled=False),
    "frame": Dataset.from_frame,
}


@pytest.mark.parametrize("take", TAKE)
def test_tables_of_other_libraries_are_refused_with_the_way_to_pandas(cats, take):
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra parquet, which CI has")
    table = pyarrow.table({"image": ["cat/0.jpg", "dog/0.png"], "label": ["cat", "dog"]})
    for given, name in ((Table(), "polars.Table"), (table, "pyarrow.Table")):
        with pytest.raises(ConfigurationError) as caught:
            TAKE[take](given)
        assert str(caught.value) == (
            f"the table is a {name}. Accepted: a pandas frame. Convert it, such as by .to_pandas()."
        )
    read = TAKE[take](table.to_pandas())
    assert [(one.id, one.label) for one in read] == [("cat/0.jpg", "cat"), ("dog/0.png", "dog")]


@pytest.mark.parametrize("labelled", [True, False])
def test_a_dictionary_is_refused_by_its_keys(labelled):
    """As Hugging Face's splits, and as columns by name."""
    dictionaries = {
        "'train', 'validation', 'test'": {"train": ARRAY, "validation": ARRAY, "test": ARRAY},
        "'image', 'label'": {"image": ARRAY, "label": [0, 1]},
    }
    for keys, data in dictionaries.items():
        with pytest.raises(ConfigurationError) as caught:
            as_dataset(data, labelled=labelled)
        assert str(caught.value) == (
            f"data is a dict with the keys {keys}, which are no images. Accepted: a Dataset, a folder, a list of paths or images, an array (N, H, W[, C]), a pandas frame, a .csv file, a finite tf.data.Dataset. Give images and labels apart, or use what reads parts by their names: Dataset.from_huggingface of a dictionary of splits, Dataset.from_folder of a folder."
        )


# --- refusals --------------------------------------------------------------------------------------------------------


NO_LABELS = "there are no labels. Give y, or data that carries labels: a Dataset, class folders, a frame."


@pytest.mark.parametrize(
    ("data", "labels", "labelled", "kind", "words"),
    [
        (ARRAY, None, True, DataError, NO_LABELS),
        ("cat/*.jpg", None, True, DataError, NO_LABELS),
        (".", [0], True, DataError, "y is given, but str data carries its own labels. Leave y out."),
        (
            pd.DataFrame({"image": [], "label": []}),
            [0],
            True,
            DataError,
            "y is given, but DataFrame data carries its own labels. Leave y out.",
        ),
        (
            3,
            None,
            True,
            ConfigurationError,
            (
                "data is a int. Accepted: a Dataset, a folder, a list of paths or images, an array (N, H, W[, C]), "
                "a pandas frame, a .csv file, a finite tf.data.Dataset."
            ),
        ),
        ([], None, True, EmptyDatasetError, "the list of images is empty. Give at least one image."),
        (
            "no/*.jpg",
            None,
            False,
            EmptyDatasetError,
            "no file matches 'no/*.jpg'. Check the pattern and the working directory.",
        ),
        (
            "nothing",
            None,
            False,
            EmptyDatasetError,
            f"there is no image in 'nothing'. Accepted: {', '.join(sorted(images.SUFFIXES))}.",
        ),
        (
            pd.DataFrame({"images": ["a"]}),
            None,
            False,
            ConfigurationError,
            "there is no column 'image'. Did you mean 'images'? The columns are images. Say which with image= and label=, or --image and --label in a shell.",
        ),
        (
            "new.csv",
            None,
            True,
            ConfigurationError,
            "there is no column 'label'. The columns are image, camera. Say which with image= and label=, or --image and --label in a shell.",
        ),
        (
            "bare.csv",
            None,
            False,
            ConfigurationError,
            "there is no column 'image'. The columns are file. Say which with image= and label=, or --image and --label in a shell.",
        ),
        (
            "head.csv",
            None,
            False,
            EmptyDatasetError,
            "the table has no rows. Give at least one image.",
        ),
        (
            "gone.csv",
            None,
            False,
            DataError,
            "1 of 1 files do not exist in '.': 'a.jpg'. Check the paths.",
        ),
        (
            "cats",
            None,
            False,
            DataError,
            "file or folder 'cats' does not exist. Did you mean 'cat'? Check the path and the working directory.",
        ),
    ],
)
def test_what_holds_no_images_is_refused_in_words(cats, data, labels, labelled, kind, words):
    Path("nothing").mkdir()
    tables = {
        "new": "image,camera\ncat/0.jpg,phone\n",
        "bare": "file\na.jpg\n",
        "head": "image\n",
        "gone": "image\na.jpg\n",
    }
    for name, text in tables.items():
        Path(f"{name}.csv").write_text(text)
    with pytest.raises(kind) as caught:
        as_dataset(data, labels, labelled=labelled)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("data", "one"),
    [
        ("a.jpg", True),
        (Path("a.jpg"), True),
        (b"bytes", True),
        (Image.new("L", (2, 2)), True),
        (ARRAY[0], True),
        (ARRAY[0, :, :, 0], True),
        (ARRAY[0, :, :, :1], True),
        ("cat", False),
        ("cat/*.jpg", False),
        ("labels.csv", False),
        (ARRAY, False),
        (ARRAY[..., 0][:, :, :4].repeat(2, axis=2), False),
        (["a.jpg"], False),
        (iter([]), False),
    ],
)
def test_one_image_is_told_from_many(cats, data, one):
    assert is_one_image(data) is one


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(cats):
    Path("cat/0.jpg").rename("photo[1].jpg")
    assert is_one_image("photo[1].jpg")
    assert as_dataset("photo[1].jpg", labelled=False).ids == ("photo[1].jpg",)
