"""Endless images in, answers out: in order, in bounded memory, as soon as they can be given."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from imgcls.errors import UnreadableImageError
from imgcls.images import THREADS

Answer = TypeVar("Answer")
Prepared = tuple[str, NDArray[np.uint8]]
_PATIENCE = 2.0  # seconds for what the source is at; one that waits for its next item may do so for ever


def stream(
    source: Iterator[Any],
    prepare: Callable[[int, Any], Prepared],
    answer: Callable[[NDArray[np.uint8], list[str]], Sequence[Answer | UnreadableImageError]],
    *,
    batch_size: int,
) -> Iterator[Answer | UnreadableImageError]:
    """Yield what there is to say of each item, in order.

    A thread draws items ahead, others prepare them, and what is ready goes through the model together: a fast source in
    full batches, a slow one item by item, without waiting for more. Twice `batch_size` items are held at most. An item
    that cannot be read is answered by its error, with its `id`. Closed, as by a loop that ends early, it draws no more,
    and waits for the item that is being drawn, 2 s at most.

    Args:
        source: The items. It is drawn from in another thread.
        prepare: From the number of an item, and the item, to its name and its pixels `uint8 (H, W, C)`. Threads call
            it at once.
        answer: From pixels `uint8 (n, H, W, C)` and names to n answers, or errors of images that have none.
        batch_size: Items that go through the model together, at most.

    Raises:
        Exception: What `source` raises, after the answers to what it gave before.

    Examples:
        >>> import numpy as np
        >>> from imgcls.errors import UnreadableImageError
        >>> from imgcls.inference import stream
        >>> def prepare(number, item):
        ...     if item is None:
        ...         raise UnreadableImageError(f"frame {number} is damaged")
        ...     return f"frame {number}", np.full((8, 8, 1), item, np.uint8)
        >>> def answer(pixels, names):
        ...     return [f"{name} is {'light' if one.mean() > 127 else 'dark'}" for name, one in zip(names, pixels)]
        >>> frames = iter([20, None, 230])  # such as a camera gives
        >>> for said in stream(frames, prepare, answer, batch_size=32):
        ...     print(said)
        frame 0 is dark
        frame 1 is damaged
        frame 2 is light
    """
    drawn: SimpleQueue[Future[Prepared] | BaseException] = SimpleQueue()
    room, stopped = threading.Semaphore(2 * batch_size), threading.Event()
    pool = ThreadPoolExecutor(THREADS)

    def draw() -> None:
        try:
            for number in itertools.count():
                room.acquire()
                if stopped.is_set():
                    return
                drawn.put(pool.submit(prepare, number, next(source)))
        except BaseException as error:  # noqa: BLE001 - the consumer's thread raises it; StopIteration is the end
            drawn.put(error)

    drawing = threading.Thread(target=draw, daemon=True)
    drawing.start()
    try:
        ended: BaseException | None = None
        while ended is None:
            waiting: list[Future[Prepared]] = []
            for one in _available(drawn, batch_size):
                if isinstance(one, BaseException):
                    ended = one
                else:
                    waiting.append(one)
            yield from _answered(waiting, answer)
            room.release(max(1, len(waiting)))
        if not isinstance(ended, StopIteration):
            raise ended
    finally:  # also where the consumer stops early
        stopped.set()
        room.release()
        pool.shutdown(wait=False, cancel_futures=True)
        if drawing is not threading.current_thread():  # where the garbage collector ends this
            drawing.join(_PATIENCE)  # whoever stopped may close the source now, such as a camera


def _available(drawn: SimpleQueue[Any], most: int) -> Iterator[Any]:
    """Wait for one item, and give what else is there."""
    yield drawn.get()
    with suppress(Empty):
        for _ in range(most - 1):
            yield drawn.get_nowait()


def _answered(
    waiting: Sequence[Future[Prepared]],
    answer: Callable[[NDArray[np.uint8], list[str]], Sequence[Answer | UnreadableImageError]],
) -> Iterator[Answer | UnreadableImageError]:
    found: list[Prepared | UnreadableImageError] = []
    for one in waiting:
        try:
            found.append(one.result())
        except UnreadableImageError as error:
            found.append(error)
    readable = [one for one in found if not isinstance(one, UnreadableImageError)]
    answers: Iterator[Answer | UnreadableImageError] = iter(())
    if readable:
        answers = iter(answer(np.stack([pixels for _, pixels in readable]), [name for name, _ in readable]))
    for said in found:
        yield said if isinstance(said, UnreadableImageError) else next(answers)
