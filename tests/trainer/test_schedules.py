"""Schedules against points computed by hand, Keras' CosineDecay and PyTorch's OneCycleLR formula."""

import math

import keras
import numpy as np
import pytest

from imgcls import ConfigurationError
from imgcls.trainer._schedules import SCHEDULES, factor

GRID = np.linspace(0, 1, 1001)


def over(name, points=GRID):
    return np.array([factor(name, point) for point in points])


@pytest.mark.parametrize(
    ("name", "progress", "expected"),
    [
        ("cosine", 0, 0.04),
        ("cosine", 0.05, 0.52),  # halfway from 0.04 to 1
        ("cosine", 0.1, 1),
        ("cosine", 0.4, 0.75),  # a third of the way down: (1 + cos 60 degrees) / 2
        ("cosine", 0.55, 0.5),
        ("cosine", 0.7, 0.25),
        ("cosine", 1, 0),
        ("one_cycle", 0, 0.04),
        ("one_cycle", 0.1, 0.28),  # a third of the way up: 0.04 + 0.96 * (1 - cos 60 degrees) / 2
        ("one_cycle", 0.15, 0.52),
        ("one_cycle", 0.3, 1),
        ("one_cycle", 0.65, 0.5),
        ("one_cycle", 1, 0),
        ("linear", 0, 0.04),
        ("linear", 0.05, 0.52),
        ("linear", 0.1, 1),
        ("linear", 0.55, 0.5),
        ("linear", 0.91, 0.1),
        ("linear", 1, 0),
        ("constant", 0, 1),
        ("constant", 0.7, 1),
        ("constant", 1, 1),
    ],
)
def test_points_by_hand(name, progress, expected):
    assert factor(name, progress) == pytest.approx(expected, abs=1e-12)


def test_cosine_is_keras_cosine_decay_with_warmup():
    warmup, decay = 50, 450
    theirs = keras.optimizers.schedules.CosineDecay(1 / 25, decay, warmup_target=1.0, warmup_steps=warmup)
    steps = range(0, warmup + decay + 1, 5)
    expected = [float(theirs(step)) for step in steps]
    ours = over("cosine", [step / (warmup + decay) for step in steps])
    np.testing.assert_allclose(ours, expected, atol=1e-6)  # theirs is float32


def test_one_cycle_is_pytorch_one_cycle_but_for_its_last_quarter_millionth():
    def annealed(start, end, share):  # torch.optim.lr_scheduler.OneCycleLR, _annealing_cos
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    initial, final = 1 / 25, 1 / 25 / 1e4
    expected = [
        annealed(initial, 1, point / 0.3) if point < 0.3 else annealed(1, final, (point - 0.3) / 0.7) for point in GRID
    ]
    np.testing.assert_allclose(over("one_cycle"), expected, atol=4e-6)


@pytest.mark.parametrize(("name", "peak"), [("cosine", 0.1), ("linear", 0.1), ("one_cycle", 0.3)])
def test_up_to_one_peak_and_down_from_it(name, peak):
    values, top = over(name), round(peak * 1000)
    assert (np.diff(values[: top + 1]) > 0).all()
    assert (np.diff(values[top:]) < 0).all()
    assert values.max() == values[top] == 1
    assert values.min() >= 0


@pytest.mark.parametrize("name", SCHEDULES)
def test_progress_outside_counts_as_the_nearer_end(name):
    assert factor(name, -0.5) == factor(name, 0)
    assert factor(name, 1.001) == factor(name, 1)


def test_an_unknown_schedule_is_refused_in_words():
    with pytest.raises(ConfigurationError) as refusal:
        factor("cosin", 0.5)
    assert (
        str(refusal.value)
        == "schedule='cosin' is not known. Did you mean 'cosine'? Accepted: cosine, one_cycle, linear, constant."
    )
