"""Progressive resizing: which size when, shrunk as Pillow shrinks, and models of one size refused."""

from itertools import count
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from imgcls import ConfigurationError, Dataset, ImageClassifier, architectures, trainer
from imgcls._backend import _tensorflow
from imgcls.trainer import _forecast
from imgcls.trainer._resizing import Resizing


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")[:160]


@keras.saving.register_keras_serializable(package="tests")
class Heights(keras.layers.Layer):
    """Adds up the heights of the batches that it is trained on."""

    def build(self, input_shape):
        self.total = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, inputs, training=False):
        if training:
            self.total.assign_add(inputs.shape[1])
        return inputs


def heights():
    inputs = keras.Input((8, 8, 1))
    counter = Heights()
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, padding="same")(counter(inputs)))
    return keras.Model(inputs, keras.layers.Dense(10, "softmax")(x)), counter


@pytest.mark.parametrize(
    ("size", "first", "second"),
    [
        ((224, 224), (128, 128), (192, 192)),  # multiples of 32
        ((32, 32), (16, 16), (24, 24)),  # of 8, a quarter
        ((28, 28), (16, 16), (24, 24)),  # of 4
        ((299, 96), (171, 48), (235, 80)),  # 11 beyond multiples of 32, as 299 is; 96 in multiples of 16
        ((3, 1), (2, None), (None, None)),
    ],
)
def test_sizes(size, first, second):
    expected = [
        tuple(full if side is None else side for side, full in zip(one, size, strict=True)) for one in (first, second)
    ]
    expected = [None if one == size else one for one in expected]
    resizing = Resizing(size)
    assert [resizing.at(progress) for progress in (0, 0.399)] == [expected[0]] * 2
    assert [resizing.at(progress) for progress in (0.4, 0.699)] == [expected[1]] * 2
    assert [resizing.at(progress) for progress in (0.7, 1)] == [None, None]


@pytest.mark.parametrize(("before", "after"), [((224, 224), (128, 128)), ((32, 32), (24, 24)), ((299, 96), (150, 48))])
def test_images_are_shrunk_as_by_pillow(before, after):
    images = np.random.default_rng(0).uniform(0, 255, (2, *before, 3)).astype(np.float32)
    expected = [
        np.dstack([Image.fromarray(image[..., c]).resize(after[::-1], Image.Resampling.BILINEAR) for c in range(3)])
        for image in images
    ]
    np.testing.assert_allclose(
        _tensorflow._shrunk(images, after), expected, atol=0.01
    )  # of 255: Pillow counts in double


def test_a_run_has_each_size_for_its_share(digits):
    """Of 10 epochs of 5 steps, 20 steps are in half size, 15 in three quarters, and 15 in full size."""
    model, counter = heights()
    trainer.train(model, digits, epochs=10, batch_size=32, progressive_resizing=True, verbose=0)
    assert float(counter.total.numpy()) == 20 * 4 + 15 * 6 + 15 * 8


@pytest.mark.slow
def test_the_model_takes_only_its_own_size_afterwards(digits):
    model = architectures.build("small_resnet", input_shape=(16, 16, 1), num_classes=10)
    trainer.train(model, digits, epochs=2, progressive_resizing=True, verbose=0)
    with pytest.raises(ValueError, match="expected shape=\\(None, 16, 16, 1\\)"):
        model(np.zeros((1, 8, 8, 1), np.float32))


def test_a_model_of_one_size_is_refused_before_any_image_is_read():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    unreadable = Dataset([b"no image", b"no image either"], ["cat", "dog"])
    with pytest.raises(ConfigurationError, match="the model takes no 4 x 4 pixels"):
        trainer.train(model, unreadable, progressive_resizing=True, verbose=0)


@pytest.mark.parametrize(("resizing", "epochs"), [(False, 2), (True, 9)])
def test_patience_counts_images_in_full_size(digits, resizing, epochs):
    """With a rate of next to nothing no epoch is better than the first that is looked at: of 10, the eighth."""
    model, _ = heights()
    history = trainer.train(
        model,
        digits,
        validation_data=digits[:40],
        learning_rate=1e-30,
        epochs=10,
        patience=1,
        progressive_resizing=resizing,
        verbose=0,
    )
    assert (history.epochs, history.best_epoch) == (epochs, epochs - 1)


def test_a_classifier_learns_so(digits):
    train, test = Dataset.builtin("digits").split((0.8, 0.2))
    classifier = ImageClassifier("small_cnn", image_size=16, epochs=6, progressive_resizing=True).fit(train, verbose=0)
    assert classifier.evaluate(test).accuracy > 0.9


@pytest.mark.parametrize(("resizing", "work"), [(False, 1), (True, 0.4 / 4 + 0.3 * 9 / 16 + 0.3)])
def test_a_forecast_counts_smaller_images_as_less_work(digits, monkeypatch, resizing, work):
    """By a clock that moves by a second when it is read: the first of two epochs takes one, and so does the second."""
    monkeypatch.setattr(_forecast, "time", SimpleNamespace(perf_counter=count().__next__))
    classifier = ImageClassifier("small_cnn", image_size=32, epochs=400, progressive_resizing=resizing)
    assert classifier.forecast(digits[:90], verbose=0).seconds == pytest.approx(1 + 400 * work)


def test_a_word_is_refused():
    with pytest.raises(ConfigurationError, match="progressive_resizing='yes'"):
        ImageClassifier(progressive_resizing="yes").fit(Dataset.builtin("digits"), verbose=0)
