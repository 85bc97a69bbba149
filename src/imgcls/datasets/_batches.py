"""Batches of equal-sized images: a pure function of (seed, epoch, step), decoded ahead by threads."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from imgcls.datasets._dataset import Dataset
from imgcls.errors import UnreadableImageError

IN_MEMORY_BYTES = 2 * 2**30  # beyond this, images are decoded anew in every epoch
_THREADS = 4  # Pillow releases the interpreter lock while it decodes

NDUInt8 = NDArray[np.uint8]


class Batch(NamedTuple):
    """`uint8 (n, S, S, C)` images and the positions `int64 (n,)` they have in their dataset."""

    images: NDUInt8
    positions: NDArray[np.int64]


@final
class Batches:
    """The images of a dataset in batches of one size.

    Images are decoded once and kept when they fit into `in_memory_bytes`, else decoded anew in every pass by threads
    that work one batch ahead. Either way the bytes are the same.

    Args:
        dataset: The images.
        image_size: (height, width) in pixels.
        channels: 1 or 3.
        batch_size: Images in a batch, at most. The batches of one pass differ by one image at most, so that no batch
            is too small for its statistics and none is dropped.
        in_memory_bytes: The most memory for decoded images.
        on_progress: Called with the number of images decoded so far, while images are first decoded.

    Raises:
        UnreadableImageError: Images cannot be read; all of them are named at once where they are kept in memory.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        image_size: tuple[int, int],
        channels: int,
        batch_size: int,
        in_memory_bytes: int = IN_MEMORY_BYTES,
        on_progress: Callable[[int], None] | None = None,
    ) -> None:
        self.dataset = dataset
        self.image_size = image_size
        self.channels = channels
        self.batch_size = batch_size
        fits = len(dataset) * image_size[0] * image_size[1] * channels <= in_memory_bytes
        self._kept = self._decode_all(on_progress) if fits else None

    def __len__(self) -> int:
        """Return the number of batches in a pass."""
        return math.ceil(len(self.dataset) / self.batch_size)

    def shuffled(self, *, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield every image once, in an order that follows from `seed` and `epoch` alone."""
        order = np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(len(self.dataset))
        return self._pass(order)

    def in_order(self) -> Iterator[Batch]:
        """Yield every image once, in the order of the dataset."""
        return self._pass(np.arange(len(self.dataset)))

    def _pass(self, order: NDArray[np.int64]) -> Iterator[Batch]:
        edges = np.linspace(0, len(order), len(self) + 1).round().astype(int)
        chosen = [order[start:stop] for start, stop in pairwise(edges)]
        if self._kept is not None:
            return (Batch(self._kept[positions], positions) for positions in chosen)
        return self._streamed(chosen)

    def _streamed(self, chosen: list[NDArray[np.int64]]) -> Iterator[Batch]:
        with ThreadPoolExecutor(_THREADS) as pool:
            ahead = [pool.submit(self._decode, position) for position in chosen[0].tolist()]
            for positions, following in zip(chosen, [*chosen[1:], chosen[0][:0]], strict=True):
                ready, ahead = ahead, [pool.submit(self._decode, position) for position in following.tolist()]
                yield Batch(np.stack([image.result() for image in ready]), positions)

    def _decode(self, position: int) -> NDUInt8:
        return self.dataset.read(position, size=self.image_size, channels=self.channels)

    def _decode_all(self, on_progress: Callable[[int], None] | None) -> NDUInt8:
        kept = np.empty((len(self.dataset), *self.image_size, self.channels), np.uint8)

        def decode(position: int) -> None:
            kept[position] = self._decode(position)

        _read_all(decode, len(kept), on_progress)
        return kept


def check_readable(dataset: Dataset) -> None:
    """Decode every image once, keep none, and name all that cannot be read.

    Raises:
        UnreadableImageError: Images cannot be read; the message has a line for each.

    Examples:
        >>> from imgcls import Dataset, datasets
        >>> datasets.check_readable(Dataset.builtin("digits"))
    """

    def decode(position: int) -> None:
        dataset.read(position)

    _read_all(decode, len(dataset))


def _read_all(decode: Callable[[int], None], count: int, on_progress: Callable[[int], None] | None = None) -> None:
    refused: dict[int, UnreadableImageError] = {}

    def attempt(position: int) -> None:
        try:
            decode(position)
        except UnreadableImageError as error:
            refused[position] = error

    with ThreadPoolExecutor(_THREADS) as pool:
        for done, _ in enumerate(pool.map(attempt, range(count)), start=1):
            if on_progress is not None:
                on_progress(done)
    if len(refused) == 1:
        raise next(iter(refused.values()))
    if refused:
        listed = "".join(f"\n- {refused[position]}" for position in sorted(refused))  # threads end in any order
        message = f"{len(refused):,} of {count:,} images cannot be read:{listed}"
        raise UnreadableImageError(message)
