"""Muon against NumPy's singular values, a re-computation from the paper's formulas, and itself after a restart."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from imgcls import Dataset, architectures
from imgcls.trainer._muon import Muon, orthogonalized

GENERATOR = np.random.default_rng(0)
# Name and shape of each variable of a small network for colour images: stem, depthwise, two hidden kernels, head.
VARIABLES = [
    ("kernel", (3, 3, 3, 8)),
    ("bias", (8,)),
    ("kernel", (3, 3, 8, 1)),
    ("gamma", (8,)),
    ("kernel", (3, 3, 8, 16)),
    ("kernel", (16, 80)),
    ("bias", (80,)),
    ("kernel", (80, 10)),
    ("bias", (10,)),
]
HIDDEN = {4, 5}


def variables():
    made = np.random.default_rng(1)
    return [keras.Variable(made.normal(size=shape).astype(np.float32), name=name) for name, shape in VARIABLES]


def gradients(seed):
    made = np.random.default_rng(seed)
    return [made.normal(size=shape).astype(np.float32) * 0.1 for _, shape in VARIABLES]


# --- orthogonalisation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(16, 16), (72, 16), (16, 80), (1, 5)])
def test_singular_values_lie_in_the_published_band_and_vectors_stay(shape):
    left, _, right = np.linalg.svd(GENERATOR.normal(size=shape), full_matrices=False)
    values = np.geomspace(1, 1 / 100, min(shape))
    result = np.asarray(orthogonalized(((left * values) @ right).astype(np.float32)))
    inside = left.T @ result @ right.T  # diagonal where singular vectors are kept
    np.testing.assert_allclose(inside, np.diag(np.diag(inside)), atol=1e-4)
    found = np.diag(inside)
    assert found.min() > 0.65
    assert found.max() < 1.21
    np.testing.assert_allclose(np.sort(np.linalg.svd(result, compute_uv=False)), np.sort(found), atol=1e-4)


def test_each_singular_value_goes_through_the_quintic():
    values = np.array([0.8, 0.5, 0.01])
    expected = values / np.linalg.norm(values)
    for _ in range(5):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    np.testing.assert_allclose(np.diag(orthogonalized(np.diag(values).astype(np.float32))), expected, rtol=1e-5)


def test_nothing_to_learn_changes_nothing():
    assert not np.asarray(orthogonalized(np.zeros((4, 3), np.float32))).any()


# --- a step ------------------------------------------------------------------------------------------------------------


def newton_schulz(matrix, steps=5):
    x = matrix / (np.linalg.norm(matrix) + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def trained_by_numpy(steps, *, rate, decay):
    """Train by the formulas of Jordan et al. (hidden kernels) and Loshchilov and Hutter (all else), in float64."""
    weights = [one.numpy().astype(float) for one in variables()]
    first, second = [np.zeros_like(one) for one in weights], [np.zeros_like(one) for one in weights]
    for step in range(1, steps + 1):
        for index, gradient in enumerate(gradients(step)):
            weights[index] *= 1 - rate * decay
            if index in HIDDEN:
                first[index] = 0.95 * first[index] + gradient
                update = gradient + 0.95 * first[index]
                filters = update.reshape(-1, update.shape[-1]).T  # (out, in * h * w)
                rows, columns = filters.shape
                filters = newton_schulz(filters) * max(1, rows / columns) ** 0.5
                weights[index] -= rate * filters.T.reshape(update.shape)
            else:
                first[index] = 0.9 * first[index] + 0.1 * gradient
                second[index] = 0.95 * second[index] + 0.05 * gradient**2
                mean, square = first[index] / (1 - 0.9**step), second[index] / (1 - 0.95**step)
                weights[index] -= 0.1 * rate * mean / (np.sqrt(square) + 1e-10)
    return weights


@pytest.mark.parametrize("compiled", [False, True])
def test_steps_equal_the_published_formulas(compiled):
    model, engine = variables(), Muon(0.05, weight_decay=0.1)
    engine.build(model)
    step = tf.function(lambda *pieces: engine.apply(pieces, model)) if compiled else lambda *p: engine.apply(p, model)
    for seed in (1, 2, 3):
        step(*map(tf.constant, gradients(seed)))
    for index, (ours, expected) in enumerate(zip(model, trained_by_numpy(3, rate=0.05, decay=0.1), strict=True)):
        np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-4, atol=1e-5, err_msg=str(VARIABLES[index]))


def test_hidden_kernels_keep_one_moment_and_the_rest_two():
    engine = Muon()
    engine.build(variables())
    kept = [tuple(one.shape) for one in engine.variables if one.path.endswith("velocity")]
    assert kept == [shape for index, (_, shape) in enumerate(VARIABLES) if index not in HIDDEN]
    assert all(one.dtype == "float32" for one in engine.variables if one.path.endswith(("velocity", "momentum")))


@pytest.mark.parametrize(
    ("architecture", "size", "by_adam"),
    [
        ("small_resnet", 32, ["stem_conv/kernel", "head/kernel"]),
        ("small_cnn", 32, ["block1_conv/kernel", "head/kernel"]),
    ],
)
def test_every_convolution_but_the_first_is_orthogonalised(architecture, size, by_adam):
    model = architectures.build(architecture, input_shape=(size, size, 3), num_classes=10)
    engine = Muon()
    engine.build(model.trainable_variables)
    kernels = [one.path for one in model.trainable_variables if one.path.endswith("kernel")]
    velocities = {one.path for one in engine.variables if one.path.endswith("velocity")}
    adam = [path for path in kernels if any(path.replace("/", "_") in one for one in velocities)]
    assert adam == by_adam
    assert len(kernels) > len(adam)


def test_depthwise_convolutions_are_left_to_adamw():
    model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=10)
    engine = Muon()
    engine.build(model.trainable_variables)
    pairs = zip(model.trainable_variables, engine._velocities, strict=True)
    adam = [variable.path for variable, velocity in pairs if velocity is not None and len(variable.shape) > 1]
    depthwise = [one.path for one in model.trainable_variables if "depthwise" in one.path and len(one.shape) == 4]
    assert len(depthwise) == 17
    assert adam == ["Conv1/kernel", *depthwise, "predictions/kernel"]


def test_behind_a_frozen_backbone_the_head_is_all_there_is():
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10, fine_tune=False)
    engine = Muon()
    engine.build(model.trainable_variables)
    assert all(velocity is not None for velocity in engine._velocities)


# --- as a Keras optimizer ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    data = Dataset.builtin("digits")[:640]
    return np.stack([data.read(index) for index in range(640)]).astype(np.float32), np.asarray(data.labels)


def small_model():
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10, dropout=0.0, mean=[78], std=[96])
    model.compile(Muon(0.02, weight_decay=0.01, use_ema=True), "sparse_categorical_crossentropy")
    return model


def losses(model, digits, epochs):
    return model.fit(*digits, batch_size=64, epochs=epochs, shuffle=False, verbose=0).history["loss"]


def test_it_learns_digits_in_keras_own_fit(digits):
    history = losses(small_model(), digits, 4)
    assert history == sorted(history, reverse=True)
    assert history[-1] < 0.3 * history[0]


@pytest.mark.slow
def test_a_restored_optimizer_goes_on_bit_for_bit(digits):
    through, before = small_model(), small_model()
    expected = losses(through, digits, 2) + losses(through, digits, 1)
    losses(before, digits, 2)
    after = small_model()
    after.set_weights(before.get_weights())
    after.optimizer.build(after.trainable_variables)
    for mine, saved in zip(after.optimizer.variables, before.optimizer.variables, strict=True):
        mine.assign(saved.numpy())
    assert losses(after, digits, 1) == expected[2:]
    for ours, theirs in zip(after.get_weights(), through.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(after.optimizer.variables, through.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_its_settings_survive_keras_serialisation():
    engine = Muon(0.03, momentum=0.9, adam_ratio=0.2, steps=4, weight_decay=0.05, global_clipnorm=1.0)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(engine))
    assert type(again) is Muon
    assert again.get_config() == engine.get_config()
    assert (again.momentum, again.adam_ratio, again.steps) == (0.9, 0.2, 4)
    assert (again.weight_decay, again.global_clipnorm) == (0.05, 1.0)
