"""Judged is what arrives at a network, whoever scales it: against Keras' own preprocessing, and known mistakes."""

import keras
import numpy as np
import pytest

from imgcls import architectures

SHAPE = (32, 32, 3)
AS_THEY_ARE = {"mean": [0.0], "std": [1.0]}  # normalization=None
STANDARD = {"mean": [120.0], "std": [60.0]}
FAMILIES = {
    "MobileNetV2": "mobilenet_v2",
    "ResNet50": "resnet",
    "DenseNet121": "densenet",
    "EfficientNetB0": "efficientnet",
    "EfficientNetV2B0": "efficientnet_v2",
    "ConvNeXtTiny": "convnext",
    "MobileNetV3Small": "mobilenet_v3",
}


def trained(builder, **options):
    """A network that is no longer what it was at random, as its weights tell."""
    network = getattr(keras.applications, builder)(weights=None, include_top=False, **{"input_shape": SHAPE, **options})
    weight = next(one for one in network.weights if one.name in {"moving_mean", "bias"})
    weight.assign(weight.value + 0.01)
    return network


def preprocess(builder):
    return getattr(keras.applications, FAMILIES[builder]).preprocess_input


def built(own, **scaling):
    return architectures.build(lambda *_: own, input_shape=SHAPE, num_classes=2, **scaling)


def after(network, *layers):
    """A network behind layers of the user's."""
    return keras.Sequential([keras.Input(SHAPE), *layers, network, keras.layers.GlobalAveragePooling2D()])


def by_operations(builder):
    """As Keras' tutorials write it: https://keras.io/guides/transfer_learning/."""
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, trained(builder)(preprocess(builder)(inputs), training=False))


def by_a_model(builder):
    inputs, pixels = keras.Input(SHAPE), keras.Input(SHAPE)
    scaling = keras.Model(pixels, preprocess(builder)(pixels))
    return keras.Model(inputs, trained(builder)(scaling(inputs)))


def by_an_input_tensor(builder):
    """Operations are a part of the network then."""
    return trained(builder, input_tensor=preprocess(builder)(keras.Input(SHAPE)))


def by_an_augmented_input(builder):
    """Layers that augment do so whenever nobody tells them that it is not training, or the user says that it is."""
    inputs = keras.Input(SHAPE)
    x = keras.Sequential([keras.layers.RandomBrightness(0.9, seed=0), keras.layers.RandomFlip(seed=1)])(inputs)
    x = keras.layers.RandomBrightness(0.9, seed=2)(x, training=True)
    return keras.Model(inputs, trained(builder)(preprocess(builder)(x)))


@pytest.mark.parametrize(
    ("builder", "way"),
    [
        *((builder, by_operations) for builder in FAMILIES),
        ("MobileNetV2", by_a_model),
        ("MobileNetV2", by_an_input_tensor),
        ("MobileNetV2", by_an_augmented_input),
        ("ResNet50", by_an_input_tensor),
    ],
)
def test_pixels_that_keras_prepares_are_right_and_those_that_are_scaled_before_are_not(builder, way):
    own = way(builder)
    before = [np.array(variable) for variable in own.variables]
    right = built(own, **AS_THEY_ARE)
    assert architectures.misfed(right) is None
    assert not architectures.scaled_twice(right)
    wrong = built(own, **STANDARD)
    found = architectures.misfed(wrong)
    assert found.network.builder == builder
    assert found.normalizations == (None,)
    assert architectures.scaled_twice(wrong) is (builder != "ResNet50")  # whose pixels are centred, and not scaled
    assert all((one == two).all() for one, two in zip(before, map(np.array, own.variables), strict=True))


@pytest.mark.parametrize(
    ("builder", "layers", "normalizations"),
    [
        ("MobileNetV2", [], ("symmetric",)),
        ("MobileNetV2", [keras.layers.Rescaling(1 / 255)], ()),  # from 0 to 1
        ("MobileNetV2", [keras.layers.Rescaling(2, -1)], ("unit",)),
        ("ResNet50", [keras.layers.Rescaling(1, [-123.68, -116.779, -103.939])], ()),  # in RGB
        ("ResNet50", [keras.layers.Rescaling(1, [-103.939, -116.779, -123.68])], ()),  # in RGB, by the means of BGR
        (
            "DenseNet121",
            [keras.layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.229**2, 0.224**2, 0.225**2])],
            ("unit",),
        ),
        ("EfficientNetB0", [keras.layers.Rescaling(1 / 255)], ()),  # it scales by itself
        ("EfficientNetV2B0", [keras.layers.Rescaling(1 / 127.5, -1)], ()),
    ],
)
def test_other_pixels_are_found_with_what_would_help(builder, layers, normalizations):
    found = architectures.misfed(built(after(trained(builder), *layers), **AS_THEY_ARE))
    assert found.network.builder == builder
    assert found.normalizations == normalizations


def test_a_network_of_random_weights_expects_nothing():
    network = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=SHAPE)
    assert architectures.misfed(built(after(network), **AS_THEY_ARE)) is None


@pytest.mark.parametrize("scaling", [AS_THEY_ARE, {"mean": [127.5], "std": [127.5]}])
def test_of_a_network_that_was_told_not_to_scale_nothing_is_said(scaling):
    network = trained("MobileNetV3Small", include_preprocessing=False)
    assert architectures.misfed(built(after(network), **scaling)) is None


@pytest.mark.parametrize("who", ["imgcls", "the user"])
def test_gray_is_no_mistake(who):
    """Three channels of gray, scaled rightly, by the luma of ITU-R BT.601 or by any other."""
    inputs = keras.Input((32, 32, 1) if who == "imgcls" else SHAPE)
    gray = keras.ops.mean(inputs, axis=-1, keepdims=True)
    x = preprocess("ResNet50")(keras.layers.Concatenate()([gray, gray, gray]))
    own = keras.Model(inputs, trained("ResNet50")(x))
    assert architectures.misfed(built(own, grayscale=who == "imgcls", **AS_THEY_ARE)) is None
    assert architectures.misfed(built(own, grayscale=who == "imgcls", **STANDARD)).network.name == "resnet50"


class Failing(keras.layers.Layer):
    def call(self, images):
        raise ValueError

    def compute_output_shape(self, shape):
        return shape


def test_of_layers_that_cannot_be_called_nothing_is_said():
    model = built(after(trained("MobileNetV2"), Failing()), **AS_THEY_ARE)
    assert architectures.misfed(model) is None
    assert not architectures.scaled_twice(model)


def measured():
    layer = keras.layers.Normalization(axis=None)
    layer.adapt(np.arange(256.0))
    return layer


def random_efficientnet():
    return keras.applications.EfficientNetB0(weights=None, include_top=False, input_shape=SHAPE)


def operation(function):
    """A model of one operation on pixels, and a convolution behind it."""
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, keras.layers.Conv2D(4, 3)(function(inputs)))


def two_roads(pixels):
    """One half is scaled, and one is not: it would not be, without ours."""
    return keras.layers.Concatenate()([keras.layers.Conv2D(4, 3)(pixels), keras.layers.Conv2D(4, 3)(pixels / 255)])


@pytest.mark.parametrize(
    "make",
    [
        lambda: after(keras.layers.Conv2D(4, 3), keras.layers.Rescaling(1 / 255)),
        lambda: after(keras.layers.Conv2D(4, 3), keras.Sequential([keras.layers.Rescaling(1 / 127.5, -1)])),
        lambda: after(keras.layers.Conv2D(4, 3), keras.layers.ZeroPadding2D(), keras.layers.Rescaling(1 / 127.5, -1)),
        lambda: after(keras.layers.Conv2D(4, 3), measured()),
        lambda: operation(lambda pixels: pixels / 255),
        lambda: after(random_efficientnet()),  # it scales pixels by itself, deep inside
    ],
)
def test_pixels_that_are_scaled_twice_are_found_however_deep(make):
    own = make()
    assert architectures.scaled_twice(built(own, **STANDARD))
    assert architectures.scaled_twice(built(own))  # by 255
    assert not architectures.scaled_twice(built(own, **AS_THEY_ARE))


@pytest.mark.parametrize(
    "make",
    [
        lambda: after(keras.layers.Conv2D(4, 3)),
        lambda: after(keras.layers.Conv2D(4, 3), keras.layers.Rescaling(0.5)),
        lambda: after(keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()),
        lambda: after(keras.layers.Conv2D(4, 3), keras.layers.Normalization(mean=0.0, variance=1.0)),  # of our scale
        lambda: operation(keras.ops.log1p),  # what that makes of other pixels nobody has said
        lambda: operation(keras.ops.zeros_like),
        lambda: operation(two_roads),
    ],
)
def test_what_does_not_scale_pixels_is_no_second_time(make):
    assert not architectures.scaled_twice(built(make(), **STANDARD))
