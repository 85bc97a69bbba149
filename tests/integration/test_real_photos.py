"""Transfer learning on real photographs and real weights, at reduced size: what a person with few images would do."""

import re

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from imgcls import Dataset, ImageClassifier, architectures, trainer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weights(shared_data):
    return shared_data / "weights" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


def solved(weights, **options):
    return ImageClassifier("mobilenet_v2_035", weights=weights, image_size=96, **options)


def some(data, of_each, seed=0):
    """Return at most so many images of each class."""
    codes = np.asarray(data.labels)
    order = np.random.default_rng(seed).permutation(len(codes))
    return data[np.sort(np.concatenate([order[codes[order] == code][:of_each] for code in np.unique(codes)]))]


def test_flowers_from_few_photos_and_again_for_nothing(shared_data, weights):
    train, test = (Dataset.from_folder(shared_data / "flowers224" / part) for part in ("train", "val"))
    few = some(train, 40)
    classifier = solved(weights).fit(few, verbose=0)
    evaluation = classifier.evaluate(some(test, 40))
    held_out = classifier.history_["held_out_accuracy"][0]
    assert evaluation.accuracy > 0.6  # guessing has 0.2
    assert abs(held_out - evaluation.accuracy) < 0.15  # two samples of 200 photos
    features = architectures.cut(classifier.model_)
    again = trainer.embed(features, few)
    assert (again.computed, again.engine) == (0, "cache")
    rows = classifier.embed(few)
    np.testing.assert_array_equal(rows, again.features)
    np.testing.assert_allclose(trainer.embed(features, few[:20], cache=False).features, rows[:20], atol=1e-5)


def test_products_that_look_alike(shared_data, weights):
    data = Dataset.from_folder(shared_data / "clothing")
    train, _, test = data.split()
    shop = some(train, 30)
    classifier = solved(weights).fit(shop, verbose=0)
    right = []
    for position in range(0, len(test), 4):
        found = classifier.similar(test.source(position), 5)
        right.append(np.mean([name == test.classes[test.labels[position]] for name in found.labels]))
    assert np.mean(right) > 0.25  # of ten classes, chance has a tenth


def test_five_images_of_each_face(shared_data, weights):
    data = Dataset.from_folder(shared_data / "orl_faces")
    train = some(data, 5)
    rest = data[np.setdiff1d(np.arange(len(data)), [data.ids.index(name) for name in train.ids])]
    assert (len(train.classes), len(train), len(rest)) == (40, 200, 200)
    classifier = solved(weights).fit(train, verbose=0)
    assert classifier.model_.input_shape[-1] == 1  # gray images stay gray
    assert classifier.evaluate(rest).accuracy > 0.8  # of forty people, chance has 0.025


def test_x_rays_with_classes_of_unequal_size(shared_data, weights):
    with np.load(shared_data / "pneumoniamnist" / "pneumoniamnist_rebuilt.npz") as arrays:
        train, test = (
            Dataset.from_arrays(
                arrays[f"{part}_images"], arrays[f"{part}_labels"].ravel(), classes=["normal", "pneumonia"]
            )
            for part in ("train", "test")
        )
    few = train[::10]
    balanced = solved(weights, class_weight="balanced").fit(few, verbose=0)
    answers = np.asarray(balanced.predict(test))
    truth = np.asarray(test.classes)[np.asarray(test.labels)]
    assert balanced_accuracy_score(truth, answers) > 0.75  # guessing has 0.5


def test_leaves_whose_rotated_copies_stay_with_them(shared_data, weights):
    """A copy is named as its leaf: `blast_rotated_014` of `blast_orig_014`. Groups keep both in one part."""
    folder = shared_data / "rice_leaf"
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    labels = [path.relative_to(folder).parts[0] for path in paths]
    groups = [re.sub("_(orig|rotated)_", "_", path.stem.lower()) for path in paths]
    data = Dataset.from_files(paths, labels, groups=groups)
    train, test = data.split((0.75, 0.25))
    assert not set(train.groups) & set(test.groups)
    classifier = solved(weights).fit(some(train, 50), verbose=0)
    assert classifier.evaluate(test).accuracy > 0.6  # guessing has 0.37
    parts = trainer.solve(classifier.embed(train), np.asarray(train.labels), groups=train.groups)
    assert parts.folds == 5
