"""The probe: scikit-learn's own optimum, images held out that were held out, and every odd set of labels."""

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from imgcls import ConfigurationError, trainer
from imgcls.trainer import _probe

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    return found.data.astype(np.float32), found.target


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.slow
def test_the_head_is_the_optimum_that_long_training_by_steps_finds(digits):
    """Full-batch gradient descent in Keras, with the penalty as weight decay in the loss, ends at the same loss."""
    features, codes = digits[0][:400], digits[1][:400]
    probe = trainer.solve(features, codes)
    (penalty,) = probe.penalties
    center = features.mean(axis=0)
    scale = np.sqrt(np.square(features - center).mean())
    scaled = (features - center) / scale

    def loss(kernel, bias):
        logits = scaled @ kernel + bias
        return log_loss(codes, softmax(logits)) + penalty * np.square(kernel).sum() / 2

    solved = loss(probe.kernel * scale, probe.bias + center @ probe.kernel)
    model = keras.Sequential(
        [keras.Input((64,)), keras.layers.Dense(10, "softmax", kernel_regularizer=keras.regularizers.L2(penalty / 2))]
    )
    rate = keras.optimizers.schedules.CosineDecay(0.1, 1500)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(scaled, codes, batch_size=len(scaled), epochs=1500, verbose=0)
    stepped = loss(*model.get_weights())
    assert abs(solved - stepped) < 1e-4
    assert solved < stepped + 1e-6  # nobody is below the optimum


def test_outputs_are_those_of_a_head_that_has_not_seen_the_image(digits):
    """Labels that are random can be learnt by heart, and not be foretold."""
    features = RANDOM.normal(size=(300, 400)).astype(np.float32)
    codes = RANDOM.integers(0, 3, 300)
    probe = trainer.solve(features, codes)
    assert abs((probe.outputs.argmax(axis=1) == codes).mean() - 1 / 3) < 0.1
    honest = trainer.solve(*digits)
    assert (honest.outputs.argmax(axis=1) == digits[1]).mean() > 0.94
    np.testing.assert_allclose(honest.outputs.sum(axis=1), 1, atol=1e-5)


def test_copies_and_groups_are_in_one_part(digits):
    features = np.concatenate([digits[0][:60], digits[0][:30]])
    codes = np.concatenate([digits[1][:60], digits[1][:30]])
    groups = [f"g{index % 45}" for index in range(90)]
    parts = _probe._parts(features, codes, groups, 0)
    for index in range(30):
        assert parts[index] == parts[60 + index]
    for group in set(groups):
        assert len({part for part, name in zip(parts.tolist(), groups, strict=True) if name == group}) == 1
    assert set(parts.tolist()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("seed", range(25))
def test_a_division_that_leaves_a_part_empty_has_fewer_parts(seed):
    """Of five patients of four classes, scikit-learn puts two into one part under some seeds, and none into another."""
    groups = np.arange(50) % 5
    features, codes = RANDOM.normal(size=(50, 3)).astype(np.float32), groups % 4
    parts = _probe._parts(features, codes, groups, seed)
    probe = trainer.solve(features, codes, groups=groups, seed=seed)
    assert set(parts.tolist()) == set(range(probe.folds))
    assert probe.folds in {4, 5}
    for group in range(5):
        assert len(set(parts[groups == group].tolist())) == 1
    np.testing.assert_allclose(probe.outputs.sum(axis=1), 1, atol=1e-5)


def test_one_group_is_divided_and_copies_of_one_image_are_not():
    features, codes = RANDOM.normal(size=(60, 400)).astype(np.float32), np.arange(60) % 2  # all chance
    alone, independent = (trainer.solve(features, codes, groups=groups) for groups in (["p"] * 60, None))
    np.testing.assert_array_equal(alone.outputs, independent.outputs)
    assert (alone.outputs.argmax(axis=1) == codes).mean() < 0.75  # from heads that have not seen the image
    copied = trainer.solve(np.ones((20, 5), np.float32), np.arange(20) % 4 // 3)  # three in four are of the first class
    assert copied.folds == 1
    np.testing.assert_allclose(copied.outputs, np.tile([0.75, 0.25], (20, 1)), atol=0.01)
    assert trainer.solve(np.ones((1, 5), np.float32), np.zeros(1, int), num_classes=2).outputs.argmax() == 0


def test_the_penalty_is_chosen_on_every_group_however_small(monkeypatch):
    """Of 1,000 images, 60 are drawn: most often none of the two patients with a single image."""
    random, seen = np.random.default_rng(0), []
    features = random.normal(size=(1000, 5)).astype(np.float32)
    groups = np.concatenate([np.arange(998) % 3, [8, 9]])
    monkeypatch.setattr(_probe, "_ENOUGH", 60)
    rounds = _probe._rounds
    monkeypatch.setattr(_probe, "_rounds", lambda parts: seen.append(parts) or rounds(parts))
    for seed in range(6):
        trainer.solve(features, (features[:, 0] > 0).astype(int), groups=groups, seed=seed)
    assert all(np.bincount(parts).min() > 0 for parts in seen)
    assert min(map(len, seen)) <= 62


def test_two_classes_by_softmax_and_by_sigmoid_agree(digits):
    features, codes = digits[0][:300], (digits[1][:300] > 4).astype(np.int64)
    two, one = trainer.solve(features, codes), trainer.solve(features, codes, head="sigmoid")
    assert (two.kernel.shape, one.kernel.shape) == ((64, 2), (64, 1))
    right = softmax(features @ two.kernel + two.bias)[:, 1]
    np.testing.assert_allclose(1 / (1 + np.exp(-(features @ one.kernel + one.bias)[:, 0])), right, atol=1e-5)
    np.testing.assert_allclose(one.outputs[:, 0], two.outputs[:, 1], atol=1e-6)
    truth = LogisticRegression(C=1 / (two.penalties[0] * 300), tol=1e-8, max_iter=5000)
    scale = np.sqrt(np.square(features - features.mean(axis=0)).mean())
    truth.fit((features - features.mean(axis=0)) / scale, codes)
    expected = truth.predict_proba((features - features.mean(axis=0)) / scale)[:, 1]
    np.testing.assert_allclose(right, expected, atol=1e-3)


def test_several_labels_an_image_are_as_many_problems(digits):
    features, code = digits[0][:300], digits[1][:300]
    labels = np.stack([code % 2 == 0, code > 4, np.zeros(300), np.ones(300)], axis=1).astype(np.int64)
    probe = trainer.solve(features, labels, head="sigmoid")
    assert probe.kernel.shape == (64, 4)
    found = 1 / (1 + np.exp(-(features @ probe.kernel + probe.bias)))
    assert ((found >= 0.5) == labels).mean(axis=0).min() > 0.9
    assert found[:, 2].max() < 1e-5 < 1 - 1e-5 < found[:, 3].min()  # what no image, and what every image shows
    assert len(probe.penalties) == 4


def test_classes_without_images_are_never_chosen_and_few_images_are_enough():
    features = RANDOM.normal(size=(12, 8)).astype(np.float32)
    codes = np.array([0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 4, 4])  # none of 1, 3 and 5; two of 4
    features += 3 * np.eye(8, dtype=np.float32)[codes]
    probe = trainer.solve(features, codes, num_classes=6)
    found = softmax(features @ probe.kernel + probe.bias)
    assert (found.argmax(axis=1) == codes).all()
    assert found[:, [1, 3, 5]].max() < 1e-4
    assert np.isfinite(probe.outputs).all()
    assert probe.folds == 5
    tiny = trainer.solve(features[[0, 5]], codes[[0, 5]] // 2)
    assert tiny.folds == 2
    assert np.isfinite(tiny.kernel).all()
    assert (softmax(features[[0, 5]] @ tiny.kernel + tiny.bias).argmax(axis=1) == [0, 1]).all()


def test_weights_count_as_copies(digits):
    """An image that weighs two is two images, with the penalty kept."""
    features, codes = digits[0][:100], digits[1][:100]
    weights = np.where(np.arange(100) < 40, 2.0, 1.0).astype(np.float32)
    doubled = np.concatenate([np.arange(100), np.arange(40)])
    one = _probe._fit(features, codes, weights * 100 / weights.sum(), 0.1, 1e-6)
    other = _probe._fit(features[doubled], codes[doubled], np.ones(140, np.float32) * 100 / 140, 0.1, 1e-6)
    np.testing.assert_allclose(one.predict_proba(features), other.predict_proba(features), atol=2e-3)
    plain = _probe._fit(features, codes, np.ones(100, np.float32), 0.1, 1e-6)
    assert np.abs(plain.predict_proba(features) - one.predict_proba(features)).max() > 0.02


@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
@pytest.mark.parametrize("grouped", [False, True])
def test_what_weighs_nothing_is_as_if_it_were_not_there(digits, monkeypatch, grouped, head):
    """A whole class, and every other image; of the others, some are drawn to choose the penalty on."""
    chosen = np.flatnonzero(digits[1][:900] != 4)[::2]
    features, codes = digits[0][:900], digits[1][:900]
    targets = codes if head == "softmax" else np.stack([codes > 4, codes == 4], axis=1).astype(np.int64)
    groups = np.arange(900) // 20 if grouped else None
    weights = np.zeros(900, np.float32)
    weights[chosen] = np.where(np.arange(len(chosen)) % 3, 1.0, 2.0)
    monkeypatch.setattr(_probe, "_ENOUGH", 300)
    options = {"head": head, "num_classes": 10}
    found = trainer.solve(features, targets, weights=weights, groups=groups, **options)
    truth = trainer.solve(
        features[chosen],
        targets[chosen],
        weights=weights[chosen],
        groups=groups[chosen] if grouped else None,
        **options,
    )
    np.testing.assert_array_equal(found.kernel, truth.kernel)
    np.testing.assert_array_equal(found.bias, truth.bias)
    np.testing.assert_allclose(found.outputs[chosen], truth.outputs, rtol=0, atol=1e-6)
    assert (found.penalties, found.folds) == (truth.penalties, truth.folds)
    assert np.isfinite(found.outputs).all()


def test_a_group_that_weighs_nothing_is_no_part():
    """But a copy of an image that weighs goes with it."""
    features, codes = RANDOM.normal(size=(40, 4)).astype(np.float32), np.arange(40) % 2
    weights = np.repeat([1.0, 0.0], 20).astype(np.float32)
    alone = trainer.solve(features[:20], codes[:20])
    copied = features.copy()
    copied[30] = features[3]
    for images, groups in ((features, [0] * 20 + [1] * 20), (copied, None)):
        probe = trainer.solve(images, codes, groups=groups, weights=weights)
        np.testing.assert_array_equal(probe.kernel, alone.kernel)
        np.testing.assert_allclose(probe.outputs[:20], alone.outputs, rtol=0, atol=1e-6)
    np.testing.assert_allclose(probe.outputs[30], alone.outputs[3], rtol=0, atol=1e-6)
    with pytest.raises(ConfigurationError) as refusal:
        trainer.solve(features, codes, weights=np.zeros(40, np.float32))
    assert str(refusal.value) == (
        "weights are 0 for every image. Accepted: at least one above 0. Leave them out to count all alike."
    )


def test_a_weaker_penalty_is_chosen_for_more_images(digits):
    few, many = trainer.solve(digits[0][:50], digits[1][:50]), trainer.solve(*digits)
    assert many.penalties[0] < few.penalties[0]


def test_the_penalty_of_many_images_is_chosen_on_some_of_them(digits, monkeypatch):
    whole = trainer.solve(*digits)
    monkeypatch.setattr(_probe, "_ENOUGH", 900)
    part = trainer.solve(*digits)
    assert part.outputs.shape == whole.outputs.shape
    assert 0.3 <= part.penalties[0] / whole.penalties[0] <= 3.4


@pytest.mark.parametrize("seed", [3, 2**32 - 1, 2**32, 2**32 + 3, 2**63 - 1])
def test_of_a_large_seed_the_parts_are_those_of_what_scikit_learn_takes(digits, seed):
    """Its numbers have 32 bits."""
    features, codes = digits[0][:100], digits[1][:100]
    truth = np.empty(100, np.int64)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed % 2**32)
    for index, (_, part) in enumerate(folds.split(features, codes)):
        truth[part] = index
    np.testing.assert_array_equal(_probe._parts(features, codes, None, seed), truth)
    assert trainer.solve(features, codes, groups=np.arange(100) // 2, seed=seed).folds == 5


def test_the_same_seed_gives_the_same_bits(digits):
    one, other = trainer.solve(*digits, seed=3), trainer.solve(*digits, seed=3)
    np.testing.assert_array_equal(one.kernel, other.kernel)
    np.testing.assert_array_equal(one.outputs, other.outputs)
