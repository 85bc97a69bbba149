"""A model of the user's own: what has no place in a whole classifier is refused, and taken by a backbone."""

import keras
import numpy as np
import pytest

from imgcls import ConfigurationError, Dataset, ImageClassifier, architectures, trainer


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


class Block(keras.layers.Layer):
    """A convolution and a normalisation, of which its config says nothing."""

    def __init__(self, **options):
        super().__init__(**options)
        self.convolution = keras.layers.Conv2D(1, 3, padding="same")
        self.normalization = keras.layers.BatchNormalization()

    def call(self, images, training=None):
        return self.normalization(self.convolution(images), training=training)


def moved(model, digits):
    """Train what `build` makes of a model; say of each of its weights whether it is another one then."""
    classifier = architectures.build(model, input_shape=(8, 8, 1), num_classes=10)
    copy = classifier.get_layer("backbone")
    before = copy.get_weights()
    trainer.train(classifier, digits, epochs=1, verbose=0)
    return [bool((one != other).any()) for one, other in zip(before, copy.get_weights(), strict=True)]


@pytest.mark.parametrize("fixed", ["layers", "a layer within", "a weight within", "all but a layer within"])
def test_layers_that_a_layer_is_made_of_are_fixed_where_the_user_has_fixed_them(digits, fixed):
    """What learns is what Keras lists in the model that was given."""
    inputs, block, attention = keras.Input((8, 8, 1)), Block(), keras.layers.MultiHeadAttention(1, 4)
    rows = keras.layers.Reshape((8, 8))(block(inputs))
    outputs = keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(attention(rows, rows)))
    model = keras.Model(inputs, outputs)
    if fixed in {"layers", "all but a layer within"}:
        block.trainable = attention.trainable = False
    if fixed == "a layer within":
        block.convolution.trainable = False
    if fixed == "a weight within":
        block.convolution.kernel.trainable = False
    if fixed == "all but a layer within":
        block.convolution.trainable = True
    learns = {id(weight) for weight in model.trainable_weights}
    if block.normalization.trainable:
        learns |= {id(weight) for weight in block.normalization.weights}  # its statistics move
    kernels = [len(weight.shape) > 1 for weight in model.weights]  # some biases change nothing, and have no gradient
    assert 0 < sum(id(weight) in learns for weight in model.weights) < len(model.weights)
    for weight, kernel, changed in zip(model.weights, kernels, moved(model, digits), strict=True):
        assert not (changed and id(weight) not in learns), weight.path
        assert changed or not (kernel and id(weight) in learns), weight.path


class LayersFirst(keras.Model):
    """Names its layers before it is a graph, of which Keras then has them in another order than of its copy."""

    def __init__(self):
        self.first, self.second = keras.layers.Conv2D(4, 3), keras.layers.Conv2D(4, 3)
        inputs = keras.Input((8, 8, 1))
        found = keras.layers.Flatten()(self.second(self.first(inputs)))
        super().__init__(inputs, keras.layers.Dense(10, activation="softmax")(found))


@pytest.mark.parametrize(("fixed", "expected"), [("first", [False, True]), ("second", [True, False])])
def test_layers_are_fixed_in_a_class_of_models_that_names_them_first(digits, fixed, expected):
    model = LayersFirst()
    getattr(model, fixed).trainable = False
    assert moved(model, digits)[::2] == [*expected, True]  # kernels; biases may change nothing


def test_layers_within_are_fixed_in_a_model_that_is_not_built_too(digits):
    block, flat = Block(), keras.layers.Flatten()
    block.trainable = False
    model = keras.Sequential([block, flat, keras.layers.Dense(10, activation="softmax")])
    assert moved(model, digits) == [False] * 6 + [True] * 2


class Stack(keras.layers.Layer):
    """As many layers as are asked for, which its config does not say."""

    def __init__(self, count=1, **options):
        super().__init__(**options)
        self.parts = [keras.layers.Dropout(0.1) for _ in range(count)]

    def get_config(self):
        return super().get_config()

    def call(self, images):
        return images


def test_a_model_that_comes_back_with_other_layers_is_refused_where_some_are_fixed():
    layers = [keras.Input((8, 8, 1)), Stack(2), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential(layers)
    architectures.build(model, input_shape=(8, 8, 1), num_classes=10)
    model.layers[0].trainable = False
    with pytest.raises(ConfigurationError) as refusal:
        architectures.build(model, input_shape=(8, 8, 1), num_classes=10)
    assert str(refusal.value) == (
        "the model cannot be copied: some of its layers are fixed, and its get_config does not bring back all layers "
        "that it is made of. Give a function that builds it instead."
    )


def test_reasons_know_a_model_of_the_users_own(digits):
    choices = trainer.plan(ImageClassifier(whole, image_size=8).get_params(), digits, None).choices
    assert choices["weights"] == (None, "your own model brings its own")
    assert choices["fine_tune"] == (True, "your own model learns wherever its layers are trainable")


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
