"""A model of the user's own: what has no place in a whole classifier is refused, and taken by a backbone."""

import keras
import pytest

from imgcls import ConfigurationError, Dataset, ImageClassifier


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
