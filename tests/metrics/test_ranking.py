"""Curves and areas against scikit-learn; their errors against pairs counted one by one, and against simulation."""

import numpy as np
import pytest
from sklearn import metrics

from imgcls.metrics._ranking import curve, error_of_mean_area, ranking


def drawn(seed, ties):
    random = np.random.default_rng(seed)
    is_class = random.random(120) < 0.3
    probabilities = np.clip(random.normal(0.4 + 0.2 * is_class, 0.2), 0, 1)
    return is_class, np.round(probabilities, 1 if ties else 9).astype(np.float32)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_areas_and_curves_are_scikit_learns(seed, ties):
    is_class, probabilities = drawn(seed, ties)
    found = ranking(is_class, probabilities)
    assert found.roc_auc == pytest.approx(metrics.roc_auc_score(is_class, probabilities), rel=1e-12)
    assert found.average_precision == pytest.approx(metrics.average_precision_score(is_class, probabilities), rel=1e-12)
    points = curve(is_class, probabilities)
    false, true, thresholds = metrics.roc_curve(is_class, probabilities, drop_intermediate=False)
    np.testing.assert_allclose(points.false_positive_rate, false[1:])  # theirs begins at (0, 0)
    np.testing.assert_allclose(points.recall, true[1:])
    np.testing.assert_allclose(points.thresholds, thresholds[1:])
    precision, _recall, thresholds = metrics.precision_recall_curve(is_class, probabilities)
    np.testing.assert_allclose(points.precision[::-1][-len(thresholds) :], precision[:-1])


@pytest.mark.parametrize("ties", [False, True])
def test_the_error_is_delongs(ties):
    is_class, probabilities = drawn(7, ties)
    mine, others = probabilities[is_class].astype(float), probabilities[~is_class].astype(float)
    wins = (mine[:, None] > others) + 0.5 * (mine[:, None] == others)  # every pair
    by_mine, by_others = wins.mean(axis=1), wins.mean(axis=0)
    expected = np.sqrt(by_mine.var(ddof=1) / len(mine) + by_others.var(ddof=1) / len(others))
    assert ranking(is_class, probabilities).roc_auc_error == pytest.approx(expected, rel=1e-12)


def test_the_error_of_one_class_alone_is_its_own():
    is_class, probabilities = drawn(3, ties=True)
    both = np.stack([~is_class, is_class], axis=1)
    found = error_of_mean_area(both.astype(np.uint8), np.stack([1 - probabilities, probabilities], axis=1))
    assert found == pytest.approx(ranking(is_class, probabilities).roc_auc_error, rel=0.03)  # divided by n, not n - 1


def test_classes_that_all_or_none_show_have_no_area():
    assert np.isnan(ranking(np.zeros(3, bool), np.array([0.1, 0.2, 0.3]))).all()
    assert np.isnan(ranking(np.ones(3, bool), np.array([0.1, 0.2, 0.3]))).all()
    assert ranking(np.array([True, False]), np.array([0.9, 0.1])).roc_auc == 1
