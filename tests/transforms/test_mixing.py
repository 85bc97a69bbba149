"""Mixup and CutMix: losses against the mixture computed in NumPy, shares and boxes against SciPy and the paper's recipe."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from imgcls import transforms
from imgcls.errors import ConfigurationError
from imgcls.transforms._mixing import try_mixing

RANDOM = np.random.default_rng(0)
COUNT, HEIGHT, WIDTH = 12, 10, 14
IMAGES = RANDOM.integers(0, 256, (COUNT, HEIGHT, WIDTH, 3)).astype("float32")
EACH_ITS_OWN = np.eye(COUNT, dtype="float32")
ONES = np.ones(COUNT, "float32")


def mixed(layer, images=IMAGES, targets=EACH_ITS_OWN, weights=ONES):
    return [np.asarray(one) for one in layer(images, targets, weights, training=True)]


def many(layer, steps, images=IMAGES):
    """Return images and targets of many batches, drawn by one compiled function."""
    step = tf.function(lambda *given: layer(*given, training=True)[:2])
    given = [
        tf.constant(one) for one in (images, np.eye(len(images), dtype="float32"), np.ones(len(images), "float32"))
    ]
    images, targets = zip(*(step(*given) for _ in range(steps)), strict=True)
    return np.stack(images), np.stack(targets)


def pairs(targets):
    """Return from targets that name each image: the share of itself, and its partner."""
    share = np.diagonal(targets, axis1=-2, axis2=-1)
    others = targets - share[..., None] * np.eye(targets.shape[-1])
    return share, others.argmax(axis=-1)


@pytest.fixture(params=transforms.MIXINGS)
def layer(request):
    return transforms.mixing(request.param, seed=1)


# --- what is mixed ---------------------------------------------------------------------------------------------------


def cross_entropy(targets, outputs):
    return -(targets * np.log(outputs)).sum(axis=1)


def both_sides(targets, outputs):
    return cross_entropy(targets, outputs) + cross_entropy(1 - targets, 1 - outputs)


@pytest.mark.parametrize("loss", [cross_entropy, both_sides])
def test_the_weighted_loss_is_the_mixture_of_the_weighted_losses(layer, loss):
    weights = RANDOM.uniform(0, 3, COUNT).astype("float32")
    weights[:3] = 0  # as of classes that are left out
    targets = RANDOM.dirichlet(np.ones(5), COUNT).astype("float32")
    outputs = RANDOM.dirichlet(np.ones(5), COUNT)
    for _ in range(20):
        before = [variable.numpy() for variable in layer.variables]
        _, named, _ = mixed(layer)
        for variable, value in zip(layer.variables, before, strict=True):
            variable.assign(value)
        _, new_targets, new_weights = mixed(layer, targets=targets, weights=weights)  # the same draw again
        share, partner = pairs(named)
        by_hand = share * weights * loss(targets, outputs)
        by_hand += (1 - share) * weights[partner] * loss(targets[partner], outputs)
        np.testing.assert_allclose(new_weights * loss(new_targets, outputs), by_hand, rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(new_weights, share * weights + (1 - share) * weights[partner], atol=1e-6)
        np.testing.assert_allclose(new_targets.sum(axis=1), 1, atol=1e-6)


def test_every_image_counts_as_much_as_before(layer):
    _, targets = many(layer, 50)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(targets.sum(axis=2), 1, atol=1e-5)


def test_two_images_without_weight_stay_finite(layer):
    out = [mixed(layer, weights=np.zeros(COUNT, "float32")) for _ in range(5)]
    assert all(np.isfinite(one).all() for parts in out for one in parts)
    assert all((weights == 0).all() for _, _, weights in out)
    assert all((targets == EACH_ITS_OWN).all() for _, targets, _ in out)


def test_partners_are_random(layer):
    share, partner = pairs(many(layer, 600)[1])
    told = share < 1 - 1e-4
    counts = np.zeros((COUNT, COUNT))
    np.add.at(counts, (np.where(told)[1], partner[told]), 1)
    assert (np.diagonal(counts) == 0).all()
    off_diagonal = counts[~np.eye(COUNT, dtype=bool)]
    assert stats.chisquare(off_diagonal).pvalue > 1e-3


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_mixup_blends_whole_images(channels):
    images = RANDOM.integers(0, 256, (COUNT, HEIGHT, WIDTH, channels)).astype("float32")
    layer = transforms.RandomMix(mixup=1.0, seed=2)
    for _ in range(5):
        out, targets, _ = mixed(layer, images=images)
        share, partner = pairs(targets)
        share = share[:, None, None, None]
        np.testing.assert_allclose(out, share * images + (1 - share) * images[partner], atol=1e-3)
        assert np.ptp(share[targets.diagonal() < 1 - 1e-6]) < 1e-6  # one share for the batch


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_cutmix_pastes_a_box_and_counts_its_pixels(channels):
    images = RANDOM.uniform(0, 256, (COUNT, HEIGHT, WIDTH, channels)).astype("float32")
    layer = transforms.RandomMix(cutmix=1.0, seed=2)
    for _ in range(20):
        out, targets, _ = mixed(layer, images=images)
        share, partner = pairs(targets)
        own, others = (out == images).all(axis=-1), (out == images[partner]).all(axis=-1)
        for index in np.flatnonzero(share < 1):
            assert (own[index] ^ others[index]).all()
            rows, columns = others[index].any(axis=1), others[index].any(axis=0)
            assert (others[index] == rows[:, None] & columns).all()
            assert np.abs(np.diff(rows.astype(int))).sum() <= 2  # without a gap
            assert np.abs(np.diff(columns.astype(int))).sum() <= 2
            assert share[index] == pytest.approx(own[index].mean(), abs=1e-6)
        assert own[share == 1].all()


# --- how much --------------------------------------------------------------------------------------------------------


def shares(layer, steps, images=IMAGES):
    """Return one share a batch: that of an image whose partner is not itself; in 12 there is always one."""
    step = tf.function(lambda *given: layer(*given, training=True)[1])
    given = [tf.constant(one) for one in (images, EACH_ITS_OWN, ONES)]
    return pairs(np.stack([step(*given) for _ in range(steps)]))[0].min(axis=1)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_of_mixup_are_beta(alpha):
    found = shares(transforms.RandomMix(mixup=alpha, seed=1), 2000)
    assert stats.kstest(found, stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    assert abs(found.mean() - 0.5) < 4 * stats.beta(alpha, alpha).std() / np.sqrt(len(found))
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 4 / np.sqrt(len(found))


def paper_shares(alpha, height, width, count):
    """Return shares of `rand_bbox` of the authors: whole pixels, cut off at the border."""
    share = RANDOM.beta(alpha, alpha, count)
    half_y, half_x = (height * np.sqrt(1 - share)).astype(int) // 2, (width * np.sqrt(1 - share)).astype(int) // 2
    y, x = RANDOM.integers(height, size=count), RANDOM.integers(width, size=count)
    rows = (y + half_y).clip(0, height) - (y - half_y).clip(0, height)
    columns = (x + half_x).clip(0, width) - (x - half_x).clip(0, width)
    return 1 - rows * columns / (height * width)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_areas_of_cutmix_are_those_of_the_paper(alpha):
    found = shares(transforms.RandomMix(cutmix=alpha, seed=1), 2000, np.zeros((COUNT, 64, 96, 1), "float32"))
    # The authors cut sides down to even numbers of pixels, 1 of 64 on average, and so 2 in 100 of an area.
    assert stats.ks_2samp(found, paper_shares(alpha, 64, 96, 100_000)).statistic < 0.05
    assert found.mean() == pytest.approx(paper_shares(alpha, 640, 960, 100_000).mean(), abs=4 * 0.3 / np.sqrt(2000))


def test_boxes_have_the_aspect_of_the_image_and_lie_anywhere():
    images = np.stack([np.zeros((40, 60, 1)), np.ones((40, 60, 1))]).astype("float32")
    out, targets = many(transforms.RandomMix(cutmix=1.0, seed=1), 3000, images)
    boxes = out[:, 0, :, :, 0][pairs(targets)[0][:, 0] < 1]
    for axis in (1, 2):
        near, far = np.array_split(boxes, 2, axis=axis)
        excess = near.mean(axis=(1, 2)) - far.mean(axis=(1, 2))
        assert abs(excess.mean()) < 4 * excess.std() / np.sqrt(len(boxes))
    inner = boxes[(boxes[:, [0, -1]].sum(axis=(1, 2)) == 0) & (boxes[:, :, [0, -1]].sum(axis=(1, 2)) == 0)]
    rows, columns = inner.any(axis=2).sum(axis=1), inner.any(axis=1).sum(axis=1)
    assert len(inner) > 100
    assert np.abs(columns - 1.5 * rows).max() <= 2.5  # a pixel more or less on each side


def test_both_draws_one_of_them_for_each_batch():
    images = np.stack([np.zeros((16, 16, 1)), np.ones((16, 16, 1))] * 4).astype("float32")
    out, _ = many(transforms.mixing("both", seed=1), 3000, images)
    blended = ((out > 0.001) & (out < 0.999)).any(axis=(1, 2, 3, 4))
    cut = (np.ptp(out, axis=(2, 3)) == 1).any(axis=(1, 2))
    assert not (blended & cut).any()
    visible = 1 - 2 * stats.beta(0.2, 0.2).cdf(0.001)  # of the shares that mixup draws
    assert abs(blended.mean() - 0.5 * visible) < 4 * 0.5 / np.sqrt(3000)
    assert 0.45 - 4 * 0.5 / np.sqrt(3000) < cut.mean() < 0.5 + 4 * 0.5 / np.sqrt(3000)  # a box may be empty, or all
    drawn = blended.astype(int)[cut | blended]
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 4 / np.sqrt(len(drawn))


# --- the rest --------------------------------------------------------------------------------------------------------


def test_outside_training_nothing_is_mixed(layer):
    for found, given in zip(
        layer(IMAGES, EACH_ITS_OWN, ONES, training=False), (IMAGES, EACH_ITS_OWN, ONES), strict=True
    ):
        np.testing.assert_array_equal(found, given)


def test_one_image_stays_as_it_is(layer):
    images, targets, weights = mixed(layer, IMAGES[:1], EACH_ITS_OWN[:1], 2 * ONES[:1])
    np.testing.assert_allclose(images, IMAGES[:1], atol=1e-3)
    np.testing.assert_allclose(targets, EACH_ITS_OWN[:1], atol=1e-6)
    np.testing.assert_allclose(weights, [2], atol=1e-6)


def test_names_and_what_is_used_as_it_is():
    assert transforms.MIXINGS == ("mixup", "cutmix", "both")
    settings = {name: (transforms.mixing(name).mixup, transforms.mixing(name).cutmix) for name in transforms.MIXINGS}
    assert settings == {"mixup": (0.2, 0.0), "cutmix": (0.0, 1.0), "both": (0.2, 1.0)}
    own = keras.layers.Layer()
    assert transforms.mixing(own) is own
    assert transforms.mixing(None) is None


@pytest.mark.parametrize(
    ("targets", "what"),
    [
        (np.arange(COUNT), "int64 and shape (12,)"),
        (np.eye(COUNT, dtype="int32"), "int32 and shape (12, 12)"),
        (ONES, "float32 and shape (12,)"),
    ],
)
def test_targets_that_cannot_be_mixed_are_refused_in_words(layer, targets, what):
    with pytest.raises(ConfigurationError) as caught:
        layer(IMAGES, targets, ONES, training=True)
    assert str(caught.value) == (
        f"targets of dtype {what} cannot be mixed. Accepted: float (N, K), a row for each image, such as one-hot rows."
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: transforms.mixing("mixupp"),
            "mixing='mixupp' is not known. Did you mean 'mixup'? Accepted: mixup, cutmix, both.",
        ),
        (
            transforms.RandomMix,
            "mixup and cutmix are both 0, which mixes nothing. Give one of them, such as mixup=0.2.",
        ),
        (
            lambda: transforms.RandomMix(mixup=-1, cutmix="a"),
            (
                "2 arguments are wrong:\n- mixup=-1 is not accepted. Accepted: a number above 0.\n"
                "- cutmix='a' is not accepted. Accepted: a number above 0."
            ),
        ),
    ],
)
def test_wrong_arguments_are_refused_in_words(call, words):
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert str(caught.value) == words


class Returning(keras.layers.Layer):
    """Returns what a function makes of what it is given, and counts its calls."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, *given):
        self.count.assign_add(1.0)
        return self.function(*given)


def test_layers_of_the_users_own_are_tried_with_shapes_of_the_run_and_left_as_they_were(layer):
    seen = []
    own = Returning(lambda *given: seen.append([tuple(one.shape) for one in given]) or given)
    try_mixing(own, image_shape=(5, 7, 3), outputs=4)
    assert seen == [[(2, 5, 7, 3), (2, 4), (2,)]]
    assert float(own.count) == 0
    before = [np.array(one.numpy()) for one in layer.variables]
    for tried in (layer, None):
        try_mixing(tried, image_shape=(5, 7, 3), outputs=1)
    for variable, value in zip(layer.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda images, targets, weights: images, r"it returns arrays of shapes \[\(5, 7, 3\), \(5, 7, 3\)\]\."),
        (
            lambda images, targets, weights: (images, targets),
            r"it returns arrays of shapes \[\(2, 5, 7, 3\), \(2, 4\)\]\.",
        ),
        (lambda images: images, "takes 1 positional argument but 3 were given"),
        (lambda images, targets, weights: 1 / 0, "division by zero"),
    ],
)
def test_layers_that_cannot_mix_are_refused_in_words(function, why):
    accepted = (
        r" Accepted: 'mixup', 'cutmix', 'both', or a layer that is called with images \(N, H, W, C\), targets "
        r"\(N, K\) and weights \(N,\), and returns the three as RandomMix does\.$"
    )
    with pytest.raises(ConfigurationError, match=rf"(?s)^mixing=Returning cannot mix: .*{why}.*{accepted}"):
        try_mixing(Returning(function), image_shape=(5, 7, 3), outputs=4)


def test_a_layer_comes_back_from_its_config(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    for one, other in zip(mixed(again), mixed(layer), strict=True):
        np.testing.assert_array_equal(one, other)
