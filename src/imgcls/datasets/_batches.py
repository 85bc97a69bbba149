"""Batches of equal-sized images: a pure function of (seed, epoch, step), made ahead by threads.

Where decoded images are kept, and why, is decided once, for all images together: `Batches.keep`.
"""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks, _memory
from imgcls.datasets import _cache, _store
from imgcls.datasets._dataset import Dataset
from imgcls.datasets._readable import ON_ERROR, Quarantine
from imgcls.errors import UnreadableImageError
from imgcls.images import THREADS

IN_MEMORY_BYTES = 2 * 2**30  # at most, and a quarter of the memory that is free
KEEP = ("auto", "memory", "store", "stream")
_AHEAD = 2  # batches made while one is used
_HALVES = 2**62  # an epoch that no run reaches: its random numbers halve the images for an alternating flip
_CHUNK_IMAGES, _CHUNK_BYTES = 256, 2**23  # of one transaction of the store, at most

NDUInt8 = NDArray[np.uint8]
Positions = NDArray[np.int64]


class Batch(NamedTuple):
    """`uint8 (n, S, S, C)` images and the positions `int64 (n,)` they have in their dataset.

    Examples:
        >>> from imgcls import Dataset
        >>> from imgcls.datasets import Batches
        >>> digits = Dataset.builtin("digits")
        >>> batches = Batches(digits, image_size=(8, 8), channels=1, batch_size=4)
        >>> images, positions = batches.batch(seed=0, epoch=0, step=0)
        >>> images.shape, digits.labels[positions].shape
        ((4, 8, 8, 1), (4,))
        >>> bool((images[0] == digits[positions[0]].image).all())
        True
    """

    images: NDUInt8
    positions: Positions


class _Begun(NamedTuple):
    """A batch that threads are filling; each returns what it could not read, by index."""

    images: NDUInt8
    positions: Positions
    work: list[Future[dict[int, UnreadableImageError]]]


@final
class Batches:
    """The images of a dataset in batches of one size.

    The bytes are the same wherever images are kept and however many threads there are.

    Args:
        dataset: The images.
        image_size: (height, width) in pixels.
        channels: 1 for grayscale, 3 for RGB, or another number of bands that all images have.
        batch_size: Images in a batch, at most. The batches of one pass differ by one image at most, so that no batch
            is too small for its statistics and none is dropped.
        keep: Where decoded images are kept. "memory", "store" (on disk, for all runs), "stream" (nowhere: they are
            decoded anew in every pass); "auto" for memory where they fit, else the store where it fits, else a stream.
            What "auto" keeps in memory it puts into the store too. Only images from files go to the store.
        on_error: "raise" refuses images that cannot be read; where they are kept, all of them at once and now. "skip"
            leaves them out: batches are shorter, and `quarantined` has the reasons. No image is tried twice.
        what: What kind of images they are, for messages: "training", "validation".
        on_progress: Called with the number of images read so far, while images are first read.
        say: Called with lines about what is kept and what is left out; None for silence.
        threads: How many threads read images; None for as many as there are cores, from 4 to 16.

    Attributes:
        dataset: The images in use, without those that could not be read when they were first read.
        used: Their positions `int64 (N,)` in the dataset that was given.
        keep: "memory", "store" or "stream".

    Raises:
        UnreadableImageError: Images cannot be read, and `on_error` is "raise" or there are no others.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Dataset
        >>> from imgcls.datasets import Batches
        >>> ten = Batches(Dataset.builtin("digits")[:10], image_size=(16, 16), channels=1, batch_size=4)
        >>> [batch.images.shape for batch in ten.in_order()]
        [(3, 16, 16, 1), (4, 16, 16, 1), (3, 16, 16, 1)]
        >>> three = Dataset([np.zeros((8, 8), np.uint8), b"no image", np.ones((9, 9), np.uint8)])
        >>> rest = Batches(three, image_size=(8, 8), channels=1, batch_size=2, keep="stream", on_error="skip")
        >>> [batch.positions.tolist() for batch in rest.in_order()], rest.readable.tolist()
        ([[0], [2]], [0, 2])
        >>> str(rest.refusal()).split(" Accepted: ")[0]
        "image '1' cannot be read as an image: its bytes are of no known image format."
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        image_size: tuple[int, int],
        channels: int,
        batch_size: int,
        keep: str = "auto",
        on_error: str = "raise",
        what: str = "",
        on_progress: Callable[[int], None] | None = None,
        say: Callable[[str], None] | None = None,
        threads: int | None = None,
    ) -> None:
        _checks.refuse([_checks.unknown_name("keep", keep, KEEP), _checks.unknown_name("on_error", on_error, ON_ERROR)])
        self.dataset, self.used = dataset, np.arange(len(dataset))
        self.image_size = image_size
        self.channels = channels
        self.batch_size = batch_size
        self._skip = on_error == "skip"
        self._threads = threads or THREADS
        self._quarantine = Quarantine(len(dataset), what=what, say=say)
        self._bad = np.zeros(len(dataset), bool)
        self._kept: NDUInt8 | None = None
        self._store: _store.Store | None = None
        self.keep = self._choose(keep)
        self._reader = _store.Reader(dataset, image_size, channels, self._store)
        if self.keep != "stream":
            self._read_all(on_progress)
        if say is not None:
            self._announce(what, say, asked=keep)
        if self.keep == "memory" and self._store is not None:
            self._store.close()
            self._store = None

    def __len__(self) -> int:
        """Return the number of batches in a pass."""
        return math.ceil(len(self.dataset) / self.batch_size)

    @property
    def quarantined(self) -> dict[str, str]:
        """The ids of images that could not be read so far, each with the reason."""
        return dict(self._quarantine.reasons)

    @property
    def readable(self) -> Positions:
        """The positions `int64 (N,)` in `dataset` of the images that are not in quarantine so far."""
        return np.flatnonzero(~self._bad)

    def refusal(self) -> UnreadableImageError:
        """Word the refusal of the images in `quarantined`, a line for each."""
        return self._quarantine.refusal()

    def shuffled(
        self,
        *,
        seed: int,
        epoch: int,
        start: int = 0,
        part: tuple[int, int] = (0, 1),
        alternating_flip: bool = False,
    ) -> Iterator[Batch]:
        """Yield every image once, in an order that follows from `seed` and `epoch` alone.

        Args:
            seed: Another seed, another order.
            epoch: The same.
            start: The batch to begin with. Those before it are not read.
            alternating_flip: Mirror one half of the images, left to right, in even epochs and the other half in odd
                ones, so that two epochs show every image both ways. Which half is which follows from `seed`.
            part: (r, R): of each batch the r-th of R parts, which follow each other and differ by one image at most; a
                part may be empty. R workers together see every image once, and none reads what another learns from.
        """
        batches = self._pass(_parts(self._shuffled(seed, epoch)[start:], *part))
        return self._mirrored(batches, seed, epoch) if alternating_flip else batches

    def in_order(self, *, part: tuple[int, int] = (0, 1)) -> Iterator[Batch]:
        """Yield every image once, in the order of the dataset; `part` as in `shuffled`."""
        return self._pass(_parts(self._divided(np.arange(len(self.dataset))), *part))

    def batch(self, *, seed: int, epoch: int, step: int) -> Batch:
        """Return the batch that `shuffled` yields at `step`."""
        return next(self._pass([self._shuffled(seed, epoch)[step]]))

    # --- inside --------------------------------------------------------------------------------------------------

    def _shuffled(self, seed: int, epoch: int) -> list[Positions]:
        random = np.random.Generator(np.random.Philox(key=[seed, epoch]))
        return self._divided(random.permutation(len(self.dataset)))

    def _mirrored(self, batches: Iterator[Batch], seed: int, epoch: int) -> Iterator[Batch]:
        halves = np.random.Generator(np.random.Philox(key=[seed, _HALVES])).random(len(self.dataset)) < 0.5
        flip = halves ^ bool(epoch % 2)
        for images, positions in batches:
            chosen = flip[positions]
            images[chosen] = images[chosen, :, ::-1]
            yield Batch(images, positions)

    def _divided(self, order: Positions) -> list[Positions]:
        edges = np.linspace(0, len(order), len(self) + 1).round().astype(int)
        return [order[start:stop] for start, stop in pairwise(edges)]

    def _pass(self, steps: list[Positions]) -> Iterator[Batch]:
        if self._kept is not None:
            yield from (Batch(self._kept[positions], positions) for positions in steps)
            return
        ready = self.dataset.one_array(self.image_size, self.channels)
        if ready is not None:  # in memory, as they are wanted: no thread need be asked
            yield from (Batch(ready(positions), positions) for positions in steps)
            return
        with closing(self._made(steps)) as made:
            for batch in made:
                if self._bad.any() and not self._skip:
                    raise self.refusal()
                yield batch
        self._conclude()

    def _made(self, steps: Iterable[Positions]) -> Generator[Batch]:
        pool = ThreadPoolExecutor(self._threads)
        try:
            ahead: deque[_Begun] = deque()
            for positions in steps:
                ahead.append(self._begin(pool, positions))
                if len(ahead) > _AHEAD:
                    yield self._finish(ahead.popleft())
            while ahead:
                yield self._finish(ahead.popleft())
        finally:  # also where the consumer stops early
            pool.shutdown(cancel_futures=True)

    def _begin(self, pool: ThreadPoolExecutor, positions: Positions) -> _Begun:
        positions = positions[~self._bad[positions]]
        images = np.empty((len(positions), *self.image_size, self.channels), np.uint8)
        shares = [share for share in np.array_split(np.arange(len(positions)), self._threads) if len(share)]
        return _Begun(images, positions, [pool.submit(self._fill, images, positions, share) for share in shares])

    def _finish(self, begun: _Begun) -> Batch:
        refused = {index: error for part in begun.work for index, error in part.result().items()}
        if not refused:
            return Batch(begun.images, begun.positions)
        for index, error in sorted(refused.items()):
            self._bad[begun.positions[index]] = True
            self._quarantine.add(self.dataset.ids[begun.positions[index]], error)
        rest = np.setdiff1d(np.arange(len(begun.positions)), list(refused))
        return Batch(begun.images[rest], begun.positions[rest])

    def _fill(self, images: NDUInt8, positions: Positions, share: Positions) -> dict[int, UnreadableImageError]:
        refused = {}
        for index in share.tolist():
            try:
                self._reader.read(int(self.used[positions[index]]), images[index])
            except UnreadableImageError as error:
                refused[index] = error
        return refused

    # --- keeping -------------------------------------------------------------------------------------------------

    def _choose(self, keep: str) -> str:
        """Open the store where it is needed, and return where images are kept."""
        fits = self._bytes() <= min(IN_MEMORY_BYTES, _memory.available() // 4)
        if keep in {"auto", "store"} and self._are_files():
            self._store = _store.Store.open(self.image_size, self.channels, count=len(self.dataset))
        if keep == "memory" or (keep == "auto" and fits):
            return "memory"
        return "stream" if self._store is None else "store"

    def _are_files(self) -> bool:
        sources = map(self.dataset.source, range(len(self.dataset)))
        return all(isinstance(source, str | Path) for source in sources)

    def _read_all(self, on_progress: Callable[[int], None] | None) -> None:
        """Read every image once, put new ones into the store, and go on with those that can be read."""
        count = len(self.dataset)
        size = max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES * count // self._bytes()))
        chunks = [np.arange(start, min(start + size, count)) for start in range(0, count, size)]
        kept = np.empty((count, *self.image_size, self.channels), np.uint8) if self.keep == "memory" else None
        used = 0
        with closing(self._made(chunks)) as made:
            for chunk, batch in zip(chunks, made, strict=True):
                if kept is not None:
                    kept[used : used + len(batch.images)] = batch.images
                used += len(batch.images)
                self._reader.add(batch.positions, batch.images)
                if on_progress is not None:
                    on_progress(int(chunk[-1]) + 1)
        if used < count and not self._skip:
            raise self.refusal()
        self._conclude()
        if used < count:
            self.used = np.flatnonzero(~self._bad)
            self.dataset = self.dataset[self.used]
            self._bad = np.zeros(used, bool)
        self._kept = None if kept is None else kept[:used]

    def _conclude(self) -> None:
        if self._bad.all():
            raise self.refusal()
        self._quarantine.conclude()

    def _announce(self, what: str, say: Callable[[str], None], *, asked: str) -> None:
        """Say in one line where images from files are kept, unless it is in memory alone."""
        images = f"{len(self.dataset):,} decoded {what} images".replace("  ", " ")
        if self._store is not None:
            folder, trouble = _cache.shown(self._store.path.parent), self._store.trouble
            say(f"{images} are kept in {'memory and in ' * (self.keep == 'memory')}{folder} ({self._size()})")
            if trouble is not None:
                say(f"{folder} takes no more images ({trouble}): those it lacks are decoded anew")
        elif self.keep == "stream" and asked != "stream" and self._are_files():
            say(f"{images} ({self._size()}) fit neither memory nor the cache: decoded anew in every pass")

    def _bytes(self) -> int:
        return len(self.dataset) * math.prod(self.image_size) * self.channels

    def _size(self) -> str:
        amount, units = self._bytes() / 1e3, ["kB", "MB", "GB", "TB"]
        while amount >= 1000 and len(units) > 1:
            amount, units = amount / 1000, units[1:]
        return f"{amount:,.0f} {units[0]}"


def _parts(steps: list[Positions], place: int, parts: int) -> list[Positions]:
    """Return one of the parts of each step."""
    return [np.array_split(step, parts)[place] for step in steps]
