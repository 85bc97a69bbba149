"""Endless images: in order, promptly, in bounded memory, whatever a single one is."""

import itertools
import threading
import time

import numpy as np
import pytest

from imgcls import Sample, UnreadableImageError
from imgcls.inference import Predictor

BATCH = 32


def image(value):
    return np.full((4, 4, 1), value % 256, np.uint8)


def predictor(run=None):
    def brightness(pixels):
        return pixels[:, 0, 0, :].astype(np.float32)

    return Predictor(run or brightness, input_shape=(4, 4, 1), classes=["light"])


def values(answers):
    return [round(answer.probability) for answer in answers]


def threads():
    return {thread for thread in threading.enumerate() if thread.is_alive()}


def test_order_is_kept_and_every_item_is_answered():
    assert values(predictor().predict(map(image, range(250)))) == list(range(250))


def test_an_endless_source_is_held_in_bounded_memory():
    drawn = itertools.count()
    answers = predictor().predict(image(next(drawn)) for _ in itertools.count())
    for expected, answer in zip(range(500), answers, strict=False):
        assert round(answer.probability) == expected % 256
        time.sleep(0.001 if expected % 100 == 0 else 0)
    ahead = next(drawn) - 501
    assert ahead <= 2 * BATCH + 1
    answers.close()


def test_each_is_answered_before_the_next_comes():
    """A camera that waits for the answer would wait for ever if answers waited for a full batch."""
    answered = threading.Semaphore(1)

    def frames():
        for number in range(20):
            assert answered.acquire(timeout=10), "no answer came"
            yield image(number)

    found = []
    for answer in predictor().predict(frames()):
        found.append(round(answer.probability))
        answered.release()
    assert found == list(range(20))


def test_a_quick_source_goes_through_in_full_batches():
    sizes, begin = [], threading.Event()

    def run(pixels):
        begin.wait(10)
        sizes.append(len(pixels))
        return pixels[:, 0, 0, :].astype(np.float32)

    threading.Timer(0.5, begin.set).start()
    assert len(list(predictor(run).predict(map(image, range(200))))) == 200
    assert max(sizes) == BATCH
    assert len(sizes) <= 12


def test_what_cannot_be_read_is_answered_by_its_error_in_its_place():
    items = [image(7), b"no image", image(8), 3.5, None, "nowhere.png", np.zeros((4, 4), np.float32), image(9)]
    found = list(predictor().predict(iter(items)))
    bad = [index for index, answer in enumerate(found) if isinstance(answer, UnreadableImageError)]
    assert bad == [1, 3, 4, 5, 6]
    assert [found[index].id for index in bad] == ["1", "3", "4", "nowhere.png", "6"]
    assert all(found[index].id in str(found[index]) for index in bad)
    assert values(found[index] for index in (0, 2, 7)) == [7, 8, 9]
    assert [found[index].id for index in (0, 2, 7)] == ["0", "2", "7"]


def test_samples_keep_their_names():
    found = predictor().predict(iter([Sample(image(5), None, "five"), Sample(image(6), "x", "six")]))
    assert [(one.id, round(one.probability)) for one in found] == [("five", 5), ("six", 6)]


def test_what_the_source_raises_comes_after_the_answers_before_it():
    def breaks():
        yield image(1)
        yield image(2)
        raise OSError("the camera is unplugged")

    answers = predictor().predict(breaks())
    found = [next(answers).probability, next(answers).probability]
    assert found == [1, 2]
    with pytest.raises(OSError, match="unplugged"):
        next(answers)


def test_no_images_are_no_answers():
    assert list(predictor().predict(iter([]))) == []


def test_what_the_model_raises_is_raised_and_threads_end():
    before = threads()

    def fails(pixels):
        raise MemoryError("too large")

    with pytest.raises(MemoryError, match="too large"):
        next(predictor(fails).predict(map(image, itertools.count())))
    _wait_for(before)


def test_a_consumer_that_stops_ends_the_threads():
    before = threads()
    answers = predictor().predict(map(image, itertools.count()))
    assert round(next(answers).probability) == 0
    answers.close()
    _wait_for(before)


class Camera:
    """Takes 50 ms for a frame, as one of 20 a second does."""

    def __init__(self):
        self.reading, self.taken = False, 0

    def __iter__(self):
        return self

    def __next__(self):
        self.reading, self.taken = True, self.taken + 1
        time.sleep(0.05)
        self.reading = False
        return image(self.taken)


def test_a_camera_may_be_released_after_the_loop():
    """OpenCV's crash where one thread reads while another releases."""
    camera = Camera()
    for _ in predictor().predict(camera):
        if camera.taken > 3:
            break
    assert not camera.reading
    taken = camera.taken
    time.sleep(0.3)
    assert camera.taken == taken


def test_nothing_is_drawn_that_nobody_takes():
    """With all that it may hold in hand, it stops before the next, and not with it."""
    drawn = itertools.count()
    answers = predictor().predict(image(next(drawn)) for _ in itertools.count())
    next(answers)
    time.sleep(0.3)
    answers.close()
    assert next(drawn) <= 2 * BATCH


def test_a_source_that_never_gives_again_is_not_waited_for_without_end():
    going_on = threading.Event()

    def frames():
        yield image(1)
        going_on.wait(60)

    answers = predictor().predict(frames())
    next(answers)
    begun = time.monotonic()
    answers.close()
    assert time.monotonic() - begun < 30
    going_on.set()


def _wait_for(before):
    until = time.monotonic() + 10
    while threads() - before and time.monotonic() < until:
        time.sleep(0.01)
    assert threads() <= before
