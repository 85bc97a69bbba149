"""Micro-batching: images that wait go through the model together, and nobody waits for company.

    bytes --threads--> pixels --queue--> one thread, the model: 1, 2, 4, ... images at once

While the model runs, others are decoded and gather; when it is free, it takes what is there. An idle server therefore
answers as fast as one without batches, and a busy one does more with the same processor.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from imgcls.serving import _refusals

Pixels = NDArray[np.uint8]
Found = NDArray[np.float32]
_T = TypeVar("_T")
_LOG = logging.getLogger("imgcls.serving")
_STEADY = 0.9  # how much of the known pace stays when a new one is measured


class _Waiting(NamedTuple):
    pixels: Pixels
    answer: "asyncio.Future[Found]"


@final
class Batcher:
    """Runs a model for many requests. Used from the event loop alone.

    Args:
        read: From the bytes of a file and its name to `uint8 (H, W, C)`; several threads call it at once.
        run: From `uint8 (n, H, W, C)` to `float32 (n, ...)`; called by one thread.
        batch_size: The most images that go through the model at once, a power of two.
        queue_size: The most images that are accepted and not answered; beyond them it refuses.
        threads: How many decode.
        observe: Called with the number of images of each batch.
    """

    def __init__(
        self,
        read: Callable[[bytes, str], Pixels],
        run: Callable[[Pixels], Found],
        *,
        batch_size: int,
        queue_size: int,
        threads: int,
        observe: Callable[[int], None],
    ) -> None:
        self._read, self._run, self._observe = read, run, observe
        self._batch_size, self._queue_size = batch_size, queue_size
        self._readers = ThreadPoolExecutor(threads, "imgcls-read")
        self._runner = ThreadPoolExecutor(1, "imgcls-run")
        self._waiting: deque[_Waiting] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._seconds_each = 0.01  # what an image took lately: says when to try again
        self.accepted = 0  # and not answered

    def check_room(self, count: int = 1) -> None:
        """Refuse, at once, when the queue has no place for `count` more images.

        Raises:
            Refusal: It has none; 503.
        """
        if self.accepted + count > self._queue_size:
            raise _refusals.busy(self.accepted, max(1, math.ceil(self.accepted * self._seconds_each)))

    @contextmanager
    def accept(self, count: int) -> Iterator[None]:
        """Keep `count` places of the queue until the block ends.

        Raises:
            Refusal: It has none; 503.
        """
        self.check_room(count)
        self.accepted += count
        try:
            yield
        finally:
            self.accepted -= count

    async def answer(self, data: bytes, name: str) -> Found:
        """Return what the model gives for one image, `float32 (...)`.

        Raises:
            UnreadableImageError: It is not an image that we read.
        """
        loop = asyncio.get_running_loop()
        one = _Waiting(await self.beside(self._read, data, name), loop.create_future())
        self._waiting.append(one)
        if self._pump is None:
            self._pump = loop.create_task(self._empty())
        return await one.answer

    async def beside(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Call something in one of the threads that decode, while the model runs."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, function, *arguments)

    async def alone(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Call something in the model's thread, between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._runner, function, *arguments)

    async def warm(self, input_shape: tuple[int, ...]) -> None:
        """Run every size of batch once: compilers and caches see all shapes before the first request does.

        Requests that come meanwhile are answered between two sizes. A size that fails is logged and no more: of a batch
        that fails, images are answered one by one.

        Raises:
            Exception: What the model raises at one image: it can answer none.
        """
        size = 1
        while size <= self._batch_size:
            try:
                await self.alone(self._run, np.zeros((size, *input_shape), np.uint8))
            except Exception:
                if size == 1:
                    raise
                _LOG.exception("the model failed on %d empty images at once; it answers them one by one", size)
            size *= 2

    def close(self) -> None:
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._runner.shutdown(wait=False, cancel_futures=True)

    def _answers(self, pixels: Pixels) -> Found:
        found = self._run(pixels)
        if len(found) != len(pixels):
            message = f"the model gave {len(found)} answers to {len(pixels)} images"
            raise ValueError(message)
        return found

    async def _empty(self) -> None:
        """Run batches until nobody waits."""
        try:
            while self._waiting:
                await self._run_batch(self._take())
        finally:
            self._pump = None

    def _take(self) -> list[_Waiting]:
        """Take the largest power of two of those that wait, but for those who gave up.

        Runtimes prepare themselves for each shape that they meet, so there are few. To round up instead would compute
        images that nobody sent: 5 of 8 at the cost of 8, while 4 and then 1 cost 5.
        """
        wanted = [one for one in self._waiting if not one.answer.done()]
        count = min(len(wanted), self._batch_size)
        count = 1 << (count.bit_length() - 1) if count else 0
        self._waiting = deque(wanted[count:])
        return wanted[:count]

    async def _run_batch(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        started = time.perf_counter()
        try:
            answers = await self.alone(self._answers, np.stack([one.pixels for one in batch]))
        except Exception as error:  # noqa: BLE001 - a runtime may raise anything; nobody waits for ever
            if len(batch) == 1:
                _give(batch[0], error)
                return
            for one in batch:  # one image, or too large a batch, spoils no other answer
                await self._run_batch([one])
            return
        each = (time.perf_counter() - started) / len(batch)
        self._seconds_each = _STEADY * self._seconds_each + (1 - _STEADY) * each
        self._observe(len(batch))
        for one, answer in zip(batch, answers, strict=True):
            _give(one, answer)


def _give(one: _Waiting, answer: Found | Exception) -> None:
    if one.answer.done():  # who waited gave up
        return
    if isinstance(answer, Exception):
        one.answer.set_exception(answer)
    else:
        one.answer.set_result(answer)
