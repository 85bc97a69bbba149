"""Copies among images: exact ones by digest, near ones by perceptual hash, without comparing all with all.

A near copy is the same picture encoded again, resized or mirrored. Candidates come from the hashes by the
sorted-neighbourhood method (Hernandez and Stolfo 1995): sort, compare each with its next few neighbours, rotate the
bits, sort again. What differs in few bits is near in at least one of the orders. Each candidate is then verified by the
small colour thumbnails.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls._progress import PATIENCE, ProgressReport
from imgcls.datasets import _scan
from imgcls.datasets._scan_cache import ScanCache, key

if TYPE_CHECKING:
    from imgcls.datasets._dataset import Dataset

# Measured on 570 flowers, clothes and ImageNet photos and their copies at quality 40-95, scaled by 0.4-1.5, mirrored:
# at 0.99 and 10, 97.6 % of the copies are found, and of the 3 million pairs of other photos none. Portraits set the
# correlation: of the 400 of the ORL faces, ten of each person, 2 are merged at 0.99, 9 at 0.985 and 68 at 0.96.
_BITS = 10  # of 64 that a near copy may differ in
_CORRELATION = 0.99  # of the thumbnails, at least
_DIFFERENCE = 10.0  # of the thumbnails in mean, at most
_NEIGHBOURS = 32  # compared with each hash in each order
_ROTATIONS = range(0, 64, 4)
_DEALS = (1, 27)  # the bits as they are, and dealt anew: together they find 93 % of what differs in 8 of 64 bits
_BLOCK = 2**16  # hashes compared at a time, so that they stay in the processor's cache
_JPEG = b"\xff\xd8\xff"  # how such a file begins
_THREADS = 4  # Pillow releases the interpreter lock while it decodes
_TOGETHER = 64  # images decoded in full between two looks at the bar
BLANK = 4.0  # contrast; below it, the signs of the waves are noise


class Clusters(NamedTuple):
    """Images with the same number are copies of each other.

    Attributes:
        cluster: `int64 (N,)` from 0 to M - 1, numbered in the order of first appearance.
        size: `int64 (N,)` pixels, then bytes: the largest of a cluster is its original, as far as one can tell. A copy
            resized or encoded again is smaller in one or the other.
        keys: N digests of the bytes in hexadecimal; the id of what cannot be read at all.
    """

    cluster: NDArray[np.int64]
    size: NDArray[np.int64]
    keys: tuple[str, ...]


class Pairs(NamedTuple):
    """`first`, `second` and `mirrored` (P,): positions of candidates, and whether one is the other's mirror image."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    mirrored: NDArray[np.bool_]


def clusters(dataset: "Dataset", *, near: bool = True, verbose: Any = 0) -> Clusters:
    """Find which images are copies of each other.

    Args:
        dataset: The images. What cannot be read is a cluster of its own.
        near: Whether the same picture resized, encoded again or mirrored is a copy; False for equal bytes or pixels
            only.
        verbose: As in `fit`.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Dataset
        >>> images = np.zeros((3, 8, 8), np.uint8)
        >>> images[1] = 255
        >>> clusters(Dataset.from_arrays(images)).cluster.tolist()
        [0, 1, 0]
    """
    facts = _scan.scan(dataset, looks=near, verbose=verbose).facts
    exact = exact_copies(facts, [dataset], verbose=verbose)
    keys = (word.hex() if any(word) else name for word, name in zip(_words(facts["digest"]), dataset.ids, strict=True))
    return Clusters(near_copies(facts, exact) if near else exact, sizes(facts), tuple(keys))


def copies_in(dataset: "Dataset", others: "Dataset", *, verbose: Any = 0) -> NDArray[np.int64]:
    """Return the positions in `others` of images that are copies of images in `dataset`.

    Args:
        dataset: The images to be found again, such as those that were learnt from.
        others: Where to look, such as a test set.
        verbose: As in `fit`.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Dataset
        >>> images = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
        >>> copies_in(Dataset.from_arrays(images[:3]), Dataset.from_arrays(images[2:])).tolist()
        [0]
    """
    facts = np.concatenate([_scan.scan(one, verbose=verbose).facts for one in (dataset, others)])
    cluster = near_copies(facts, exact_copies(facts, [dataset, others], verbose=verbose))
    return np.flatnonzero(np.isin(cluster[len(dataset) :], cluster[: len(dataset)]))


def sizes(facts: NDArray[Any]) -> NDArray[np.int64]:
    """Return one number an image that grows with pixels first, bytes second (in steps of 64, up to 64 MiB)."""
    pixels = facts["height"].astype(np.int64) * facts["width"].astype(np.int64)
    return pixels * 2**20 + np.minimum(facts["bytes"].astype(np.int64) // 64, 2**20 - 1)


def exact_copies(facts: NDArray[Any], datasets: "Sequence[Dataset]", *, verbose: Any = 0) -> NDArray[np.int64]:
    """Number images so that those of equal bytes or equal pixels share a number.

    Args:
        facts: (N,) of all datasets, one after the other.
        datasets: Where pixels can be read again: of large images not all pixels are in their facts.
        verbose: As in `fit`.
    """
    sets = _Sets(len(facts))
    digests = _words(facts["digest"])
    readable = np.flatnonzero(facts["readable"]).tolist()
    for same in _groups(readable, digests):
        sets.join(same)
    firsts = sorted({digests[position]: position for position in reversed(readable)}.values())
    alike = list(_groups(firsts, _words(facts["pixels"])))
    for group in alike:
        if not facts["hashed"][group[0]]:
            sets.join(group)
    doubtful = [group for group in alike if facts["hashed"][group[0]]] + _in_other_formats(facts, firsts, datasets)
    pixels = _pixels(datasets, sorted({position for group in doubtful for position in group}), verbose)
    for group in doubtful:
        for same in _groups(group, pixels):
            sets.join(same)
    return sets.numbers()


def _in_other_formats(facts: NDArray[Any], positions: list[int], datasets: "Sequence[Dataset]") -> list[list[int]]:
    """Return the near copies of one size of which one is a JPEG: the scan sees that one smaller, and its facts differ.

    Of two JPEGs, and of two others, equal pixels have equal facts.
    """
    chosen = np.array([position for position in positions if facts["hashed"][position]], np.int64)
    if chosen.size < 2:
        return []
    found = near_pairs(facts["hash"][chosen], facts["thumbnail"][chosen])
    pairs = np.column_stack([chosen[found.first], chosen[found.second]])[~found.mirrored]
    height, width = facts["height"][pairs], facts["width"][pairs]
    pairs = pairs[(height[:, 0] == height[:, 1]) & (width[:, 0] == width[:, 1])]
    images = _found(datasets, np.unique(pairs).tolist())
    is_jpeg = {position: _is_jpeg(dataset.source(place)) for position, dataset, place in images}
    return [pair for pair in pairs.tolist() if is_jpeg[pair[0]] != is_jpeg[pair[1]]]


def near_copies(facts: NDArray[Any], exact: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number images so that exact and near copies share a number, given the numbers of `exact_copies`."""
    sets = _Sets(len(facts))
    for same in _groups(range(len(facts)), exact.tolist()):
        sets.join(same)
    _, representatives = np.unique(exact, return_index=True)
    fit = facts["hashed"] & (facts["contrast"] >= BLANK)
    chosen = representatives[fit[representatives]]
    if chosen.size > 1:
        found = near_pairs(facts["hash"][chosen], facts["thumbnail"][chosen])
        for first, second in zip(chosen[found.first].tolist(), chosen[found.second].tolist(), strict=True):
            sets.join((first, second))
    return sets.numbers()


def linked(hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8], *, correlation: float) -> NDArray[np.int64]:
    """Number N images so that near copies share a number, given what `near_pairs` takes."""
    sets = _Sets(len(hashes))
    found = near_pairs(hashes, thumbnails, correlation=correlation)
    for first, second in zip(found.first.tolist(), found.second.tolist(), strict=True):
        sets.join((first, second))
    return sets.numbers()


def near_pairs(
    hashes: NDArray[np.uint64], thumbnails: NDArray[np.uint8], *, correlation: float = _CORRELATION
) -> Pairs:
    """Return the pairs of near copies among N images: candidates by hash, verified by thumbnail.

    Equal hashes are compared along a line and not all with all, so that a thousand frames of one scene take a
    thousand comparisons.

    Args:
        hashes: `uint64 (N,)`.
        thumbnails: `uint8 (N, S, S, 3)`, of any side S from 4.
        correlation: Of the thumbnails of near copies, at least.
    """
    unique, first, back = np.unique(hashes, return_index=True, return_inverse=True)
    candidates = candidate_pairs(unique)
    quarter = thumbnails.shape[1] // 4
    looks = (thumbnails[:, quarter, quarter, 1], thumbnails[:, 2 * quarter, 2 * quarter, 1])
    by_hash = np.lexsort((*looks, back))
    equal = np.flatnonzero(back[by_hash[1:]] == back[by_hash[:-1]])
    stars = np.flatnonzero(first[back] != np.arange(len(back)))
    pairs = Pairs(
        np.concatenate([first[candidates.first], by_hash[equal], first[back[stars]]]),
        np.concatenate([first[candidates.second], by_hash[equal + 1], stars]),
        np.concatenate([candidates.mirrored, np.zeros(len(equal) + len(stars), np.bool_)]),
    )
    kept = _verified(pairs, thumbnails, correlation)
    return Pairs(pairs.first[kept], pairs.second[kept], pairs.mirrored[kept])


def candidate_pairs(hashes: NDArray[np.uint64], *, bits: int = _BITS) -> Pairs:
    """Return the pairs of N different hashes that differ in at most `bits` bits, mirror images included.

    The search is linear in N but for sorting. It may miss a pair that differs in many bits, all over the hash.

    Examples:
        >>> import numpy as np
        >>> candidate_pairs(np.array([0, 2**20, 2**64 - 1], np.uint64)).first.tolist()
        [0]
    """
    count = len(hashes)
    both = np.concatenate([hashes, hashes ^ _scan.MIRROR])
    found = [np.zeros(0, np.int64)]
    for deal, rotation in product(_DEALS, _ROTATIONS):
        if not rotation:
            dealt = _dealt(both, deal)
        turned = (dealt << np.uint64(rotation)) | (dealt >> np.uint64(-rotation % 64))
        order = np.argsort(turned)
        for low, high in _neighbours(turned[order], bits):
            first, second = order[low], order[high]
            once = ((first < count) | (second < count)) & (first % count != second % count)
            found.append(_coded(first[once], second[once], count))
        found = [np.unique(np.concatenate(found))]
    codes = found[0]
    return Pairs(codes // 2 // count, codes // 2 % count, codes % 2 == 1)


def _dealt(hashes: NDArray[np.uint64], deal: int) -> NDArray[np.uint64]:
    """Return the hashes with bit i in place of bit `deal` * i, modulo 64."""
    dealt = np.empty_like(hashes)
    for start in range(0, len(hashes), _BLOCK):
        bits = np.unpackbits(hashes[start : start + _BLOCK, None].view(np.uint8), axis=1)
        packed = np.packbits(bits[:, np.arange(64) * deal % 64], axis=1)
        dealt[start : start + _BLOCK] = np.ascontiguousarray(packed).view(np.uint64)[:, 0]
    return dealt


def _neighbours(ordered: NDArray[np.uint64], bits: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the places of what lies within `_NEIGHBOURS` of each other and differs in at most `bits` bits."""
    for start in range(0, len(ordered), _BLOCK):
        block = ordered[start : start + _BLOCK + _NEIGHBOURS]
        for step in range(1, min(_NEIGHBOURS, len(block) - 1) + 1):
            ends = min(_BLOCK, len(block) - step)
            differing = np.bitwise_count(block[:ends] ^ block[step : step + ends])
            low = np.flatnonzero(differing <= bits) + start
            if low.size:
                yield low, low + step


def _coded(first: NDArray[np.int64], second: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return one number for each pair, the smaller position first: a pair is met in several orders."""
    mirrored = (first >= count) != (second >= count)
    low, high = np.minimum(first % count, second % count), np.maximum(first % count, second % count)
    coded: NDArray[np.int64] = (low * count + high) * 2 + mirrored
    return coded


def _verified(pairs: Pairs, thumbnails: NDArray[np.uint8], least: float) -> NDArray[np.bool_]:
    kept = np.zeros(len(pairs.first), np.bool_)
    for start in range(0, len(kept), 4096):
        part = slice(start, start + 4096)
        one = thumbnails[pairs.first[part]].astype(np.float32)
        other = thumbnails[pairs.second[part]].astype(np.float32)
        mirrored = pairs.mirrored[part]
        other[mirrored] = other[mirrored, :, ::-1]
        correlation, difference = likeness(one, other)
        kept[part] = (correlation >= least) & (difference <= _DIFFERENCE)
    return kept


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the correlation and the mean difference of P pairs of thumbnails (P, S, S, 3)."""
    difference = np.abs(one - other).mean(axis=(1, 2, 3))
    one, other = (pixels - pixels.mean(axis=(1, 2), keepdims=True) for pixels in (one, other))
    together = (one * other).sum(axis=(1, 2, 3))
    power = (one**2).sum(axis=(1, 2, 3)) * (other**2).sum(axis=(1, 2, 3))
    return together / np.sqrt(np.maximum(power, 1e-6)), difference


def _words(column: NDArray[np.uint64]) -> list[bytes]:
    data = np.ascontiguousarray(column).tobytes()
    return [data[start : start + 16] for start in range(0, len(data), 16)]


def _pixels(datasets: "Sequence[Dataset]", positions: Sequence[int], verbose: Any) -> dict[int, bytes]:
    """Return a digest of all pixels of each image. Those of files are kept: each is decoded in full once."""
    if not positions:
        return {}

    def read(image: "tuple[int, Dataset, int]") -> bytes:
        _, dataset, place = image
        pixels = dataset.read(place)
        hashed = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
        hashed.update(np.ascontiguousarray(pixels).data.cast("B"))
        return hashed.digest()

    pool = ThreadPoolExecutor(_THREADS)
    with ScanCache() as cache, ProgressReport(verbose, after=PATIENCE) as progress:
        keys = {position: _key(dataset.source(place)) for position, dataset, place in _found(datasets, positions)}
        known = cache.get(own for own in keys.values() if own is not None)
        digests = {position: known[own] for position, own in keys.items() if own in known}
        todo = [image for image in _found(datasets, positions) if image[0] not in digests]
        progress.begin("comparing pixels", len(todo))
        try:
            for start in range(0, len(todo), _TOGETHER):
                part = todo[start : start + _TOGETHER]
                fresh = dict(zip((position for position, _, _ in part), pool.map(read, part), strict=True))
                cache.put({own: fresh[position] for position in fresh if (own := keys[position]) is not None})
                digests |= fresh
                progress.done(start + len(part))
        finally:
            pool.shutdown(cancel_futures=True)
    return digests


def _key(source: Any) -> bytes | None:
    """Return what stands for all pixels of a file as it is now; None for what is no file."""
    own = key(source) if isinstance(source, str | Path) else None
    return None if own is None else _scan.digest(own + b"all pixels")


def _is_jpeg(source: Any) -> bool:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source[:3]) == _JPEG
    try:
        with Path(source).open("rb") as file:
            return file.read(3) == _JPEG
    except (OSError, TypeError):  # it has gone, or it is an image in memory
        return False


def _found(datasets: "Sequence[Dataset]", positions: Iterable[int]) -> "Iterator[tuple[int, Dataset, int]]":
    """Yield positions in all datasets, one after the other, with the dataset and the position in that."""
    ends = np.cumsum([len(dataset) for dataset in datasets]).tolist()
    for position in positions:
        which = bisect_right(ends, position)
        yield position, datasets[which], position - (ends[which] - len(datasets[which]))


def _groups(positions: Iterable[int], names: Any) -> Iterator[list[int]]:
    """Yield the positions that share a name, where there are at least two."""
    members: dict[Hashable, list[int]] = {}
    for position in positions:
        members.setdefault(names[position], []).append(position)
    return (same for same in members.values() if len(same) > 1)


class _Sets:
    """Disjoint sets of the numbers 0 to count - 1 (union-find with path halving)."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def join(self, members: Sequence[int]) -> None:
        root = self._root(members[0])
        for member in members[1:]:
            other = self._root(member)
            root, other = min(root, other), max(root, other)
            self._parent[other] = root

    def numbers(self) -> NDArray[np.int64]:
        roots = [self._root(member) for member in range(len(self._parent))]
        _, numbers = np.unique(roots, return_inverse=True)  # a root is the first of its set
        return numbers.astype(np.int64)

    def _root(self, member: int) -> int:
        parent = self._parent
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member
