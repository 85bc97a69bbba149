"""Temperature: the likeliest class stays, the loss never rises, and a model that is too sure is mended."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax, logit, softmax
from sklearn.metrics import log_loss

from imgcls.metrics import Evaluation, fit_temperature, reliability, tempered
from imgcls.metrics._calibration import softened, temperature_of


def too_sure(seed, count=2_000, classes=5, power=3.0):
    """Draw labels from honest probabilities, and say these with scores three times as large."""
    random = np.random.default_rng(seed)
    scores = 1.5 * random.normal(size=(count, classes))
    honest = softmax(scores, axis=1)
    y_true = np.array([random.choice(classes, p=row) for row in honest])
    return y_true, softmax(power * scores, axis=1).astype(np.float32), honest


def test_tempering_divides_scores():
    random = np.random.default_rng(0)
    scores = random.normal(size=(7, 4))
    np.testing.assert_allclose(tempered(softmax(scores, axis=1), 2.5), softmax(scores / 2.5, axis=1))
    np.testing.assert_allclose(tempered(expit(scores), 0.4, multi_label=True), expit(scores / 0.4), atol=1e-12)
    assert logit(0.5) == 0  # the threshold of several labels stays where it is


def test_the_temperature_of_a_model_three_times_too_sure_is_three():
    y_true, said, honest = too_sure(0)
    found = fit_temperature(y_true, said)
    assert found == pytest.approx(3, rel=0.1)
    mended = tempered(said, found)
    np.testing.assert_array_equal(mended.argmax(axis=1), said.argmax(axis=1))
    np.testing.assert_allclose(mended, honest, atol=0.05)


def test_the_calibration_error_falls_below_half_on_other_images():
    y_true, said, _ = too_sure(1)
    other, said_there, _ = too_sure(2)
    temperature = fit_temperature(y_true, said)
    before = Evaluation(other, said_there, classes=range(5))
    after = Evaluation(other, tempered(said_there, temperature), classes=range(5))
    for name in ("calibration_error", "adaptive_calibration_error"):
        assert after[name] < before[name] / 2
    assert after.accuracy == before.accuracy
    assert after.log_loss < before.log_loss


@pytest.mark.parametrize("seed", range(20))
def test_the_loss_never_rises_where_it_is_measured(seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 60))
    probabilities = random.dirichlet(np.full(4, 10.0 ** random.uniform(-2, 1)), count)
    y_true = random.integers(0, 4, count)
    clipped = np.clip(probabilities, 1e-12, 1)
    clipped /= clipped.sum(axis=1, keepdims=True)
    mended = tempered(probabilities, fit_temperature(y_true, probabilities))
    assert log_loss(y_true, mended, labels=range(4)) <= log_loss(y_true, clipped, labels=range(4)) + 1e-9


def test_what_gains_nothing_is_left_as_it_is():
    honest = np.array([[0.8, 0.2]] * 10)
    assert fit_temperature(np.array([0] * 8 + [1] * 2), honest) == 1.0


def test_a_perfect_score_is_no_licence_to_be_certain():
    """Where all are right, only 0 would be likeliest: later images would pay for it."""
    y_true = np.arange(200) % 4
    assert fit_temperature(y_true, 0.9 * np.eye(4)[y_true] + 0.025) > 0.3  # never surer than 1 in 202
    sure = 0.99 * np.eye(4)[y_true] + 0.0025
    assert fit_temperature(y_true, sure) == 1.0


def test_what_chance_explains_is_left_as_it_is():
    """Honest probabilities: of 200 samples hardly more than one in 20 is given a temperature."""
    random, moved = np.random.default_rng(0), 0
    for _ in range(200):
        honest = random.dirichlet(np.ones(3), 150)
        y_true = (honest.cumsum(axis=1) < random.random((150, 1))).sum(axis=1)
        moved += fit_temperature(y_true, honest) != 1.0
    assert moved <= 0.05 * 200 + 3 * (0.05 * 0.95 * 200) ** 0.5


def test_several_labels():
    random = np.random.default_rng(0)
    scores = random.normal(size=(4_000, 3))
    y_true = (random.random((4_000, 3)) < expit(scores)).astype(np.uint8)
    assert fit_temperature(y_true, expit(2 * scores)) == pytest.approx(2, rel=0.1)


def test_several_labels_are_smoothed_by_as_many_as_there_are():
    """1 % of 5,000 labels are there, and 10 % are said: by hand, one in 5,002 more is expected, and not one in 102."""
    y_true = np.zeros((100, 50), int)
    y_true[np.arange(50), np.arange(50)] = 1
    said = np.full((100, 50), 0.1)
    found = tempered(said, fit_temperature(y_true, said), multi_label=True)
    np.testing.assert_allclose(found, (0.01 * 5_001 + 0.99) / 5_002, rtol=1e-3)


@pytest.mark.parametrize("score", [3, 18, 40])
def test_scores_tell_what_probabilities_of_float32_do_not(score):
    """Of 1,000 labels that are called sure, 90 % are there: the score should be ln(9), by hand, whatever it is."""
    y_true = np.repeat([1, 0], [900, 100])
    scores = np.full((1_000, 1), score, np.float32)
    of_two = np.concatenate([0 * scores, scores], axis=1)
    for labels, given, shown in (
        (y_true[:, None], scores, expit(scores)),
        (y_true, of_two, softmax(of_two, axis=1)),
    ):
        found = temperature_of(labels, given)
        assert score / found == pytest.approx(logit(0.9), rel=0.01)
        told = softened(given, found, multi_label=labels.ndim == 2)
        np.testing.assert_allclose(told[:, -1], 0.9, atol=0.001)
        if score == 3:  # then float32 holds it
            assert fit_temperature(labels, shown) == pytest.approx(found, rel=1e-4)


def test_sure_and_wrong_probabilities_stay_numbers():
    found = tempered(np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), 20.0)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0], np.exp(log_softmax(np.log([1.0, 1e-12]) / 20)))


def test_bins_by_hand():
    confidence = np.array([0.05, 0.06, 0.5, 0.93, 1.0])
    right = np.array([False, True, True, True, True])
    found = reliability(confidence, right, bins=10)
    assert found.counts.tolist() == [2, 1, 2]
    np.testing.assert_allclose(found.confidence, [0.055, 0.5, 0.965])
    np.testing.assert_allclose(found.accuracy, [0.5, 1, 1])
    np.testing.assert_allclose(found.error, (2 * 0.445 + 0.5 + 2 * 0.035) / 5)
    equal = reliability(np.linspace(0.2, 0.9, 30), np.ones(30, bool), adaptive=True, bins=5)
    assert equal.counts.tolist() == [6] * 5
