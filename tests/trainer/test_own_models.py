"""A model of the user's own: what has no place in a whole classifier is refused, and taken by a backbone."""

import keras
import numpy as np
import pytest

from imgcls import ConfigurationError, Dataset, ImageClassifier, trainer


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")[:60]


def whole(input_shape, num_classes):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)])


def backbone(input_shape, num_classes):
    del num_classes
    return keras.Sequential([keras.Input(input_shape), keras.layers.Conv2D(4, 3, activation="relu")])


@pytest.mark.parametrize("form", ["function", "model"])
@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({"fine_tune": False}, "fine_tune=False goes with a backbone"),
        ({"pooling": "max"}, "pooling='max' goes with a backbone"),
        ({"dropout": 0.5}, "dropout=0.5 goes with a backbone"),
        (
            {"pooling": "flatten", "dropout": 0.5, "fine_tune": False},
            "pooling='flatten', dropout=0.5, fine_tune=False go with a backbone",
        ),
    ],
)
def test_what_has_no_place_in_a_whole_classifier_is_refused(digits, form, options, start):
    architecture = whole if form == "function" else whole((8, 8, 1), 10)
    with pytest.raises(ConfigurationError) as refusal:
        ImageClassifier(architecture, image_size=8, epochs=1, **options).fit(digits, verbose=0)
    them = "it" if len(options) == 1 else "them"
    assert str(refusal.value) == (
        f"{start}, and your model is a whole classifier: it ends in its own 10 classes. Leave {them} out and say it in "
        "your layers, such as layer.trainable = False; or give the model without its last layer: pooling, dropout and "
        "head follow then."
    )


@pytest.mark.parametrize("options", [{}, {"dropout": 0.0}, {"dropout": 0.2}, {"fine_tune": True}])
def test_what_changes_nothing_is_accepted(digits, options):
    ImageClassifier(whole, image_size=8, epochs=1, **options).fit(digits, verbose=0)


def test_a_backbone_takes_all_of_it(digits):
    options = {"pooling": "max", "dropout": 0.5, "fine_tune": False}
    model = ImageClassifier(backbone, image_size=8, epochs=1, **options).fit(digits, verbose=0).model_
    assert isinstance(model.get_layer("pooling"), keras.layers.GlobalMaxPooling2D)
    assert model.get_layer("dropout").rate == 0.5
    assert not model.get_layer("backbone").trainable


def test_layers_that_the_user_has_fixed_stay_as_they_are(digits):
    """What the refusal says instead."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.layers[0].trainable = False
    learnt = ImageClassifier(model, epochs=1).fit(digits, verbose=0).model_.get_layer("backbone")
    for index, changed in ((0, False), (2, True)):
        before, after = (one.layers[index].get_weights()[0] for one in (model, learnt))
        assert bool((before != after).any()) is changed


@pytest.mark.parametrize("options", [{"pooling": "max"}, {"pooling": "flatten"}])
def test_a_pooling_that_would_do_nothing_is_refused(digits, options):
    """Features are pooled, or flat, already."""
    model = keras.Sequential([backbone((8, 8, 1), 10), keras.layers.Flatten()])
    with pytest.raises(ConfigurationError) as refusal:
        ImageClassifier(model, image_size=8, epochs=1, **options).fit(digits, verbose=0)
    assert str(refusal.value) == (
        f"pooling={options['pooling']!r} goes with a feature map (None, h, w, D), and your model gives features "
        "(None, 144), which are pooled already. Leave it out; or give the model without its last layers."
    )


def of_whole_numbers(input_shape, num_classes):
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(num_classes)]
    return keras.Sequential([keras.Input(input_shape, dtype="uint8"), *layers])


@pytest.mark.parametrize(("form", "normalization"), [("model", "auto"), ("model", None), ("function", None)])
def test_a_model_that_takes_whole_numbers_gets_pixels_as_they_are(digits, form, normalization):
    architecture = of_whole_numbers if form == "function" else of_whole_numbers((8, 8, 1), 10)
    classifier = ImageClassifier(architecture, image_size=8, epochs=1, normalization=normalization)
    classifier.fit(digits, verbose=0)
    if normalization == "auto":
        assert classifier.choices_["normalization"].value is None
        assert classifier.choices_["normalization"].reason == "your model takes uint8: pixels 0-255 as they are"
    kernel, bias = classifier.model_.get_layer("backbone").get_weights()
    pixels = np.stack([digits.read(index) for index in range(len(digits))])
    scores = np.exp(pixels.reshape(len(digits), 64) / 255 @ kernel + bias)
    expected = scores / scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier.predict_proba(digits), expected, rtol=1e-4, atol=1e-6)
    assert classifier.history_.advice == []


@pytest.mark.parametrize(
    ("form", "normalization"),
    [("model", "standard"), ("model", "unit"), ("model", "symmetric"), ("function", "auto"), ("function", "unit")],
)
def test_whole_numbers_are_not_scaled(digits, form, normalization):
    architecture = of_whole_numbers if form == "function" else of_whole_numbers((8, 8, 1), 10)
    with pytest.raises(ConfigurationError, match=r"^the model takes uint8, .* Accepted: normalization=None, "):
        ImageClassifier(architecture, image_size=8, epochs=1, normalization=normalization).fit(digits, verbose=0)


@pytest.mark.parametrize("count", [2, 3])
def test_a_model_of_several_inputs_is_refused_in_words(digits, count):
    inputs = [keras.Input((8, 8, 1)) for _ in range(count)]
    model = keras.Model(inputs, keras.layers.Flatten()(keras.layers.Concatenate()(inputs)))
    shapes = [(None, 8, 8, 1)] * count
    with pytest.raises(ConfigurationError) as refusal:
        ImageClassifier(model, epochs=1).fit(digits, verbose=0)
    assert str(refusal.value).startswith(f"the model takes {shapes} and gives (None, {64 * count}). Accepted for these")


def doubled(targets, outputs):
    return 2 * keras.losses.categorical_crossentropy(targets, outputs)


@pytest.mark.parametrize("form", ["whole", "within"])
def test_a_model_that_was_compiled_with_a_loss_of_its_own_is_copied(digits, form):
    """As `trainer.train` leaves it; Keras could not make the loss of the copy, which nobody asks for."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    learnt = keras.Sequential([keras.Input((8, 8, 1)), *layers])
    trainer.train(learnt, digits, loss=doubled, epochs=1, verbose=0)
    model, inputs = learnt, keras.Input((8, 8, 1))
    for _ in range(0 if form == "whole" else 2):  # Keras' config of a model has the compile config of what is in it
        model = keras.Model(inputs, model(inputs))
    classifier = ImageClassifier(model, image_size=8, epochs=1, loss=doubled, learning_rate=1e-12, optimizer="sgd")
    copy = classifier.fit(digits, verbose=0).model_.get_layer("backbone")
    for one, other in zip(copy.get_weights(), learnt.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert learnt.compiled
    assert learnt.get_compile_config()["loss"]["config"] == "doubled"
    assert not copy.compiled
