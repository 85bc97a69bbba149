"""A confusion matrix holds every count under its names, and lets what is confused stand together."""

import itertools

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from imgcls.errors import ConfigurationError
from imgcls.plotting import confusion_matrix
from imgcls.plotting._confusion import clustered_order
from imgcls.plotting._style import FAINT

COUNTS = np.array([[5, 1, 0], [0, 4, 2], [0, 0, 0]])
CLASSES = ["cat", "a_dog_1", "$5 and $10"]


@pytest.fixture
def ax():
    return plt.subplots()[1]


def names_of(ax, axis="y"):
    return [label.get_text() for label in getattr(ax, f"get_{axis}ticklabels")()]


@pytest.mark.parametrize("normalize", [False, True])
def test_it_holds_every_count_and_name(normalize, ax):
    ax.text(0, 0, "here before")
    drawn = confusion_matrix(COUNTS, CLASSES, normalize=normalize, ax=ax)
    assert drawn is ax
    shares = COUNTS / [[6], [6], [1]]
    expected = [f"{share:.2f}" for share in shares.ravel()] if normalize else [str(count) for count in COUNTS.ravel()]
    assert [text.get_text() for text in ax.texts[1:]] == expected
    np.testing.assert_allclose(ax.collections[0].get_array(), shares)
    for axis in ("x", "y"):
        assert names_of(ax, axis) == CLASSES
        assert not any(label.get_parse_math() for label in getattr(ax, f"get_{axis}ticklabels")())
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("predicted", "true", "Confusion matrix")
    ax.figure.canvas.draw()
    assert names_of(ax, "x") == CLASSES


def test_whole_numbers_of_any_dtype_are_counts(ax):
    confusion_matrix(COUNTS.astype(np.float32), CLASSES, ax=ax)
    assert [text.get_text() for text in ax.texts] == [str(count) for count in COUNTS.ravel()]


def test_sums_of_weights_are_drawn_as_shares(ax):
    confusion_matrix([[0.25, 0.25], [0.5, 1.5]], ["a", "b"], normalize=True, ax=ax)
    assert [text.get_text() for text in ax.texts] == ["0.50", "0.50", "0.25", "0.75"]


def test_empty_cells_are_faint_and_full_ones_are_not(ax):
    confusion_matrix(COUNTS, CLASSES, ax=ax)
    faint = [to_rgb(text.get_color()) == to_rgb(FAINT) for text in ax.texts]
    assert faint == [count == 0 for count in COUNTS.ravel()]


def test_a_class_that_would_be_broken_mathematics_is_drawn():
    confusion_matrix([[1, 0], [0, 1]], [r"$\frac$", "b"]).figure.canvas.draw()


def test_many_classes_have_no_numbers_in_cells():
    drawn = confusion_matrix(np.eye(31, dtype=int), range(31))
    assert isinstance(drawn, Axes)
    assert len(drawn.texts) == 0
    assert len(confusion_matrix(np.eye(30, dtype=int), range(30)).texts) == 900


def test_without_numbers_colour_shows_rare_errors():
    counts = 99 * np.eye(31, dtype=int)
    counts[0, 1] = 1
    cells = confusion_matrix(counts, range(31)).collections[0]
    assert cells.norm(0.01) == pytest.approx(0.1)
    assert (cells.norm(0), cells.norm(1)) == (0, 1)
    few = confusion_matrix(COUNTS, CLASSES).collections[0]
    assert few.norm(0.01) == pytest.approx(0.01)


def test_two_hundred_names_are_read_in_a_large_figure():
    ax = confusion_matrix(np.eye(200, dtype=int), [f"class {index}" for index in range(200)])
    ax.figure.canvas.draw()
    assert max(ax.figure.get_size_inches()) < 25
    assert names_of(ax) == names_of(ax, "x") == [f"class {index}" for index in range(200)]
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert min(above.y0 - below.y0 for above, below in itertools.pairwise(boxes)) * 72 / 100 > 6
    assert ax.get_yticklabels()[0].get_fontsize() > 5.5
    assert {label.get_rotation() for label in ax.get_xticklabels()} == {90}


def test_names_thin_out_where_axes_are_small(ax):
    confusion_matrix(np.eye(200, dtype=int), range(200), ax=ax)
    shown = [int(name) for name in names_of(ax)]
    assert 20 < len(shown) < 60
    assert len(set(np.diff(shown))) == 1
    np.testing.assert_array_equal(ax.get_yticks(), np.array(shown) + 0.5)
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


@pytest.mark.parametrize("normalize", [False, True])
def test_numbers_stay_inside_cells_of_small_axes(normalize, ax):
    confusion_matrix(120 * np.ones((30, 30), int), range(30), normalize=normalize, ax=ax)
    ax.figure.canvas.draw()
    cell = ax.transData.transform([[0, 0], [1, 1]])
    assert max(text.get_window_extent().width for text in ax.texts) < abs(np.diff(cell[:, 0])).item()


def planted(groups, size, seed):
    """Confusions only within groups, whose members are strewn over all classes."""
    random = np.random.default_rng(seed)
    group = random.permutation(np.repeat(np.arange(groups), size))
    counts = np.where(group[:, None] == group, random.integers(1, 9, (len(group), len(group))), 0)
    np.fill_diagonal(counts, 50)
    return counts, group


@pytest.mark.parametrize(("groups", "size"), [(3, 4), (50, 4)])
def test_clustered_order_brings_planted_groups_together(groups, size):
    counts, group = planted(groups, size, seed=groups)
    order = clustered_order(counts)
    assert sorted(order) == list(range(groups * size))
    assert np.count_nonzero(np.diff(group[order])) == groups - 1
    assert np.count_nonzero(np.diff(group)) > groups - 1


def test_clustered_order_moves_counts_with_names():
    counts, _ = planted(3, 4, seed=0)
    names = [f"class {index}" for index in range(12)]
    ax = confusion_matrix(counts, names, order="clustered")
    order = [names.index(name) for name in names_of(ax)]
    assert order != list(range(12))
    assert names_of(ax, "x") == names_of(ax)
    assert [text.get_text() for text in ax.texts] == [str(counts[row, column]) for row in order for column in order]


def test_the_least_of_confusions_still_counts():
    counts = np.array([[100, 90, 0, 0], [0, 100, 0, 0], [0, 0, 100, 0], [1, 0, 0, 100]])
    place = np.argsort(clustered_order(counts))
    assert abs(place[0] - place[1]) == 1
    assert abs(place[0] - place[3]) == 1


@pytest.mark.parametrize("counts", [np.eye(5, dtype=int), np.zeros((5, 5), int), np.array([[3, 1], [1, 3]]), [[4]]])
def test_without_confusions_order_is_as_it_was(counts):
    assert clustered_order(np.asarray(counts)).tolist() == list(range(len(counts)))


def test_what_is_no_confusion_matrix_is_refused_in_words():
    with pytest.raises(ConfigurationError) as caught:
        confusion_matrix([[1, 2, 3], [4, 5, 6]], ["a", "b"], order="cluster")
    assert str(caught.value) == (
        "2 arguments are wrong:\n"
        "- counts have the shape (2, 3). Accepted: (2, 2) numbers, one row and one column for each class.\n"
        "- order='cluster' is not known. Did you mean 'clustered'? Accepted: None, clustered."
    )
    with pytest.raises(ConfigurationError, match=r"^classes are empty\. Accepted: at least one\.$"):
        confusion_matrix(np.zeros((0, 0)), [])
    for wrong, words in ((0.25, "0.25"), (-1, "-1"), (np.nan, "nan"), (np.inf, "inf")):
        with pytest.raises(ConfigurationError) as caught:
            confusion_matrix([[1, wrong], [0, 4]], ["a", "b"])
        assert str(caught.value) == (
            f"counts hold {words}. Accepted: whole numbers from 0. Where they are sums of weights, give "
            "normalize=True, which draws the share of each row."
        )
    for wrong, words in ((-0.5, "-0.5"), (np.nan, "nan"), (np.inf, "inf")):
        with pytest.raises(ConfigurationError) as caught:
            confusion_matrix([[1, wrong], [0, 4]], ["a", "b"], normalize=True)
        accepted = "Accepted with normalize=True: finite numbers from 0, such as sums of weights."
        assert str(caught.value) == f"counts hold {words}. {accepted}"
    assert plt.get_fignums() == []
