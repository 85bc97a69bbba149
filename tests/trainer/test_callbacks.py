"""The callbacks that everybody brings, by name: they do here what they do in `keras.Model.fit`."""

import csv

import keras
import numpy as np
import pytest

from imgcls import ConfigurationError, Dataset, ImageClassifier, architectures, trainer


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")[:160]


def new_model():
    return architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10, dropout=0.0)


def run(digits, callbacks, **options):
    model = new_model()
    settings = {"validation_data": digits[:60], "epochs": 4, "verbose": 0, **options}
    return model, trainer.train(model, digits, callbacks=callbacks, **settings)


def test_csv_logger_writes_the_history(digits, tmp_path):
    _, history = run(digits, [keras.callbacks.CSVLogger(tmp_path / "log.csv")])
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 3]
    for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
        assert [float(row[name]) for row in rows] == pytest.approx(history[name])


def test_model_checkpoint_keeps_the_weights_of_the_best_epoch(digits, tmp_path):
    path = tmp_path / "best.weights.h5"
    best = keras.callbacks.ModelCheckpoint(path, monitor="val_loss", save_best_only=True, save_weights_only=True)
    _, history = run(digits, [best])
    model = new_model()
    model.load_weights(path)
    images = np.stack([digits.read(index) for index in range(60)])
    loss = keras.losses.SparseCategoricalCrossentropy()(digits.labels[:60], model(images))
    assert min(history["val_loss"]) == pytest.approx(float(loss), rel=1e-4)


def test_early_stopping_of_the_users_own(digits):
    stopping = keras.callbacks.EarlyStopping(monitor="accuracy", mode="min", patience=1)  # stops when it rises
    assert run(digits, [stopping], epochs=9)[1].epochs == 2


def test_reduce_on_plateau_divides_the_rate(digits):
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.1, patience=1, min_delta=100.0)
    history = run(digits, [plateau], learning_rate=0.01)[1]
    assert history["learning_rate"] == pytest.approx([0.01, 0.01, 0.001, 0.0001])


def test_learning_rate_scheduler_sets_the_rate(digits):
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 / (epoch + 1))
    history = run(digits, [scheduler], learning_rate=0.01)[1]
    assert history["learning_rate"] == pytest.approx([0.01, 0.005, 0.01 / 3, 0.0025])


def test_lambda_callback_sees_epochs_and_batches(digits):
    seen = []
    watcher = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, sorted(logs))),
        on_train_batch_end=lambda batch, logs: seen.append(batch),
    )
    run(digits, [watcher], epochs=1, batch_size=80)
    assert seen == [0, 1, (0, ["accuracy", "learning_rate", "loss", "val_accuracy", "val_loss"])]


def test_tensorboard_writes_events(digits, tmp_path):
    run(digits, [keras.callbacks.TensorBoard(tmp_path / "logs")], epochs=1)
    assert list((tmp_path / "logs").rglob("events.out.tfevents.*"))


def test_terminate_on_nan_and_progress_of_the_users_own(digits):
    class Counter(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.epochs = 0

        def on_epoch_begin(self, epoch, logs=None):
            assert self.params["epochs"] == 4
            assert self.params["steps"] == 5
            assert self.model.optimizer is not None
            self.epochs += 1

    counter = Counter()
    run(digits, [counter, keras.callbacks.TerminateOnNaN()])
    assert counter.epochs == 4


def test_one_alone_is_a_list_of_one_and_none_is_none(digits):
    seen = []
    watcher = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    assert run(digits, watcher, epochs=1)[1].epochs == 1
    assert run(digits, None, epochs=1)[1].epochs == 1
    assert seen == [0]
    with pytest.raises(ConfigurationError, match=r"^callbacks holds 'EarlyStopping'\. Accepted: a list of Keras callb"):
        run(digits, "EarlyStopping")


def test_a_callback_that_swaps_averages_is_refused(digits):
    """It would do so within ours, which swaps them too, and leave the average where training goes on."""
    with pytest.raises(ConfigurationError, match=r"^SwapEMAWeights would put the average into training: "):
        run(digits, [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)])


def test_early_stopping_of_ones_own_is_not_overruled_by_a_patience_that_nobody_asked_for():
    """Both restore weights at the end, and ours, by val_loss, did so last."""

    class Wanted(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_wanted"] = [0.5, 0.9, 0.1, 0.1, 0.1, 0.1][epoch]
            if epoch == 1:
                self.weights = self.model.get_weights()

    wanted = Wanted()
    stopping = keras.callbacks.EarlyStopping("val_wanted", mode="max", patience=2, restore_best_weights=True)
    train, held_out = Dataset.builtin("digits")[:200], Dataset.builtin("digits")[200:300]
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=6)
    classifier.fit(train, validation_data=held_out, callbacks=[wanted, stopping], verbose=0)
    assert classifier.history_.epochs == 4
    assert classifier.history_.best_epoch == 2
    assert classifier.choices_["patience"] == (
        None,
        "your own EarlyStopping decides when to stop, and which weights are kept",
    )
    for now, then in zip(classifier.model_.get_weights()[:-2], wanted.weights[:-2], strict=True):
        np.testing.assert_array_equal(now, then)  # the last two were divided by the temperature


@pytest.mark.parametrize(("restores", "patience", "epochs"), [(True, 2, 4), (True, 9, 5), (False, 2, 4)])
def test_the_epoch_whose_weights_are_restored_is_the_best_one(digits, restores, patience, epochs):
    """By hand: also where training ends before patience does, as in Keras."""

    class Written(keras.callbacks.Callback):
        weights = ()

        def on_epoch_end(self, epoch, logs=None):
            logs["val_accuracy"] = [0.5, 0.9, 0.4, 0.3, 0.2][epoch]
            self.weights = (*self.weights, self.model.get_weights())

    written = Written()
    stopping = keras.callbacks.EarlyStopping("val_accuracy", patience=patience, restore_best_weights=restores)
    model, history = run(digits, [written, stopping], epochs=5)
    assert (history.epochs, history.best_epoch) == (epochs, 2 if restores else None)
    for now, then in zip(model.get_weights(), written.weights[1 if restores else -1], strict=True):
        np.testing.assert_array_equal(now, then)


# --- whether a figure should rise or fall ---------------------------------------------------------------------------


class Rising(keras.callbacks.Callback):
    """Writes figures that rise with every epoch over those that were measured."""

    def __init__(self, name):
        super().__init__()
        self._name = name

    def on_epoch_end(self, epoch, logs=None):
        logs[self._name] = (epoch + 1) / 10


@pytest.mark.parametrize(
    ("monitor", "better"),
    [
        ("val_accuracy", True),
        ("accuracy", True),
        ("val_auc", True),
        ("val_mean_squared_error", False),
        ("val_loss", False),
        ("loss", False),
    ],
)
def test_callbacks_know_what_should_rise_and_what_should_fall(digits, tmp_path, monitor, better):
    """By hand: what gets better each time stops nobody, is saved each time and leaves the rate as it is."""
    path = tmp_path / "{epoch}.weights.h5"
    callbacks = [
        Rising(monitor),
        keras.callbacks.EarlyStopping(monitor, patience=2),
        keras.callbacks.ModelCheckpoint(path, monitor, save_best_only=True, save_weights_only=True),
        keras.callbacks.ReduceLROnPlateau(monitor, factor=0.5, patience=1),
    ]
    _, history = run(digits, callbacks, metrics=["AUC", "MeanSquaredError"], learning_rate=0.01)
    assert history.epochs == (4 if better else 3)
    assert sorted(found.name[0] for found in tmp_path.iterdir()) == (["1", "2", "3", "4"] if better else ["1"])
    assert history["learning_rate"] == pytest.approx([0.01] * 4 if better else [0.01, 0.01, 0.005])


def test_early_stopping_by_accuracy_ends_where_keras_own_fit_ends_it(digits):
    class Written(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_accuracy"] = [0.5, 0.9, 0.91, 0.7, 0.905, 0.9, 0.9, 0.9][epoch]

    def callbacks():
        return [Written(), keras.callbacks.EarlyStopping("val_accuracy", min_delta=0.02, patience=3)]

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    theirs = model.fit(np.ones((4, 2)), np.ones(4), epochs=8, callbacks=callbacks(), verbose=0)
    assert run(digits, callbacks(), epochs=8)[1].epochs == len(theirs.epoch) == 5


def test_a_figure_of_which_nobody_knows_it_is_refused_before_training(digits):
    begun = []
    watcher = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: begun.append(epoch))
    with pytest.raises(ConfigurationError) as refusal:
        run(digits, [watcher, keras.callbacks.EarlyStopping("val_acc")])
    assert str(refusal.value) == (
        "EarlyStopping(monitor='val_acc') does not say whether that figure should rise or fall. Did you mean "
        "'val_accuracy'? Give mode='max' or mode='min'. Without it are known: loss, accuracy, and each with 'val_' before "
        "it."
    )
    assert begun == []
    assert run(digits, [Rising("mine"), keras.callbacks.EarlyStopping("mine", mode="max")])[1].epochs == 4


# --- what would not do here what it does in Keras -------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"checkpoint": "runs"}], ids=["alone", "with checkpoint="])
def test_a_callback_that_goes_on_in_its_own_way_is_refused(digits, tmp_path, options):
    options = {name: tmp_path / folder for name, folder in options.items()}
    with pytest.raises(ConfigurationError) as refusal:
        run(digits, [keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))], **options)
    assert str(refusal.value) == (
        "BackupAndRestore would load weights and begin with the first epoch all the same: only Keras' own fit goes on at "
        "its epoch. Leave the callback out; with checkpoint='folder' training goes on where it stopped."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "callback", [keras.callbacks.ReduceLROnPlateau(), keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate)]
)
@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "scaled loss"])
def test_a_rate_that_an_optimizer_schedules_itself_is_not_changed_by_a_callback(digits, callback, scaled):
    optimizer = keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.9))
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    name = type(callback).__name__
    with pytest.raises(ConfigurationError, match=f"^{name} changes a constant rate, and learning_rate follows a sched"):
        run(digits, [callback], optimizer=optimizer)
