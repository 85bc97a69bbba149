"""What is accepted: formats, file names, and how many bytes and pixels."""

import os
import stat
from pathlib import Path

from imgcls._checks import limit_of
from imgcls.errors import UnreadableImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".avif", ".bmp", ".dib", ".gif"),
        *(".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm", ".dcm", ".dicom"),
    }
)
MAX_BYTES = 256 * 2**20
MAX_PIXELS = 89_478_485  # Pillow's own warning level: one such RGB image takes 256 MiB


def budget() -> tuple[int, int]:
    """Return the largest file in bytes and the largest image in pixels that are read."""
    return limit_of("IMGCLS_MAX_BYTES", MAX_BYTES), limit_of("IMGCLS_MAX_PIXELS", MAX_PIXELS)


def check_length(source: str | Path | bytes | bytearray | memoryview, max_bytes: int) -> None:
    """Refuse what is no file, is empty or too long, before it is opened."""
    if isinstance(source, str | Path):
        found = os.stat(source)  # noqa: PTH116 - Path would be built for this alone, once for every image
        if stat.S_ISDIR(found.st_mode):
            raise UnreadableImageError("it is a folder")
        if not stat.S_ISREG(found.st_mode):  # to open a pipe would wait for its writer
            raise UnreadableImageError("it is not a regular file")
        length = found.st_size
    else:
        length = memoryview(source).nbytes
    if not length:
        raise UnreadableImageError("it is empty")
    if length > max_bytes:
        raise UnreadableImageError(
            f"{length:,} bytes are more than {max_bytes:,}; the environment variable IMGCLS_MAX_BYTES allows more"
        )


def check_pixels(width: int, height: int, max_pixels: int) -> None:
    """Refuse an image that is too large, before its pixels are decoded."""
    if width * height > max_pixels:
        raise UnreadableImageError(
            f"{width} x {height} pixels are more than {max_pixels:,}; "
            "the environment variable IMGCLS_MAX_PIXELS allows more"
        )
