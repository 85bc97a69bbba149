"""Progress by steps and by the clock, and the rate that goes with it."""

import pytest

from imgcls import ConfigurationError, Dataset, architectures, trainer
from imgcls.trainer._pace import Pace, budget_seconds


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("90s", 90),
        ("10min", 600),
        ("1h30min", 5400),
        ("1.5h", 5400),
        ("2 min", 120),
        ("600", 600),  # from a shell
        ("0.5", 0.5),
        (" 90 ", 90),
        (None, None),
    ],
)
def test_words_become_seconds(given, seconds):
    assert budget_seconds(given) == seconds


@pytest.mark.parametrize(
    "given",
    [
        *(
            "ten minutes",
            "min",
            "5 parsec",
            "1.2.3s",
            "1.2.3",
            "10min!",
            "1h30",
            "10 20",
            "0",
            "0s",
            "-5",
            ".",
            ".s",
            "",
        ),
        *("inf", "nan", "9" * 400, 0, -1, True, float("inf")),
    ],
)
def test_what_is_no_time_is_refused(given):
    with pytest.raises(ConfigurationError) as refusal:
        budget_seconds(given)
    assert str(refusal.value) == (
        f"budget={given!r} is not accepted. Accepted: seconds above 0, or words such as '90s', '10min', '1h30min'."
    )


def test_progress_is_the_larger_share_of_steps_and_time():
    pace = Pace(steps=100, schedule="linear", peak=1.0, budget=60.0)
    assert pace.progress(10, 3.0) == pytest.approx(0.1)
    assert pace.progress(10, 30.0) == pytest.approx(0.5)
    assert pace.progress(10, 30.0, reserve=20.0) == pytest.approx(0.75)
    assert pace.progress(10, 99.0) == 1
    assert pace.progress(10, 1.0, reserve=60.0) == 1  # no time is left for steps
    pace.overhead = 20.0
    assert pace.progress(0, 20.0) == 0
    assert pace.progress(10, 40.0) == pytest.approx(0.5)


def test_what_comes_after_training_is_taken_off_the_budget():
    """Of 60 s, 20 are gone until the first step, and 10 are for what comes afterwards: 15 of the other 30 are half."""
    pace = Pace(steps=100, schedule="linear", peak=1.0, budget=60.0, after=10.0)
    pace.overhead = 20.0
    assert pace.progress(10, 35.0) == pytest.approx(0.5)
    assert pace.progress(10, 50.0) == 1
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
    digits = Dataset.builtin("digits")[:200]
    assert trainer.train(model, digits, epochs=50, budget="1h", after=3600.0, verbose=0).epochs == 1


def test_rates_follow_the_schedule_and_the_scale():
    pace = Pace(steps=100, schedule="linear", peak=0.4)
    assert pace.rate(0.55) == pytest.approx(0.2)
    pace.scale = 0.5
    assert pace.rate(0.55) == pytest.approx(0.1)
    assert Pace(steps=100, schedule="auto", peak=None).rate(0.5) is None


@pytest.mark.slow
def test_a_budget_ends_in_time_with_the_rate_at_its_end():
    """A thousand epochs in eight seconds: the schedule ends all the same."""
    digits = Dataset.builtin("digits")[:400]
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
    history = trainer.train(model, digits, validation_data=digits[:100], epochs=1000, budget="8s", verbose=0)
    assert history.epochs < 1000
    assert history["learning_rate"][-1] < 0.1 * max(history["learning_rate"])
    assert history["val_accuracy"][-1] > 0.5


def test_a_budget_that_is_not_needed_changes_nothing():
    digits = Dataset.builtin("digits")[:200]

    def weights(budget):
        model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
        trainer.train(model, digits, epochs=2, budget=budget, verbose=0)
        return model.get_weights()

    assert all((one == other).all() for one, other in zip(weights(None), weights("10h"), strict=True))
