"""What an epoch leaves behind: the rate that it was trained with, what callbacks wrote, and a Ctrl-C at the very end."""

import math
import signal
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from imgcls import Dataset, History, ImageClassifier, _backend, architectures, trainer
from imgcls.trainer import _keeper, _loop
from imgcls.trainer._doctor import Doctor


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")[:96]


def new_model():
    return architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)


class StopAt(keras.callbacks.Callback):
    """Stops after a batch of an epoch, as the end of a budget does."""

    def __init__(self, epoch, batch):
        super().__init__()
        self._at, self._epoch = (epoch, batch), 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training |= (self._epoch, batch) == self._at


# --- rates ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": keras.optimizers.SGD(0.25)},
        {"optimizer": "sgd", "learning_rate": 0.25},
        {"optimizer": "sgd", "learning_rate": 0.25, "schedule": "plateau"},
    ],
)
def test_an_epoch_that_is_cut_has_the_rate_that_it_was_trained_with(digits, options):
    history = trainer.train(
        new_model(), digits, epochs=3, batch_size=16, callbacks=[StopAt(0, 1)], verbose=0, **options
    )
    assert history["learning_rate"] == [0.25]


def test_a_later_epoch_that_is_cut_has_its_own_rate(digits):
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.25 / 2**epoch)
    history = trainer.train(
        new_model(),
        digits,
        optimizer="sgd",
        learning_rate=0.25,
        epochs=5,
        batch_size=16,
        callbacks=[halve, StopAt(2, 1)],
        verbose=0,
    )
    assert history["learning_rate"] == [0.25, 0.125, 0.0625]


# --- what callbacks write -------------------------------------------------------------------------------------------


class Writer(keras.callbacks.Callback):
    """Writes into the figures of each epoch, as is usual for metrics that Keras does not have."""

    def __init__(self, first=0):
        super().__init__()
        self._first = first

    def on_epoch_end(self, epoch, logs=None):
        if epoch >= self._first:
            logs["val_f1"] = 0.5 + np.float32(epoch) / 4
            logs["tensor"] = keras.ops.convert_to_tensor(2.0)
            logs["words"], logs["matrix"], logs["lists"] = "no number", np.eye(2), [[1.0], [2.0, 3.0]]


def test_numbers_that_callbacks_write_are_in_the_history_as_in_keras(digits, capsys):
    seen = []
    after = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["val_f1"]))
    history = trainer.train(new_model(), digits, epochs=3, callbacks=[Writer(), after], verbose=2)
    assert history["val_f1"] == seen == [0.5, 0.75, 1.0]
    assert history["tensor"] == [2.0, 2.0, 2.0]
    assert list(history) == ["loss", "accuracy", "learning_rate", "val_f1", "tensor"]
    assert "val_f1" in capsys.readouterr().err.splitlines()[0]

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    theirs = model.fit(np.ones((4, 2)), np.ones(4), epochs=3, callbacks=[Writer()], verbose=0)
    assert theirs.history["val_f1"] == history["val_f1"]


def test_what_is_written_later_is_nan_before(digits, tmp_path):
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=3)
    classifier.fit(digits, callbacks=[Writer(first=1)], verbose=0)
    values = classifier.history_["val_f1"]
    assert math.isnan(values[0])
    assert values[1:] == [0.75, 1.0]
    assert classifier.history_.to_frame()["val_f1"].isna().tolist() == [True, False, False]
    loaded = ImageClassifier.load(classifier.save(tmp_path / "a.imgcls")).history_
    np.testing.assert_array_equal(loaded["val_f1"], values)


def test_rows_of_a_history_are_as_long_as_it_is():
    history = History()
    for row in ({"loss": 1.0}, {"loss": 0.5, "f1": 0.25}, {"loss": 0.25}):
        history.append(row)
    np.testing.assert_array_equal(history["f1"], [math.nan, 0.25, math.nan])
    assert history.epochs == 3


@pytest.mark.slow
def test_what_callbacks_write_is_the_same_in_a_run_that_goes_on(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(_keeper, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(_keeper, "SAVE_SHARE", 0.0)

    def run(*callbacks, **options):
        return trainer.train(
            new_model(), digits, epochs=3, batch_size=16, callbacks=[Writer(first=1), *callbacks], verbose=0, **options
        )

    class PressAt(StopAt):
        def on_train_batch_end(self, batch, logs=None):
            if (self._epoch, batch) == self._at:
                signal.raise_signal(signal.SIGINT)

    whole = run()
    for epoch, batch in ((0, 3), (1, 2), (2, 0)):
        folder = tmp_path / f"{epoch} {batch}"
        assert run(PressAt(epoch, batch), checkpoint=folder).interrupted
        resumed = run(keras.callbacks.Callback(), checkpoint=folder)
        assert list(resumed) == list(whole)
        for name in whole:
            np.testing.assert_array_equal(resumed[name], whole[name])


# --- signals --------------------------------------------------------------------------------------------------------


class PressAtTheEnd(keras.callbacks.Callback):
    """Presses Ctrl-C when no step follows."""

    def on_train_end(self, logs=None):
        signal.raise_signal(signal.SIGINT)


class PressAfterTheLastEpoch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.params["epochs"] - 1:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("press", [PressAtTheEnd, PressAfterTheLastEpoch])
def test_ctrl_c_after_the_last_step_is_not_swallowed(digits, tmp_path, press):
    plain = new_model()
    options = {"validation_data": digits, "epochs": 2, "patience": 2, "verbose": 0}
    whole = trainer.train(plain, digits, **options)
    assert not whole.interrupted
    model = new_model()
    history = trainer.train(model, digits, callbacks=[press()], checkpoint=tmp_path, **options)
    assert history.interrupted
    assert dict(history) == dict(whole)
    assert history.best_epoch == whole.best_epoch  # it was not early: the weights of the best epoch are kept
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    again = trainer.train(new_model(), digits, callbacks=[keras.callbacks.Callback()], checkpoint=tmp_path, **options)
    assert not again.interrupted  # nothing was left to train, and nobody has pressed anything now


class PressTwiceAtTheEnd(keras.callbacks.Callback):
    """Presses Ctrl-C again while weights are put in place by half, as those of the best epoch are."""

    def on_train_end(self, logs=None):
        first = self.model.trainable_variables[0]
        first.assign(first.value * 2)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_again_at_the_very_end_keeps_the_last_epoch_whole(digits, tmp_path, capsys):
    plain, model = new_model(), new_model()
    options = {"validation_data": digits, "epochs": 2, "average": 0.9}
    whole = trainer.train(plain, digits, verbose=0, **options)
    callbacks, folder = [PressTwiceAtTheEnd()], tmp_path / "run"
    history = trainer.train(model, digits, callbacks=callbacks, checkpoint=folder, patience=2, verbose=2, **options)
    assert history.interrupted
    assert history.best_epoch is None
    assert dict(history) == dict(whole)
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert capsys.readouterr().err.splitlines()[-1] == (
        "interrupted after the last step; the model keeps what it has learnt. Its last steps may be in no checkpoint. To "
        f"go on, train again with checkpoint={str(folder)!r}"
    )
    again = trainer.train(new_model(), digits, checkpoint=folder, patience=2, verbose=0, **options)
    assert (again.interrupted, dict(again)) == (False, dict(whole))


@pytest.mark.parametrize("press", [PressAtTheEnd, PressTwiceAtTheEnd])
def test_fit_passes_a_late_ctrl_c_on_and_keeps_what_was_learnt(digits, press):
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=1)
    with pytest.raises(KeyboardInterrupt):
        classifier.fit(digits, callbacks=[press()], verbose=0)
    assert classifier.history_.interrupted
    assert len(classifier.predict(digits[:3])) == 3


# --- the end --------------------------------------------------------------------------------------------------------


class AtTheEnd(keras.callbacks.Callback):
    """Takes what it needs from the figures of the last epoch; at first it fails."""

    def __init__(self, *, fails=False):
        super().__init__()
        self._fails, self.logs = fails, []

    def on_train_end(self, logs=None):
        if self._fails:
            raise LookupError
        self.logs.append(dict(logs))


def test_callbacks_get_the_figures_of_the_last_epoch_at_the_end_as_in_keras(digits, tmp_path):
    options = {"validation_data": digits, "epochs": 2, "verbose": 0}
    ours, theirs = AtTheEnd(), AtTheEnd()
    history = trainer.train(new_model(), digits, callbacks=[Writer(), ours], **options)
    assert ours.logs == [{name: history[name][-1] for name in history}]
    assert {"loss", "val_accuracy", "val_f1"} <= set(ours.logs[0])

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    data = (np.ones((4, 2)), np.ones(4))
    kept = model.fit(*data, validation_data=data, epochs=2, callbacks=[theirs], verbose=0)
    assert theirs.logs == [{name: kept.history[name][-1] for name in kept.history}]

    with pytest.raises(LookupError):
        trainer.train(new_model(), digits, callbacks=[Writer(), AtTheEnd(fails=True)], checkpoint=tmp_path, **options)
    again = AtTheEnd()
    trainer.train(new_model(), digits, callbacks=[Writer(), again], checkpoint=tmp_path, **options)
    assert again.logs == ours.logs


# --- the doctor -----------------------------------------------------------------------------------------------------


def test_the_doctor_is_told_of_waits_that_a_coarse_clock_does_not_see(digits, monkeypatch):
    """`time.monotonic` moves every 15.6 ms on Windows: here it stands still meanwhile."""
    seen, look, now = [], Doctor.look, time.monotonic()

    def noted(self, history, *, waited, seconds, last):
        seen.append((waited, seconds))
        return look(self, history, waited=waited, seconds=seconds, last=last)

    monkeypatch.setattr(Doctor, "look", noted)
    monkeypatch.setattr(_loop, "time", SimpleNamespace(perf_counter=time.perf_counter, monotonic=lambda: now))
    begin = time.perf_counter()
    trainer.train(new_model(), digits, epochs=1, verbose=0)
    [(waited, seconds)] = seen
    assert 0 < waited < seconds < time.perf_counter() - begin


# --- several workers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hook", "steps"), [("on_epoch_begin", 6), ("on_epoch_end", 12)])
def test_a_callback_that_stops_another_worker_beside_its_steps_stops_this_one_before_the_next(
    digits, monkeypatch, hook, steps
):
    """Or that worker would wait for ever: here it is only heard of. The last number says that a callback has stopped."""
    other, seen = {"stops": False}, []

    def gather(self, values):
        return np.array([values, [*values[:-1], other["stops"]]], float)

    monkeypatch.setattr(_backend.Placement, "gather", gather)
    hooks = {
        hook: lambda epoch, logs: other.update(stops=epoch == 1),
        "on_train_batch_end": lambda batch, logs: seen.append(batch),
    }
    watcher = keras.callbacks.LambdaCallback(**hooks)
    trainer.train(new_model(), digits, validation_data=digits, epochs=4, batch_size=16, callbacks=[watcher], verbose=0)
    assert len(seen) == steps
