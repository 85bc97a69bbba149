"""ROC, precision and recall: the points that were given, areas against scikit-learn, the worst of many in colour."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from imgcls import Evaluation
from imgcls.errors import ConfigurationError
from imgcls.plotting import precision_recall_curves, roc_curves, threshold_curve
from imgcls.plotting._style import DASHES, MARKERS, PALETTE

DIAGONAL = ([0, 1], [0, 1])


@pytest.fixture
def ax():
    return plt.subplots()[1]


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def data(seed, ties):
    random = np.random.default_rng(seed)
    truth = random.random(80) < 0.3
    scores = random.normal(truth, 1)
    return truth, np.round(scores, 1) if ties else scores


def test_roc_curves_hold_their_points(ax):
    curves = {"$5 and $10": ([0, 0, 0.5, 1], [0, 0.5, 1, 1]), "dog": ([0, 0.25, 1], [0, 0.75, 1])}
    assert roc_curves(curves, ax=ax) is ax
    for line, (x, y) in zip(ax.lines, [*curves.values(), DIAGONAL], strict=True):
        np.testing.assert_array_equal(line.get_xdata(), x)
        np.testing.assert_array_equal(line.get_ydata(), y)
    # By hand: 0.5 (0.5 + 1) / 2 + 0.5 = 0.875; 0.25 * 0.75 / 2 + 0.75 * 1.75 / 2 = 0.75.
    assert legend_of(ax) == ["$5 and $10, 0.875", "dog, 0.750", "chance, 0.500"]
    assert not any(text.get_parse_math() for text in ax.get_legend().get_texts())
    assert ax.get_legend().get_title().get_text() == "class, area under the curve"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("false positive rate", "true positive rate (recall)")
    assert ax.get_title() == "ROC"
    ax.figure.canvas.draw()


@pytest.mark.parametrize("draw", [roc_curves, precision_recall_curves])
def test_names_that_begin_with_an_underscore_are_in_the_legend(draw, ax):
    draw({"_y": ([0, 0.5, 1], [1, 1, 0.5]), "cat": ([0, 0.5, 1], [1, 1, 1])}, ax=ax)
    assert [text.split(",")[0].strip() for text in legend_of(ax)][:2] == ["_y", "cat"]
    drawn = [handle.get_marker() for handle in ax.get_legend().get_lines()]
    assert drawn[:2] == [line.get_marker() for line in ax.lines[:2]]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_areas_are_those_of_scikit_learn(seed, ties):
    truth, scores = data(seed, ties)
    ax = roc_curves({"a": roc_curve(truth, scores)[:2]})
    assert legend_of(ax)[0] == f"a, {roc_auc_score(truth, scores):.3f}"
    precision, recall, _ = precision_recall_curve(truth, scores)
    expected = f"a, {average_precision_score(truth, scores):.2f}"
    assert legend_of(precision_recall_curves({"a": (recall, precision)})) == [expected]
    assert legend_of(precision_recall_curves({"a": (recall[::-1], precision[::-1])})) == [expected]


@pytest.mark.parametrize("ties", [False, True])
def test_areas_count_what_lies_before_the_first_threshold(ties):
    """As `evaluation.curve` gives curves: from the highest probability on, which may find half of the class."""
    truth, scores = data(0, ties)
    scores = np.minimum(scores, np.quantile(scores, 0.6)) if ties else scores
    probabilities = 1 / (1 + np.exp(-scores))
    found = Evaluation(truth, np.stack([1 - probabilities, probabilities], axis=1), classes=["no", "yes"]).curve("yes")
    roc = legend_of(roc_curves({"a": (found.false_positive_rate, found.recall)}))
    assert roc[0] == f"a, {roc_auc_score(truth, scores):.3f}"
    ranked = legend_of(precision_recall_curves({"a": (found.recall, found.precision)}))
    assert ranked == [f"a, {average_precision_score(truth, scores):.2f}"]


def test_ten_curves_are_all_named_and_none_looks_like_another():
    ax = roc_curves(dict.fromkeys(range(10), DIAGONAL))
    drawn = ax.lines[:-1]
    assert [line.get_color() for line in drawn] == list(PALETTE)
    assert [line.get_marker() for line in drawn] == list(MARKERS)
    assert legend_of(ax) == [f"{index}, 0.500" for index in range(10)] + ["chance, 0.500"]
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1  # beside the curves, not over them


@pytest.mark.parametrize("draw", [roc_curves, precision_recall_curves])
def test_of_two_hundred_curves_the_five_worst_are_named(draw, ax):
    areas = {f"class {index}": 0.5 + 0.5 * ((index * 77) % 200) / 200 for index in range(200)}
    draw(dict.fromkeys(areas, DIAGONAL), areas=areas, ax=ax)
    worst = sorted(areas, key=areas.get)[:5]
    named = [text.rsplit(",", 1)[0] for text in legend_of(ax)]
    assert named[:6] == ["195 others", *worst]
    assert "the 5 worst of 200 classes named" in ax.get_title()
    gray, colored = ax.lines[:195], ax.lines[195:200]
    assert {(line.get_color(), line.get_marker()) for line in gray} == {("#b5b5b5", "None")}
    assert all(line.get_linewidth() < 1 for line in gray)
    assert [line.get_color() for line in colored] == list(PALETTE[:5])
    assert all(line.get_zorder() > gray[0].get_zorder() for line in colored)


def test_curves_without_an_area_are_never_the_worst():
    areas = {index: np.nan if index < 3 else index / 12 for index in range(12)}
    ax = roc_curves(dict.fromkeys(areas, DIAGONAL), areas=areas)
    assert legend_of(ax)[:2] == ["7 others", "3, 0.250"]


def test_precision_and_recall_are_steps_with_what_guessing_reaches(ax):
    curves = {"cat": ([1, 0.5, 0], [0.5, 0.75, 1]), "dog": ([0, 1], [1, 0.25])}
    assert precision_recall_curves(curves, base_rates={"cat": 0.5, "dog": 0.25}, ax=ax) is ax
    cat, dog, *guesses = ax.lines
    np.testing.assert_array_equal(cat.get_xdata(), [0, 0.5, 1])
    np.testing.assert_array_equal(cat.get_ydata(), [1, 0.75, 0.5])
    np.testing.assert_array_equal(dog.get_ydata(), [1, 0.25])
    assert cat.get_drawstyle() == "steps-pre"
    assert [line.get_ydata() for line in guesses] == [[0.5, 0.5], [0.25, 0.25]]
    assert [line.get_color() for line in guesses] == [cat.get_color(), dog.get_color()]
    # By hand: 0.5 * 0.75 + 0.5 * 0.5 = 0.625.
    assert legend_of(ax) == ["cat, 0.62 (guessing: 0.50)", "dog, 0.25 (guessing: 0.25)"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("recall", "precision", "Precision and recall")
    ax.figure.canvas.draw()


def test_a_million_points_are_thinned_and_their_area_is_not():
    rate = np.linspace(0, 1, 1_000_001)
    ax = roc_curves({"a": (rate, np.sqrt(rate))})
    x, y = ax.lines[0].get_xdata(), ax.lines[0].get_ydata()
    assert 1_900 < len(x) <= 2_000
    assert max(np.diff(x).max(), np.diff(y).max()) < 0.0011  # both axes have their share of the points
    assert legend_of(ax)[0] == "a, 0.667"


def rare(count=300_000, positives=100):
    """A class that is rare and well told apart: its curve lies in the first hundred of all ranks."""
    random = np.random.default_rng(0)
    truth = np.arange(count) < positives
    return truth, 1 / (1 + np.exp(4 - random.normal(6 * truth, 1)))


def test_the_curves_of_a_rare_class_are_drawn_where_they_lie():
    truth, scores = rare()
    found = Evaluation(truth, np.stack([1 - scores, scores], axis=1), classes=["no", "yes"])
    line = found.plot("precision_recall").lines[1]
    x, y = line.get_xdata(), line.get_ydata()
    assert len(x) <= 2_000
    drawn = (np.diff(x, prepend=0) * y).sum()
    assert drawn == pytest.approx(average_precision_score(truth, scores), abs=5e-4)
    precision, recall, _ = precision_recall_curve(truth, scores)
    for wanted in (0.2, 0.5, 0.8, 0.95):  # what stands at that place of the axis
        expected = precision[np.flatnonzero(recall >= wanted)[-1]]
        assert y[np.searchsorted(x, wanted)] == pytest.approx(expected, abs=2e-3)
    line = found.plot("roc").lines[1]
    rate, hits, _ = roc_curve(truth, scores, drop_intermediate=False)
    drawn = np.interp([1e-3, 1e-2, 0.1], line.get_xdata(), line.get_ydata())
    np.testing.assert_allclose(drawn, np.interp([1e-3, 1e-2, 0.1], rate, hits), atol=2e-3)
    curve = found.curve("yes")
    ax = threshold_curve(curve.thresholds, curve.precision, curve.recall)
    for line, column in zip(ax.lines, (curve.precision, curve.recall), strict=True):
        drawn, true = (
            np.interp(np.linspace(0.05, 0.9, 50), *(part[::way] for part in parts))
            for way, parts in ((1, line.get_data()), (-1, (curve.thresholds, column)))
        )
        np.testing.assert_allclose(drawn, true, atol=0.02)


def test_a_curve_that_begins_late_is_drawn_from_its_beginning():
    """By hand: of the three of class b, 0.7 is the highest probability, and has one image of a among them."""
    probabilities = np.array([[0.3, 0.7], [0.8, 0.2], [0.3, 0.7], [0.3, 0.7], [0.3, 0.7]])
    found = Evaluation(np.array([0, 0, 1, 1, 1]), probabilities, classes=["a", "b"])
    _, drawn, _ = found.plot("roc").lines
    np.testing.assert_array_equal(drawn.get_xydata(), [[0, 0], [0.5, 1], [1, 1]])
    assert np.trapezoid(*drawn.get_xydata().T[::-1]) == found.per_class["b"]["roc_auc"] == 0.75
    drawn = found.plot("precision_recall").lines[1]
    np.testing.assert_array_equal(drawn.get_xydata(), [[0, 0.75], [1, 0.75], [1, 0.6]])
    assert found.per_class["b"]["average_precision"] == 0.75
    begun = precision_recall_curves({"a": ([1, 0.5], [0.5, 0.8])}).lines[0]
    np.testing.assert_array_equal(begun.get_xydata(), [[0, 0.8], [0.5, 0.8], [1, 0.5]])


@pytest.mark.parametrize(
    ("curves", "areas", "message"),
    [
        ({}, None, "curves are empty. Accepted: at least one."),
        (
            {"a": ([0, 1], [0, 0.5, 1])},
            None,
            "'a': true positive rate have the shape (3,). Accepted: (2,) numbers, one for each false positive rate.",
        ),
        ({"a": ([], [])}, None, "'a': false positive rate have the shape (0,). Accepted: (T,) numbers, at least one."),
        (
            {"a": DIAGONAL, "b": DIAGONAL, "c": DIAGONAL},
            {"a": 0.5},
            "areas have nothing for 'b' and 1 more. Accepted: one number for each curve, under its name.",
        ),
    ],
)
def test_what_is_no_curve_is_refused_in_words(curves, areas, message):
    with pytest.raises(ConfigurationError) as caught:
        roc_curves(curves, areas=areas)
    assert str(caught.value) == message
    assert plt.get_fignums() == []


def test_missing_base_rates_are_refused():
    with pytest.raises(ConfigurationError, match=r"^base_rates have nothing for 'a'\. Accepted: one number for each"):
        precision_recall_curves({"a": DIAGONAL}, base_rates={})


@pytest.mark.parametrize("way", [1, -1])
def test_a_threshold_is_marked_with_what_it_gives(way, ax):
    truth, scores = data(0, ties=True)
    precision, recall, thresholds = precision_recall_curve(truth, scores)
    given = (column[::way] for column in (thresholds, precision[:-1], recall[:-1]))
    assert threshold_curve(*given, chosen=0.55, ax=ax) is ax
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), thresholds)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), precision[:-1])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), recall[:-1])
    assert len({line.get_linestyle() for line in ax.lines[:3]}) == 3
    found = scores >= 0.55
    expected = (truth[found].mean(), (truth & found).sum() / truth.sum())
    assert 0 < expected[1] < 1
    assert ax.lines[2].get_xdata() == [0.55, 0.55]
    np.testing.assert_allclose(ax.lines[3].get_xdata(), [0.55, 0.55])
    np.testing.assert_allclose(ax.lines[3].get_ydata(), expected)
    assert legend_of(ax)[2] == f"chosen: 0.55 (precision {expected[0]:.2f}, recall {expected[1]:.2f})"
    assert ax.get_xlabel() == "threshold (probability)"
    ax.figure.canvas.draw()


@pytest.mark.parametrize("way", [1, -1])
def test_above_the_highest_threshold_there_is_nothing_to_be_precise_about(way, ax):
    given = ([0.2, 0.5, 0.8], [0.5, 0.7, 1], [1, 0.9, 0.4])
    threshold_curve(*(column[::way] for column in given), chosen=0.9, ax=ax)
    assert legend_of(ax)[2] == "chosen: 0.9 (recall 0, no precision)"
    assert len(ax.lines) == 3  # no dots
    threshold_curve(*given, chosen=0.8, ax=ax)
    assert legend_of(ax)[-1] == "chosen: 0.8 (precision 1.00, recall 0.40)"
    ax.figure.canvas.draw()


def test_threshold_columns_of_other_lengths_are_refused():
    with pytest.raises(ConfigurationError) as caught:
        threshold_curve([0.1, 0.2], [0.5], [1, 1, 1])
    assert str(caught.value) == (
        "2 arguments are wrong:\n"
        "- precision have the shape (1,). Accepted: (2,) numbers, one for each threshold.\n"
        "- recall have the shape (3,). Accepted: (2,) numbers, one for each threshold."
    )
    with pytest.raises(
        ConfigurationError, match=r"^thresholds have the shape \(0,\)\. Accepted: \(T,\) numbers, at least"
    ):
        threshold_curve([], [], [])


def test_dashes_and_markers_stand_on_the_same_curve(ax):
    """The pairing that the palette's test relies on."""
    roc_curves({"a": DIAGONAL, "b": DIAGONAL}, ax=ax)
    plotted = plt.subplots()[1].plot([0, 1], linestyle=DASHES[1])[0]
    assert ax.lines[1].get_linestyle() == plotted.get_linestyle() == "--"
    assert ax.lines[0].get_linestyle() == "-"
