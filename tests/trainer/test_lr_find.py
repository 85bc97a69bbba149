"""The range test leaves the model as it was, and its curve is that of training at those rates."""

import keras
import numpy as np
import pytest

from imgcls import ConfigurationError, DataError, Dataset, ImageClassifier, architectures, trainer, transforms


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")[:300]


def new_model():
    return architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)


def test_the_model_is_left_as_it_was(digits):
    model = new_model()
    before = model.get_weights()
    curve = trainer.lr_find(model, digits, steps=30, verbose=0)
    assert all((one == other).all() for one, other in zip(before, model.get_weights(), strict=True))
    assert curve.rates[0] == pytest.approx(1e-6)
    assert len(curve.rates) == len(curve.losses) <= 30
    np.testing.assert_allclose(np.diff(np.log(curve.rates)), np.log(1e7) / 29)


def test_losses_are_those_of_plain_gradient_descent_at_these_rates(digits):
    """Softmax regression on one batch an epoch, computed anew with NumPy."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax", use_bias=False, kernel_initializer="zeros"),
        ]
    )
    curve = trainer.lr_find(
        model, digits, optimizer="rmsprop", batch_size=300, lowest=1e-4, highest=1e-2, steps=12, verbose=0
    )
    pixels = np.stack([digits.read(index) for index in range(300)]).reshape(300, -1) / 255
    truth, kernel, velocity, losses = np.eye(10)[digits.labels], np.zeros((64, 10)), np.zeros((64, 10)), []
    for rate in curve.rates:
        logits = pixels @ kernel
        outputs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        losses.append(-np.log(outputs[truth == 1]).mean())
        gradient = pixels.T @ (outputs - truth) / 300
        velocity = 0.9 * velocity + 0.1 * gradient**2  # RMSprop, Keras' rho and epsilon
        kernel -= rate * gradient / np.sqrt(velocity + 1e-7)
    np.testing.assert_allclose(curve.losses, losses, rtol=1e-4)


def test_it_ends_where_the_loss_explodes(digits):
    curve = trainer.lr_find(new_model(), digits, optimizer="sgd", highest=1e6, steps=60, verbose=0)
    assert len(curve.rates) < 60


def test_the_classifier_tests_its_own_recipe(digits):
    classifier = ImageClassifier("small_cnn", image_size=8, optimizer="sgd", batch_size=50)
    curve = classifier.lr_find(digits, steps=40, verbose=0)
    assert not hasattr(classifier, "model_")
    plan = trainer.plan(classifier.get_params(), digits, None)
    names = ("optimizer", "batch_size", "augmentation", "seed")
    again = trainer.lr_find(plan.build(), digits, **{one: plan.settings[one] for one in names}, steps=40, verbose=0)
    np.testing.assert_array_equal(curve.losses, again.losses)


def test_an_augmentation_by_name_is_its_layer(digits):
    def losses(augmentation):
        options = {"steps": 4, "lowest": 1e-3, "seed": 3, "verbose": 0}
        return trainer.lr_find(new_model(), digits, augmentation=augmentation, **options).losses

    np.testing.assert_array_equal(losses("light"), losses(transforms.augmentation("light", seed=3)))
    assert (losses("light") != losses(None)).any()


def test_images_without_labels_are_refused_in_words():
    with pytest.raises(DataError, match=r"^data without labels cannot be trained on\. Give labels\.$"):
        trainer.lr_find(new_model(), Dataset.from_arrays(np.zeros((4, 8, 8), np.uint8)), verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lowest": 1.0, "highest": 0.1}, "lowest=1.0 is not below highest=0.1. Give a range that rises."),
        ({"lowest": 0}, "lowest=0 is not accepted. Accepted: a number above 0."),
        (
            {"augmentation": "lite"},
            "augmentation='lite' is not known. Did you mean 'light'? Accepted: light, standard, strong, overhead, shift, flip_shift.",
        ),
        (
            {"rule": "steepest", "steps": 0},
            (
                "2 arguments are wrong:\n- steps=0 is not accepted. Accepted: a whole number of at least 1.\n"
                "- rule='steepest' is not known. Accepted: minimum, valley."
            ),
        ),
    ],
)
def test_refusals(digits, arguments, message):
    with pytest.raises(ConfigurationError) as refusal:
        trainer.lr_find(new_model(), digits, verbose=0, **arguments)
    assert str(refusal.value) == message
