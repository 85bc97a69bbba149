"""What images leave behind: enough to find them again, and too little to see them.

A digest of each file's bytes and one of its pixels find exact copies. Of images of 48 pixels and more, the perceptual
hash and a mosaic of 4 x 4 colours find near ones: 64 signs and 16 colours show no picture. The thumbnails of 16 x 16
by which `copies_in` compares two datasets would show one, and are not kept.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
from numpy.typing import NDArray

from imgcls.datasets import _duplicates, _scan
from imgcls.datasets._scan_cache import ScanCache, key
from imgcls.errors import UnreadableImageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgcls.datasets._dataset import Dataset

MOST = 100_000  # images: 9 MB of traces
_MOST_FILES, _MOST_BYTES = 5_000, 2**28  # that are decoded for it: some five seconds, measured with two cores
_CELLS = 4  # of a mosaic, along each side
# Measured on 2,700 photos, and on their copies at quality 40-95, scaled by 0.4-1.5, mirrored: 95 % of the copies are
# found, and none of 3.6 million pairs of other photos. Of the 80,000 pairs of 400 portraits, ten of each person, 8 are.
_CORRELATION = 0.998


@final
@dataclass(frozen=True, slots=True, eq=False)
class Traces:
    """The traces of N images, in no order: those of equal images are one.

    Attributes:
        images: N.
        contents: `uint8 (n, 16)`, sorted: digests (BLAKE2b) of the bytes of files, or of the pixels of arrays.
        pixels: `uint8 (p, 16)`, sorted: digests of what was decoded.
        hashes: `uint64 (q,)`: perceptual hashes of the images that are large enough.
        mosaics: `uint8 (q, 4, 4, 3)`: their colours.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Dataset
        >>> from imgcls.datasets import Traces
        >>> squares = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
        >>> images = squares.repeat(8, axis=1).repeat(8, axis=2)
        >>> traces = Traces.of(Dataset.from_arrays(images[[0, 1, 2, 2]]))
        >>> traces.images, len(traces.contents), len(traces.hashes)  # equal images leave one trace
        (4, 3, 3)
        >>> traces.copies_in(Dataset.from_arrays(images[1:2, :, ::-1])).tolist()  # a mirror image is a copy
        [0]
    """

    images: int
    contents: NDArray[np.uint8]
    pixels: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    mosaics: NDArray[np.uint8]

    @classmethod
    def of(cls, dataset: "Dataset") -> Self | None:
        """Return the traces of a dataset; None where to find them would take long.

        That is where there are more than 100,000 images, or more than 5,000 files or 256 MiB of files that nobody has
        looked at before. `split`, `check` and `evaluation.leaks()` look, and keep what they see: in the cache, or where
        that is off or cannot be written to, in memory as long as the process lasts.

        Args:
            dataset: The images. Those that cannot be read leave nothing.

        Examples:
            >>> from imgcls import Dataset
            >>> traces = Traces.of(Dataset.builtin("digits"))
            >>> traces.images, traces.contents.shape, traces.hashes.shape
            (1797, (1797, 16), (0,))
        """
        if len(dataset) > MOST or _takes_long(dataset):
            return None
        if all(_is_small_array(dataset.source(position)) for position in range(len(dataset))):
            digests = _digests(dataset)
            return cls(
                len(dataset), digests, digests, np.zeros(0, np.uint64), np.zeros((0, _CELLS, _CELLS, 3), np.uint8)
            )
        facts = _scan.scan(dataset).facts
        facts = facts[facts["readable"]]
        near = facts[facts["hashed"] & (facts["contrast"] >= _duplicates.BLANK)]
        _, first = np.unique(near["hash"], return_index=True)
        contents, pixels = (_unique(facts[name]) for name in ("digest", "pixels"))
        return cls(len(dataset), contents, pixels, near["hash"][first], _mosaics(near["thumbnail"][first]))

    @property
    def sha256(self) -> str:
        """One hash of all contents, in hexadecimal: of `contents`, which are sorted, one after the other."""
        return hashlib.sha256(self.contents.tobytes()).hexdigest()

    def copies_in(self, others: "Dataset", *, verbose: Any = 0) -> NDArray[np.int64]:
        """Return the positions in `others` of images that are copies of these.

        Args:
            others: Where to look, such as a test set.
            verbose: As in `fit`.

        Examples:
            >>> import numpy as np
            >>> from imgcls import Dataset
            >>> images = np.random.default_rng(0).integers(0, 256, (5, 8, 8), dtype=np.uint8)
            >>> Traces.of(Dataset.from_arrays(images[:3])).copies_in(Dataset.from_arrays(images[2:])).tolist()
            [0]
        """
        facts = _scan.scan(others, verbose=verbose).facts
        exact = np.isin(_words(facts["digest"]), _words(self.contents))
        exact |= np.isin(_words(facts["pixels"]), _words(self.pixels))
        near = np.flatnonzero(facts["hashed"] & (facts["contrast"] >= _duplicates.BLANK))
        copied = np.zeros(len(others), np.bool_)
        if len(near) and len(self.hashes):
            hashes = np.concatenate([self.hashes, facts["hash"][near]])
            mosaics = np.concatenate([self.mosaics, _mosaics(facts["thumbnail"][near])])
            number = _duplicates.linked(hashes, mosaics, correlation=_CORRELATION)
            copied[near] = np.isin(number[len(self.hashes) :], number[: len(self.hashes)])
        return np.flatnonzero(facts["readable"] & (exact | copied))


def _is_small_array(source: Any) -> bool:
    return isinstance(source, np.ndarray) and min(source.shape[:2], default=0) < _scan.SMALLEST_SIDE


def _digests(dataset: "Dataset") -> NDArray[np.uint8]:
    """Return what a scan would note of small arrays: of 50,000 of 32 pixels in a second, and not in four."""
    found = set()
    for position in range(len(dataset)):
        try:
            image = dataset.read(position)
        except UnreadableImageError:
            continue
        found.add(_scan.digest(repr(image.shape).encode() + image.tobytes()))
    return np.frombuffer(b"".join(sorted(found)), np.uint8).reshape(-1, 16)


def _takes_long(dataset: "Dataset") -> bool:
    """Say whether many files, or large ones, would have to be decoded; what was decoded once is known."""
    sources = (dataset.source(position) for position in range(len(dataset)))
    files = [source for source in sources if isinstance(source, str | Path)]
    keys = [key(path) for path in files]
    with ScanCache() as cache:
        known = set(cache.get(one for one in keys if one is not None))
    unknown = [path for path, one in zip(files, keys, strict=True) if one is not None and one not in known]
    return len(unknown) > _MOST_FILES or _bytes_of(unknown) > _MOST_BYTES


def _bytes_of(paths: "Sequence[str | Path]") -> int:
    return sum(os.stat(path).st_size for path in paths if os.path.exists(path))  # noqa: PTH110, PTH116 - a path may be text


def _unique(column: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the different digests of a column `uint64 (N, 2)` as bytes `(n, 16)`, sorted."""
    words = np.unique(_words(column))
    return np.frombuffer(words.tobytes(), np.uint8).reshape(-1, 16)


def _words(digests: NDArray[Any]) -> NDArray[Any]:
    """Return digests of 16 bytes each as one word each, `(N,)`, that NumPy can sort and compare."""
    return np.ascontiguousarray(digests).view("S16").reshape(-1)


def _mosaics(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mean colours of cells: `(N, 16, 16, 3)` to `uint8 (N, 4, 4, 3)`."""
    side = thumbnails.shape[1] // _CELLS
    cells = thumbnails.reshape(-1, _CELLS, side, _CELLS, side, 3).sum(axis=(2, 4), dtype=np.uint32)
    mosaics: NDArray[np.uint8] = ((cells + side * side // 2) // (side * side)).astype(np.uint8)
    return mosaics
