"""The range test leaves the model as it was, and its curve is that of training at those rates."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from imgcls import (
    ConfigurationError,
    DataError,
    Dataset,
    ImageClassifier,
    TrainingError,
    _backend,
    architectures,
    trainer,
    transforms,
)


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")[:300]


def new_model():
    return architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)


def test_the_model_is_left_as_it_was(digits):
    model = new_model()
    before = model.get_weights()
    curve = trainer.lr_find(model, digits, steps=30, verbose=0)
    assert all((one == other).all() for one, other in zip(before, model.get_weights(), strict=True))
    assert curve.rates[0] == pytest.approx(1e-6)
    assert len(curve.rates) == len(curve.losses) <= 30
    np.testing.assert_allclose(np.diff(np.log(curve.rates)), np.log(1e7) / 29)


class Unknown(keras.optimizers.schedules.LearningRateSchedule):
    """Is not registered with Keras, and cannot tell its settings."""

    def __call__(self, step):
        return 0.3


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: "rmsprop",
        lambda: keras.optimizers.RMSprop(0.3),
        lambda: keras.optimizers.RMSprop(Unknown()),
        lambda: keras.optimizers.RMSprop(lambda: 0.3),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.RMSprop(0.3), initial_scale=8.0),
    ],
    ids=["name", "number", "schedule", "function", "scaled"],
)
def test_losses_are_those_of_plain_gradient_descent_at_these_rates(digits, optimizer):
    """Softmax regression on one batch an epoch, computed anew with NumPy; whatever leads the rate of an optimizer."""
    given = optimizer()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax", use_bias=False, kernel_initializer="zeros"),
        ]
    )
    curve = trainer.lr_find(
        model, digits, optimizer=given, batch_size=300, lowest=1e-4, highest=1e-2, steps=12, verbose=0
    )
    pixels = np.stack([digits.read(index) for index in range(300)]).reshape(300, -1) / 255
    truth, kernel, velocity, losses = np.eye(10)[digits.labels], np.zeros((64, 10)), np.zeros((64, 10)), []
    for rate in curve.rates:
        logits = pixels @ kernel
        outputs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        losses.append(-np.log(outputs[truth == 1]).mean())
        gradient = pixels.T @ (outputs - truth) / 300
        velocity = 0.9 * velocity + 0.1 * gradient**2  # RMSprop, Keras' rho and epsilon
        kernel -= rate * gradient / np.sqrt(velocity + 1e-7)
    np.testing.assert_allclose(curve.losses, losses, rtol=1e-4)
    if not isinstance(given, str):
        assert float(given.learning_rate) == pytest.approx(0.3)
        assert not given.built


def test_decay_clipping_and_class_weights_are_those_of_training(digits):
    """The same with SGD, Nesterov momentum and decay as Loshchilov and Hutter have it."""
    layers = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(10, "softmax", use_bias=False, kernel_initializer="zeros")])
    recipe = {"weight_decay": np.float64(0.5), "clip_norm": np.float64(0.02), "class_weight": {digits.classes[3]: 7}}
    options = {"optimizer": "sgd", "batch_size": 300, "lowest": 0.1, "highest": 1.0, "steps": 12, "verbose": 0}
    curve = trainer.lr_find(model, digits, **recipe, **options)
    pixels = np.stack([digits.read(index) for index in range(300)]).reshape(300, -1) / 255
    weights = np.where(digits.labels == 3, 7.0, 1.0)
    truth, kernel, velocity, losses, clipped = np.eye(10)[digits.labels], np.zeros((64, 10)), 0, [], []
    for rate in curve.rates:
        outputs = np.exp(pixels @ kernel)
        outputs /= outputs.sum(axis=1, keepdims=True)
        losses.append((weights * -np.log(outputs[truth == 1])).mean())
        gradient = pixels.T @ ((outputs - truth) * weights[:, None]) / 300
        clipped.append(np.linalg.norm(gradient) > 0.02)
        gradient *= min(1, 0.02 / np.linalg.norm(gradient))
        velocity = 0.9 * velocity - rate * gradient
        kernel = kernel * (1 - 0.5 * rate) + 0.9 * velocity - rate * gradient
    assert all(clipped)
    np.testing.assert_allclose(curve.losses, losses, rtol=1e-4)


def test_it_ends_where_the_loss_explodes(digits):
    curve = trainer.lr_find(new_model(), digits, optimizer="sgd", highest=1e6, steps=60, verbose=0)
    assert len(curve.rates) < 60


def test_the_classifier_tests_its_own_recipe(digits):
    recipe = {"weight_decay": 0.1, "clip_norm": 0.5, "class_weight": {digits.classes[3]: 7.0}}
    classifier = ImageClassifier("small_cnn", image_size=8, optimizer="sgd", batch_size=50, **recipe)
    curve = classifier.lr_find(digits, steps=40, verbose=0)
    assert not hasattr(classifier, "model_")
    plan = trainer.plan(classifier.get_params(), digits, None)
    names = ("optimizer", "batch_size", "augmentation", "seed", *recipe)
    again = trainer.lr_find(plan.build(), digits, **{one: plan.settings[one] for one in names}, steps=40, verbose=0)
    np.testing.assert_array_equal(curve.losses, again.losses)


@pytest.mark.parametrize("own", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_pretrained_backbone_is_tested_as_it_is_fine_tuned(digits, tmp_path, own):
    """Against `fit` itself, whose Keras schedule takes the same rates, one batch an epoch."""
    others = Dataset.builtin("digits")[300:]
    pretrained = ImageClassifier("small_cnn", image_size=8, epochs=2, augmentation=None).fit(others, verbose=0)
    pretrained.model_.get_layer("backbone").save_weights(tmp_path / "backbone.weights.h5")
    recipe = {"weights": tmp_path / "backbone.weights.h5", "fine_tune": True, "dropout": 0.0, "augmentation": None}
    classifier = ImageClassifier("small_cnn", image_size=8, batch_size=300, engine="tensorflow", **recipe)
    rates = keras.optimizers.schedules.ExponentialDecay(1e-6, decay_steps=1, decay_rate=float(1e7 ** (1 / 13)))
    leading = {"optimizer": keras.optimizers.AdamW(rates)} if own else {"learning_rate": rates}
    curve = classifier.set_params(**leading if own else {}).lr_find(digits, steps=14, verbose=0)
    fitted = classifier.set_params(**leading, epochs=8).fit(digits, verbose=0)
    assert fitted.choices_["head"].value == "solved"
    np.testing.assert_allclose(curve.losses[:8], fitted.history_["loss"], rtol=1e-4)
    assert curve.losses[7] < curve.losses[0] < 1 < np.log(10)  # of a head from random numbers


def test_an_optimizer_that_is_not_taken_is_refused_before_images_are_embedded(digits, tmp_path, monkeypatch):
    pretrained = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
    pretrained.get_layer("backbone").save_weights(tmp_path / "backbone.weights.h5")
    monkeypatch.setattr(trainer, "transfer", None)
    many = keras.optimizers.MultiOptimizer(lambda variable: keras.optimizers.SGD())
    recipe = {"weights": tmp_path / "backbone.weights.h5", "fine_tune": True, "optimizer": many}
    with pytest.raises(ConfigurationError, match=r"^optimizer=MultiOptimizer has a learning rate for each part, "):
        ImageClassifier("small_cnn", image_size=8, **recipe).lr_find(digits, verbose=0)


def test_a_first_layer_that_does_not_learn_is_one_that_is_frozen(digits):
    def losses(**options):
        keras.utils.set_random_seed(0)
        first = keras.layers.Dense(20, "relu", use_bias=False, trainable=options.pop("trainable", True))
        last = keras.layers.Dense(10, "softmax", use_bias=False)
        pixels = [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
        model = keras.Sequential([*pixels, first, last])
        options |= {"optimizer": "rmsprop", "lowest": 1e-3, "highest": 0.1, "steps": 12}  # without weight decay
        return trainer.lr_find(model, digits, verbose=0, **options).losses

    np.testing.assert_allclose(losses(first_layer_rate=1e-9), losses(trainable=False), rtol=1e-4)
    assert abs(losses()[-1] - losses(trainable=False)[-1]) > 0.01
    for wrong in (0, 1.5, "a", None):
        with pytest.raises(ConfigurationError, match=r"is not accepted\. Accepted: a number above 0, up to 1\.$"):
            losses(first_layer_rate=wrong)


def test_an_augmentation_by_name_is_its_layer(digits):
    def losses(augmentation):
        options = {"steps": 4, "lowest": 1e-3, "seed": 3, "verbose": 0}
        return trainer.lr_find(new_model(), digits, augmentation=augmentation, **options).losses

    np.testing.assert_array_equal(losses("light"), losses(transforms.augmentation("light", seed=3)))
    assert (losses("light") != losses(None)).any()


def test_a_layer_that_makes_its_variables_when_it_is_first_called_is_tested_too(digits):
    class Times(keras.layers.Layer):
        def build(self, shape):
            self.factor = self.add_weight(shape=(), initializer="ones", trainable=False)

        def call(self, images):
            return images * self.factor

    def losses(augmentation):
        model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10, seed=0)
        return trainer.lr_find(model, digits, augmentation=augmentation, steps=4, lowest=1e-3, verbose=0).losses

    np.testing.assert_allclose(losses(Times()), losses(None), rtol=1e-5)


def test_models_that_the_step_cannot_train_are_refused_as_by_train(digits):
    wrong = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=3)
    with pytest.raises(ConfigurationError, match=r"^the model has \(3,\) outputs and 10 classes need \(10,\)\.$"):
        trainer.lr_find(wrong, digits, verbose=0)
    own = type("Own", (keras.Model,), {"call": lambda self, images: images})()
    with pytest.raises(ConfigurationError, match=r"^model=Own is not accepted: Keras does not know its shapes"):
        trainer.lr_find(own, digits, verbose=0)


class Limited(keras.layers.Layer):
    """Fails a check where more images than so many come at once."""

    def __init__(self, most):
        super().__init__()
        self.most = most

    def call(self, images):
        count = tf.shape(images)[0]
        with tf.control_dependencies([tf.debugging.assert_less_equal(count, self.most)]):
            return tf.identity(images)


def test_memory_that_runs_out_is_no_end_and_changes_no_loss(digits, monkeypatch, capsys):
    monkeypatch.setattr(_backend, "OutOfMemory", tf.errors.InvalidArgumentError)  # what a check that fails raises

    def losses(most):
        layers = [Limited(most), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
        layers += [keras.layers.Dense(10, activation="softmax", kernel_initializer="zeros")]
        model = keras.Sequential([keras.Input((8, 8, 1)), *layers])
        options = {"optimizer": "sgd", "batch_size": 30, "lowest": 0.01, "highest": 1.0, "steps": 12, "verbose": 2}
        return trainer.lr_find(model, digits, **options).losses

    expected = losses(30)
    assert "out of memory" not in capsys.readouterr().err
    np.testing.assert_allclose(losses(8), expected, rtol=1e-4)
    assert [line for line in capsys.readouterr().err.splitlines() if "memory" in line] == [
        f"out of memory: a batch of 30 goes through the model in {parts} parts from now on, their gradients accumulated"
        for parts in (2, 4)
    ]
    with pytest.raises(TrainingError, match=r"^one image of 8 x 8 pixels does not fit into the memory of the device\."):
        losses(0)


def test_the_parts_of_a_batch_that_were_asked_for_are_taken(digits, monkeypatch):
    seen, step = [], _backend.TrainingStep.__call__

    def called(self, *data, **options):
        seen.append(self.micro_batches)
        step(self, *data, **options)

    monkeypatch.setattr(_backend.TrainingStep, "__call__", called)
    ImageClassifier("small_cnn", image_size=8, micro_batches=np.int64(4)).lr_find(digits, steps=3, verbose=0)
    trainer.lr_find(new_model(), digits, micro_batches=np.int64(2), steps=3, verbose=0)
    assert seen == [4] * 3 + [2] * 3


def test_images_without_labels_are_refused_in_words():
    with pytest.raises(DataError, match=r"^data without labels cannot be trained on\. Give labels\.$"):
        trainer.lr_find(new_model(), Dataset.from_arrays(np.zeros((4, 8, 8), np.uint8)), verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lowest": 1.0, "highest": 0.1}, "lowest=1.0 is not below highest=0.1. Give a range that rises."),
        ({"lowest": 0}, "lowest=0 is not accepted. Accepted: a number above 0."),
        (
            {"optimizer": "adaam"},
            "optimizer='adaam' is not known. Did you mean 'adam'? Accepted: adam, adamw, sgd, rmsprop, muon.",
        ),
        (
            {"optimizer": keras.optimizers.SGD(), "clip_norm": 1.0},
            "clip_norm=1.0 goes with a named optimizer; SGD has its own. Leave it out.",
        ),
        ({"highest": np.inf}, "highest=inf is not accepted. Accepted: a finite number above 0."),
        (
            {"augmentation": "lite"},
            "augmentation='lite' is not known. Did you mean 'light'? Accepted: light, standard, strong, overhead, shift, flip_shift.",
        ),
        (
            {"rule": "steepest", "steps": 0},
            (
                "2 arguments are wrong:\n- steps=0 is not accepted. Accepted: a whole number of at least 1.\n"
                "- rule='steepest' is not known. Accepted: minimum, valley."
            ),
        ),
    ],
)
def test_refusals(digits, arguments, message):
    with pytest.raises(ConfigurationError) as refusal:
        trainer.lr_find(new_model(), digits, verbose=0, **arguments)
    assert str(refusal.value) == message


def test_an_augmentation_that_changes_the_size_is_refused_before_images_are_read(digits, monkeypatch):
    monkeypatch.setattr("imgcls.trainer._lr_find.Batches", lambda *_, **__: pytest.fail("images were read"))
    with pytest.raises(
        ConfigurationError, match=r"^augmentation=RandomCrop cannot be used for images of \(8, 8, 1\): "
    ):
        trainer.lr_find(new_model(), digits, augmentation=keras.layers.RandomCrop(6, 6), verbose=0)
