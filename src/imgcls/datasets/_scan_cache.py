"""Facts about image files, kept from one scan to the next in one SQLite file under the cache folder.

A row belongs to (path, size, times of change, inode, version): a file that changes gets a new row, and none is ever
read that another version of imgcls or of a decoder wrote. `cp -p`, `rsync -t` and `tar` give a file an old time of
modification; its st_ctime is set by the system alone. SQLite sees to two processes at once and to one that is killed.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self, final

from imgcls import images
from imgcls.datasets import _cache

_VERSION = 4  # raise it when a fact is computed in another way
_LARGEST = 2 * 2**30  # bytes, about two million images; beyond this the cache starts anew
_AT_ONCE = 500  # SQLite refuses more than 999 question marks in older versions
_MOST_IN_MEMORY = 100_000  # rows, 100 MB: as many as `Traces` ask for
_TABLE = "CREATE TABLE IF NOT EXISTS facts (key BLOB PRIMARY KEY, record BLOB) WITHOUT ROWID"

_in_memory: dict[bytes, bytes] = {}  # what could not be written; all threads and caches of the process share it


@final
class ScanCache:
    """A mapping from a key to a record on disk. Where the disk does not play along, it lasts as long as the process."""

    def __init__(self) -> None:
        folder = _cache.folder()
        self._path = None if folder is None else folder / "scan.sqlite"
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._connection = _connect(self._path)
            except (sqlite3.OperationalError, OSError):  # locked for long, read-only or full
                self._connection = None
            except sqlite3.DatabaseError:
                self._start_anew()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return the rows that are known."""
        wanted = list(keys)
        known = {one: _in_memory[one] for one in wanted if one in _in_memory}
        for start in range(0, len(wanted), _AT_ONCE):
            if self._connection is None:
                break
            some = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            try:
                known |= dict(self._connection.execute(f"SELECT key, record FROM facts WHERE key IN ({marks})", some))
            except sqlite3.OperationalError:
                self._close()
            except sqlite3.DatabaseError:
                self._start_anew()
        return known

    def put(self, rows: Mapping[bytes, bytes]) -> None:
        """Keep rows: all of them, or none where the process is killed meanwhile."""
        if not rows:
            return
        try:
            if self._connection is not None:
                with self._connection:
                    self._connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", rows.items())
        except sqlite3.OperationalError:
            self._close()
        except sqlite3.DatabaseError:
            self._start_anew()
        if self._connection is None:
            room = _MOST_IN_MEMORY - len(_in_memory)
            _in_memory.update(islice(rows.items(), max(0, room)))

    def _start_anew(self) -> None:
        """Throw the file away: it is damaged, or not ours."""
        self._close()
        if self._path is not None:
            with suppress(OSError, sqlite3.Error):
                self._path.unlink(missing_ok=True)
                self._connection = _connect(self._path)

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None


def key(path: str | Path) -> bytes | None:
    """Return what stands for a file as it is now; None where it is not there.

    Examples:
        >>> from pathlib import Path
        >>> _ = Path("a.png").write_bytes(b"1")
        >>> before = key("a.png")
        >>> _ = Path("a.png").write_bytes(b"12")
        >>> before == key("a.png"), key("b.png")
        (False, None)
    """
    try:
        state = os.stat(path)  # noqa: PTH116 - a path may be text
    except (OSError, ValueError):
        return None
    changed = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    decoders = (images.DECODER_VERSION, *_cache.optional_decoders())
    words = (os.path.abspath(path), *changed, _VERSION, *decoders)  # noqa: PTH100 - the same
    return hashlib.blake2b(repr(words).encode(errors="surrogatepass"), digest_size=16).digest()


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and path.stat().st_size > _LARGEST:
        path.unlink()
    connection = sqlite3.connect(path, timeout=10)
    try:
        with closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA synchronous = NORMAL")  # power loss may cost rows, which are computed again
            cursor.execute(_TABLE)
            cursor.execute("SELECT key, record FROM facts LIMIT 1")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
