"""The decode-once store: resized images in one file, found again by the content of the files they come from.

The file is an SQLite database, one for each decoder version, height, width and number of channels; `Store.named` opens
another for anything that is bytes of one length, such as the features of a backbone. A transaction is whole or absent,
so that a killed process leaves nothing half-written and several processes may fill one store at once. SQLite reads by
`pread`. A memory-mapped file would kill the process with SIGBUS when another one truncates it, and its pages would
count as memory of ours.

Every image has a checksum over its key and its pixels. What does not match is decoded anew, never trusted.
"""

import hashlib
import os
import sqlite3
import stat
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from imgcls import images
from imgcls.datasets import _cache
from imgcls.datasets._dataset import Dataset

LIMIT_BYTES = 20 * 2**30  # of one store; beyond it, the oldest images make room
KEY_BYTES = 16
_LARGE_FILE = 2**28  # bytes
_PATIENCE = 60.0  # seconds to wait for another process that writes; a chunk takes it a fraction of one
_PAGE_BYTES = 16384  # an image of 224x224x3 fills ten; with 4096, as quick; with 65536, a third would be wasted
_TIFF = frozenset({b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"})  # the first bytes
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

NDUInt8 = NDArray[np.uint8]


def key(content: bytes | memoryview) -> bytes:
    """Return the name of a content: equal for equal bytes, wherever they lie."""
    return hashlib.blake2b(content, digest_size=KEY_BYTES).digest()


@final
class Store:
    """Images of one size on disk. Threads and processes may read and add at once.

    Args:
        path: The file; it is made where it does not exist, and anew where it is damaged.
        most: The most images to keep. The oldest make room for new ones.

    Raises:
        OSError: The folder cannot be made.
        sqlite3.Error: The file cannot be opened.
    """

    def __init__(self, path: Path, *, most: int) -> None:
        self.path = path
        self.trouble: str | None = None  # why nothing more is added
        self._most = most
        self._idle: list[sqlite3.Connection] = []
        self._damaged = False
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._create()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._start_anew()

    @classmethod
    def open(cls, image_size: tuple[int, int], channels: int, *, count: int) -> Self | None:
        """Open the store of one size in the folder of the cache.

        Returns:
            None where the cache is off or cannot be written to, and where `count` images would fill more than
            `LIMIT_BYTES` or half of the free disk.
        """
        height, width = image_size
        name = f"images-{images.DECODER_VERSION}-{height}x{width}x{channels}"
        return cls.named(name, height * width * channels, count=count)

    @classmethod
    def named(cls, name: str, item_bytes: int, *, count: int) -> Self | None:
        """Open the store of that name, for items of so many bytes; None as for `open`."""
        folder = _cache.folder()
        if folder is None:
            return None
        path = folder / f"{name}.sqlite"
        try:
            taken = path.stat().st_size if path.exists() else 0
            most = min(LIMIT_BYTES, (_cache.free_disk(folder) + taken) // 2) // item_bytes
            return None if count > most else cls(path, most=most)
        except (OSError, sqlite3.Error):
            return None

    def read(self, name: bytes, image: NDUInt8) -> bool:
        """Copy the pixels kept under a key into `image`; return False where there are none, or damaged ones."""
        try:
            with self._connected() as connection:
                row = connection.execute("SELECT checksum, pixels FROM images WHERE key = ?", (name,)).fetchone()
        except sqlite3.Error as error:
            self._damaged |= _is_damage(error)
            return False
        if row is None or not isinstance(row[1], bytes):
            return False
        checksum, pixels = row
        if len(pixels) != image.nbytes or checksum != _checksum(name, pixels):
            return False
        image[...] = np.frombuffer(pixels, np.uint8).reshape(image.shape)
        return True

    def add(self, images: Iterable[tuple[bytes, NDUInt8]]) -> None:
        """Keep images under their keys: all of them, or where `trouble` says why, none."""
        rows = [(name, _checksum(name, image.data), image.data) for name, image in images]
        if not rows or self.trouble:
            return
        try:
            if self._damaged:
                self._start_anew()
            with self._connected() as connection:
                _insert(connection, rows, self._most)
        except (OSError, sqlite3.Error) as error:
            self._damaged |= _is_damage(error)
            if not self._damaged:  # else the next chunk starts the file anew
                self.trouble = str(error)

    def close(self) -> None:
        """Close the file. Reading opens it again."""
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:
        self.close()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection to one thread at a time; as many are open as threads work at once."""
        idle = self._idle
        try:
            connection = idle.pop()
        except IndexError:
            connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA synchronous = OFF")  # a third quicker; checksums see what a power cut leaves
        try:
            yield connection
        finally:
            if idle is self._idle:
                idle.append(connection)
            else:  # the file was started anew meanwhile
                connection.close()

    def _create(self) -> None:
        with self._connected() as connection:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS images (key BLOB PRIMARY KEY, checksum INTEGER, pixels BLOB)"
            )
            connection.execute("SELECT key, checksum, pixels FROM images LIMIT 1").fetchone()

    def _start_anew(self) -> None:
        self.close()
        self._idle, self._damaged = [], False
        for path in (self.path, self.path.with_name(f"{self.path.name}-journal")):
            path.unlink(missing_ok=True)
        self._create()


@final
class Reader:
    """Reads the images of a dataset at one size: from a store where they are in it, else from their source."""

    def __init__(self, dataset: Dataset, image_size: tuple[int, int], channels: int, store: Store | None) -> None:
        self._dataset, self._image_size, self._channels, self._store = dataset, image_size, channels, store
        self._keys = np.zeros((len(dataset), KEY_BYTES), np.uint8)  # zeros for what is not known yet
        self._new = np.zeros(len(dataset), bool)  # decoded here, and not yet added

    def read(self, position: int, image: NDUInt8) -> None:
        """Copy the pixels of the image at `position` into `image`.

        Raises:
            UnreadableImageError: It cannot be read.
        """
        known = self._keys[position]
        if self._store is None:
            image[...] = self._dataset.read(position, size=self._image_size, channels=self._channels)
            return
        if known.any() and self._store.read(known.tobytes(), image):
            return
        source = self._dataset.source(position)
        content = _content(source)
        if isinstance(content, bytes):
            name = _name(content, source)
            self._keys[position] = np.frombuffer(name, np.uint8)
            if self._store.read(name, image):
                return
        image[...] = images.read(content, size=self._image_size, channels=self._channels, name=str(source))
        self._new[position] = isinstance(content, bytes)

    def add(self, positions: NDArray[np.int64], images: NDUInt8) -> None:
        """Put those images into the store that had to be decoded."""
        if self._store is not None:
            new = np.flatnonzero(self._new[positions])
            self._store.add((self._keys[positions[index]].tobytes(), images[index]) for index in new)


def _content(path: str | Path) -> bytes | str | Path:
    """Return the bytes of a file; or the path itself, to be decoded or refused from where it is.

    A pipe would wait for its writer, and large files should not be held at once.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - Path would be built for this alone, once for every image
        plain = stat.S_ISREG(found.st_mode) and found.st_size <= _LARGE_FILE
        return Path(path).read_bytes() if plain else path
    except OSError:
        return path


def _name(content: bytes, path: str | Path) -> bytes:
    """Return the name of a file's pixels: its key, and for TIFF and DICOM that of what is there to read them with.

    DICOM is known by the name of its file too: the same bytes under another name may be another image, or none.
    """
    is_dicom = content[128:132] == b"DICM" or str(path).lower().endswith((".dcm", ".dicom"))
    if not is_dicom and content[:4] not in _TIFF:
        return key(content)
    return key(key(content) + repr(_cache.optional_decoders()).encode() + b"DICOM" * is_dicom)


def _insert(connection: sqlite3.Connection, rows: list[tuple[bytes, int, memoryview]], most: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.executemany("INSERT OR REPLACE INTO images (key, checksum, pixels) VALUES (?, ?, ?)", rows)
        newest = connection.execute("SELECT max(rowid) FROM images").fetchone()[0]
        connection.execute("DELETE FROM images WHERE rowid <= ?", (newest - most,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has ended it already
            connection.execute("ROLLBACK")
        raise


def _checksum(name: bytes, pixels: bytes | memoryview) -> int:
    return zlib.crc32(pixels, zlib.crc32(name))


def _is_damage(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", None) in _DAMAGED
