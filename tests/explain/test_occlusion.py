"""Occlusion of models whose log odds are linear in the pixels: what a square is worth is then a sum over its pixels."""

import keras
import numpy as np
import pytest
from keras import layers

from imgcls import architectures
from imgcls.explain import heat_map
from imgcls.explain._occlusion import _squares, occlusion

RANDOM = np.random.default_rng(0)
HEIGHT, WIDTH = 20, 13  # squares of 4 x 4 pixels, every 2
IMAGES = RANDOM.integers(0, 256, (2, HEIGHT, WIDTH, 1)).astype(np.uint8)


def linear(weights, head="softmax", bias=0):
    """Build a model whose scores are sums of pixels from 0 to 1, weighted by `(H, W, K)`, and `bias` for the last."""

    def flat(input_shape, num_classes):
        return keras.Sequential([keras.Input(input_shape), layers.Flatten(), layers.Dense(num_classes)])

    width = weights.shape[2]
    model = architectures.build(flat, input_shape=(HEIGHT, WIDTH, 1), num_classes=width, head=head)
    model.set_weights([weights.reshape(-1, width), np.eye(width)[-1] * bias])
    return model


def expected(weights):
    """Sum what a square hides, pixel by pixel, and give each pixel the mean over the squares that hide it."""
    raw = np.zeros(IMAGES.shape[:3])
    for image, one in zip(IMAGES, raw, strict=True):
        worth = weights * (image[..., 0] - np.round(image.mean())) / 255
        for y in range(HEIGHT):
            for x in range(WIDTH):
                corners = [(y // 2 * 2 - dy, x // 2 * 2 - dx) for dy in (0, 2) for dx in (0, 2)]
                sums = [worth[max(a, 0) : a + 4, max(b, 0) : b + 4].sum() for a, b in corners]
                one[y, x] = np.mean(sums)
    return raw


def codes(code):
    return np.full(len(IMAGES), code, np.int32)


@pytest.mark.parametrize("bias", [0, 40], ids=["likely", "certain"])
@pytest.mark.parametrize(("target", "other"), [(1, -1), (0, -1), (1, 0)])
def test_two_classes_by_softmax(bias, target, other):
    weights = RANDOM.normal(0, 0.05, (HEIGHT, WIDTH, 2))
    model = linear(weights, bias=bias)
    assert (np.asarray(model(IMAGES))[:, 1] == 1).all() == (bias == 40)  # in float32, and yet there is a map
    difference = (weights[..., 1] - weights[..., 0]) * (1 if target else -1)
    raw = occlusion(model, IMAGES, codes(target), codes(other))
    np.testing.assert_allclose(raw, expected(difference), rtol=0, atol=2e-4)


def test_one_of_three_against_another():
    weights = RANDOM.normal(0, 0.05, (HEIGHT, WIDTH, 3))
    raw = occlusion(linear(weights), IMAGES, codes(2), codes(0))
    np.testing.assert_allclose(raw, expected(weights[..., 2] - weights[..., 0]), rtol=0, atol=2e-4)
    assert not np.allclose(occlusion(linear(weights), IMAGES, codes(2), codes(-1)), raw, atol=1e-2)


def test_one_of_three_against_both_others():
    """The odds are p / (1 - p), which three classes do not make linear: compute them square by square."""
    weights = RANDOM.normal(0, 0.05, (HEIGHT, WIDTH, 3))

    def log_odds(image):
        scores = np.einsum("hw,hwk->k", image[..., 0] / 255, weights)
        return scores[1] - np.log(np.exp(scores[0]) + np.exp(scores[2]))

    hidden = IMAGES[0].copy()
    hidden[:2, :2] = np.round(IMAGES[0].mean())  # the square that reaches furthest over the edge
    raw = occlusion(linear(weights), IMAGES, codes(1), codes(-1))
    falls = []
    for top in (-2, 0):
        for left in (-2, 0):
            hidden = IMAGES[0].copy()
            hidden[max(top, 0) : top + 4, max(left, 0) : left + 4] = np.round(IMAGES[0].mean())
            falls.append(log_odds(IMAGES[0]) - log_odds(hidden))
    np.testing.assert_allclose(raw[0, :2, :2], np.mean(falls), rtol=0, atol=2e-4)


@pytest.mark.parametrize(("target", "sign"), [(1, 1), (0, -1)])
def test_two_classes_of_one_output(target, sign):
    weights = RANDOM.normal(0, 0.05, (HEIGHT, WIDTH, 1))
    raw = occlusion(linear(weights, head="sigmoid"), IMAGES, codes(target), codes(-1))
    np.testing.assert_allclose(raw, sign * expected(weights[..., 0]), rtol=0, atol=2e-4)


def test_several_labels_are_questions_of_their_own():
    weights = RANDOM.normal(0, 0.05, (HEIGHT, WIDTH, 3))
    raw = occlusion(linear(weights, head="sigmoid"), IMAGES, codes(1), codes(-1))
    np.testing.assert_allclose(raw, expected(weights[..., 1]), rtol=0, atol=2e-4)


@pytest.mark.parametrize(("target", "other"), [(2, -1), (0, -1), (2, 0), (0, 2)])
def test_a_sigmoid_that_is_rounded_to_one_has_a_map(target, other):
    """Of float32, 1 - p is 0 then: the score is asked, of which p was made."""
    weights = RANDOM.normal(0, 0.05, (HEIGHT, WIDTH, 3))
    model = linear(weights, head="sigmoid", bias=40)
    assert (np.asarray(model(IMAGES))[:, 2] == 1).all()
    difference = weights[..., target] - (0 if other < 0 else weights[..., other])
    raw = occlusion(model, IMAGES, codes(target), codes(other))
    np.testing.assert_allclose(raw, expected(difference), rtol=0, atol=2e-4)


@pytest.mark.parametrize(("target", "sign"), [(1, 1), (0, -1)])
@pytest.mark.parametrize("bias", [40, -40])
def test_two_classes_of_one_output_that_is_rounded(target, sign, bias):
    weights = RANDOM.normal(0, 0.05, (HEIGHT, WIDTH, 1))
    for other in (-1, 1 - target):
        raw = occlusion(linear(weights, head="sigmoid", bias=bias), IMAGES, codes(target), codes(other))
        np.testing.assert_allclose(raw, sign * expected(weights[..., 0]), rtol=0, atol=2e-4)


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_where_the_score_is_not_found_odds_are_those_of_the_probabilities(head):
    weights = RANDOM.normal(0, 0.05, (HEIGHT, WIDTH, 2))
    model = linear(weights, head=head)
    without = keras.Model(model.input, layers.Minimum()([model.output, model.output]))
    worth = weights[..., 1] - (weights[..., 0] if head == "softmax" else 0)
    np.testing.assert_allclose(occlusion(without, IMAGES, codes(1), codes(-1)), expected(worth), rtol=0, atol=2e-4)


def test_what_float32_rounds_of_large_scores_speaks_for_nothing():
    weights = np.full((HEIGHT, WIDTH, 2), 2e-2)  # a square is worth 0.02 or so; float32 knows steps of 0.03 there
    raw = occlusion(linear(weights, head="sigmoid", bias=3e5), IMAGES, codes(1), codes(-1))
    assert not raw.any()


def test_heat_is_what_speaks_for_the_class():
    weights = np.zeros((HEIGHT, WIDTH, 2))
    weights[4:8, 4:8, 1], weights[12:16, 4:8, 0] = 0.1, 0.1
    image = np.zeros((1, HEIGHT, WIDTH, 1), np.uint8)
    image[:, 4:8, 4:8] = image[:, 12:16, 4:8] = 255
    heat = heat_map(linear(weights), image, target=1, method="occlusion")[0]
    assert heat[4:8, 4:8].min() == pytest.approx(1)  # its pixels are hidden by the same squares, two by two
    assert heat[12:16, 4:8].max() == 0
    assert heat[2:10, 2:10].sum() == pytest.approx(heat.sum())


@pytest.mark.parametrize("size", [(1, 1), (3, 8), (10, 14), (26, 33), (224, 224)])
def test_every_pixel_is_hidden_four_times_by_few_squares(size):
    count = np.zeros(size, int)
    squares = list(_squares(*size))
    for place in squares:
        assert count[place].size
        count[place] += 1
    assert np.unique(count).tolist() == [4]
    assert len(squares) <= 121
