"""TIFF files of several bands, wide integers or floating point, read by tifffile: `pip install "imgcls[tiff]"`.

Pillow drops bands, mixes them up, clips numbers, or gives up on these. The rules:

- the first page, upright; all its bands, channels last, however they are stored;
- uint8: as it is; uint16: divided by 257, so that 65535 becomes 255; other depths: the largest number becomes 255;
- floating point: 0.0-1.0 becomes 0-255, rounded; refused if a value lies outside 0-1 or is NaN;
- gray where white is zero: inverted;
- strips and tiles left out, as GDAL writes sparse files: the value that the file names for missing data, else 0; where
  all are left out: refused;
- everything else: refused, because no one scale is right;
- compressed by LZW, deflate, PackBits, LZMA or Zstandard: decoded by imagecodecs, which is told how long the result may
  be. Without it tifffile unfolds deflate and LZMA without a limit: 1.5 MB that claim 64 x 64 pixels took 3 GB. Other
  compressions are refused: their own headers say how much memory they take.

A refusal holds the cause alone; the decoder that called adds the name of the file and what is accepted.
"""

import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from imgcls.errors import UnreadableImageError
from imgcls.images import _refusals

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2  # PhotometricInterpretation
_ORIENTATION = 0x0112
_UPRIGHT: dict[Any, Callable[[NDArray[Any]], NDArray[Any]]] = {  # of `(H, W, C)`
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}
_COMPRESSIONS = {
    1: "none",
    5: "LZW",
    8: "deflate",
    32946: "deflate",
    32773: "PackBits",
    34925: "LZMA",
    50000: "Zstandard",
}


def read(file: IO[bytes], max_pixels: int) -> tuple[NDArray[np.uint8], str]:
    """Return the first page as `uint8 (H, W, C)`, any C, and what its last band is.

    That is "A" for the alpha of one gray band or three of colour, "a" if these are multiplied by it, and else "".

    Args:
        file: An open TIFF file.
        max_pixels: Refuse more, and more numbers than an RGB image of that many pixels has, before they are decoded.
    """
    try:
        import tifffile
    except ImportError:
        raise UnreadableImageError(
            "it is a TIFF that Pillow reads in part or not at all, and needs tifffile. "
            'Install it: pip install "imgcls[tiff]"'
        ) from None
    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # its log stays readable by who asks for it
    with tifffile.TiffFile(file) as tiff:
        page: Any = tiff.pages[0]
        _check(page, max_pixels)
        _check_places(page)
        _check_compression(page)
        pixels = page.asarray(maxworkers=1)  # threads are the caller's
        axes, bits, white_is_zero = page.axes, page.bitspersample, page.photometric == _WHITE_IS_ZERO
        upright = _UPRIGHT.get(page.tags.valueof(_ORIENTATION, 1))
        alpha = _alpha(page)
    if axes == "SYX":
        pixels = np.moveaxis(pixels, 0, -1)
    elif axes == "YX":
        pixels = pixels[..., None]
    pixels = _to_bytes(pixels, bits, white_is_zero=white_is_zero)
    return np.ascontiguousarray(pixels if upright is None else upright(pixels)), alpha


def _alpha(page: Any) -> str:
    colours = page.samplesperpixel - len(page.extrasamples)
    if len(page.extrasamples) != 1 or colours != (3 if page.photometric == _RGB else 1):
        return ""
    return {1: "a", 2: "A"}.get(int(page.extrasamples[0]), "")


def _check(page: Any, max_pixels: int) -> None:
    if page.axes not in {"YX", "YXS", "SYX"}:
        raise UnreadableImageError(f"its axes are {page.axes}. Read are height and width, with or without bands")
    negative = page.photometric == _WHITE_IS_ZERO and page.samplesperpixel == 1
    if page.photometric not in {_BLACK_IS_ZERO, _RGB} and not negative:
        found = getattr(page.photometric, "name", page.photometric)
        raise UnreadableImageError(f"its colours are {found}, in a form that is not read. Save it as RGB or gray")
    tile = page.tilewidth * page.tilelength * page.samplesperpixel
    numbers = page.imagewidth * page.imagelength * page.samplesperpixel
    if page.imagewidth * page.imagelength > max_pixels or max(numbers, tile) > 3 * max_pixels:
        raise UnreadableImageError(
            f"{page.imagewidth} x {page.imagelength} pixels of {page.samplesperpixel} bands are more than "
            f"{max_pixels:,} pixels; the environment variable IMGCLS_MAX_PIXELS allows more"
        )


def _check_places(page: Any) -> None:
    """Refuse pixels that are said to lie at byte 0, and a file of none: tifffile would fill it, or read its header."""
    places = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    if any(length and not offset for offset, length in places):
        raise UnreadableImageError("it is damaged (a strip or tile is said to lie at byte 0)")
    if places and not any(offset for offset, _ in places):
        raise UnreadableImageError("it holds no pixels: each of its strips or tiles is left out")


def _check_compression(page: Any) -> None:
    name = _COMPRESSIONS.get(int(page.compression))
    if name is None:
        found = getattr(page.compression, "name", int(page.compression))
        accepted = ", ".join(dict.fromkeys(_COMPRESSIONS.values()))
        raise UnreadableImageError(f"its compression is {found}. Read are {accepted}")
    packed = page.bitspersample % 8
    if (name != "none" or packed) and find_spec("imagecodecs") is None:
        found = f"its depth, {page.bitspersample} bits," if packed else f"its compression, {name},"
        raise UnreadableImageError(f'{found} needs imagecodecs. Install it: pip install "imgcls[tiff]"')


def _to_bytes(pixels: NDArray[Any], bits: int, *, white_is_zero: bool) -> NDArray[np.uint8]:
    if pixels.dtype.kind == "u" and bits <= 16:
        highest = 2**bits - 1
        if white_is_zero:
            pixels = highest - pixels
        if bits not in {8, 16}:
            return np.asarray(pixels.astype(np.uint32) * 255 // highest, np.uint8)
        return np.asarray(pixels if bits == 8 else pixels // 257, np.uint8)
    if pixels.dtype.kind != "f":
        raise UnreadableImageError(_refusals.wrong_numbers(pixels.dtype))
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= 1):  # NaN fails both
        raise UnreadableImageError(
            f"its pixels are floating-point numbers from {low:.4g} to {high:.4g}. Read are 0 to 1: scale them first"
        )
    return np.asarray(np.rint((1 - pixels if white_is_zero else pixels) * 255), np.uint8)
