"""Points stand where they were put, with the colour, marker and name of their class."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.text import Text

from imgcls.errors import ConfigurationError
from imgcls.plotting import embedding_map
from imgcls.plotting._style import PALETTE


@pytest.fixture
def ax():
    return plt.subplots()[1]


def shape_of(scatter):
    """The colour and the outline of a marker, and whether it is hollow."""
    outline, hollow = scatter.get_paths()[0].vertices.round(3).tobytes(), not len(scatter.get_facecolor())
    return to_hex(scatter.get_edgecolor()[0]), outline, hollow


def test_points_of_each_class_and_crosses_over_the_wrong(ax):
    points = np.array([[0, 0], [0, 1], [5, 5], [6, 5]])
    wrong = [False, True, False, True]
    assert embedding_map(points, [0, 0, 2, 2], ["cat", "none", "$5 and $10"], wrong=wrong, ax=ax) is ax
    cat, money, crosses = ax.collections
    np.testing.assert_array_equal(cat.get_offsets(), points[:2])
    np.testing.assert_array_equal(money.get_offsets(), points[2:])
    np.testing.assert_array_equal(crosses.get_offsets(), points[[1, 3]])
    assert to_hex(cat.get_facecolor()[0]) == PALETTE[0]
    assert to_hex(money.get_facecolor()[0]) == PALETTE[2]
    assert shape_of(cat)[1] != shape_of(money)[1]
    texts = ax.get_legend().get_texts()
    assert [text.get_text() for text in texts] == ["cat", "$5 and $10", "wrong"]
    assert not any(text.get_parse_math() for text in texts)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("first direction (no unit)", "second direction (no unit)")
    ax.figure.canvas.draw()


def test_ten_classes_are_in_the_legend_and_have_no_names_in_the_map(ax):
    embedding_map(np.eye(10, 2), range(10), [f"class {index}" for index in range(10)], ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"class {index}" for index in range(10)]
    assert len(ax.texts) == 0
    assert len({shape_of(scatter)[0] for scatter in ax.collections}) == 10
    assert len({shape_of(scatter)[1] for scatter in ax.collections}) == 10


def test_names_that_begin_with_an_underscore_are_in_the_legend_and_so_is_an_empty_one(ax):
    embedding_map(np.eye(3, 2), range(3), ["_y", "", "cat"], ax=ax)
    assert [text.get_text().strip() for text in ax.get_legend().get_texts()] == ["_y", "", "cat"]


def test_two_hundred_classes_look_different(ax):
    embedding_map(np.random.default_rng(0).normal(size=(201, 2)), range(201), range(201), ax=ax)
    shapes = [shape_of(scatter) for scatter in ax.collections]
    assert len(set(shapes)) == 200
    assert shapes[200] == shapes[0]


@pytest.mark.slow
def test_two_hundred_classes_have_names_that_keep_apart():
    random = np.random.default_rng(0)
    middles = random.normal(0, 10, (200, 2))
    labels = np.repeat(np.arange(200), 5)
    points = middles[labels] + random.normal(0, 0.5, (1000, 2))
    names = [f"a class of number {index}" for index in range(200)]
    ax = embedding_map(points, labels, names)
    ax.figure.canvas.draw()
    assert {text.get_text() for text in ax.texts} == set(names)
    for text in ax.texts:
        label = names.index(text.get_text())
        np.testing.assert_allclose(text.xy, np.median(points[labels == label], axis=0))
        moved = text.get_position() != (0, 0)
        assert (text.arrow_patch is not None) is moved
    assert any(text.arrow_patch for text in ax.texts)
    boxes = [Text.get_window_extent(text) for text in ax.texts]  # an annotation's own is that of its line too
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    shapes = [shape_of(scatter) for scatter in ax.collections]
    assert len(set(shapes[:100])) == 100  # colours come back after ten, with other markers
    assert shapes[0][0] == shapes[10][0]
    assert ax.get_legend() is None


def test_beyond_two_hundred_the_commonest_are_named():
    labels = np.concatenate([np.arange(250), np.arange(50, 250)])
    ax = embedding_map(np.random.default_rng(0).normal(size=(450, 2)), labels, range(250))
    assert {int(text.get_text()) for text in ax.texts} == set(range(50, 250))


def test_names_that_cannot_keep_apart_are_drawn_all_the_same(ax):
    embedding_map(np.zeros((200, 2)), range(200), [f"{'long ' * 6}{index}" for index in range(200)], ax=ax)
    assert len(ax.texts) == 200
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    ("points", "labels", "classes", "wrong", "message"),
    [
        (
            [[1, 2, 3]],
            [0],
            "a",
            None,
            "points have the shape (1, 3). Accepted: (N, 2) numbers, one row for each image.",
        ),
        ([[1, 2]], [0, 0], "a", None, "labels have the shape (2,). Accepted: (1,) numbers, one for each point."),
        ([[1, 2]], [0], "a", [], "wrong have the shape (0,). Accepted: (1,) numbers, one for each point."),
        ([[1, 2]], [0], "", None, "classes are empty. Accepted: at least one."),
        (
            [[1, 2]],
            [2],
            "ab",
            None,
            "labels hold 2. Accepted: whole numbers from 0 to 1, one index into the classes for each point.",
        ),
        (
            [[1, 2]],
            [0.5],
            "ab",
            None,
            "labels hold 0.5. Accepted: whole numbers from 0 to 1, one index into the classes for each point.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_words(points, labels, classes, wrong, message):
    with pytest.raises(ConfigurationError) as caught:
        embedding_map(points, labels, list(classes), wrong=wrong)
    assert str(caught.value) == message
    assert plt.get_fignums() == []
