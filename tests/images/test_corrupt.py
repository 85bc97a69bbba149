"""Corrupted pictures against Pillow, SciPy and NumPy."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from imgcls.errors import ConfigurationError
from imgcls.images import CORRUPTIONS, SEVERITIES, corrupt

KINDS = list(CORRUPTIONS)


def photo(height, width, channels=3, seed=0):
    """Return soft shapes with a little texture, as photos have them."""
    random = np.random.default_rng(seed)
    soft = ndimage.gaussian_filter(random.normal(size=(height, width, channels)), min(height, width) / 12, axes=(0, 1))
    fine = random.normal(0, 6, soft.shape)
    return (128 + 50 * soft / soft.std() + fine).clip(0, 255).astype(np.uint8)


def amount(kind, severity):
    return CORRUPTIONS[kind].amounts[severity - 1]


def harm(image, worse):
    return float(((image.astype(float) - worse) ** 2).mean())


# --- what holds for all --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(28, 28, 1), (60, 90, 3), (40, 33, 2), (48, 31, 5), (1, 1, 3), (3, 200, 1)])
def test_shape_type_and_seed(kind, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    kept = image.copy()
    image.flags.writeable = False  # as Dataset.read returns it
    for severity in SEVERITIES:
        worse = corrupt(image, kind, severity, seed=5)
        assert worse.shape == shape
        assert worse.dtype == np.uint8
        np.testing.assert_array_equal(worse, corrupt(image, kind, severity, seed=5))
    np.testing.assert_array_equal(image, kept)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [28, 64, 224, 500])
def test_each_severity_is_worse_than_the_one_before(kind, side):
    image = photo(side, side)
    harms = [harm(image, corrupt(image, kind, severity, seed=0)) for severity in SEVERITIES]
    assert 0 < harms[0] < harms[1] < harms[2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_small_and_large_pictures_suffer_alike(kind, severity):
    """One picture at two sizes is harmed by amounts of the same order; seen small, as a model sees it."""
    large = photo(448, 448)
    small = np.asarray(Image.fromarray(large).resize((56, 56), Image.Resampling.BOX))
    seen = np.asarray(Image.fromarray(corrupt(large, kind, severity, seed=0)).resize((56, 56), Image.Resampling.BOX))
    ratio = np.sqrt(harm(small, seen) / harm(small, corrupt(small, kind, severity, seed=0)))
    # Noise and JPEG are halfway between equal in each pixel, which leaves 1/8 of it here, and equal as seen: 1/2.8.
    assert (0.2 if kind in {"noise", "jpeg"} else 0.6) < ratio < 1.7


@pytest.mark.parametrize("kind", KINDS)
def test_each_of_many_channels_is_treated_as_a_gray_picture(kind):
    image = photo(50, 40, 5)
    worse = corrupt(image, kind, 2, seed=1)
    for band in range(5):
        alone = corrupt(image[..., [band]], kind, 2, seed=1)
        if kind == "noise":  # which is drawn anew for each channel
            assert (
                np.corrcoef(
                    *(one.ravel() - image[..., band].ravel().astype(float) for one in (alone, worse[..., band]))
                )[0, 1]
                < 0.9
            )
        else:
            np.testing.assert_array_equal(worse[..., [band]], alone)


@pytest.mark.parametrize("kind", KINDS)
def test_only_noise_and_rotation_know_the_seed(kind):
    image = photo(60, 60)
    pictures = {corrupt(image, kind, 2, seed=seed).tobytes() for seed in range(12)}
    assert len(pictures) == {"noise": 12, "rotation": 2}.get(kind, 1)


# --- one after the other -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("severity", SEVERITIES)
def test_blur_keeps_the_mean_and_has_the_sigma_that_the_table_says(severity):
    image = photo(90, 120)
    worse = corrupt(image, "blur", severity, seed=0)
    np.testing.assert_allclose(worse.mean(axis=(0, 1)), image.mean(axis=(0, 1)), atol=0.1)
    point = np.zeros((224, 224, 1), np.uint8)
    point[104:120, 104:120] = 255  # a square of 16: its variance is (16^2 - 1) / 12 along a side
    profile = corrupt(point, "blur", severity, seed=0)[:, :, 0].astype(float).sum(axis=1)
    places = np.arange(224)
    middle = (profile * places).sum() / profile.sum()
    variance = (profile * (places - middle) ** 2).sum() / profile.sum() - (16**2 - 1) / 12
    assert np.sqrt(variance) == pytest.approx(224 * amount("blur", severity), rel=0.03)  # rounding cuts the tails


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("side", [56, 224])
def test_noise_has_the_deviation_that_the_table_says_and_no_mean(severity, side):
    image = np.full((side, side, 3), 128, np.uint8)
    expected = 255 * amount("noise", severity) * np.sqrt(side / 224)
    if expected > 40:  # beyond three deviations it would be cut at 0 and 255
        bright = corrupt(image, "noise", severity, seed=0).astype(float)
        share = (np.abs(bright - 128) < expected).mean()
        assert share == pytest.approx(0.6827, abs=0.01)
        return
    error = corrupt(image, "noise", severity, seed=0).astype(float) - 128
    assert error.std() == pytest.approx(np.sqrt(expected**2 + 1 / 12), rel=0.02)  # and that of rounding
    assert abs(error.mean()) < 4 * expected / np.sqrt(error.size)
    assert abs(np.corrcoef(error[..., 0].ravel(), error[..., 1].ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(("side", "qualities"), [(224, (40, 20, 10)), (28, (95, 57, 28)), (896, (20, 10, 5))])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pillows_own_round_trip(severity, side, qualities, channels):
    image = photo(side, side + 8, channels)
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if channels == 1 else image).save(file, "JPEG", quality=qualities[severity - 1])
    expected = np.asarray(Image.open(file)).reshape(image.shape)
    np.testing.assert_array_equal(corrupt(image, "jpeg", severity, seed=0), expected)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_light_and_contrast_are_arithmetic(severity):
    image = photo(50, 60)
    wide = image.astype(float)
    mean = wide.mean(axis=(0, 1))
    expected = {
        "darker": wide * amount("darker", severity),
        "brighter": wide + 255 * amount("brighter", severity),
        "contrast": mean + (wide - mean) * amount("contrast", severity),
    }
    for kind, pixels in expected.items():
        worse = corrupt(image, kind, severity, seed=0).astype(float)
        assert np.abs(worse - pixels.clip(0, 255)).max() <= 0.5 + 1e-3  # rounding, in single precision


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("shape", [(120, 120), (100, 161)])
def test_rotation_is_pillows_in_the_centre_and_a_reflection_outside(severity, shape):
    image = photo(*shape)
    degrees = amount("rotation", severity)
    turned = {
        sign: np.asarray(Image.fromarray(image).rotate(sign * degrees, Image.Resampling.BILINEAR)) for sign in (-1, 1)
    }
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    inside = np.hypot(rows - (shape[0] - 1) / 2, columns - (shape[1] - 1) / 2) < min(shape) / 2 - 2
    met = set()
    for seed in range(12):
        worse = corrupt(image, "rotation", severity, seed=seed).astype(float)
        errors = {sign: np.abs(worse - one)[inside].max() for sign, one in turned.items()}
        sign = min(errors, key=errors.get)
        assert errors[sign] <= 2  # Pillow interpolates in fixed point
        met.add(sign)
        assert worse.min() >= image.min()
        assert worse.max() <= image.max()
    assert met == {-1, 1}


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "severity", "message"),
    [
        (
            "nois",
            1,
            "kind='nois' is not known. Did you mean 'noise'? Accepted: blur, noise, jpeg, darker, brighter, contrast, rotation.",
        ),
        ("blur", 4, "severity=4 is not known. Accepted: 1, 2, 3."),
        (
            "fog",
            0,
            "2 arguments are wrong:\n- kind='fog' is not known. Accepted: blur, noise, jpeg, darker, brighter, contrast, rotation.\n- severity=0 is not known. Accepted: 1, 2, 3.",
        ),
    ],
)
def test_other_kinds_and_severities_are_refused(kind, severity, message):
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}$"):
        corrupt(photo(8, 8), kind, severity, seed=0)


@pytest.mark.parametrize(
    ("image", "given"),
    [
        (np.zeros((8, 8, 3), np.float32), "float32 (8, 8, 3)"),
        (np.zeros((8, 8), np.uint8), "uint8 (8, 8)"),
        (np.zeros((0, 8, 3), np.uint8), "uint8 (0, 8, 3)"),
        ([[1]], "a list"),
    ],
)
def test_other_images_are_refused(image, given):
    message = f"the image is {given}. Accepted: uint8 (H, W, C), as imgcls.datasets.read returns it."
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}$"):
        corrupt(image, "blur", 1, seed=0)


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        CORRUPTIONS["blur"] = None
    assert all(len(row.amounts) == len(SEVERITIES) and row.summary for row in CORRUPTIONS.values())


def test_a_negative_seed_is_refused():
    message = "seed=-1 is not accepted. Accepted: a whole number of at least 0."
    with pytest.raises(ConfigurationError, match=f"^{re.escape(message)}$"):
        corrupt(photo(8, 8), "noise", 1, seed=-1)
