"""The warp: against SciPy, NumPy and Keras for fixed amounts, by statistics for random ones."""

import itertools

import keras
import numpy as np
import pytest
from scipy import ndimage, stats

from imgcls import transforms
from imgcls.errors import ConfigurationError

RANDOM = np.random.default_rng(0)
PHOTO = RANDOM.integers(0, 256, (1, 9, 9, 3)).astype("float32")
MANY = 2000


def copies(image, count=MANY):
    return np.repeat(image, count, axis=0)


# --- fixed amounts ---------------------------------------------------------------------------------------------------


def warped(image, amounts, *, rotation, zoom, translation, fill_mode):
    """Flip, turn, enlarge and move one image with SciPy in float64."""
    turn, enlarge, move_x, move_y, mirror_x, mirror_y = amounts
    height, width, _ = image.shape
    angle, size = np.radians(rotation) * turn, 1 + zoom * enlarge
    rotate = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / size  # of (row, column)
    matrix = np.diag([np.sign(mirror_y), np.sign(mirror_x)]) @ rotate
    center = np.array([height - 1, width - 1]) / 2
    offset = center - matrix @ center + translation * np.array([move_y * height, move_x * width])
    mode = {"reflect": "reflect", "nearest": "nearest", "constant": "grid-constant"}[fill_mode]
    planes = [
        ndimage.affine_transform(plane, matrix, offset, order=1, mode=mode) for plane in np.moveaxis(image, -1, 0)
    ]
    return np.stack(planes, axis=-1)


@pytest.mark.parametrize("fill_mode", ["reflect", "nearest", "constant"])
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
@pytest.mark.parametrize(
    "amounts", [(0.7, -0.6, 0.3, -0.9, 0.5, 0.5), (-0.4, 0.8, -0.7, 0.2, -0.5, 0.5), (1, 1, 0.9, 0.9, -0.1, -0.1)]
)
def test_every_map_is_the_one_that_scipy_makes(drawn, amounts, channels, fill_mode):
    image = ndimage.gaussian_filter(RANDOM.uniform(0, 255, (24, 31, channels)), (1, 1, 0))
    drawn(*amounts)
    settings = {"rotation": 40, "zoom": 0.3, "translation": 0.2, "fill_mode": fill_mode}
    out = transforms.RandomWarp(flip="both", **settings)(image[None].astype("float32"), training=True).numpy()[0]
    # Places are computed in float32: up to 1e-5 pixels off, times differences of up to 255 between neighbours.
    np.testing.assert_allclose(out, warped(image, amounts, **settings), atol=0.02)


@pytest.mark.parametrize(
    ("arguments", "turn", "expected"),
    [
        ({"rotation": 90}, 1, np.rot90),
        ({"rotation": 90}, -1, lambda image: np.rot90(image, -1)),
        ({"rotation": 180}, 1, lambda image: image[::-1, ::-1]),
        ({"flip": "horizontal", "rotation": 90}, -1, lambda image: np.rot90(image[:, ::-1], -1)),
        ({"flip": "vertical", "rotation": 90}, -1, lambda image: np.rot90(image[::-1], -1)),
    ],
)
def test_quarter_turns_are_those_of_numpy(drawn, arguments, turn, expected):
    drawn(turn, 0, 0, 0, -1, -1)
    out = transforms.RandomWarp(**arguments)(PHOTO, training=True).numpy()[0]
    np.testing.assert_allclose(out, expected(PHOTO[0]), atol=0.01)


def test_half_the_size_keeps_every_second_pixel(drawn):
    drawn(0, -1, 0, 0, 1, 1)
    out = transforms.RandomWarp(zoom=0.5, fill_mode="constant")(PHOTO, training=True).numpy()[0]
    np.testing.assert_allclose(out, np.pad(PHOTO[0, ::2, ::2], ((2, 2), (2, 2), (0, 0))), atol=0.01)


@pytest.mark.parametrize("fill_mode", ["reflect", "nearest", "constant"])
def test_whole_shifts_are_those_of_keras(drawn, fill_mode):
    image = RANDOM.integers(0, 256, (1, 16, 32, 3)).astype("float32")
    for down, right in itertools.product((-3, 0, 2), (-4, 0, 4)):
        # Theirs says where an image goes, ours from where it is read.
        drawn(0, 0, -right / 8, -down / 4, 1, 1)
        ours = transforms.RandomWarp(translation=1 / 4, fill_mode=fill_mode)(image, training=True)
        layer = keras.layers.RandomTranslation([down / 16] * 2, [right / 32] * 2, fill_mode=fill_mode)
        np.testing.assert_array_equal(ours, layer(image, training=True))


@pytest.mark.parametrize("axis", ["horizontal", "vertical"])
def test_flips_are_those_of_keras(axis):
    seen = {one.tobytes() for one in keras.layers.RandomFlip(axis, seed=1)(copies(PHOTO, 40), training=True).numpy()}
    ours = {one.tobytes() for one in transforms.RandomWarp(flip=axis, seed=1)(copies(PHOTO, 40), training=True).numpy()}
    assert ours == seen
    assert len(ours) == 2


# --- random amounts --------------------------------------------------------------------------------------------------


def centroids(out):
    """Return the centre of mass of each image, in pixels from the image's own centre."""
    mass = out[..., 0] / out[..., 0].sum(axis=(1, 2), keepdims=True)
    place = np.arange(out.shape[1]) - (out.shape[1] - 1) / 2
    return np.stack([(mass.sum(axis=1) * place).sum(axis=1), (mass.sum(axis=2) * place).sum(axis=1)], axis=1)


def spot(row, column):
    image = np.zeros((1, 41, 41, 1), "float32")
    image[0, row - 1 : row + 2, column - 1 : column + 2] = 255
    return image


def moved(image, **arguments):
    warp = transforms.RandomWarp(**arguments, fill_mode="constant", seed=1)
    return centroids(warp(copies(image), training=True).numpy())


def assert_uniform(values, low, high, *, slack):
    """Check range, mean, shape of the distribution, and that neighbours in the batch are independent."""
    assert low - slack <= values.min() <= low + 0.02 * (high - low) + slack
    assert high - 0.02 * (high - low) - slack <= values.max() <= high + slack
    assert abs(values.mean() - (low + high) / 2) < 4 * (high - low) / np.sqrt(12 * len(values))
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 4 / np.sqrt(len(values))


def assert_independent(one, other):
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(len(one))


def test_half_of_the_images_are_flipped_on_each_axis_and_the_axes_are_independent():
    out = transforms.RandomWarp(flip="both", seed=3)(copies(PHOTO), training=True).numpy()
    kinds = {}
    for down, right in itertools.product((1, -1), repeat=2):
        kinds[down, right] = (out == PHOTO[:, ::down, ::right]).all(axis=(1, 2, 3))
    flipped_y, flipped_x = kinds[-1, 1] | kinds[-1, -1], kinds[1, -1] | kinds[-1, -1]
    assert np.sum(list(kinds.values()), axis=0).tolist() == [1] * MANY
    assert abs(flipped_x.mean() - 0.5) < 4 * 0.5 / np.sqrt(MANY)
    assert abs(flipped_y.mean() - 0.5) < 4 * 0.5 / np.sqrt(MANY)
    assert_independent(flipped_x, flipped_y)
    assert_independent(flipped_x[1:], flipped_x[:-1])


def test_angles_are_uniform_and_centred():
    places = moved(spot(20, 32), rotation=30)
    assert_uniform(np.degrees(np.arctan2(places[:, 1], places[:, 0])), -30, 30, slack=0.5)
    np.testing.assert_allclose(np.hypot(*places.T), 12, atol=0.2)


def test_sizes_are_uniform_and_centred_on_1():
    assert_uniform(moved(spot(20, 30), zoom=0.4)[:, 0] / 10, 0.6, 1.4, slack=0.02)


def test_shifts_are_uniform_and_both_directions_independent():
    places = moved(spot(20, 20), translation=0.25, zoom=0.01)  # with a zoom, shifts are no whole numbers
    for axis in (0, 1):
        assert_uniform(places[:, axis], -0.25 * 41, 0.25 * 41, slack=0.15)
    assert_independent(*places.T)


def test_angle_size_and_shift_are_independent():
    image = spot(20, 20)
    image[0, 19:22, 28:31] = 255  # two spots: their line has the angle and the size, their middle the shift
    warp = transforms.RandomWarp(rotation=20, zoom=0.2, translation=0.2, fill_mode="constant", seed=1)
    again = transforms.RandomWarp(rotation=20, zoom=0.2, translation=0.2, fill_mode="constant", seed=1)
    first = centroids(warp(copies(spot(20, 20)), training=True).numpy())
    line = centroids(again(copies(image), training=True).numpy()) - first
    amounts = [np.arctan2(line[:, 1], line[:, 0]), np.hypot(*line.T), *first.T]
    for one, other in itertools.combinations(amounts, 2):
        assert_independent(one, other)


def test_whole_shifts_are_whole_equally_likely_and_blur_nothing():
    image = RANDOM.integers(0, 256, (1, 32, 32, 3)).astype("float32")
    out = transforms.augmentation("shift", seed=1)(copies(image), training=True).numpy()
    padded = np.pad(image[0], ((2, 2), (2, 2), (0, 0)), mode="symmetric")
    shifts = {(y, x): padded[y : y + 32, x : x + 32].tobytes() for y, x in itertools.product(range(5), repeat=2)}
    counts = dict.fromkeys(shifts.values(), 0)
    for one in out:
        counts[one.tobytes()] += 1  # a KeyError is a blurred image, or a shift too far
    assert stats.chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.parametrize(("side", "reach"), [(8, 0), (28, 2), (32, 2), (64, 4), (224, 14)])
def test_the_reach_of_whole_shifts_is_rounded(side, reach):
    ramp = np.arange(side, dtype="float32").reshape(1, 1, side, 1)
    out = transforms.augmentation("shift", seed=1)(copies(ramp), training=True).numpy()
    found = out[:, 0, side // 2, 0] - side // 2
    assert sorted(set(found.tolist())) == list(range(-reach, reach + 1))


# --- arguments -------------------------------------------------------------------------------------------------------

FRACTION = "is not accepted. Accepted: a number from 0 to below 1."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"flip": "horizontl"},
            "flip='horizontl' is not known. Did you mean 'horizontal'? Accepted: horizontal, vertical, both.",
        ),
        ({"rotation": 181}, "rotation=181 is not accepted. Accepted: degrees from 0 to 180."),
        ({"rotation": -1}, "rotation=-1 is not accepted. Accepted: degrees from 0 to 180."),
        (
            {"zoom": 1.0, "translation": "a", "fill_mode": "wrap"},
            (
                f"3 arguments are wrong:\n- zoom=1.0 {FRACTION}\n- translation='a' {FRACTION}\n"
                "- fill_mode='wrap' is not known. Accepted: reflect, nearest, constant."
            ),
        ),
    ],
)
def test_wrong_arguments_are_refused_in_words(arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        transforms.RandomWarp(**arguments)
    assert str(caught.value) == words


def test_a_layer_comes_back_from_its_config():
    layer = transforms.RandomWarp(flip="both", rotation=5, zoom=0.1, translation=0.2, fill_mode="nearest", seed=7)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again(PHOTO, training=True), layer(PHOTO, training=True))
