"""Every figure of `Evaluation` against scikit-learn."""

import copy
import json
import pickle
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from sklearn import metrics

from imgcls.errors import ConfigurationError, DataError
from imgcls.metrics import Evaluation, _figures
from imgcls.metrics._pictures import PLOTS

CLASSES = ("ant", "bee", "cat", "dog")


def single(seed, count=60, absent=None):
    random = np.random.default_rng(seed)
    y_true = random.integers(0, 4, count)
    if absent is not None:
        y_true[y_true == absent] = (absent + 1) % 4
    probabilities = random.dirichlet(np.ones(4), count)
    return y_true, probabilities


def ties():
    y_true, probabilities = single(5)
    return y_true, np.round(probabilities * 2) / 4 + 0.01


CASES = {
    "random": single(0),
    "a class absent from the truth": single(1, absent=2),
    "a class never predicted": (single(2)[0], single(2)[1] * [1, 0.01, 1, 1]),
    "few images": single(3, count=5),
    "one image": single(4, count=1),
    "ties": ties(),
}


@pytest.fixture(params=CASES, ids=CASES)
def case(request):
    y_true, probabilities = CASES[request.param]
    return y_true, probabilities / probabilities.sum(axis=1, keepdims=True)


def areas(y_true, probabilities):
    """The means over classes that have positives and negatives, by scikit-learn."""
    indicator = y_true if y_true.ndim == 2 else y_true[:, None] == np.arange(probabilities.shape[1])
    known = [k for k in range(indicator.shape[1]) if 0 < indicator[:, k].sum() < len(indicator)]
    if not known:
        return {}
    pairs = [(indicator[:, k], probabilities[:, k]) for k in known]
    return {
        "roc_auc": np.mean([metrics.roc_auc_score(*pair) for pair in pairs]),
        "average_precision": np.mean([metrics.average_precision_score(*pair) for pair in pairs]),
    }


def calibration_error(confidence, right, edges):
    """Guo et al., equation 5, bin by bin."""
    place = np.digitize(confidence, edges)
    gaps = {one: abs(right[place == one].mean() - confidence[place == one].mean()) for one in np.unique(place)}
    return sum(np.mean(place == one) * gap for one, gap in gaps.items())


def calibration(confidence, right):
    quantiles = np.quantile(confidence, np.arange(1, 15) / 15)
    return {
        "calibration_error": calibration_error(confidence, right, np.arange(1, 15) / 15),
        "adaptive_calibration_error": calibration_error(confidence, right, quantiles),
    }


def test_single_label_figures_are_scikit_learns(case):
    y_true, probabilities = case
    y_pred = probabilities.argmax(axis=1)
    evaluation = Evaluation(y_true, probabilities, classes=CLASSES)
    every = {"labels": range(4), "average": "macro", "zero_division": 0}
    present = sorted(set(y_true.tolist()))  # balanced accuracy is about the classes that are there
    expected = {
        "accuracy": metrics.accuracy_score(y_true, y_pred),
        "balanced_accuracy": metrics.recall_score(y_true, y_pred, labels=present, average="macro"),
        "macro_precision": metrics.precision_score(y_true, y_pred, **every),
        "macro_recall": metrics.recall_score(y_true, y_pred, **every),
        "macro_f1": metrics.f1_score(y_true, y_pred, **every),
        "log_loss": metrics.log_loss(y_true, probabilities, labels=range(4)),
        "brier": metrics.brier_score_loss(y_true, probabilities, labels=range(4)),
        **areas(y_true, probabilities),
        **calibration(probabilities.max(axis=1), y_true == y_pred),
    }
    assert dict(evaluation) == pytest.approx(expected, rel=1e-12)
    named = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "log_loss")
    assert {name: getattr(evaluation, name) for name in named} == {name: evaluation[name] for name in named}
    np.testing.assert_array_equal(evaluation.confusion, metrics.confusion_matrix(y_true, y_pred, labels=range(4)))
    rows = metrics.precision_recall_fscore_support(y_true, y_pred, labels=range(4), zero_division=0)
    np.testing.assert_allclose(evaluation.to_frame().to_numpy()[:, :4], np.transpose(rows))
    assert evaluation.to_frame().index.tolist() == list(CLASSES)
    report = metrics.classification_report(
        y_true, y_pred, labels=range(4), target_names=CLASSES, digits=4, zero_division=0
    )
    assert evaluation.report(digits=4) == report


def test_the_true_class_is_among_the_likeliest_as_in_scikit_learn_but_for_ties():
    random = np.random.default_rng(0)
    y_true, probabilities = random.integers(0, 8, 300), random.dirichlet(np.ones(8), 300)
    evaluation = Evaluation(y_true, probabilities, classes="abcdefgh")
    expected = [metrics.top_k_accuracy_score(y_true, probabilities, k=k, labels=range(8)) for k in range(1, 8)]
    assert [evaluation.top_k(k) for k in range(1, 8)] == pytest.approx(expected, rel=1e-12)
    assert evaluation["top_5_accuracy"] == evaluation.top_k(5)
    tied = np.tile([0.5, 0.25, 0.25, 0.0], (2, 1))  # of equal ones the first is the likelier, and there the last
    for code, first in ((1, [0.0, 1.0, 1.0, 1.0]), (2, [0.0, 0.0, 1.0, 1.0])):
        truth = np.full(2, code)
        ties = Evaluation(truth, tied, classes=CLASSES)
        assert [ties.top_k(k) for k in (1, 2, 3, 4)] == first
        assert metrics.top_k_accuracy_score(truth, tied, k=2, labels=range(4)) == 1 - ties.top_k(2)
    halves = Evaluation(np.array([0, 1]), np.full((2, 2), 0.5), classes=["cat", "dog"])
    assert halves.top_k(1) == halves.accuracy == 0.5


def test_balanced_accuracy_is_scikit_learns_where_all_classes_are_predicted_and_true():
    y_true, probabilities = single(0)
    evaluation = Evaluation(y_true, probabilities, classes=CLASSES)
    assert evaluation.balanced_accuracy == metrics.balanced_accuracy_score(y_true, probabilities.argmax(axis=1))


def test_a_class_without_an_image_that_is_never_predicted_counts_as_0_in_means_over_classes():
    """As in scikit-learn where `labels` name it; without them it is left out there."""
    y_true, probabilities = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1, 0]] * 2 + [[0.2, 0.8, 0]] * 2)
    evaluation = Evaluation(y_true, probabilities, classes=["cat", "cow", "dog"])
    assert (evaluation.macro_precision, evaluation.macro_recall, evaluation.macro_f1) == pytest.approx((2 / 3,) * 3)
    every = {"average": "macro", "zero_division": 0}
    assert metrics.f1_score(y_true, evaluation.y_pred, labels=range(3), **every) == pytest.approx(2 / 3)
    assert metrics.f1_score(y_true, evaluation.y_pred, **every) == evaluation.balanced_accuracy == 1


def test_a_class_that_no_image_shows_or_all_do_is_left_out_of_the_mean_areas():
    """scikit-learn counts an average precision of 0, or of 1, and gives NaN for ROC AUC: as `Evaluation` tells."""
    random = np.random.default_rng(0)
    y_true, probabilities = random.integers(0, 2, (50, 4)), random.random((50, 4))
    y_true[:, 2], y_true[:, 3] = 0, 1
    evaluation = Evaluation(y_true, probabilities, classes=CLASSES)
    told = y_true[:, :2], probabilities[:, :2]
    for name, score in (("average_precision", metrics.average_precision_score), ("roc_auc", metrics.roc_auc_score)):
        assert evaluation[name] == pytest.approx(score(*told, average="macro"), rel=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn: no positive class
        each = metrics.average_precision_score(y_true, probabilities, average=None)
        no_mean = metrics.roc_auc_score(y_true, probabilities, average="macro")
    assert each[2:].tolist() == [0, 1]
    assert np.isnan(no_mean)


def test_several_label_figures_are_scikit_learns():
    random = np.random.default_rng(0)
    y_true, probabilities = random.integers(0, 2, (50, 4)), random.random((50, 4))
    y_true[:, 3] = 0
    y_pred = probabilities >= 0.5
    evaluation = Evaluation(y_true, probabilities, classes=CLASSES)
    every = {"average": "macro", "zero_division": 0}
    assert dict(evaluation) == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(y_true, y_pred),
            "balanced_accuracy": metrics.recall_score(y_true[:, :3], y_pred[:, :3], average="macro"),
            "macro_precision": metrics.precision_score(y_true, y_pred, **every),
            "macro_recall": metrics.recall_score(y_true, y_pred, **every),
            "macro_f1": metrics.f1_score(y_true, y_pred, **every),
            "log_loss": np.mean([metrics.log_loss(y_true[:, k], probabilities[:, k], labels=[0, 1]) for k in range(4)]),
            "brier": np.mean((probabilities - y_true) ** 2),
            **areas(y_true, probabilities),
            **calibration(probabilities.ravel(), y_true.ravel() == 1),
        },
        rel=1e-12,
    )
    np.testing.assert_array_equal(evaluation.confusion, metrics.multilabel_confusion_matrix(y_true, y_pred))
    report = metrics.classification_report(y_true, y_pred, target_names=CLASSES, digits=3, zero_division=0)
    assert evaluation.report() == report
    assert evaluation.most_confused() == []
    assert evaluation.table["true"][0] == tuple(np.array(CLASSES)[y_true[0] == 1])
    with pytest.raises(DataError) as caught:
        evaluation.plot()
    assert str(caught.value) == (
        "with several labels an image there is one 2 x 2 matrix for each class: see confusion (K, 2, 2)."
    )


def test_a_report_of_one_label_is_of_the_label_and_not_of_its_absence():
    y_true, probabilities = np.array([[1], [0], [1], [1]]), np.array([[0.9], [0.2], [0.7], [0.1]])
    evaluation = Evaluation(y_true, probabilities, classes=["defect"])
    row = next(line.split() for line in evaluation.report().splitlines() if "defect" in line)
    figures = metrics.precision_recall_fscore_support([1, 0, 1, 1], [1, 0, 1, 0], average="binary")[:3]
    assert row == ["defect", *(f"{figure:.3f}" for figure in figures), "3"]
    assert list(evaluation.per_class["defect"].values())[:4] == pytest.approx([*figures, 3])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_zeros_and_ones_are_probabilities_too(dtype):
    random = np.random.default_rng(0)
    y_true = random.integers(0, 2, (50, 4)).astype(np.uint8)
    hard = np.where(random.random((50, 4)) < 0.8, y_true, 1 - y_true).astype(dtype)
    evaluation = Evaluation(y_true, hard, classes=CLASSES)
    np.testing.assert_array_equal(evaluation.y_pred, hard)
    assert evaluation.accuracy == metrics.accuracy_score(y_true, hard)
    assert evaluation.macro_f1 == pytest.approx(metrics.f1_score(y_true, hard, average="macro"))
    assert evaluation["roc_auc"] == pytest.approx(areas(y_true, hard)["roc_auc"])
    curve = evaluation.curve("ant")
    assert curve.thresholds.tolist() == [1.0, 0.0]
    assert curve.recall[0] == metrics.recall_score(y_true[:, 0], hard[:, 0])
    assert dict(evaluation) == dict(Evaluation(y_true, hard.astype(float), classes=CLASSES))
    pairs = np.eye(2, dtype=dtype)[hard[:, 0].astype(int)]
    two = Evaluation(y_true[:, 0], pairs, classes=["well", "sick"], thresholds={"sick": 0.3})
    assert two.accuracy == metrics.accuracy_score(y_true[:, 0], hard[:, 0])


def test_true_and_false_are_labels_too():
    """True is the second class, or with several labels that it is there."""
    random = np.random.default_rng(0)
    sick, probabilities = random.random(50) < 0.3, random.dirichlet([1, 1], 50)
    evaluation = Evaluation(sick, probabilities, classes=["well", "sick"])
    assert dict(evaluation) == dict(Evaluation(sick.astype(int), probabilities, classes=["well", "sick"]))
    assert evaluation.log_loss == pytest.approx(metrics.log_loss(sick, probabilities))
    assert evaluation.table["true"].tolist() == np.where(sick, "sick", "well").tolist()
    several = random.random((50, 4)) < 0.3
    either = [Evaluation(one, probabilities.repeat(2, axis=1), classes=CLASSES) for one in (several, several * 1)]
    assert dict(either[0]) == dict(either[1])


@pytest.mark.parametrize(("dtype", "nats"), [(np.float32, 23 * np.log(2)), (np.float64, 52 * np.log(2))])
def test_a_sure_and_wrong_prediction_costs_what_scikit_learn_says_and_not_infinity(dtype, nats):
    """What a probability of 0 counts as is the step from 1 to the next number: 2 to the power -23, or -52."""
    y_true, probabilities = np.array([0, 1]), np.array([[0, 1], [0, 1]], dtype)
    evaluation = Evaluation(y_true, probabilities, classes=["a", "b"])
    np.testing.assert_allclose(evaluation.losses, [nats, 0], rtol=1e-12, atol=1e-6)
    assert evaluation.log_loss == pytest.approx(metrics.log_loss(y_true, probabilities), rel=1e-6)
    several = Evaluation(np.array([[1, 0], [0, 0]]), np.array([[0, 0], [1, 0]], dtype), classes=["a", "b"])
    np.testing.assert_allclose(several.losses, [nats / 2, nats / 2], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_log_loss_is_scikit_learns_however_small_a_probability_is(dtype):
    random = np.random.default_rng(0)
    small = 10.0 ** random.uniform(-20, -1, (200, 3))
    probabilities = np.concatenate([small, 1 - small.sum(axis=1, keepdims=True)], axis=1).astype(dtype)
    y_true = random.integers(0, 4, 200)
    evaluation = Evaluation(y_true, probabilities, classes=CLASSES)
    assert evaluation.log_loss == pytest.approx(metrics.log_loss(y_true, probabilities, labels=range(4)), rel=1e-6)
    indicator = random.integers(0, 2, (200, 4))
    columns = [metrics.log_loss(indicator[:, k], probabilities[:, k], labels=[0, 1]) for k in range(4)]
    assert Evaluation(indicator, probabilities, classes=CLASSES).log_loss == pytest.approx(np.mean(columns), rel=1e-5)


def test_the_order_of_images_changes_nothing():
    y_true, probabilities = single(7)
    ids = [f"{index}.jpg" for index in range(60)]
    order = np.random.default_rng(0).permutation(60)
    first = Evaluation(y_true, probabilities, classes=CLASSES, ids=ids)
    other = Evaluation(y_true[order], probabilities[order], classes=CLASSES, ids=[ids[index] for index in order])
    np.testing.assert_array_equal(first.confusion, other.confusion)
    assert dict(other) == pytest.approx(dict(first), rel=1e-12)
    by_id = [evaluation.table.set_index("id").sort_index() for evaluation in (first, other)]
    assert by_id[0].equals(by_id[1])


def test_most_confused_and_top_losses_by_hand():
    y_true = np.array([0, 0, 0, 0, 1, 1, 2, 3])
    y_pred = np.array([1, 1, 0, 2, 2, 1, 2, 3])
    probabilities = np.full((8, 4), 0.1) + 0.6 * np.eye(4)[y_pred]
    probabilities[4] = [0.02, 0.03, 0.93, 0.02]
    evaluation = Evaluation(y_true, probabilities, classes=CLASSES, ids=list("abcdefgh"))
    assert evaluation.most_confused() == [("ant", "bee", 2), ("ant", "cat", 1), ("bee", "cat", 1)]
    assert evaluation.most_confused(1) == [("ant", "bee", 2)]
    worst = evaluation.top_losses(3)
    assert worst["id"].tolist() == ["e", "a", "b"]
    assert worst.iloc[0].drop("id").to_dict() == {
        "true": "bee",
        "predicted": "cat",
        "probability": 0.93,
        "loss": pytest.approx(-np.log(0.03)),
    }


def test_json_is_strict_and_whole():
    y_true, probabilities = single(1, absent=2)
    evaluation = Evaluation(y_true, probabilities.astype(np.float32), classes=[5, 6, 7, 8])

    def refuse(name):
        raise AssertionError(name)

    text = json.loads(evaluation.to_json(), parse_constant=refuse)
    assert (text["images"], text["quarantined"]) == (60, 0)
    assert text["accuracy"] == evaluation["accuracy"]
    assert text["confusion"] == evaluation.confusion.tolist()
    assert list(text["per_class"]) == ["5", "6", "7", "8"]
    assert text["per_class"]["7"]["support"] == 0


def test_what_was_left_out_is_counted_and_named():
    y_true, probabilities = single(1)
    reasons = {"a.png": "it is empty", "b.png": "it is damaged"}
    evaluation = Evaluation(y_true, probabilities, classes=["ant", "bee", "cat", "dog"], quarantined=reasons)
    assert evaluation.quarantined == reasons
    assert json.loads(evaluation.to_json())["quarantined"] == 2
    plain = Evaluation(y_true, probabilities, classes=["ant", "bee", "cat", "dog"])
    assert dict(evaluation) == dict(plain)
    expected = str(plain).splitlines()
    expected.insert(1, "2 of 62 images cannot be read and are left out")
    assert str(evaluation).splitlines() == expected


def test_a_file_that_is_listed_twice_is_two_images_wherever_they_are_counted():
    y_true, probabilities = single(1)
    given = {"classes": CLASSES, "quarantined": {"a.png": "it is empty"}, "left_out": 2}
    evaluation = Evaluation(y_true, probabilities, **given)
    assert "\n2 of 62 images cannot be read and are left out\n" in str(evaluation)
    assert json.loads(evaluation.to_json())["quarantined"] == 2
    card, page = evaluation.to_card(quick=True), evaluation.to_html(quick=True)
    for told in (card, page):
        assert "2 images cannot be read and are left out." in told
    assert "- left out because they cannot be read: 2\n" in card
    assert "The figures leave out 2 images that cannot be read." in card
    assert "<h3>Left out: 2 that cannot be read</h3>" in page


@pytest.mark.parametrize(
    ("y_true", "probabilities", "ids", "words"),
    [
        (
            [0, 1],
            [[0.5, 0.5]],
            None,
            "2 labels of 2 classes go with probabilities (2, 2), not (1, 2), and as many ids, not 2.",
        ),
        (
            [0],
            [[0.5, 0.5]],
            [],
            "1 labels of 2 classes go with probabilities (1, 2), not (1, 2), and as many ids, not 0.",
        ),
        (
            [],
            np.zeros((0, 2)),
            [],
            "0 labels of 2 classes go with probabilities (0, 2), not (0, 2), and as many ids, not 0.",
        ),
        (
            [0],
            [[np.nan, 1]],
            None,
            "probabilities contain NaN or infinity. The model did not train: lower the learning rate.",
        ),
        (
            [0],
            [[np.inf, 1]],
            None,
            "probabilities contain NaN or infinity. The model did not train: lower the learning rate.",
        ),
        (
            [0, 1],
            [[0.5, 0.5], [np.nan, np.nan]],
            ["cat.png", "black.png"],
            (
                "probabilities of 1 of 2 images are NaN or infinite: 'black.png'. Look at these images, and at what the "
                "model does with them, such as a division by the deviation of pixels that are all alike; or leave them "
                "out."
            ),
        ),
        *(
            (
                y_true,
                [[0.5, 0.5]],
                None,
                (
                    f"y_true has dtype {np.asarray(y_true).dtype} and shape {np.shape(y_true)}. "
                    "Accepted: (N,) whole numbers from 0 to 1, or (N, 2) zeros and ones."
                ),
            )
            for y_true in ([-1], [2], ["a"], [0.5], [[1]], [[0, 2]], [[[0, 1]]])
        ),
    ],
)
def test_wrong_input_is_refused_in_words(y_true, probabilities, ids, words):
    with pytest.raises(DataError) as caught:
        Evaluation(np.array(y_true), np.array(probabilities), classes=["a", "b"], ids=ids)
    assert str(caught.value) == words


def test_text_and_pictures():
    y_true, probabilities = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    images = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((4, 4, 1), np.uint8)
    evaluation = Evaluation(y_true, probabilities, classes=["cat", "dog"], read=images.__getitem__)
    assert repr(evaluation) == "Evaluation(3 images, accuracy 0.667, macro F1 0.667)"
    assert str(evaluation).startswith(
        "3 images, 2 classes\n"
        "accuracy                    0.667  [0.208, 0.939]\n"  # Wilson's interval of 2 in 3, by hand
        "balanced accuracy           0.750  ["
    )
    assert str(evaluation).endswith("\n\nmost confused: dog -> cat (1)")
    assert str(evaluation).encode("cp1252")  # of a file or a pipe on Windows, which `print` may be sent to
    assert evaluation.report() in str(evaluation)
    assert [ax.get_title() for ax in evaluation.show()] == ["cat", "dog", "✗ dog → cat"]
    assert plt.gcf().get_suptitle() == "predicted label; wrong ones in red: ✗ true → predicted"
    (worst,) = evaluation.show_top_losses(1)
    assert worst.get_title() == "✗ dog → cat"
    assert (worst.get_images()[0].get_array() == 2).all()
    assert len(evaluation.show([])) == 0
    mask = ~evaluation.right
    for positions in (mask, mask.tolist(), pd.Series(mask), np.array([2]), (2,), [-1], range(2, 3), pd.Index([2])):
        assert [ax.get_title() for ax in evaluation.show(positions)] == ["✗ dog → cat"]
    assert [ax.get_title() for ax in evaluation.show(evaluation.right)] == ["cat", "dog"]
    assert len(evaluation.show(np.zeros(3, bool))) == 0
    with pytest.raises(DataError) as caught:
        Evaluation(y_true, probabilities, classes=["cat", "dog"]).show()
    assert str(caught.value) == (
        "this evaluation has no images to show. Make it by classifier.evaluate(data), or give read=."
    )
    several = Evaluation(
        np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]]),
        np.array([[0.9, 0.8, 0.1], [0.1, 0.2, 0.3], [0.6, 0.2, 0.3]]),
        classes=["cat", "cow", 7],
        read=images.__getitem__,
    )
    assert [ax.get_title() for ax in several.show()] == ["cat, cow", "none", "✗ 7 → cat"]
    ax = evaluation.plot(normalize=True)
    assert [text.get_text() for text in ax.texts] == ["1.00", "0.00", "0.50", "0.50"]


def test_what_is_of_the_confusion_matrix_is_refused_for_other_figures():
    evaluation = Evaluation(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]), classes=["cat", "dog"])
    with pytest.raises(ConfigurationError) as caught:
        evaluation.plot("roc", normalize=True, order="clusterd")
    assert str(caught.value) == (
        "2 arguments are wrong:\n"
        "- normalize=True is of kind='confusion', which is not asked for. Leave it out, or draw that.\n"
        "- order='clusterd' is of kind='confusion', which is not asked for. Leave it out, or draw that."
    )
    with pytest.raises(ConfigurationError, match=r"^order='clusterd' is not known"):
        evaluation.plot(order="clusterd")
    with pytest.raises(ConfigurationError, match=r"^kind='confuson' is not known\. Did you mean 'confusion'"):
        evaluation.plot("confuson", normalize=True)
    for kind in PLOTS:
        assert evaluation.plot(kind, normalize=False, order=None).figure is plt.gcf()
        plt.close()


def test_what_is_pickled_or_copied_has_no_images():
    """Kept with a classifier, an evaluation would carry all images along, and functions that cannot be pickled."""
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)

    def fails(*_):
        raise AssertionError

    functions = {"explain": fails, "shortcuts": fails, "robust": fails}
    given = {"classes": ["cat", "dog"], "read": images.__getitem__, "leaked": lambda: np.array([2]), **functions}
    evaluation = Evaluation(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]]), **given)
    data = pickle.dumps(evaluation)
    assert len(data) < 5_000 < images.nbytes
    for again in (pickle.loads(data), copy.deepcopy(evaluation)):
        assert dict(again) == dict(evaluation)
        assert (again.ids, again.intervals) == (evaluation.ids, evaluation.intervals)
        assert again.leaks() is again.shortcuts() is again.robustness() is None
        assert "<title>Evaluation: 3 images, 2 classes</title>" in again.to_html()
        with pytest.raises(
            DataError, match=r"no images to show\. Make it by classifier\.evaluate\(data\), or give read="
        ):
            again.show()
    assert len(evaluation.show()) == 3
    assert evaluation.leaks().ids == ("2",)
    assert pickle.loads(pickle.dumps(evaluation)).leaks().ids == ("2",)  # found once, it is known


def test_an_evaluation_is_named_at_once_without_its_intervals(monkeypatch):
    monkeypatch.setattr(Evaluation, "_measured", property(lambda _: pytest.fail("every interval was computed")))
    random = np.random.default_rng(0)
    y_true, probabilities = single(2)
    predicted = probabilities.argmax(axis=1)
    accuracy = metrics.accuracy_score(y_true, predicted)
    f1 = metrics.f1_score(y_true, predicted, labels=range(4), average="macro", zero_division=0)
    name = repr(Evaluation(y_true, probabilities, classes=CLASSES))
    assert name == f"Evaluation(60 images, accuracy {accuracy:.3f}, macro F1 {f1:.3f})"
    several, said = random.integers(0, 2, (60, 4)), probabilities >= 0.5
    f1 = metrics.f1_score(several, said, average="macro", zero_division=0)
    name = repr(Evaluation(several, probabilities, classes=CLASSES))
    assert name.endswith(f"accuracy {metrics.accuracy_score(several, said):.3f}, macro F1 {f1:.3f})")


def drawn(classes, count, seed=0):
    """True and predicted codes of which about half agree."""
    random = np.random.default_rng(seed)
    y_true, other = random.integers(0, classes, (2, count))
    return y_true, np.where(random.random(count) < 0.5, y_true, other)


def saying(y_pred, classes):
    probabilities = np.full((len(y_pred), classes), 0.4 / max(classes - 1, 1), np.float32)
    probabilities[np.arange(len(y_pred)), y_pred] = 0.6 if classes > 1 else 1
    return probabilities


@pytest.mark.parametrize(("classes", "count"), [(1, 5), (2, 40), (5, 3), (7, 200), (60, 80)])
def test_counts_mistakes_and_what_they_share_are_those_of_the_whole_matrix(classes, count):
    """What the F1 of classes share, as a sum over all pairs of classes."""
    y_true, y_pred = drawn(classes, count, seed=classes)
    table = np.zeros((classes, classes), int)
    np.add.at(table, (y_true, y_pred), 1)
    counts = _figures.Counts.of(y_true, y_pred, classes)
    np.testing.assert_array_equal(counts, [table.diagonal(), table.sum(axis=1), table.sum(axis=0)])
    cells = _figures.Cells.of(y_true, y_pred, classes)
    assert list(zip(*map(np.ndarray.tolist, cells), strict=True)) == [
        (*map(int, np.unravel_index(place, table.shape)), int(table.ravel()[place])) for place in np.flatnonzero(table)
    ]
    wrong = np.where(np.eye(classes) == 1, 0, table)
    order = [place for place in np.argsort(-wrong, axis=None, kind="stable") if wrong.ravel()[place]]
    found = Evaluation(y_true, saying(y_pred, classes), classes=range(classes))
    assert found.most_confused(9) == [(*divmod(int(place), classes), int(wrong.ravel()[place])) for place in order[:9]]

    images = np.maximum(table.sum(axis=0) + table.sum(axis=1), 1)
    f1 = 2 * table.diagonal() / images
    lost, one_more = f1 / images, 1 / max(classes * (classes - 1), 1)
    mistakes = np.where(np.eye(classes) == 1, 0, wrong + one_more)
    hits = (table.diagonal() * (2 * (1 - f1) / images) ** 2).sum()
    alone = hits + (mistakes * (lost[:, None] ** 2 + lost**2)).sum()
    together = hits + (mistakes * (lost[:, None] + lost) ** 2).sum()
    shared = _figures._shared_mistakes(cells.mistakes, counts)
    assert shared == pytest.approx(np.sqrt(together / alone) if alone else 1, rel=1e-12)


def test_counts_of_several_labels_are_those_of_their_matrices():
    random = np.random.default_rng(0)
    y_true, y_pred = random.integers(0, 2, (2, 50, 4)).astype(np.uint8)
    tables = metrics.multilabel_confusion_matrix(y_true, y_pred)
    expected = [tables[:, 1, 1], tables[:, 1].sum(axis=1), tables[:, :, 1].sum(axis=1)]
    np.testing.assert_array_equal(_figures.Counts.of(y_true, y_pred, 4), expected)


@pytest.mark.slow
def test_fifty_thousand_classes_are_measured_in_little_memory():
    """A matrix of them has 20 GB. Figures by scikit-learn, which needs none either."""
    classes, count = 50_000, 100
    codes = np.random.default_rng(1).permutation(classes)[:40]
    y_true, y_pred = (codes[part] for part in drawn(len(codes), count))
    tracemalloc.start()
    found = Evaluation(y_true, saying(y_pred, classes), classes=range(classes))
    figures, rows = dict(found), found.per_class
    worst, said, card = found.most_confused(1), repr(found), found.to_card(quick=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 400e6
    every = {"labels": range(classes), "average": "macro", "zero_division": 0}
    assert figures["accuracy"] == metrics.accuracy_score(y_true, y_pred)
    assert figures["macro_precision"] == pytest.approx(metrics.precision_score(y_true, y_pred, **every))
    assert figures["macro_f1"] == pytest.approx(metrics.f1_score(y_true, y_pred, **every))
    present = every | {"labels": np.unique(y_true)}
    assert figures["balanced_accuracy"] == pytest.approx(metrics.recall_score(y_true, y_pred, **present))
    assert {code for code, row in rows.items() if row["support"]} == set(y_true.tolist())
    (true, predicted, images), *_ = worst
    assert images == ((y_true == true) & (y_pred == predicted)).sum() > 0
    assert said.startswith("Evaluation(100 images, accuracy 0.")
    assert "The 100 with the lowest F1 of 50,000." in card


def test_no_matrix_of_very_many_classes_is_drawn_or_written():
    y_true, y_pred = drawn(2_001, 50)
    found = Evaluation(y_true, saying(y_pred, 2_001), classes=range(2_001))
    with pytest.raises(DataError) as caught:
        found.plot()
    assert str(caught.value) == (
        "a confusion matrix of 2,001 classes has more cells than a picture has pixels. Accepted: up to 2,000 classes. "
        "most_confused() names the commonest mistakes, and plot('classes') draws the worst classes."
    )
    text = json.loads(found.to_json())
    assert text["confusion"] is None
    assert len(text["per_class"]) == 2_001
