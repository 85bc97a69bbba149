"""Why an image is refused, in words. What is wrong with a file is found in its own bytes, after a failure only."""

import io
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from imgcls.errors import UnreadableImageError
from imgcls.images._accepted import FORMATS

ARRAY = "uint8 array (H, W) or (H, W, C)"

_TRUNCATED = "it is truncated"
_LONGEST = 200  # letters of another library's words
_LONGEST_NAME = 4096  # bytes of a path, in Linux; elsewhere fewer


def cause(error: BaseException) -> str:
    """Return the words of an error on one line, without their full stop, and without the file that it names."""
    said = error.strerror if isinstance(error, OSError) and error.filename is not None else str(error)
    words = " ".join(str(said).split()).rstrip(".") or type(error).__name__
    return words if len(words) <= _LONGEST else words[:_LONGEST] + " ..."


def why(file: IO[bytes], error: Exception) -> str:
    """Find the words for a failure: the bytes often say more than the library that gave up on them."""
    if isinstance(error, UnreadableImageError):  # our own refusal
        return cause(error)
    if isinstance(error, MemoryError):  # no fault of the file
        return "there is not enough memory to decode it"
    file.seek(0)
    head = file.read(16)
    if head[:3] == b"\xff\xd8\xff" and (kind := _unread_jpeg(file)):
        return f"it is {kind}, which imgcls does not decode"
    if "decompression bomb" in str(error):  # a frame or a tile larger than the image that holds it
        return cause(error)
    return f"{_TRUNCATED if _is_cut_short(file, head, error) else 'it is damaged'} ({cause(error)})"


def refusal(name: str, cause: str) -> str:
    """Word the refusal of a file: its name, the cause, what is accepted, what to do."""
    name = name if len(name) <= _LONGEST_NAME else f"{name[:60]}..."  # an image written as text, and no name
    shown = name if name.startswith("image ") else repr(name)  # an id is quoted already
    return f"{shown} cannot be read as an image: {cause}. Accepted: {', '.join(FORMATS)}. Repair or remove it."


def is_truncated(error: BaseException) -> bool:
    """Say whether `read` refused a file because its end is missing: copied or downloaded in part."""
    return isinstance(error, UnreadableImageError) and f"cannot be read as an image: {_TRUNCATED}" in str(error)


def accepted_channels(found: int) -> str:
    """Say which numbers of channels an array of `found` channels can be read with."""
    convertible = "1, 3, " if found in {1, 3} else "1, 3, 4, " if found == 4 else f"{found}, "
    return f"Accepted: channels={convertible}or None. Only gray, RGB and RGBA are converted into each other."


def other_channels(found: int, asked: int | None, mode: str) -> str:
    """Word the refusal of a file that cannot be read with as many channels as were asked for."""
    if found == asked:
        return f"its {found} channels are {mode}, which is read as 1 or 3 channels alone"
    return f"it has {found} channels where {asked} were asked for"


def wrong_dtype(array: NDArray[Any], name: str) -> str:
    """Word the refusal of an array that is not uint8, with the line that converts it."""
    found = f"{name} has dtype {array.dtype}"
    if array.dtype.kind in "fiub" and array.size:
        low, high = array.min(), array.max()
        found += f" and values from {low:.4g} to {high:.4g}"
        if array.dtype.kind == "f" and not np.isfinite([low, high]).all():
            return f"{found}. Accepted: dtype uint8, values 0 to 255. Replace NaN and infinite values first."
        if low >= 0 and high <= 1:
            return f"{found}. Accepted: dtype uint8, values 0 to 255. Convert: (images * 255).round().astype('uint8')."
        if low >= -1 and high <= 1:
            fix = "((images + 1) * 127.5).round().astype('uint8')"
            return f"{found}. Accepted: dtype uint8, values 0 to 255. Convert: {fix}."
        if low >= 0 and high <= 255:
            return f"{found}. Accepted: dtype uint8, values 0 to 255. Convert: images.round().astype('uint8')."
    return f"{found}. Accepted: dtype uint8, values 0 to 255."


def wrong_numbers(kind: Any) -> str:
    """Word the refusal of a file whose numbers have no one right scale."""
    return f"its pixels are {kind}. Read are uint8, uint16, and floating point from 0 to 1"


def _is_cut_short(file: IO[bytes], head: bytes, error: Exception) -> bool:
    """Say whether the end of a file is missing, by its own account or by that of the library."""
    length = file.seek(0, io.SEEK_END)
    file.seek(max(0, length - 64))
    tail = file.read()
    return (
        any(word in str(error).lower() for word in ("truncated", "less than expected", "failed to read"))
        or (head[:2] == b"\xff\xd8" and b"\xff\xd9" not in tail)
        or (head[:8] == b"\x89PNG\r\n\x1a\n" and b"IEND" not in tail)
        or (head[:4] == b"GIF8" and not tail.rstrip(b"\0").endswith(b";"))
        or (head[:4] == b"RIFF" and int.from_bytes(head[4:8], "little") + 8 > length)
        or (head[:2] == b"BM" and int.from_bytes(head[2:6], "little") > length)
    )


def _unread_jpeg(file: IO[bytes]) -> str:
    """Name the kind of JPEG that Pillow does not decode, by its frame header (ITU-T T.81, B.2.2)."""
    file.seek(2)
    while len(header := file.read(4)) == 4 and header[0] == 0xFF:
        marker, length = header[1], int.from_bytes(header[2:], "big")
        if marker == 0xF7:
            return "a JPEG-LS file"
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            if marker & 3 == 3:
                return "a lossless JPEG"
            if file.read(1) == b"\x0c":
                return "a 12-bit JPEG"
            return "an arithmetic-coded JPEG" if marker > 0xC8 else ""
        file.seek(length - 2, io.SEEK_CUR)
    return ""
