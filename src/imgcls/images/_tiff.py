"""What is peculiar to TIFF files that Pillow opens: which of them it would read wrongly, and what their numbers mean.

An image is Pillow's `TiffImageFile` here. Its tags are asked; nothing of Pillow is imported.
"""

import io
from typing import IO, Any

from imgcls.errors import UnreadableImageError
from imgcls.images import _accepted, _refusals

_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR = 258, 259, 262, 277, 284
_TILE_WIDTH, _TILE_LENGTH, _SAMPLE_FORMAT = 322, 323, 339
_OFFSETS = (273, 324)  # of strips and of tiles
_UNCOMPRESSED, _OLD_JPEG, _WHITE_IS_ZERO, _SEPARATE, _SIGNED = 1, 6, 0, 2, 2  # values of these


def needs_tifffile(image: Any) -> bool:
    """Say whether Pillow would drop bands, clip floating-point numbers, mix up bands or invent pixels left out."""
    tags, bands = image.tag_v2, image.getbands()
    if image.mode in {"F", "RGBX"} or tags.get(_SAMPLES, 1) != len(bands) or _begins_at_zero(tags):
        return True
    if tags.get(_PLANAR) != _SEPARATE or len(bands) == 1:
        return False
    if len(bands) == 2:
        return True
    if tags.get(_COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED:  # libtiff sorts them
        return False
    planes = {tile.args[0] for tile in image.tile if isinstance(tile.args, tuple)}  # "R", or "a" of colours times alpha
    return bool(tags[_BITS][0] != 8 or not planes.issubset(bands))


def check_tiles(image: Any, file: IO[bytes], max_pixels: int) -> None:
    """Refuse large tiles, each of which is allocated whole however small the image, and pixels behind the end."""
    tags = image.tag_v2
    _accepted.check_pixels(tags.get(_TILE_WIDTH, 1), tags.get(_TILE_LENGTH, 1), max_pixels)
    at = file.tell()
    length = file.seek(0, io.SEEK_END)
    file.seek(at)
    if any(offset >= length for key in _OFFSETS for offset in tags.get(key, ())):
        raise OSError("image file is truncated")


def depth(image: Any) -> tuple[int, bool]:
    """Return the largest number that wide grayscale can hold, and whether it stands for black.

    Raises:
        UnreadableImageError: The numbers are signed, of 8 or 16 bits. No one scale is right for them.
    """
    tags = image.tag_v2
    bits = tags.get(_BITS, (16,))[0]
    if bits in {8, 16} and _SIGNED in tags.get(_SAMPLE_FORMAT, ()):
        raise UnreadableImageError(_refusals.wrong_numbers(f"int{bits}"))
    if not image.mode.startswith("I;16"):
        return 65535, False
    return 2**bits - 1, tags.get(_PHOTOMETRIC, 0) == _WHITE_IS_ZERO


def _begins_at_zero(tags: Any) -> bool:
    """Say whether a strip or tile lies at byte 0: left out on purpose, as GDAL writes sparse files, or damaged."""
    if tags.get(_COMPRESSION) == _OLD_JPEG:  # says elsewhere where its pixels are
        return False
    return any(not offset for key in _OFFSETS for offset in tags.get(key, ()))
