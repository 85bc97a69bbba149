"""Batches: a pure function of (seed, epoch), every image once, the same bytes kept or streamed."""

import numpy as np
import pytest

from imgcls.datasets import Batches, Dataset, read, resize
from imgcls.errors import UnreadableImageError


@pytest.fixture
def data(photos):
    return Dataset.from_folder(photos)


def batches(data, batch_size=5, **options):
    return Batches(data, image_size=(12, 10), channels=3, batch_size=batch_size, **options)


def passed(iterator):
    return [(images.tobytes(), positions.tolist()) for images, positions in iterator]


def test_kept_and_streamed_are_the_same_bytes_as_read_and_resize(data, photos):
    kept, streamed = batches(data), batches(data, in_memory_bytes=0)
    assert passed(kept.in_order()) == passed(streamed.in_order())
    assert passed(kept.shuffled(seed=1, epoch=2)) == passed(streamed.shuffled(seed=1, epoch=2))
    for images, positions in streamed.shuffled(seed=1, epoch=2):
        assert images.dtype == np.uint8
        for image, position in zip(images, positions, strict=True):
            truth = resize(read(photos / data.ids[position], channels=3), (12, 10))
            np.testing.assert_array_equal(image, truth)


def test_order_is_a_function_of_seed_and_epoch_alone(data):
    one, other = batches(data), batches(data)
    second = passed(one.shuffled(seed=0, epoch=1))
    for epoch in (5, 0, 3):
        passed(other.shuffled(seed=9, epoch=epoch))  # what came before does not matter
    assert passed(other.shuffled(seed=0, epoch=1)) == second
    orders = {
        tuple(np.concatenate([positions for _, positions in one.shuffled(seed=seed, epoch=epoch)]).tolist())
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9
    assert all(sorted(order) == list(range(16)) for order in orders)


@pytest.mark.parametrize("count", [1, 2, 7, 16, 31, 97])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 16, 32, 200])
def test_sizes_differ_by_one_at_most_and_nothing_is_dropped(count, batch_size):
    data = Dataset.from_arrays(np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((12, 10), np.uint8))
    made = Batches(data, image_size=(12, 10), channels=1, batch_size=batch_size)
    found = list(made.in_order())
    sizes = [len(images) for images, _ in found]
    assert len(made) == len(sizes) == -(-count // batch_size)
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    np.testing.assert_array_equal(np.concatenate([images for images, _ in found])[:, 0, 0, 0], np.arange(count))


def test_a_batch_may_be_changed_and_the_next_pass_does_not_see_it(data):
    made = batches(data)
    before = passed(made.in_order())
    next(made.in_order()).images[:] = 0
    assert passed(made.in_order()) == before


def test_a_view_of_a_dataset_and_progress(data):
    seen = []
    made = batches(data[[3, 15, 4]], on_progress=seen.append)
    assert seen == [1, 2, 3]
    np.testing.assert_array_equal(next(made.in_order()).images[1], resize(data[15].image, (12, 10)))


def test_unreadable_files_are_all_named_in_one_error(data, photos):
    for name in ("cat/1.jpg", "cat/6.jpg", "dog/2.png", "dog/3.png"):
        (photos / name).write_bytes(b"")

    def refusal(name):
        accepted = "Accepted: JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM. Repair or remove it."
        return f"{str(photos / name)!r} cannot be read as an image: it is empty. {accepted}"

    named = "".join(f"\n- {refusal(name)}" for name in ("cat/1.jpg", "cat/6.jpg", "dog/2.png", "dog/3.png"))
    with pytest.raises(UnreadableImageError) as caught:
        batches(data)
    assert str(caught.value) == f"4 of 16 images cannot be read:{named}"
    with pytest.raises(UnreadableImageError) as caught:
        batches(data[:2])
    assert str(caught.value) == refusal("cat/1.jpg")
    with pytest.raises(UnreadableImageError) as caught:
        passed(batches(data, in_memory_bytes=0).in_order())
    assert str(caught.value) == refusal("cat/1.jpg")
