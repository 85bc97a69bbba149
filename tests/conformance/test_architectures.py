"""One battery over every row of the table: it runs at two sizes and can be trained on smaller images, is built again the
same, is explained and counted.

Two rows are in the default run; the others are slow.
"""

import keras
import numpy as np
import pytest

from imgcls import ConfigurationError, architectures, explain
from imgcls.trainer._resizing import Resizing

NAMES = architectures.names()
QUICK = ("small_cnn", "mobilenet_025")
rows = pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)


@pytest.fixture(autouse=True)
def forgotten():
    yield
    keras.backend.clear_session()


def structure(model):
    """Return the names of layers and weights, also of models inside of models."""
    return [
        (layer.name, structure(layer) if isinstance(layer, keras.Model) else [weight.path for weight in layer.weights])
        for layer in model.layers
    ]


def assert_runs(model):
    height, width, channels = model.input_shape[1:]
    images = np.random.default_rng(0).integers(0, 256, (1, height, width, channels)).astype("float32")
    explained = architectures.last_feature_map(model)
    feature_map, probabilities = (np.asarray(output) for output in explained(images))
    assert probabilities.shape == (1, 3)
    np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-5)
    assert feature_map.ndim == 4
    assert feature_map.shape[1] * feature_map.shape[2] > 1
    assert np.isfinite(feature_map).all()


def assert_is_explained(model):
    height, width, channels = model.input_shape[1:]
    images = np.random.default_rng(0).integers(0, 256, (1, height, width, channels)).astype(np.uint8)
    one, other = explain.heat_map(model, images.repeat(2, axis=0), target=[0, 1], instead_of=[1, 0])
    assert one.shape == (height, width)
    assert np.isfinite([one, other]).all()
    assert max(one.max(), other.max()) == 1  # what speaks against one class speaks for the other


@rows
def test_conforms(name):
    """At the smallest size, one side of it odd, and at the size it was designed for, where the table's figures hold."""
    row = architectures.describe(name)
    blueprint = {"num_classes": 3, "head": "softmax"}
    model = architectures.build(name, input_shape=(row.least_size, row.least_size + 9, 3), **blueprint)
    assert_runs(model)
    assert_is_explained(model)
    assert architectures.cut(model).output_shape == (None, row.width)
    side = row.image_size or 32
    other = architectures.build(name, input_shape=(side, side, 3), **blueprint, seed=1)
    assert structure(other) == structure(model)  # the same names in the same order, whatever was built before
    assert architectures.measure(other.get_layer("backbone")) == (row.parameters, row.multiply_adds)
    Resizing((side, side)).check(other)
    architectures.set_weights(other, model.get_weights())
    for kept, given in zip(other.weights, model.weights, strict=True):
        np.testing.assert_array_equal(kept, given)
    if row.multiply_adds < 10e9:  # the others are larger members of families that run here: a minute less
        assert_runs(other)


@rows
def test_smaller_images_are_refused(name):
    row = architectures.describe(name)
    with pytest.raises(ConfigurationError) as refusal:
        architectures.build(name, input_shape=(row.least_size, row.least_size - 1, 3), num_classes=3)
    assert str(refusal.value) == (
        f"images of {row.least_size} x {row.least_size - 1} pixels are too small for {name!r}. Accepted: image_size of at least {row.least_size}; it was made for {row.image_size or 'any'}."
    )


@pytest.mark.parametrize("name", QUICK)
def test_a_blueprint_gives_the_same_outputs_again(name):
    blueprint = {"input_shape": (40, 33, 1), "num_classes": 3, "pooling": "max", "test_time_augmentation": "flip"}
    model = architectures.build(name, **blueprint, seed=1)
    again = architectures.build(name, **blueprint, seed=2)
    architectures.set_weights(again, model.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 33, 1)).astype("float32")
    np.testing.assert_array_equal(again(images), model(images))
    assert architectures.cut(again).output_shape == (None, architectures.describe(name).width)
