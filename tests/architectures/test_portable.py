"""Models said in Keras' own layers: they name nothing of imgcls, and compute the same."""

import keras
import numpy as np
import pytest

from imgcls import architectures, trainer, transforms
from imgcls.architectures._channels import GrayscaleToRGB

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")


def own(shape, classes):
    """Our layers in a model inside of a model, one of them called twice."""
    bgr = transforms.RGBToBGR(name="bgr")
    inputs = keras.Input(shape)
    gray = GrayscaleToRGB(name="rgb")(transforms.Grayscale(name="gray")(bgr(inputs)))
    x = keras.layers.Concatenate()([bgr(inputs), bgr(gray)])
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(x)))


def built(architecture, **options):
    return architectures.build(architecture, input_shape=(32, 32, 3), num_classes=3, **options)


CASES = {
    "first weights": lambda: built("speed_cnn_narrow"),
    "in bfloat16": lambda: built("speed_cnn_narrow", precision="mixed_bfloat16"),
    "gray": lambda: built("small_cnn", grayscale=True),
    "gray, called twice": lambda: built("small_cnn", grayscale=True, test_time_augmentation="flip"),
    "first weights, called twice": lambda: built("speed_cnn_narrow", test_time_augmentation="flip"),
    "gray as RGB": lambda: built("mobilenet_025", grayscale=True),
    "BGR": lambda: built("vgg16"),
    "inside": lambda: built(own),
    "listed": lambda: keras.Sequential([keras.Input((32, 32, 3)), transforms.Grayscale(), keras.layers.Flatten()]),
}


@pytest.mark.parametrize("case", CASES)
def test_it_computes_the_same_and_names_nothing_of_imgcls(case):
    model = CASES[case]()
    before, weights = model.to_json(), model.get_weights()
    assert "imgcls" in before
    same = architectures.portable(model)
    assert "imgcls" not in same.to_json()
    np.testing.assert_array_equal(same(IMAGES), model(IMAGES))
    assert (same.name, same.count_params()) == (model.name, model.count_params())
    assert model.to_json() == before
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_not_ours_is_shared():
    model = built("small_cnn", grayscale=True)
    same = architectures.portable(model)
    for name in ("normalization", "backbone", "head"):
        assert same.get_layer(name) is model.get_layer(name)


def test_what_it_was_trained_with_is_left_out():
    model = built("small_cnn")
    model.compile(trainer.Muon(0.05), "categorical_crossentropy")
    assert "Muon" in model.to_json()
    same = architectures.portable(model)
    assert not same.compiled
    assert "Muon" not in same.to_json()
    assert model.compiled
