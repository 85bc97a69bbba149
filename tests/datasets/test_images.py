"""The decoder and the resize, against NumPy's arithmetic and Pillow's raw pixels."""

import io
import re
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgcls.datasets import read, resize, write_png
from imgcls.errors import UnreadableImageError

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (7, 5, 3), dtype=np.uint8)
GRAY = RANDOM.integers(0, 256, (7, 5), dtype=np.uint8)
ALPHA = RANDOM.integers(0, 256, (7, 5), dtype=np.uint8)
ON_WHITE = ALPHA / 255 * GRAY + 255 - ALPHA
ENDING = "Accepted: JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM. Repair or remove it."


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def png(width, height):
    """Return a PNG that claims a size and holds next to nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


UPRIGHT = {  # the EXIF standard's eight orientations, in NumPy
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_applied(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(RGB, kind, exif=exif)
    with Image.open(io.BytesIO(data)) as stored:
        raw = np.asarray(stored.convert("RGB"))
    np.testing.assert_array_equal(read(data), UPRIGHT[orientation](raw))


def palette(**options):
    image = Image.fromarray(GRAY % 4, "P")
    image.putpalette([9, 8, 7, 10, 20, 30, 255, 0, 0, 0, 0, 255])
    return encoded(image, **options)


COLOURS = np.array([[9, 8, 7], [10, 20, 30], [255, 0, 0], [0, 0, 255]])
CMYK = RANDOM.integers(0, 256, (7, 5, 4), dtype=np.uint8)
WIDE = RANDOM.integers(0, 65536, (7, 5)).astype(np.uint16)
CASES = {  # name: (file, what the rules at the head of the decoder give, how far rounding may go)
    "rgb": (encoded(RGB), RGB, 0),
    "bmp": (encoded(RGB, "BMP"), RGB, 0),
    "tiff": (encoded(RGB, "TIFF"), RGB, 0),
    "ppm": (encoded(RGB, "PPM"), RGB, 0),
    "webp": (encoded(RGB, "WEBP", lossless=True), RGB, 0),
    "grayscale": (encoded(GRAY), GRAY[..., None], 0),
    "1-bit": (encoded(Image.fromarray(GRAY > 99)), np.where(GRAY > 99, 255, 0)[..., None], 0),
    "16-bit png": (encoded(WIDE), (WIDE // 257)[..., None], 0),
    "16-bit tiff": (encoded(WIDE, "TIFF"), (WIDE // 257)[..., None], 0),
    "palette": (palette(), COLOURS[GRAY % 4], 0),
    "palette, one colour transparent": (
        palette(transparency=2),
        np.where((GRAY % 4 == 2)[..., None], 255, COLOURS[GRAY % 4]),
        0,
    ),
    "grayscale, one level transparent": (
        encoded(GRAY, transparency=int(GRAY[0, 0])),
        np.where(GRAY[0, 0] == GRAY, 255, GRAY)[..., None],
        0,
    ),
    "cmyk": (
        encoded(Image.fromarray(CMYK, "CMYK"), "TIFF"),
        (255.0 - CMYK[..., :3]) * (255 - CMYK[..., 3:].astype(int)) / 255,
        1,
    ),
    "rgba": (encoded(np.dstack([GRAY, GRAY, GRAY, ALPHA])), np.dstack([ON_WHITE] * 3), 1),
    "la": (encoded(np.dstack([GRAY, ALPHA])), ON_WHITE[..., None], 1),
    "animation": (
        encoded(Image.fromarray(GRAY), "GIF", save_all=True, append_images=[Image.fromarray(255 - GRAY)]),
        np.dstack([GRAY] * 3),
        0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_mode_is_read_by_the_rules(name):
    data, expected, rounding = CASES[name]
    image = read(data)
    if name == "animation" and image.shape[2] == 1:  # Pillow stores a gray palette as gray
        expected = expected[..., :1]
    assert image.dtype == np.uint8
    assert image.shape == expected.shape
    assert np.abs(image.astype(float) - expected).max() <= rounding


def test_grayscale_from_colour_is_luma_and_colour_from_grayscale_repeats():
    luma = RGB @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read(RGB, channels=1)[..., 0] - luma).max() <= 1
    np.testing.assert_array_equal(read(GRAY, channels=3), np.dstack([GRAY] * 3))


def test_path_bytes_pil_and_array_give_the_same_image(tmp_path):
    path = tmp_path / "a.png"
    write_png(RGB, path)
    for item in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), Image.fromarray(RGB), RGB):
        np.testing.assert_array_equal(read(item), RGB)
    write_png(GRAY[..., None], path)
    np.testing.assert_array_equal(read(path), GRAY[..., None])


@pytest.mark.parametrize("image", [RGB, GRAY[..., None]], ids=["colour", "gray"])
def test_resize_is_pillow_bilinear_and_antialiased(image):
    flat = image if image.shape[2] == 3 else image[..., 0]
    expected = np.asarray(Image.fromarray(flat).resize((3, 4), Image.Resampling.BILINEAR)).reshape(4, 3, -1)
    np.testing.assert_array_equal(resize(image, (4, 3)), expected)
    assert resize(image, image.shape[:2]) is image
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))[..., None]
    assert abs(resize(stripes, (8, 8)).astype(int) - 127.5).max() < 8  # without antialiasing, all 0 or all 255


TRUNCATED = {kind: encoded(RANDOM.integers(0, 256, (40, 40, 3), dtype=np.uint8), kind) for kind in ("JPEG", "PNG")}


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"hello", "its bytes are of no known image format"),
        (b"", "it is empty"),
        (TRUNCATED["JPEG"][:-900], "image file is truncated (50 bytes not processed)"),
        (TRUNCATED["PNG"][:-900], "image file is truncated"),
        (png(10_000, 10_000), "10000 x 10000 pixels are more than 89,478,485"),
        (
            png(100_000, 100_000),
            "Image size (10000000000 pixels) exceeds limit of 178956970 pixels, could be decompression bomb DOS attack",
        ),
        (encoded(GRAY.astype(np.float32), "TIFF"), "its pixels are floating-point numbers of unknown range"),
    ],
    ids=["text", "empty", "truncated JPEG", "truncated PNG", "huge", "bomb", "floats"],
)
def test_a_broken_file_is_refused_in_words(data, cause, tmp_path):
    file = tmp_path / "photo.jpg"
    file.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # Pillow's warning, before our refusal
        for item, name in ((data, "the bytes"), (file, str(file)), (str(file), str(file))):
            with pytest.raises(UnreadableImageError) as caught:
                read(item)
            words = re.sub(r"\(\d+ bytes", "(50 bytes", str(caught.value))  # how many depends on Pillow's libjpeg
            assert words == f"{name!r} cannot be read as an image: {cause}. {ENDING}"


def test_a_huge_image_is_refused_where_warnings_are_errors():
    with pytest.raises(UnreadableImageError, match="could be decompression bomb"):
        read(png(10_000, 10_000))


def test_a_missing_file_is_refused_in_words():
    with pytest.raises(UnreadableImageError) as caught:
        read(Path("no.png"))
    assert str(caught.value) == (
        "'no.png' does not exist. Check the path, and the working directory if the path is relative."
    )


SHAPES = "Accepted: uint8 array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)."
UINT8 = "Accepted: dtype uint8, values 0 to 255."


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (
            3,
            f"the image is a int. {SHAPES.replace('uint8', 'a path, the bytes of an image file, a PIL image, or a uint8')}",
        ),
        (np.zeros((2, 2, 2), np.uint8), f"the array has shape (2, 2, 2). {SHAPES}"),
        (np.zeros((0, 2), np.uint8), f"the array has shape (0, 2). {SHAPES}"),
        (
            np.array([[0, 0.5]]),
            (
                f"the array has dtype float64 and values from 0 to 0.5. {UINT8} "
                "Convert: (images * 255).round().astype('uint8')."
            ),
        ),
        (
            np.array([[-1, 0.5]]),
            (
                f"the array has dtype float64 and values from -1 to 0.5. {UINT8} "
                "Convert: ((images + 1) * 127.5).round().astype('uint8')."
            ),
        ),
        (
            np.array([[0, 254.6]], np.float32),
            f"the array has dtype float32 and values from 0 to 254.6. {UINT8} Convert: images.round().astype('uint8').",
        ),
        (
            np.array([[np.nan, 1]]),
            f"the array has dtype float64 and values from nan to nan. {UINT8} Replace NaN and infinite values first.",
        ),
        (np.array([[0, 300]]), f"the array has dtype int64 and values from 0 to 300. {UINT8}"),
        (np.array([[1j]]), f"the array has dtype complex128. {UINT8}"),
    ],
)
def test_a_wrong_item_is_refused_in_words(item, words):
    with pytest.raises(UnreadableImageError) as caught:
        read(item)
    assert str(caught.value) == words


def test_the_conversions_that_errors_suggest_work():
    for images in (np.array([[0, 0.5, 1]]), np.array([[-1, 0.5, 1]]), np.array([[0, 0.6, 255]])):
        with pytest.raises(UnreadableImageError) as caught:
            read(images)
        line = str(caught.value).split("Convert: ")[1].rstrip(".")
        assert read(eval(line, {"images": images}))[0, -1, 0] == 255  # noqa: S307 - our own words


def test_387_odd_files_are_read_or_refused_and_nothing_else(shared_data):
    """Pillow, libjpeg-turbo and sharp keep these files because something once crashed on them."""
    outcomes = {"read": 0, "refused": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, about tags and EXIF
        for path in sorted((shared_data / "weird").rglob("*.*")):
            try:
                image = read(path)
            except UnreadableImageError as error:
                outcomes["refused"] += 1
                assert str(error).startswith(repr(str(path)))  # noqa: PT017 - both outcomes are right
            else:
                outcomes["read"] += 1
                assert image.dtype == np.uint8
                assert image.shape[2] in {1, 3}
    assert min(outcomes.values()) > 30
