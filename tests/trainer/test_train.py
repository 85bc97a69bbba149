"""The loop: learns, weighs, stops early, obeys callbacks, repeats itself, survives Ctrl-C."""

import keras
import numpy as np
import pytest

from imgcls import ConfigurationError, DataError, Dataset, architectures, trainer


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


def test_early_stopping_restores_the_best_epoch(squares):
    """Validation labels are swapped, so that val_loss is lowest at the start and rises from there."""
    images = np.stack([squares.read(index) for index in range(96)])
    wrong = Dataset.from_arrays(images, 1 - squares.labels, classes=["dark", "bright"])
    recorder, model = Recorder(), small_model()
    history = trainer.train(
        model, squares, validation_data=wrong, epochs=30, batch_size=16, patience=2, callbacks=[recorder], verbose=0
    )
    assert history.epochs < 30
    assert history.best_epoch == int(np.argmin(history["val_loss"])) + 1 == history.epochs - 2
    best = recorder.weights[history.best_epoch - 1]
    assert all((a == b).all() for a, b in zip(best, model.get_weights(), strict=True))


def test_learning_rate_warms_up_and_falls_to_zero(squares):
    history = trainer.train(small_model(), squares, epochs=10, batch_size=16, verbose=0)
    rates = history["learning_rate"]
    assert 0 < rates[-1] < 1e-4  # the rate of the last step, which is not yet 0
    assert max(rates) == pytest.approx(2e-3, rel=0.05)


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


def test_regularisation_of_layers_is_part_of_the_loss(squares):
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(
            2, activation="softmax", kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(1.0)
        ),
    ]
    history = trainer.train(
        keras.Sequential(layers), squares, optimizer="sgd", learning_rate=1e-12, epochs=1, verbose=0
    )
    assert history["loss"][0] == pytest.approx(np.log(2) + 128, rel=1e-4)  # equal logits, and 64 * 2 ones squared


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
            "optimizer='adaam' is not known. Did you mean 'adam'? Accepted: adam, adamw, sgd, rmsprop.",
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
                "categorical_crossentropy, sparse_categorical_crossentropy, binary_crossentropy, or any Keras loss or its name."
            ),
        ),
        (
            {"class_weight": "balance"},
            "class_weight='balance' is not accepted. Accepted: None, 'balanced' or {class: weight}.",
        ),
        (
            {"class_weight": {"cat": 2.0}},
            (
                "class_weight={'cat': 2.0} names an unknown class or a weight below 0. "
                "Accepted: {class: weight} with classes among 'dark', 'bright'."
            ),
        ),
        (
            {"sample_weight": [1.0]},
            "sample_weight has shape (1,). Accepted: 96 finite numbers of at least 0, one an image.",
        ),
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
