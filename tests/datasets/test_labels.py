"""A label comes back as it went in; what is no label is refused."""

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import MultiLabelBinarizer

from imgcls.datasets import Dataset, _labels
from imgcls.datasets._labels import encode
from imgcls.errors import DataError

NO_UTF_8 = (
    "class 'ros\\udce9' is no text in UTF-8, so no file could hold it. Rename its folder, or mend the label: for example "
    "'ros_'."
)


def dataset(labels, **options):
    return Dataset.from_arrays(np.zeros((len(labels), 4, 4), np.uint8), labels, **options)


@pytest.mark.parametrize(
    ("labels", "classes", "codes"),
    [
        (["dog", "cat", "dog"], ("cat", "dog"), [1, 0, 1]),
        ([7, 3, 3], (3, 7), [1, 0, 0]),
        (np.array([7, 3, 3], np.uint8), (3, 7), [1, 0, 0]),
        ([7.0, 3.0, np.float32(3)], (3, 7), [1, 0, 0]),
        ([True, False, np.True_], (0, 1), [1, 0, 1]),
        (np.array(["b", "a", "b"], dtype=object), ("a", "b"), [1, 0, 1]),
        (np.array([[2], [1], [2]]), (1, 2), [1, 0, 1]),
        ((name for name in ["b", "a", "b"]), ("a", "b"), [1, 0, 1]),
        (["NA", "nan", ""], ("", "NA", "nan"), [1, 2, 0]),
    ],
)
def test_labels_are_coded_in_sorted_order(labels, classes, codes):
    data = Dataset.from_arrays(np.zeros((3, 4, 4), np.uint8), labels)
    assert data.classes == classes
    assert {type(name) for name in data.classes} == {type(classes[0])}
    assert data.labels.dtype == np.int64
    assert data.labels.tolist() == codes
    assert [sample.label for sample in data] == [classes[code] for code in codes]


def test_classes_give_the_order_and_integers_are_positions():
    assert dataset(["cat", "dog"], classes=["dog", "cat", "owl"]).labels.tolist() == [1, 0]
    assert dataset([1, 0], classes=["dog", "cat"]).labels.tolist() == [1, 0]
    assert dataset([30, 10], classes=[30, 20, 10]).labels.tolist() == [0, 2]
    digits = [str(digit) for digit in range(10)]  # name and position agree
    assert dataset(np.arange(10)[::-1], classes=digits).labels.tolist() == list(range(10))[::-1]


@pytest.mark.parametrize(
    ("rows", "multi_label", "expected"),
    [
        ([[0, 1], [1, 0]], None, [1, 0]),
        ([[0.0, 1.0], [1.0, 0.0]], False, [1, 0]),
        ([[0, 1], [1, 0]], True, [[0, 1], [1, 0]]),
        ([[1, 1], [0, 0]], None, [[1, 1], [0, 0]]),
        (np.array([[True, True], [False, True]]), None, [[1, 1], [0, 1]]),
    ],
)
def test_one_hot_and_indicator_rows(rows, multi_label, expected):
    data = dataset(rows, classes=["a", "b"], multi_label=multi_label)
    assert data.labels.tolist() == expected
    assert data.multi_label == isinstance(expected[0], list)
    names = [tuple("ab"[code] for code in np.flatnonzero(row)) for row in np.asarray(rows)]
    assert [sample.label for sample in data] == (names if data.multi_label else [name for (name,) in names])


MISSING = "Accepted: names or whole numbers. Label these images or leave them out."


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        (["a", None], {}, f"1 of 2 labels are missing or no label, first at position 1: None. {MISSING}"),
        (["a", np.nan], {}, f"1 of 2 labels are missing or no label, first at position 1: nan. {MISSING}"),
        (np.array([np.nan, np.nan]), {}, f"2 of 2 labels are missing or no label, first at position 0: nan. {MISSING}"),
        ([0.5, 1], {}, f"1 of 2 labels are missing or no label, first at position 0: 0.5. {MISSING}"),
        (["a", 1], {}, "labels mix names and numbers, for example 1. Use one kind, such as str(label)."),
        (
            ["cat", "dgo"],
            {"classes": ["cat", "dog"]},
            "label 'dgo' is not one of the 2 classes. Did you mean 'dog'? The classes are 'cat', 'dog'.",
        ),
        (
            ["Ka\u0308fer"],  # as macOS writes names in archives
            {"classes": ["Hund", "K\u00e4fer"]},
            "label 'Ka\u0308fer' is not one of the 2 classes. It is 'K\\xe4fer' in another Unicode form, 'Ka\\u0308fer': rename one of them, or bring both into one form by unicodedata.normalize('NFC', name). The classes are 'Hund', 'K\u00e4fer'.",
        ),
        (
            [0, 2],
            {"classes": ["cat", "dog"]},
            "label 2 is not one of the classes 'cat', 'dog' nor a position from 0 to 1.",
        ),
        (
            [0, 2],
            {"classes": ["1", "2", "3"]},
            "label 2 is ambiguous: there is a class '2', and at position 2 there is '3'. Give labels as text: str(label) where they are names, classes[label] where they are positions.",
        ),
        (
            [3],
            {"classes": ["1", "2", "3"]},
            "label 3 is ambiguous: there is a class '3', and at position 3 there is none. Give labels as text: str(label) where they are names, classes[label] where they are positions.",
        ),
        (
            [1, 2],
            {"classes": ["001", "002", "003"]},
            "label 1 is ambiguous: there is a class '001', and at position 1 there is '002'. Give labels as text: as the classes are written where they are names, classes[label] where they are positions.",
        ),
        (
            ["a", "b"],
            {"classes": ["a", "b", "a"]},
            "classes names 'a' more than once. Give each class one name.",
        ),
        (
            ["a", "b"],
            {"classes": []},
            "classes names none. Accepted: at least one, or None for those that the labels name.",
        ),
        (
            [0, 1],
            {"classes": []},
            "classes names none. Accepted: at least one, or None for those that the labels name.",
        ),
        (["a", "b"], {"classes": ["a", 1]}, "classes are 'a', 1. Accepted: names, or whole numbers, not both."),
        (
            [[0, 2], [1, 0]],
            {},
            "labels of shape (2, 2) are not all 0 or 1. Accepted: (N,) labels, or (N, K) zeros and ones.",
        ),
        (
            [["a", "b"], ["c", "d"]],
            {"multi_label": False},
            "labels of shape (2, 2) are not all 0 or 1. Accepted: (N,) labels, or (N, K) zeros and ones.",
        ),
        (
            [[0, 1], [1, 0]],
            {"classes": ["a", "b", "c"]},
            "labels have 2 columns and classes 3 names. Give one name for each column.",
        ),
        (
            [[1, 1], [1, 0]],
            {"multi_label": False},
            "multi_label=False, but some images have no label or several. Give one label for each image.",
        ),
        (
            np.zeros((2, 2, 2), int),
            {},
            "labels have shape (2, 2, 2). Accepted: (N,) names or integers, or (N, K) zeros and ones.",
        ),
        (["ros\udce9", "tea"], {}, NO_UTF_8),
        ([["ros\udce9", "tea"], []], {}, NO_UTF_8),
        ([0, 1], {"classes": ["tea", "ros\udce9"]}, NO_UTF_8),
        ([[0, 1], [1, 1]], {"classes": ["tea", "ros\udce9"]}, NO_UTF_8),
    ],
)
def test_wrong_labels_are_refused_in_words(labels, options, words):
    with pytest.raises(DataError) as caught:
        dataset(labels, **options)
    assert str(caught.value) == words


def test_names_for_each_image_become_an_indicator():
    images = np.zeros((3, 4, 4), np.uint8)
    for labels in ([["b", "a"], [], ["b"]], [{"a", "b"}, set(), {"b"}], [("a", "b"), (), ("b",)]):
        data = Dataset.from_arrays(images, labels)
        assert data.multi_label
        assert data.classes == ("a", "b")
        assert data.labels.tolist() == [[1, 1], [0, 0], [0, 1]]
    ordered = Dataset.from_arrays(images, [["b"], ["a", "b"], []], classes=["c", "b", "a"])
    assert ordered.labels.tolist() == [[0, 1, 0], [0, 1, 1], [0, 0, 0]]
    with pytest.raises(DataError, match="label 'd' is not one of the 2 classes"):
        Dataset.from_arrays(images, [["a", "d"], [], []], classes=["a", "b"])
    with pytest.raises(DataError, match=r"there are 3 images and 2 labels\. Give one collection of names an image"):
        Dataset.from_arrays(images, [["a", "d"], []])


def test_collections_in_an_array_or_a_column_of_a_frame_are_those_of_a_list():
    """As `groupby(...).agg(list)` makes them, and as Parquet gives them back."""
    rows = [["b", "a"], ["c"], [], ["a"]]
    truth = MultiLabelBinarizer().fit_transform(rows)
    for kind in (list, tuple, set, lambda row: np.array(row, dtype=object), lambda row: np.array(row, dtype="U1")):
        column = pd.Series([kind(row) for row in rows])
        for labels in (column, column.to_numpy(), column.tolist()):
            for multi_label in (None, True):
                data = dataset(labels, multi_label=multi_label)
                assert data.classes == ("a", "b", "c")
                np.testing.assert_array_equal(data.labels, truth)
    one_each = pd.Series([["b"], ["a"]])
    assert dataset(one_each.to_numpy()).labels.tolist() == [1, 0]
    assert dataset(one_each.to_numpy(), multi_label=True).labels.tolist() == [[0, 1], [1, 0]]
    indicator = pd.Series([[1, 1], [0, 1]]).to_numpy()
    assert dataset(indicator, classes=["a", "b"]).labels.tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize("labels", [[["cat"], ["dog"]], [("cat",), ("dog",)], [{"cat"}, {"dog"}]])
def test_one_name_each_is_several_labels_where_one_says_so(labels):
    data = dataset(labels, multi_label=True)
    assert data.classes == ("cat", "dog")
    assert data.labels.tolist() == [[1, 0], [0, 1]]
    assert [sample.label for sample in data] == [("cat",), ("dog",)]
    column = dataset([["cat"], ["dog"]])  # nobody said so: it is a column
    assert (column.multi_label, column.labels.tolist()) == (False, [0, 1])


@pytest.mark.parametrize(
    "labels", [["dog", "cat", "dog"], np.array(["dog", "cat", "dog"]), [7, 3, 7], np.array([7, 3, 7])]
)
def test_one_plain_label_each_is_several_labels_too_where_one_says_so(labels):
    found = sorted(set(labels))
    for classes in (None, [found[1], 99 if found[0] == 3 else "owl", found[0]]):
        data = dataset(labels, multi_label=True, classes=classes)
        names = classes or found
        truth = MultiLabelBinarizer(classes=names).fit_transform([[label] for label in labels])
        assert (data.multi_label, data.classes, data.labels.dtype) == (True, tuple(names), np.uint8)
        np.testing.assert_array_equal(data.labels, truth)
        assert [sample.label for sample in data] == [(label,) for label in labels]
    assert not dataset(labels).multi_label
    assert not dataset(labels, multi_label=False).multi_label


def test_the_columns_of_a_frame_of_labels_are_the_classes():
    names = pd.Series(["dog", "cat", "owl", "dog"])
    one_hot = pd.get_dummies(names)  # columns cat, dog, owl
    for frame in (one_hot, one_hot.astype(float), one_hot[["owl", "dog", "cat"]], names.to_frame("label")):
        data = Dataset.from_arrays(np.zeros((4, 4, 4), np.uint8), frame)
        assert not data.multi_label
        assert [sample.label for sample in data] == names.tolist()
    assert dataset(one_hot[["owl", "dog", "cat"]]).classes == ("owl", "dog", "cat")
    ordered = dataset(one_hot, classes=["owl", "cat", "dog"])
    assert (ordered.classes, ordered.labels.tolist()) == (("owl", "cat", "dog"), [2, 1, 0, 2])
    positions = dataset(pd.DataFrame(one_hot.to_numpy()), classes=["Katze", "Hund", "Eule"])
    assert [sample.label for sample in positions] == ["Hund", "Katze", "Eule", "Hund"]
    several = dataset(pd.DataFrame({"red": [1, 0, 1], "round": [1, 0, 0]}))
    assert [sample.label for sample in several] == [("red", "round"), (), ("red",)]
    with pytest.raises(DataError) as caught:
        dataset(one_hot, classes=["cat", "dog", "cow"])
    assert str(caught.value) == (
        "the columns of labels are 'cat', 'dog', 'owl', and classes= names 'cat', 'dog', 'cow'. Accepted: the same names in the order that you want, or None for the order of the columns."
    )


@pytest.mark.parametrize("labels", [{"a.jpg": "cat", "b.jpg": "dog"}, {"cat", "dog"}])
def test_labels_without_an_order_are_refused_in_words(labels):
    for multi_label in (None, True, False):
        with pytest.raises(DataError) as caught:
            dataset(labels, multi_label=multi_label)
        assert str(caught.value) == (
            f"labels are a {type(labels).__name__}. Accepted: a list, an array or a column, one for each image in their order, such as [labels[name] for name in names]."
        )


class Unsearched(tuple):
    """Classes that nobody may look through: for each of very many, that takes time with the square of their number."""

    __slots__ = ()

    def index(self, *_):
        raise AssertionError

    def __contains__(self, _):
        raise AssertionError


def test_labels_of_very_many_classes_are_found_without_a_look_through_all_for_each(monkeypatch):
    check = _labels.check_classes
    monkeypatch.setattr(_labels, "check_classes", lambda classes: Unsearched(check(classes)))
    names = [f"kind {code}" for code in range(40_000)]
    codes, classes = encode(names, count=len(names), classes=names[::-1])
    row, _ = encode([names], count=1, classes=names, multi_label=True)
    assert classes == tuple(names[::-1])
    np.testing.assert_array_equal(codes, np.arange(40_000)[::-1])
    assert row.all()
