"""Curves and areas against scikit-learn; their errors against pairs counted one by one, and against simulation."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics

from imgcls.metrics import Evaluation, wilson
from imgcls.metrics._ranking import curve, ranking, shared


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
def test_an_area_is_as_sure_as_delong_finds_it(ties):
    is_class, probabilities = drawn(7, ties)
    mine, others = probabilities[is_class].astype(float), probabilities[~is_class].astype(float)
    wins = (mine[:, None] > others) + 0.5 * (mine[:, None] == others)  # every pair
    area, most, variance = wins.mean(), wins.mean() * (1 - wins.mean()), 0.0
    for shares in (wins.mean(axis=1), wins.mean(axis=0)):
        seen = (len(shares) - 1) * shares.var(ddof=1)
        variance += (seen + 4 * most / 2) / (len(shares) + 3) / len(shares)  # four more, half as far spread as possible
    assert ranking(is_class, probabilities).roc_auc_images == pytest.approx(area * (1 - area) / variance, rel=1e-9)


def influences(figure, is_class, probabilities):
    """How scikit-learn's figure answers to the weight of each image."""
    found = np.zeros(len(is_class))
    for image in range(len(is_class)):
        more, less = np.ones((2, len(is_class)))
        more[image], less[image] = 1 + 1e-4, 1 - 1e-4
        ends = [figure(is_class, probabilities, sample_weight=weights) for weights in (more, less)]
        found[image] = (ends[0] - ends[1]) / 2e-4
    return found


@pytest.mark.parametrize("ties", [False, True])
def test_an_average_precision_is_as_sure_as_the_influence_of_images_makes_it(ties):
    is_class, probabilities = drawn(7, ties)
    found, positives = ranking(is_class, probabilities), is_class.sum()
    most = found.average_precision * (1 - found.average_precision)
    squares = np.square(influences(metrics.average_precision_score, is_class, probabilities)).sum()
    expected = ((positives - 1) * squares * positives + 4 * most) / (positives + 3) / positives  # four of the largest
    assert found.average_precision_error == pytest.approx(expected**0.5, rel=1e-5)


def test_what_classes_share_is_found_in_the_influence_of_images():
    random = np.random.default_rng(0)
    y_true, hard = random.integers(0, 2, (60, 3)), random.random((60, 1)) < 0.3
    probabilities = np.round(0.5 + np.where(hard, 0, 0.3) * (y_true - 0.5) + 0.1 * random.normal(size=(60, 3)), 2)
    for found, figure in zip(
        shared(y_true, probabilities), (metrics.roc_auc_score, metrics.average_precision_score), strict=True
    ):
        columns = list(zip(y_true.T, probabilities.T, strict=True))
        by_image = np.array([influences(figure, *column) for column in columns])
        by_chance = [0.5 if figure is metrics.roc_auc_score else mine.mean() for mine, _ in columns]
        mistakes = np.array(
            [
                (chance - figure(*column)) * np.where(column[0], 1 / column[0].sum(), 1 / (1 - column[0]).sum())
                for column, chance in zip(columns, by_chance, strict=True)
            ]
        )
        both = np.concatenate([by_image, mistakes / 60**0.5], axis=1)
        assert found == pytest.approx((np.square(both.sum(axis=0)).sum() / np.square(both).sum()) ** 0.5, rel=1e-5)
        assert found > 1.1


@pytest.mark.parametrize("positives", [1, 2, 40])
@pytest.mark.parametrize("perfect", [False, True])
def test_two_classes_have_one_area_and_one_interval(positives, perfect):
    y_true = np.repeat([0, 1], [300, positives])
    scores = np.where(perfect, 0.3 + 0.4 * y_true, np.random.default_rng(3).random(300 + positives))
    found = Evaluation(y_true, np.stack([1 - scores, scores], axis=1), classes="ab")
    for own in found.per_class_intervals.values():
        assert found.intervals["roc_auc"][:2] == pytest.approx(own["roc_auc"], abs=1e-9)
    assert np.diff(own["roc_auc"]) > 1 / (positives + 4)


def test_classes_that_all_or_none_show_have_no_area():
    assert np.isnan(ranking(np.zeros(3, bool), np.array([0.1, 0.2, 0.3]))).all()
    assert np.isnan(ranking(np.ones(3, bool), np.array([0.1, 0.2, 0.3]))).all()
    assert ranking(np.array([True, False]), np.array([0.9, 0.1])).roc_auc == 1


@pytest.mark.slow
@pytest.mark.parametrize("area", [0.76, 0.96])
@pytest.mark.parametrize("positives", [1, 2, 5, 10, 30, 150])
def test_the_area_of_few_images_is_held(positives, area):
    """1,000 simulations with 300 others, both normal: a standard error of 0.7 points. Few promise more than 95 %."""
    random, apart, held = np.random.default_rng(0), norm.ppf(area) * 2**0.5, 0
    is_class = np.arange(300 + positives) < positives
    for _ in range(1000):
        found = ranking(is_class, random.normal(size=len(is_class)) + apart * is_class)
        lower, upper = wilson(found.roc_auc * found.roc_auc_images, found.roc_auc_images)
        held += lower <= area <= upper
    assert 0.93 <= held / 1000 <= 0.99
