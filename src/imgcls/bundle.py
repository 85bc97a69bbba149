"""The sealed model file: data only, checked before it is read, written in one piece.

A bundle is a plain zip archive, stored without compression, with three members in this order:

    manifest.json          {"format": 1, "sha256": {"classifier.json": ..., "weights.safetensors": ...}}
    classifier.json        strict JSON: classes, image size, preprocessing, architecture, history, choices
    weights.safetensors    arrays named "0000", "0001", ... in the order of the model's weights; others by their names

The archive's comment holds the sha256 of every byte before it, so that one altered or missing byte anywhere is found
before anything is parsed. Nothing in the file names code, and nothing in it is executed: a hash protects from damage,
not from a stranger, and the contents are read as untrusted data all the same.
"""

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from imgcls.errors import BundleError, TamperedBundleError

FORMAT = 1
_MEMBERS = ("manifest.json", "classifier.json", "weights.safetensors")
_NAMED = re.compile("[a-z_]+/[a-z_]+")
_SEAL_BYTES = 64  # a sha256 in hexadecimal
# What a damaged archive, text or array raises; RuntimeError is zipfile's for encryption, and json's for deep nesting.
_FAULTS = (zipfile.BadZipFile, ValueError, KeyError, RuntimeError, EOFError, OSError, safetensors.SafetensorError)
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same classifier gives the same bytes, whenever it is saved


def save(
    path: str | Path,
    description: dict[str, Any],
    arrays: Sequence[NDArray[Any]],
    named: Mapping[str, NDArray[Any]] | None = None,
) -> Path:
    """Write a bundle: to a temporary file beside `path`, flushed to disk, then renamed.

    Args:
        path: The file to write; an existing one is replaced, and stays whole if writing fails.
        description: What JSON can hold; no NaN and no infinity.
        arrays: The model's weights, in order.
        named: Further arrays, by names such as "held_out/labels".

    Returns:
        The path.

    Raises:
        BundleError: The folder does not exist, the description is not strict JSON, or a name is not accepted.

    Examples:
        >>> import numpy as np
        >>> from imgcls import bundle
        >>> _ = bundle.save("tiny.imgcls", {"classes": ["cat", "dog"]}, [np.zeros(3, np.float32)])
        >>> description, arrays, named = bundle.load("tiny.imgcls")
        >>> description, arrays[0].tolist()
        ({'classes': ['cat', 'dog']}, [0.0, 0.0, 0.0])
    """
    path = Path(path)
    if not path.parent.is_dir():
        message = f"folder {str(path.parent)!r} does not exist. Make it, or save somewhere else."
        raise BundleError(message)
    try:
        text = json.dumps(description, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        message = f"the description cannot be written as strict JSON: {error}."
        raise BundleError(message) from error
    strange = [name for name in named or {} if not _NAMED.fullmatch(name)]
    if strange:
        message = f"an array is named {strange[0]!r}. Accepted: two words of small letters, such as 'held_out/labels'."
        raise BundleError(message)
    every = {f"{index:04d}": array for index, array in enumerate(arrays)} | dict(named or {})
    whole = {name: np.asarray(array, order="C") for name, array in every.items()}
    sealed = _seal({"classifier.json": text, "weights.safetensors": safetensors.numpy.save(whole)})
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        message = f"{str(path)!r} cannot be written: {error}. Free the place, or save somewhere else."
        raise BundleError(message) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def load(path: str | Path) -> tuple[dict[str, Any], list[NDArray[Any]], dict[str, NDArray[Any]]]:
    """Read a bundle.

    Returns:
        The description, the weights and the named arrays, as they were saved.

    Raises:
        BundleError: It is not a bundle, or of another version.
        TamperedBundleError: It is truncated, damaged or altered.
    """
    path = Path(path)
    if path.is_dir():
        message = (
            f"{str(path)!r} is a folder. Accepted: a bundle written by ImageClassifier.save. The model comes first."
        )
        raise BundleError(message)
    if not path.is_file():
        message = f"bundle {str(path)!r} does not exist. Check the path and the working directory."
        raise BundleError(message)
    data = path.read_bytes()
    _check_seal(data, path)
    try:
        members = _members(data)
        manifest = _strict_json(members["manifest.json"])
        if manifest.get("format") != FORMAT:
            message = (
                f"{str(path)!r} has bundle format {manifest.get('format')!r} and this imgcls reads format {FORMAT}. "
                "Install the imgcls that wrote it, or a newer one."
            )
            raise BundleError(message)
        if manifest.get("sha256") != {name: _sha256(members[name]) for name in _MEMBERS[1:]}:
            message = f"the parts of {str(path)!r} are not those that its manifest lists. Get the file again."
            raise TamperedBundleError(message)
        description = _strict_json(members["classifier.json"])
        arrays = safetensors.numpy.load(members["weights.safetensors"])
        named = {name: array for name, array in arrays.items() if _NAMED.fullmatch(name)}
        weights = [arrays[f"{index:04d}"] for index in range(len(arrays) - len(named))]
    except _FAULTS as error:
        message = f"{str(path)!r} is sealed but not a bundle: {error}. Get the file from where it was saved."
        raise BundleError(message) from error
    return description, weights, named


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut; Windows cannot open folders and needs no such step."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _seal(parts: dict[str, bytes]) -> bytes:
    manifest = {"format": FORMAT, "sha256": {name: _sha256(data) for name, data in parts.items()}}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {"manifest.json": json.dumps(manifest).encode(), **parts}.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)
        archive.comment = b"0" * _SEAL_BYTES  # reserves the place, and is counted in the archive's last record
    body = buffer.getvalue()[:-_SEAL_BYTES]
    return body + _sha256(body).encode()


def _check_seal(data: bytes, path: Path) -> None:
    if data.startswith(b"PK\x03\x04") and b"manifest.json" in data[:64]:
        if _sha256(data[:-_SEAL_BYTES]).encode() != data[-_SEAL_BYTES:]:
            message = f"{str(path)!r} is not as it was saved: it is truncated, damaged or altered. Get the file again."
            raise TamperedBundleError(message)
        return
    kinds = {b"PK\x03\x04": "a .keras file or another zip archive", b"\x89HDF": "an HDF5 file", b"\x80": "a pickle"}
    kind = next((kind for start, kind in kinds.items() if data.startswith(start)), "no bundle")
    message = (
        f"{str(path)!r} is {kind}. Accepted: a bundle written by ImageClassifier.save. "
        "imgcls opens no file that can run code."
    )
    raise BundleError(message)


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        plain = all(info.compress_type == zipfile.ZIP_STORED and info.file_size <= len(data) for info in infos)
        if tuple(info.filename for info in infos) != _MEMBERS or not plain:
            message = f"its members are not {', '.join(_MEMBERS)}, stored without compression"
            raise ValueError(message)
        return {info.filename: archive.read(info) for info in infos}


def _strict_json(text: bytes) -> dict[str, Any]:
    def no_constants(name: str) -> None:
        message = f"JSON holds {name}"
        raise ValueError(message)

    def no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            message = "JSON names a key twice"
            raise ValueError(message)
        return dict(pairs)

    value = json.loads(text.decode(), parse_constant=no_constants, object_pairs_hook=no_repeats)
    if not isinstance(value, dict):
        message = "JSON holds no object"
        raise ValueError(message)  # noqa: TRY004 - every fault of a file is one kind of error here
    return value


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
