"""TIFF files of several bands, wide integers or floating point, read by tifffile: `pip install "imgcls[tiff]"`.

Pillow drops bands, clips numbers, or gives up on these. The rules:

- the first page; all its bands, channels last, however they are stored;
- uint8: as it is; uint16: divided by 257, so that 65535 becomes 255;
- floating point: 0.0-1.0 becomes 0-255, rounded; refused if a value lies outside 0-1 or is NaN;
- everything else: refused, because no one scale is right;
- compressed by LZW, deflate, PackBits, LZMA or Zstandard: decoded by imagecodecs, which is told how long the result may
  be. Without it tifffile unfolds deflate and LZMA without a limit: 1.5 MB that claim 64 x 64 pixels took 3 GB. Other
  compressions are refused: their own headers say how much memory they take.

A refusal holds the cause alone; the decoder that called adds the name of the file and what is accepted.
"""

import logging
from importlib.util import find_spec
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from imgcls.errors import UnreadableImageError

_COMPRESSIONS = {
    1: "none",
    5: "LZW",
    8: "deflate",
    32946: "deflate",
    32773: "PackBits",
    34925: "LZMA",
    50000: "Zstandard",
}


def read(file: IO[bytes], max_pixels: int) -> NDArray[np.uint8]:
    """Return the first page as `uint8 (H, W, C)`, any C.

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
        _check_compression(page)
        pixels = page.asarray(maxworkers=1)  # threads are the caller's
        axes = page.axes
    if axes == "SYX":
        pixels = np.moveaxis(pixels, 0, -1)
    elif axes == "YX":
        pixels = pixels[..., None]
    return np.ascontiguousarray(_to_bytes(pixels))


def _check(page: Any, max_pixels: int) -> None:
    if page.axes not in {"YX", "YXS", "SYX"}:
        raise UnreadableImageError(f"its axes are {page.axes}. Read are height and width, with or without bands")
    if page.photometric is not None and page.photometric.name not in {"MINISBLACK", "RGB"}:
        raise UnreadableImageError(f"its bands are {page.photometric.name}, which only Pillow reads")
    tile = page.tilewidth * page.tilelength * page.samplesperpixel
    numbers = page.imagewidth * page.imagelength * page.samplesperpixel
    if page.imagewidth * page.imagelength > max_pixels or max(numbers, tile) > 3 * max_pixels:
        raise UnreadableImageError(
            f"{page.imagewidth} x {page.imagelength} pixels of {page.samplesperpixel} bands are more than "
            f"{max_pixels:,} pixels; the environment variable IMGCLS_MAX_PIXELS allows more"
        )


def _check_compression(page: Any) -> None:
    name = _COMPRESSIONS.get(int(page.compression))
    if name is None:
        found = getattr(page.compression, "name", int(page.compression))
        accepted = ", ".join(dict.fromkeys(_COMPRESSIONS.values()))
        raise UnreadableImageError(f"its compression is {found}. Read are {accepted}")
    if name != "none" and find_spec("imagecodecs") is None:
        raise UnreadableImageError(
            f'its compression, {name}, needs imagecodecs. Install it: pip install "imgcls[tiff]"'
        )


def _to_bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    if pixels.dtype == np.uint16:
        return np.asarray(pixels // 257, np.uint8)
    if pixels.dtype.kind != "f":
        raise UnreadableImageError(
            f"its pixels are {pixels.dtype}. Read are uint8, uint16, and floating point from 0 to 1"
        )
    low, high = pixels.min(), pixels.max()
    if not (low >= 0 and high <= 1):  # NaN fails both
        raise UnreadableImageError(
            f"its pixels are floating-point numbers from {low:.4g} to {high:.4g}. Read are 0 to 1: scale them first"
        )
    return np.asarray(np.rint(pixels * 255), np.uint8)
