"""Intervals: against SciPy, against drawing images one by one, and against their promise."""

import numpy as np
import pytest
from scipy.stats import binomtest

from imgcls.metrics import Evaluation, reliability, wilson
from imgcls.metrics._figures import calibration, outcome
from imgcls.metrics._intervals import Blocks, bootstrap_counts, logit_interval, percentiles, studentized

ANSWERS = np.array([[0.6, 0.25, 0.15], [0.1, 0.75, 0.15], [0.05, 0.05, 0.9]])  # what is predicted, for each true class


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (3, 7), (0, 40), (297, 300)])
def test_wilson_is_scipys(hits, count):
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson(hits, count), [expected.low, expected.high], rtol=1e-12, atol=1e-15)


def test_wilson_of_nothing_is_anything():
    assert [float(end) for end in wilson(0, 0)] == [0, 1]


def test_a_sure_figure_has_no_interval_and_an_unsure_one_stays_within_0_and_1():
    assert [float(end) for end in logit_interval(1.0, 0.0)] == pytest.approx([1, 1], abs=1e-8)
    lower, upper = logit_interval([0.5, 0.99], [0.4, 0.02])
    assert (lower > 0).all()
    assert (upper < 1).all()
    assert (lower < [0.5, 0.99]).all()
    assert (upper > [0.5, 0.99]).all()


def test_drawing_cells_is_drawing_images():
    random = np.random.default_rng(1)
    y_true, y_pred = random.integers(0, 3, 90), random.integers(0, 3, 90)
    counts = np.bincount(y_true * 3 + y_pred, minlength=9).reshape(3, 3)

    def balanced(tables):
        return (np.diagonal(tables, axis1=1, axis2=2) / tables.sum(axis=2)).mean(axis=1, keepdims=True)

    by_cells = bootstrap_counts(counts, balanced)[:, 0]
    one_by_one = []
    for _ in range(1000):
        chosen = random.integers(0, 90, 90)
        table = np.bincount(y_true[chosen] * 3 + y_pred[chosen], minlength=9).reshape(1, 3, 3)
        one_by_one.append(balanced(table)[0, 0])
    assert by_cells.mean() == pytest.approx(np.mean(one_by_one), abs=4 * np.std(one_by_one) / 1000**0.5)
    assert by_cells.std() == pytest.approx(np.std(one_by_one), rel=0.1)


def test_a_perfect_score_on_few_images_is_no_proof():
    """Of 30 images of each of two classes all are right: no figure may say that it is sure."""
    y_true = np.repeat([0, 1], 30)
    found = Evaluation(y_true, 0.1 + 0.8 * np.eye(2)[y_true], classes="ab")
    alone = binomtest(30, 30).proportion_ci(method="wilson").low
    for name in ("balanced_accuracy", "macro_f1", "macro_precision", "macro_recall"):
        lower, upper, method = found.intervals[name]
        assert (upper, method) == (1, "Wilson of each class, combined")
        assert lower == pytest.approx(1 - (1 - alone) / 2**0.5)
    for name in ("roc_auc", "average_precision"):
        lower, upper, _ = found.intervals[name]
        assert 0.85 < lower < 0.99
        assert upper == 1


def test_ends_are_possible_and_hold_their_figure():
    """Few images, classes without images, one answer to everything, one image."""
    always = Evaluation(np.repeat([0, 1], 5), np.tile([0.9, 0.1], (10, 1)), classes="ab")
    lower, upper, _ = always.intervals["balanced_accuracy"]
    assert lower < 0.5 - 0.2
    assert upper > 0.5 + 0.2
    sparse = np.repeat([0, 3], [5, 4])
    few = Evaluation(sparse, 0.05 + 0.5 * np.eye(10)[sparse], classes=range(10))
    one = Evaluation(np.array([1]), np.array([[0.1, 0.9]]), classes="ab")
    ten, two = few.intervals["macro_recall"], few.intervals["balanced_accuracy"]
    assert 10 * (few["macro_recall"] - ten.lower) == pytest.approx(2 * (few["balanced_accuracy"] - two.lower))
    random = np.random.default_rng(0)
    modest = Evaluation(random.integers(0, 3, 40), random.dirichlet(np.ones(3), 40), classes="abc")
    for found in (always, few, one, modest):
        for name, (lower, upper, _) in found.intervals.items():
            assert 0 <= lower <= found[name] <= upper, (name, lower, found[name], upper)
            assert upper <= {"log_loss": 16.2, "brier": 2}.get(name, 1)
            if name not in {"roc_auc", "average_precision", "log_loss", "brier"}:  # losses may all be the same
                assert lower < upper


def network(power):
    """Images whose probabilities are known, and a network that says them: honestly, or with scores times a power."""

    def drawn(random, count):
        scores = 1.2 * random.normal(size=(count, 4))
        honest = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        y_true = (honest.cumsum(axis=1) < random.random((count, 1))).sum(axis=1).clip(max=3)
        said = np.exp(power * scores)
        return y_true, said / said.sum(axis=1, keepdims=True)

    return drawn


def two_classes(off):
    """A network of two classes that says more, or less, than is true: how much, depends on what it says."""

    def drawn(random, count):
        said = random.uniform(0.5, 1, count)
        right = random.random(count) < np.clip(said - off(said), 0, 1)
        return np.where(right, 0, 1), np.stack([said, 1 - said], axis=1)

    return drawn


NETWORKS = {
    "honest": network(1.0),
    "a little too sure": network(1.3),
    "much too sure": network(2.0),
    "a little off everywhere, to both sides": two_classes(
        lambda said: 0.05 * np.sign((15 * said).astype(int) % 2 - 0.5)
    ),
    "off where it says 0.8": two_classes(lambda said: 0.2 * ((15 * said).astype(int) == 12)),
}


@pytest.mark.slow
@pytest.mark.parametrize("count", [300, 2_000])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_calibration_error_is_held_too(name, count):
    """300 simulations, a standard error of 1.3 points. From 0 on, an interval can only be wrong to one side."""
    drawn, times = NETWORKS[name], 300
    y_true, said = drawn(np.random.default_rng(99), 2_000_000)
    truth = reliability(said.max(axis=1), said.argmax(axis=1) == y_true).error
    random, held = np.random.default_rng(0), 0
    for _ in range(times):
        y_true, said = drawn(random, count)
        lower, upper, _ = calibration(outcome(y_true, said, said.argmax(axis=1)))["calibration_error"][1]
        held += lower <= truth + 1e-3 and truth <= upper  # an honest network's truth is 0 but for two million draws
    assert 0.93 <= held / times <= 0.99


@pytest.mark.parametrize("count", [500, 7_001])
def test_blocks_have_the_mean_and_the_error_of_images(count):
    values = np.random.default_rng(0).exponential(size=count)
    blocks = Blocks(count)
    means = blocks.means([values])
    drawn, errors = blocks.draw(means)
    error = values.std() / count**0.5
    assert drawn.mean() == pytest.approx(values.mean(), abs=4 * error / 1000**0.5 + 1e-3)
    assert drawn.std() == pytest.approx(error, rel=0.12)
    assert errors.mean() == pytest.approx(error, rel=0.12)


def test_what_bins_add_up_to_is_the_mean():
    random = np.random.default_rng(0)
    values, bins = random.normal(size=5_000 * 3), random.integers(0, 4, 5_000 * 3)
    blocks = Blocks(5_000)
    in_bins = blocks.means_in_bins(values, bins, 4)
    together = blocks.means([values.reshape(-1, 3).mean(axis=1)])[:, 0]
    np.testing.assert_allclose(in_bins.sum(axis=1), together)
    mine = np.where(bins == 2, values, 0).reshape(-1, 3).mean(axis=1)
    np.testing.assert_allclose(in_bins[:, 2], blocks.means([mine])[:, 0])


def simulated(random, count):
    """Labels and probabilities whose true figures are known, or measured once on very many images."""
    y_true = random.choice(3, count, p=[0.5, 0.3, 0.2])
    scores = np.log(ANSWERS[y_true]) + random.normal(size=(count, 3))
    probabilities = np.exp(scores)
    return y_true, probabilities / probabilities.sum(axis=1, keepdims=True)


def coverage(names, count, times):
    truth = Evaluation(*simulated(np.random.default_rng(99), 2_000_000), classes=range(3))
    expected = {name: truth[name] for name in names}
    random, held = np.random.default_rng(0), dict.fromkeys(names, 0)
    for _ in range(times):
        found = Evaluation(*simulated(random, count), classes=range(3))
        for name in names:
            lower, upper, _ = found.intervals[name]
            held[name] += lower <= expected[name] <= upper
    return {name: hits / times for name, hits in held.items()}


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    """2,000 simulations of 300 images: the standard error of each coverage is 0.5 %."""
    shares = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1")
    names = (*shares, "log_loss", "brier", "roc_auc", "average_precision")
    names += ("calibration_error", "adaptive_calibration_error")
    found = coverage(names, 300, 2_000)
    assert all(0.93 <= share <= 0.97 for share in found.values()), found


def test_a_skewed_mean_is_held_by_the_studentized_bootstrap():
    """At 60 images of a log-normal figure the normal interval holds in some 87 %: the studentized one in more."""
    random, held = np.random.default_rng(0), {"studentized": 0, "percentile": 0}
    for _ in range(200):
        values = np.exp(random.normal(size=60))
        blocks = Blocks(60)
        means = blocks.means([values])
        drawn, errors = blocks.draw(means)
        for name, (lower, upper) in (
            ("studentized", studentized(means, drawn, errors)),
            ("percentile", percentiles(drawn)),
        ):
            held[name] += float(lower[0]) <= np.exp(0.5) <= float(upper[0])
    assert held["studentized"] > held["percentile"]
    assert held["studentized"] >= 180
