"""The checks of heat maps tell good ones from pictures."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from keras import layers

from imgcls import ConfigurationError, architectures, explain
from imgcls.explain import _heat_map, deletion_score, randomised_correlation

IMAGE = np.array([[250, 10], [20, 40]], np.uint8)[..., None]  # its mean is 80


def brightness(images):
    """The probability of class 1 is the sum of pixels over 1,000; of class 0 it is the rest."""
    found = images.sum(axis=(1, 2, 3))[:, None] / 1000
    return np.concatenate([1 - found, found], axis=1).astype(np.float32)


def test_the_area_by_hand():
    heat = np.array([[0.9, 0.1], [0.2, 0.3]])
    sums = [320, 320 - 250 + 80, 320 - 290 + 160, 320 - 310 + 240, 320]  # 250, 40, 20 and 10 become 80, one by one
    areas = [(one + two) / 2 / 4 for one, two in pairwise(sums)]
    assert deletion_score(brightness, IMAGE, heat, 1, steps=4) == pytest.approx(sum(areas) / 1000)
    assert deletion_score(brightness, IMAGE, heat, 0, steps=4) == pytest.approx(1 - sum(areas) / 1000)
    halves = (320 / 2 + 190 + 320 / 2) / 2
    assert deletion_score(brightness, IMAGE, heat, 1, steps=2) == pytest.approx(halves / 1000)


def test_of_equally_hot_pixels_the_upper_left_goes_first():
    ranked = np.array([[4, 3], [2, 1]])
    assert deletion_score(brightness, IMAGE, np.zeros((2, 2)), 1, 4) == deletion_score(brightness, IMAGE, ranked, 1, 4)


def test_one_output_is_the_second_class():
    heat = np.array([[0.9, 0.1], [0.2, 0.3]])
    for target in (0, 1):
        one = deletion_score(lambda images: brightness(images)[:, 1:], IMAGE, heat, target)
        assert one == pytest.approx(deletion_score(brightness, IMAGE, heat, target))


def test_each_channel_gets_its_own_mean():
    seen = []

    def watched(images):
        seen.append(images)
        return brightness(images)

    image = np.dstack([np.full((2, 2), 30), [[0, 40], [80, 120]], np.full((2, 2), 200)]).astype(np.uint8)
    deletion_score(watched, image, np.zeros((2, 2)), 1, 1)
    np.testing.assert_array_equal(seen[0], [image, np.broadcast_to([30, 60, 200], (2, 2, 3))])
    assert seen[0].dtype == np.uint8


@pytest.mark.parametrize("method", explain.METHODS)
def test_a_map_of_the_model_is_better_than_chance(learnt, unseen, method):
    images, codes, _ = (one[:8] for one in unseen)
    heat = explain.heat_map(learnt.model_, images, target=codes, method=method)
    random = np.random.default_rng(0).random(heat.shape)

    def mean_score(maps):
        return np.mean([deletion_score(learnt.predict_proba, *one) for one in zip(images, maps, codes, strict=True)])

    assert mean_score(heat) < 0.75 * mean_score(random)
    assert mean_score(-heat) > mean_score(random)


@pytest.mark.parametrize("method", explain.METHODS)
def test_maps_change_with_the_weights(learnt, unseen, method):
    before = learnt.model_.get_weights()
    correlation = randomised_correlation(learnt.model_, unseen[0][:6], method=method)
    assert abs(correlation) < 0.4
    for kept, weight in zip(before, learnt.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, kept)


def test_a_method_that_draws_edges_is_found_out(learnt, unseen, monkeypatch):
    def edges(model, images, targets, others):
        return np.abs(np.gradient(images.mean(axis=3), axis=1)).astype(np.float32)

    monkeypatch.setitem(_heat_map._METHODS, "grad_cam", edges)
    assert randomised_correlation(learnt.model_, unseen[0][:4]) == pytest.approx(1)


def test_copies_are_explained_for_the_class_of_the_model(learnt, unseen, monkeypatch):
    asked = []
    monkeypatch.setitem(
        _heat_map._METHODS,
        "grad_cam",
        lambda model, images, targets, others: asked.append(targets.tolist()) or np.zeros(images.shape[:3], np.float32),
    )
    images, codes, _ = unseen
    assert randomised_correlation(learnt.model_, images, draws=2) == 0  # of maps without any rank
    assert asked == [codes.tolist()] * 3
    asked.clear()
    randomised_correlation(learnt.model_, images, 1, draws=1)
    assert asked == [[1] * len(images)] * 2


def test_the_last_two_kernels_are_shuffled_and_nothing_else(learnt, unseen, monkeypatch):
    copies = []
    monkeypatch.setitem(
        _heat_map._METHODS,
        "grad_cam",
        lambda model, images, targets, others: copies.append(model) or np.zeros(images.shape[:3], np.float32),
    )
    for seed in (0, 0, 1):
        randomised_correlation(learnt.model_, unseen[0][:1], 0, draws=2, seed=seed)
    model, first, second = copies[:3]
    assert model is learnt.model_
    changed = set()
    for own, one, two in zip(model.weights, first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(np.sort(np.ravel(one)), np.sort(np.ravel(own)))
        changed |= {own.path for copy in (one, two) if not np.array_equal(copy, own)}
    assert changed == {"block3_conv/kernel", "head/kernel"}
    kernels = [np.asarray(copy.get_layer("head").kernel) for copy in copies if copy is not model]
    np.testing.assert_array_equal(kernels[0], kernels[2])  # of the same seed
    assert not np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[4])


def test_copies_scale_pixels_as_the_model_does(monkeypatch):
    images = np.random.default_rng(0).integers(100, 200, (5, 8, 8, 1)).astype(np.uint8)

    def own(input_shape, num_classes):
        scaling = layers.Normalization(axis=None)
        scaling.adapt(images.astype("float32"))
        return keras.Sequential([keras.Input(input_shape), scaling, layers.Conv2D(2, 3, name="kernels")])

    model = architectures.build(own, input_shape=(8, 8, 1), num_classes=2, std=(1,))
    copies = []
    monkeypatch.setitem(
        _heat_map._METHODS,
        "grad_cam",
        lambda model, images, targets, others: copies.append(model) or np.zeros(images.shape[:3], np.float32),
    )
    randomised_correlation(model, images, 0, draws=1)
    scaling = copies[1].get_layer("backbone").layers[0]
    expected = (images - images.mean()) / images.std()
    np.testing.assert_allclose(scaling(images), expected, rtol=1e-4, atol=1e-4)


def test_a_model_that_was_compiled_with_a_loss_of_its_own_is_copied():
    model = architectures.build("small_cnn", input_shape=(16, 16, 1), num_classes=3)
    model.compile("sgd", loss=lambda targets, outputs: outputs[:, 0])
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 1)).astype(np.uint8)
    correlation = randomised_correlation(model, images, draws=1)
    assert model.compiled
    model.compiled = False
    assert randomised_correlation(model, images, draws=1) == correlation


def test_refusals(learnt, unseen):
    with pytest.raises(ConfigurationError) as refusal:
        deletion_score(brightness, IMAGE, np.zeros((2, 3)), 1, 0)
    assert str(refusal.value) == (
        "2 arguments are wrong:\n- steps=0 is not accepted. Accepted: a whole number of at least 1.\n- the heat has the shape (2, 3), and the image (2, 2). Both must be (H, W)."
    )
    for target in (2, -1):
        with pytest.raises(ConfigurationError) as refusal:
            deletion_score(brightness, IMAGE, np.zeros((2, 2)), target)
        assert str(refusal.value) == f"target={target} is not accepted. Accepted: a whole number from 0 to 1."
    with pytest.raises(ConfigurationError) as refusal:
        randomised_correlation(learnt.model_, unseen[0], draws=0)
    assert str(refusal.value) == "draws=0 is not accepted. Accepted: a whole number of at least 1."


def test_a_model_that_cannot_be_copied_is_refused():
    class Doubled(layers.Layer):
        def __init__(self, factor):
            super().__init__()
            self.factor = factor

        def call(self, images):
            return images * self.factor

        def get_config(self):
            return {}

    def own(input_shape, num_classes):
        return keras.Sequential([keras.Input(input_shape), Doubled(2), layers.Conv2D(2, 3)])

    model = architectures.build(own, input_shape=(8, 8, 1), num_classes=2)
    with pytest.raises(ConfigurationError) as refusal:
        randomised_correlation(model, np.zeros((1, 8, 8, 1), np.uint8))
    assert str(refusal.value).startswith("the model cannot be copied: ")
    assert str(refusal.value).endswith(". Nothing can be said of its maps with other weights.")
