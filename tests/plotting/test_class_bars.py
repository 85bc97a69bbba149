"""Rows of classes and slices: their order, their lengths, their whiskers, and what is left out."""

import itertools

import numpy as np
import pytest
from matplotlib import pyplot as plt

from imgcls.errors import ConfigurationError
from imgcls.plotting import class_bars, class_counts, slices

NAMES = ["cat", "$5 and $10", "a_dog_1"]
VALUES, LOWER, UPPER = [0.9, 0.25, 0.5], [0.8, 0.125, 0.375], [0.9375, 0.5, 0.75]


@pytest.fixture
def ax():
    return plt.subplots()[1]


def names_of(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def bars_of(ax):
    return [bar.get_width() for bar in ax.patches]


def whiskers_of(container):
    """The ends of the intervals, a row for each."""
    return np.array([segment[:, 0] for segment in container.lines[2][0].get_segments()])


def figures_of(ax):
    return [text.get_text() for text in ax.texts]


def test_bars_stand_from_worst_to_best_with_their_intervals(ax):
    assert class_bars(VALUES, LOWER, UPPER, NAMES, metric="recall", support=[8, 4, 1200], ax=ax) is ax
    assert names_of(ax) == ["$5 and $10 (4)", "a_dog_1 (1,200)", "cat (8)"]
    assert bars_of(ax) == [0.25, 0.5, 0.9]
    np.testing.assert_allclose(whiskers_of(ax.containers[1]), [[0.125, 0.5], [0.375, 0.75], [0.8, 0.9375]])
    assert figures_of(ax) == ["0.25", "0.50", "0.90"]
    assert ax.yaxis_inverted()
    assert ax.get_xlim() == (0, 1)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("recall, with its interval", "class (images)")
    assert ax.get_title() == "Recall of each class, worst first"
    assert not any(label.get_parse_math() for label in ax.get_yticklabels())
    ax.figure.canvas.draw()
    assert names_of(class_bars(VALUES, LOWER, UPPER, NAMES)) == ["$5 and $10", "a_dog_1", "cat"]


@pytest.mark.parametrize("count", [2, 40])
def test_up_to_forty_classes_all_are_drawn(count):
    values = np.linspace(1, 0.5, count)
    ax = class_bars(values, values - 0.1, values, [f"class {index}" for index in range(count)])
    assert names_of(ax) == [f"class {index}" for index in reversed(range(count))]
    assert bars_of(ax) == sorted(values)
    assert len(ax.texts) == count


def test_of_two_hundred_classes_the_twenty_worst_and_best_are_drawn():
    values = np.random.default_rng(0).permutation(200) / 200
    ax = class_bars(values, values, values, [f"class {round(200 * value)}" for value in values])
    shown = [*range(20), *range(180, 200)]
    assert names_of(ax) == [f"class {index}" for index in shown]
    np.testing.assert_allclose(bars_of(ax), np.array(shown) / 200)
    assert figures_of(ax)[-1] == "… 160 classes between …"
    places = ax.get_yticks()
    assert places[19] + 2 < places[20]
    assert places[19] < ax.texts[-1].get_position()[1] < places[20]
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


def test_classes_without_a_figure_are_left_out_and_counted(ax):
    class_bars([0.5, np.nan, 0.25], [0.4, np.nan, 0], [0.6, np.nan, 0.5], ["a", "b", "c"], ax=ax)
    assert names_of(ax) == ["c", "a"]
    assert ax.get_xlabel() == "F1, with its interval; 1 without F1 left out"
    ax.figure.canvas.draw()
    class_bars([np.nan], [np.nan], [np.nan], ["a"]).figure.canvas.draw()


def test_an_end_on_the_wrong_side_by_rounding_is_drawn_at_the_value(ax):
    class_bars([1.0], [0.7], [1.0 - 1e-16], ["a"], ax=ax)
    np.testing.assert_allclose(whiskers_of(ax.containers[1]), [[0.7, 1]])


def test_wrong_lengths_are_refused_all_at_once():
    with pytest.raises(ConfigurationError) as caught:
        class_bars(VALUES, LOWER[:2], [UPPER], NAMES, support=["a", "b", "c"])
    assert str(caught.value) == (
        "3 arguments are wrong:\n"
        "- lower have the shape (2,). Accepted: (3,) numbers, one for each class.\n"
        "- upper have the shape (1, 3). Accepted: (3,) numbers, one for each class.\n"
        "- support are not numbers, or not as many in each row. Accepted: (3,) numbers, one for each class."
    )
    with pytest.raises(ConfigurationError, match=r"^classes are empty\. Accepted: at least one\.$"):
        class_bars([], [], [], [])
    assert plt.get_fignums() == []


def test_counts_stand_from_rarest_to_commonest(ax):
    assert class_counts({"cat": 80, "$5 and $10": 1200, "dog": 3}, ax=ax) is ax
    assert names_of(ax) == ["dog", "cat", "$5 and $10"]
    assert bars_of(ax) == [3, 80, 1200]
    assert figures_of(ax) == ["3", "80", "1,200"]
    assert (ax.get_xlabel(), ax.get_title()) == ("images", "Images of each class, rarest first")
    ax.figure.canvas.draw()


def test_of_two_hundred_counts_the_ends_are_drawn():
    ax = class_counts({f"class {index}": 1000 - index for index in range(200)})
    assert bars_of(ax) == [*range(801, 821), *range(981, 1001)]
    assert figures_of(ax)[-1] == "… 160 classes between …"


def test_counts_that_are_none_are_refused():
    with pytest.raises(ConfigurationError, match=r"^counts are empty\. Accepted: at least one\.$"):
        class_counts({})
    with pytest.raises(
        ConfigurationError, match=r"^counts are not numbers, .* Accepted: \(1,\) numbers, one for each class\.$"
    ):
        class_counts({"a": "many"})


def test_slices_are_dots_with_the_worst_named(ax):
    assert slices(["light", "$dark$", "dim"], VALUES, LOWER, UPPER, [40, 30, 2000], overall=0.625, ax=ax) is ax
    assert names_of(ax) == ["$dark$ (30)", "dim (2,000)", "light (40)"]
    assert ax.get_title() == "Accuracy of slices. Worst: $dark$, 0.25"
    assert not ax.title.get_parse_math()
    overall = ax.lines[0]
    assert overall.get_xdata() == [0.625, 0.625]
    below, others = ax.containers
    assert (below.lines[0].get_xdata().tolist(), below.lines[0].get_ydata().tolist()) == ([0.25], [0])
    assert (others.lines[0].get_xdata().tolist(), others.lines[0].get_ydata().tolist()) == ([0.5, 0.9], [1, 2])
    np.testing.assert_allclose(whiskers_of(below), [[0.125, 0.5]])
    assert below.lines[0].get_marker() != others.lines[0].get_marker()
    assert below.lines[0].get_color() != others.lines[0].get_color()
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {
        "all images, 0.62",
        "interval below all images",
        "slice, with its interval",
    }
    ax.figure.canvas.draw()


def test_without_an_overall_accuracy_no_slice_is_below_it(ax):
    slices(NAMES, VALUES, LOWER, UPPER, [1, 1, 1], ax=ax)
    assert len(ax.containers) == 1
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["slice, with its interval"]


def test_of_two_hundred_slices_the_ends_are_drawn():
    values = np.arange(200) / 200
    ax = slices(range(200), values, values, values, np.full(200, 9), overall=0.5)
    assert names_of(ax) == [f"{index} (9)" for index in [*range(20), *range(180, 200)]]
    assert figures_of(ax)[-1] == "… 160 slices between …"


def test_slices_without_images_are_left_out_and_counted(ax):
    slices(["a", "b"], [np.nan, 0.5], [np.nan, 0.2], [np.nan, 0.8], [0, 4], overall=0.5, ax=ax)
    assert names_of(ax) == ["b (4)"]
    assert ax.get_xlabel() == "accuracy; 1 without images left out"


def test_slices_of_other_lengths_are_refused():
    with pytest.raises(ConfigurationError) as caught:
        slices(["a", "b"], [0.5, 0.5], [0.2, 0.2], [0.8, 0.8], [4])
    assert str(caught.value) == "counts have the shape (1,). Accepted: (2,) numbers, one for each slice."
