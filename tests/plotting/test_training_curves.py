"""Training curves and learning-rate curves hold what they were given."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from imgcls.errors import ConfigurationError
from imgcls.plotting import curves, learning_rate_curve


@pytest.fixture
def ax():
    return plt.subplots()[1]


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


def test_a_curve_of_validation_is_called_so(ax):
    curves({"loss": [0.9, 0.4], "val_loss": [1.0, 0.6]}, "val_loss", ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["validation"]
    assert [line.get_linestyle() for line in ax.lines] == ["-"]


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
