"""The tone: against NumPy and Pillow for fixed amounts, by statistics for random ones."""

import itertools

import keras
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import stats

from imgcls import transforms
from imgcls.errors import ConfigurationError

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (1, 9, 9, 3)).astype("float32")
LUMA = np.array([0.299, 0.587, 0.114])
MANY = 2000


# --- fixed amounts ---------------------------------------------------------------------------------------------------


def toned(image, amounts, *, contrast, brightness, saturation):
    """Change one image step by step in float64, as the docstring says."""
    stretch, brighten, saturate = amounts
    mean, pixels = image.mean(), image
    if image.shape[-1] == 3:
        luma = (image @ LUMA)[..., None]
        pixels = luma + (1 + saturation * saturate) * (image - luma)
    pixels = mean + (1 + contrast * stretch) * (pixels - mean)
    return np.clip(pixels + 255 * brightness * brighten, 0, 255)


@pytest.mark.parametrize("saturation", [0.0, 0.6])
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
@pytest.mark.parametrize("amounts", [(1, 1, 1), (-1, -1, -1), (0.3, -0.6, 0.9), (-0.8, 0.1, -0.4)])
def test_a_tone_by_hand_is_clipped(drawn, amounts, channels, saturation):
    images = RANDOM.uniform([[[[0]]], [[[100]]]], [[[[90]]], [[[255]]]], (2, 12, 17, channels))  # a dark, a bright one
    drawn(*amounts)
    settings = {"contrast": 0.5, "brightness": 0.25, "saturation": saturation}
    out = transforms.RandomTone(**settings)(images.astype("float32"), training=True).numpy()
    np.testing.assert_allclose(out, [toned(image, amounts, **settings) for image in images], atol=0.001)


@pytest.mark.parametrize("amount", [-1, -0.5, 0.5, 1])
def test_saturation_is_that_of_pillow(drawn, amount):
    drawn(0, 0, amount)
    out = transforms.RandomTone(saturation=0.8)(PHOTO, training=True).numpy()[0]
    pillow = ImageEnhance.Color(Image.fromarray(PHOTO[0].astype("uint8"))).enhance(1 + 0.8 * amount)
    np.testing.assert_allclose(out, np.asarray(pillow), atol=1.6)  # Pillow rounds the luma, and then the result


def test_nothing_changes_without_amounts():
    np.testing.assert_array_equal(transforms.RandomTone()(PHOTO, training=True), PHOTO)


# --- random amounts --------------------------------------------------------------------------------------------------


def amounts_of(seed=1, **arguments):
    """Return factor of contrast, shift, and factor of saturation of many images, measured at their pixels."""
    image = np.array([[[100, 100, 100], [150, 150, 150], [140, 125, 100], [110, 125, 150]]], "float32")  # mean 125
    out = transforms.RandomTone(**arguments, seed=seed)(np.repeat(image[None], MANY, axis=0), training=True).numpy()
    assert out.min() > 0
    assert out.max() < 255  # nothing is clipped, or the figures below would lie
    contrast = (out[:, 0, 1, 0] - out[:, 0, 0, 0]) / 50
    return out, contrast, out.mean(axis=(1, 2, 3)) - 125, (out[:, 0, 2, 0] - out[:, 0, 2, 2]) / 40 / contrast


def assert_uniform(values, low, high):
    """Check range, mean, shape of the distribution, and that neighbours in the batch are independent."""
    slack = 1e-3 * (high - low)
    assert low - slack <= values.min() <= low + 10 * slack
    assert high - 10 * slack <= values.max() <= high + slack
    assert abs(values.mean() - (low + high) / 2) < 4 * (high - low) / np.sqrt(12 * len(values))
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 4 / np.sqrt(len(values))


def test_brightness_is_uniform_and_symmetric():
    _, contrast, shift, _ = amounts_of(brightness=0.2)
    assert_uniform(shift, -51, 51)
    np.testing.assert_allclose(contrast, 1, atol=1e-5)


def test_contrast_is_uniform_and_keeps_the_mean():
    _, contrast, shift, saturation = amounts_of(contrast=0.4)
    assert_uniform(contrast, 0.6, 1.4)
    np.testing.assert_allclose(shift, 0, atol=1e-3)
    np.testing.assert_allclose(saturation, 1, atol=1e-5)


def test_saturation_is_uniform_and_keeps_the_luma_of_every_pixel():
    out, contrast, _, saturation = amounts_of(saturation=0.4)
    assert_uniform(saturation, 0.6, 1.4)
    image = np.array([[[100, 100, 100], [150, 150, 150], [140, 125, 100], [110, 125, 150]]])
    np.testing.assert_allclose(out @ LUMA, np.repeat((image @ LUMA)[None], MANY, axis=0), atol=1e-3)
    np.testing.assert_allclose(contrast, 1, atol=1e-5)


def test_the_three_amounts_are_independent_of_each_other_and_of_the_step_before():
    layer = transforms.RandomTone(contrast=0.2, brightness=0.2, saturation=0.2, seed=1)
    image = np.array([[[100, 100, 100], [150, 150, 150], [160, 125, 90], [90, 125, 160]]], "float32")
    steps = [layer(np.repeat(image[None], MANY, axis=0), training=True).numpy() for _ in range(2)]
    found = []
    for out in steps:
        contrast = (out[:, 0, 1, 0] - out[:, 0, 0, 0]) / 50
        found += [contrast, out[:, 0, :2, 0].mean(axis=1), (out[:, 0, 2, 0] - out[:, 0, 2, 2]) / contrast]
    for one, other in itertools.combinations(found, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(MANY)


def test_the_warp_and_the_tone_of_a_policy_do_not_share_their_random_numbers():
    states = [np.asarray(variable).tolist() for variable in transforms.augmentation("standard", seed=3).variables]
    assert states == [[3, 0], [4, 0]]


# --- arguments -------------------------------------------------------------------------------------------------------

FRACTION = "is not accepted. Accepted: a number from 0 to below 1."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"contrast": 1, "brightness": -0.1},
            f"2 arguments are wrong:\n- contrast=1 {FRACTION}\n- brightness=-0.1 {FRACTION}",
        ),
        ({"saturation": None}, f"saturation=None {FRACTION}"),
    ],
)
def test_wrong_arguments_are_refused_in_words(arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        transforms.RandomTone(**arguments)
    assert str(caught.value) == words


def test_a_layer_comes_back_from_its_config():
    layer = transforms.RandomTone(contrast=0.1, brightness=0.2, saturation=0.3, seed=7)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again(PHOTO, training=True), layer(PHOTO, training=True))
