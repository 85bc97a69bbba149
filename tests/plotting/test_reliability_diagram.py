"""Reliability, and risk over coverage: points, areas, whiskers and words."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from imgcls.errors import ConfigurationError
from imgcls.plotting import reliability_diagram, risk_coverage


@pytest.fixture
def ax():
    return plt.subplots()[1]


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_bins_are_points_whose_area_is_their_count(ax):
    assert reliability_diagram([0.25, 0.5, 0.9], [0.5, 0.5, 0.85], [100, 0, 300], ax=ax) is ax
    diagonal, bins = ax.lines
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0, 0], [1, 1]])
    np.testing.assert_array_equal(bins.get_xydata(), [[0.25, 0.5], [0.9, 0.85]])  # the empty bin is not drawn
    gaps, markers = ax.collections
    np.testing.assert_array_equal(markers.get_offsets(), [[0.25, 0.5], [0.9, 0.85]])
    small, large = markers.get_sizes()
    assert large == pytest.approx(3 * small)
    np.testing.assert_array_equal([segment[:, 1] for segment in gaps.get_segments()], [[0.25, 0.5], [0.85, 0.9]])
    # By hand: (100 * 0.25 + 300 * 0.05) / 400 = 0.1.
    assert legend_of(ax) == ["confidence = accuracy", "ECE 0.100"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("confidence (mean of the bin)", "accuracy (share of the bin)")
    assert ax.get_title() == "Reliability"
    ax.figure.canvas.draw()


def test_of_several_labels_the_picture_speaks_of_labels_that_are_there(ax):
    reliability_diagram([0.25, 0.9], [0.5, 0.85], [100, 300], several=True, ax=ax)
    assert legend_of(ax) == ["probability = share that is there", "ECE 0.100"]  # as above
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("probability (mean of the bin)", "share that is there")


def test_before_is_another_line_with_other_markers(ax):
    reliability_diagram([0.6, 0.8], [0.6, 0.8], [5, 5], before=([0.5, 0.7, 0.99], [0.5, 0.6, 0.8], [1, 2, 7]), ax=ax)
    _, before, after = ax.lines
    np.testing.assert_allclose(before.get_ydata(), [0.5, 0.6, 0.8])
    np.testing.assert_allclose(after.get_ydata(), [0.6, 0.8])
    assert before.get_linestyle() != after.get_linestyle()
    assert before.get_marker() != after.get_marker()
    assert before.get_color() != after.get_color()
    # By hand: (2 * 0.1 + 7 * 0.19) / 10 = 0.153.
    assert legend_of(ax)[1:] == ["before temperature, ECE 0.153", "after temperature, ECE 0.000"]
    ax.figure.canvas.draw()


def test_two_hundred_bins_are_small_markers_without_a_wall_of_lines(ax):
    confidence = np.linspace(0, 1, 200)
    reliability_diagram(confidence, confidence**2, np.ones(200), ax=ax)
    (markers,) = ax.collections
    assert markers.get_sizes().max() < 20
    assert len(markers.get_offsets()) == 200


def test_no_images_at_all_are_drawn_as_nothing(ax):
    reliability_diagram([0.5], [0.5], [0], ax=ax)
    assert len(ax.lines[1].get_xdata()) == 0
    ax.figure.canvas.draw()


def test_bins_of_other_lengths_are_refused_in_words():
    with pytest.raises(ConfigurationError) as caught:
        reliability_diagram([0.5, 0.6], [0.5], [1, 2], before=([[0.5]], [1], [1]))
    assert str(caught.value) == (
        "2 arguments are wrong:\n"
        "- accuracy have the shape (1,). Accepted: (2,) numbers, one for each bin.\n"
        "- before: confidence have the shape (1, 1). Accepted: (M,) numbers, one for each bin."
    )
    assert plt.get_fignums() == []


COVERAGE, RISK = [0.25, 0.5, 0.75, 1], [0, 0.02, 0.05, 0.125]


def test_risk_is_a_line_within_its_interval_with_the_operating_point(ax):
    lower, upper = [0, 0.01, 0.04, 0.1], [0.1, 0.08, 0.09, 0.15]
    assert risk_coverage(COVERAGE, RISK, lower=lower, upper=upper, chosen=0.7, ax=ax) is ax
    low, high, risk, point, guides = ax.lines
    for line, expected in ((low, lower), (high, upper), (risk, RISK)):
        np.testing.assert_array_equal(line.get_xdata(), [0, *COVERAGE])
        np.testing.assert_array_equal(line.get_ydata(), [expected[0], *expected])
    assert low.get_linestyle() == high.get_linestyle() == "--" != risk.get_linestyle()
    np.testing.assert_array_equal(point.get_xydata(), [[0.75, 0.05]])
    np.testing.assert_array_equal(guides.get_xydata(), [[0.75, 0], [0.75, 0.05], [0, 0.05]])
    (band,) = ax.collections
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.tolist()}
    assert corners >= set(zip(COVERAGE, lower, strict=True)) | set(zip(COVERAGE, upper, strict=True))
    assert legend_of(ax) == ["interval", "error", "chosen: accepts 75.0 % with 5.0 % error"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("images accepted, the surest first", "error among them")
    ax.figure.canvas.draw()
    assert [label.get_text() for label in ax.get_xticklabels()][:6] == ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]


def test_a_bound_from_above_alone_is_a_line(ax):
    risk_coverage(COVERAGE, RISK, upper=[0.1, 0.1, 0.1, 0.2], ax=ax)
    assert legend_of(ax) == ["upper end of the interval", "error"]
    assert len(ax.collections) == 0
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0.1, 0.1, 0.1, 0.1, 0.2])


def test_images_that_are_equally_sure_are_drawn_from_nothing_on(ax):
    risk_coverage([1], [0.5], lower=[0.4], upper=[0.6], chosen=0.2, ax=ax)
    low, high, risk, point, _ = ax.lines
    for line, height in ((low, 0.4), (high, 0.6), (risk, 0.5)):
        np.testing.assert_array_equal(line.get_xydata(), [[0, height], [1, height]])
    np.testing.assert_array_equal(point.get_xydata(), [[1, 0.5]])  # there is no smaller share to choose
    begun = risk_coverage([0, 0.5], [0, 0.5])
    np.testing.assert_array_equal(begun.lines[0].get_xydata(), [[0, 0], [0.5, 0.5]])


def test_a_million_images_are_thinned(ax):
    coverage = np.arange(1, 1_000_001) / 1_000_000
    risk_coverage(coverage, coverage / 10, lower=coverage / 20, upper=coverage / 5, chosen=0.123_456, ax=ax)
    assert {len(line.get_xdata()) for line in ax.lines[:3]} == {2_000}
    np.testing.assert_allclose(ax.lines[3].get_xydata(), [[0.123456, 0.0123456]])  # the point is exact all the same
    ax.figure.canvas.draw()


def test_columns_of_other_lengths_are_refused():
    with pytest.raises(ConfigurationError) as caught:
        risk_coverage(COVERAGE, RISK[:3], upper=[1])
    assert str(caught.value) == (
        "2 arguments are wrong:\n"
        "- risk have the shape (3,). Accepted: (4,) numbers, one for each coverage.\n"
        "- upper have the shape (1,). Accepted: (4,) numbers, one for each coverage."
    )
    with pytest.raises(ConfigurationError, match=r"^coverage have the shape \(\)\. Accepted: \(T,\) numbers, at least"):
        risk_coverage(0.5, 0.5)
