"""`speed_cnn`: whitening against NumPy, identity against the input, and a bundle that keeps both."""

import keras
import numpy as np
import pytest

from imgcls import Dataset, ImageClassifier, architectures
from imgcls.architectures._speed import PartialIdentity

GENERATOR = np.random.default_rng(0)


def photos(count, side, channels):
    """Make images whose neighbouring pixels and channels go together, as in photos, off the middle of the range."""
    coarse = GENERATOR.normal(0, 40, (count, side // 4, side // 4, 1)).repeat(4, axis=1).repeat(4, axis=2)
    fine = GENERATOR.normal(0, 15, (count, side, side, channels))
    return np.clip(90 + coarse + fine, 0, 255).astype(np.uint8)


def whitened(images, **blueprint):
    """Return what the layer "whitening" of a new model makes of images, as rows of components."""
    model = architectures.build("speed_cnn", input_shape=images.shape[1:], num_classes=2, **blueprint)
    architectures.whiten(model, images)
    backbone = model.get_layer("backbone")
    front = keras.Sequential(model.layers[1 : model.layers.index(backbone)])
    outputs = np.asarray(backbone.get_layer("whitening")(front(images.astype("float32"))), np.float64)
    return outputs.reshape(-1, outputs.shape[-1])


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("scaling", [{}, {"mean": (90.0,), "std": (40.0,)}, {"std": (1.0,)}])
def test_components_of_training_patches_are_uncorrelated_with_variance_one(channels, scaling):
    rows = whitened(photos(60, 16, channels), **scaling)
    half = rows.shape[1] // 2
    assert half == 4 * channels
    # Not to the last bit: where a processor adds up several filters at once, not all of them in the same order.
    np.testing.assert_allclose(rows[:, half:], -rows[:, :half], atol=1e-5)
    np.testing.assert_allclose(rows[:, :half].mean(axis=0), 0, atol=1e-3)
    # 1 % off: variances below 5/10,000 of the mean are not enlarged to the full
    np.testing.assert_allclose(np.cov(rows[:, :half], rowvar=False), np.eye(half), atol=0.01)


def test_of_many_bands_the_components_that_vary_most_are_kept():
    images = photos(60, 16, 13)
    rows = whitened(images, mean=(0.0,), std=(1.0,))
    assert rows.shape[1] == 2 * 12
    np.testing.assert_allclose(np.cov(rows[:, :12], rowvar=False), np.eye(12), atol=0.01)
    corners = [images[:, y : y + 15, x : x + 15] for y in (0, 1) for x in (0, 1)]
    patches = np.concatenate(corners, axis=-1).reshape(-1, 4 * 13).astype(np.float64)
    centred = patches - patches.mean(axis=0)
    singular = np.linalg.svd(centred, full_matrices=False)[1]
    explained = np.linalg.lstsq(rows[:, :12], centred, rcond=None)[0]
    left = np.square(centred - rows[:, :12] @ explained).sum()
    assert left == pytest.approx(np.square(singular[12:]).sum(), rel=1e-3)  # no 12 directions leave less


def test_whitening_sees_what_the_model_sees():
    rows = whitened(photos(60, 16, 3), grayscale=True)
    assert rows.shape[1] == 2 * 4
    np.testing.assert_allclose(np.cov(rows[:, :4], rowvar=False), np.eye(4), atol=0.01)


def test_images_without_any_contrast_give_finite_numbers():
    assert np.isfinite(whitened(np.full((5, 16, 16, 1), 7, np.uint8))).all()


@pytest.mark.parametrize("outputs", [3, 5, 9])
def test_identity_passes_the_input_through(outputs):
    layer = keras.layers.Conv2D(outputs, 3, padding="same", use_bias=False, kernel_initializer=PartialIdentity(seed=1))
    images = GENERATOR.normal(size=(2, 6, 7, 5)).astype("float32")
    passed = min(5, outputs)
    np.testing.assert_array_equal(layer(images)[..., :passed], images[..., :passed])
    rest = np.asarray(layer.kernel)[..., passed:]
    bound = 1 / np.sqrt(3 * 3 * 5)  # PyTorch's default: uniform within one over the root of the inputs
    assert np.abs(rest).max(initial=0) <= bound
    assert rest.size == 0 or rest.std() == pytest.approx(bound / np.sqrt(3), rel=0.15)  # 180 draws at most


def test_identity_comes_back_from_its_config():
    same = keras.initializers.deserialize(keras.initializers.serialize(PartialIdentity(seed=3)))
    np.testing.assert_array_equal(same((3, 3, 2, 4)), PartialIdentity(seed=3)((3, 3, 2, 4)))


@pytest.mark.parametrize("side", [9, 16, 28, 32, 64])
def test_sizes(side):
    model = architectures.build("speed_cnn", input_shape=(side, side, 3), num_classes=4)
    assert model.get_layer("backbone").output_shape == (None, (side - 1) // 8, (side - 1) // 8, 128)
    np.testing.assert_allclose(np.sum(model(np.zeros((1, side, side, 3), "float32")), axis=1), 1, rtol=1e-5)


def test_widths_are_rows_of_the_table():
    counts = [
        architectures.build(name, input_shape=(32, 32, 3), num_classes=10).count_params()
        for name in ("speed_cnn_narrow", "speed_cnn", "speed_cnn_wide")
    ]
    assert counts == sorted(counts)
    assert counts[-1] == pytest.approx(1_970_000, rel=0.01)  # airbench94's network: 1.97 million


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_training_leaves_the_whitening_alone_and_a_bundle_keeps_it(channels, tmp_path):
    images = photos(48, 16, channels)
    data = Dataset.from_arrays(images, np.arange(48) % 2)
    classifier = ImageClassifier("speed_cnn", epochs=2).fit(data, verbose=0)
    layer = classifier.model_.get_layer("backbone").get_layer("whitening")
    kernel, bias = (np.array(array) for array in layer.get_weights())
    architectures.whiten(classifier.model_, images)
    np.testing.assert_array_equal(layer.get_weights()[0], kernel)
    np.testing.assert_array_equal(layer.get_weights()[1], bias)
    same = ImageClassifier.load(classifier.save(tmp_path / "a.imgcls"))
    np.testing.assert_array_equal(same.predict_proba(data), classifier.predict_proba(data))


def test_a_frozen_backbone_is_frozen_to_the_last_layer():
    model = architectures.build("speed_cnn", input_shape=(16, 16, 1), num_classes=2, fine_tune=False)
    assert [variable.path for variable in model.trainable_variables] == ["head/kernel", "head/bias"]


@pytest.mark.slow
def test_the_recipe_of_a_quick_architecture_is_chosen_with_reasons():
    data = Dataset.from_arrays(photos(40, 16, 1), np.arange(40) % 2)
    quick, plain = (ImageClassifier(name, epochs=1).fit(data, verbose=0) for name in ("speed_cnn_narrow", "small_cnn"))
    assert quick.choices_["optimizer"] == (
        "muon",
        "learns most in the few passes that this architecture is made for",
    )
    assert quick.choices_["augmentation"] == (
        "shift",
        "whole pixels blur nothing, and few passes leave little time to memorise images",
    )
    assert (plain.choices_["optimizer"].value, plain.choices_["augmentation"].value) == ("adamw", "light")


def test_small_photos_in_colour_are_flipped_every_other_epoch():
    data = Dataset.from_arrays(photos(40, 16, 3), np.arange(40) % 2)
    quick = ImageClassifier("speed_cnn_narrow", epochs=1).fit(data, verbose=0)
    name, reason = quick.choices_["augmentation"]
    assert name == "flip_shift"
    assert reason.endswith("; colour images keep their class when flipped")
