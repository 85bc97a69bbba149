"""What a recipe adds to a step, against formulas: micro-batches, averages, smoothing, mixing, memory that runs out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from imgcls import Dataset, ImageClassifier, TrainingError, _backend, architectures, trainer, transforms
from imgcls._backend import _inference


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")[:90]


@pytest.fixture(scope="module")
def pixels(digits):
    return np.stack([digits.read(index) for index in range(90)]).reshape(90, -1) / 255


def softmax_regression(seed=0):
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(10, activation="softmax", kernel_initializer=keras.initializers.RandomNormal(seed=seed)),
    ]
    return keras.Sequential(layers)


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("micro_batches", [2, 3, 7, 90, 200])
def test_micro_batches_take_the_step_of_the_whole_batch(digits, micro_batches):
    """Uneven parts too, and more parts than images."""

    def weights(count):
        model = softmax_regression()
        trainer.train(
            model,
            digits,
            optimizer=keras.optimizers.SGD(0.5),
            epochs=2,
            batch_size=45,
            micro_batches=count,
            sample_weight=np.linspace(0.5, 2, 90),
            verbose=0,
        )
        return model.get_weights()

    for one, other in zip(weights(micro_batches), weights(1), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_micro_batches_count_regularisation_once(digits):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(
                10, activation="softmax", kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(0.1)
            ),
        ]
    )
    history = trainer.train(
        model, digits, optimizer="sgd", learning_rate=1e-12, epochs=1, batch_size=90, micro_batches=4, verbose=0
    )
    assert history["loss"][0] == pytest.approx(np.log(10) + 64.0, rel=1e-4)  # 640 ones squared, times 0.1


def test_label_smoothing_takes_the_step_of_smoothed_targets(digits, pixels):
    model = softmax_regression()
    kernel, bias = model.get_weights()
    trainer.train(
        model,
        digits,
        optimizer=keras.optimizers.SGD(1.0),
        epochs=1,
        batch_size=90,
        label_smoothing=0.2,
        loss="sparse_categorical_crossentropy",
        verbose=0,
    )
    targets = np.eye(10)[digits.labels] * 0.8 + 0.02
    gradient = pixels.T @ (softmax(pixels @ kernel + bias) - targets) / 90
    np.testing.assert_allclose(model.get_weights()[0], kernel - gradient, rtol=1e-4, atol=1e-6)


def test_clipping_shortens_the_gradient_of_all_weights_together(digits, pixels):
    model = softmax_regression()
    kernel, bias = model.get_weights()
    trainer.train(
        model,
        digits,
        optimizer="sgd",
        learning_rate=1.0,
        weight_decay=None,
        clip_norm=0.01,
        epochs=1,
        batch_size=90,
        verbose=0,
    )
    change = [one - two for one, two in zip(model.get_weights(), (kernel, bias), strict=True)]
    length = np.sqrt(sum((one**2).sum() for one in change))
    assert length == pytest.approx(0.01 * 1.9, rel=1e-3)  # Nesterov's first step is 1 + momentum times the gradient


def test_the_average_is_that_of_the_weights_after_each_step_and_is_what_is_kept(digits):
    """The mean of all weights so far, each older one worth 0.7 times the next; Keras starts with the first."""
    seen = []

    class Recorder(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(self.model.get_weights()[0].copy())

    model = softmax_regression()
    trainer.train(model, digits, average=0.7, epochs=3, batch_size=30, callbacks=[Recorder()], verbose=0)
    average = seen[0]
    for weights in seen[1:]:
        average = 0.7 * average + 0.3 * weights
    np.testing.assert_allclose(model.get_weights()[0], average, rtol=1e-4, atol=1e-6)


def test_validation_measures_the_average_and_training_goes_on_from_the_last_weights(digits):
    logs = []

    class Recorder(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs_=None):
            logs.append((self.model.get_weights()[0].copy(), logs_["val_loss"]))

    def run(callbacks):
        model = softmax_regression()
        trainer.train(
            model, digits, validation_data=digits, average=0.9, epochs=3, batch_size=30, callbacks=callbacks, verbose=0
        )
        return model

    model = run([Recorder()])
    np.testing.assert_array_equal(logs[-1][0], model.get_weights()[0])
    images = np.stack([digits.read(index) for index in range(90)])
    loss = keras.losses.SparseCategoricalCrossentropy()(digits.labels, model(images))
    assert logs[-1][1] == pytest.approx(float(loss), rel=1e-5)


def test_mixing_stops_for_the_last_steps(digits):
    """A layer that darkens every image shows when it is used."""

    class Marker(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, images, targets, weights):
            self.calls.assign_add(1.0)
            return images, targets, weights

    marker, seen = Marker(), []
    count = keras.callbacks.LambdaCallback(on_train_end=lambda logs: seen.append(float(marker.calls)))
    trainer.train(softmax_regression(), digits, mixing=marker, epochs=20, batch_size=90, callbacks=[count], verbose=0)
    assert seen == [17]  # 85 % of 20 steps


def test_accuracy_of_mixed_images_is_that_of_the_larger_share(digits):
    model = softmax_regression()
    history = trainer.train(
        model,
        digits,
        mixing=transforms.mixing("cutmix", seed=1),
        epochs=12,
        learning_rate=0.01,
        batch_size=30,
        verbose=0,
    )
    assert history["accuracy"][9] > 0.5
    assert history["accuracy"][-1] > 0.9  # no longer mixed


class Limited(keras.layers.Layer):
    """Fails where there are more than so many images: by a check, or as memory does, which TensorFlow tries for 10 s."""

    def __init__(self, most, *, truly):
        super().__init__()
        self.most, self.truly = most, truly

    def call(self, images):
        import tensorflow as tf

        count = tf.shape(images, out_type=tf.int64)[0]
        if not self.truly:
            with tf.control_dependencies([tf.debugging.assert_less_equal(count, tf.constant(self.most, tf.int64))]):
                return tf.identity(images)
        beyond_addresses = tf.where(count > self.most, tf.constant(2**46, tf.int64), tf.constant(1, tf.int64))
        return images + 0.0 * tf.reduce_max(tf.random.stateless_uniform(beyond_addresses[None], seed=[1, 2]))


@pytest.fixture
def failing_checks(monkeypatch):
    """Take a failed check for memory that ran out."""
    for module in (_backend, _inference):
        monkeypatch.setattr(module, "OutOfMemory", tf.errors.InvalidArgumentError)


def limited_model(most, *, truly=False):
    inputs = keras.Input((8, 8, 1))
    x = Limited(most, truly=truly)(inputs)
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(x))
    outputs = keras.layers.Dense(10, activation="softmax", kernel_initializer="zeros")(x)
    return keras.Model(inputs, outputs)


def test_out_of_memory_goes_on_with_micro_batches_and_the_same_gradient(digits, capsys, failing_checks):
    model = limited_model(8)
    trainer.train(model, digits, optimizer=keras.optimizers.SGD(1.0), epochs=1, batch_size=30, verbose=2)
    assert capsys.readouterr().err.splitlines()[:2] == [
        f"out of memory: a batch of 30 goes through the model in {parts} parts from now on, their gradients accumulated"
        for parts in (2, 4)
    ]
    free = limited_model(1000)
    trainer.train(free, digits, optimizer=keras.optimizers.SGD(1.0), epochs=1, batch_size=30, verbose=0)
    for one, other in zip(model.get_weights(), free.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_validation_and_the_doctor_make_do_with_the_memory_there_is(digits, failing_checks):
    """Both look at whole batches, one in use and one in both modes."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3)(Limited(8, truly=False)(inputs))
    x = keras.layers.Flatten()(keras.layers.BatchNormalization(momentum=0.5)(x))
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
    history = trainer.train(
        model, digits, validation_data=digits[:50], epochs=2, batch_size=30, micro_batches=4, verbose=0
    )
    assert history.epochs == 2
    images = np.stack([digits.read(index) for index in range(50)])
    parts = [model(part, training=False) for part in np.array_split(images, 10)]
    truth = keras.losses.SparseCategoricalCrossentropy()(digits.labels[:50], np.concatenate(parts))
    assert history["val_loss"][-1] == pytest.approx(float(truth), rel=1e-5)


def test_what_comes_after_training_makes_do_with_the_memory_there_is(tmp_path, failing_checks):
    """Images held out are looked at, evaluated and answered in passes of 32."""
    digits = Dataset.builtin("digits")
    train, other = digits[:120], digits[120:180]

    def limited(shape, classes):
        inputs = keras.Input(shape)
        x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(Limited(4, truly=False)(inputs)))
        return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(x))

    classifier = ImageClassifier(limited, image_size=8, epochs=1, batch_size=4, augmentation=None)
    classifier.fit(train, validation_data=other, verbose=0)
    images = np.stack([other.read(index) for index in range(60)])
    four_by_four = [classifier.model_(part, training=False) for part in np.array_split(images, 15)]
    expected = pytest.approx(np.concatenate(four_by_four), abs=1e-5)
    assert classifier.held_out_.probabilities == expected
    assert classifier.evaluate(other).probabilities == expected
    assert classifier.predict(other, abstain="unknown").probabilities == expected
    streamed = classifier.predict(iter(images))
    assert np.array([[one.probabilities[name] for name in classifier.classes_] for one in streamed]) == expected
    assert len(classifier.predict_to(tmp_path / "answers.csv", other).ids) == 60
    assert classifier.explain(images[0], method="occlusion").heat.shape == (8, 8)


def test_what_has_not_fitted_is_not_tried_again():
    tried = []

    def run(images):
        tried.append(len(images))
        if len(images) > 3:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return images[:, 0, 0].astype(np.float32)

    fitting, images = _inference.in_parts(run), np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    assert fitting(images)[:, 0].tolist() == list(range(10))
    assert tried == [10, 5, 3, 3, 2, 2]
    tried.clear()
    assert fitting(images[:4])[:, 0].tolist() == [0, 1, 2, 3]
    assert fitting(images[:0]).shape == (0, 1)
    assert tried == [2, 2, 0]


def test_one_image_that_does_not_fit_is_told_in_words(failing_checks):
    run = _backend.compiled(limited_model(0))
    with pytest.raises(TrainingError) as refusal:
        run(np.zeros((5, 8, 8, 1), np.uint8))
    assert str(refusal.value) == (
        "one image of 8 x 8 pixels does not fit into the memory of the device. Free it from other programs, compute on "
        "the CPU (CUDA_VISIBLE_DEVICES=-1), or train with a smaller image_size or architecture."
    )


def test_one_image_that_does_not_fit_is_an_error(digits, failing_checks):
    with pytest.raises(TrainingError) as refusal:
        trainer.train(limited_model(0), digits, epochs=1, batch_size=30, verbose=0)
    assert str(refusal.value) == (
        "one image of 8 x 8 pixels does not fit into the memory of the device. Give a smaller image_size or "
        "architecture."
    )


@pytest.mark.slow
def test_memory_that_truly_runs_out_is_seen(digits, capsys):
    history = trainer.train(limited_model(15, truly=True), digits[:30], epochs=1, batch_size=30, verbose=2)
    assert history.epochs == 1
    assert "in 2 parts from now on" in capsys.readouterr().err


def test_capture_and_restore_hold_all_that_a_step_changes(digits):
    """Three steps, back, and three steps again: the same bits, dropout and augmentation included."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    goal = trainer.objective(num_classes=10, multi_label=False)
    step = _backend.TrainingStep(
        model,
        trainer.optimizer("adamw", average=0.9),
        goal,
        augmentation=transforms.augmentation("strong"),
        mixing=transforms.mixing("both"),
        one_label=True,
        targets=goal.spec(),
    )
    images = np.stack([digits.read(index) for index in range(30)])
    targets, weights = goal.targets(digits.labels[:30]), np.ones(30, np.float32)
    step(images, targets, weights)
    before = step.capture()
    for _ in range(3):
        step(images, targets, weights, rate=0.01)
    after = step.capture()
    assert any((one != other).any() for one, other in zip(before, after, strict=True))
    step.restore(before)
    for _ in range(3):
        step(images, targets, weights, rate=0.01)
    for one, other in zip(step.capture(), after, strict=True):
        np.testing.assert_array_equal(one, other)


class Fading(keras.layers.Layer):
    """Makes its variables, random state among them, when it is first called; darkens images more with each step."""

    def build(self, images_shape):
        self.light = self.add_weight(shape=(), initializer="ones", trainable=False, name="light")
        self.generator = keras.random.SeedGenerator(7)

    def call(self, images, *more):
        self.light.assign(self.light * 0.9)
        drawn = keras.random.uniform((), seed=self.generator)
        return (images * self.light * drawn, *more) if more else images * self.light * drawn


@pytest.mark.parametrize("argument", ["augmentation", "mixing"])
def test_what_a_layer_makes_when_it_is_first_called_is_part_of_the_state_from_the_beginning(digits, argument):
    model, goal, layer = softmax_regression(), trainer.objective(num_classes=10, multi_label=False), Fading()
    layers = {"augmentation": None, "mixing": None, argument: layer}
    step = _backend.TrainingStep(
        model, trainer.optimizer("sgd", 0.1), goal, **layers, one_label=True, targets=goal.spec()
    )
    beginning = step.capture()
    assert float(layer.light) == 1
    assert layer.generator.state.numpy().tolist() == [7, 0]  # nothing was drawn to make it
    images = np.stack([digits.read(index) for index in range(30)])
    targets, weights = goal.targets(digits.labels[:30]), np.ones(30, np.float32)
    ends = []
    for _ in range(2):
        for _ in range(3):
            step(images, targets, weights)
        ends.append(step.capture())
        assert float(layer.light) == pytest.approx(0.9**3)
        step.restore(beginning)
        assert float(layer.light) == 1
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)


# --- XLA ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow  # on a CPU XLA takes seconds for each graph
@pytest.mark.parametrize(
    "recipe",
    [
        {"optimizer": "muon", "augmentation": "flip_shift", "label_smoothing": 0.2},
        {"micro_batches": 3, "mixing": "mixup", "augmentation": "standard", "batch_size": 64},  # 64 and 26 images
        {"progressive_resizing": True, "epochs": 3},
    ],
)
def test_with_xla_the_steps_are_the_same(digits, recipe):
    plain = {"epochs": 1, "optimizer": "sgd"}  # Adam would make much of gradients that are zero but for rounding

    def trained(jit_compile):
        model = architectures.build("speed_cnn_narrow", input_shape=(20, 20, 1), num_classes=10, dropout=0, seed=0)
        before = model.get_weights()
        history = trainer.train(model, digits, **plain | recipe, jit_compile=jit_compile, verbose=0)
        moved = [after - start for after, start in zip(model.get_weights(), before, strict=True)]
        return history["loss"], moved

    (loss, moved), (same, expected) = trained(jit_compile=True), trained(jit_compile=False)
    np.testing.assert_allclose(loss, same, rtol=1e-4)
    for one, other in zip(moved, expected, strict=True):
        # Rounding decides which of two equal pixels a maximum is taken from, and so where single gradients go.
        assert np.linalg.norm(one - other) <= 0.01 * np.linalg.norm(other)


def test_xla_compiles_what_is_asked_and_names_what_it_cannot(digits):
    """XLA has no kernel for what calls Python, or warps images: that such a step is refused shows that it is at work."""

    class Through(keras.layers.Layer):
        def call(self, pixels):
            return tf.ensure_shape(tf.py_function(lambda one: one, [pixels], tf.float32), pixels.shape)

    def model():
        return keras.Sequential([keras.Input((8, 8, 1)), Through(), softmax_regression()])

    trainer.train(model(), digits, epochs=1, verbose=0)
    with pytest.raises(TrainingError) as refusal:
        trainer.train(model(), digits, epochs=1, jit_compile=True, verbose=0)
    assert str(refusal.value) == (
        "jit_compile=True: XLA cannot compile EagerPyFunc of this model. Give jit_compile=False."
    )
    history = trainer.train(
        softmax_regression(), digits, epochs=1, augmentation="standard", jit_compile=True, verbose=0
    )
    assert history.epochs == 1
