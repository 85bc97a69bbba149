"""The one decoder and the one resize. Pillow is touched here and nowhere else.

The contract: an image is `uint8 (H, W, C)`, 0-255, channels last, upright, C = 1 (grayscale) or 3 (RGB); arrays and
TIFF files of several bands keep their C. The same bytes and the same size give the same array in fit, evaluate,
predict and export, bit for bit, however many threads read.

Rules, so that no two images of one dataset are read differently:

- orientation: the EXIF tag is applied; EXIF that cannot be parsed has none;
- transparency: composited on white;
- palette, CMYK, YCCK, YCbCr, LAB, HSV: converted to RGB by Pillow;
- 1-bit: 0 and 255; 16-bit grayscale: divided by 257, so that 65535 becomes 255; 16-bit colour: the high byte, which
  decides of a transparent colour too;
- 12-bit grayscale: 4095 becomes 255; TIFF where white is zero: inverted;
- 32-bit integers: as 16-bit grayscale, refused outside 0-65535; int8, int16: refused; floating point: see `_geotiff`;
- animations, multi-page and multi-picture files: the first frame;
- grayscale from colour: ITU-R 601-2 luma, L = 0.299 R + 0.587 G + 0.114 B;
- truncated files: refused, never half an image.

A large JPEG is decoded smaller when a size is asked for: by the largest of 8, 4, 2 that leaves both sides at least
1.5 times the target, in the cosine transform itself, and the antialiased resize does the rest. At 4000 x 3000 to
224 x 224 that is 5 times (grainy, 2.4 MB) to 9 times (smooth, 0.7 MB) as fast as the full decode, and moves the mean
pixel by 0.3 of 255. Twice the target would move it by 0.13, and take a seventh longer.

JPEG 2000 is left out although Pillow opens it: a file of 568 bytes with 36 million pixels took 677 MiB, and with
code blocks of 4 x 4 exhausted the machine, so that no number of pixels bounds its memory.

Where Python's warnings are errors, a file that Pillow warns about is refused: to silence warnings is not thread-safe.
"""

import io
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,  # noqa: F401 - registers its format
    BmpImagePlugin,  # noqa: F401 - the same
    GifImagePlugin,  # noqa: F401 - the same
    Image,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,  # noqa: F401 - JPEGs of several pictures, as phones write them
    PngImagePlugin,
    PpmImagePlugin,  # noqa: F401 - registers its format
    TiffImagePlugin,
    WebPImagePlugin,  # noqa: F401 - registers its format
)

from imgcls._checks import not_size, refuse
from imgcls.errors import ConfigurationError, UnreadableImageError
from imgcls.images import _accepted, _dicom, _geotiff, _refusals, _tiff

THREADS = min(16, max(4, os.cpu_count() or 1))  # that read images: Pillow releases the interpreter lock meanwhile
DECODER_VERSION = f"4-pillow{PIL.__version__}"  # raise the 4 where the same bytes come to give other pixels

_GRAY_MODES = frozenset({"1", "L", "I;16", "I;16B", "I;16L", "I;16N", "I"})
_PREMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}  # colours that are multiplied by alpha, and what Pillow makes of them
_FEW_BITS = {"L;2": 2, "L;4": 4}  # bits of what Pillow spreads over 0-255
_ORIENTATION = 0x0112
_MADE_WITH = {"make": 271, "model": 272, "software": 305}  # EXIF tags
_EXIF_WITHIN = 4096  # bytes; the standard puts it first, JFIF and a thumbnail may come before it
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SPARE = 1.5  # a JPEG is decoded to no less than this many times the target

UInt8 = NDArray[np.uint8]


def read(
    item: Any, *, size: tuple[int, int] | None = None, channels: int | None = None, name: str | None = None
) -> UInt8:
    """Read one image by the rules above.

    A file is refused beyond 256 MiB or 89,478,485 pixels, before its pixels are decoded. The environment variables
    IMGCLS_MAX_BYTES and IMGCLS_MAX_PIXELS set other limits.

    Args:
        item: A path, the bytes of an image file, a PIL image, or a `uint8` array (H, W[, C]).
        size: (height, width) to resize to; None for its own.
        channels: 1 for grayscale, 3 for RGB, None for what the image itself is. An array or a TIFF file with another
            number of bands is accepted with that number or None.
        name: What to call the image in an error; a path names itself.

    Returns:
        `uint8 (H, W, C)`, 0-255.

    Raises:
        UnreadableImageError: It is not an image that we read; the message says what is accepted.
        ConfigurationError: `size` is no (height, width), a limit in the environment is no number, or Pillow was told
            to read truncated files.

    Examples:
        >>> import numpy as np
        >>> from imgcls.datasets import read, write_png
        >>> write_png(np.full((30, 40, 3), [255, 0, 0], np.uint8), "red.png")
        >>> read("red.png").shape
        (30, 40, 3)
        >>> read("red.png", size=(2, 3), channels=1)[..., 0].tolist()  # 0.299 of 255
        [[76, 76, 76], [76, 76, 76]]
    """
    if size is not None:
        refuse([not_size("size", size)])
    if isinstance(item, np.ndarray):
        return _sized(_from_array(item, channels, name or "the array"), size)
    if isinstance(item, Image.Image):
        if isinstance(item, ImageFile.ImageFile):  # of a file, and not of pixels in memory
            _refuse_half_images()
        called = name or "the PIL image"
        try:
            return _upright(item, size, channels)
        except Exception as error:  # a picture loads its file here, and hostile bytes may raise anything
            raise UnreadableImageError(_refusals.refusal(called, _refusals.cause(error))) from error
    if isinstance(item, bytes | bytearray | memoryview):
        return _from_file(item, size, channels, name or "the bytes")[0]
    if isinstance(item, str | Path):
        return _from_file(item, size, channels, str(item))[0]
    message = (
        f"{name or 'the image'} is a {type(item).__name__}. Accepted: a path, the bytes of an image file, "
        f"a PIL image, or a {_refusals.ARRAY}."
    )
    raise UnreadableImageError(message)


def glance(data: bytes, side: int, name: str) -> tuple[UInt8, tuple[int, int]]:
    """Read an image file by the same rules and with the same verdict, but a large JPEG only as large as needed.

    Args:
        data: The bytes of the file.
        side: How many pixels are enough along each side.
        name: What to call the image in an error.

    Returns:
        `uint8 (H, W, C)`, and the (height, width) of the whole image.
    """
    return _from_file(data, None, None, name, enough=(side, side))


def made_with(item: Any) -> dict[str, str]:
    """Return what the EXIF of a JPEG or TIFF file says of its "make", "model" and "software"; decode no pixel.

    Args:
        item: A path or the bytes of a file. Anything else, and what cannot be read, says nothing.
    """
    if not isinstance(item, str | Path | bytes | bytearray | memoryview):
        return {}
    try:
        _accepted.check_length(item, _accepted.budget()[0])
        with Path(item).open("rb") if isinstance(item, str | Path) else io.BytesIO(item) as file:
            head = file.read(_EXIF_WITHIN)
            if head[:3] == b"\xff\xd8\xff" and b"Exif\0\0" not in head:
                return {}  # most JPEGs of the web, in a tenth of the time
            image = _open(file, head)
            if not isinstance(image, JpegImagePlugin.JpegImageFile | TiffImagePlugin.TiffImageFile):
                return {}  # a PNG would be decoded whole to look for EXIF behind its pixels
            exif = image.getexif()
            told = {name: exif.get(tag) for name, tag in _MADE_WITH.items()}
    except Exception:  # noqa: BLE001 - EXIF is parsed by Pillow from any bytes
        return {}
    return {name: value.strip("\0 ") for name, value in told.items() if isinstance(value, str) and value.strip("\0 ")}


def resize(image: UInt8, size: tuple[int, int]) -> UInt8:
    """Resize to (height, width): bilinear and antialiased, the whole picture kept, its aspect ratio not.

    Args:
        image: `uint8 (H, W, C)`, any C. Bands are independent: a fourth one is not taken for transparency.
        size: (height, width) in pixels.

    Returns:
        `uint8 (height, width, C)`.

    Raises:
        ConfigurationError: `size` is no (height, width).

    Examples:
        >>> import numpy as np
        >>> from imgcls.datasets import resize
        >>> stripes = np.tile(np.array([0, 255], np.uint8), (8, 4))[..., None]  # every other column is white
        >>> int(resize(stripes, (1, 1))[0, 0, 0])  # gray: no column is left out
        128
    """
    refuse([not_size("size", size)])
    return _resized(image, size)


def write_png(image: UInt8, path: Any) -> None:
    """Write a `uint8 (H, W, C)` image, C = 1 or 3, as a PNG file, into a path or an open file.

    Raises:
        ConfigurationError: It has another shape.

    Examples:
        >>> import io
        >>> import numpy as np
        >>> from imgcls.datasets import read, write_png
        >>> image, file = np.arange(12, dtype=np.uint8).reshape(2, 2, 3), io.BytesIO()
        >>> write_png(image, file)
        >>> bool((read(file.getvalue()) == image).all())  # nothing is lost
        True
    """
    if image.ndim != 3 or image.shape[2] not in {1, 3}:
        message = f"an image of shape {image.shape} cannot be written as PNG. Accepted: (H, W, 1) or (H, W, 3)."
        raise ConfigurationError(message)
    _as_pil(image).save(path, format="PNG")


def write_jpeg(image: UInt8, file: Any, quality: int) -> None:
    """Write a `uint8 (H, W, C)` image, C = 1 or 3, as JPEG of a quality (1 to 95)."""
    _as_pil(image).save(file, format="JPEG", quality=quality)


def through_jpeg(image: UInt8, quality: int) -> UInt8:
    """Compress a `uint8 (H, W, C)` image, C = 1 or 3, as JPEG of a quality (1 to 95), and decode it again."""
    file = io.BytesIO()
    write_jpeg(image, file, quality)
    file.seek(0)
    with JpegImagePlugin.JpegImageFile(file) as picture:
        return np.asarray(picture).reshape(image.shape)


def is_pil(item: Any) -> bool:
    """Say whether `item` is a PIL image."""
    return isinstance(item, Image.Image)


# --- arrays ------------------------------------------------------------------------------------------------------


def _from_array(array: NDArray[Any], channels: int | None, name: str) -> UInt8:
    if array.ndim not in {2, 3} or 0 in array.shape:
        message = f"{name} has shape {array.shape}. Accepted: {_refusals.ARRAY}."
        raise UnreadableImageError(message)
    if array.dtype != np.uint8:
        raise UnreadableImageError(_refusals.wrong_dtype(array, name))
    pixels = array[..., None] if array.ndim == 2 else array
    if pixels.shape[2] == channels or (channels is None and pixels.shape[2] != 4):
        return pixels
    if pixels.shape[2] not in {1, 3, 4} or channels not in {None, 1, 3}:
        accepted = _refusals.accepted_channels(pixels.shape[2])
        message = f"{name} has shape {array.shape}, and channels={channels}. {accepted}"
        raise UnreadableImageError(message)
    return _upright(_as_pil(pixels), None, channels)


def _as_pil(image: UInt8) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def _sized(image: UInt8, size: tuple[int, int] | None) -> UInt8:
    return image if size is None else _resized(image, size)


def _resized(image: UInt8, size: tuple[int, int]) -> UInt8:
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    channels = image.shape[2]
    if channels not in {1, 3}:
        return np.dstack([_resized(image[..., band, None], size) for band in range(channels)])
    resized = _as_pil(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(height, width, channels)


# --- files -------------------------------------------------------------------------------------------------------


def _from_file(
    source: str | Path | bytes | bytearray | memoryview,
    size: tuple[int, int] | None,
    channels: int | None,
    name: str,
    *,
    enough: tuple[int, int] | None = None,
) -> tuple[UInt8, tuple[int, int]]:
    """Return an image and the (height, width) of the whole; with `enough` a JPEG is decoded smaller, not resized."""
    max_bytes, max_pixels = _accepted.budget()
    _refuse_half_images()
    try:
        _accepted.check_length(source, max_bytes)
        with Path(source).open("rb") if isinstance(source, str | Path) else io.BytesIO(source) as file:
            is_dicom = name.rstrip("'\"").lower().endswith((".dcm", ".dicom"))  # bytes may have the name of a file
            try:
                return _decode(file, size, channels, max_pixels, is_dicom=is_dicom, enough=enough or size)
            except Exception as error:
                raise UnreadableImageError(_refusals.why(file, error)) from error
    except FileNotFoundError:
        message = f"{name!r} does not exist. Check the path, and the working directory if the path is relative."
        raise UnreadableImageError(message) from None
    except Exception as error:  # hostile bytes may raise anything
        raise UnreadableImageError(_refusals.refusal(name, _refusals.cause(error))) from error


def _refuse_half_images() -> None:
    """Refuse any file where Pillow was told to fill in what truncated ones lack: no image says that it was."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        message = (
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is True, which turns truncated files into half-gray images. "
            "Set it to False; imgcls names truncated files, so that you can repair or remove them."
        )
        raise ConfigurationError(message)


def _decode(
    file: IO[bytes],
    size: tuple[int, int] | None,
    channels: int | None,
    max_pixels: int,
    *,
    is_dicom: bool,
    enough: tuple[int, int] | None,
) -> tuple[UInt8, tuple[int, int]]:
    head = file.read(132)
    if is_dicom or head[128:] == b"DICM":
        file.seek(0)
        return _whole(_fit_bands(_dicom.read(file, max_pixels), channels, ""), size)
    is_tiff = head[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}
    try:
        image = _open(file, head)
    except (SyntaxError, TypeError):  # Pillow's for a TIFF of pixels that it does not know
        if not is_tiff:
            raise
        image = None
    if image is None or (isinstance(image, TiffImagePlugin.TiffImageFile) and _tiff.needs_tifffile(image)):
        file.seek(0)
        pixels, alpha = _geotiff.read(file, max_pixels)
        return _whole(_fit_bands(pixels, channels, alpha), size)
    with image:
        _accepted.check_pixels(image.width, image.height, max_pixels)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            _tiff.check_tiles(image, file, max_pixels)
        width, height = image.size
        if enough is not None and isinstance(image, JpegImagePlugin.JpegImageFile):
            _draft(image, enough)
        pixels = _upright(image, size, channels)
        swapped = _orientation(image) >= 5  # now: a loaded TIFF is upright, and says so
        return pixels, (width, height) if swapped else (height, width)


def _whole(image: UInt8, size: tuple[int, int] | None) -> tuple[UInt8, tuple[int, int]]:
    height, width, _ = image.shape
    return _sized(image, size), (height, width)


class _Tiff(TiffImagePlugin.TiffImageFile):
    """A TIFF file whose pixels were counted by us: Pillow has a second limit, and that is one of the whole process."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size, None).im
        super().load_prepare()


def _open(file: IO[bytes], head: bytes) -> ImageFile.ImageFile:
    """Open by the first bytes. `Image.open` would warn of large images, and refuse what the environment allows."""
    for kind in _accepted.FORMATS:
        factory, accept = Image.OPEN[kind]
        if accept is not None and accept(head[:16]) is True:
            file.seek(0)
            if kind == "TIFF":
                factory = _Tiff
            return factory(file, "")  # without a file name nothing is mapped into memory, which may shrink under us
    raise UnreadableImageError("its bytes are of no known image format")


def _draft(image: JpegImagePlugin.JpegImageFile, size: tuple[int, int]) -> None:
    height, width = size if _orientation(image) < 5 else size[::-1]  # 5 to 8 swap the sides
    least = (int(np.ceil(width * _SPARE)), int(np.ceil(height * _SPARE)))
    if min(image.width // least[0], image.height // least[1]) > 1:
        image.draft(None, least)


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - EXIF is parsed by Pillow from any bytes; the pixels are whole without it
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _upright(image: Image.Image, size: tuple[int, int] | None, channels: int | None) -> UInt8:
    transparent = _transparent(image)
    image.load()
    highest, white_is_zero = _depth(image)
    method = _UPRIGHT.get(_orientation(image))
    if method is not None:
        image = image.transpose(method)
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    if (channels, image.mode) in {(4, "RGBA"), (2, "LA")}:
        return _sized(np.asarray(image), size)
    if channels not in {None, 1, 3}:
        found = len(image.getbands())
        raise UnreadableImageError(_refusals.other_channels(found, channels, image.mode))
    if channels is None:
        channels = 1 if image.mode in _GRAY_MODES or image.mode == "LA" else 3
    if image.mode.startswith(("I", "F")):
        image = _narrow(image, highest, white_is_zero=white_is_zero)
    if "A" in image.getbands() or "transparency" in image.info:
        image = _on_white(image, transparent)
    mode = "L" if channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(image.height, image.width, channels)


def _transparent(image: Image.Image) -> Any:
    """Return the transparent colour of a PNG file as its pixels have it once loaded, where Pillow does not; else None.

    Pillow spreads levels of 2 and 4 bits over 0-255 and keeps the high byte of 16-bit colour, but leaves this colour as
    it stands in the file, whose bits it forgets when it loads the pixels.
    """
    if "transparency" not in image.info or not isinstance(image, PngImagePlugin.PngImageFile) or not image.tile:
        return None
    colour, stored = image.info["transparency"], image.tile[0].args
    if stored == "RGB;16B":
        return tuple(level >> 8 for level in colour)
    if stored in _FEW_BITS:
        highest = 2 ** _FEW_BITS[stored] - 1
        return (colour & highest) * 255 // highest
    return None


def _on_white(image: Image.Image, transparent: Any) -> Image.Image:
    """Composite on white; `transparent` is the colour that is so, where it is another one than Pillow says."""
    if transparent is not None:
        image = image.copy()  # it may be the caller's
        image.info["transparency"] = transparent
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("L" if image.mode in {"LA", "L", "1"} else "RGB")


def _depth(image: Image.Image) -> tuple[int, bool]:
    """Return the largest number that wide grayscale can hold, and whether it stands for black; refuse signed ones."""
    return _tiff.depth(image) if isinstance(image, TiffImagePlugin.TiffImageFile) else (65535, False)


def _narrow(image: Image.Image, highest: int, *, white_is_zero: bool) -> Image.Image:
    """Bring grayscale of 9 to 16 bits to 8; Pillow's own convert() would clip it."""
    if image.mode == "F":  # the same would make 0.0-1.0 black
        raise UnreadableImageError("its pixels are floating-point numbers of unknown range")
    wide = np.asarray(image)
    low, high = int(wide.min()), int(wide.max())
    if low < 0 or high > 65535:
        raise UnreadableImageError(f"its pixels are 32-bit integers from {low} to {high}, and 0 to 65535 are read")
    if isinstance(level := image.info.get("transparency"), int):
        wide = np.where(wide == level, 65535, wide)
    if white_is_zero:
        wide = highest - wide
    narrow = wide // 257 if highest == 65535 else wide.astype(np.uint32) * 255 // highest
    return Image.fromarray(narrow.astype(np.uint8))


def _fit_bands(pixels: UInt8, channels: int | None, alpha: str) -> UInt8:
    if alpha:
        image = _as_pil(pixels)
        if alpha == "a":
            mode = "La" if image.mode == "LA" else "RGBa"
            image = Image.frombytes(mode, image.size, image.tobytes())
        return _upright(image, None, channels)
    found = pixels.shape[2]
    if channels in {None, found}:
        return pixels
    if found not in {1, 3} or channels not in {1, 3}:
        raise UnreadableImageError(
            f"it has {found} bands where {channels} were asked for; only gray and RGB are converted"
        )
    return _upright(_as_pil(pixels), None, channels)
