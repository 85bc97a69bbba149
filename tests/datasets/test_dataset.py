"""`Dataset`: indexing, aligning, counting, and nothing that changes under one's hands."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgcls.datasets import Dataset, Sample, as_dataset, write_png
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError

IMAGES = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((4, 5), np.uint8)


@pytest.fixture
def data():
    return Dataset.from_arrays(IMAGES.copy(), list("bacabb"), groups=list("xxyyzz"), ids=[f"i{n}" for n in range(6)])


@pytest.mark.parametrize(
    ("index", "positions"),
    [
        (slice(1, 3), [1, 2]),
        (slice(None, None, -2), [5, 3, 1]),
        ([4, 0, 4], [4, 0, 4]),
        (np.array([-1]), [5]),
        (np.array([True, False, True, False, False, False]), [0, 2]),
        ([False, True, False, False, False, True], [1, 5]),
        (range(2), [0, 1]),
    ],
)
def test_an_index_of_many_gives_a_dataset_of_the_same_samples(data, index, positions):
    chosen = data[index]
    assert len(chosen) == len(positions)
    assert chosen.ids == tuple(f"i{position}" for position in positions)
    assert chosen.classes == data.classes
    assert chosen.groups.tolist() == ["xxyyzz"[position] for position in positions]
    for sample, position in zip(chosen, positions, strict=True):
        assert (sample.label, sample.id) == ("bacabb"[position], f"i{position}")
        assert (sample.image == position).all()
    assert [sample.id for sample in chosen[::-1]] == [f"i{position}" for position in positions[::-1]]


@pytest.mark.parametrize("index", [0, -6, np.int64(0)])
def test_an_integer_gives_a_sample(data, index):
    sample = data[index]
    assert isinstance(sample, Sample)
    assert (sample.label, sample.id, sample.image.shape) == ("b", "i0", (4, 5, 1))


@pytest.mark.parametrize("index", [6, -7, [6], np.array([True])])
def test_outside_is_an_index_error(data, index):
    with pytest.raises(IndexError):
        data[index]


def test_a_sample_says_how_many_bands_it_has():
    for bands, kind in ((1, " gray"), (2, ", 2 bands"), (3, " RGB"), (5, ", 5 bands")):
        sample = Dataset.from_arrays(np.zeros((1, 8, 9, bands), np.uint8), ["a"])[0]
        assert repr(sample) == f"Sample(8 x 9{kind}, label 'a', id '0')"


def test_nothing_chosen_is_refused_in_words(data):
    with pytest.raises(EmptyDatasetError) as caught:
        data[[False] * 6]
    assert str(caught.value) == "none of the 6 images is chosen. Choose at least one."


def test_nothing_changes_under_ones_hands(data):
    views = (data, data[2:], data.align(["c", "b", "a"]), *data.split((0.5, 0.5)))
    for view in views:
        for array in (view.labels, view.groups, view[0].image):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
    with pytest.raises(TypeError):
        data.ignored["a"] = "b"
    labels, groups = np.array([0, 1]), np.array(["p", "q"])
    kept = Dataset.from_arrays(IMAGES[:2], labels, groups=groups)
    labels[0], groups[0] = 1, "q"
    assert (kept.labels.tolist(), kept.groups.tolist()) == ([0, 1], ["p", "q"])


def test_counts_repr_and_frame(data):
    assert data.counts() == {"a": 2, "b": 3, "c": 1}
    assert data[:1].counts() == {"a": 0, "b": 1, "c": 0}
    assert repr(data) == "Dataset(6 images, 3 classes: 'a', 'b', 'c')"
    assert repr(Dataset.from_arrays(IMAGES[:1])) == "Dataset(1 image, no labels)"
    assert repr(Dataset.from_arrays(IMAGES[:1], [4])) == "Dataset(1 image, 1 class: 4)"
    expected = pd.DataFrame({"id": data.ids, "label": list("bacabb"), "group": list("xxyyzz")})
    pd.testing.assert_frame_equal(data.to_frame(), expected)
    several = Dataset.from_arrays(IMAGES[:2], [[1, 1], [0, 0]], classes=["red", "blue"])
    assert several.counts() == {"red": 1, "blue": 1}
    assert several.to_frame()["label"].tolist() == [("red", "blue"), ()]
    assert repr(several) == "Dataset(2 images, 2 classes: 'red', 'blue', several labels an image)"
    assert Dataset.from_arrays(IMAGES).counts() == {}


def test_align_keeps_every_label(data):
    aligned = data.align(["c", "d", "b", "a"])
    assert [sample.label for sample in aligned] == [sample.label for sample in data]
    assert aligned.labels.tolist() == [2, 3, 0, 3, 2, 2]
    assert data.labels.tolist() == [1, 0, 2, 0, 1, 1]
    assert data.align(["a", "b", "c"]) is data
    several = Dataset.from_arrays(IMAGES[:2], [[1, 1], [0, 1]], classes=["red", "blue"]).align(["blue", "red"])
    assert [sample.label for sample in several] == [("blue", "red"), ("blue",)]
    positions = Dataset.from_arrays(IMAGES[:3], [2, 0, 2]).align(["x", "y", "z"])
    assert [sample.label for sample in positions] == ["z", "x", "z"]


def test_align_takes_a_number_and_its_text_for_one_label(tmp_path, monkeypatch):
    """As pandas reads a column that from_csv reads as text, whose order is that of text: 0, 1, 10, 11, 2."""
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"image": [f"{number}.png" for number in range(12)], "label": range(12)})
    for name in frame["image"]:
        write_png(np.zeros((4, 4, 1), np.uint8), name)
    frame.to_csv("labels.csv", index=False)
    text, numbers = Dataset.from_csv("labels.csv"), as_dataset(pd.read_csv("labels.csv"))
    assert (text.classes[:4], numbers.classes[:4]) == (("0", "1", "10", "11"), (0, 1, 2, 3))
    for index in (slice(None), [2], [0, 1], [10, 2]):
        assert [one.label for one in numbers[index].align(text.classes)] == [one.label for one in text[index]]
        assert [one.label for one in text[index].align(numbers.classes)] == [one.label for one in numbers[index]]
    one_based = Dataset.from_arrays(IMAGES[:2], [1, 2]).align(("1", "2", "3"))
    assert [sample.label for sample in one_based] == ["1", "2"]
    with pytest.raises(DataError) as caught:
        Dataset.from_arrays(IMAGES[:3], [0, 1, 2]).align(("1", "2", "3"))  # positions? one does not know
    assert str(caught.value) == (
        "label 1 is ambiguous: there is a class '1', and at position 1 there is '2'. Give labels as text: str(label) "
        "where they are names, classes[label] where they are positions."
    )
    mixed = Dataset.from_arrays(IMAGES[:3], [0, 1, 2]).align(("0", "1", "other"))
    assert [sample.label for sample in mixed] == ["0", "1", "other"]


@pytest.mark.parametrize("form", ["{:03}", "{}.0", "+{:02}"])
def test_align_takes_a_number_for_the_text_that_pandas_makes_it_of(form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [form.format(number) for number in (1, 2, 3, 10)]
    frame = pd.DataFrame({"image": [f"{number}.png" for number in range(4)], "label": names})
    for name in frame["image"]:
        write_png(np.zeros((4, 4, 1), np.uint8), name)
    frame.to_csv("labels.csv", index=False)
    text, numbers = Dataset.from_csv("labels.csv"), as_dataset(pd.read_csv("labels.csv"))
    assert (set(text.classes), numbers.classes) == (set(names), (1, 2, 3, 10))
    for index in (slice(None), [0, 1], [2], [3, 1]):
        assert [one.label for one in numbers[index].align(text.classes)] == [one.label for one in text[index]]
        assert [one.label for one in text[index].align(numbers.classes)] == [one.label for one in numbers[index]]


def test_align_refuses_a_number_that_two_names_stand_for_or_one_of_another_place():
    numbers = Dataset.from_arrays(IMAGES[:3], [1, 2, 2])
    how = (
        "Give labels as text: as the classes are written where they are names, classes[label] where they are positions."
    )
    for classes, words in (
        (("1", "01", "2"), "label 1 is ambiguous: there are the classes '1', '01', and at position 1 there is '01'. "),
        (
            ("000", "001", "003", "002", "01"),
            "label 1 is ambiguous: there are the classes '001', '01', and at position ",
        ),
        (("001", "004"), "label 1 is ambiguous: there is a class '001', and at position 1 there is '004'. "),
    ):
        with pytest.raises(DataError) as caught:
            numbers.align(classes)
        assert str(caught.value).startswith(words)
        assert str(caught.value).endswith(how)
    assert [one.label for one in numbers.align(("1", "2", "03", "3"))] == ["1", "2", "2"]  # no number stands for two
    assert [one.label for one in numbers.align(("000", "001", "002"))] == ["001", "002", "002"]
    with pytest.raises(DataError, match=r"^label '01' is not one of the 1 classes"):
        Dataset.from_arrays(IMAGES[:2], ["1", "01"]).align((1,))  # two labels are not one
    with pytest.raises(DataError, match=r"^label '1' is not one of the 2 classes"):
        Dataset.from_arrays(IMAGES[:2], ["1", "1"]).align(("01", "02"))  # text is what it is


def test_align_refuses_a_label_that_is_not_there(data):
    with pytest.raises(DataError) as caught:
        data.align(["a", "bb", "c"])
    assert str(caught.value) == (
        "label 'b' is not one of the 3 classes. Did you mean 'bb'? The classes are 'a', 'bb', 'c'."
    )
    several = Dataset.from_arrays(IMAGES[:2], [[1, 1], [0, 1]], classes=["red", "blue"])
    with pytest.raises(DataError) as caught:
        several.align(["red", "green"])
    assert str(caught.value) == (
        "the classes are 'red', 'blue' and not 'red', 'green'. Give the same: a column for each, or, where labels are "
        "lists of names, classes= as in Dataset.from_arrays(images, names, classes=...)."
    )


@pytest.mark.parametrize(
    ("groups", "names"),
    [
        ([0, 1, 0, 2, 1, 2], [0, 1, 0, 2, 1, 2]),
        ([0.0, 1.0, 0.0, 2.0, 1.0, 2.0], [0, 1, 0, 2, 1, 2]),
        (np.array([0, 1, 0, 2, 1, 2], np.float32), [0, 1, 0, 2, 1, 2]),
        ([0, 1.0, 0, 2.5, 1, 2.5], ["0", "1", "0", "2.5", "1", "2.5"]),
        ([0.0, 1.0, 0.0, 2.0, np.nan, None], ["0", "1", "0", "2", "no group: 4", "no group: 5"]),
        (pd.array([0, 1, 0, 2, 1, None], dtype="Int64"), ["0", "1", "0", "2", "1", "no group: 5"]),
        ([None, 0, 2, 3, 0, 5], ["no group: 0", "0", "2", "3", "0", "5"]),
        ([0.0, float("inf"), 1e15, 0.0, 0.0, 0.0], ["0", "inf", "1000000000000000", "0", "0", "0"]),
        (list("xxyyzz"), list("xxyyzz")),
    ],
)
def test_a_group_is_called_the_same_whatever_kind_of_number_it_is(groups, names):
    assert Dataset.from_arrays(IMAGES, groups=groups).groups.tolist() == names


@pytest.mark.parametrize(
    "ids",
    [
        range(6),
        np.arange(6),
        np.arange(6, dtype=np.float32),
        pd.Series(range(6)),
        [0, 1.0, "2", np.int8(3), np.str_("4"), Path("5")],
        map(Path, "012345"),
    ],
)
def test_ids_are_text(ids):
    data = Dataset.from_arrays(IMAGES, ids=ids)
    assert data.ids == tuple("012345")
    assert {type(name) for name in data.ids} == {str}
    assert [sample.id for sample in data[4:]] == ["4", "5"]
    assert data.ids == Dataset.from_arrays(IMAGES).ids


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT])
def test_an_id_that_is_missing_is_refused_with_its_position(missing):
    with pytest.raises(DataError) as caught:
        Dataset.from_arrays(IMAGES, ids=["a", "b", missing, "d", missing, "f"])
    assert str(caught.value) == (
        f"2 of 6 ids are missing, first at position 2: {missing!r}. Accepted: names or numbers. Name these images, or leave ids out: then all are called by their positions."
    )


@pytest.mark.parametrize("name", ["ids", "groups"])
@pytest.mark.parametrize(
    "given", [dict.fromkeys("abcdef", "p"), set("abcdef"), pd.DataFrame({"patient": list("xxyyzz")})]
)
def test_names_without_an_order_are_refused_in_words(name, given):
    with pytest.raises(DataError) as caught:
        Dataset.from_arrays(IMAGES, **{name: given})
    assert str(caught.value) == (
        f"{name} are a {type(given).__name__}. Accepted: a list, an array or a column, one for each image in their order, such as [{name}[name] for name in names]."
    )


@pytest.mark.parametrize("groups", [["a"] * 7, [1.5] * 7, [None] * 7, [1.0, None]])
def test_another_number_of_groups_is_refused_in_words(groups):
    for make in (
        lambda: Dataset.from_arrays(IMAGES, groups=groups),
        lambda: Dataset(IMAGES).split((0.5, 0.5), groups=groups),
    ):
        with pytest.raises(DataError) as caught:
            make()
        assert str(caught.value) == f"there are 6 images and {len(groups)} groups. Give one for each image."


@pytest.mark.parametrize("groups", [[("cat", 1)] * 6, [["a"], ["a", "b"]] * 3, np.zeros((6, 2)), [{"a"}] * 6])
def test_several_values_for_a_group_are_refused_in_words(groups):
    for make in (
        lambda: Dataset.from_arrays(IMAGES, groups=groups),
        lambda: Dataset(IMAGES).split((0.5, 0.5), groups=lambda path: groups[int(path.name)]),
    ):
        with pytest.raises(DataError) as caught:
            make()
        assert str(caught.value) == (
            f"groups hold several values an image, such as {groups[0]!r}. Accepted: one name or number each, or None. Make one name of them, such as '/'.join(map(str, group))."
        )


@pytest.mark.parametrize("name", ["ids", "groups"])
def test_lengths_that_differ_are_refused_in_words(name):
    with pytest.raises(DataError) as caught:
        Dataset.from_arrays(IMAGES, **{name: ["a"]})
    assert str(caught.value) == f"there are 6 images and 1 {name}. Give one for each image."


# --- parts -----------------------------------------------------------------------------------------------------------


def test_parts_may_be_spelt_as_people_do():
    data = Dataset(IMAGES, list("bacabb"), parts=["Training", "train", "val", "valid", " test", "Testing"])
    assert data.parts.tolist() == ["train", "train", "validation", "validation", "test", "test"]
    assert [part.ids for part in data.split()] == [("0", "1"), ("2", "3"), ("4", "5")]  # no image vanishes
    assert Dataset(IMAGES, parts=np.array(["val"] * 6)).subset("validation").ids == tuple("012345")
    assert Dataset(IMAGES, parts=None).parts is None


@pytest.mark.parametrize("word", ["dev", None, float("nan"), ""])
def test_a_part_that_is_none_is_refused_in_words(word):
    with pytest.raises(DataError) as caught:
        Dataset(IMAGES, parts=["train"] * 5 + [word])
    assert str(caught.value) == (
        f"parts= says {str(word).lower()!r}. Accepted: train, training, val, valid, validation, test, testing. "
        "Rename what is none of them, or leave it out."
    )


def test_parts_of_another_number_are_refused_in_words():
    with pytest.raises(DataError, match=r"^there are 6 images and 1 parts\. Give one for each image\.$"):
        Dataset(IMAGES, parts=["val"])


# --- sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(224, 224, 3), (224,), 0, (8, 0), 8.0, "auto"])
def test_a_wrong_image_size_is_refused_in_words(data, size):
    words = f"image_size={size!r} is not accepted. Accepted: a whole number of at least 1, or (height, width)."
    for lend in (data.to_tf, data.to_torch):
        with pytest.raises(ConfigurationError) as caught:
            lend(image_size=size)
        assert str(caught.value) == words


def test_a_size_to_read_is_height_and_width(data, photos):
    assert data.read(0, size=(2, 3)).shape == (2, 3, 1)
    for one in (data, Dataset.from_folder(photos)):
        with pytest.raises(ConfigurationError) as caught:
            one.read(0, size=224)
        assert str(caught.value) == "size=224 is not accepted. Accepted: (height, width), whole numbers from 1."
    for lent in ([8, 12], (8, 12), (np.int64(8), np.int64(12))):
        assert data.to_torch(image_size=lent)[0][0].shape == (3, 8, 12)


def test_show_draws_images_and_labels(data):
    axes = data.show(3)
    assert [ax.get_title() for ax in axes] == ["b", "a", "c"]
    np.testing.assert_array_equal(axes[2].get_images()[0].get_array(), IMAGES[2])
    assert [ax.get_title() for ax in Dataset.from_arrays(IMAGES).show()] == [""] * 6
    several = Dataset.from_arrays(IMAGES[:3], [["cat", "cow"], [], ["cow"]], multi_label=True)
    assert [ax.get_title() for ax in several.show()] == ["cat, cow", "none", "cow"]


def test_read_converts_channels_and_source_does_not_decode(data, photos):
    assert data.read(3, channels=3).shape == (4, 5, 3)
    folder = Dataset.from_folder(photos)
    assert folder.source(9) == photos / "dog" / "1.png"
    assert folder.read(9, channels=1).shape == (21, 26, 1)
