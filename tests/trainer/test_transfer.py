"""Transfer: features once, a head that is solved, fine-tuning where it helps, a tournament of backbones."""

import itertools
import re
import signal
from importlib.util import find_spec
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss
from sklearn.metrics.pairwise import cosine_similarity

from imgcls import (
    ConfigurationError,
    DataError,
    Dataset,
    DataWarning,
    ImageClassifier,
    TrainingError,
    _backend,
    architectures,
    trainer,
)
from imgcls._backend import _engines
from imgcls.metrics import tempered
from imgcls.trainer import _keep, _plan, _speed, _tournament, _transfer
from imgcls.trainer._speed import Speed

SOLVED = ("solved", "the features are fixed: computed once, the best head for them is found in seconds")


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")[:400]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Pretrain a small backbone on other digits."""
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    others = Dataset.builtin("digits")[400:]
    pretrained = ImageClassifier("small_cnn", image_size=16, epochs=4, augmentation=None).fit(others, verbose=0)
    pretrained.model_.get_layer("backbone").save_weights(path)
    return path


def my_crossentropy(targets, outputs):
    """Charge nothing for the last class, whatever the name says."""
    return keras.losses.categorical_crossentropy(targets, outputs) * (1 - targets[:, -1])


def classifier(weights, **options):
    return ImageClassifier("small_cnn", weights=weights, image_size=16, **options)


@pytest.fixture(scope="module")
def fitted(digits, weights):
    return classifier(weights).fit(digits[:300], validation_data=digits[300:], verbose=0)


def test_a_pretrained_backbone_gets_a_solved_head_and_stays_as_it_was(fitted, digits, weights):
    assert fitted.choices_["head"] == SOLVED
    assert fitted.choices_["fine_tune"] == (
        False,
        "the head on pretrained features is solved in seconds; give a budget to see whether more helps",
    )
    assert not {"optimizer", "epochs", "augmentation"} & set(fitted.choices_)  # there are no steps
    untouched = architectures.build("small_cnn", input_shape=(16, 16, 1), num_classes=10, weights=weights)
    before, after = (model.get_layer("backbone").get_weights() for model in (untouched, fitted.model_))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert fitted.score(digits[:300]) > 0.9


def test_its_figures_are_those_of_the_model(fitted, digits):
    history, seen, unseen = fitted.history_, digits[:300], digits[300:]
    codes = np.asarray(digits.labels)
    for name, part, truth in (("", seen, codes[:300]), ("val_", unseen, codes[300:])):
        probabilities = tempered(fitted.predict_proba(part), 1 / fitted.temperature_)  # as it was while it learnt
        assert history[f"{name}loss"][0] == pytest.approx(log_loss(truth, probabilities, labels=range(10)), abs=1e-4)
        assert history[f"{name}accuracy"][0] == pytest.approx(accuracy_score(truth, probabilities.argmax(axis=1)))
    held_out = fitted.out_of_fold_
    assert held_out.ids == tuple(seen.ids)
    assert history["held_out_accuracy"][0] == pytest.approx(
        accuracy_score(codes[:300], held_out.probabilities.argmax(axis=1))
    )
    assert history["held_out_accuracy"][0] < history["accuracy"][0]


def test_its_figures_are_of_labels_as_they_are_however_smoothing_is_asked_for(digits, weights):
    """A head is solved without: so its val_loss is that of the same loss with label_smoothing as an argument."""
    model = trainer.plan(classifier(weights).get_params(), digits[:300], digits[300:]).build()
    smoothed = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    given = {"validation_data": digits[300:], "fine_tune": False, "verbose": 0}
    found = trainer.transfer(model, digits[:300], loss=smoothed, **given)
    codes = np.asarray(digits.labels)
    for name, labels, outputs in (("held_out_", codes[:300], found.held_out), ("val_", codes[300:], found.validated)):
        truth = log_loss(labels, outputs, labels=range(10))
        assert found.history[f"{name}loss"][0] == pytest.approx(truth, abs=1e-4)


@pytest.mark.skipif(find_spec("openvino") is None, reason="needs imgcls[fast]")
@pytest.mark.parametrize(
    ("options", "conversions"),
    [({}, 1), ({"test_time_augmentation": "flip"}, 1), ({"fine_tune": True, "epochs": 1}, 2)],
    ids=["solved", "both ways", "fine-tuned"],
)
@pytest.mark.parametrize("engine", ["auto", "openvino"])
def test_a_network_is_converted_once_for_as_long_as_it_stays_the_same(
    digits, weights, tmp_path, monkeypatch, engine, options, conversions
):
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    made, way = [], _engines._WAYS[0]
    monkeypatch.setattr(
        _engines, "_WAYS", (way._replace(make=lambda graph: made.append(1) or way.make(graph), least=0),)
    )
    one = classifier(weights, engine=engine, **options).fit(digits[:200], validation_data=digits[200:300], verbose=0)
    found = one.evaluate(digits[300:]).probabilities
    assert len(made) == conversions
    same = ImageClassifier.load(one.save(tmp_path / "one.imgcls")).set_params(engine="tensorflow")
    np.testing.assert_allclose(found, same.predict_proba(digits[300:]), rtol=0, atol=1e-5)


@pytest.mark.skipif(find_spec("openvino") is None, reason="needs imgcls[fast]")
def test_a_backbone_that_keras_has_changed_since_is_converted_anew(digits, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    one = classifier(weights, engine="openvino").fit(digits[:200], verbose=0)
    before = classifier(weights, engine="openvino").fit(digits[:200], verbose=0).predict_proba(digits[300:])
    backbone = one.model_.get_layer("backbone")
    backbone.set_weights([0.5 * array for array in backbone.get_weights()])
    found = one.evaluate(digits[300:]).probabilities
    same = ImageClassifier.load(one.save(tmp_path / "one.imgcls")).set_params(engine="tensorflow")
    np.testing.assert_allclose(found, same.predict_proba(digits[300:]), rtol=0, atol=1e-5)
    assert np.abs(found - before).max() > 0.1


def test_what_was_held_out_in_an_earlier_fit_is_gone_after_another(digits, weights):
    twice = classifier(weights).fit(digits[:64], verbose=0)
    assert len(twice.out_of_fold_.ids) == 64
    twice.set_params(weights=None, epochs=1).fit(digits[:64], verbose=0)
    assert not hasattr(twice, "out_of_fold_")


def test_it_is_saved_and_loaded(fitted, digits, tmp_path):
    loaded = ImageClassifier.load(fitted.save(tmp_path / "solved.imgcls"))
    np.testing.assert_array_equal(loaded.predict_proba(digits[:9]), fitted.predict_proba(digits[:9]))
    assert loaded.choices_["head"] == SOLVED


def test_classes_weigh_what_is_asked_for(digits, weights):
    """Labels by chance: the class that weighs more is the answer."""
    images = np.stack([digits.read(index) for index in range(400)])
    data = Dataset.from_arrays(images, np.random.default_rng(0).integers(0, 2, 400), classes=["a", "b"])
    plain, weighted, by_image = (
        classifier(weights, class_weight=weight).fit(data, sample_weight=own, verbose=0).predict(data).labels
        for weight, own in (
            (None, None),
            ({"b": 0.05}, None),
            (None, np.where(np.asarray(data.labels) == 1, 0.05, 1.0)),
        )
    )
    assert (plain == "b").sum() > 100
    assert (weighted == "b").sum() < 20
    np.testing.assert_array_equal(by_image, weighted)


def test_images_that_cannot_be_read_weigh_nothing(digits, weights, tmp_path):
    """32 ones and 8 sevens, and 40 broken sevens: "balanced" is what it is without those."""
    codes = np.asarray(digits.labels)
    names = {1: "a", 7: "b"}
    chosen = [(1, index) for index in np.flatnonzero(codes == 1)[:32]]
    chosen += [(7, index) for index in np.flatnonzero(codes == 7)[:8]]
    paths, labels = [], []
    for code, index in chosen:
        paths.append(tmp_path / f"{index:03d}.png")
        labels.append(names[code])
        keras.utils.save_img(paths[-1], digits.read(index), scale=False)
    clean = Dataset.from_files(paths, labels)
    for index in range(40):
        paths.append(tmp_path / f"junk {index}.png")
        labels.append("b")
        paths[-1].write_bytes(b"no image")
    junk = Dataset.from_files(paths, labels)

    def learnt(data):
        model = architectures.build("small_cnn", input_shape=(16, 16, 1), num_classes=2, fine_tune=False)
        found = trainer.transfer(model, data, fine_tune=False, class_weight="balanced", engine="tensorflow", verbose=0)
        return model.get_layer("head").get_weights(), found.held_out

    with pytest.warns(DataWarning):
        (weights_with, held_out_with) = learnt(junk)
    weights_without, held_out_without = learnt(clean)
    for one, other in zip(weights_with, weights_without, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(held_out_with, held_out_without, rtol=1e-4, atol=1e-6)


def test_two_classes_by_one_sigmoid_and_several_labels_an_image(digits, weights):
    images, codes = np.stack([digits.read(index) for index in range(200)]), np.asarray(digits.labels)[:200]
    two = Dataset.from_arrays(images, codes % 2)
    one = classifier(weights, loss="binary_crossentropy").fit(two, verbose=0)
    assert one.choices_["head"] == SOLVED
    assert one.model_.output_shape == (None, 1)
    assert one.score(two) > 0.9
    several = Dataset.from_arrays(images, np.stack([codes % 2, codes > 4], axis=1), classes=["odd", "large"])
    many = classifier(weights).fit(several, verbose=0)
    assert many.choices_["head"] == SOLVED
    assert ((many.predict_proba(several) >= 0.5) == np.asarray(several.labels)).mean() > 0.9


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"epochs": 1}, "epochs=1 asks for steps"),
        ({"epochs": 1, "mixing": "mixup"}, "epochs=1, mixing='mixup' ask for steps"),
        ({"loss": "focal", "budget": 1}, "loss='focal' is no cross-entropy of Keras, which could be solved"),
        ({"loss": my_crossentropy}, f"loss={my_crossentropy!r} is no cross-entropy of Keras, which could be solved"),
        (
            {"loss": keras.losses.CategoricalCrossentropy(label_smoothing=0.1)},
            "the label_smoothing=0.1 of your loss asks for steps",
        ),
        ({"label_smoothing": 0.1}, "label_smoothing=0.1 asks for steps"),
    ],
)
def test_where_steps_are_asked_for_the_head_is_trained(digits, weights, options, reason):
    trained = classifier(weights, **options).fit(digits[:64], verbose=0)
    assert trained.choices_["head"] == ("trained", reason)
    assert trained.choices_["fine_tune"] == (False, "the weights are pretrained: only the new head is trained")
    assert "learning_rate" in trained.history_


def test_callbacks_ask_for_steps(digits, weights):
    seen = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    trained = classifier(weights).fit(digits[:64], callbacks=[callback], verbose=0)
    assert trained.choices_["head"] == ("trained", "callbacks=... asks for steps")
    assert seen == list(range(10))


def test_fine_tuning_begins_with_the_solved_head_and_moves_early_layers_least(fitted, digits, weights):
    options = {"fine_tune": True, "epochs": 1, "augmentation": None}
    tuned = classifier(weights, **options).fit(digits[:300], validation_data=digits[300:], verbose=0)
    assert tuned.choices_["fine_tune"].value is True
    assert tuned.choices_["fine_tune"].reason.startswith(
        f"{100 * tuned.history_['val_accuracy'][-1]:.1f} % right of 100"
    )
    assert f"{100 * fitted.history_['val_accuracy'][0]:.1f} % before" in tuned.choices_["fine_tune"].reason
    before, after = fitted.model_.get_layer("backbone"), tuned.model_.get_layer("backbone")
    for layer, other in zip(before.layers, after.layers, strict=True):
        moved = [not np.array_equal(*pair) for pair in zip(layer.get_weights(), other.get_weights(), strict=True)]
        kept = isinstance(layer, keras.layers.BatchNormalization)
        assert not any(moved) if kept else all(moved), layer.name
    steps = {
        name: np.abs(after.get_layer(name).get_weights()[0] - before.get_layer(name).get_weights()[0]).mean()
        for name in ("block1_conv", "block3_conv")
    }
    assert steps["block1_conv"] < 0.7 * steps["block3_conv"]


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [("auto", 1e-4), ("sgd", None), (keras.optimizers.Adam(1e-4), None)],
    ids=["auto", "sgd", "of Keras"],
)
def test_any_optimizer_may_fine_tune(digits, weights, optimizer, rate):
    tuned = classifier(weights, fine_tune=True, epochs=1, optimizer=optimizer).fit(digits[:64], verbose=0)
    assert tuned.history_.epochs == 1
    chosen = tuned.choices_.get("learning_rate")
    if rate is not None:
        assert chosen == (
            pytest.approx(rate),
            "a thirtieth of the usual peak: pretrained weights need to change little",
        )
    elif optimizer == "sgd":
        assert chosen.value == pytest.approx(float(trainer.optimizer("sgd").learning_rate) / 30)


def test_ctrl_c_while_fine_tuning_keeps_a_classifier(digits, weights, tmp_path):
    class Stopper(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            signal.raise_signal(signal.SIGINT)

    stopped = classifier(weights, fine_tune=True, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(digits[:64], validation_data=digits[300:], callbacks=[Stopper()], verbose=0)
    assert stopped.history_.interrupted
    assert stopped.history_.epochs == 0
    assert stopped.score(digits[:64]) > 0.8
    loaded = ImageClassifier.load(stopped.save(tmp_path / "a.imgcls"))  # as `imgcls train` saves it
    np.testing.assert_array_equal(loaded.predict_proba(digits[:64]), stopped.predict_proba(digits[:64]))


@pytest.mark.parametrize("in_training", [False, True], ids=["while comparing", "while training too"])
def test_ctrl_c_while_both_are_compared_leaves_the_solved_head(digits, weights, fitted, monkeypatch, in_training):
    """As often as one likes: as was done when nobody knew whether fine-tuning helps, bit for bit."""
    outputs = _keep.outputs

    def pressed(run, batches, on_progress=None):
        signal.raise_signal(signal.SIGINT)
        return outputs(run, batches, on_progress)

    def stop(batch, logs):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(_keep, "outputs", pressed)
    plan = trainer.plan(classifier(weights).get_params(), digits[:300], digits[300:])
    model = plan.build()
    callbacks = [keras.callbacks.LambdaCallback(on_train_batch_end=stop)] if in_training else []
    given = {"epochs": 1, "callbacks": callbacks, "verbose": 0}
    found = trainer.transfer(model, digits[:300], validation_data=digits[300:], **given)
    assert found.choices["fine_tune"] == (False, "interrupted before it was compared with the solved head")
    assert (found.tuned, found.history.interrupted) == (False, True)
    assert "held_out_loss" in found.history
    assert architectures.temper(model, fitted.temperature_)
    for one, other in zip(model.get_weights(), fitted.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_ctrl_c_keeps_what_was_to_be_fine_tuned_in_any_case_and_compares_nothing(digits, weights, fitted, monkeypatch):
    def stop(batch, logs):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(_keep, "outputs", None)
    stopped = classifier(weights, fine_tune=True, epochs=3, learning_rate=0.01)
    callbacks = [keras.callbacks.LambdaCallback(on_train_batch_end=stop)]
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(digits[:300], validation_data=digits[300:], callbacks=callbacks, verbose=0)
    reason = "interrupted before it was compared with the solved head"
    assert stopped.choices_["fine_tune"] == (True, reason)
    backbones = [one.model_.get_layer("backbone").get_weights() for one in (stopped, fitted)]
    assert any((one != other).any() for one, other in zip(*backbones, strict=True))


@pytest.mark.parametrize("fine_tune", ["auto", True])
@pytest.mark.parametrize("where", ["measuring the speed", "reading images", "and while the head is put back"])
def test_ctrl_c_before_the_first_step_of_fine_tuning_leaves_the_solved_head(
    digits, weights, fitted, tmp_path, monkeypatch, capsys, where, fine_tune
):
    def pressed(*_, **__):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("Ctrl-C was not heard")

    if where == "measuring the speed":
        monkeypatch.setattr(_transfer, "speed", pressed)
    else:
        monkeypatch.setattr(_transfer, "_depth", lambda *_, **__: (1.0, 0.0, ""))
        monkeypatch.setattr(trainer._train, "Batches", pressed)
    if where == "and while the head is put back":
        put_back = _keep._put_back
        monkeypatch.setattr(_keep, "_put_back", lambda *given: signal.raise_signal(signal.SIGINT) or put_back(*given))
    stopped = classifier(weights, fine_tune=fine_tune, budget="10min")
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(digits[:300], validation_data=digits[300:], checkpoint=tmp_path / "runs", verbose=2)
    assert stopped.history_.interrupted
    assert "held_out_loss" in stopped.history_
    assert stopped.choices_["fine_tune"] == (False, "interrupted before it was done")
    assert "fine-tuning is not kept: interrupted before it was done" in capsys.readouterr().err.splitlines()
    assert [variable.path for variable in stopped.model_.trainable_variables] == ["head/kernel", "head/bias"]
    expected = tempered(fitted.predict_proba(digits[300:]), 1 / fitted.temperature_)
    loaded = ImageClassifier.load(stopped.save(tmp_path / "a.imgcls"))
    for one in (stopped, loaded):
        np.testing.assert_allclose(one.predict_proba(digits[300:]), expected, atol=1e-5)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_while_the_head_is_put_back_after_a_trial_that_failed_is_heard(digits, weights, monkeypatch):
    def fail(*_, **__):
        raise TrainingError("there is no more")

    put_back = _keep._put_back
    monkeypatch.setattr(_keep, "_put_back", lambda *given: signal.raise_signal(signal.SIGINT) or put_back(*given))
    monkeypatch.setattr(_transfer, "_depth", lambda *_, **__: (1.0, 0.0, ""))
    monkeypatch.setattr(_transfer, "train", fail)
    tried = classifier(weights, budget="10min")
    with pytest.raises(KeyboardInterrupt):
        tried.fit(digits[:64], validation_data=digits[300:], verbose=0)
    assert tried.history_.interrupted
    assert tried.choices_["fine_tune"] == (False, "it was tried, and failed: there is no more")
    assert [variable.path for variable in tried.model_.trainable_variables] == ["head/kernel", "head/bias"]


def test_what_does_not_help_is_not_kept(digits, weights, fitted):
    """A rate that ruins the backbone: the solved head on the pretrained backbone stays, bit for bit."""
    plan = trainer.plan(classifier(weights).get_params(), digits[:300], digits[300:])
    model = plan.build()
    found = trainer.transfer(
        model,
        digits[:300],
        validation_data=digits[300:],
        epochs=1,
        optimizer="sgd",
        learning_rate=5.0,
        verbose=0,
    )
    assert found.choices["fine_tune"].value is False
    assert "points less" in found.choices["fine_tune"].reason
    assert [variable.path for variable in model.trainable_variables] == ["head/kernel", "head/bias"]  # as before
    assert "held_out_loss" in found.history
    assert architectures.temper(model, fitted.temperature_)
    for one, other in zip(model.get_weights(), fitted.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_used_both_ways_is_solved_and_measured_so_and_fine_tuned_one_way(digits, weights):
    """First with a rate that changes nothing, then with one that ruins the backbone, which is not kept."""
    plan = trainer.plan(classifier(weights, test_time_augmentation="flip").get_params(), digits[:300], digits[300:])
    given = {"validation_data": digits[300:], "fine_tune": "auto", "epochs": 1, "optimizer": "sgd", "verbose": 0}
    images = np.stack([digits.read(index, size=(16, 16)) for index in range(300, 400)])
    for rate, words in ((1e-12, "0.0 points more"), (1.0, "points less")):
        one_way = plan.build()
        used = plan.delivered(one_way)
        found = trainer.transfer(used, digits[:300], trained=one_way, learning_rate=rate, **given)
        assert not found.tuned
        assert words in found.choices["fine_tune"].reason
        np.testing.assert_allclose(np.asarray(used(images)), found.validated, atol=1e-5)
        assert np.abs(np.asarray(one_way(images)) - found.validated).max() > 0.1


def test_without_validation_nobody_could_say_whether_it_helps(digits, weights):
    tried = classifier(weights, budget="1min").fit(digits[:100], verbose=0)
    assert tried.choices_["fine_tune"] == (False, "without validation data nobody could say whether it helps")


def a_clock(monkeypatch, *passing):
    """Let so many seconds pass between one look at the clock and the next, over and over."""
    clock = itertools.accumulate(itertools.cycle(passing))
    monkeypatch.setattr(_speed, "time", SimpleNamespace(perf_counter=lambda: next(clock)))


def test_a_budget_that_is_spent_allows_less_of_the_backbone_or_nothing(digits, weights, monkeypatch):
    """Tracing takes 3 s and a batch of 32 one second: 400 images 12.5, and 64 for validation 2."""
    model = architectures.build("small_cnn", input_shape=(16, 16, 1), num_classes=10, weights=weights)
    a_clock(monkeypatch, 0, 4, 1)
    epochs = {1.0: 12.5 * 3.5 + 2, 0.5: 12.5 * 2.25 + 2, 0.25: 12.5 * 1.625 + 2}
    compiling = {1.0: 3 * 10, 0.5: 3 * 6, 0.25: 3 * 4}
    for share, epoch in epochs.items():
        left = compiling[share] + 2 * epoch + 5  # at the end, both are compared on the validation images
        assert _transfer._depth(model, model, 400, 64, left + 0.1, batch_size=32) == (share, 5, "")
        assert _transfer._depth(model, model, 400, 64, left - 0.1, batch_size=32)[0] < share
    share, _, reason = _transfer._depth(model, model, 400, 64, 50.0, batch_size=32)
    assert share == 0
    assert reason == (
        "50 s of the budget are left, and compiling, 2 epochs of the upper quarter and their validation take some 62 s"
    )
    assert _transfer._depth(model, model, 400, 0, 12 + 2 * 12.5 * 1.625 + 0.1, batch_size=32) == (0.25, 0, "")


def test_the_comparison_takes_as_long_as_what_is_delivered(weights, monkeypatch):
    """It is traced in 5 s and looks at 32 images in 2 s, and what is trained in 3 s and 1 s."""
    shape = {"input_shape": (16, 16, 1), "num_classes": 10, "weights": weights}
    trained = architectures.build("small_cnn", **shape)
    delivered = architectures.build("small_cnn", **shape, test_time_augmentation="flip")
    a_clock(monkeypatch, 0, 4, 1, 0, 7, 2)
    whole = 3 * 10 + 2 * (12.5 * 3.5 + 2) + 5 + 4
    assert _transfer._depth(delivered, trained, 400, 64, whole + 0.1, batch_size=32) == (1.0, 9, "")
    assert _transfer._depth(delivered, trained, 400, 64, whole - 0.1, batch_size=32)[0] == 0.5


def test_the_comparison_is_within_the_budget(digits, weights, monkeypatch):
    given, train = [], _transfer.train
    monkeypatch.setattr(_transfer, "_depth", lambda *_, **__: (0.25, 5000.0, ""))
    monkeypatch.setattr(_transfer, "train", lambda *data, **rest: given.append(rest) or train(*data, **rest))
    options = {"fine_tune": True, "budget": 9000, "epochs": 1}
    one = classifier(weights, **options).fit(digits[:64], validation_data=digits[300:], verbose=0)
    assert given[0]["spent"] < 5000 == given[0]["after"]
    assert given[0]["budget"] == 9000
    assert one.history_.seconds < 5000  # what was kept back was not spent


def test_of_several_workers_the_first_says_how_deep_and_whether_it_is_kept(digits, weights, monkeypatch):
    """Each has a clock of its own, and rounds in its own way."""
    asked, answers = [], [["float32", "as the first"], [0.5, 0.0, ""], [False, "the first worker says so"]]

    def told(value):
        asked.append(value)
        return answers[len(asked) - 1]

    unfreeze, shares = architectures.unfreeze, []
    monkeypatch.setattr(_backend, "joined", lambda devices: SimpleNamespace(worker=1, told=told))
    monkeypatch.setattr(_transfer, "_depth", lambda *_, **__: pytest.fail("the clock of another worker was asked"))
    monkeypatch.setattr(architectures, "unfreeze", lambda model, share: shares.append(share) or unfreeze(model, share))
    one = classifier(weights, fine_tune=True, budget="10min", epochs=1)
    one.fit(digits[:64], validation_data=digits[300:], verbose=0)
    (*nothing, (kept, _)) = asked
    assert nothing == [None, None]
    assert kept is True
    assert shares == [0.5]
    assert one.choices_["fine_tune"] == (False, "the first worker says so")


def test_a_trial_that_fails_leaves_the_solved_head(digits, weights, fitted, monkeypatch, capsys):
    """Not one image fits into memory together with its gradients. With fine_tune=True that is an error."""

    def full(*_, **__):
        raise _backend.OutOfMemory(None, None, "there is no more")

    monkeypatch.setattr(_backend.TrainingStep, "__call__", full)
    monkeypatch.setattr(_transfer, "_depth", lambda *_, **__: (1.0, 0.0, ""))
    given = {"validation_data": digits[300:], "verbose": 2}
    tried = classifier(weights, budget="10min").fit(digits[:300], **given)
    kept, reason = tried.choices_["fine_tune"]
    assert kept is False
    assert reason.startswith("it was tried, and failed: ")
    assert "memory" in reason
    assert f"fine-tuning is not kept: {reason}" in capsys.readouterr().err
    assert [variable.path for variable in tried.model_.trainable_variables] == ["head/kernel", "head/bias"]
    np.testing.assert_allclose(tried.predict_proba(digits[300:]), fitted.predict_proba(digits[300:]), atol=1e-6)
    with pytest.raises(TrainingError):
        classifier(weights, budget="10min", fine_tune=True).fit(digits[:300], **given)


@pytest.mark.parametrize(
    ("options", "callbacks", "words"),
    [
        ({"clip_norm": -1}, (), "clip_norm=-1 is not accepted. Accepted: a number above 0."),
        ({"weight_decay": 2}, (), "weight_decay=2 is not accepted. Accepted: a number from 0 to below 1."),
        ({"average": 1}, (), "average=1 is not accepted. Accepted: a number from 0 to below 1."),
        (
            {"optimizer": keras.optimizers.Adam(1e-4), "average": 0.9},
            (),
            "average=0.9 goes with a named optimizer; Adam has its own. Leave it out.",
        ),
        (
            {"optimizer": keras.optimizers.Adam(1e-4), "schedule": "cosine"},
            (),
            "schedule='cosine' does not go with a Keras optimizer or a Keras schedule, which move the rate themselves. Leave it out.",
        ),
        ({}, ("none",), "callbacks holds 'none'. Accepted: a list of Keras callbacks, such as [EarlyStopping()]."),
    ],
    ids=["clip_norm", "weight_decay", "average", "beside an object", "schedule", "callbacks"],
)
def test_what_leads_fine_tuning_is_refused_before_images_are_embedded(
    digits, weights, monkeypatch, options, callbacks, words
):
    monkeypatch.setattr(_transfer, "embed_until", lambda *_, **__: pytest.fail("images were embedded"))
    with pytest.raises(ConfigurationError) as refusal:
        classifier(weights, fine_tune=True, **options).fit(digits[:64], callbacks=callbacks, verbose=0)
    assert str(refusal.value) == words
    if options:
        with pytest.raises(ConfigurationError, match=words[:9]):  # by the arguments alone
            trainer.check_arguments(ImageClassifier(**options).get_params(), verbose=0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"patience": 3}, "patience needs validation_data. Give it, or patience=None."),
        ({"devices": ["CPU:7"]}, "devices=['CPU:7'] is not accepted. "),
        ({"epochs": 0}, "epochs=0 is not accepted. "),
        ({"mixing": keras.layers.Flatten()}, "mixing=Flatten cannot mix: "),
        ({"augmentation": keras.layers.RandomCrop(12, 12)}, "augmentation=RandomCrop cannot be used for images of "),
        ({"progressive_resizing": True}, "progressive_resizing starts with smaller images, and the model takes no "),
    ],
    ids=["patience", "devices", "epochs", "mixing", "augmentation", "one size"],
)
def test_whatever_fine_tuning_refuses_it_refuses_before_images_are_embedded(
    digits, weights, monkeypatch, settings, words
):
    monkeypatch.setattr(_transfer, "embed_until", lambda *_, **__: pytest.fail("images were embedded"))
    shape = {"input_shape": (16, 16, 1), "num_classes": 10, "pooling": "flatten"}
    model = architectures.build("small_cnn", **shape, weights=weights, fine_tune=False)
    for fine_tune in (True, "auto"):
        with pytest.raises(ConfigurationError, match=f"^{re.escape(words)}"):
            trainer.transfer(model, digits[:64], fine_tune=fine_tune, verbose=0, **settings)
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        trainer.transfer(model, digits[:64], epoch=3, verbose=0)


def test_what_a_solved_head_has_no_steps_for_is_named(digits, weights):
    def reason(**options):
        planned = trainer.plan(classifier(weights, **options).get_params(), digits[:64], digits[300:])
        return planned.choices["head"].reason.removeprefix(SOLVED[1])

    told = "; no steps are taken, so batch_size=8, devices='gpu', patience=5, jit_compile=True count for nothing"
    given = {"batch_size": 8, "devices": "gpu", "patience": 5, "jit_compile": True}
    assert reason(**given) == reason(**given, fine_tune=False) == told
    assert reason(patience=5) == "; no steps are taken, so patience=5 counts for nothing"
    assert reason(patience=None) == reason() == ""
    assert reason(**given, fine_tune=True) == reason(**given, budget=9) == ""  # there may be steps


def test_what_is_to_be_deterministic_is_so_from_the_first_feature_on(digits, weights, monkeypatch):
    made, embed = [], _transfer.embed_until
    monkeypatch.setattr(_backend, "make_deterministic", lambda: made.append(True))
    monkeypatch.setattr(
        _transfer, "embed_until", lambda *given, **rest: made.append("features") or embed(*given, **rest)
    )
    one = classifier(weights, deterministic=True).fit(digits[:64], verbose=0)
    assert made == [True, True, "features"]  # as planned, and as transfer is asked to
    made.clear()
    model = trainer.plan(classifier(weights).get_params(), digits[:64], None).build()
    trainer.transfer(model, digits[:64], fine_tune=False, deterministic=True, verbose=0)
    assert made == [True, "features"]
    made.clear()
    one.set_params(weights=None).lr_find(digits[:64], steps=12, verbose=0)
    assert made == [True]
    made.clear()
    classifier(weights).fit(digits[:64], verbose=0)
    assert made == ["features"]


def test_features_that_take_longer_than_the_budget_are_all_computed_and_that_is_said(
    digits, weights, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    found = classifier(weights, budget=0.001, engine="tensorflow").fit(digits, verbose=2)
    assert "s of the budget are left: the head needs the features of all images" in capsys.readouterr().err
    assert len(found.out_of_fold_.ids) == 400


def test_fine_tuning_goes_on_as_deep_as_it_began_although_more_time_is_left_now(digits, weights, tmp_path, monkeypatch):
    """The second process has the features already, so that all layers would fit into its time."""

    class Stopper(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                signal.raise_signal(signal.SIGINT)

    def fit(share, folder, callbacks=()):
        monkeypatch.setattr(_transfer, "_depth", lambda *arguments, **options: (share, 0.0, ""))
        one = classifier(weights, fine_tune=True, epochs=2, budget="10min", seed=1)
        return one.fit(
            digits[:300], validation_data=digits[300:], checkpoint=tmp_path / folder, callbacks=callbacks, verbose=0
        )

    truth = fit(0.5, "truth")
    with pytest.raises(KeyboardInterrupt):
        fit(0.5, "run", [Stopper()])
    resumed = fit(1.0, "run")
    for one, other in zip(truth.model_.get_weights(), resumed.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert fit(0.0, "run").choices_["fine_tune"] == resumed.choices_["fine_tune"]  # and once it has ended


def test_where_there_was_no_time_for_fine_tuning_there_may_be_another_day(digits, weights, tmp_path, monkeypatch):
    """The features are known by then. What has begun goes on, whatever the clock says."""

    def is_fine_tuned(*depth):
        monkeypatch.setattr(_transfer, "_depth", lambda *_, **__: depth)
        one = classifier(weights, fine_tune=True, epochs=1, budget="10min")
        one.fit(digits[:64], validation_data=digits[300:], checkpoint=tmp_path / "run", verbose=0)
        return one.choices_["fine_tune"].value

    assert is_fine_tuned(0.0, 0.0, "no time") is False
    assert is_fine_tuned(0.25, 0.0, "") is True
    assert is_fine_tuned(0.0, 0.0, "no time") is True


def test_a_head_that_is_only_solved_says_that_it_has_no_checkpoints(digits, weights, tmp_path, monkeypatch, capsys):
    words = f"no checkpoints are written to {str(tmp_path / 'runs')!r}: a solved head has no steps to go on from"
    monkeypatch.setattr(_transfer, "_depth", lambda *arguments, **options: (0.25, 0.0, ""))  # some fine-tuning fits
    for budget, checkpoints in ((None, False), (1, True)):
        one = classifier(weights, budget=budget)
        one.fit(digits[:64], validation_data=digits[300:], checkpoint=tmp_path / "runs", verbose=2)
        assert (words in capsys.readouterr().err) is not checkpoints
        assert any((tmp_path / "runs").glob("checkpoint-*")) is checkpoints
    one.set_params(budget=None).fit(digits[:64], verbose=2)
    assert "checkpoints" not in capsys.readouterr().err


@pytest.mark.parametrize("seed", [2**32, 2**63 - 1])
def test_the_largest_seeds_are_taken(digits, weights, seed):
    """Up to what `fit` refuses: by the solved head, and by augmentation and mixing, which count on from there."""
    options = {"fine_tune": True, "epochs": 1, "augmentation": "standard", "mixing": "both"}
    tuned = classifier(weights, seed=seed, **options).fit(digits[:64], verbose=0)
    assert tuned.history_.epochs == 1
    assert tuned.lr_find(digits[:64], steps=12, verbose=0).to_frame().shape[0] > 1


def test_a_difference_is_one_that_chance_does_not_explain():
    """Equal to the z-test of paired differences: 10 images better and 2 worse of 100 are 8 ± 6.6 points."""
    before = np.repeat([True, False], [80, 20])
    after = before.copy()
    after[80:90], after[:2] = True, False
    difference = after.astype(float) - before
    noise = 1.96 * difference.std(ddof=1) / 10
    better, words = _keep.compare(before, after)
    assert better
    assert words.endswith(f"8.0 points more, of which chance explains {100 * noise:.1f}")
    after[2:8] = False
    assert not _keep.compare(before, after)[0]


# --- features ----------------------------------------------------------------------------------------------------------


def test_features_are_what_the_head_takes(fitted, digits):
    features = fitted.embed(digits[:20])
    kernel, bias = fitted.model_.get_layer("head").get_weights()
    logits = features @ kernel + bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.predict_proba(digits[:20]), expected, atol=1e-5)


def test_similar_images_are_the_nearest_by_cosine(fitted, digits, tmp_path):
    features = fitted.embed(digits[:300])
    similarities = cosine_similarity(fitted.embed(digits[310:311]), features)[0]
    found = fitted.similar(digits.read(310), 4)
    order = np.argsort(-similarities)[:4]
    assert list(found) == [digits.ids[index] for index in order]
    np.testing.assert_allclose(found.similarities, similarities[order], atol=1e-5)
    assert found.labels == tuple(digits.classes[digits.labels[index]] for index in order)
    assert found.to_frame()["similarity"].is_monotonic_decreasing
    assert len(found.show()) == 4
    itself = fitted.similar(digits.read(7), 1)
    assert (itself[0], round(itself.similarities[0], 5)) == (digits.ids[7], 1)
    assert len(fitted.similar(digits.read(7), 50, among=digits[:10])) == 10
    loaded = ImageClassifier.load(fitted.save(tmp_path / "a.imgcls"))
    with pytest.raises(DataError) as refusal:
        loaded.similar(digits.read(7))
    assert str(refusal.value) == "a loaded classifier holds no images. Say where to search: similar(image, among=...)."
    assert loaded.similar(digits.read(310), 4, among=digits[:300]).ids == found.ids
    with pytest.raises(ConfigurationError, match="k=0 is not accepted"):
        fitted.similar(digits.read(7), 0)


def test_five_images_a_class_are_enough_to_begin(digits, weights):
    codes = np.asarray(digits.labels)
    few = np.sort(np.concatenate([np.flatnonzero(codes == code)[:5] for code in range(10)]))
    rest = np.setdiff1d(np.arange(len(codes)), few)
    assert classifier(weights).fit(digits[few], verbose=0).score(digits[rest]) > 0.4  # guessing has 0.1


def test_nothing_to_solve_a_head_from_is_refused_in_words(digits, weights):
    with pytest.raises(ConfigurationError) as refusal:
        classifier(weights).fit(digits[:40], sample_weight=np.zeros(40), verbose=0)
    assert str(refusal.value) == (
        "sample_weight is 0 for every image. Accepted: at least one above 0. Leave it out to count all alike."
    )
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10, fine_tune=False)
    unlabelled = Dataset.from_arrays(np.zeros((4, 8, 8), np.uint8))
    for data in ({"data": unlabelled}, {"data": digits[:40], "validation_data": unlabelled}):
        with pytest.raises(DataError, match=r"^data without labels cannot be trained on\. Give labels\.$"):
            trainer.transfer(model, **data, fine_tune=False, engine="tensorflow", verbose=0)


# --- the tournament ----------------------------------------------------------------------------------------------------


@pytest.fixture
def two_at_hand(tmp_path, monkeypatch):
    """Put weights of two backbones into Keras' folder."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    for name, side in (("mobilenet_025", 128), ("mobilenet_v2_035", 224)):
        row = architectures.describe(name)
        model = architectures.build(name, input_shape=(side, side, 3), num_classes=2)
        path = tmp_path / "models" / row.weights_file.format(size=side)
        model.get_layer("backbone").save_weights(path.with_name("one.weights.h5"))
        path.with_name("one.weights.h5").rename(path)
    return tmp_path / "models"


def large_photos(count):
    random = np.random.default_rng(0)
    codes = np.arange(count) % 2
    images = random.integers(0, 200, (count, 80, 80, 3), np.uint8)
    images[codes == 1, :, :, 0] //= 3
    return Dataset.from_arrays(images, codes)


@pytest.mark.slow
def test_backbones_at_hand_compete(two_at_hand, capsys):
    assert architectures.installed() == ("mobilenet_025", "mobilenet_v2_035")
    fitted = ImageClassifier().fit(large_photos(30), verbose=2)
    lines = [line for line in capsys.readouterr().err.splitlines() if "held out, ±" in line]
    assert [line.split()[0] for line in lines] == ["mobilenet_025", "mobilenet_v2_035"]  # the quickest first
    name, reason = fitted.choices_["architecture"]
    assert {name} < set(architectures.installed())
    figures = {line.split()[0]: line.split()[1] for line in lines}
    assert reason.startswith(f"{figures.pop(name)} right of 30 images held out; {' '.join(*figures.items())}")
    assert fitted.choices_["weights"].value == "imagenet"
    assert fitted.choices_["head"] == SOLVED
    (two_at_hand / architectures.describe("mobilenet_v2_035").weights_file.format(size=224)).unlink()
    alone = ImageClassifier().fit(large_photos(30), verbose=0)
    assert alone.choices_["architecture"] == (
        "mobilenet_025",
        "the only one whose ImageNet weights are in Keras' folder",
    )


def test_weights_of_another_image_size_compete_too(two_at_hand, monkeypatch):
    row = architectures.describe("mobilenet_v2_035")
    (two_at_hand / row.weights_file.format(size=224)).rename(two_at_hand / row.weights_file.format(size=160))
    monkeypatch.setattr("imgcls.architectures._weights._downloaded", None)
    assert architectures.installed() == ("mobilenet_025", "mobilenet_v2_035")
    with trainer.ProgressReport(0) as report:
        entry = _tournament._enter(row, large_photos(12), 3, 0, report, timed=False)
    assert entry.name == "mobilenet_v2_035"


def test_a_backbone_that_knows_groups_and_no_classes_wins_nothing(two_at_hand, monkeypatch):
    """Its features tell only the group of an image: of a group that is held out whole, nobody knows the class."""
    groups, labels = np.arange(41) // 4, np.arange(41) // 4 % 2
    data = Dataset.from_arrays(
        np.zeros((41, 8, 8, 3), np.uint8), labels, groups=[f"patient {group}" for group in groups]
    )
    positions = np.arange(1, 41)  # the first image cannot be read
    features = np.eye(11, dtype=np.float32)[groups[positions]]
    features = features + np.random.default_rng(0).normal(0, 0.01, features.shape).astype(np.float32)
    found = trainer.Embedded(features, positions, {}, 40, "tensorflow", "", None)
    monkeypatch.setattr(_tournament, "embed", lambda *_, **__: found)
    with trainer.ProgressReport(0) as report:
        entry = _tournament._enter(architectures.describe("mobilenet_025"), data, 3, 0, report, timed=False)
    assert entry.accuracy < 0.7


def test_what_there_is_no_time_for_is_named(two_at_hand, monkeypatch):
    entries = iter(
        [_tournament.Entry("mobilenet_025", 0.8, 0.02, 1.0), _tournament.Entry("mobilenet_v2_035", 0.9, 0.02, 1.0)]
    )
    monkeypatch.setattr(_tournament, "_enter", lambda *_, **__: next(entries))
    names, data = architectures.installed(), large_photos(30)
    with trainer.ProgressReport(0) as report:
        choice = _tournament.tournament(names, data, budget=60, report=report)
        assert choice == (
            "mobilenet_025",
            "80.0% right of 30 images held out; no other was tried; no time for mobilenet_v2_035",
        )


@pytest.mark.parametrize("known", [0, 39, 40])
def test_features_that_are_known_do_not_make_the_next_network_quick(two_at_hand, monkeypatch, known):
    """Starting takes 2 s, and the small network 0.1 s for an image, of which only the first ones are known."""
    clock, timed = [0.0], []

    def embed(model, batches, *, report):
        count = len(batches.dataset)
        clock[0] += 2 + 0.1 * (count - known) if count > known else 0
        features = np.random.default_rng(0).normal(size=(count, 64)).astype(np.float32)
        return trainer.Embedded(features, np.arange(count), {}, count - known, "tensorflow", "", None)

    def speed(model, batch_size):
        timed.append(batch_size)
        clock[0] += 2 + 2 * 0.1 * batch_size
        return Speed(2.0, 0.1)

    monkeypatch.setattr(_tournament, "embed", embed)
    monkeypatch.setattr(_tournament, "speed", speed)
    monkeypatch.setattr(_tournament, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    small, large = (architectures.describe(name).multiply_adds for name in architectures.installed())
    spent = {0: 2 + 0.1 * 40, 39: 2 + 0.1 + 2 + 0.1 * 64, 40: 2 + 0.1 * 64}[known]
    needed = (2 + 0.1 * 40) * large / small  # as much as if no feature had been known
    for spare, tried in ((-0.1, False), (0.1, True)):
        budget = (spent + needed + spare) / 0.25
        with trainer.ProgressReport(0) as report:
            choice = _tournament.tournament(architectures.installed(), large_photos(40), budget=budget, report=report)
        assert choice.reason.endswith("no time for mobilenet_v2_035") is not tried
    assert timed == [32] * 2 * bool(known)  # once in a tournament


def test_a_better_one_is_taken_where_it_is_better_by_more_than_the_error(two_at_hand, monkeypatch):
    for second, expected in ((0.9, "mobilenet_v2_035"), (0.81, "mobilenet_025")):
        entries = iter(
            [
                _tournament.Entry("mobilenet_025", 0.8, 0.02, 0.0),
                _tournament.Entry("mobilenet_v2_035", second, 0.02, 0.0),
            ]
        )
        monkeypatch.setattr(_tournament, "_enter", lambda *_, entries=entries, **__: next(entries))
        with trainer.ProgressReport(0) as report:
            assert _tournament.tournament(architectures.installed(), large_photos(30), report=report).value == expected


def test_a_run_that_goes_on_keeps_the_backbone_that_won(two_at_hand, tmp_path, monkeypatch):
    """Also where the other one would win now, because there was no time for it the first time."""
    data, folder = large_photos(24), tmp_path / "run"
    first = trainer.plan(ImageClassifier().get_params(), data, None, checkpoint=folder)
    monkeypatch.setattr(_plan, "tournament", lambda *arguments, **options: trainer.Choice("resnet50", "has time now"))
    again = trainer.plan(ImageClassifier().get_params(), data, None, checkpoint=folder)
    assert again.choices["architecture"] == first.choices["architecture"]
    other = trainer.plan(ImageClassifier(seed=1).get_params(), data, None, checkpoint=folder)
    assert other.choices["architecture"].value == "resnet50"


def test_a_network_chosen_for_its_weights_takes_those_at_hand_at_any_image_size(two_at_hand, monkeypatch):
    """A named one takes those that suit the size best, which Keras may have to fetch."""
    monkeypatch.setattr(_plan, "tournament", lambda *_, **__: trainer.Choice("mobilenet_v2_035", "it won"))
    monkeypatch.setattr(architectures._weights, "_downloaded", lambda row, path, side: pytest.fail(f"asks for {side}"))
    planned = trainer.plan(ImageClassifier(image_size=96).get_params(), large_photos(4), None)
    assert planned.choices["weights"].value == "imagenet"
    (file,) = two_at_hand.glob("*_0.35_224_*")
    expected = architectures.build("mobilenet_v2_035", input_shape=(96, 96, 3), num_classes=2, weights=file)
    arrays = [model.get_layer("backbone").get_weights() for model in (planned.build(), expected)]
    for ours, theirs in zip(*arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    named = trainer.plan(ImageClassifier("mobilenet_v2_035", image_size=96).get_params(), large_photos(4), None)
    with pytest.raises(pytest.fail.Exception, match="asks for 96"):
        named.build()


def test_some_images_are_as_many_of_each_class():
    codes = np.repeat([0, 1, 2], [900, 200, 40])
    data = Dataset.from_arrays(np.zeros((1140, 8, 8, 1), np.uint8), codes)
    order = _tournament.by_turns(data, 0)
    assert np.bincount(codes[order[:300]]).tolist() == [130, 130, 40]
    assert sorted(order.tolist()) == list(range(1140))


def test_images_of_many_bands_have_a_tournament_too(two_at_hand):
    random, codes = np.random.default_rng(0), np.arange(24) % 2
    images = random.integers(0, 256, (24, 80, 80, 5), np.uint8)
    images[codes == 1, :, :, 4] //= 3
    plan = trainer.plan(ImageClassifier().get_params(), Dataset.from_arrays(images, codes), None)
    assert plan.architecture in architectures.installed()
    assert " right of 24 images held out; " in plan.choices["architecture"].reason
    assert plan.blueprint["input_shape"][2] == 5


@pytest.mark.parametrize("at_first", [0, 1])
def test_weights_that_come_later_change_nothing_that_a_run_has_chosen(two_at_hand, tmp_path, monkeypatch, at_first):
    """Nor does a run with other arguments that is given its folder by mistake."""
    monkeypatch.setattr(
        _plan, "tournament", lambda names, *_, **__: trainer.Choice(names[-1], f"the last of {len(names)}")
    )
    data, files = large_photos(4), sorted(two_at_hand.glob("*.h5"))  # that of mobilenet_025 first
    for file in files[at_first:]:
        file.rename(tmp_path / file.name)

    def chosen(**arguments):
        planned = trainer.plan(ImageClassifier(**arguments).get_params(), data, None, checkpoint=tmp_path / "run")
        return tuple(planned.choices["architecture"])

    first = chosen()
    assert first[0] == ("mobilenet_025" if at_first else "small_resnet")
    for file in files[at_first:]:
        (tmp_path / file.name).rename(file)
    assert chosen(budget=60) == ("mobilenet_v2_035", "the last of 2")
    assert chosen() == first


def test_of_several_workers_the_first_says_which_backbone(two_at_hand, monkeypatch):
    asked, answers = [], [["mobilenet_v2_035", "the first worker says so"], ["mixed_bfloat16", "and this"]]

    def told(value):
        asked.append(value)
        return answers[len(asked) - 1]

    monkeypatch.setattr(_backend, "joined", lambda devices: SimpleNamespace(worker=1, told=told))
    monkeypatch.setattr(_plan, "tournament", None)
    planned = trainer.plan(ImageClassifier().get_params(), large_photos(4), None)
    assert planned.choices["architecture"] == ("mobilenet_v2_035", "the first worker says so")
    assert planned.choices["precision"] == ("mixed_bfloat16", "and this")
    assert asked == [None, None]


def test_without_weights_at_hand_there_is_no_tournament(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert architectures.installed() == ()
    plan = trainer.plan(ImageClassifier().get_params(), large_photos(4), None)
    assert plan.choices["architecture"] == (
        "small_resnet",
        "images above 64 pixels need depth, and there are no pretrained weights at hand: name a network that has some, such as mobilenet_v2, and they are fetched",
    )


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"weights": None}, "weights=None asks for random ones"),
        (
            {"weights": "mine.h5"},
            "weights='mine.h5' does not say of which network it is: name that, if it is another",
        ),
        (
            {"color": "grayscale"},
            "pretrained networks do not compete where color='grayscale': name one, such as mobilenet_v2",
        ),
    ],
)
def test_a_folder_that_is_not_looked_into_is_no_reason(monkeypatch, given, why):
    monkeypatch.setattr(architectures, "installed", None)
    data = large_photos(4)
    chosen = trainer.plan(ImageClassifier(**given).get_params(), data, None).choices["architecture"]
    assert chosen == ("small_resnet", f"images above 64 pixels need depth, and {why}")
    chosen = trainer.plan(ImageClassifier(image_size=64, **given).get_params(), data, None).choices["architecture"]
    assert chosen == ("speed_cnn", "images of at most 64 pixels need no deep network")
