"""The forecast: a power law that is found again, figures that are those of the run, and honest silence."""

import json
import signal
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from imgcls import ConfigurationError, Dataset, DataWarning, ImageClassifier, trainer
from imgcls.trainer import _forecast


@pytest.fixture(scope="module")
def digits():
    """Digits in random order: in theirs, the last ones are by other writers than the first."""
    found = Dataset.builtin("digits")
    return found[np.random.default_rng(0).permutation(len(found))]


@pytest.fixture(scope="module")
def weights(tmp_path_factory, digits):
    """Pretrain a small backbone on some digits."""
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    pretrained = ImageClassifier("small_cnn", image_size=16, epochs=2, augmentation=None)
    pretrained.fit(digits[:600], verbose=0).model_.get_layer("backbone").save_weights(path)
    return path


def classifier(weights):
    return ImageClassifier("small_cnn", weights=weights, image_size=16)


@pytest.fixture(scope="module")
def found(digits, weights):
    return classifier(weights).forecast(digits[600:1100], verbose=0)


def test_a_power_of_the_number_of_images_is_found_again():
    curve = {count: 1 - 2 * count**-0.4 for count in (100, 200, 400)}
    assert _forecast._power(curve) == pytest.approx(0.4)
    low, high = _forecast._expected(curve, 0.4, 1600)
    assert (low + high) / 2 == pytest.approx(1 - 2 * 1600**-0.4)
    error = 2 * 400**-0.4
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(error * (1 - error) / 400))


def test_a_curve_that_falls_foretells_no_gain():
    assert _forecast._power({100: 0.9, 200: 0.85, 400: 0.8}) == 0
    assert _forecast._power({400: 0.8}) == 0
    assert 0 <= _forecast._power({100: 0.99, 200: 1.0, 400: 1.0}) <= 1  # no error at all is half an image


def test_what_is_foretold_happens(digits, weights, found):
    """The accuracy on other images lies where it was expected, and so does the time."""
    assert list(found.curve) == [125, 250, 500]
    assert found.looked_at == found.images == 500
    fitted = classifier(weights).fit(digits[600:1100], verbose=0)
    low, high = found.expected
    assert low - 0.03 <= fitted.score(digits[1100:]) <= high + 0.03  # 697 other images have an error of their own
    assert found.doubled[1] >= found.expected[1]
    assert found.choices["head"].value == "solved"
    assert found.memory == 4 * (fitted.model_.count_params() + 500 * 64)


@pytest.fixture
def slow(monkeypatch):
    """Let only the network take time, a tenth of a second for an image; return the ids of those that it has seen."""
    known, clock = set(), [0.0]

    def embed(features, data, *, cache=True, report):
        ids = [*data.ids]
        new = set(ids) - (known if cache else set())
        clock[0] += 0.1 * len(new)
        known.update(new if cache else ())
        found = np.random.default_rng(0).normal(size=(len(ids), 64)).astype(np.float32)
        return trainer.Embedded(found, np.arange(len(ids)), {}, len(new), "tensorflow", "", None)

    monkeypatch.setattr(_forecast, "embed", embed)
    monkeypatch.setattr(_forecast, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    return known


def test_a_second_forecast_goes_on_where_the_first_one_ended(digits, weights, slow):
    """In ten seconds a hundred images are computed; those that are known already take no time, in training neither."""
    for earlier, left in enumerate((500, 400, 300)):
        found = classifier(weights).forecast(digits[600:1100], seconds=10, verbose=0)
        assert found.looked_at == len(slow) == 100 * (earlier + 1)
        assert found.seconds == pytest.approx(0.1 * left)


def test_where_all_features_are_known_training_takes_no_time(digits, weights, slow):
    slow.update(digits[600:1100].ids)
    found = classifier(weights).forecast(digits[600:1100], seconds=10, verbose=0)
    assert found.looked_at == 500
    assert found.seconds == pytest.approx(0.1 * 500 / 1000)


def test_some_images_that_are_known_do_not_tell_the_speed_of_the_others(digits, weights, slow):
    slow.update(digits[600:1100].ids[::2])
    found = classifier(weights).forecast(digits[600:1100], seconds=10, verbose=0)
    assert 100 - 32 < len(slow) - 250 <= 100  # that were computed
    assert found.seconds == pytest.approx(25, rel=0.2)


def test_classes_are_ranked_by_what_more_of_them_would_bring(found, digits):
    gains = [one.gain for one in found.classes]
    assert gains == sorted(gains, reverse=True)
    assert {one.name for one in found.classes} == set(digits.classes)
    assert sum(one.images for one in found.classes) == 500
    errors = sum(one.images * (1 - one.recall) for one in found.classes) / 500
    power = _forecast._power(found.curve)
    assert sum(gains) == pytest.approx(errors * (1 - 2**-power))


def test_it_prints_a_page_and_json(found):
    text = str(found)
    assert "with    125 images" in text
    assert "to expect with all 500: " in text
    assert "would bring some" in text
    facts = json.loads(found.to_json())
    assert facts["images"] == 500
    assert facts["choices"]["head"][0] == "solved"
    assert list(facts["curve"]) == ["125", "250", "500"]


def test_only_training_can_tell_where_all_is_trained(digits):
    found = ImageClassifier("small_cnn", image_size=8, epochs=4).forecast(digits[:300], verbose=0)
    assert found.expected is None
    assert str(found).endswith("what accuracy it reaches, only training can tell")
    assert 0 < found.seconds < 120
    assert found.looked_at == 96
    assert found.memory > 300 * 64


def test_parts_are_mixed_as_the_whole_is(digits, weights, monkeypatch):
    """Nine images in ten of one class: balanced parts would be another task."""
    codes = np.asarray(digits.labels)
    chosen = np.sort(np.concatenate([np.flatnonzero(codes == 3)[:108], np.flatnonzero(codes == 8)[:12]]))
    seen, solve = [], _forecast.solve
    monkeypatch.setattr(
        _forecast, "solve", lambda features, labels, **rest: seen.append(labels) or solve(features, labels, **rest)
    )
    with pytest.warns(DataWarning, match="there is no image to learn '0', '1', '2' and 5 more from"):
        classifier(weights).forecast(digits[chosen], verbose=0)
    assert [len(labels) for labels in seen] == [30, 60, 120]
    assert all((labels == 3).mean() > 0.75 for labels in seen)


def test_images_of_one_group_are_not_foretold_by_each_other(weights):
    """Ten frames of each of 30 scenes, whose class is a coin's: nobody can tell that of another scene."""
    random = np.random.default_rng(0)
    scenes, coin = np.arange(300) // 10, random.integers(0, 2, 30)
    images = random.integers(0, 226, (30, 16, 16))[scenes] + random.integers(0, 30, (300, 16, 16))
    frames, names = images.astype(np.uint8), np.where(coin[scenes] == 1, "heads", "tails")
    alone = classifier(weights).forecast(Dataset.from_arrays(frames, names), verbose=0)
    grouped = classifier(weights).forecast(Dataset.from_arrays(frames, names, groups=scenes), verbose=0)
    assert alone.curve[300] > 0.9  # each frame has its like among those that were learnt from
    assert grouped.curve[300] < 0.75


def test_few_images_have_no_curve(digits, weights):
    found = classifier(weights).forecast(digits[30:60], verbose=0)
    assert list(found.curve) == [30]
    assert found.expected == found.doubled


def test_several_labels_an_image_have_no_ranking(digits, weights):
    codes = np.asarray(digits.labels)[:200]
    images = np.stack([digits.read(index) for index in range(200)])
    several = Dataset.from_arrays(images, np.stack([codes % 2, codes > 4], axis=1), classes=["odd", "large"])
    found = classifier(weights).forecast(several, verbose=0)
    assert found.classes == ()
    assert found.expected is not None


def test_fine_tuning_is_announced_where_it_would_be_tried(digits, weights):
    with_budget = ImageClassifier("small_cnn", weights=weights, image_size=16, budget="1min")
    tried = with_budget.forecast(digits[:60], validation_data=digits[60:90], verbose=0)
    assert "\nwhat is left of the budget goes into fine-tuning, which is kept if it helps\n" in str(tried)
    for untried in (with_budget.forecast(digits[:60], verbose=0), classifier(weights).forecast(digits[:60], verbose=0)):
        assert not untried.fine_tune
        assert "what is left" not in str(untried)


def test_fine_tuning_that_is_asked_for_takes_its_time(digits, weights, monkeypatch):
    timed, train = [], _forecast.train

    def watched(model, some, **settings):
        timed.append((len(model.trainable_variables), settings["learning_rate"], len(some)))
        return train(model, some, **settings)

    monkeypatch.setattr(_forecast, "train", watched)

    def found(**options):
        one = ImageClassifier("small_cnn", weights=weights, image_size=16, **options)
        return one.forecast(digits[:60], validation_data=digits[60:90], verbose=0)

    solved = found()
    assert timed == []
    long = found(fine_tune=True, epochs=5000)
    ((variables, rate, count),) = timed
    assert variables > 2  # not the head alone
    assert (rate, count) == (1e-4, 60)
    assert long.seconds > 5000 * 4 * 1e-4 + solved.seconds  # no step takes less than a tenth of a millisecond
    assert long.memory > solved.memory
    assert long.expected == solved.expected
    assert not long.fine_tune
    assert "what is left" not in str(long)
    assert found(fine_tune=True, epochs=50_000, budget="2s").seconds == 2


def test_nothing_is_learnt_or_kept(digits, weights):
    one = classifier(weights)
    one.forecast(digits[:100], verbose=0)
    assert not hasattr(one, "model_")
    assert isinstance(one.fit(digits[:100], verbose=0).choices_["head"], trainer.Choice)


@pytest.mark.parametrize("options", [{}, {"test_time_augmentation": "flip"}, {"precision": "mixed_bfloat16"}])
def test_features_are_those_that_fit_needs(digits, weights, options, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    one = classifier(weights).set_params(**options)
    one.forecast(digits[:100], verbose=0)
    assert one.fit(digits[:100], verbose=0).choices_["engine"].value == "cache"


def test_no_time_to_measure_is_refused(digits):
    with pytest.raises(ConfigurationError, match=r"seconds=-1 is not accepted. Accepted: a number above 0"):
        ImageClassifier("small_cnn").forecast(digits[:30], seconds=-1, verbose=0)


def test_ctrl_c_ends_a_forecast(digits, monkeypatch):
    """`train` notes the first one and returns what was learnt until then, of which a forecast makes nothing."""

    def pressed(model, some, *, callbacks, **settings):
        press = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: signal.raise_signal(signal.SIGINT)
        )
        return trainer.train(model, some, callbacks=[*callbacks, press], **settings)

    monkeypatch.setattr(_forecast, "train", pressed)
    with pytest.raises(KeyboardInterrupt):
        ImageClassifier("small_cnn", image_size=8, epochs=4).forecast(digits[:64], verbose=0)
