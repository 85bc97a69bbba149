"""`Predictions` works wherever an array of labels is accepted."""

import copy
import json
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from imgcls.errors import ConfigurationError, DataError
from imgcls.predictions import Prediction, Predictions, Rows, Similar

PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.4, 0.4, 0.2], [0.0, 1.0, 0.0]], np.float32)
NAMES = ["cat", "dog", "owl"]
IDS = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


def predictions(classes=NAMES, **options):
    return Predictions(PROBABILITIES, classes=classes, ids=IDS, **options)


@pytest.mark.parametrize("classes", [NAMES, [30, 10, 20]], ids=["names", "integers"])
def test_it_is_an_array_of_labels(classes):
    made = predictions(classes)
    expected = [classes[code] for code in (0, 2, 0, 1)]
    assert np.asarray(made).tolist() == made.labels.tolist() == np.array(made).tolist() == expected
    assert np.asarray(made).dtype == np.array(classes).dtype
    assert pd.Series(made).tolist() == expected
    assert pd.DataFrame({"label": made})["label"].tolist() == expected
    truth = [classes[code] for code in (0, 2, 1, 1)]
    assert metrics.accuracy_score(truth, made) == 0.75
    assert metrics.f1_score(truth, made, average="macro") == metrics.f1_score(truth, expected, average="macro")
    np.testing.assert_array_equal(metrics.confusion_matrix(truth, made), metrics.confusion_matrix(truth, expected))


@pytest.mark.parametrize("classes", [NAMES, [30, 10, 20]], ids=["names", "integers"])
def test_it_is_compared_label_by_label(classes):
    """The first, third and fourth are as said; on either side, and of every kind of column."""
    made, truth = predictions(classes), [classes[code] for code in (0, 1, 0, 1)]
    right = [True, False, True, True]
    columns = [pd.Series(truth, index=list("wxyz"), dtype=kind) for kind in (object, "category")]
    columns += [pd.Series(truth), pd.Series(truth, dtype="string" if classes is NAMES else "Int64")]
    for given in (truth, tuple(truth), np.array(truth), np.array(truth, object), pd.Index(truth), *columns):
        for equal, unequal in ((made == given, made != given), (given == made, given != made)):
            assert np.asarray(equal, bool).tolist() == right
            assert np.asarray(unequal, bool).tolist() == [not one for one in right]
    for equal in (made == truth, made == tuple(truth), np.array(truth) == made):
        assert type(equal) is np.ndarray
        assert equal.dtype == bool
    assert np.mean(made == truth) == metrics.accuracy_score(truth, made) == 0.75
    for equal in (made == columns[0], columns[0] == made, columns[0].eq(made)):
        pd.testing.assert_series_equal(equal, pd.Series(right, index=list("wxyz")))
    frame = pd.DataFrame({"truth": truth})
    assert frame[frame["truth"] != made].index.tolist() == [1]


def test_it_is_compared_with_other_predictions_and_with_one_label():
    made, others = predictions(), Predictions(PROBABILITIES[::-1], classes=NAMES, ids=IDS)
    assert (made == others).tolist() == [False, False, False, False]
    assert (made[[0, 2]] == others[[1, 3]]).tolist() == [True, True]
    for equal in (made == "cat", "cat" == made):  # noqa: SIM300 - on either side
        assert equal.tolist() == [True, False, True, False]
    assert (made != made).tolist() == [False] * 4  # noqa: PLR0124 - it is what is tested
    assert (made == predictions([30, 10, 20])).tolist() == [False] * 4
    assert (made == ["cat", None, "cat", float("nan")]).tolist() == [True, False, True, False]
    assert (made == None).tolist() == [False] * 4  # noqa: E711 - `is` asks nothing of it
    unsure = predictions(unknown=np.array([True, False, False, False]), sets=np.ones((4, 3), bool))
    assert (unsure == made).all()  # as `labels`; `answers` says what is not answered
    with pytest.raises(ValueError, match="shape"):
        made == ["cat", "owl", "cat"]  # noqa: B015 - it raises
    with pytest.raises(TypeError, match="unhashable"):
        hash(made)


def test_missing_labels_of_a_column_are_not_equal():
    made = predictions()
    for kind in (object, "str", "category"):
        column = pd.Series(["cat", None, "dog", "dog"], dtype=kind)
        for equal, unequal in ((made == column, made != column), (column == made, column != made)):
            assert equal.tolist() == [True, False, False, True]
            assert unequal.tolist() == [False, True, True, False]
    column = pd.Series(["cat", None, "dog", "dog"], dtype="string")
    for equal in (made == column, column == made):
        assert equal.tolist() == [True, pd.NA, False, True]


def test_several_labels_are_compared_one_by_one():
    made = Predictions(np.array([[0.9, 0.5, 0.1], [0.1, 0.2, 0.3]]), classes=NAMES, ids=["a", "b"], multi_label=True)
    truth = [[1, 0, 0], [0, 0, 0]]
    expected = [[True, False, True], [True, True, True]]
    frame = pd.DataFrame(truth, columns=NAMES)
    for equal in (made == truth, made == np.array(truth), np.array(truth) == made, made == frame, frame == made):
        assert np.asarray(equal).tolist() == expected
    assert (made == made[:1]).tolist() == [[True] * 3, [False, False, True]]


def test_numbers_are_calculated_with_beside_a_column():
    made, truth = predictions([30, 10, 20]), [20, 20, 30, 10]
    column = pd.Series(truth)
    for distance in (column - made, np.array(truth) - made, -(made - truth), -1 * (made - column)):
        assert np.asarray(distance).tolist() == [-10, 0, 0, 0]
    assert (column < made).tolist() == (made > truth).tolist() == [True, False, False, False]


def test_dtype_and_copy_are_numpys():
    made = predictions([30, 10, 20])
    assert np.asarray(made, dtype=float).tolist() == [30.0, 20.0, 30.0, 10.0]
    np.array(made)[:] = 0
    assert made.labels.tolist() == [30, 20, 30, 10]


@pytest.mark.parametrize(
    ("index", "positions"),
    [
        (slice(1, None), [1, 2, 3]),
        ([3, 0], [3, 0]),
        (np.array([True, False, False, True]), [0, 3]),
        (slice(0, 0), []),
    ],
)
def test_an_index_of_many_gives_predictions(index, positions):
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((2, 2, 1), np.uint8)
    chosen = predictions(read=images.__getitem__)[index]
    assert isinstance(chosen, Predictions)
    assert len(chosen) == len(positions)
    assert chosen.ids == tuple(IDS[position] for position in positions)
    np.testing.assert_array_equal(chosen.probabilities, PROBABILITIES[positions])
    drawn = [int(ax.get_images()[0].get_array()[0, 0]) for ax in chosen.show()]
    assert drawn == positions
    assert [int(one.show()[0].get_images()[0].get_array()[0, 0]) for one in chosen] == positions


@pytest.mark.parametrize("index", [1, -3, np.int64(1)])
def test_an_integer_gives_a_prediction(index):
    one = predictions()[index]
    assert isinstance(one, Prediction)
    assert (one.label, one.id) == ("owl", "b.jpg")
    assert one.probability == pytest.approx(0.6)
    assert list(one.probabilities) == ["owl", "dog", "cat"]
    assert str(one) == "owl 0.60"
    with pytest.raises(IndexError):
        predictions()[4]


@pytest.mark.parametrize("classes", [[30, 10, 20], np.array([30, 10, 20])], ids=["python", "numpy"])
def test_integers_stay_integers(classes, tmp_path):
    made = predictions(classes)
    assert type(made[0].label) is int
    assert {type(name) for name in made[0].probabilities} == {int}
    row = json.loads(made.save(tmp_path / "answers.jsonl").read_text().splitlines()[1])
    assert row == {"id": "b.jpg", "label": 20, "probability": 0.6, "probabilities": {"20": 0.6, "10": 0.3, "30": 0.1}}


def test_several_labels():
    made = Predictions(np.array([[0.9, 0.5, 0.1], [0.1, 0.2, 0.3]]), classes=NAMES, ids=["a", "b"], multi_label=True)
    assert np.asarray(made).tolist() == [[1, 1, 0], [0, 0, 0]]
    assert [one.label for one in made] == [("cat", "dog"), ()]
    assert [str(one) for one in made] == ["cat, dog 0.90", "none (owl 0.30)"]
    assert metrics.accuracy_score([[1, 1, 0], [0, 1, 0]], made) == 0.5
    assert made[1:].labels.tolist() == [[0, 0, 0]]


def test_frame_and_repr():
    frame = predictions().to_frame()
    assert frame.columns.tolist() == ["id", "label", "probability", *NAMES]
    assert frame["id"].tolist() == IDS
    assert frame["label"].tolist() == ["cat", "owl", "cat", "dog"]
    np.testing.assert_array_equal(frame[NAMES].to_numpy(), PROBABILITIES)
    np.testing.assert_array_equal(frame["probability"], PROBABILITIES.max(axis=1))
    assert repr(predictions()) == "Predictions(4 images, 3 classes)"


@pytest.mark.parametrize("name", ["id", "label", "probability", "answer", "error", "model"])
def test_a_class_with_the_name_of_another_column_is_refused_where_there_is_that_column(name, tmp_path):
    for sets in (None, np.ones((4, 3), bool)):
        made = predictions(["cat", name, "owl"], sets=sets)
        asked = name == "answer" and sets is None
        refused = f"class '{name}' has the name of another column of the table. Take "
        if name in {"error", "model"} or asked:
            assert made.to_frame()[name].tolist() == PROBABILITIES[:, 1].tolist()
        else:
            with pytest.raises(ConfigurationError) as caught:
                made.to_frame()
            assert str(caught.value) == f"{refused}`labels` and `probabilities`, which are arrays, or rename the class."
        for suffix in ("csv", "parquet"):
            path = tmp_path / f"answers.{suffix}"
            if name == "model" or asked:
                read = pd.read_csv if suffix == "csv" else pd.read_parquet
                np.testing.assert_allclose(read(made.save(path))[name], PROBABILITIES[:, 1])
                path.unlink()
            else:
                with pytest.raises(ConfigurationError) as caught:
                    made.save(path)
                assert str(caught.value) == f"{refused}.jsonl, where probabilities stand apart, or rename the class."
        rows = [json.loads(line) for line in made.save(tmp_path / "a.jsonl").read_text().splitlines()]
        assert [row["probabilities"][name] for row in rows] == pytest.approx(PROBABILITIES[:, 1].tolist())
        (tmp_path / "a.jsonl").unlink()
        assert not list(tmp_path.iterdir())
    if name not in {"answer", "model"}:
        with pytest.raises(ConfigurationError, match=f"^{refused}JSON Lines, where probabilities stand apart"):
            Rows(["cat", name, "owl"]).csv([], head=True)


def test_zeros_and_ones_are_probabilities_too():
    for dtype in (np.uint8, np.int64, bool):
        made = Predictions(np.array([[1, 1, 0], [0, 0, 0]], dtype), classes=NAMES, ids=["a", "b"], multi_label=True)
        assert made.labels.tolist() == [[1, 1, 0], [0, 0, 0]]
        assert [str(one) for one in made] == ["cat, dog 1.00", "none (cat 0.00)"]
        pairs = np.array([[1, 0], [0, 1]], dtype)
        two = Predictions(pairs, classes=["well", "sick"], ids=["a", "b"], thresholds={"sick": 0.3})
        assert two.labels.tolist() == ["well", "sick"]


def test_the_frame_has_the_probability_of_the_label():
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1]])
    made = Predictions(probabilities, classes=["well", "sick"], ids=["a", "b"], thresholds={"sick": 0.3})
    frame = made.to_frame()
    assert list(zip(frame["label"], frame["probability"], strict=True)) == [("sick", 0.4), ("well", 0.9)]
    assert frame["probability"].tolist() == [one.probability for one in made]
    several = Predictions(probabilities, classes=["well", "sick"], ids=["a", "b"], multi_label=True)
    assert several.to_frame()["probability"].tolist() == [one.probability for one in several] == [0.6, 0.9]
    assert made[:0].to_frame().empty


def test_of_several_labels_the_probability_is_of_the_likeliest_that_is_said(tmp_path):
    """By hand: dog is likelier, and below its threshold; then nothing is said; then both are."""
    probabilities = np.array([[0.6, 0.9], [0.3, 0.4], [0.7, 0.97]])
    made = Predictions(
        probabilities, classes=["cat", "dog"], ids=["a", "b", "c"], multi_label=True, thresholds={"dog": 0.95}
    )
    assert [str(one) for one in made] == ["cat 0.60", "none (dog 0.40)", "cat, dog 0.97"]
    assert [str(one) for one in made[::2]] == ["cat 0.60", "cat, dog 0.97"]
    expected = [0.6, 0.4, 0.97]
    assert [one.probability for one in made] == made.to_frame()["probability"].tolist() == expected
    rows = [json.loads(line) for line in made.save(tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [(row["label"], row["probability"]) for row in rows] == [(["cat"], 0.6), ([], 0.4), (["cat", "dog"], 0.97)]
    assert pd.read_csv(made.save(tmp_path / "answers.csv"))["probability"].tolist() == expected


def test_without_images_there_is_nothing_to_show():
    for made, words in (
        (
            predictions(),
            "these predictions have no images to show: none were given, or they were pickled or copied. Make them by classifier.predict(images), or give read=.",
        ),
        (
            predictions()[0],
            "this prediction has no image to show: a stream keeps none, nor does what was pickled or copied. Predict one image or a list.",
        ),
        (
            Similar(IDS, [0.9, 0.8, 0.7, 0.6]),
            "there are no images to show. Find them by classifier.similar(image), or give read=.",
        ),
    ):
        with pytest.raises(DataError) as caught:
            made.show()
        assert str(caught.value) == words


# --- as a sequence of labels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [NAMES, [30, 10, 20]], ids=["names", "integers"])
def test_a_label_is_looked_for_as_in_a_list_of_labels(classes):
    made = predictions(classes)
    labels = [classes[code] for code in (0, 2, 0, 1)]
    for label in [*classes, *np.array(classes), "cow", 7, None, ("cat",), ["cat", "owl"], labels]:
        assert (label in made) == (label in labels)
        assert made.count(label) == labels.count(label)
        for asked in ((), (1,), (-2,), (0, 2), (1, -1), (3, 1), (9,)):
            if label in labels[slice(*asked) if len(asked) == 2 else slice(*asked, None)]:
                assert made.index(label, *asked) == labels.index(label, *asked)
            else:
                with pytest.raises(ValueError, match="Ask `label in predictions` first"):
                    made.index(label, *asked)
    assert "cow" not in made
    with pytest.raises(DataError) as caught:
        made.index("cow", 1)
    assert str(caught.value) == "'cow' is said of none of these 3 images. Ask `label in predictions` first."


def test_a_prediction_is_looked_for_itself():
    made = predictions(read=lambda _: None)
    assert all(one in made for one in made)
    assert [made.index(one) for one in made] == [0, 1, 2, 3]
    assert made.count(made[2]) == 1
    assert made[2] not in made[:2]
    assert Prediction("cat", 0.5, {"cat": 0.5}, "a.jpg") not in made


def test_with_several_labels_one_of_them_is_looked_for_or_all():
    given = np.array([[0.9, 0.5, 0.1], [0.1, 0.2, 0.3], [0.2, 0.8, 0.1]])
    made = Predictions(given, classes=NAMES, ids=["a", "b", "c"], multi_label=True)
    assert [one.label for one in made] == [("cat", "dog"), (), ("dog",)]
    assert [made.count(name) for name in NAMES] == [1, 2, 0]
    assert ("dog" in made, "owl" in made) == (True, False)
    assert (made.index("dog"), made.index("dog", 1)) == (0, 2)
    assert (made.index(()), made.index(("dog",)), made.count(("cat", "dog"))) == (1, 2, 1)


# --- pickled --------------------------------------------------------------------------------------------------------


def test_what_is_pickled_or_copied_has_no_images():
    """As another process or a cache gives it back: all but the images, and words about those."""
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3)).astype(np.uint8)
    made = predictions(
        read=lambda position: images[position], sets=PROBABILITIES >= 0.3, unknown=PROBABILITIES[:, 0] == 0
    )
    for whole in (made, made[:3], made[[0, 1]][::-1]):
        data = pickle.dumps(whole)
        assert len(data) < 5_000 < images.nbytes
        for again in (pickle.loads(data), copy.deepcopy(whole), copy.copy(whole)):
            assert (list(again), again.ids, again.answers) == (list(whole), whole.ids, whole.answers)
            assert (again == whole).all()
            np.testing.assert_array_equal(again.probabilities, whole.probabilities)
            pd.testing.assert_frame_equal(again[1:].to_frame(), whole[1:].to_frame())
            with pytest.raises(
                DataError, match=r"have no images to show: .* they were pickled or copied\. Make them by"
            ):
                again.show()
        assert len(whole.show()) == len(whole)
    for one in made:
        for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
            assert again == one
            assert list(again.probabilities) == list(one.probabilities)
            assert (str(again), again.answer) == (str(one), one.answer)
            with pytest.raises(DataError, match=r"nor does what was pickled or copied\. Predict one image or a list\."):
                again.show()
        assert len(one.show()) == 1


@pytest.mark.parametrize("multi_label", [False, True])
def test_what_is_pickled_keeps_its_thresholds(multi_label):
    probabilities = np.array([[0.6, 0.4], [0.9, 0.1]])
    options = {"classes": ["well", "sick"], "ids": ["a", "b"], "thresholds": {"sick": 0.3}}
    made = Predictions(probabilities, multi_label=multi_label, **options)
    again = pickle.loads(pickle.dumps(made))
    assert again.labels.tolist() == made.labels.tolist()
    assert [str(one) for one in again[::-1]] == [str(one) for one in made[::-1]]
