"""Intervals: against SciPy, against drawing images one by one, and against their promise."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss

from imgcls._intervals import mean_of_shares
from imgcls.metrics import Evaluation, reliability, wilson
from imgcls.metrics._figures import Counts, areas, calibration, losses, macro, outcome, rankings
from imgcls.metrics._intervals import Blocks, logit_interval

ANSWERS = np.array([[0.6, 0.25, 0.15], [0.1, 0.75, 0.15], [0.05, 0.05, 0.9]])  # what is predicted, for each true class


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (1, 1), (3, 7), (0, 40), (297, 300)])
def test_wilson_is_scipys(hits, count):
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson(hits, count), [expected.low, expected.high], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("hits", "count"), [(0, 9), (7, 9), (9, 9), (55, 100)])
def test_the_interval_of_a_mean_of_one_share_is_wilsons(hits, count):
    interval = binomtest(hits, count).proportion_ci(method="wilson")
    found = mean_of_shares(np.array([hits / count]), np.array([count], float), 1)
    assert found == pytest.approx((hits / count, interval.low, interval.high), abs=1e-9)


def test_the_interval_of_a_mean_of_shares_covers_it():
    random = np.random.default_rng(0)
    shares, counts = np.array([0.95, 0.6, 0.8]), np.array([20.0, 40.0, 15.0])
    drawn = random.binomial(counts.astype(int), shares, (4_000, 3)) / counts
    ends = np.array([mean_of_shares(one, counts, 3)[1:] for one in drawn])
    assert 0.94 <= ((ends[:, 0] <= shares.mean()) & (shares.mean() <= ends[:, 1])).mean() <= 0.97


def test_wilson_of_nothing_is_anything():
    assert [float(end) for end in wilson(0, 0)] == [0, 1]


def test_a_sure_figure_has_no_interval_and_an_unsure_one_stays_within_0_and_1():
    assert [float(end) for end in logit_interval(1.0, 0.0)] == pytest.approx([1, 1], abs=1e-8)
    lower, upper = logit_interval([0.5, 0.99], [0.4, 0.02])
    assert (lower > 0).all()
    assert (upper < 1).all()
    assert (lower < [0.5, 0.99]).all()
    assert (upper > [0.5, 0.99]).all()


def test_one_class_has_wilsons_interval_and_so_have_classes_of_the_same_images():
    random = np.random.default_rng(0)
    y_true, said = random.integers(0, 2, (40, 1)), random.random((40, 1))
    for times in (1, 3):
        found = Evaluation(y_true.repeat(times, axis=1), said.repeat(times, axis=1), classes=range(times))
        for name, figure in (("macro_recall", "recall"), ("macro_precision", "precision"), ("roc_auc", "roc_auc")):
            assert found.intervals[name][:2] == pytest.approx(found.per_class_intervals[0][figure], abs=1e-9)


def test_a_perfect_score_on_few_images_is_no_proof():
    """Of 30 images of each of two classes all are right: no figure may say that it is sure, nor more than of 60."""
    y_true = np.repeat([0, 1], 30)
    found = Evaluation(y_true, 0.1 + 0.8 * np.eye(2)[y_true], classes="ab")
    together = binomtest(60, 60).proportion_ci(method="wilson").low
    for name in ("balanced_accuracy", "macro_f1", "macro_precision", "macro_recall"):
        lower, upper, method = found.intervals[name]
        assert (upper, method) == (1, "adjusted shares")
        assert together - 0.02 < lower < together
    for name in ("roc_auc", "average_precision"):
        lower, upper, _ = found.intervals[name]
        assert 0.84 < lower < 0.99
        assert upper == 1
    several = Evaluation(np.eye(2)[y_true].astype(int), 0.1 + 0.8 * np.eye(2)[y_true], classes="ab")
    assert several.intervals["macro_recall"] == found.intervals["macro_recall"]


def test_a_class_of_which_nothing_is_found_is_no_proof_either():
    wrong = Evaluation(np.ones(3, int), np.tile([0.96, 0.04], (3, 1)), classes="ab")
    assert wrong.macro_f1 == 0
    assert wrong.intervals["macro_f1"].upper > 0.5
    always = Evaluation(np.repeat([0, 1], [195, 5]), np.tile([0.9, 0.1], (200, 1)), classes=["ok", "rare"])
    for name, figure in (("macro_f1", "f1"), ("macro_recall", "recall"), ("macro_precision", "precision")):
        alone = always.per_class_intervals["rare"][figure][1]
        assert always.intervals[name].upper - always[name] >= alone / 2 * 0.95


@pytest.mark.parametrize("several", [False, True])
def test_a_mean_over_classes_is_as_sure_as_drawing_images_again_finds_it(several):
    """Of many images, half the interval is 1.96 standard deviations of the figure of images drawn again."""
    random, count = np.random.default_rng(0), 1_500
    if several:
        y_true, hard = random.integers(0, 2, (count, 5)), random.random((count, 1)) < 0.3
        probabilities = np.clip(
            0.5 + np.where(hard, 0, 0.3) * (y_true - 0.5) + 0.2 * random.normal(size=(count, 5)), 0, 1
        )
    else:
        y_true, probabilities = simulated(random, count)
    names = ("balanced_accuracy", "macro_precision", "macro_f1", "roc_auc", "average_precision")
    found, drawn = Evaluation(y_true, probabilities, classes=range(probabilities.shape[1])), []
    for _ in range(400):
        chosen = random.integers(0, count, count)
        again = figures(y_true[chosen], probabilities[chosen])
        drawn.append([again[name][0] for name in names])
    halves = [(found.intervals[name].upper - found.intervals[name].lower) / 2 for name in names]
    np.testing.assert_allclose(halves, 1.96 * np.std(drawn, axis=0), rtol=0.12)


def test_ends_are_possible_and_hold_their_figure():
    """Few images, classes without images, one answer to everything, one image."""
    always = Evaluation(np.repeat([0, 1], 5), np.tile([0.9, 0.1], (10, 1)), classes="ab")
    lower, upper, _ = always.intervals["balanced_accuracy"]
    assert lower < 0.5 - 0.18
    assert upper > 0.5 + 0.18
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
            most = {"log_loss": 36.1, "brier": 1 + (len(found.classes) > 2)}  # of two classes, half is counted
            assert upper <= most.get(name, 1)
            if name not in {"roc_auc", "average_precision"}:
                assert lower < upper


def test_one_image_has_every_brier_score_that_is_possible():
    """Of two classes it is halved, as in scikit-learn: sure and wrong is 1, and 2 of more."""
    for probabilities, most in (([0.6, 0.4], 1.0), ([0.6, 0.3, 0.1], 2.0)):
        classes = range(len(probabilities))
        found = Evaluation(np.array([0]), np.array([probabilities]), classes=classes)
        wrong = Evaluation(np.array([0]), np.eye(len(classes))[[1]], classes=classes)
        assert wrong["brier"] == brier_score_loss([0], np.eye(len(classes))[[1]], labels=classes) == most
        assert found.intervals["brier"][:2] == (0, most)


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


@pytest.mark.parametrize(
    ("said", "right", "most"),
    [([0.9] * 10, [1] * 9 + [0], 0.3), ([0.96] * 3, [0] * 3, 1.0), ([0.99] * 20, [1] * 20, 0.1), ([0.9], [0], 1.0)],
)
def test_few_predictions_do_not_prove_a_calibration(said, right, most):
    """The upper end reaches as far as the share of right ones may, by Wilson, and no further than 1."""
    said, right = np.array(said), np.array(right)
    found = calibration(outcome(1 - right, np.stack([said, 1 - said], axis=1), np.zeros(len(said), int)))
    for value, (lower, upper, _) in found.values():
        ends = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
        assert lower <= value <= upper <= 1
        assert upper >= min(0.85 * max(abs(ends.low - said[0]), abs(ends.high - said[0])), most)


@pytest.mark.slow
@pytest.mark.parametrize("accuracy", [0.93, 0.965, 0.99])
def test_the_calibration_error_of_sure_answers_is_held(accuracy):
    """200 simulations of 300 answers, all surer than 0.96, that fall into one bin of equal width, or fifteen of 20."""
    random, held = np.random.default_rng(0), np.zeros(2)
    places = np.linspace(0.96, 0.999, 2_000_001)
    truths = abs(places.mean() - accuracy), np.abs(places - accuracy).mean()  # of one bin, and about that of fifteen
    for _ in range(200):
        said, right = random.uniform(0.96, 0.999, 300), random.random(300) < accuracy
        found = calibration(outcome((~right).astype(int), np.stack([said, 1 - said], axis=1), np.zeros(300, int)))
        held += [lower <= truth <= upper for (_, (lower, upper, _)), truth in zip(found.values(), truths, strict=True)]
    assert (held / 200 >= [0.93, 0.9]).all()


@pytest.mark.parametrize("count", [500, 7_001])
def test_blocks_have_the_mean_and_the_error_of_images(count):
    values = np.random.default_rng(0).exponential(size=count)
    blocks = Blocks(count)
    lower, upper = blocks.ends(blocks.means([values]), values.mean(keepdims=True))
    error = values.std() / count**0.5
    assert (lower + upper)[0] / 2 == pytest.approx(values.mean(), abs=0.2 * error)
    assert (upper - lower)[0] == pytest.approx(2 * 1.96 * error, rel=0.12)


@pytest.mark.parametrize(("wrong", "count"), [(0, 1), (0, 100), (1, 100), (3, 100), (40, 100), (100, 100), (3, 10_000)])
def test_losses_that_are_nothing_or_the_same_have_the_exact_interval_of_a_share(wrong, count):
    blocks = Blocks(count)
    lower, upper = blocks.ends(blocks.means([np.where(np.arange(count) < wrong, 5.0, 0.0)]), np.array([5.0]))
    exact = binomtest(wrong, count).proportion_ci(method="exact")
    assert lower[0] / 5 == pytest.approx(exact.low, rel=0.08, abs=0.02 / count)
    assert upper[0] / 5 == pytest.approx(exact.high, rel=0.08)


@pytest.mark.parametrize("wrong", [0, 1])
def test_the_losses_of_a_sure_network_have_an_interval_whether_one_image_is_wrong_or_none(wrong):
    """As many images as the exact interval of a share says may be wrong, each as expensive as it would be."""
    said = np.random.default_rng(0).uniform(0.999, 1, 100)
    found = Evaluation((np.arange(100) < wrong).astype(int), np.stack([said, 1 - said], axis=1), classes="ab")
    share = binomtest(wrong, 100).proportion_ci(method="exact")
    cost = -np.log(1 - said)
    for name, mistake in (("log_loss", max(cost.mean(), cost[0] * wrong)), ("brier", 1.0)):
        lower, upper, method = found.intervals[name]
        assert method == "Bayesian bootstrap"
        assert 0 < lower < found[name] < upper
        assert upper == pytest.approx(share.high * mistake, rel=0.1)
        assert lower == pytest.approx(share.low * mistake, abs=1e-3)


@pytest.mark.parametrize(("every", "labels"), [(2, 2), (100, 1)])
def test_of_several_labels_one_may_be_wrong_or_as_many_as_images_differ_in(every, labels):
    """Of 100 images nothing is wrong. Each of four labels is there in every second image, or in one of them all."""
    y_true = ((np.arange(100)[:, None] + np.arange(4)) % every == 0).astype(int)
    found = Evaluation(y_true, np.where(y_true == 1, 0.999, 0.001), classes="abcd")
    share = binomtest(0, 100).proportion_ci(method="exact").high
    assert found.intervals["log_loss"].upper == pytest.approx(share * -np.log(0.001) * labels / 4, rel=0.1)
    assert found.intervals["brier"].upper == pytest.approx(share * 0.999**2 * labels / 4, rel=0.1)


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


def hard_images(share, steep):
    """Eight labels, all of them in doubt for the same share of images."""

    def drawn(random, count):
        y_true = (random.random((count, 8)) < 0.4).astype(np.uint8)
        hard = random.random((count, 1)) < share
        scores = np.where(hard, 0, steep * (2.0 * y_true - 1)) + random.normal(size=(count, 8))
        return y_true, 1 / (1 + np.exp(-scores))

    return drawn


def rare_class(random, count):
    """Two of a hundred images are of a class of which three in ten are found."""
    y_true = (random.random(count) < 0.02).astype(int)
    said = random.random(count) < np.where(y_true == 1, 0.3, 0.002)
    scores = 0.5 * random.random(count) + 0.5 * said
    return y_true, np.stack([1 - scores, scores], axis=1)


def many_classes(random, count):
    """Twenty classes, nine of ten images right."""
    y_true = random.integers(0, 20, count)
    scores = random.normal(size=(count, 20)) + 3.5 * np.eye(20)[y_true]
    return y_true, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def figures(y_true, probabilities):
    several = y_true.ndim == 2
    seen = outcome(
        y_true, probabilities, (probabilities >= 0.5).astype(np.uint8) if several else probabilities.argmax(1)
    )
    found = macro(seen, Counts.of(seen.y_true, seen.y_pred, probabilities.shape[1]))
    return found | areas(y_true, probabilities, rankings(y_true, probabilities))


MEANS = ("balanced_accuracy", "macro_precision", "macro_recall", "macro_f1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("drawn", "count", "names"),
    [
        (hard_images(0.3, 3.0), 300, (*MEANS, "roc_auc", "average_precision")),
        (hard_images(0.05, 3.0), 300, MEANS),
        (rare_class, 200, ("macro_precision", "macro_f1")),
        (many_classes, 600, MEANS),
    ],
    ids=["hard for all labels", "a few hard for all labels", "a rare class", "twenty classes"],
)
def test_means_over_classes_hold_the_truth_where_classes_share_images_or_have_few(drawn, count, names):
    """600 simulations: a standard error of 0.9 points."""
    expected, random = figures(*drawn(np.random.default_rng(99), 400_000)), np.random.default_rng(0)
    held = dict.fromkeys(names, 0)
    for _ in range(600):
        found = figures(*drawn(random, count))
        for name in names:
            lower, upper, _ = found[name][1]
            held[name] += lower <= expected[name][0] <= upper
    assert all(0.92 <= times / 600 <= 0.98 for times in held.values()), held


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


def test_a_skewed_mean_is_held_better_than_by_the_bootstrap():
    """Of 60 images with a log-normal loss, the bootstrap's interval holds the mean in some 87 %."""
    random, held = np.random.default_rng(0), {"weighted": 0, "drawn": 0}
    for _ in range(200):
        values, blocks = np.exp(random.normal(size=60)), Blocks(60)
        weighted = np.concatenate(blocks.ends(blocks.means([values]), values.max(keepdims=True)))
        drawn = np.quantile(random.choice(values, (1_000, 60)).mean(axis=1), [0.025, 0.975])
        for name, (lower, upper) in (("weighted", weighted), ("drawn", drawn)):
            held[name] += lower <= np.exp(0.5) <= upper
    assert held["weighted"] > held["drawn"]
    assert held["weighted"] >= 180


def sure(wrong, certain):
    """Return a network that is sure of each answer, quite certain or nearly; wrong in a share, and sure there too."""

    def drawn(random, count):
        said = (np.ones(count) if certain else 1 - 0.1 ** random.uniform(2, 6, count)).astype(np.float32)
        return (random.random(count) < wrong).astype(int), np.stack([said, 1 - said], axis=1)

    return drawn


def losses_held(drawn, count, times):
    """Return in which share of the simulations the intervals of log loss and Brier score hold the truth."""
    truth = losses(outcome(*drawn(np.random.default_rng(99), 500_000), 0), 2)
    random, held = np.random.default_rng(0), dict.fromkeys(truth, 0)
    for _ in range(times):
        for name, (_, (lower, upper, _)) in losses(outcome(*drawn(random, count), 0), 2).items():
            held[name] += lower <= truth[name][0] <= upper
    return {name: hits / times for name, hits in held.items()}


@pytest.mark.parametrize("certain", [False, True], ids=["nearly certain", "certain"])
@pytest.mark.parametrize("wrong", [0.01, 0.1])
def test_the_losses_of_a_sure_network_are_held(wrong, certain):
    """200 simulations: a standard error of 1.5 points."""
    held = losses_held(sure(wrong, certain), 100, 200)
    assert all(share >= 0.93 for share in held.values()), held


@pytest.mark.slow
@pytest.mark.parametrize("certain", [False, True], ids=["nearly certain", "certain"])
@pytest.mark.parametrize("wrong", [0.005, 0.01, 0.03, 0.1])
@pytest.mark.parametrize("count", [20, 100, 1_000])
def test_the_losses_of_sure_networks_are_held_however_many_images_are_wrong(count, wrong, certain):
    """1,000 simulations: a standard error of 0.7 points."""
    held = losses_held(sure(wrong, certain), count, 1_000)
    assert all(share >= 0.93 for share in held.values()), held
