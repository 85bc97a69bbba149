"""What can be known of each image from decoding it once: readable or not, size, light, sharpness, digest, look.

The contract: a scan returns one record of `FACTS` for each image, in the order of the dataset. The decoder takes most
of the time, so a large JPEG is decoded no larger than needed; everything else is computed from 96 x 96 pixels picked
from the image, because reading all pixels once more would cost as much as decoding them.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls import images
from imgcls._progress import ProgressReport
from imgcls.datasets._scan_cache import ScanCache, key
from imgcls.errors import UnreadableImageError

if TYPE_CHECKING:
    from imgcls.datasets._dataset import Dataset

SMALLEST_SIDE = 48  # pixels; below, there is too little to tell a copy from a similar picture (MNIST's ones)
FACTS = np.dtype(
    [
        ("readable", np.bool_),
        ("truncated", np.bool_),
        ("looked", np.bool_),  # whether brightness, contrast and sharpness are known
        ("hashed", np.bool_),  # whether thumbnail and hash are known: no side is below SMALLEST_SIDE
        ("height", np.uint32),
        ("width", np.uint32),
        ("channels", np.uint8),  # 255 stands for more too
        ("bytes", np.uint64),
        ("digest", np.uint64, 2),  # of the file's bytes, or of an array's shape and bytes
        ("pixels", np.uint64, 2),  # equal where the pixels are equal, seldom else
        ("brightness", np.float32),  # 0 to 255
        ("contrast", np.float32),  # standard deviation of the brightness
        ("sharpness", np.float32),  # standard deviation of the Laplacian of the picked pixels
        ("thumbnail", np.uint8, (16, 16, 3)),
        ("hash", np.uint64),
    ]
)

_MOST_CHANNELS = 255
_EQUAL = ["height", "width", "channels", "contrast", "sharpness", "thumbnail", "hash"]  # of images of equal pixels
_THREADS = 4  # Pillow releases the interpreter lock while it decodes
_CHUNK = 32  # images a task: enough to share NumPy's overhead, few enough to stop soon
_TOGETHER = 8  # images looked at together: what they need fits the processor's cache; 32 took twice as long each
_GRID, _CELLS = 96, 32  # pixels picked along each side, and the cells they are averaged in
_PICKED = (_GRID // _CELLS) ** 2  # pixels in a cell
_LUMA = np.array([0.299, 0.587, 0.114], np.float32) / _PICKED  # ITU-R 601-2, as the decoder's


class Scan(NamedTuple):
    """`facts` (N,) of dtype `FACTS`, and for each image why it cannot be read, or ""."""

    facts: NDArray[Any]
    errors: tuple[str, ...]


def scan(dataset: "Dataset", *, looks: bool = True, verbose: Any = 0) -> Scan:
    """Decode every image once and note what there is to know.

    What files are like is kept under the cache folder, or else in memory, so that a second scan reads only what has
    changed.

    Args:
        dataset: The images.
        looks: Whether to look at arrays in memory too. False takes no more than their digest, which is enough to find
            exact copies.
        verbose: As in `fit`: 0 nothing, 1 a live bar, 2 lines, "auto" a bar where one can be drawn.

    Examples:
        >>> from imgcls import Dataset
        >>> facts, errors = scan(Dataset.builtin("digits"))
        >>> int(facts["height"].max()), bool(facts["readable"].all()), set(errors)
        (8, True, {''})
    """
    facts = np.zeros(len(dataset), FACTS)
    errors = [""] * len(dataset)
    limits = images.budget()
    with ScanCache() as cache, ProgressReport(verbose) as progress:
        keys = [_key(dataset.source(position)) for position in range(len(dataset))]
        known = cache.get(one for one in keys if one is not None)
        todo = []
        for position, one in enumerate(keys):
            row = b"" if one is None else known.get(one, b"")
            if len(row) == FACTS.itemsize and _allowed(record := np.frombuffer(row, FACTS)[0], limits):
                facts[position] = record
            else:
                todo.append(position)
        progress.begin("looking at images", len(todo))
        done = 0
        for positions, (found, refusals) in _in_threads(dataset, todo, looks=looks):
            facts[positions] = found
            fresh = {}
            for record, position, error in zip(found, positions, refusals, strict=True):
                errors[position] = error
                own = keys[position]
                if own is not None and record["readable"]:  # what cannot be read may be told otherwise next time
                    fresh[own] = record.tobytes()
            cache.put(fresh)
            done += len(positions)
            progress.done(done)
    return Scan(facts, tuple(errors))


def _allowed(record: Any, limits: tuple[int, int]) -> bool:
    """Say whether what was read once is within the limits of today, which the environment sets."""
    max_bytes, max_pixels = limits
    return bool(record["bytes"] <= max_bytes and int(record["height"]) * int(record["width"]) <= max_pixels)


def _key(source: Any) -> bytes | None:
    return key(source) if isinstance(source, str | Path) else None


def _in_threads(dataset: "Dataset", todo: list[int], *, looks: bool) -> Iterator[tuple[list[int], Scan]]:
    chunks = (todo[start : start + _CHUNK] for start in range(0, len(todo), _CHUNK))
    pool = ThreadPoolExecutor(_THREADS)
    running: dict[Future[Scan], list[int]] = {}
    try:
        for chunk in chunks:
            running[pool.submit(_scan_chunk, dataset, chunk, looks)] = chunk
            if len(running) < 2 * _THREADS:  # the next chunks wait here, not in a queue of millions
                continue
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
        for future, chunk in running.items():
            yield chunk, future.result()
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt waits for four chunks, not for all


def _scan_chunk(dataset: "Dataset", positions: list[int], looks: bool) -> Scan:
    facts = np.zeros(len(positions), FACTS)
    errors = [""] * len(positions)
    picked = np.zeros((len(positions), _GRID, _GRID, 3), np.uint8)
    for row, position in enumerate(positions):
        record = facts[row]
        try:
            image, (height, width) = _decode(dataset, position, record)
        except UnreadableImageError as error:
            errors[row] = str(error)
            record["truncated"] = images.is_truncated(error)
            continue
        record["readable"] = True
        record["height"], record["width"], record["channels"] = height, width, min(image.shape[2], _MOST_CHANNELS)
        record["looked"] = looked = looks or not _is_array(dataset.source(position))  # of files always: they are kept
        if looked and min(height, width) >= SMALLEST_SIDE:
            picked[row] = _pick(image)
            record["hashed"] = True
        else:
            record["pixels"] = _words(repr(image.shape).encode() + image.tobytes())
            if looked:
                record["brightness"], record["contrast"] = image.mean(), image.std()
    for start in range(0, len(facts), _TOGETHER):
        _look(facts[start : start + _TOGETHER], picked[start : start + _TOGETHER])
    return Scan(facts, tuple(errors))


def _decode(dataset: "Dataset", position: int, record: Any) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Read a file once: the same bytes are digested and decoded. Return the image and the size of the whole."""
    source = dataset.source(position)
    if isinstance(source, str | Path):
        try:
            state = os.stat(source)  # noqa: PTH116 - a path may be text
            if not stat.S_ISREG(state.st_mode) or state.st_size > images.budget()[0]:
                return _whole(dataset.read(position))  # its refusal names the cause
            data = Path(source).read_bytes()
        except (OSError, ValueError):
            return _whole(dataset.read(position))
        record["bytes"], record["digest"] = len(data), _words(data)
        by_name = str(source).lower().endswith((".dcm", ".dicom"))  # what has no mark of its own in its bytes
        return _whole(dataset.read(position)) if by_name else images.glance(data, _GRID, str(source))
    if isinstance(source, bytes | bytearray | memoryview):
        record["bytes"], record["digest"] = len(source), _words(source)
        return images.glance(bytes(source), _GRID, f"image {dataset.ids[position]!r}")
    image = dataset.read(position)
    record["bytes"], record["digest"] = image.size, _words(repr(image.shape).encode() + image.tobytes())
    return _whole(image)


def _whole(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    height, width, _ = image.shape
    return image, (height, width)


def _words(data: Any) -> NDArray[np.uint64]:
    return np.frombuffer(digest(data), np.uint64)


def _is_array(source: Any) -> bool:
    return isinstance(source, np.ndarray)


def digest(data: Any) -> bytes:
    """Return 16 bytes that stand for `data` (BLAKE2b, faster than MD5)."""
    return hashlib.blake2b(data, digest_size=16).digest()


def _pick(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pick 96 x 96 pixels (96, 96, 3): twenty times as fast as resizing the whole image."""
    height, width, channels = image.shape
    rows = image[_centres(height)].reshape(_GRID, -1)
    return np.take(rows, _columns(width, channels), axis=1, mode="clip").reshape(_GRID, _GRID, 3)


@lru_cache(64)
def _columns(width: int, channels: int) -> NDArray[np.intp]:
    bands = (0, 1, 2) if channels >= 3 else (0, 0, 0)  # of many bands, the first three
    columns: NDArray[np.intp] = (_centres(width)[:, None] * channels + np.array(bands)).ravel()
    return columns


@lru_cache(64)
def _centres(length: int) -> NDArray[np.intp]:
    return (np.arange(_GRID, dtype=np.intp) * 2 + 1) * length // (2 * _GRID)


def _look(facts: NDArray[Any], picked: NDArray[np.uint8]) -> None:
    """Fill in what follows from the picked pixels, for a few images at once.

    Long operations on many images release the interpreter lock for long; a dozen short ones an image would make the
    threads that decode wait for each other.
    """
    chosen = np.flatnonzero(facts["hashed"])
    if not chosen.size:
        return
    picked = picked if chosen.size == len(picked) else picked[chosen]
    each = _GRID // _CELLS
    rows = picked.reshape(len(picked), _CELLS, each, -1).sum(axis=2, dtype=np.uint16)
    rows = rows.reshape(len(picked), _CELLS, _CELLS, each, 3)
    cells = rows[:, :, :, 0] + rows[:, :, :, 1] + rows[:, :, :, 2]  # faster than a sum over so short an axis
    facts["sharpness"][chosen] = _sharpness(picked[..., 1])
    gray = sum(cells[..., band] * weight for band, weight in enumerate(_LUMA))  # `@` would start BLAS's own threads
    facts["brightness"][chosen] = gray.mean(axis=(1, 2))
    facts["contrast"][chosen] = gray.std(axis=(1, 2))
    pairs = cells[:, ::2] + cells[:, 1::2]
    facts["thumbnail"][chosen] = (pairs[:, :, ::2] + pairs[:, :, 1::2] + _PICKED * 2) // (_PICKED * 4)
    waves = _COSINES @ gray @ _COSINES.T
    signs = np.packbits(waves[:, _VERTICAL, _HORIZONTAL] > 0, axis=1)
    facts["hash"][chosen] = np.ascontiguousarray(signs).view(np.uint64)[:, 0]
    for row in chosen.tolist():
        facts["pixels"][row] = _words(b"".join(facts[name][row].tobytes() for name in _EQUAL))


def _sharpness(green: NDArray[np.uint8]) -> NDArray[np.float32]:
    wide = green.astype(np.int16)
    sides = wide[:, :-2:2, 1:-1] + wide[:, 2::2, 1:-1] + wide[:, 1:-1:2, :-2] + wide[:, 1:-1:2, 2:]
    waves = (sides - 4 * wide[:, 1:-1:2, 1:-1]).astype(np.float32)  # every other row tells as much
    power: NDArray[np.float32] = np.einsum("nij,nij->n", waves, waves) / waves[0].size
    deviations: NDArray[np.float32] = np.sqrt(np.maximum(power - waves.mean(axis=(1, 2)) ** 2, 0))
    return deviations


# The perceptual hash: the signs of the 64 lowest waves of the discrete cosine transform. Slow waves survive resizing
# and compression. A mirror image has the opposite sign in every wave of odd horizontal frequency, and no other:
# its hash is `hash ^ MIRROR`.
_WAVES = sorted(
    ((vertical, horizontal) for vertical in range(11) for horizontal in range(11) if vertical + horizontal),
    key=lambda wave: (sum(wave), wave),
)[:64]
_VERTICAL, _HORIZONTAL = np.array(_WAVES).T
_COSINES = np.cos(np.pi / _CELLS * np.outer(np.arange(11), np.arange(_CELLS) + 0.5)).astype(np.float32)
MIRROR: np.uint64 = np.packbits(_HORIZONTAL % 2 == 1).view(np.uint64)[0]
