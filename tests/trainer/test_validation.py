"""Validation that workers share: each answers a part of every batch, and all get the figures of all images."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from imgcls import Dataset, DataWarning, UnreadableImageError
from imgcls.datasets import Batches
from imgcls.trainer import objective
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
