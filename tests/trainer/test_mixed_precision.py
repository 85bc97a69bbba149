"""Dtype policies that Keras sets outside `precision=`: losses in float32, scaled in float16, averages that are kept."""

import keras
import numpy as np
import pytest
from sklearn.metrics import log_loss

from imgcls import Dataset, ImageClassifier, architectures, trainer


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")[:90]


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield keras.mixed_precision.set_global_policy
    keras.mixed_precision.set_global_policy(before)


def own_model(dtype=None, *, hidden=16):
    """Return a network of two layers, the last of which computes in `dtype`."""
    first, second = (keras.initializers.GlorotUniform(seed=seed) for seed in (1, 2))
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Flatten(),
        keras.layers.Dense(hidden, activation="relu", kernel_initializer=first, dtype=dtype),
        keras.layers.Dense(10, activation="softmax", kernel_initializer=second, dtype=dtype),
    ]
    return keras.Sequential(layers)


def test_a_global_policy_leaves_a_named_architecture_to_precision(digits, policy):
    """`precision` says float32: the same bits as without a policy, head and preprocessing included."""

    def fitted():
        return ImageClassifier("small_cnn", image_size=8, epochs=2, precision="float32").fit(digits, verbose=0)

    plain = fitted()
    policy("mixed_bfloat16")
    other = fitted()
    assert other.history_["loss"] == plain.history_["loss"]
    np.testing.assert_array_equal(other.predict_proba(digits), plain.predict_proba(digits))


def test_a_global_policy_rounds_nothing_that_is_learnt_from_images_held_out(policy):
    data = Dataset.builtin("digits")[:150]

    def fitted():
        classifier = ImageClassifier("small_cnn", image_size=8, epochs=2, precision="float32")
        return classifier.fit(data[:90], validation_data=data[90:], verbose=0)

    plain = fitted()
    policy("mixed_bfloat16")
    other = fitted()
    assert other.temperature_ == plain.temperature_
    arrays = plain._trust.arrays()
    assert {"held_out/probabilities", "familiarity/known", "familiarity/distances"} <= set(arrays)
    for name, array in other._trust.arrays().items():
        np.testing.assert_array_equal(array, arrays[name], name)
    promised = [one.predict(data, abstain="unknown").to_frame() for one in (plain, other)]
    assert promised[0].equals(promised[1])


@pytest.mark.parametrize("augmentation", [None, "light", keras.layers.RandomTranslation(0.1, 0.1, dtype="bfloat16")])
@pytest.mark.parametrize("named", ["mixed_bfloat16", "mixed_float16"])
def test_head_and_preprocessing_are_float32_under_a_global_policy(digits, policy, named, augmentation):
    policy(named)
    model = architectures.build(
        lambda shape, _: keras.Sequential([keras.Input(shape), keras.layers.Conv2D(8, 3)]),
        input_shape=(8, 8, 1),
        num_classes=10,
        test_time_augmentation="flip",
    )
    own = {layer.name for layer in model.get_layer("backbone")._flatten_layers()}
    computed = {layer.name: layer.compute_dtype for layer in model._flatten_layers() if layer.name not in own}
    assert set(computed.values()) == {"float32"}
    assert {"images", "normalization", "pooling", "dropout", "head"} <= set(computed)
    assert model.get_layer("backbone").layers[-1].compute_dtype == named.removeprefix("mixed_")
    history = trainer.train(model, digits, epochs=2, mixing="mixup", augmentation=augmentation, verbose=0)
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("auto", log_loss),
        ("sparse_categorical_crossentropy", log_loss),
        ("mean_squared_error", lambda codes, outputs: ((np.eye(10)[codes] - outputs) ** 2).mean()),
        (lambda targets, outputs: targets - outputs, lambda codes, outputs: (np.eye(10)[codes] - outputs).mean()),
    ],
)
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_the_loss_of_a_model_with_a_policy_is_computed_in_float32(digits, dtype, loss, expected):
    model = own_model(dtype)
    history = trainer.train(
        model,
        digits,
        validation_data=digits,
        loss=loss,
        optimizer="sgd",
        learning_rate=1e-12,
        epochs=1,
        batch_size=30,
        verbose=0,
    )
    images = np.stack([digits.read(index) for index in range(90)])
    outputs = np.asarray(model(images), np.float64)
    outputs = outputs / outputs.sum(axis=1, keepdims=True)  # as a cross-entropy of Keras does
    truth = expected(np.asarray(digits.labels), outputs)
    assert history["loss"][0] == pytest.approx(truth, rel=2e-3, abs=2e-4)
    assert history["val_loss"][0] == pytest.approx(truth, rel=2e-3, abs=2e-4)
    assert history["accuracy"][0] == pytest.approx(history["val_accuracy"][0])


def test_regularisation_in_another_precision_is_part_of_the_loss(digits):
    layers = [
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(
            10, activation="softmax", activity_regularizer=keras.regularizers.L2(1.0), dtype="mixed_bfloat16"
        ),
    ]
    history = trainer.train(keras.Sequential(layers), digits, epochs=1, verbose=0)
    assert np.isfinite(history["loss"][0])


def small_loss(targets, outputs):
    return 1e-7 * keras.losses.categorical_crossentropy(targets, outputs)


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_in_float16_the_loss_is_scaled(digits, micro_batches):
    """The gradient of such a small loss is 0 in float16; scaled, the step is that of float32."""

    def step(dtype, optimizer):
        model = own_model(dtype)
        before = model.get_weights()[2]
        trainer.train(
            model,
            digits,
            optimizer=optimizer,
            loss=small_loss,
            epochs=1,
            batch_size=90,
            micro_batches=micro_batches,
            verbose=0,
        )
        return model.get_weights()[2] - before

    expected = step("float32", keras.optimizers.SGD(1e6))
    assert np.linalg.norm(expected) > 1e-3
    for optimizer in (keras.optimizers.SGD(1e6), keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e6))):
        moved = step("mixed_float16", optimizer)
        assert np.linalg.norm(moved - expected) < 0.02 * np.linalg.norm(expected)


@pytest.mark.parametrize(("dtype", "rounding"), [("bfloat16", 0.05), ("float16", 0.01), ("float64", 1e-5)])
def test_gradients_of_weights_in_another_precision_are_added_up(digits, dtype, rounding):
    """Not only computed in it, as mixed policies say: the weights are of that type, and so are their gradients."""

    def step(dtype, micro_batches):
        model = own_model(dtype)
        model.set_weights(own_model().get_weights())  # initialisers draw others in each type
        before = [np.asarray(weight, np.float64) for weight in model.get_weights()]
        engine = keras.optimizers.SGD(10.0)
        trainer.train(model, digits, optimizer=engine, epochs=1, batch_size=90, micro_batches=micro_batches, verbose=0)
        return [np.asarray(after, np.float64) - one for after, one in zip(model.get_weights(), before, strict=True)]

    for moved, expected in zip(step(dtype, 7), step("float32", 1), strict=True):
        assert np.linalg.norm(moved - expected) < rounding * np.linalg.norm(expected)


def test_in_float16_the_average_is_kept(digits):
    """The mean of all weights so far, each older one worth 0.7 times the next; Keras starts with the first."""
    seen = []

    class Recorder(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(self.model.get_weights()[0].copy())

    model = own_model("mixed_float16")
    history = trainer.train(
        model, digits, average=0.7, epochs=3, batch_size=30, callbacks=[Recorder()], validation_data=digits, verbose=0
    )
    average = seen[0]
    for weights in seen[1:]:
        average = 0.7 * average + 0.3 * weights
    np.testing.assert_allclose(model.get_weights()[0], average, rtol=1e-4, atol=1e-6)
    images = np.stack([digits.read(index) for index in range(90)])
    own = np.asarray(model(images), float)[np.arange(90), digits.labels]
    assert history["val_loss"][-1] == pytest.approx(-np.log(own).mean(), rel=5e-3)


def test_the_average_of_an_optimizer_within_one_that_scales_the_loss_is_kept(digits):
    def weights(wrap):
        model = own_model()
        engine = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
        trainer.train(model, digits, optimizer=wrap(engine), epochs=3, batch_size=30, verbose=0)
        return model.get_weights()

    for one, other in zip(weights(keras.optimizers.LossScaleOptimizer), weights(lambda engine: engine), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
