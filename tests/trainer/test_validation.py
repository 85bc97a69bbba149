"""Validation that workers share: each answers a part of every batch, and all get the figures of all images."""

import signal
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from imgcls import Dataset, DataWarning, UnreadableImageError, trainer
from imgcls.datasets import Batches
from imgcls.trainer import _keeper, objective
from imgcls.trainer._metrics import keras_metrics
from imgcls.trainer._validation import Validation

PIXELS = (51, 204, 102, 153, 51)  # a fifth, four, two, three and one of 255


@pytest.fixture
def dataset(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(len(PIXELS))]
    for path, value in zip(paths, PIXELS, strict=True):
        Image.new("L", (4, 4), value).save(path)
    return Dataset.from_files(paths, labels=["dark", "light", "dark", "light", "dark"])


def model_of_brightness():
    """Build a model that calls an image light with the probability of its first pixel; of black, it says NaN."""
    inputs = keras.Input((4, 4, 1))
    light = keras.layers.Lambda(lambda x: x[:, 0, 0] * x[:, 0, 0] / (255 * x[:, 0, 0]))(inputs)
    return keras.Model(inputs, keras.layers.Concatenate()([1 - light, light]))


def measure(dataset, workers):
    """Let each worker answer its part, then add the parts up for all; return what each has measured."""
    model, goal = model_of_brightness(), objective("auto", num_classes=2, multi_label=False)
    size = {"image_size": (4, 4), "channels": 1, "batch_size": 3}
    batches = [Batches(dataset, **size, keep="stream", on_error="skip") for _ in range(workers)]
    tables, found = [], []

    def answer(worker, total):
        place = SimpleNamespace(worker=worker, workers=workers, total=total)
        validation, asked = Validation(model, batches[worker], goal, place), []
        validation.compile()
        found.append((validation, validation.measure(lambda: asked.append(worker)), len(asked)))

    class AnsweredError(Exception):
        pass

    def note(table):
        tables.append(table)
        raise AnsweredError

    for worker in range(workers):
        with pytest.raises(AnsweredError):
            answer(worker, note)
    for worker in range(workers):
        answer(worker, lambda _: sum(tables))
    return found


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_workers_together_measure_every_image_once(dataset, workers):
    loss = -np.mean(np.log([0.8, 0.8, 0.6, 0.6, 0.8]))
    for validation, figures, asked in measure(dataset, workers):
        assert figures == {"val_loss": pytest.approx(loss, rel=1e-6), "val_accuracy": 1.0}
        assert validation.positions.tolist() == [0, 1, 2, 3, 4]
        np.testing.assert_allclose(validation.outputs[:, 1], np.divide(PIXELS, 255), rtol=1e-6)
        assert asked == 2  # between batches, and on a worker without images as often as on the others


def test_what_one_worker_cannot_read_is_left_out_by_all(dataset):
    dataset.source(1).write_bytes(b"no image")
    loss = -np.mean(np.log([0.8, 0.6, 0.6, 0.8]))
    for validation, figures, _ in measure(dataset, 2):
        assert figures == {"val_loss": pytest.approx(loss, rel=1e-6), "val_accuracy": 1.0}
        assert validation.positions.tolist() == [0, 2, 3, 4]


def test_images_that_no_worker_can_read_are_refused(dataset):
    for index in range(len(dataset)):
        dataset.source(index).write_bytes(b"no image")
    with pytest.raises(UnreadableImageError, match=r"^3 of 5 images cannot be read"):  # those of worker 0
        measure(dataset, 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_images_that_the_model_gives_no_number_for_are_left_out_and_named_once(dataset, workers):
    Image.new("L", (4, 4), 0).save(dataset.source(1))
    loss = -np.mean(np.log([0.8, 0.6, 0.6, 0.8]))
    with pytest.warns(DataWarning) as told:
        found = measure(dataset, workers)
    words = (
        f"for 1 of 5 validation images the model gives NaN or infinity: {dataset.ids[1]!r}. val_loss and val_accuracy "
        "leave them out. Look at them, and at what the model does with them, such as a division by the deviation of "
        "pixels that are all alike."
    )
    assert [str(one.message) for one in told] == [words] * workers
    for validation, figures, _ in found:
        assert figures == {"val_loss": pytest.approx(loss, rel=1e-6), "val_accuracy": 1.0}
        assert validation.positions.tolist() == [0, 2, 3, 4]
        assert np.isfinite(validation.outputs).all()
        assert validation.measure(lambda: None) == figures  # without another warning


def test_a_model_that_gives_no_number_for_any_image_is_not_measured_on_fewer(dataset):
    for index in range(len(dataset)):
        Image.new("L", (4, 4), 0).save(dataset.source(index))
    ((validation, figures, _),) = measure(dataset, 1)
    assert np.isnan(figures["val_loss"])
    assert validation.positions.tolist() == [0, 1, 2, 3, 4]


class Dimmed(keras.layers.Layer):
    """Gives NaN in use for images that are darker than a weight of its own."""

    def build(self, shape):
        self.least = self.add_weight(name="least", initializer="zeros", trainable=False)

    def call(self, images, training=False):
        if training:
            return images
        light = keras.ops.mean(images, axis=(1, 2, 3), keepdims=True)
        return keras.ops.where(light < self.least, np.nan, images)


def test_all_measurements_are_of_the_images_that_had_a_number_at_first(dataset):
    inputs, dimmed = keras.Input((4, 4, 1)), Dimmed()
    light = keras.layers.Lambda(lambda x: x[:, 0, 0] / 255)(dimmed(inputs))
    model = keras.Model(inputs, keras.layers.Concatenate()([1 - light, light]))
    goal = objective("auto", num_classes=2, multi_label=False)
    place = SimpleNamespace(worker=0, workers=1, total=lambda table: table)
    batches = Batches(dataset, image_size=(4, 4), channels=1, batch_size=3, keep="stream", on_error="skip")
    first, later = (
        Validation(model, batches, goal, place, keras_metrics(["AUC"], goal, validated=True)) for _ in range(2)
    )

    def measured(validation, least):
        dimmed.least.assign(least)
        return validation.measure(lambda: None)

    first.compile()
    assert np.isnan(measured(first, 256.0)["val_loss"])
    assert first.left_out is None  # of all images, none is the cause
    expected = {"val_loss": pytest.approx(-np.mean(np.log([0.8, 0.6, 0.6])), rel=1e-6), "val_accuracy": 1.0}
    with pytest.warns(DataWarning, match=r"^for 2 of 5 validation images the model gives NaN or infinity"):
        figures = measured(first, 60.0)
    assert figures == {**expected, "val_auc": pytest.approx(1.0, abs=0.01)}
    assert measured(first, 0.0) == figures  # though there are numbers for all of them now
    assert (first.left_out, first.positions.tolist()) == ([0, 4], [1, 2, 3])
    missing = measured(first, 110.0)  # for one more: of the others both are right
    assert list(missing) == list(figures)
    assert missing["val_accuracy"] == pytest.approx(2 / 3)
    assert np.isnan([missing["val_loss"], missing["val_auc"]]).all()
    assert measured(first, 60.0) == figures

    later.compile()  # in a process that goes on
    later.left_out = first.left_out
    with pytest.warns(DataWarning, match=r"^for 2 of 5 validation images the model gives NaN or infinity"):
        assert measured(later, 0.0) == figures


class DimsAndStops(keras.callbacks.Callback):
    """Gives each epoch a least light of its own, and presses Ctrl-C after some steps."""

    def __init__(self, stop=None):
        super().__init__()
        self._steps = iter([step == stop for step in range(1, 10_000)])

    def on_epoch_begin(self, epoch, logs=None):
        self.model.get_layer("dimmed").least.assign((60.0, 110.0, 0.0)[epoch])

    def on_train_batch_end(self, batch, logs=None):
        if next(self._steps):
            signal.raise_signal(signal.SIGINT)


def dimmed_model():
    stages = [Dimmed(name="dimmed"), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    last = keras.layers.Dense(2, activation="softmax", kernel_initializer="zeros")
    return keras.Sequential([keras.Input((4, 4, 1)), *stages, last])


@pytest.fixture
def training():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 4, 4, 1), np.uint8)
    return Dataset.from_arrays(pixels, ["dark", "light"] * 16)


def test_a_run_that_goes_on_is_measured_on_the_same_images(dataset, training, tmp_path, monkeypatch):
    monkeypatch.setattr(_keeper, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(_keeper, "SAVE_SHARE", 0.0)

    def run(stop=None, **options):
        settings = {"validation_data": dataset, "epochs": 3, "batch_size": 8, "verbose": 0, **options}
        with pytest.warns(DataWarning, match=r"^for 2 of 5 validation images the model gives NaN or infinity"):
            return trainer.train(dimmed_model(), training, callbacks=[DimsAndStops(stop)], **settings)

    whole = run()
    assert np.isnan(whole["val_loss"]).tolist() == [False, True, False]
    assert any(line.startswith("val_loss is nan") for line in whole.advice)
    assert run(6, checkpoint=tmp_path / "run").interrupted  # in the second epoch
    again = run(checkpoint=tmp_path / "run")
    assert list(again) == list(whole)
    for name in whole:
        np.testing.assert_array_equal(again[name], whole[name])


def test_a_model_without_numbers_is_not_said_to_call_all_images_by_one_name(dataset, training):
    model = dimmed_model()
    model.get_layer("dimmed").least.assign(256.0)
    history = trainer.train(model, training, validation_data=dataset, epochs=1, verbose=0)
    assert history["val_accuracy"] == [0.0]
    assert [line.partition(",")[0] for line in history.advice] == ["val_loss is nan"]
