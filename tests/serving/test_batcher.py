"""Micro-batching: who goes with whom, and that nobody gets another's answer."""

import asyncio
import threading

import numpy as np
import pytest
from asgi import until

from imgcls.errors import UnreadableImageError
from imgcls.serving._batcher import Batcher
from imgcls.serving._refusals import Refusal


def read(data, name):
    if data == b"bad":
        raise UnreadableImageError(name)
    return np.full((2, 2, 3), data[0], np.uint8)


class Model:
    """Gives each image its own first pixel; can be held up, and can fail."""

    def __init__(self, *, fails=lambda pixels: False, open_=True):
        self.go, self.sizes, self._fails = threading.Event(), [], fails
        if open_:
            self.go.set()

    def __call__(self, pixels):
        self.sizes.append(len(pixels))
        assert self.go.wait(20)
        if self._fails(pixels):
            raise MemoryError("no room")
        return pixels[:, 0, 0, :1].astype(np.float32)


def batcher(model, **options):
    seen = []
    settings = {"batch_size": 8, "queue_size": 1000, "threads": 2, "observe": seen.append} | options
    return Batcher(read, model, **settings), seen


def test_an_idle_server_waits_for_no_company():
    model = Model()
    one, seen = batcher(model)
    answer = asyncio.run(one.answer(b"\x07", "x"))
    assert answer.tolist() == [7]
    assert model.sizes == seen == [1]


def test_what_gathers_while_the_model_runs_goes_together_in_powers_of_two():
    model = Model(open_=False)
    one, seen = batcher(model)

    async def many():
        first = asyncio.create_task(one.answer(b"\x00", "x"))
        await until(lambda: model.sizes)
        others = [asyncio.create_task(one.answer(bytes([number]), "x")) for number in range(1, 16)]
        await until(lambda: len(one._waiting) == 15)
        model.go.set()
        return await asyncio.gather(first, *others)

    found = asyncio.run(many())
    assert [answer.item() for answer in found] == list(range(16))
    assert model.sizes == seen == [1, 8, 4, 2, 1]


def test_every_one_of_many_gets_its_own_answer():
    random = np.random.default_rng(0)
    model = Model()
    one, seen = batcher(model)
    levels = random.integers(0, 256, 400).tolist()

    async def late(level, pause):
        await asyncio.sleep(pause)
        return (await one.answer(bytes([level]), "x")).item()

    async def many():
        return await asyncio.gather(*map(late, levels, random.uniform(0, 0.05, 400)))

    assert asyncio.run(many()) == levels
    assert sum(seen) == 400
    assert set(seen) <= {1, 2, 4, 8}


def test_an_unreadable_image_spoils_no_neighbour():
    one, _ = batcher(Model())

    async def three():
        return await asyncio.gather(
            one.answer(b"\x01", "a"), one.answer(b"bad", "b"), one.answer(b"\x03", "c"), return_exceptions=True
        )

    first, second, third = asyncio.run(three())
    assert (first.item(), third.item()) == (1, 3)
    assert isinstance(second, UnreadableImageError)


@pytest.mark.parametrize(
    ("fails", "expected"),
    [
        (lambda pixels: len(pixels) > 1, [1, 2, 3, 4]),  # too large a batch
        (lambda pixels: (pixels == 3).any(), [1, 2, None, 4]),  # an image that the model cannot bear
    ],
)
def test_a_failure_of_the_model_hits_whom_it_must(fails, expected):
    model = Model(fails=fails, open_=False)
    one, _ = batcher(model)

    async def four():
        tasks = [asyncio.create_task(one.answer(b"\x00", "x"))]
        await until(lambda: model.sizes)
        tasks += [asyncio.create_task(one.answer(bytes([number]), "x")) for number in range(1, 5)]
        await until(lambda: len(one._waiting) == 4)
        model.go.set()
        return (await asyncio.gather(*tasks, return_exceptions=True))[1:]

    found = asyncio.run(four())
    assert [None if isinstance(one, MemoryError) else one.item() for one in found] == expected


def test_who_gave_up_is_not_computed():
    model = Model(open_=False)
    one, _ = batcher(model)

    async def leave():
        first = asyncio.create_task(one.answer(b"\x00", "x"))
        await until(lambda: model.sizes)
        others = [asyncio.create_task(one.answer(bytes([number]), "x")) for number in range(1, 4)]
        await until(lambda: len(one._waiting) == 3)
        others[0].cancel()
        others[2].cancel()
        await asyncio.sleep(0)
        model.go.set()
        return (await asyncio.gather(first, *others, return_exceptions=True))[2].item()

    assert asyncio.run(leave()) == 2
    assert model.sizes == [1, 1]


def test_places_of_the_queue_are_counted_and_given_back():
    one, _ = batcher(Model(), queue_size=3)
    with one.accept(2):
        one.check_room(1)
        with pytest.raises(Refusal, match=r"^2 images are waiting already\.$"), one.accept(2):
            pass
        with one.accept(1):
            assert one.accepted == 3
    with pytest.raises(KeyError), one.accept(3):
        raise KeyError
    assert one.accepted == 0


def test_when_to_try_again_follows_what_an_image_takes():
    class Slow(Model):
        def __call__(self, pixels):
            threading.Event().wait(0.05)
            return super().__call__(pixels)

    one, _ = batcher(Slow(), queue_size=1000, batch_size=1)

    async def some():
        await asyncio.gather(*[one.answer(b"\x00", "x") for _ in range(40)])

    asyncio.run(some())
    with one.accept(900), pytest.raises(Refusal) as refused:
        one.check_room(200)
    assert 40 <= int(refused.value.headers["retry-after"]) <= 100  # 900 x 0.05 s
