"""Augmentation: by hand where a case can be, by statistics where it is random, eager and compiled."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from imgcls import transforms
from imgcls.errors import ConfigurationError

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (1, 9, 9, 3)).astype("float32")
MANY = 2000


def copies(image, count=MANY):
    return np.repeat(image, count, axis=0)


@pytest.fixture
def drawn(monkeypatch):
    """Make every random number the highest of its range, or the lowest."""

    def fix(end):
        ends = {"high": lambda low, high: high, "low": lambda low, high: low}[end]
        monkeypatch.setattr(
            keras.random,
            "uniform",
            lambda shape, low, high, seed: keras.ops.full(shape, ends(low, high), dtype="float32"),
        )

    return fix


# --- policies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", transforms.names())
def test_every_policy_keeps_shape_and_range_and_changes_images(name, channels):
    images = RANDOM.integers(0, 256, (16, 20, 14, channels)).astype("float32")
    layer = transforms.augmentation(name, seed=1)
    out = layer(images, training=True).numpy()
    assert out.shape == images.shape
    assert out.dtype == np.float32
    assert out.min() >= 0
    assert out.max() <= 255.001
    assert all(np.abs(after - before).mean() > 1 for after, before in zip(out, images, strict=True))
    np.testing.assert_array_equal(layer(images, training=False), images)
    assert not layer.trainable_variables


@pytest.mark.parametrize("name", transforms.names())
def test_eager_and_compiled_agree_and_seeds_differ(name):
    images = RANDOM.integers(0, 256, (8, 16, 16, 3)).astype("float32")
    eager, compiled = transforms.augmentation(name, seed=5), transforms.augmentation(name, seed=5)
    step = tf.function(lambda batch: compiled(batch, training=True))
    first = eager(images, training=True)
    np.testing.assert_allclose(first, step(images), atol=0.01)
    second = eager(images, training=True)
    np.testing.assert_allclose(second, step(images), atol=0.01)
    assert np.abs(first - second).max() > 1
    assert np.abs(first - transforms.augmentation(name, seed=6)(images, training=True)).max() > 1


def test_names_describe_and_what_is_used_as_it_is():
    assert transforms.names() == ("light", "standard", "strong", "overhead")
    assert transforms.describe("standard") == (
        "flip, rotate ±10°, zoom ±15 %, move ±10 %, contrast and brightness ±20 %: for photos"
    )
    layer = keras.layers.GaussianNoise(0.1)
    assert transforms.augmentation(layer) is layer
    assert transforms.augmentation(None) is None


@pytest.mark.parametrize("call", [transforms.augmentation, transforms.describe])
def test_an_unknown_policy_is_refused_in_words(call):
    with pytest.raises(ConfigurationError) as caught:
        call("standart")
    assert str(caught.value) == (
        "augmentation='standart' is not known. Did you mean 'standard'? Accepted: light, standard, strong, overhead."
    )


# --- the warp --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "end", "expected"),
    [
        ({"flip": "horizontal"}, "low", lambda image: image[:, ::-1]),
        ({"flip": "vertical"}, "low", lambda image: image[::-1]),
        ({"flip": "both"}, "low", lambda image: image[::-1, ::-1]),
        ({"flip": "both"}, "high", lambda image: image),
        ({"rotation": 90}, "high", np.rot90),
        ({"rotation": 90}, "low", lambda image: np.rot90(image, -1)),
        ({"rotation": 180}, "high", lambda image: image[::-1, ::-1]),
        ({"flip": "horizontal", "rotation": 90}, "low", lambda image: np.rot90(image, -1)[:, ::-1]),
        ({"translation": 1 / 3, "fill_mode": "constant"}, "high", lambda image: shifted(image, 3)),
        ({"translation": 1 / 3, "fill_mode": "constant"}, "low", lambda image: shifted(image, -3)),
        (
            {"zoom": 0.5, "fill_mode": "constant"},
            "low",
            lambda image: np.pad(image[::2, ::2], ((2, 2), (2, 2), (0, 0))),
        ),
    ],
)
def test_a_warp_by_hand(drawn, arguments, end, expected):
    drawn(end)
    out = transforms.RandomWarp(**arguments)(PHOTO, training=True).numpy()[0]
    want = expected(PHOTO[0])
    candidates = [want, np.rot90(want, 2)] if "rotation" in arguments else [want]  # a sense of turning is free
    assert min(np.abs(out - candidate).max() for candidate in candidates) < 0.05


def shifted(image, pixels):
    """Return the image read `pixels` further right and down, black where there is none."""
    rows = np.arange(9) + pixels
    inside = (rows >= 0) & (rows < 9)
    clipped = rows.clip(0, 8)
    return image[clipped][:, clipped] * (inside[:, None] & inside)[..., None]


@pytest.mark.parametrize("axis", ["horizontal", "vertical"])
def test_half_of_the_images_are_flipped(axis):
    out = transforms.RandomWarp(flip=axis, seed=3)(copies(PHOTO), training=True).numpy()
    flipped = PHOTO[:, :, ::-1] if axis == "horizontal" else PHOTO[:, ::-1]
    is_flipped = np.abs(out - flipped).max(axis=(1, 2, 3)) < 0.05
    is_kept = np.abs(out - PHOTO).max(axis=(1, 2, 3)) < 0.05
    assert (is_flipped ^ is_kept).all()
    assert abs(is_flipped.mean() - 0.5) < 0.05  # 4.5 standard deviations


def centroids(out):
    """Return the centre of mass of each image, in pixels from the image's own centre."""
    mass = out[..., 0] / out[..., 0].sum(axis=(1, 2), keepdims=True)
    place = np.arange(out.shape[1]) - (out.shape[1] - 1) / 2
    return np.stack([(mass.sum(axis=1) * place).sum(axis=1), (mass.sum(axis=2) * place).sum(axis=1)], axis=1)


def spot(row, column):
    image = np.zeros((1, 41, 41, 1), "float32")
    image[0, row - 1 : row + 2, column - 1 : column + 2] = 255
    return image


def test_shifts_are_uniform_and_centred():
    warp = transforms.RandomWarp(translation=0.25, fill_mode="constant", seed=1)
    moved = centroids(warp(copies(spot(20, 20)), training=True).numpy())
    reach = 0.25 * 41
    assert np.abs(moved).max() <= reach + 0.1
    assert np.abs(moved).max() > 0.98 * reach
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=5 * reach / np.sqrt(3 * MANY))
    np.testing.assert_allclose(moved.std(axis=0), reach / np.sqrt(3), rtol=0.06)
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.12


def test_angles_are_uniform_and_centred():
    warp = transforms.RandomWarp(rotation=30, fill_mode="constant", seed=1)
    moved = centroids(warp(copies(spot(20, 32)), training=True).numpy())
    angles = np.degrees(np.arctan2(moved[:, 1], moved[:, 0]))
    assert 29 < np.abs(angles).max() < 30.5
    assert abs(angles.mean()) < 2
    assert angles.std() == pytest.approx(30 / np.sqrt(3), rel=0.06)
    np.testing.assert_allclose(np.hypot(*moved.T), 12, atol=0.2)


def test_sizes_are_uniform_and_centred():
    warp = transforms.RandomWarp(zoom=0.4, fill_mode="constant", seed=1)
    sizes = centroids(warp(copies(spot(20, 30)), training=True).numpy())[:, 0] / 10
    assert 0.59 < sizes.min() < 0.62
    assert 1.38 < sizes.max() < 1.41
    assert abs(sizes.mean() - 1) < 0.03


# --- the tone --------------------------------------------------------------------------------------------------------


def test_brightness_is_symmetric():
    gray = np.full((MANY, 2, 2, 3), 128, "float32")
    out = transforms.RandomTone(brightness=0.2, seed=1)(gray, training=True).numpy()
    shift = out[:, 0, 0, 0] - 128
    assert np.ptp(out, axis=(1, 2, 3)).max() < 0.01
    assert 0.98 * 51 < np.abs(shift).max() <= 51.01
    assert abs(shift.mean()) < 3.5
    assert shift.std() == pytest.approx(51 / np.sqrt(3), rel=0.06)


def test_contrast_is_symmetric_and_keeps_the_mean():
    two = np.zeros((MANY, 1, 2, 3), "float32")
    two[:, :, 0], two[:, :, 1] = 100, 150
    out = transforms.RandomTone(contrast=0.4, seed=1)(two, training=True).numpy()
    factor = (out[:, 0, 1, 0] - out[:, 0, 0, 0]) / 50
    np.testing.assert_allclose(out.mean(axis=(1, 2, 3)), 125, atol=0.01)
    assert 0.6 - 1e-4 <= factor.min() < 0.61
    assert 1.39 < factor.max() <= 1.4 + 1e-4
    assert abs(factor.mean() - 1) < 0.03
    assert (factor < 1).mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(("end", "expected"), [("high", [25.5, 255.0]), ("low", [0.0, 54.5])])
def test_a_tone_by_hand_is_clipped(drawn, end, expected):
    drawn(end)
    image = np.array([0, 160], "float32").reshape(1, 1, 2, 1)
    out = transforms.RandomTone(contrast=0.5, brightness=0.255)(image, training=True).numpy().ravel()
    mean, factor, shift = 80, 1.5 if end == "high" else 0.5, 65.025 if end == "high" else -65.025
    by_hand = np.clip((np.array([0, 160]) - mean) * factor + mean + shift, 0, 255)
    np.testing.assert_allclose(out, by_hand, atol=0.001)
    np.testing.assert_allclose(by_hand, expected, atol=0.6)


# --- arguments -------------------------------------------------------------------------------------------------------

FRACTION = "is not accepted. Accepted: a number from 0 to below 1."


@pytest.mark.parametrize(
    ("layer", "arguments", "words"),
    [
        (
            transforms.RandomWarp,
            {"flip": "horizontl"},
            "flip='horizontl' is not known. Did you mean 'horizontal'? Accepted: horizontal, vertical, both.",
        ),
        (transforms.RandomWarp, {"rotation": 181}, "rotation=181 is not accepted. Accepted: degrees from 0 to 180."),
        (transforms.RandomWarp, {"rotation": -1}, "rotation=-1 is not accepted. Accepted: degrees from 0 to 180."),
        (
            transforms.RandomWarp,
            {"zoom": 1.0, "translation": "a", "fill_mode": "wrap"},
            (
                f"3 arguments are wrong:\n- zoom=1.0 {FRACTION}\n- translation='a' {FRACTION}\n"
                "- fill_mode='wrap' is not known. Accepted: reflect, nearest, constant."
            ),
        ),
        (
            transforms.RandomTone,
            {"contrast": 1, "brightness": -0.1},
            f"2 arguments are wrong:\n- contrast=1 {FRACTION}\n- brightness=-0.1 {FRACTION}",
        ),
    ],
)
def test_wrong_arguments_are_refused_in_words(layer, arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        layer(**arguments)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    "layer",
    [
        transforms.RandomWarp(flip="both", rotation=5, zoom=0.1, translation=0.2, fill_mode="nearest", seed=7),
        transforms.RandomTone(contrast=0.1, brightness=0.2, seed=7),
    ],
    ids=["warp", "tone"],
)
def test_a_layer_comes_back_from_its_config(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again(PHOTO, training=True), layer(PHOTO, training=True))
