"""The one decoder and the one resize. Pillow is touched here and nowhere else.

The contract: an image is `uint8 (H, W, C)`, 0-255, channels last, upright, C = 1 (grayscale) or 3 (RGB). The same
bytes give the same array in fit, evaluate, predict and export, bit for bit.

Rules, so that no two images of one dataset are read differently:

- orientation: the EXIF tag is applied;
- transparency: composited on white;
- palette, CMYK, YCbCr, LAB, HSV: converted to RGB by Pillow;
- 1-bit: 0 and 255; 16-bit grayscale: divided by 257, so that 65535 becomes 255;
- animations and multi-page files: the first frame;
- grayscale from colour: ITU-R 601-2 luma, L = 0.299 R + 0.587 G + 0.114 B.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import (
    Image,
    ImageOps,
    TiffImagePlugin,  # noqa: F401 - registers its format
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401 - registers its format
)

from imgcls.errors import UnreadableImageError

_ARRAY = "uint8 array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".pbm", ".pgm", ".ppm", ".pnm"}
)
MAX_PIXELS = 89_478_485  # Pillow's own warning level: one such RGB image takes 256 MiB

_GRAY_MODES = frozenset({"1", "L", "I;16", "I;16B", "I;16L", "I;16N", "I"})
_PILLOW_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,  # raised where warnings are errors
)

UInt8 = NDArray[np.uint8]


def read(
    item: Any, *, size: tuple[int, int] | None = None, channels: int | None = None, name: str | None = None
) -> UInt8:
    """Read one image by the rules above.

    Args:
        item: A path, the bytes of an image file, a PIL image, or a `uint8` array (H, W[, C]).
        size: (height, width) to resize to; None for its own.
        channels: 1 for grayscale, 3 for RGB, None for what the image itself is.
        name: What to call the image in an error; a path names itself.

    Returns:
        `uint8 (H, W, C)`, 0-255.

    Raises:
        UnreadableImageError: It is not an image that we read; the message says what is accepted.
    """
    image = _decode(item, channels, name)
    return image if size is None else resize(image, size)


def _decode(item: Any, channels: int | None, name: str | None) -> UInt8:
    if isinstance(item, np.ndarray):
        return _from_array(item, channels, name or "the array")
    if isinstance(item, Image.Image):
        return _upright(item, channels, name or "the PIL image")
    if isinstance(item, bytes | bytearray | memoryview):
        return _from_file(io.BytesIO(item), channels, name or "the bytes")
    if isinstance(item, str | Path):
        return _from_file(item, channels, str(item))
    message = (
        f"{name or 'the image'} is a {type(item).__name__}. Accepted: a path, the bytes of an image file, "
        f"a PIL image, or a {_ARRAY}."
    )
    raise UnreadableImageError(message)


def resize(image: UInt8, size: tuple[int, int]) -> UInt8:
    """Resize to (height, width): bilinear and antialiased, the whole picture kept, its aspect ratio not.

    Args:
        image: `uint8 (H, W, C)`, C = 1 or 3.
        size: (height, width) in pixels.

    Returns:
        `uint8 (height, width, C)`.
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    flat = image[..., 0] if image.shape[2] == 1 else image
    resized = np.asarray(Image.fromarray(flat).resize((width, height), Image.Resampling.BILINEAR))
    return resized.reshape(height, width, image.shape[2])


def write_png(image: UInt8, path: str | Path) -> None:
    """Write a `uint8 (H, W, C)` image as a PNG file."""
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(path, format="PNG")


def is_pil(item: Any) -> bool:
    """Say whether `item` is a PIL image."""
    return isinstance(item, Image.Image)


def _from_array(array: NDArray[Any], channels: int | None, name: str) -> UInt8:
    if array.ndim not in {2, 3} or (array.ndim == 3 and array.shape[2] not in {1, 3, 4}) or 0 in array.shape:
        message = f"{name} has shape {array.shape}. Accepted: {_ARRAY}."
        raise UnreadableImageError(message)
    if array.dtype != np.uint8:
        raise UnreadableImageError(wrong_dtype(array, name))
    if array.ndim == 3 and array.shape[2] == channels:
        return array
    pixels = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if channels is None and pixels.ndim == 2:
        return pixels[..., None]
    return _upright(Image.fromarray(pixels), channels, name)


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


def _from_file(file: Any, channels: int | None, name: str) -> UInt8:
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                cause = f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}"
                raise UnreadableImageError(_refusal(name, cause))
            return _upright(image, channels, name)
    except FileNotFoundError:
        message = f"{name!r} does not exist. Check the path, and the working directory if the path is relative."
        raise UnreadableImageError(message) from None
    except _PILLOW_ERRORS as error:
        if isinstance(error, UnreadableImageError):
            raise
        cause = "it is empty" if _is_empty(file) else _cause(error)
        raise UnreadableImageError(_refusal(name, cause)) from error


def _cause(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):  # Pillow's words repeat the path, or an address in memory
        return "its bytes are of no known image format"
    return str(error).rstrip(".")


def _is_empty(file: Any) -> bool:
    if isinstance(file, io.BytesIO):
        return not file.getbuffer().nbytes
    path = Path(file)
    return path.is_file() and not path.stat().st_size


def _refusal(name: str, cause: str) -> str:
    shown = name if name.startswith("image ") else repr(name)  # an id is quoted already
    return f"{shown} cannot be read as an image: {cause}. Accepted: {', '.join(FORMATS)}. Repair or remove it."


def _upright(image: Image.Image, channels: int | None, name: str) -> UInt8:
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode == "F":  # Pillow would clip it to 0-255, which makes 0.0-1.0 black
            cause = "its pixels are floating-point numbers of unknown range"
            raise UnreadableImageError(_refusal(name, cause))
        if image.mode.startswith("I"):  # 16-bit grayscale; Pillow's own convert() would clip it
            wide = np.asarray(image).astype(np.int64)
            image = Image.fromarray((wide.clip(0, 65535) // 257).astype(np.uint8))
        if "A" in image.getbands() or "transparency" in image.info:
            rgba = image.convert("RGBA")
            white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
            gray = image.mode in {"LA", "La", "L", "1"}
            image = Image.alpha_composite(white, rgba).convert("L" if gray else "RGB")
        if channels is None:
            channels = 1 if image.mode in _GRAY_MODES else 3
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except _PILLOW_ERRORS as error:
        if isinstance(error, UnreadableImageError):
            raise
        raise UnreadableImageError(_refusal(name, _cause(error))) from error
    return pixels.reshape(*pixels.shape[:2], channels)
