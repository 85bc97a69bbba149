"""The loop: learns, weighs, stops early, obeys callbacks, repeats itself, survives Ctrl-C."""

import inspect
from pathlib import Path

import keras
import numpy as np
import pytest

from imgcls import (
    ConfigurationError,
    DataError,
    Dataset,
    DataWarning,
    ImageClassifier,
    TrainingWarning,
    UnreadableImageError,
    architectures,
    trainer,
    transforms,
)
from imgcls.datasets import Batches, _batches, write_png
from imgcls.trainer._steps import checked_steps


@pytest.fixture(scope="module")
def squares():
    """Return 96 images 8 x 8: dark or bright squares, with a little noise."""
    generator = np.random.default_rng(0)
    labels = np.arange(96) % 2
    images = generator.integers(0, 60, (96, 8, 8, 1)) + labels[:, None, None, None] * 150
    return Dataset.from_arrays(images.astype(np.uint8), labels, classes=["dark", "bright"])


def small_model(outputs=2, head="softmax", seed=0):
    return architectures.build(
        "small_cnn", input_shape=(8, 8, 1), num_classes=outputs, head=head, dropout=0.0, seed=seed
    )


def linear_model():
    """Return softmax regression on pixels / 255, without random numbers or statistics of the batch."""
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(2, activation="softmax", kernel_initializer="zeros"),
    ]
    return keras.Sequential(layers)


def test_validation_images_are_coded_by_the_classes_that_are_learnt(squares):
    """A folder that lacks a class has other codes; one with another class is refused."""
    bright = [index for index in range(96) if index % 2]
    images = np.stack([squares.read(index) for index in bright])
    model = small_model()
    validated = trainer.train(
        model, squares, validation_data=Dataset.from_arrays(images, ["bright"] * 48), epochs=8, batch_size=8, verbose=0
    )
    truth = float((np.argmax(np.asarray(model(images, training=False)), axis=1) == 1).mean())
    assert truth > 0.5
    assert validated["val_accuracy"][-1] == pytest.approx(truth)
    with pytest.raises(DataError, match="grey"):
        trainer.train(model, squares, validation_data=Dataset.from_arrays(images, ["grey"] * 48), epochs=1, verbose=0)


def test_divided_data_are_not_learnt_from_as_a_whole(squares):
    """They hold images to test on."""
    images = np.stack([squares.read(index) for index in range(96)])
    divided = Dataset(images, labels=squares.labels, classes=["dark", "bright"], parts=["train", "train", "test"] * 32)
    with pytest.raises(DataError, match=r'^the data are divided, .* Give data\.subset\("train"\), and '):
        trainer.train(small_model(), divided, epochs=1, verbose=0)
    with pytest.raises(DataError, match=r'^the data are divided, .* and data\.subset\("validation"\)'):
        trainer.train(small_model(), squares, validation_data=divided, epochs=1, verbose=0)
    assert trainer.train(small_model(), divided.subset("train"), epochs=1, verbose=0).epochs == 1


def test_images_of_one_label_and_of_several_do_not_go_together(squares):
    images = np.stack([squares.read(index) for index in range(96)])
    several = Dataset.from_arrays(images, np.eye(2)[squares.labels], classes=["dark", "bright"], multi_label=True)
    for data, other in ((squares, several), (several, squares)):
        with pytest.raises(DataError) as refusal:
            trainer.train(small_model(), data, validation_data=other, epochs=1, verbose=0)
        assert str(refusal.value) == (
            "the images to learn from and those to validate on disagree on whether an image may have several labels. Give both alike, such as by Dataset.from_arrays(images, labels, multi_label=True)."
        )


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", keras.optimizers.Nadam(0.005)])
def test_every_optimizer_learns_to_tell_dark_from_bright(squares, optimizer):
    history = trainer.train(small_model(), squares, optimizer=optimizer, epochs=4, batch_size=16, verbose=0)
    assert history["loss"][-1] < history["loss"][0]
    assert history["accuracy"][-1] > 0.9


@pytest.mark.parametrize(
    ("loss", "outputs", "head"),
    [
        ("auto", 2, "softmax"),
        ("categorical_crossentropy", 2, "softmax"),
        ("sparse_categorical_crossentropy", 2, "softmax"),
        ("binary_crossentropy", 1, "sigmoid"),
        ("bce", 1, "sigmoid"),
        (keras.losses.CategoricalCrossentropy, 2, "softmax"),
        (keras.losses.CategoricalFocalCrossentropy(), 2, "softmax"),
        ("mean_squared_error", 2, "softmax"),
    ],
)
def test_every_loss_learns(squares, loss, outputs, head):
    history = trainer.train(small_model(outputs, head), squares, loss=loss, epochs=4, batch_size=16, verbose=0)
    assert history["accuracy"][-1] > 0.9


def test_several_labels_an_image_train_by_sigmoids(squares):
    bright = squares.labels
    left = np.arange(96) // 2 % 2
    images = np.stack([squares.read(index) for index in range(96)])
    images[left == 1, :, :4] = 0
    data = Dataset.from_arrays(images, np.stack([bright, left], axis=1), classes=["bright", "cut"])
    assert data.multi_label
    history = trainer.train(small_model(2, "sigmoid"), data, epochs=12, batch_size=16, verbose=0)
    assert history["accuracy"][-1] > 0.9


def test_one_step_of_plain_gradient_descent_equals_the_hand_computed_one(squares):
    """Full batch, zero weights, rate 1: new kernel = -gradient = mean of pixels * (y - 1/2)."""
    model = linear_model()
    trainer.train(model, squares, optimizer=keras.optimizers.SGD(1.0), epochs=1, batch_size=96, verbose=0)
    pixels = np.stack([squares.read(index) for index in range(96)]).reshape(96, -1) / 255
    expected = pixels.T @ (np.eye(2)[squares.labels] - 0.5) / 96
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-4, atol=1e-6)


def test_weights_of_images_enter_the_gradient(squares):
    """Class weights and sample weights multiply; a weight of 0 removes an image."""
    model = linear_model()
    weight = (np.arange(96) < 48).astype(float)
    trainer.train(
        model,
        squares,
        optimizer=keras.optimizers.SGD(1.0),
        epochs=1,
        batch_size=96,
        sample_weight=weight,
        class_weight={"bright": 3.0},
        verbose=0,
    )
    pixels = np.stack([squares.read(index) for index in range(96)]).reshape(96, -1) / 255
    weights = weight * np.where(squares.labels == 1, 3.0, 1.0)
    expected = pixels.T @ ((np.eye(2)[squares.labels] - 0.5) * weights[:, None]) / 96
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-4, atol=1e-6)


def test_reported_loss_and_accuracy_are_those_of_keras(squares):
    """With a rate of nearly 0 the epoch's means are the model's own figures on all images, uneven batches or not."""
    model = small_model()
    for layer in model.get_layer("backbone").layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False  # statistics of a batch would differ from those of the whole
    history = trainer.train(
        model,
        squares,
        validation_data=squares,
        optimizer="sgd",
        learning_rate=1e-12,
        epochs=1,
        batch_size=13,
        verbose=0,
    )
    pixels = np.stack([squares.read(index) for index in range(96)])
    outputs = np.asarray(model(pixels))
    expected = float(keras.losses.SparseCategoricalCrossentropy()(squares.labels, outputs))
    accuracy = float((outputs.argmax(axis=1) == squares.labels).mean())
    assert history["loss"] == pytest.approx([expected], rel=1e-4)
    assert history["val_loss"] == pytest.approx([expected], rel=1e-4)
    assert history["accuracy"] == history["val_accuracy"] == pytest.approx([accuracy])


def test_same_seed_same_weights_other_seed_others(squares):
    def weights(seed):
        model = small_model()
        trainer.train(model, squares, epochs=2, batch_size=16, seed=seed, verbose=0)
        return model.get_weights()

    first, second, other = weights(3), weights(3), weights(4)
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


class Recorder(keras.callbacks.Callback):
    """Notes every call, and the weights after every epoch."""

    def __init__(self):
        super().__init__()
        self.calls, self.weights, self.logs = [], [], []

    def on_train_begin(self, logs=None):
        self.calls.append("train_begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(f"epoch_begin {epoch}")

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append(f"batch_end {batch}")
        self.logs.append(logs)

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(f"epoch_end {epoch}")
        self.weights.append(self.model.get_weights())

    def on_train_end(self, logs=None):
        self.calls.append("train_end")


def test_callbacks_are_called_in_keras_order_with_running_means(squares):
    recorder = Recorder()
    trainer.train(small_model(), squares, epochs=2, batch_size=48, callbacks=[recorder], verbose=0)
    epochs = [[f"epoch_begin {n}", "batch_end 0", "batch_end 1", f"epoch_end {n}"] for n in (0, 1)]
    assert recorder.calls == ["train_begin", *epochs[0], *epochs[1], "train_end"]
    assert all(set(logs) == {"loss", "accuracy"} for logs in recorder.logs)


def test_early_stopping_restores_the_best_epoch_and_says_so(squares, capsys):
    """Validation labels are swapped, so that val_loss is lowest at the start and rises from there."""
    images = np.stack([squares.read(index) for index in range(96)])
    wrong = Dataset.from_arrays(images, 1 - squares.labels, classes=["dark", "bright"])
    recorder, model = Recorder(), small_model()
    history = trainer.train(
        model, squares, validation_data=wrong, epochs=30, batch_size=16, patience=2, callbacks=[recorder], verbose=2
    )
    assert history.epochs < 30
    assert history.best_epoch == int(np.argmin(history["val_loss"])) + 1 == history.epochs - 2
    assert (
        f"2 epochs without a lower val_loss: stopped after {history.epochs} of 30; the weights of epoch "
        f"{history.best_epoch} are kept, whose val_loss was the lowest"
    ) in capsys.readouterr().err
    best = recorder.weights[history.best_epoch - 1]
    assert all((a == b).all() for a, b in zip(best, model.get_weights(), strict=True))


class Measured(keras.callbacks.Callback):
    """Writes a val_loss of its own over that which was measured."""

    def __init__(self, *losses):
        super().__init__()
        self._losses = losses

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = self._losses[epoch]


@pytest.mark.parametrize(
    ("losses", "epochs", "best", "why"),
    [
        ([np.nan, 0.5, 0.4, 0.6, 0.7, 0.1], 5, 3, "whose val_loss was the lowest"),
        ([0.5, np.nan, 0.4, np.nan, 0.7, 0.1], 5, 3, "whose val_loss was the lowest"),
        ([np.nan, np.inf, np.nan, np.nan, 0.1], 4, 2, "whose val_loss was the lowest"),
        ([np.nan, np.nan, 0.1], 2, 1, "since no val_loss was a number"),
    ],
    ids=["first", "between", "and infinity", "alone"],
)
def test_nan_is_never_the_lowest_val_loss(squares, capsys, losses, epochs, best, why):
    """By hand, with a patience of 2."""
    recorder, model = Recorder(), small_model()
    options = {"epochs": len(losses), "batch_size": 16, "patience": 2, "verbose": 2}
    callbacks = [Measured(*losses), recorder]
    history = trainer.train(model, squares, validation_data=squares, callbacks=callbacks, **options)
    assert (history.epochs, history.best_epoch) == (epochs, best)
    for one, other in zip(recorder.weights[best - 1], model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"; the weights of epoch {best} are kept, {why}")
    assert sum(line.startswith("val_loss is nan, ") for line in history.advice) == 1


def test_a_plateau_does_not_begin_with_nan(squares):
    callback = Measured(np.nan, 0.5, 0.4, 0.3, 0.2, 0.1)
    options = {"schedule": "plateau", "epochs": 6, "batch_size": 48, "verbose": 0}
    history = trainer.train(small_model(), squares, validation_data=squares, callbacks=callback, **options)
    assert len(set(history["learning_rate"])) == 1


def with_swapped_labels(data):
    images = np.stack([data.read(index) for index in range(len(data))])
    return Dataset.from_arrays(images, 1 - data.labels, classes=data.classes)


def test_a_plateau_lowers_the_rate_before_patience_ends(squares):
    """Labels are swapped, so that val_loss rises; the rates are computed anew by the rule."""
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=15, schedule="plateau", augmentation=None)
    history = classifier.fit(squares, validation_data=with_swapped_labels(squares), verbose=0).history_
    rate, best, waited, rates = history["learning_rate"][0], np.inf, 0, []
    for loss in history["val_loss"]:
        rates.append(rate)
        best, waited = (loss, 0) if loss < best - 1e-4 else (best, waited + 1)
        if waited == 3:
            rate, waited = rate / 5, 0
    assert len(set(rates)) > 1
    assert history["learning_rate"] == pytest.approx(rates, rel=1e-5)


def test_a_patience_that_leaves_no_epoch_to_the_lower_rate_is_warned_of(squares):
    def run(patience):
        options = {"schedule": "plateau", "patience": patience, "epochs": 15, "batch_size": 16, "verbose": 0}
        rates = trainer.train(small_model(), squares, validation_data=with_swapped_labels(squares), **options)
        return len(set(rates["learning_rate"]))

    with pytest.warns(TrainingWarning) as warned:
        assert run(3) == 1
    (message,) = (str(one.message) for one in warned if one.category is TrainingWarning)
    assert message == (
        "patience=3 ends training before an epoch learns at a lower rate: schedule='plateau' lowers it after 3 epochs "
        "without a lower val_loss. Give a patience above 3, such as 6, or None."
    )
    assert run(4) == 2


def test_learning_rate_warms_up_and_falls_to_zero(squares):
    history = trainer.train(small_model(), squares, epochs=10, batch_size=16, verbose=0)
    rates = history["learning_rate"]
    assert 0 < rates[-1] < 1e-4  # the rate of the last step, which is not yet 0
    assert max(rates) == pytest.approx(3e-3, rel=0.05)


def test_reduce_on_plateau_and_lambda_callbacks_of_keras_work(squares):
    seen = []
    callbacks = [
        keras.callbacks.ReduceLROnPlateau(monitor="loss", factor=0.5, patience=0, min_delta=10.0),
        keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"])),
    ]
    history = trainer.train(
        small_model(), squares, learning_rate=0.01, epochs=3, batch_size=48, callbacks=callbacks, verbose=0
    )
    assert history["learning_rate"][-1] < 0.01
    assert len(seen) == 6


def test_stop_training_from_a_callback_stops(squares):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    assert trainer.train(small_model(), squares, epochs=9, callbacks=[Stop()], verbose=0).epochs == 1


@pytest.mark.parametrize("begun", [0, 2])
def test_an_epoch_that_a_callback_stops_before_its_first_step_has_no_row(squares, begun):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.stop_training = epoch == begun

    history = trainer.train(small_model(), squares, validation_data=squares, epochs=9, callbacks=[Stop()], verbose=0)
    assert history.epochs == begun
    assert all(loss > 0 for loss in history.get("loss", []))


def test_stop_training_within_an_epoch_stops_at_once_as_in_keras(squares):
    class Stop(Recorder):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            self.model.stop_training = batch == 1

    ours, theirs = Stop(), Stop()
    trainer.train(small_model(), squares, epochs=3, batch_size=16, callbacks=[ours], verbose=0)
    model = small_model()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    images = np.stack([squares.read(index) for index in range(len(squares))])
    model.fit(images, np.asarray(squares.labels), epochs=3, batch_size=16, callbacks=[theirs], verbose=0)
    assert (
        ours.calls
        == theirs.calls
        == ["train_begin", "epoch_begin 0", "batch_end 0", "batch_end 1", "epoch_end 0", "train_end"]
    )


@pytest.mark.parametrize("scaled", ["loss_scale_factor", "LossScaleOptimizer"])
def test_an_optimizer_that_scales_the_loss_takes_the_same_steps(squares, scaled):
    """Powers of two scale exactly, so that the weights are the same to the last bits."""
    plain, other = small_model(), small_model()
    optimizer = keras.optimizers.SGD(0.1, loss_scale_factor=1024 if scaled == "loss_scale_factor" else None)
    if scaled == "LossScaleOptimizer":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1024)
    one = trainer.train(plain, squares, optimizer=keras.optimizers.SGD(0.1), epochs=2, batch_size=16, verbose=0)
    two = trainer.train(other, squares, optimizer=optimizer, epochs=2, batch_size=16, verbose=0)
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-6)
    for first, second in zip(plain.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("reduction", ["sum", None])
def test_a_loss_that_is_no_mean_over_images_is_refused(squares, reduction):
    loss = keras.losses.SparseCategoricalCrossentropy(reduction=reduction)
    with pytest.raises(ConfigurationError) as refusal:
        trainer.train(small_model(), squares, loss=loss, verbose=0)
    assert str(refusal.value) == (
        f"loss=SparseCategoricalCrossentropy(reduction={reduction!r}) is not accepted: a batch may be divided among "
        "devices and parts. Accepted: reduction='sum_over_batch_size', the mean over images."
    )


def test_ctrl_c_keeps_what_was_learnt(squares):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    model = small_model()
    before = model.get_weights()
    history = trainer.train(model, squares, epochs=9, callbacks=[Interrupt()], verbose=0)
    assert history.interrupted
    assert history.epochs == 2
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_regularisation_of_layers_is_part_of_the_loss_and_not_of_val_loss(squares):
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(
            2, activation="softmax", kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(1.0)
        ),
    ]
    options = {"optimizer": "sgd", "learning_rate": 1e-12, "epochs": 1, "verbose": 0}
    history = trainer.train(keras.Sequential(layers), squares, validation_data=squares, **options)
    assert history["loss"][0] == pytest.approx(np.log(2) + 128, rel=1e-4)  # equal logits, and 64 * 2 ones squared
    assert history["val_loss"][0] == pytest.approx(np.log(2), rel=1e-4)


@pytest.mark.parametrize(("name", "flips"), [("light", False), ("flip_shift", True)])
def test_an_augmentation_by_name_is_its_layer(squares, name, flips):
    def learnt(**options):
        model = small_model()
        trainer.train(model, squares, learning_rate=0.01, epochs=2, seed=3, verbose=0, **options)
        return np.concatenate([weight.ravel() for weight in model.get_weights()])

    found = learnt(augmentation=name)
    np.testing.assert_array_equal(
        found, learnt(augmentation=transforms.augmentation(name, seed=3), alternating_flip=flips)
    )
    assert np.abs(found - learnt()).max() > 0


class Shifted(keras.layers.Layer):
    """Keeps its state in a variable, and cannot be built again: Keras cannot write down a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, images):
        self.count.assign_add(1.0)
        return images + self.function(self.count)


@pytest.mark.parametrize(
    ("argument", "make"),
    [
        ("augmentation", lambda: keras.layers.RandomTranslation(0.2, 0.2, seed=3)),
        ("augmentation", lambda: keras.Sequential([keras.layers.RandomFlip(seed=1), keras.layers.RandomRotation(0.1)])),
        ("augmentation", lambda: transforms.RandomWarp(translation=0.2, seed=3)),
        ("augmentation", lambda: Shifted(lambda count: 20 * count)),
        ("mixing", lambda: transforms.RandomMix(mixup=0.4, seed=3)),
    ],
)
def test_two_runs_with_one_layer_of_the_users_own_are_equal_and_leave_it_as_it_was(squares, argument, make):
    """As scikit-learn asks: fit leaves parameters alone."""
    layer = make()
    before = [np.array(one.numpy()) for one in layer.variables]
    assert before
    weights = []
    for _ in range(2):
        model = small_model()
        trainer.train(model, squares, epochs=2, batch_size=16, verbose=0, **{argument: layer})
        weights.append(model.get_weights())
        for variable, value in zip(layer.variables, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_layer_has_its_random_state_back_also_where_training_fails(squares):
    class Failing(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise RuntimeError("a bug of the user's own")

    layer = transforms.RandomWarp(translation=0.2, seed=3)
    before = np.array(layer.variables[0].numpy())
    with pytest.raises(RuntimeError):
        trainer.train(small_model(), squares, augmentation=layer, callbacks=Failing(), verbose=0)
    np.testing.assert_array_equal(layer.variables[0].numpy(), before)


def test_numbers_of_numpy_are_those_of_python(squares):
    def learnt(number, real, boolean):
        model = small_model()
        settings = {"epochs": number(2), "batch_size": number(32), "micro_batches": number(2), "seed": number(3)}
        settings |= {"learning_rate": real(0.01), "weight_decay": real(0.25), "clip_norm": real(1.0)}
        settings |= {"average": real(0.5), "first_layer_rate": real(0.5), "label_smoothing": real(0.25)}
        settings |= {"alternating_flip": boolean(True), "augmentation": "shift", "mixing": "mixup"}
        return trainer.train(model, squares, verbose=0, **settings), model.get_weights()

    one, other = learnt(int, float, bool), learnt(np.int64, np.float64, np.bool_)
    assert dict(one[0]) == dict(other[0])
    assert all((first == second).all() for first, second in zip(one[1], other[1], strict=True))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.flat, self.head = keras.layers.Flatten(), keras.layers.Dense(2, "softmax")

    def call(self, images):
        return self.head(self.flat(images))


class WithStep(keras.Model):
    def train_step(self, data):
        raise AssertionError("is never called")


def test_models_that_the_step_cannot_train_are_refused_in_words(squares):
    def refusal(model):
        with pytest.raises(ConfigurationError) as caught:
            trainer.train(model, squares, epochs=1, verbose=0)
        return str(caught.value)

    called = Subclassed()
    called(np.zeros((1, 8, 8, 1)))
    two = [keras.Input((8, 8, 1)), keras.Input((8, 8, 1))]
    flat = keras.layers.Flatten()(keras.layers.Add()(two))
    for model in (Subclassed(), called, keras.Sequential([keras.layers.Dense(2)]), keras.Model(two, flat)):
        assert refusal(model) == (
            f"model={type(model).__name__} is not accepted: Keras does not know its shapes, or it takes something else "
            "than one image. Accepted: a functional or sequential keras.Model from (N, H, W, C) to (N, K). Of a "
            "subclass, make one by inputs = keras.Input((H, W, C)); keras.Model(inputs, model(inputs))."
        )
    inputs = keras.Input((8, 8, 1))
    made = keras.Model(inputs, called(inputs))
    assert trainer.train(made, squares, epochs=1, verbose=0).epochs == 1
    anywhere = keras.Input((None, None, 1))
    pooled = keras.layers.Dense(2, "softmax")(keras.layers.GlobalAveragePooling2D()(anywhere))
    assert refusal(keras.Model(anywhere, pooled)).startswith("model=Functional takes (None, None, None, 1), and images")
    with_loss = type("WithLoss", (keras.Model,), {"compute_loss": WithStep.train_step})(inputs, made(inputs))
    assert refusal(with_loss).startswith("WithLoss.compute_loss would never be called: train computes the step itself.")
    own = WithStep(inputs, made(inputs))
    assert refusal(own) == (
        "WithStep.train_step would never be called: train computes the step itself. Train with Keras' own fit, or give "
        "keras.Model(model.inputs, model.outputs), which has the same layers and weights."
    )
    assert trainer.train(keras.Model(own.inputs, own.outputs), squares, epochs=1, verbose=0).epochs == 1


def test_a_layer_that_cannot_mix_is_refused_before_training(squares):
    with pytest.raises(ConfigurationError, match=r"^mixing=MixUp cannot mix: .* as RandomMix does\.$") as refusal:
        trainer.train(small_model(), squares, mixing=keras.layers.MixUp(), epochs=1, verbose=0)
    assert refusal.value.__cause__ is not None


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: keras.layers.RandomCrop(6, 6), r"it returns images of \(6, 6, 1\)"),
        (
            lambda: keras.Sequential([keras.layers.RandomFlip(), keras.layers.Flatten()]),
            r"it returns images of \(64,\)",
        ),
        (lambda: Shifted(lambda count: 1 / 0), "(?s:.*)division by zero(?s:.*)"),
    ],
    ids=["another size", "no image", "a mistake"],
)
def test_an_augmentation_that_the_model_cannot_take_is_refused_before_images_are_read(squares, monkeypatch, make, why):
    monkeypatch.setattr(trainer._train, "Batches", lambda *_, **__: pytest.fail("images were read"))
    accepted = (
        r"a name, None, or a layer from images \(N, H, W, C\), float32 and 0-255, to images of the same shape\. One that "
        r"changes the size goes into a keras\.Sequential with keras\.layers\.Resizing\(8, 8\) behind it\.$"
    )
    words = rf"^augmentation=\w+ cannot be used for images of \(8, 8, 1\): {why}\. Accepted: {accepted}"
    with pytest.raises(ConfigurationError, match=words):
        trainer.train(small_model(), squares, augmentation=make(), epochs=1, verbose=0)


def test_an_augmentation_that_changes_the_size_goes_with_one_that_puts_it_back(squares):
    layer = keras.Sequential([keras.layers.RandomCrop(6, 6, seed=1), keras.layers.Resizing(8, 8)])
    assert trainer.train(small_model(), squares, augmentation=layer, epochs=2, verbose=0).epochs == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"epochs": 0, "batch_size": 1.5},
            (
                "2 arguments are wrong:\n- epochs=0 is not accepted. Accepted: a whole number of at least 1.\n"
                "- batch_size=1.5 is not accepted. Accepted: a whole number of at least 1."
            ),
        ),
        ({"patience": 3}, "patience needs validation_data. Give it, or patience=None."),
        (
            {"optimizer": "adaam"},
            "optimizer='adaam' is not known. Did you mean 'adam'? Accepted: adam, adamw, sgd, rmsprop, muon.",
        ),
        (
            {"optimizer": keras.optimizers.MultiOptimizer(lambda variable: keras.optimizers.SGD())},
            (
                "optimizer=MultiOptimizer has a learning rate for each part, and training is led by one. Give one "
                "Keras optimizer or a name; first_layer_rate= lets early layers learn more slowly."
            ),
        ),
        ({"first_layer_rate": None}, "first_layer_rate=None is not accepted. Accepted: a number above 0, up to 1."),
        ({"first_layer_rate": "a"}, "first_layer_rate='a' is not accepted. Accepted: a number above 0, up to 1."),
        ({"first_layer_rate": 0}, "first_layer_rate=0 is not accepted. Accepted: a number above 0, up to 1."),
        (
            {"seed": 2**63},
            (
                "seed=9223372036854775808 is not accepted. Accepted: a whole number of at least 0 and at most "
                "9223372036854775807."
            ),
        ),
        (
            {"optimizer": keras.optimizers.SGD(), "learning_rate": 0.1},
            "learning_rate=0.1 goes with a named optimizer; SGD has its own. Leave it out.",
        ),
        ({"learning_rate": -1}, "learning_rate=-1 is not accepted. Accepted: a number above 0."),
        (
            {"loss": "crossentropy"},
            (
                "loss='crossentropy' is not known. Did you mean 'binary_crossentropy'? Accepted: auto, "
                "categorical_crossentropy, sparse_categorical_crossentropy, binary_crossentropy, focal, or any Keras loss or its name."
            ),
        ),
        (
            {"class_weight": "balance"},
            "class_weight='balance' is not accepted. Accepted: None, 'balanced' or {class: weight}.",
        ),
        (
            {"class_weight": {"darc": 2.0}},
            (
                "class_weight={'darc': 2.0} names an unknown class or a weight that is no number of at least 0. Did you "
                "mean 'dark'? Accepted: {class: weight} with classes among 'dark', 'bright'."
            ),
        ),
        (
            {"class_weight": {"dark": 0, "bright": 0.0}},
            "class_weight={'dark': 0, 'bright': 0.0} is 0 for every image. Accepted: at least one class above 0.",
        ),
        (
            {"sample_weight": [1.0]},
            "sample_weight has shape (1,). Accepted: 96 finite numbers of at least 0, one an image.",
        ),
        (
            {"sample_weight": np.zeros(96)},
            "sample_weight is 0 for every image. Accepted: at least one above 0. Leave it out to count all alike.",
        ),
        (
            {"augmentation": "lite"},
            "augmentation='lite' is not known. Did you mean 'light'? Accepted: light, standard, strong, overhead, shift, flip_shift.",
        ),
        ({"on_error": "ignore"}, "on_error='ignore' is not known. Accepted: skip, raise."),
        ({"verbose": 3}, "verbose=3 is not known. Accepted: auto, 0, 1, 2."),
    ],
)
def test_refusals(squares, arguments, message):
    with pytest.raises(ConfigurationError) as refusal:
        trainer.train(small_model(), squares, **{"verbose": 0, **arguments})
    assert str(refusal.value) == message


def test_data_without_labels_are_refused(squares):
    with pytest.raises(DataError, match=r"^data without labels cannot be trained on\. Give labels\.$"):
        trainer.train(small_model(), Dataset.from_arrays(np.zeros((4, 8, 8), np.uint8)), verbose=0)


def test_a_model_of_another_width_is_refused(squares):
    message = r"^the model has \(5,\) outputs and 2 classes need \(2,\)\.$"
    with pytest.raises(ConfigurationError, match=message):
        trainer.train(small_model(5), squares, verbose=0)


def test_what_leads_the_steps_has_the_same_defaults_where_it_is_checked_beforehand():
    train, checked = (inspect.signature(one).parameters for one in (trainer.train, checked_steps))
    shared = [name for name, one in checked.items() if one.default is not inspect.Parameter.empty]
    assert len(shared) == 7
    assert {name: checked[name].default for name in shared} == {name: train[name].default for name in shared}


def scores_model(*ends, outputs=2):
    """Return softmax regression without its end, and what is put there."""
    layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    kernel = keras.initializers.GlorotUniform(seed=0)
    return keras.Sequential([*layers, keras.layers.Dense(outputs, kernel_initializer=kernel), *ends])


@pytest.mark.parametrize(
    ("loss", "outputs", "head"),
    [
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), 2, "softmax"),
        (keras.losses.CategoricalFocalCrossentropy(from_logits=True), 2, "softmax"),
        (keras.losses.BinaryCrossentropy(from_logits=True), 1, "sigmoid"),
    ],
)
@pytest.mark.parametrize("unseen", [False, True])
def test_scores_are_refused_where_the_loss_says_that_they_are(squares, loss, outputs, head, unseen):
    ends = [keras.layers.Lambda(lambda scores: 2 * scores)] if unseen else []
    for learn in (trainer.train, trainer.lr_find):
        with pytest.raises(ConfigurationError) as refusal:
            learn(scores_model(*ends, outputs=outputs), squares, loss=loss, verbose=0)
        assert str(refusal.value) == (
            f"loss={type(loss).__name__}(from_logits=True) is for a model that gives scores, and one that is trained "
            f"here gives probabilities. Give keras.Sequential([model, keras.layers.Activation({head!r})]), which has "
            "the same layers and weights."
        )
    ended = keras.Sequential([scores_model(*ends, outputs=outputs), keras.layers.Activation(head)])
    options = {"optimizer": "sgd", "learning_rate": 0.1, "epochs": 8, "batch_size": 16, "verbose": 0}
    assert trainer.train(ended, squares, loss=loss, **options)["accuracy"][-1] > 0.9


@pytest.mark.parametrize(
    "end", [keras.layers.Softmax(), keras.layers.Activation("softmax"), keras.layers.Lambda(keras.ops.softmax)]
)
def test_probabilities_learn_alike_whatever_the_loss_says_of_scores(squares, end):
    """By the step that is computed by hand above, from zero weights."""
    model = scores_model(end)
    model.set_weights([np.zeros((64, 2)), np.zeros(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.train(model, squares, loss=loss, optimizer=keras.optimizers.SGD(1.0), epochs=1, batch_size=96, verbose=0)
    pixels = np.stack([squares.read(index) for index in range(96)]).reshape(96, -1) / 255
    expected = pixels.T @ (np.eye(2)[squares.labels] - 0.5) / 96
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-4, atol=1e-6)


@pytest.fixture
def files(squares, tmp_path):
    """Return 24 squares as PNG files."""
    for index in range(24):
        write_png(squares.read(index), tmp_path / f"{index:02d}.png")
    paths = sorted(tmp_path.glob("*.png"))
    return Dataset.from_files(paths, squares.labels[:24].tolist())


def weights_after(data, **options):
    model = small_model()
    trainer.train(model, data, epochs=2, batch_size=8, class_weight="balanced", verbose=0, **options)
    return model.get_weights()


@pytest.mark.parametrize("in_memory", [True, False])
def test_unreadable_files_train_the_same_weights_as_a_folder_without_them(files, monkeypatch, in_memory):
    rest = files[[index for index in range(24) if index not in {3, 17}]]
    given = np.linspace(1, 2, 24)
    truth = weights_after(rest, sample_weight=given[[index for index in range(24) if index not in {3, 17}]])
    for index in (3, 17):
        Path(files.source(index)).write_bytes(b"gone bad")
    if not in_memory:
        monkeypatch.setattr(_batches, "IN_MEMORY_BYTES", 0)
    with pytest.warns(DataWarning, match=r"^2 of 24 training images \(8\.3%\) cannot be read and are left out\."):
        found = weights_after(files, sample_weight=given)
    assert all((one == other).all() for one, other in zip(found, truth, strict=True))


def test_raise_refuses_unreadable_files_before_training(files):
    Path(files.source(3)).write_bytes(b"")
    with pytest.raises(UnreadableImageError, match=r"03\.png' cannot be read as an image: it is empty"):
        trainer.train(small_model(), files, on_error="raise", verbose=0)


def test_files_that_vanish_while_a_stream_trains_are_left_out(files, squares, monkeypatch, capsys):
    """Epoch 1 sees all 24; then a whole batch and a validation image go. Nothing is put in their place."""
    monkeypatch.setattr(_batches, "IN_MEMORY_BYTES", 0)
    monkeypatch.setenv("IMGCLS_CACHE", "off")
    held, sizes = files[[20, 21, 22, 23]], []
    learnt = files[list(range(20))]
    order = Batches(learnt, image_size=(8, 8), channels=1, batch_size=5, keep="stream")
    gone = order.batch(seed=0, epoch=1, step=3).positions.tolist()

    class Vandal(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                for path in [*(learnt.source(index) for index in gone), held.source(2)]:
                    Path(path).unlink()

        def on_train_batch_end(self, batch, logs=None):
            sizes.append(batch)

    with pytest.warns(DataWarning) as caught:
        history = trainer.train(
            small_model(), learnt, validation_data=held, epochs=3, batch_size=5, callbacks=[Vandal()], verbose=2
        )
    assert history.epochs == 3
    assert np.isfinite([history["loss"], history["val_loss"], history["learning_rate"]]).all()
    assert sizes[:7] == [0, 1, 2, 3, 0, 1, 2]  # no step without images
    assert set(history.quarantined) == {*(learnt.ids[index] for index in gone), held.ids[2]}
    assert history.quarantined[held.ids[2]].endswith(
        "22.png' does not exist. Check the path, and the working directory if the path is relative."
    )
    assert [str(one.message).split(" cannot")[0] for one in caught] == [
        "5 of 20 training images (25.0%)",
        "1 of 4 validation images (25.0%)",
    ]
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("left out: ") for line in lines) == 6
    assert lines[0].startswith("20 decoded training images (1 kB) fit neither memory nor the cache")


def test_raise_refuses_a_file_that_vanishes_while_a_stream_trains(files, monkeypatch):
    monkeypatch.setattr(_batches, "IN_MEMORY_BYTES", 0)
    monkeypatch.setenv("IMGCLS_CACHE", "off")

    class Vandal(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                Path(files.source(7)).unlink()

    with pytest.raises(UnreadableImageError, match=r"07\.png' does not exist"):
        trainer.train(small_model(), files, epochs=3, callbacks=[Vandal()], on_error="raise", verbose=0)


def test_nothing_but_unreadable_files_is_refused(files):
    for index in range(24):
        Path(files.source(index)).write_bytes(b"")
    with pytest.raises(UnreadableImageError, match=r"^24 of 24 images cannot be read:"):
        trainer.train(small_model(), files, verbose=0)


def test_epochs_are_rows_of_a_table_under_one_heading(squares, capsys):
    """A window of 80 columns breaks no line."""
    history = trainer.train(
        small_model(), squares[:64], validation_data=squares[64:], epochs=3, augmentation=None, verbose=2
    )
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("augmentation")]
    heading = next(line for line in lines if line.split()[:1] == ["epoch"])
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "after"]
    assert heading.split() == columns
    begin = lines.index(heading)
    rows = [line.split() for line in lines[begin + 1 : begin + 4]]
    assert [row[0] for row in rows] == ["1/3", "2/3", "3/3"]
    assert len({len(line) for line in lines[begin : begin + 4]}) == 1
    assert len(heading) <= 80
    for name, told in zip(columns[1:-1], zip(*(row[1:-2] for row in rows), strict=True), strict=True):
        assert [float(one) for one in told] == pytest.approx(history[name], rel=0.01, abs=5e-5)
    assert heading not in lines[begin + 1 :]
