"""Data from and for tf.data, Hugging Face datasets and PyTorch; datasets joined."""

import pickle

import numpy as np
import pytest
from PIL import Image

from imgcls.datasets import Dataset, as_dataset, leave_out_unreadable, read
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError, UnreadableImageError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 2, 1, 0])


# --- tf.data ---------------------------------------------------------------------------------------------------------


def elements(kind):
    import tensorflow as tf

    made = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
    if kind == "batches":
        return made.batch(4)
    if kind == "dictionaries":
        return made.map(lambda image, label: {"image": image, "label": label})
    if kind == "one-hot":
        return made.map(lambda image, label: (image, tf.one_hot(label, 3)))
    if kind == "floating-point":
        return made.map(lambda image, label: (tf.minimum(tf.cast(image, tf.float32) + 0.25, 255), label)).batch(6)
    return made


@pytest.mark.parametrize("kind", ["images", "batches", "dictionaries", "one-hot", "floating-point"])
def test_a_tf_dataset_becomes_a_dataset(kind):
    data = Dataset.from_tf(elements(kind), classes=["a", "b", "c"])
    assert data.classes == ("a", "b", "c")
    assert data.labels.tolist() == LABELS.tolist()
    assert np.array_equal(np.stack([sample.image for sample in data]), IMAGES)


@pytest.mark.parametrize("size", [None, 3, 4])
@pytest.mark.parametrize("one_hot", [False, True])
def test_grayscale_images_without_an_axis_of_channels(size, one_hot):
    """As those of keras.datasets.mnist; batches of 4 end with one of 2."""
    import tensorflow as tf

    gray = np.random.default_rng(0).integers(0, 256, (6, 8, 7), dtype=np.uint8)
    made = tf.data.Dataset.from_tensor_slices((gray, np.eye(3)[LABELS] if one_hot else LABELS))
    data = Dataset.from_tf(made if size is None else made.batch(size))
    assert data.labels.tolist() == LABELS.tolist()
    assert np.array_equal(np.stack([sample.image[..., 0] for sample in data]), gray)


def test_a_tf_dataset_brings_its_class_names(photos):
    import keras

    made = keras.utils.image_dataset_from_directory(photos, image_size=(16, 16), batch_size=3, shuffle=False, verbose=0)
    data = Dataset.from_tf(made)
    assert data.classes == ("cat", "dog")
    assert data.counts() == {"cat": 8, "dog": 8}
    assert data[0].image.shape == (16, 16, 3)


class Named:
    """A tf.data.Dataset with `class_names`, as `image_dataset_from_directory` makes it."""

    def __init__(self, labels, names):
        import tensorflow as tf

        self.made = tf.data.Dataset.from_tensor_slices((IMAGES, labels)).batch(4)
        self.class_names = names

    def __getattr__(self, name):
        return getattr(self.made, name)


SEVERAL = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 1], [1, 1, 1]])


@pytest.mark.parametrize("labels", [LABELS, LABELS.astype(np.float32)[:, None], np.eye(3)[LABELS], SEVERAL])
def test_classes_order_the_class_names_of_a_tf_dataset(labels):
    names = ["1", "10", "2"]
    truth = [tuple(np.array(names)[row == 1]) for row in SEVERAL] if labels is SEVERAL else [names[k] for k in LABELS]
    for classes in (None, ["2", "1", "10"], ["owl", "10", "2", "1"]):
        if labels is SEVERAL and classes is not None:
            truth = [tuple(sorted(row, key=classes.index)) for row in truth]
        data = Dataset.from_tf(Named(labels, names), classes=classes)
        assert data.classes == tuple(classes or names)
        assert [sample.label for sample in data] == truth
    with pytest.raises(DataError, match="label '10' is not one of the 3 classes"):
        Dataset.from_tf(Named(labels, names), classes=["a", "2", "1"])


def test_a_code_without_a_class_name_is_refused_in_words():
    with pytest.raises(DataError) as caught:
        Dataset.from_tf(Named(LABELS, ["cat", "dog"]))
    assert str(caught.value) == (
        "2 of 6 labels are no position in the 2 class names 'cat', 'dog', first 2. Accepted: whole numbers from 0 to 1. "
        "Mend these labels or leave them out."
    )


@pytest.mark.parametrize("where", [0, 1, 5])
def test_an_image_of_a_tf_dataset_with_nan_is_refused_in_words(where):
    import tensorflow as tf

    images = IMAGES.astype(np.float32)
    images[where, 2, 2] = np.nan
    with pytest.raises(DataError) as caught:
        Dataset.from_tf(tf.data.Dataset.from_tensor_slices((images, LABELS)))
    assert str(caught.value) == (
        "images of the tf.data.Dataset have values that are NaN. Accepted: 0 to 255. Mend these images or leave them out."
    )


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (lambda data: data.repeat(), ConfigurationError, "the tf.data.Dataset repeats for ever. Leave out repeat(), or end it with take(n)."),
        (lambda data: data.take(0), EmptyDatasetError, "the tf.data.Dataset holds no images. Give at least one."),
        (
            lambda data: data.map(lambda image, label: (image / 255, label)),
            DataError,
            "images of the tf.data.Dataset have values from 0 to 1. Accepted: 0 to 255. Leave out the rescaling, which imgcls does inside the model.",
        ),
        (lambda data: [1], ConfigurationError, "dataset is a list. Accepted: a tf.data.Dataset of (image, label)."),
        (
            lambda data: data.map(lambda image, label: label),
            ConfigurationError,
            'elements of the tf.data.Dataset are neither (image, label), {"image": ..., "label": ...} nor images.',
        ),
    ],
)  # a row a case # fmt: skip
def test_a_tf_dataset_that_does_not_fit_is_refused_in_words(change, kind, words):
    with pytest.raises(kind) as caught:
        Dataset.from_tf(change(elements("images")))
    assert str(caught.value) == words


@pytest.mark.parametrize("size", [None, 4])
def test_weights_of_a_tf_dataset_are_not_dropped_in_silence(size):
    import tensorflow as tf

    made = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS, np.linspace(0, 1, 6)))
    with pytest.raises(ConfigurationError) as caught:
        Dataset.from_tf(made if size is None else made.batch(size))
    assert str(caught.value) == (
        "elements of the tf.data.Dataset hold 3 things each. Accepted: (image, label). Leave out the others by map(lambda image, label, weight: (image, label)), and give weights as fit(sample_weight=...)."
    )
    data = Dataset.from_tf(made.map(lambda image, label, weight: (image, label)))  # what it says works
    assert data.labels.tolist() == LABELS.tolist()


def test_to_tf_lends_our_images(photos):
    data = Dataset.from_folder(photos)
    seen = list(data.to_tf(5, image_size=(8, 12)).as_numpy_iterator())
    assert [images.shape for images, _ in seen] == [(4, 8, 12, 3)] * 4
    assert np.concatenate([labels for _, labels in seen]).tolist() == data.labels.tolist()
    assert np.array_equal(seen[1][0][1], data.read(5, size=(8, 12)))
    shuffled = data.to_tf(5, image_size=8, seed=1)
    first, second = (np.concatenate([labels for _, labels in shuffled.as_numpy_iterator()]) for _ in range(2))
    assert sorted(first) == sorted(second) == sorted(data.labels)
    assert first.tolist() != second.tolist()
    with pytest.raises(ConfigurationError, match=r"^batch_size=0 is not accepted\."):
        data.to_tf(0, image_size=8)
    unlabelled = Dataset.from_arrays(IMAGES).to_tf(6, image_size=4)
    assert next(iter(unlabelled)).shape == (6, 4, 4, 3)


# --- PyTorch ---------------------------------------------------------------------------------------------------------


def test_to_torch_gives_channels_first_arrays_that_may_be_written_to():
    lent = Dataset.from_arrays(IMAGES, LABELS).to_torch()
    image, label = lent[3]
    assert len(lent) == 6
    assert np.array_equal(image, IMAGES[3].transpose(2, 0, 1))
    assert label == 2
    image[:] = 0
    assert np.array_equal(lent[3][0], IMAGES[3].transpose(2, 0, 1))
    assert Dataset.from_arrays(IMAGES).to_torch(image_size=(2, 3), channels=1)[0].shape == (1, 2, 3)
    with pytest.raises(IndexError):  # how `for` finds the end
        lent[6]


# --- Hugging Face ----------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(photos):
    datasets = pytest.importorskip("datasets", reason="needs the package datasets, which CI has")
    files = sorted(photos.rglob("*.*"))
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    columns = {"image": [str(path) for path in files], "label": [path.parent.name for path in files]}
    return datasets.Dataset.from_dict(columns, features=features), files


def test_a_hugging_face_dataset_is_read_by_our_decoder(hub):
    made, files = hub
    data = Dataset.from_huggingface(made)
    assert data.classes == ("cat", "dog")
    assert [sample.label for sample in data] == [path.parent.name for path in files]
    for index, path in enumerate(files):
        assert np.array_equal(data.read(index), read(path))


def test_hugging_face_splits_become_parts(hub):
    import datasets

    made, files = hub
    splits = datasets.DatasetDict(train=made.select(range(10)), test=made.select(range(10, 16)))
    data = Dataset.from_huggingface(splits)
    assert data.parts.tolist() == ["train"] * 10 + ["test"] * 6
    assert np.array_equal(data.read(12), read(files[12]))
    with pytest.raises(ConfigurationError, match=r"^data is a DatasetDict with .* Dataset\.from_huggingface of a dict"):
        as_dataset(splits)


def test_each_hugging_face_split_has_codes_of_its_own(hub):
    import datasets

    made, files = hub
    other = made.cast_column("label", datasets.Value("string"))
    names = {"1": "dog", "0": "cat"}
    other = other.map(lambda row: {"label": names.get(row["label"], row["label"])})
    other = other.cast_column("label", datasets.ClassLabel(names=["owl", "dog", "cat"]))
    truth = [path.parent.name for path in files]
    assert other["label"] == [2 if name == "cat" else 1 for name in truth]  # else the test could not fail
    data = Dataset.from_huggingface({"train": made, "test": other})
    assert data.classes == ("cat", "dog", "owl")
    assert [sample.label for sample in data] == truth * 2


def test_classes_order_those_of_a_hugging_face_dataset(hub):
    made, files = hub
    data = Dataset.from_huggingface(made, classes=["dog", "cat"])
    assert data.classes == ("dog", "cat")
    assert [sample.label for sample in data] == [path.parent.name for path in files]
    with pytest.raises(DataError) as caught:
        Dataset.from_huggingface(made, classes=["Katze", "dog"])
    assert str(caught.value) == "label 'cat' is not one of the 2 classes. The classes are 'Katze', 'dog'."


def test_a_row_of_a_hugging_face_dataset_without_an_image_is_unreadable(photos):
    datasets = pytest.importorskip("datasets", reason="needs the package datasets, which CI has")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = {
        "image": [str(photos / "cat" / "0.jpg"), None, str(photos / "dog" / "0.png")],
        "label": ["cat", "cat", "dog"],
    }
    data = Dataset.from_huggingface(datasets.Dataset.from_dict(rows, features=features))
    with pytest.raises(UnreadableImageError, match=r"^image '1' is a NoneType\. Accepted: a path, "):
        data[1]
    assert data.check(verbose=0).ids("IMG001") == ("1",)
    kept, quarantined = leave_out_unreadable(data)
    assert kept.ids == ("0", "2")
    assert list(quarantined) == ["1"]


def test_hugging_face_splits_may_be_spelt_as_people_do(hub):
    made, _ = hub
    splits = {"Training": made.select(range(10)), "valid": made.select([10, 11]), "testing": made.select(range(12, 16))}
    assert Dataset.from_huggingface(splits).parts.tolist() == ["train"] * 10 + ["validation"] * 2 + ["test"] * 4
    with pytest.raises(DataError) as caught:
        Dataset.from_huggingface({"train": made, "unsupervised": made})
    assert str(caught.value) == (
        "the dictionary of splits says 'unsupervised'. Accepted: train, training, val, valid, validation, test, testing. "
        "Rename what is none of them, or leave it out."
    )


def test_encoded_images_of_a_hugging_face_dataset(hub):
    import datasets

    _, files = hub
    rows = {
        "img": [{"bytes": path.read_bytes(), "path": None} for path in files],
        "kind": [path.parent.name for path in files],
    }
    encoded = datasets.Dataset.from_dict(
        rows, features=datasets.Features({"img": datasets.Image(), "kind": datasets.Value("string")})
    )
    data = Dataset.from_huggingface(encoded, label="kind")
    assert data.classes == ("cat", "dog")
    assert np.array_equal(data.read(3), read(files[3]))
    with pytest.raises(ConfigurationError) as caught:
        Dataset.from_huggingface(encoded)
    assert str(caught.value) == "label=None names no column. The columns are img, kind: give label=."


def test_what_is_no_hugging_face_dataset_is_refused_in_words():
    with pytest.raises(ConfigurationError) as caught:
        Dataset.from_huggingface([1])
    assert str(caught.value) == (
        "dataset is a list. Accepted: a datasets.Dataset, or a dictionary of them, loaded without streaming=True."
    )


@pytest.mark.parametrize(
    "made_ready",
    [
        lambda made: made.with_format("numpy"),
        lambda made: made.with_format("pandas"),
        lambda made: made.with_format("arrow"),
        lambda made: made.with_format(columns=["image"]),
        lambda made: made.with_format("numpy", columns=["label"]),
        lambda made: made.with_transform(lambda rows: {"pixel_values": [0 for _ in rows["image"]]}),
    ],
)
def test_a_format_or_transform_of_a_hugging_face_dataset_is_not_applied(hub, made_ready):
    made, files = hub
    ready = made_ready(made)
    before = ready.format
    for given, count in ((ready, 16), ({"train": ready, "test": made}, 32)):
        data = Dataset.from_huggingface(given)
        assert (len(data), data.classes) == (count, ("cat", "dog"))
        assert [sample.label for sample in data][:16] == [path.parent.name for path in files]
        for index, path in enumerate(files):
            assert np.array_equal(data.read(index), read(path))
    assert ready.format == before


def test_a_hugging_face_dataset_that_streams_is_refused_in_words(hub):
    with pytest.raises(ConfigurationError) as caught:
        Dataset.from_huggingface(hub[0].to_iterable_dataset())
    assert str(caught.value) == (
        "dataset is a IterableDataset. Accepted: a datasets.Dataset, or a dictionary of them, loaded without "
        "streaming=True."
    )


# --- joining ---------------------------------------------------------------------------------------------------------


def test_joined_datasets_match_classes_by_name(photos, tmp_path):
    folder = Dataset.from_folder(photos)
    arrays = Dataset.from_arrays(IMAGES, list("zebra."), classes=list(".abcdegnorz"))
    owls = Dataset.from_arrays(IMAGES[:2], ["owl", "cat"])
    both = folder + owls
    assert both.classes == ("cat", "dog", "owl")
    assert [sample.label for sample in both][-2:] == ["owl", "cat"]
    assert both.counts() == {"cat": 9, "dog": 8, "owl": 1}
    assert np.array_equal(both.read(16), IMAGES[0])
    assert both.ids[:1] == folder.ids[:1]
    again = owls + owls
    assert again.ids == ("1/0", "1/1", "2/0", "2/1")
    assert len(arrays + owls) == 8


class Far:
    """Images that lie elsewhere: each is fetched when it is asked for."""

    def __init__(self, images):
        self.images, self.fetched = images, []

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.fetched.append(int(index))
        return self.images[index]


def test_joined_images_are_fetched_when_they_are_asked_for():
    first, second = Far(IMAGES), Far(IMAGES[::-1])
    both = Dataset(first, LABELS)[[5, 0, 3]] + Dataset(second, LABELS)
    more = both[[1, 8, 2]] + both[::-2] + Dataset(IMAGES[:2], LABELS[:2])
    truth = [IMAGES[0], IMAGES[0], IMAGES[3], *IMAGES[[0, 2, 4, 3, 5]], *IMAGES[:2]]
    kept = pickle.loads(pickle.dumps(more))
    assert (first.fetched, second.fetched) == ([], [])
    assert len(more) == len(truth)
    for data in (more, kept):
        for index, image in enumerate(truth):
            np.testing.assert_array_equal(data.source(index), image)
            np.testing.assert_array_equal(data[index].image, image)
    assert set(first.fetched) == {0, 3, 5}


def test_very_many_datasets_are_joined_one_by_one():
    one_each = [Dataset(IMAGES[[number % 6]], [number % 3], ids=[str(number)]) for number in range(1500)]
    joined = sum(one_each[1:], one_each[0])
    for number in (0, 7, 1499):
        np.testing.assert_array_equal(joined[number].image, IMAGES[number % 6])


def test_several_labels_of_joined_datasets_are_matched_by_name():
    first, second = [["dog"], ["cat", "dog"], []], [["cow", "dog"], ["cow"], ["dog"]]
    both = Dataset.from_arrays(IMAGES[:3], first) + Dataset.from_arrays(IMAGES[3:], second)
    assert both.classes == ("cat", "dog", "cow")
    assert both.labels.tolist() == [[name in row for name in both.classes] for row in (*first, *second)]
    assert [set(sample.label) for sample in both] == [set(row) for row in (*first, *second)]
    assert both.counts() == {"cat": 1, "dog": 4, "cow": 2}
    columns = Dataset.from_arrays(IMAGES[:2], [[1, 1], [0, 1]], classes=["cow", "cat"])
    assert [sample.label for sample in columns + columns.align(["cat", "cow"])] == [("cow", "cat"), ("cat",)] * 2
    with pytest.raises(DataError, match=r"^classes are 'cow', 'cat', 0 and 1 more\. Accepted: names, or whole numbers"):
        columns + Dataset.from_arrays(IMAGES[:2], [[1, 1], [0, 1]])


@pytest.mark.parametrize("clash", [True, False])
def test_images_without_a_group_share_none_when_datasets_are_joined(clash):
    cats = Dataset.from_arrays(IMAGES[:3], list("abb"), ids=["1.jpg", "2.jpg", "3.jpg"], groups=[None, "p", None])
    dogs = Dataset.from_arrays(
        IMAGES[3:], list("baa"), ids=["1.jpg" if clash else "4.jpg", "5.jpg", "6.jpg"], groups=[None, None, "p"]
    )
    both = cats + dogs
    names = both.ids
    assert both.groups.tolist() == [
        f"no group: {names[0]}",
        "p",
        f"no group: {names[2]}",
        f"no group: {names[3]}",
        f"no group: {names[4]}",
        "p",
    ]
    assert len(set(both.groups.tolist())) == 5
    again = both + both  # every id clashes, and some have a prefix already
    assert len(set(again.groups.tolist())) == 2 * 4 + 1
    assert [group for group in again.groups if group != "p"] == [
        f"no group: {name}" for name, group in zip(again.ids, again.groups, strict=True) if group != "p"
    ]


def test_what_does_not_join_is_refused_in_words():
    named, numbered = Dataset.from_arrays(IMAGES, list("aabbcc")), Dataset.from_arrays(IMAGES, LABELS)
    with pytest.raises(
        DataError, match=r"^classes are 'a', 'b', 'c' and 3 more\. Accepted: names, or whole numbers, not both\.$"
    ):
        named + numbered
    with pytest.raises(DataError) as caught:
        named + Dataset.from_arrays(IMAGES)
    assert str(caught.value) == (
        "one dataset has no labels, or one has several labels an image. Join datasets of one kind."
    )
    for option in ({"parts": ["train"] * 6}, {"groups": list("ppqqrr")}):
        with pytest.raises(DataError) as caught:
            named + Dataset(list(IMAGES), list("aabbcc"), **option)
        assert (
            str(caught.value)
            == f"one dataset has {next(iter(option))} and the other has none. Join datasets of one kind."
        )
    with pytest.raises(TypeError):
        named + 1


# --- channels --------------------------------------------------------------------------------------------------------


def test_images_of_any_number_of_channels_are_kept_as_they_are():
    five = np.random.default_rng(0).integers(0, 256, (3, 6, 6, 5), dtype=np.uint8)
    data = Dataset.from_arrays(five, list("aba"))
    assert np.array_equal(data[1].image, five[1])
    bands = [
        np.asarray(Image.fromarray(five[1][..., band]).resize((4, 3), Image.Resampling.BILINEAR)) for band in range(5)
    ]
    assert np.array_equal(data.read(1, size=(3, 4)), np.stack(bands, axis=-1))
