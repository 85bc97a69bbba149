"""Plots return Axes that hold what they were given."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from imgcls.errors import ConfigurationError
from imgcls.plotting import confusion_matrix, curves, image_grid, learning_rate_curve

COUNTS = np.array([[5, 1, 0], [0, 4, 2], [0, 0, 0]])
CLASSES = ["cat", "a_dog_1", "$5 and $10"]


@pytest.fixture
def ax():
    return plt.subplots()[1]


@pytest.mark.parametrize("normalize", [False, True])
def test_confusion_matrix_holds_every_count_and_name(normalize, ax):
    drawn = confusion_matrix(COUNTS, CLASSES, normalize=normalize, ax=ax)
    assert drawn is ax
    shares = COUNTS / [[6], [6], [1]]
    expected = [f"{share:.2f}" for share in shares.ravel()] if normalize else [str(count) for count in COUNTS.ravel()]
    assert [text.get_text() for text in ax.texts] == expected
    np.testing.assert_allclose(ax.collections[0].get_array(), shares)
    for axis in ("x", "y"):
        labels = getattr(ax, f"get_{axis}ticklabels")()
        assert [label.get_text() for label in labels] == CLASSES
        assert not any(label.get_parse_math() for label in labels)
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("predicted", "true", "Confusion matrix")
    ax.figure.canvas.draw()
    assert [label.get_text() for label in ax.get_xticklabels()] == CLASSES


def test_a_class_that_would_be_broken_mathematics_is_drawn():
    confusion_matrix([[1, 0], [0, 1]], [r"$\frac$", "b"]).figure.canvas.draw()


def test_many_classes_have_no_numbers_in_cells():
    drawn = confusion_matrix(np.eye(31, dtype=int), range(31))
    assert isinstance(drawn, Axes)
    assert len(drawn.texts) == 0
    assert len(confusion_matrix(np.eye(30, dtype=int), range(30)).texts) == 900


def test_curves_hold_both_lines(ax):
    history = {"loss": [0.9, 0.4], "val_loss": [1.0, 0.6], "accuracy": [0.5, 0.8]}
    assert curves(history, ax=ax) is ax
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation"]
    for line, name in zip(ax.lines, ("loss", "val_loss"), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2])
        np.testing.assert_array_equal(line.get_ydata(), history[name])
    alone = curves(history, "accuracy")
    assert alone is not ax
    assert len(alone.lines) == 1
    assert (alone.get_xlabel(), alone.get_ylabel(), alone.get_title()) == ("epoch", "accuracy", "Accuracy")
    only_validation = curves({"val_f1": [1]}, "f1")
    assert [text.get_text() for text in only_validation.get_legend().get_texts()] == ["validation"]


def test_an_unknown_metric_is_refused_in_words():
    with pytest.raises(ConfigurationError) as caught:
        curves({"loss": [1], "accuracy": [1]}, "acuracy")
    assert str(caught.value) == "metric='acuracy' is not known. Did you mean 'accuracy'? Accepted: loss, accuracy."
    assert plt.get_fignums() == []


def test_a_learning_rate_curve_shows_the_fall_and_not_the_explosion(ax):
    rates, losses, smoothed = [1e-3, 1e-2, 1e-1, 1, 10], [2.1, 1.0, 0.5, 90, np.nan], [2.0, 1.5, 1.0, 20, np.nan]
    assert learning_rate_curve(rates, losses, smoothed, 0.02, ax=ax) is ax
    points, line, mark = ax.lines
    np.testing.assert_array_equal(points.get_ydata(), losses)
    np.testing.assert_array_equal(line.get_ydata(), smoothed)
    assert mark.get_xdata() == [0.02, 0.02]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "loss of a step",
        "smoothed",
        "suggestion 0.02",
    ]
    low, high = ax.get_ylim()
    assert low < 0.5
    assert 2.1 < high < 20
    assert (ax.get_xscale(), ax.get_xlabel(), ax.get_ylabel()) == ("log", "learning rate", "loss")
    ax.figure.canvas.draw()
    assert len(learning_rate_curve(rates, losses, smoothed).lines) == 2


def test_a_grid_holds_images_and_titles_as_they_are():
    images = [np.full((4, 3 + index, 3 if index else 1), 40 * index, np.uint8) for index in range(5)]
    titles = ["$5 and $10", "a_b", r"$\frac$", "x^2"]
    axes = image_grid(images, titles, wrong=[False, True])
    assert axes.shape == (5,)
    assert [ax.get_title() for ax in axes] == ["$5 and $10", "✗ a_b", r"$\frac$", "x^2", ""]
    assert not any(ax.title.get_parse_math() for ax in axes[:4])
    assert axes[0].title.get_color() != axes[1].title.get_color()
    for ax, image in zip(axes, images, strict=True):
        np.testing.assert_array_equal(ax.get_images()[0].get_array(), image[..., 0] if image.shape[2] == 1 else image)
        assert ax.get_images()[0].get_clim() == (0, 255)
    axes[0].figure.canvas.draw()


@pytest.mark.parametrize(
    ("count", "columns", "shape"), [(1, None, (1, 1)), (5, None, (2, 3)), (5, 5, (1, 5)), (70, None, (9, 8))]
)
def test_the_shape_of_a_grid(count, columns, shape):
    axes = image_grid([np.zeros((2, 2, 1), np.uint8)] * count, columns=columns)
    grid = axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == shape
    assert len(axes) == count
    assert all(not ax.axison for ax in axes[0].figure.axes)


def test_one_image_goes_where_asked_and_none_draws_nothing(ax):
    image = np.zeros((2, 2, 1), np.uint8)
    assert image_grid([image], ["a"], ax=ax)[0] is ax
    before = plt.get_fignums()
    assert image_grid([]).shape == (0,)
    assert plt.get_fignums() == before
    with pytest.raises(ValueError, match=r"^ax takes one image and there are 2\. Leave ax out for a grid\.$"):
        image_grid([image] * 2, ax=ax)
