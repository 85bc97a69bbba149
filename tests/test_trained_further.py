"""A classifier whose model Keras trains further, or that is fitted again: answers follow, and what was measured stays."""

import keras
import numpy as np
import pytest

from imgcls import Dataset, ImageClassifier, _backend, architectures
from imgcls._backend import _engines

RANDOM = np.random.default_rng(0)
LABELS = np.repeat(["dark", "light", "striped"], 20)
BASES = {"dark": 60, "light": 160, "striped": np.tile([[60], [200]], (8, 16))[..., None]}
IMAGES = np.stack([BASES[label] + RANDOM.integers(0, 40, (16, 16, 3)) for label in LABELS]).astype(np.uint8)


@pytest.fixture(scope="module")
def learnt():
    return ImageClassifier("small_cnn", image_size=16, epochs=2, augmentation=None).fit(IMAGES, LABELS, verbose=0)


def by_keras(classifier):
    """What the model answers now, outside of any graph of ours."""
    return np.asarray(classifier.model_(IMAGES.astype(np.float32), training=False))


def trained(model):
    model.compile(keras.optimizers.SGD(0.05), "sparse_categorical_crossentropy")
    model.fit(IMAGES.astype(np.float32), RANDOM.integers(0, 3, len(IMAGES)), epochs=1, verbose=0)


def with_classes_in_another_order(model):
    head = model.get_layer("head")
    head.set_weights([one[..., ::-1] for one in head.get_weights()])


def with_other_statistics(model):
    for _ in range(3):
        model(255 - IMAGES.astype(np.float32), training=True)


CASES = [
    ("tensorflow", trained),
    ("onnxruntime", trained),
    ("openvino", trained),
    ("openvino", with_classes_in_another_order),
    ("openvino", with_other_statistics),
]


@pytest.mark.parametrize(("engine", "change"), CASES)
def test_answers_are_those_of_the_model_as_it_is(learnt, tmp_path, engine, change):
    classifier = ImageClassifier.load(learnt.save(tmp_path / "a.imgcls")).set_params(engine=engine)
    classifier.predict_proba(IMAGES)  # from here on there is a converted model
    before = by_keras(classifier)
    np.testing.assert_allclose(classifier.evaluate(IMAGES, LABELS).probabilities, before, rtol=0, atol=1e-4)
    change(classifier.model_)
    now = by_keras(classifier)
    assert np.abs(now - before).max() > 0.01
    one_by_one = [classifier.predict(image).probabilities for image in IMAGES]
    for found in (
        classifier.predict_proba(IMAGES),
        classifier.evaluate(IMAGES, LABELS).probabilities,
        np.array([[one[name] for name in ("dark", "light", "striped")] for one in one_by_one]),
        ImageClassifier.load(classifier.save(tmp_path / "b.imgcls")).predict_proba(IMAGES),
    ):
        np.testing.assert_allclose(found, now, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["openvino", "tensorflow"])
def test_many_images_are_answered_by_the_model_as_it_is(learnt, tmp_path, monkeypatch, name):
    """With engine='auto' they go through a converted model, and TensorFlow's own has its weights as constants."""
    ways = tuple(way._replace(least=1.0) for way in _engines._WAYS if way.name == name)
    monkeypatch.setattr(_engines, "_WAYS", ways)
    classifier = ImageClassifier.load(learnt.save(tmp_path / "a.imgcls"))
    first = classifier._ways.run_for(len(IMAGES))
    assert first is classifier._ways.run_for(len(IMAGES)) is not classifier._ways.run
    first(IMAGES)
    trained(classifier.model_)
    np.testing.assert_allclose(classifier.predict_proba(IMAGES), by_keras(classifier), rtol=0, atol=1e-4)
    assert classifier._ways.run_for(len(IMAGES)) is not first


@pytest.mark.parametrize("engine", ["auto", "openvino"])
def test_similar_images_are_found_by_the_features_of_now(learnt, tmp_path, engine):
    classifier = ImageClassifier.load(learnt.save(tmp_path / "a.imgcls")).set_params(engine=engine)
    data = Dataset.from_arrays(IMAGES, LABELS)
    classifier.similar(IMAGES[7], 60, among=data)
    trained(classifier.model_)
    features = np.asarray(architectures.cut(classifier.model_)(IMAGES.astype(np.float32), training=False))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    found = classifier.similar(IMAGES[7], 60, among=data)
    np.testing.assert_allclose(found.similarities, np.sort(unit @ unit[7])[::-1], rtol=0, atol=1e-4)


def test_a_digest_tells_every_change_of_weights():
    model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=3)
    digest = _backend.weights_digest(model)
    seen = [digest()]
    assert digest() == seen[0]
    for weight in model.weights:
        values = weight.numpy()
        changed = values.copy()
        changed.flat[changed.size // 2] = np.nextafter(changed.flat[changed.size // 2], np.float32(9))
        weight.assign(changed)
        seen.append(digest())
        weight.assign(values)
    assert len(set(seen)) == len(model.weights) + 1
    assert digest() == seen[0]
    bias = model.get_layer("head").bias
    bias.assign([1.0, 2.0, 3.0])
    ordered = digest()
    bias.assign([1.0, 3.0, 2.0])
    assert digest() != ordered


@pytest.mark.parametrize("kind", ["float16", "float64", "int64", "uint8"])
def test_a_digest_tells_weights_of_other_kinds(kind):
    layer = keras.layers.Layer()
    weight = layer.add_weight(shape=(2, 3), dtype=kind, initializer="zeros", trainable=False)
    digest = _backend.weights_digest(layer)
    before = digest()
    weight.assign(np.array([[0, 0, 0], [0, 0.25 if kind.startswith("float") else 1, 0]], kind))
    assert digest() != before


# --- fitted again --------------------------------------------------------------------------------------------------


def test_an_evaluation_tells_of_the_model_that_it_has_measured():
    classifier = ImageClassifier("small_cnn", image_size=16, epochs=2, augmentation=None).fit(IMAGES, LABELS, verbose=0)
    evaluation = classifier.evaluate(IMAGES, LABELS)
    before = [(row.kind, row.accuracy) for row in evaluation.robustness()]
    heat = evaluation._explain([0, 30])
    classifier.set_params(image_size=8, seed=3).fit(IMAGES[:, ::2, ::2, :1], np.roll(LABELS, 20), verbose=0)
    assert [(row.kind, row.accuracy) for row in evaluation.robustness()] == before
    np.testing.assert_array_equal(evaluation._explain([0, 30]), heat)
    assert evaluation._explain([0])[0].shape == (16, 16)


def test_an_evaluation_tells_of_the_thresholds_that_it_has_measured():
    classifier = ImageClassifier("small_cnn", image_size=16, epochs=2, augmentation=None)
    classifier.fit(IMAGES[:40], LABELS[:40], verbose=0)
    evaluation = classifier.evaluate(IMAGES[:40], LABELS[:40])
    before = [(row.kind, row.accuracy) for row in evaluation.robustness()]
    classifier.set_thresholds({"light": 0.0})  # all are called so: one half is right
    assert [(row.kind, row.accuracy) for row in evaluation.robustness()] == before
    assert {row.accuracy for row in classifier.robustness(IMAGES[:40], LABELS[:40], verbose=0)} == {0.5}
