"""From pixels to what a network likes, against NumPy."""

import keras
import numpy as np
import pytest

from imgcls import transforms
from imgcls.errors import ConfigurationError

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3)).astype("uint8")
LUMA = np.array([0.299, 0.587, 0.114])


def run(layers, images=IMAGES):
    inputs = keras.Input(images.shape[1:])
    outputs = inputs
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)(images.astype("float32")).numpy()


@pytest.mark.parametrize(
    ("mean", "std"),
    [([0.0], [255.0]), ([127.5], [127.5]), ([123.7, 116.3, 103.5], [58.4, 57.1, 57.4])],
)
@pytest.mark.parametrize("grayscale", [False, True])
def test_preprocessing_subtracts_and_divides(mean, std, grayscale):
    if grayscale:
        mean, std = mean[:1], std[:1]
    out = run(transforms.preprocessing(grayscale=grayscale, mean=mean, std=std))
    pixels = (IMAGES @ LUMA)[..., None] if grayscale else IMAGES.astype(float)
    np.testing.assert_allclose(out, (pixels - mean) / std, atol=1e-4)


def test_the_default_divides_by_255():
    np.testing.assert_allclose(run(transforms.preprocessing()), IMAGES / 255, atol=1e-6)


@pytest.mark.parametrize("grayscale", [False, True])
def test_standard_normalization_gives_mean_0_and_deviation_1(grayscale):
    mean, std = transforms.normalization("standard", IMAGES, grayscale=grayscale)
    out = run(transforms.preprocessing(grayscale=grayscale, mean=mean, std=std))
    assert out.shape[3] == (1 if grayscale else 3)
    np.testing.assert_allclose(out.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(out.std(axis=(0, 1, 2)), 1, atol=1e-4)


@pytest.mark.parametrize(("name", "low", "high"), [("unit", 0, 1), ("symmetric", -1, 1)])
def test_fixed_normalizations_have_their_ends(name, low, high):
    mean, std = transforms.normalization(name, (pytest.fail("none is looked at") for _ in range(1)))
    ends = np.array([0, 255], "uint8").reshape(1, 1, 2, 1)
    np.testing.assert_allclose(run(transforms.preprocessing(mean=mean, std=std), ends).ravel(), [low, high], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("grayscale", [False, True])
def test_mean_and_deviation_are_those_of_numpy_of_images_that_come_one_by_one(channels, grayscale):
    """Also of nearly white ones, where a deviation is a small difference of large sums."""
    grayscale = grayscale and channels == 3
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (20, 31, 17, channels)).astype("uint8")
    images[..., -1] = 255 - random.integers(0, 7, images.shape[:-1])
    mean, std = transforms.normalization("standard", iter(images), grayscale=grayscale)
    pixels = (images @ LUMA)[..., None] if grayscale else images.astype(float)
    np.testing.assert_allclose(mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std(axis=(0, 1, 2)), rtol=1e-10)
    assert transforms.normalization("standard", images, grayscale=grayscale) == (mean, std)


def test_a_constant_channel_is_not_divided_by_0():
    images = IMAGES.copy()
    images[..., 1] = 7
    mean, std = transforms.normalization("standard", images)
    assert (mean[1], std[1]) == (7.0, 1.0)


def test_an_unknown_normalization_is_refused_in_words():
    with pytest.raises(ConfigurationError) as caught:
        transforms.normalization("standrd", IMAGES)
    assert str(caught.value) == (
        "normalization='standrd' is not known. Did you mean 'standard'? Accepted: standard, unit, symmetric."
    )


@pytest.mark.parametrize("layer", [transforms.Grayscale(), transforms.RGBToBGR()], ids=["gray", "bgr"])
def test_colour_layers(layer):
    out = run([layer])
    expected = (IMAGES @ LUMA)[..., None] if out.shape[3] == 1 else IMAGES[..., ::-1]
    np.testing.assert_allclose(out, expected, atol=1e-4)
    assert layer.compute_output_shape((None, 4, 6, 3)) == (None, 4, 6, out.shape[3])
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    np.testing.assert_array_equal(run([again]), out)
