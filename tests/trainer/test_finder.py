"""The range test's judgement on curves of known shape, by hand, and its printed and drawn result."""

import numpy as np
import pytest
from scipy.signal import lfilter

from imgcls import ConfigurationError, DataError
from imgcls.trainer._finder import LearningRateCurve, diverged, smoothed, suggest

RATES = np.geomspace(1e-6, 10, 100)


def real_looking(lowest=0.1, noise=0.05, seed=0):
    """Return losses that are flat, fall until the rate `lowest`, and rise steeply from there."""
    logs = np.log10(RATES / lowest)
    curve = 2.3 - 1.5 * np.clip(1 + logs / 3, 0, 1) + np.where(logs > 0, 6 * logs**2, 0)
    return curve + np.random.default_rng(seed).normal(0, noise, len(RATES))


def test_smoothing_is_an_exponential_filter_over_the_weights_it_has_given_out():
    losses = real_looking()
    filtered = lfilter([0.05], [1, -0.95], losses)
    given_out = lfilter([0.05], [1, -0.95], np.ones(100))
    np.testing.assert_allclose(smoothed(losses), filtered / given_out, rtol=1e-12)
    assert smoothed([3.0, 1.0])[0] == pytest.approx(3)
    assert smoothed([3.0, 1.0])[1] == pytest.approx((0.95 * 3 + 1) / 1.95)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("lowest", [0.003, 0.1, 1.0])
def test_minimum_is_a_tenth_of_where_the_smoothed_loss_is_lowest(lowest, seed):
    losses = real_looking(lowest, seed=seed)
    value, reason = suggest(RATES, losses)
    filtered = lfilter([0.05], [1, -0.95], losses) / lfilter([0.05], [1, -0.95], np.ones(100))
    assert value == pytest.approx(RATES[10 + np.argmin(filtered[10:])] / 10)
    assert lowest / 10 <= value <= lowest  # smoothing lags behind, and a tenth of it makes up for that
    assert reason == "a tenth of the rate of the lowest loss"


@pytest.mark.parametrize("seed", range(5))
def test_valley_is_its_middle(seed):
    losses = real_looking(0.1, seed=seed)
    value, reason = suggest(RATES, losses, rule="valley")
    assert 1e-4 < value < 1e-2  # the fall goes from 1e-4 to 1e-1
    assert value < suggest(RATES, losses).value
    assert reason == "the middle of the longest valley of the loss"


def test_the_longest_fall_steps_over_what_lies_higher(monkeypatch):
    monkeypatch.setattr("imgcls.trainer._finder.smoothed", np.asarray)
    # After the tenth that is left out: 9 8 | 9 | 7 6 | 8 | 5 4 3 2 1 falls in nine steps, over two that are higher.
    losses = [9, 9, 8, 9, 7, 6, 8, 5, 4, 3, 2, 1, 5]
    rates = np.arange(1.0, 14)
    assert suggest(rates, losses, rule="valley").value == rates[7]  # 9 8 7 6 *5* 4 3 2 1


def test_a_number_that_is_none_ends_the_judgement():
    losses = real_looking()
    losses[90:] = np.nan
    assert suggest(RATES, losses) == suggest(RATES[:90], losses[:90])
    losses[85] = np.inf
    assert suggest(RATES, losses) == suggest(RATES[:85], losses[:85])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rule", ["minimum", "valley"])
def test_noise_suggests_nothing(rule, seed):
    losses = np.random.default_rng(seed).normal(2.3, 0.1, 100)
    assert suggest(RATES, losses, rule=rule) == (None, "the loss did not fall by more than its noise")


def test_too_few_numbers_suggest_nothing():
    losses = real_looking()
    losses[15] = np.nan
    expected = (None, "there are fewer than 10 steps with a finite loss to judge by")
    assert suggest(RATES, losses) == expected
    assert suggest([], []) == expected


def test_a_test_is_over_when_the_loss_explodes_or_is_no_number():
    assert not diverged([2.0])
    assert not diverged([2.0] * 50 + [7.0])  # one bad batch: smoothed 2.25
    assert diverged([2.0] * 50 + [700.0])
    assert diverged([2.0] * 50 + [float("nan")])
    assert diverged([2.0] * 50 + [float("inf")])
    assert not diverged(real_looking()[:60])


def test_refusals_in_words():
    with pytest.raises(ConfigurationError) as refusal:
        suggest(RATES, RATES, rule="valey")
    assert str(refusal.value) == "rule='valey' is not known. Did you mean 'valley'? Accepted: minimum, valley."
    for rates, losses in [(RATES, RATES[1:]), (RATES[::-1], RATES), (RATES - 1, RATES)]:
        with pytest.raises(DataError) as refusal:
            suggest(rates, losses)
        assert str(refusal.value) == (
            f"rates {rates.shape} and losses {losses.shape} are no range test. Give a loss for each rising rate above 0."
        )


def test_a_curve_prints_tabulates_and_draws_itself():
    losses = real_looking()
    curve = LearningRateCurve(RATES, losses)
    rate = suggest(RATES, losses).value
    assert curve.suggestion == rate
    assert (
        repr(curve)
        == f"LearningRateCurve(100 steps from 1e-06 to 10; suggestion {rate:.2g}: a tenth of the rate of the lowest loss)"
    )
    frame = curve.to_frame()
    assert list(frame.columns) == ["learning_rate", "loss", "smoothed"]
    np.testing.assert_array_equal(frame["loss"], losses)
    ax = curve.plot()
    assert ax.lines[-1].get_xdata() == [rate, rate]
    assert LearningRateCurve(RATES, losses, "valley").suggestion == suggest(RATES, losses, rule="valley").value


def test_a_curve_without_suggestion_says_why():
    curve = LearningRateCurve(RATES, np.full(100, 2.3))
    assert curve.suggestion is None
    assert repr(curve) == (
        "LearningRateCurve(100 steps from 1e-06 to 10; no suggestion: the loss did not fall by more than its noise)"
    )
    assert len(curve.plot().lines) == 2
