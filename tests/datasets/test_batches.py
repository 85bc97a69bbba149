"""Batches: a pure function of (seed, epoch, step), every image once, the same bytes wherever images are kept."""

import itertools
import threading

import numpy as np
import pytest

from imgcls import _memory, images
from imgcls.datasets import Batches, Dataset, _batches, _cache, leave_out_unreadable, read, resize
from imgcls.errors import ConfigurationError, DataWarning, UnreadableImageError

MODES = [*itertools.product(["auto", "memory", "store", "stream"], [1, 4])]
ACCEPTED = f"Accepted: {', '.join(images.FORMATS)}. Repair or remove it."


@pytest.fixture
def data(photos):
    return Dataset.from_folder(photos)


def batches(data, batch_size=5, **options):
    return Batches(data, image_size=(12, 10), channels=3, batch_size=batch_size, **options)


def passed(iterator):
    return [(images.tobytes(), positions.tolist()) for images, positions in iterator]


@pytest.mark.parametrize(("keep", "threads"), MODES)
def test_bytes_are_those_of_read_wherever_kept_and_however_many_threads(data, photos, keep, threads):
    made, plain = batches(data, keep=keep, threads=threads), batches(data, keep="stream", threads=3)
    assert made.keep == ("memory" if keep == "auto" else keep)
    assert passed(made.in_order()) == passed(plain.in_order())
    assert passed(made.shuffled(seed=1, epoch=2)) == passed(plain.shuffled(seed=1, epoch=2))
    for batch, positions in made.shuffled(seed=1, epoch=2):
        assert batch.dtype == np.uint8
        for image, position in zip(batch, positions, strict=True):
            truth = read(photos / data.ids[position], size=(12, 10), channels=3)
            np.testing.assert_array_equal(image, truth)


@pytest.mark.parametrize("keep", ["memory", "store", "stream"])
def test_any_batch_can_be_had_by_its_step(data, keep):
    made = batches(data, keep=keep)
    whole = passed(made.shuffled(seed=3, epoch=4))
    assert passed([made.batch(seed=3, epoch=4, step=step) for step in range(4)]) == whole
    assert passed(made.shuffled(seed=3, epoch=4, start=2)) == whole[2:]


def test_a_worker_reads_its_part_of_each_batch_only(data, monkeypatch):
    made, reads = batches(data, keep="stream"), []
    monkeypatch.setattr(images, "read", lambda *args, **options: reads.append(1) or read(*args, **options))
    seen = [len(batch.positions) for batch in made.shuffled(seed=0, epoch=0, part=(1, 3))]
    assert seen == [1, 1, 1, 1]  # of 2 + 1 + 1 images in each of four batches
    assert len(reads) == 4


@pytest.mark.parametrize(("keep", "parts"), [("memory", 1), ("memory", 2), ("stream", 3), ("memory", 7)])
@pytest.mark.parametrize("shuffled", [True, False])
def test_parts_of_a_batch_together_are_the_batch(data, keep, parts, shuffled):
    """Uneven parts, and more parts than images."""
    made = batches(data, keep=keep)
    if shuffled:
        whole = passed(made.shuffled(seed=3, epoch=4, start=1))
        found = [passed(made.shuffled(seed=3, epoch=4, start=1, part=(place, parts))) for place in range(parts)]
    else:
        whole = passed(made.in_order())
        found = [passed(made.in_order(part=(place, parts))) for place in range(parts)]
    for step, (pixels, positions) in enumerate(whole):
        shares = [part[step] for part in found]
        assert b"".join(share[0] for share in shares) == pixels
        assert [position for share in shares for position in share[1]] == positions
        sizes = [len(share[1]) for share in shares]
        assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("keep", ["memory", "stream"])
def test_an_alternating_flip_shows_every_image_both_ways_in_two_epochs(data, keep):
    made = batches(data, keep=keep)
    plain = {position: image for batch in made.in_order() for image, position in zip(*batch, strict=True)}

    def flipped(seed, epoch, **options):
        found = {}
        for batch in made.shuffled(seed=seed, epoch=epoch, alternating_flip=True, **options):
            for image, position in zip(*batch, strict=True):
                found[position] = bool((image == plain[position][:, ::-1]).all())
                assert found[position] or (image == plain[position]).all()
        return found

    epochs = [flipped(1, epoch) for epoch in range(3)]
    assert epochs[0] == {position: not one for position, one in epochs[1].items()} == epochs[2]
    assert 0 < sum(epochs[0].values()) < len(data)
    assert any(flipped(seed, 0) != epochs[0] for seed in range(2, 6))
    assert flipped(1, 1, start=2).items() < epochs[1].items()


def test_threads_work_two_batches_ahead_and_stop_with_their_consumer(data, monkeypatch):
    reads = []
    monkeypatch.setattr(images, "read", lambda *args, **options: reads.append(1) or read(*args, **options))
    before = threading.active_count()
    made = batches(data, batch_size=2, keep="stream").in_order()
    assert not reads
    next(made)
    assert threading.active_count() > before
    made.close()
    assert threading.active_count() == before
    assert len(reads) <= 6  # of 16: the batch that was yielded and two ahead


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
    assert seen == [3]
    np.testing.assert_array_equal(next(made.in_order()).images[1], resize(data[15].image, (12, 10)))


def refusal(path):
    return f"{str(path)!r} cannot be read as an image: it is empty. {ACCEPTED}"


@pytest.fixture
def broken(photos):
    paths = [photos / name for name in ("cat/1.jpg", "cat/6.jpg", "dog/2.png", "dog/3.png")]
    for path in paths:
        path.write_bytes(b"")
    return paths


@pytest.mark.parametrize("keep", ["auto", "memory", "store"])
def test_unreadable_files_are_all_named_in_one_error(data, broken, keep):
    with pytest.raises(UnreadableImageError) as caught:
        batches(data, keep=keep)
    named = "".join(f"\n- {refusal(path)}" for path in broken)
    assert str(caught.value) == f"4 of 16 images cannot be read:{named}"
    with pytest.raises(UnreadableImageError) as caught:
        batches(data[:2], keep=keep)
    assert str(caught.value) == refusal(broken[0])


def test_a_stream_is_refused_at_its_first_unreadable_file(data, broken):
    with pytest.raises(UnreadableImageError) as caught:
        passed(batches(data, keep="stream").in_order())
    assert str(caught.value) == refusal(broken[0])


@pytest.mark.parametrize("keep", ["auto", "memory", "store"])
def test_what_was_unreadable_at_first_is_as_if_it_were_not_there(data, broken, keep):
    made = batches(data, keep=keep, on_error="skip")
    readable = [index for index in range(16) if index not in {1, 6, 10, 11}]
    assert made.used.tolist() == readable
    assert made.dataset.ids == data[readable].ids
    assert passed(made.shuffled(seed=5, epoch=6)) == passed(batches(data[readable]).shuffled(seed=5, epoch=6))
    assert made.quarantined == {
        data.ids[index]: refusal(path) for index, path in zip((1, 6, 10, 11), broken, strict=True)
    }


def test_a_file_that_goes_bad_in_a_stream_makes_its_batch_shorter_and_is_not_tried_again(data, photos):
    made = batches(data, keep="stream", on_error="skip")
    whole = passed(made.shuffled(seed=0, epoch=0))
    content = (photos / "cat/1.jpg").read_bytes()
    (photos / "cat/1.jpg").unlink()
    (photos / "dog/0.png").write_bytes(content[:50])
    for _ in range(2):
        shorter = list(made.shuffled(seed=0, epoch=0))
        assert [positions.tolist() for _, positions in shorter] == [
            [position for position in positions if position not in {1, 8}] for _, positions in whole
        ]
        assert all(len(images) == len(positions) for images, positions in shorter)
        assert list(made.quarantined) == [data.ids[index] for batch in whole for index in batch[1] if index in {1, 8}]
        (photos / "cat/1.jpg").write_bytes(content)  # back again, and left in quarantine


def test_a_file_that_is_listed_twice_is_two_images_that_are_left_out(photos):
    bad = photos / "cat/0.jpg"
    bad.write_bytes(b"")
    thrice = Dataset.from_files([bad, photos / "cat/1.jpg", bad], ["cat", "dog", "cat"])
    lines = []
    with pytest.warns(DataWarning, match=r"^2 of 3 images \(66\.7%\) cannot be read and are left out\."):
        made = batches(thrice, keep="memory", on_error="skip", say=lines.append)
    assert lines == [f"left out: {refusal(bad)}"] * 2
    assert (len(made.quarantined), len(made.dataset)) == (1, 1)
    with pytest.warns(DataWarning, match=r"^2 of 3 images \(66\.7%\) cannot be read and are left out\."):
        rest, reasons = leave_out_unreadable(thrice, say=lambda _: None)
    assert (len(rest), len(reasons)) == (1, 1)


def test_the_first_few_are_named_the_others_counted_and_many_are_warned_of(data, photos):
    for index in range(8):
        (photos / f"cat/{index}.jpg").write_bytes(b"")
    lines = []
    with pytest.warns(DataWarning) as caught:
        batches(data, keep="memory", on_error="skip", what="training", say=lines.append)
    assert lines == [
        *(f"left out: {refusal(photos / f'cat/{index}.jpg')}" for index in range(5)),
        "left out: 8 of 16 training images (50.0%); the history's `quarantined` names all",
    ]
    assert [str(one.message) for one in caught] == [
        "8 of 16 training images (50.0%) cannot be read and are left out. Repair or remove them; on_error='raise' refuses them."
    ]


@pytest.mark.parametrize("keep", ["memory", "store", "stream"])
def test_all_images_unreadable_is_an_error_even_so(data, photos, keep):
    for path in photos.glob("*/*"):
        path.write_bytes(b"")
    with pytest.raises(UnreadableImageError, match=r"^16 of 16 images cannot be read:\n- .*cat/0\.jpg"):
        passed(batches(data, keep=keep, on_error="skip").in_order())


def test_where_images_are_kept_is_said_in_one_line(data, monkeypatch, tmp_path):
    def said(keep="auto", dataset=data):
        lines = []
        made = batches(dataset, keep=keep, what="training", say=lines.append)
        return made.keep, lines

    folder = _cache.shown(_cache.folder())
    assert said() == ("memory", [f"16 decoded training images are kept in memory and in {folder} (6 kB)"])
    arrays = Dataset.from_arrays(np.zeros((4, 12, 10), np.uint8))
    assert said(dataset=arrays) == ("memory", [])
    assert said("store", arrays) == ("stream", [])  # in memory already: nothing is decoded
    monkeypatch.setattr(_batches, "IN_MEMORY_BYTES", 0)
    assert said() == ("store", [f"16 decoded training images are kept in {folder} (6 kB)"])
    assert said(dataset=arrays) == ("stream", [])
    monkeypatch.setattr(_cache, "free_disk", lambda folder: 0)
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "new"))
    streamed = "16 decoded training images (6 kB) fit neither memory nor the cache: decoded anew in every pass"
    assert said() == ("stream", [streamed])
    assert said("stream") == ("stream", [])
    monkeypatch.setenv("IMGCLS_CACHE", "off")
    assert said() == ("stream", [streamed])
    assert said("memory") == ("memory", [])
    assert not (tmp_path / "new").exists()


def test_memory_is_at_most_a_quarter_of_what_is_free(data, monkeypatch):
    monkeypatch.setattr(_memory, "available", lambda: 4 * 16 * 12 * 10 * 3)
    assert batches(data).keep == "memory"
    monkeypatch.setattr(_memory, "available", lambda: 4 * 16 * 12 * 10 * 3 - 1)
    assert batches(data).keep == "store"


def test_unknown_words_are_refused(data):
    with pytest.raises(ConfigurationError) as caught:
        batches(data, keep="disk", on_error="raze")
    assert str(caught.value) == (
        "2 arguments are wrong:\n- keep='disk' is not known. Accepted: auto, memory, store, stream.\n"
        "- on_error='raze' is not known. Did you mean 'raise'? Accepted: skip, raise."
    )
