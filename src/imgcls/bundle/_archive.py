"""The outer layer of a bundle: a zip archive in one form, sealed, written in one piece.

Members lie one after the other, stored as they are, each behind its local header; then come the central directory and
the last record, whose comment is the seal: the sha256 of every byte before it, in hexadecimal. Nothing else is
accepted. A reader need not interpret the directory: it says what the headers say, or the file is refused. So no two
programs can see two different things in one bundle.
"""

import hashlib
import os
import re
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from imgcls import _checks
from imgcls._flush import flush
from imgcls._replace import replacing
from imgcls.errors import BundleError, TamperedBundleError

MOST_BYTES = 2**32 - 1  # 4 GiB: beyond, a zip archive needs other records
VARIABLE = "IMGCLS_MAX_BUNDLE_BYTES"

_MOST_MEMBERS = 8  # more than there are kinds of
_SEAL_BYTES = 64  # a sha256 in hexadecimal
_FIRST = "manifest.json"
_NAME = re.compile(rb"[a-z]+\.[a-z]+")
_LOCAL, _CENTRAL, _LAST = struct.Struct("<4s5H3L2H"), struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s4H2LH")
_DAY = 1 << 5 | 1  # the first of January 1980: the same classifier gives the same bytes, whenever it is saved
_VERSION, _MADE_ON_UNIX, _READABLE = 20, 3 << 8, 0o100644 << 16
_STREAMED = 2**24  # bytes hashed and written at a time

Pieces = Sequence[bytes | memoryview]


class _Entry(NamedTuple):
    """What the records of a member say."""

    name: bytes
    size: int
    crc: int


def write(path: Path, members: Mapping[str, Pieces]) -> None:
    """Write members into one sealed file: to a temporary file beside `path`, flushed to disk, then renamed.

    Who may read it is as before, where a file is replaced, and else as the umask says.

    Raises:
        BundleError: It cannot be written, or would be too large.
    """
    entries = [_entry(name, pieces) for name, pieces in members.items()]
    size = sum(entry.size + 2 * len(entry.name) + _LOCAL.size + _CENTRAL.size for entry in entries)
    size += _LAST.size + _SEAL_BYTES
    if size > MOST_BYTES:
        message = f"a bundle holds at most {MOST_BYTES:,} bytes, and this one would have {size:,}."
        raise BundleError(message)
    headers, tail = _records(entries)
    try:
        with replacing(path) as whole, whole.open("wb") as file:
            seal = hashlib.sha256()
            for piece in _all_pieces(headers, members.values(), tail):
                seal.update(piece)
                file.write(piece)
            file.write(seal.hexdigest().encode())
            file.flush()
            os.fsync(file.fileno())
        flush(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> BundleError:
    """Word what the system refused of a bundle, or of the temporary file beside it."""
    reason = error.strerror or error
    return BundleError(f"{str(path)!r} cannot be written: {reason}. Free the place, or save somewhere else.")


def read(path: Path) -> memoryview:
    """Read the bytes of a sealed file.

    Raises:
        BundleError: It is of another kind, or too large.
        TamperedBundleError: Its bytes are not those that were sealed.
        ConfigurationError: The environment variable that says what is too large holds no number.
    """
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:
        message = f"{str(path)!r} cannot be read: {error.strerror or error}. Check the path and its permissions."
        raise BundleError(message) from error
    if is_folder:
        message = (
            f"{str(path)!r} is a folder. Accepted: a bundle written by ImageClassifier.save. The model comes first."
        )
        raise BundleError(message)
    if not is_file:
        message = f"bundle {str(path)!r} does not exist. Check the path and the working directory."
        raise BundleError(message)
    data = _bytes_of(path)
    if sha256([data[:-_SEAL_BYTES]]).encode() != data[-_SEAL_BYTES:]:
        message = f"{str(path)!r} is not as it was saved: it is truncated, damaged or altered. Get the file again."
        raise TamperedBundleError(message)
    return data


def members(data: memoryview) -> dict[str, memoryview]:
    """Return the members of a sealed file, by name, in their order.

    Raises:
        ValueError: A record is not one that `write` writes.
    """
    entries: list[_Entry] = []
    found: dict[str, memoryview] = {}
    place, end = 0, len(data) - _SEAL_BYTES
    while bytes(data[place : place + 4]) == b"PK\x03\x04" and place + _LOCAL.size <= end:
        *_, crc, size, _, name_size, _ = _LOCAL.unpack_from(data, place)
        start = place + _LOCAL.size + name_size
        entry = _Entry(bytes(data[place + _LOCAL.size : start]), size, crc)
        name = entry.name.decode("ascii", "replace")
        content = data[start : start + size]
        right = _NAME.fullmatch(entry.name) and data[place:start] == _local(entry) and zlib.crc32(content) == crc
        if not right or name in found or len(found) == _MOST_MEMBERS:
            message = f"the record of its member {len(entries) + 1}, {name[:60]!r}, is not one that imgcls writes"
            raise ValueError(message)
        entries.append(entry)
        found[name] = content
        place = start + size
    if data[place:end] != _records(entries)[1]:
        message = "its zip directory does not say what its members say"
        raise ValueError(message)
    return found


def sha256(pieces: Iterable[bytes | memoryview]) -> str:
    """Return the sha256 of some bytes, in hexadecimal."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


# --- reading -----------------------------------------------------------------------------------------------------


def limit() -> int:
    """Return the largest bundle in bytes that is read: what the environment says, or what the format can hold.

    Raises:
        ConfigurationError: The environment says no number.
    """
    return min(_checks.limit_of(VARIABLE, MOST_BYTES), MOST_BYTES)


def _bytes_of(path: Path) -> memoryview:
    """Return the whole file, read once; what is no bundle by its first bytes, or too large, is refused before."""
    most = limit()
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(64)
            _check_kind(start, path)
            if size > most:
                message = (
                    f"{str(path)!r} has {size:,} bytes, and at most {most:,} are read. "
                    f"If you trust it, let the environment variable {VARIABLE} allow more (up to {MOST_BYTES:,})."
                )
                raise BundleError(message)
            data = bytearray(size)
            data[: len(start)] = start
            rest, filled = memoryview(data), len(start)
            while filled < size and (count := file.readinto(rest[filled : filled + _STREAMED])):
                filled += count
    except (OSError, MemoryError) as error:
        message = f"{str(path)!r} cannot be read: {error or 'memory does not hold it'}."
        raise BundleError(message) from error
    return rest[:filled].toreadonly()


def _check_kind(start: bytes, path: Path) -> None:
    if start.startswith(b"PK\x03\x04") and _FIRST.encode() in start:
        return
    kinds = {b"PK\x03\x04": "a .keras file or another zip archive", b"\x89HDF": "an HDF5 file", b"\x80": "a pickle"}
    kind = next((kind for magic, kind in kinds.items() if start.startswith(magic)), "no bundle")
    message = (
        f"{str(path)!r} is {kind}. Accepted: a bundle written by ImageClassifier.save. "
        "imgcls opens no file that can run code."
    )
    raise BundleError(message)


# --- records -----------------------------------------------------------------------------------------------------


def _entry(name: str, pieces: Pieces) -> _Entry:
    crc = 0
    for piece in pieces:
        crc = zlib.crc32(piece, crc)
    return _Entry(name.encode("ascii"), sum(map(len, pieces)), crc)


def _records(entries: Sequence[_Entry]) -> tuple[list[bytes], bytes]:
    """Return the local headers, and what follows the last member up to the seal."""
    headers, directory, place = [], b"", 0
    for entry in entries:
        headers.append(_local(entry))
        directory += _central(entry, place)
        place += len(headers[-1]) + entry.size
    count = len(entries)
    last = _LAST.pack(b"PK\x05\x06", 0, 0, count, count, len(directory), place, _SEAL_BYTES)
    return headers, directory + last


def _local(entry: _Entry) -> bytes:
    name, size, crc = entry
    return _LOCAL.pack(b"PK\x03\x04", _VERSION, 0, 0, 0, _DAY, crc, size, size, len(name), 0) + name


def _central(entry: _Entry, place: int) -> bytes:
    name, size, crc = entry
    made, lengths = _MADE_ON_UNIX | _VERSION, (len(name), 0, 0, 0, 0)
    return (
        _CENTRAL.pack(b"PK\x01\x02", made, _VERSION, 0, 0, 0, _DAY, crc, size, size, *lengths, _READABLE, place) + name
    )


def header_bytes(name: str) -> int:
    """Return how many bytes lie before a member: what must be known to place one."""
    return _LOCAL.size + len(name)


def _all_pieces(headers: Sequence[bytes], members: Iterable[Pieces], tail: bytes) -> Iterable[bytes | memoryview]:
    for header, pieces in zip(headers, members, strict=True):
        yield header
        for piece in pieces:
            whole = memoryview(piece)
            yield from (whole[start : start + _STREAMED] for start in range(0, len(whole), _STREAMED))
    yield tail
