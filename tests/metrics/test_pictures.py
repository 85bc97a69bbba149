"""The plots of an evaluation: what is drawn of classes that have no images, and what is refused."""

import numpy as np
import pytest

from imgcls import DataError, Evaluation

ONE_CLASS = Evaluation(np.array([1, 1]), np.array([[0.3, 0.7], [0.2, 0.8]]), classes=["cat", "dog"])
SAME_LABELS = Evaluation(np.array([[1, 0], [1, 0]]), np.array([[0.3, 0.7], [0.2, 0.8]]), classes=["cat", "dog"])


@pytest.mark.parametrize("kind", ["roc", "precision_recall"])
@pytest.mark.parametrize(
    ("evaluation", "found", "wanted"),
    [
        (ONE_CLASS, "all images are of one class, 'dog'", "of at least two classes"),
        (SAME_LABELS, "each label is on all images or on none", "of which some have a label and others do not"),
    ],
)
def test_images_of_one_class_have_no_curves_and_are_told_why(evaluation, kind, found, wanted):
    with pytest.raises(DataError) as refusal:
        evaluation.plot(kind)
    assert str(refusal.value) == (
        f"{found}, and ROC and precision-recall curves compare images of a class with others. Evaluate on images "
        f"{wanted}."
    )


@pytest.mark.parametrize(("kind", "axis"), [("roc", "false positive rate"), ("precision_recall", "recall")])
def test_classes_without_a_curve_are_counted(kind, axis):
    probabilities = np.array([[0.5, 0.3, 0.1, 0.1], [0.2, 0.6, 0.1, 0.1]])
    ax = Evaluation(np.array([0, 1]), probabilities, classes=["cat", "dog", "owl", "fox"]).plot(kind)
    assert ax.get_xlabel() == f"{axis}; 2 without a curve left out"
    of_all = Evaluation(np.array([0, 1]), probabilities[:, :2] / 0.8, classes=["cat", "dog"]).plot(kind)
    assert of_all.get_xlabel() == axis


def test_classes_that_nothing_speaks_of_are_left_out_of_the_bars():
    """By hand: c is said once and never true, so that its F1 is 0; never is neither, and has none."""
    probabilities = np.array([[0.3, 0.7, 0, 0], [0.8, 0.2, 0, 0], [0.3, 0.6, 0.1, 0], [0.1, 0.2, 0.7, 0]])
    found = Evaluation(np.array([0, 0, 1, 1]), probabilities, classes=["a", "b", "c", "never"])
    ax = found.plot("classes")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["c (0)", "b (2)", "a (2)"]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0, 0.5, 2 / 3])
    assert ax.get_xlabel() == "F1, with its interval; 1 without F1 left out"


def test_labels_that_nothing_speaks_of_are_left_out_of_the_bars():
    indicator = np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0]])
    probabilities = np.array([[0.9, 0.1, 0.2], [0.4, 0.6, 0.2], [0.1, 0.1, 0.1]])
    ax = Evaluation(indicator, probabilities, classes=["a", "said", "never"]).plot("classes")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["said (0)", "a (2)"]
    assert ax.get_xlabel() == "F1, with its interval; 1 without F1 left out"
    silent = Evaluation(np.zeros((2, 2), int), np.full((2, 2), 0.1), classes=["a", "b"]).plot("classes")
    assert not silent.patches
    silent.figure.canvas.draw()


@pytest.mark.parametrize(("y_true", "axis"), [([[1, 0], [0, 0]], "share that is there"), ([0, 1], "accuracy")])
def test_reliability_is_of_labels_where_an_image_may_have_several(y_true, axis):
    ax = Evaluation(np.array(y_true), np.array([[0.9, 0.1], [0.2, 0.8]]), classes=["cat", "dog"]).plot("reliability")
    assert ax.get_ylabel().startswith(axis)
    assert ax.get_legend().get_texts()[0].get_text().endswith(f" = {axis}")
