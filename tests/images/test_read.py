"""The decoder and the resize, against NumPy's arithmetic and Pillow's raw pixels."""

import base64
import io
import os
import re
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from orientations import UPRIGHT
from PIL import Image, ImageFile

from imgcls.errors import ConfigurationError, UnreadableImageError
from imgcls.images import _decoder, data_uri, is_truncated, read, resize, write_png

RANDOM = np.random.default_rng(0)
RGB = RANDOM.integers(0, 256, (7, 5, 3), dtype=np.uint8)
GRAY = RANDOM.integers(0, 256, (7, 5), dtype=np.uint8)
ALPHA = RANDOM.integers(0, 256, (7, 5), dtype=np.uint8)
ON_WHITE = ALPHA / 255 * GRAY + 255 - ALPHA
ENDING = "Accepted: JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM, AVIF. Repair or remove it."


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits=8, kind=0, rows=b"\0", transparent=None):
    """Return a PNG written by hand: gray (0) or colour (2), or one that claims a size and holds next to nothing."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    colour = b"" if transparent is None else chunk(b"tRNS", transparent)
    return b"\x89PNG\r\n\x1a\n" + header + colour + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


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


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_level_of_a_gray_png_is_white_at_any_depth(bits):
    highest = 2**bits - 1
    levels = np.unique(np.linspace(0, highest, 8).astype(int))
    written = "".join(f"{level:0{bits}b}" for level in levels)
    written += "0" * (-len(written) % 8)
    row = b"\0" + int(written, 2).to_bytes(len(written) // 8, "big")
    for level in levels.tolist():
        expected = np.where(levels == level, 255, levels * 255 // highest)
        for stored in (level, level + 5 * 2**bits) if bits in {2, 4} else (level,):  # bits beyond do not count
            data = png(len(levels), 1, bits, 0, row, struct.pack(">H", stored))
            for item in (data, Image.open(io.BytesIO(data))):
                np.testing.assert_array_equal(read(item)[0, :, 0], expected)


@pytest.mark.parametrize(("bits", "form"), [(8, ">BBB"), (16, ">HHH")])
def test_the_transparent_colour_of_a_png_is_white_at_any_depth(bits, form):
    bytes_of = [(1, 3, 5), (2, 4, 6), (255, 0, 18), (5, 3, 1)]
    low = [(2, 4, 6), (0, 0, 0), (255, 0, 52), (1, 3, 5)]  # the first are the high bytes of the next
    colours = bytes_of if bits == 8 else (256 * np.array(bytes_of) + low).tolist()
    row = b"\0" + b"".join(struct.pack(form, *colour) for colour in colours)
    for position, colour in enumerate(colours):
        data = png(len(colours), 1, bits, 2, row, struct.pack(">HHH", *colour))
        expected = np.array(bytes_of)
        expected[position] = 255
        picture = Image.open(io.BytesIO(data))
        for item in (data, picture):
            np.testing.assert_array_equal(read(item)[0], expected)
        assert picture.info["transparency"] == tuple(colour)  # a picture of the caller's stays as it is


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


MORE_PIXELS = "pixels are more than 89,478,485; the environment variable IMGCLS_MAX_PIXELS allows more"
FLOATS = f"its pixels are floating-point numbers from {GRAY.min()} to {GRAY.max()}. Read are 0 to 1: scale them first"
TRUNCATED = {kind: encoded(RANDOM.integers(0, 256, (40, 40, 3), dtype=np.uint8), kind) for kind in ("JPEG", "PNG")}


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"hello", "its bytes are of no known image format"),
        (b"", "it is empty"),
        (TRUNCATED["JPEG"][:-900], "it is truncated (image file is truncated (50 bytes not processed))"),
        (TRUNCATED["PNG"][:-900], "it is truncated (image file is truncated)"),
        (png(10_000, 10_000), f"10000 x 10000 {MORE_PIXELS}"),
        (png(100_000, 100_000), f"100000 x 100000 {MORE_PIXELS}"),
        (encoded(GRAY.astype(np.float32), "TIFF"), FLOATS),
    ],
    ids=["text", "empty", "truncated JPEG", "truncated PNG", "huge", "bomb", "floats"],
)
def test_a_broken_file_is_refused_in_words(data, cause, tmp_path):
    file = tmp_path / "photo.jpg"
    file.write_bytes(data)
    for item, name in ((data, "the bytes"), (file, str(file)), (str(file), str(file))):
        with pytest.raises(UnreadableImageError) as caught:
            read(item)
        words = re.sub(r"\(\d+ bytes", "(50 bytes", str(caught.value))  # how many depends on Pillow's libjpeg
        assert words == f"{name!r} cannot be read as an image: {cause}. {ENDING}"
        assert is_truncated(caught.value) == ("truncated" in cause)


def test_only_a_refusal_says_truncated():
    assert not is_truncated(OSError("image file is truncated"))


# --- the budget --------------------------------------------------------------------------------------------------


def test_the_environment_sets_the_limits_at_call_time(monkeypatch, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(RGB))
    monkeypatch.setenv("IMGCLS_MAX_PIXELS", "34")
    with pytest.raises(UnreadableImageError, match=r"5 x 7 pixels are more than 34; .* IMGCLS_MAX_PIXELS allows more"):
        read(path)
    monkeypatch.setenv("IMGCLS_MAX_PIXELS", "35")
    np.testing.assert_array_equal(read(path), RGB)
    monkeypatch.setenv("IMGCLS_MAX_BYTES", "20")
    for item in (path, path.read_bytes()):
        with pytest.raises(UnreadableImageError, match=r"bytes are more than 20; .* IMGCLS_MAX_BYTES allows more"):
            read(item)


def test_the_environment_may_allow_more_than_pillow_does(monkeypatch):
    monkeypatch.setenv("IMGCLS_MAX_PIXELS", str(10**12))
    with pytest.raises(UnreadableImageError, match="it is truncated"):  # 15000 x 12000 pixels that are not there
        read(png(15_000, 12_000))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits"])
@pytest.mark.parametrize("limit", [10, 20])
def test_pillows_own_limit_is_not_asked_of_a_tiff(limit, compression, monkeypatch):
    """It is one of the whole process. Here it is passed by 35 pixels: twice over, or so that Pillow warns."""
    files = [(encoded(image, "TIFF", compression=compression), image) for image in (RGB, GRAY)]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    for data, image in files:
        np.testing.assert_array_equal(read(data), image.reshape(7, 5, -1))
    assert limit == Image.MAX_IMAGE_PIXELS
    monkeypatch.setenv("IMGCLS_MAX_PIXELS", "34")
    with pytest.raises(UnreadableImageError, match=r"5 x 7 pixels are more than 34; .* IMGCLS_MAX_PIXELS allows more"):
        read(files[0][0])


@pytest.mark.parametrize("given", ["", "0", "-1", "1e9", "many", "\u0661"])
@pytest.mark.parametrize(("variable", "default"), [("IMGCLS_MAX_BYTES", 268435456), ("IMGCLS_MAX_PIXELS", 89478485)])
def test_a_limit_that_is_no_number_is_refused_in_words(variable, default, given, monkeypatch):
    monkeypatch.setenv(variable, given)
    with pytest.raises(ConfigurationError) as caught:
        read(encoded(RGB))
    assert str(caught.value) == (
        f"the environment variable {variable} is {given!r}. Accepted: a whole number from 1, such as {default}. Correct or unset it."
    )


def test_pillow_told_to_read_truncated_files_is_refused_in_words(monkeypatch):
    whole = encoded(RANDOM.integers(0, 256, (90, 90, 3), dtype=np.uint8))
    half = whole[: len(whole) // 2]
    with pytest.raises(UnreadableImageError, match="cannot be read as an image: image file is truncated"):
        read(Image.open(io.BytesIO(half)))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for item in (whole, Image.open(io.BytesIO(half)), Image.open(io.BytesIO(whole))):
        with pytest.raises(ConfigurationError, match=r"LOAD_TRUNCATED_IMAGES is True, .* Set it to False"):
            read(item)
    np.testing.assert_array_equal(read(Image.fromarray(RGB)), RGB)  # of no file


def test_a_machine_without_memory_does_not_blame_the_file(monkeypatch):
    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(_decoder, "_upright", exhausted)
    with pytest.raises(UnreadableImageError, match="there is not enough memory to decode it"):
        read(encoded(RGB))


# --- what is no file ---------------------------------------------------------------------------------------------


def test_a_folder_a_pipe_and_a_device_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "pipe.jpg")
    for path, cause in (
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe.jpg", "it is not a regular file"),
        (tmp_path / "link.jpg", "it is not a regular file"),
        ("/dev/zero", "it is not a regular file"),
    ):
        with pytest.raises(UnreadableImageError) as caught:
            read(path)
        assert str(caught.value) == f"{str(path)!r} cannot be read as an image: {cause}. {ENDING}"


def test_a_path_that_no_file_can_have_is_refused():
    for path in ("a\0b.png", "a" * 10_000):
        with pytest.raises(UnreadableImageError):
            read(path)


# --- bands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5, 7])
def test_an_array_keeps_its_bands(bands):
    image = RANDOM.integers(0, 256, (9, 8, bands), dtype=np.uint8)
    assert read(image, channels=bands) is image
    if bands != 4:
        assert read(image) is image
    expected = [np.asarray(Image.fromarray(image[..., band]).resize((3, 4), 2)) for band in range(bands)]
    np.testing.assert_array_equal(resize(image, (4, 3)), np.dstack(expected))
    np.testing.assert_array_equal(read(image, size=(4, 3), channels=bands), np.dstack(expected))


def test_four_bands_are_transparency_unless_four_are_asked_for():
    rgba = np.dstack([RGB, ALPHA])
    expected = ALPHA[..., None] / 255 * RGB + 255 - ALPHA[..., None]
    for item in (rgba, encoded(rgba), Image.fromarray(rgba)):
        assert np.abs(read(item) - expected).max() <= 1
        np.testing.assert_array_equal(read(item, channels=4), rgba)
        np.testing.assert_array_equal(read(item, channels=4, size=(3, 3)), resize(rgba, (3, 3)))


@pytest.mark.parametrize(("bands", "channels"), [(2, 1), (2, 3), (5, 3), (5, 1), (5, 4), (3, 4), (1, 2)])
def test_bands_that_are_no_colours_are_not_converted(bands, channels):
    with pytest.raises(UnreadableImageError) as caught:
        read(np.zeros((2, 2, bands), np.uint8), channels=channels)
    accepted = "1, 3" if bands in {1, 3} else bands
    assert str(caught.value) == (
        f"the array has shape (2, 2, {bands}), and channels={channels}. Accepted: channels={accepted}, or None. Only gray, RGB and RGBA are converted into each other."
    )


def test_a_file_is_not_given_bands_that_it_lacks():
    with pytest.raises(UnreadableImageError, match="it has 3 channels where 5 were asked for"):
        read(encoded(RGB), channels=5)


def test_channels_that_are_neither_colours_nor_alpha_are_named():
    for size in (None, (3, 3)):
        with pytest.raises(UnreadableImageError) as caught:
            read(CASES["cmyk"][0], channels=4, size=size)
        cause = "its 4 channels are CMYK, which is read as 1 or 3 channels alone"
        assert str(caught.value) == f"'the bytes' cannot be read as an image: {cause}. {ENDING}"


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 2), (2, 2, 4)])
def test_png_is_written_of_gray_and_colour_only(shape, tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        write_png(np.zeros(shape, np.uint8), tmp_path / "a.png")
    assert str(caught.value) == (
        f"an image of shape {shape} cannot be written as PNG. Accepted: (H, W, 1) or (H, W, 3)."
    )


# --- a smaller decoding ------------------------------------------------------------------------------------------

SMOOTH = np.asarray(Image.fromarray(RANDOM.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((800, 600), 3))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("size", [(50, 60), (60, 50), (64, 64), (150, 30), (224, 224), (400, 500), (700, 900)])
def test_a_jpeg_is_decoded_smaller_and_looks_the_same(size, orientation, progressive):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(SMOOTH, "JPEG", exif=exif, progressive=progressive)
    whole = resize(read(data), size).astype(int)
    small = read(data, size=size)
    assert small.shape == (*size, 3)
    assert np.abs(small - whole).max() <= 6
    assert np.abs(small - whole).mean() < 1


@pytest.mark.parametrize(
    ("size", "orientation", "decoded"),
    [
        ((50, 66), 1, (100, 75)),
        ((51, 66), 1, (200, 150)),
        ((66, 50), 6, (100, 75)),
        ((50, 66), 6, (200, 150)),
        ((100, 100), 1, (200, 150)),
        ((201, 200), 1, (800, 600)),
    ],
)
def test_a_jpeg_is_decoded_to_at_least_one_and_a_half_times_the_target(size, orientation, decoded):
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(io.BytesIO(encoded(SMOOTH, "JPEG", exif=exif))) as image:
        _decoder._draft(image, size)
        assert image.size == decoded


def test_the_same_bytes_and_size_give_the_same_array_in_every_thread():
    data = encoded(SMOOTH, "JPEG")
    first = read(data, size=(70, 90))
    with ThreadPoolExecutor(8) as pool:
        for other in pool.map(lambda _: read(data, size=(70, 90)), range(64)):
            np.testing.assert_array_equal(other, first)


def test_a_missing_file_is_refused_in_words():
    with pytest.raises(UnreadableImageError) as caught:
        read(Path("no.png"))
    assert str(caught.value) == (
        "'no.png' does not exist. Check the path, and the working directory if the path is relative."
    )


@pytest.mark.parametrize("size", [4, (4,), (4, 3, 3), (0, 3), (4.0, 3.0), "43"])
def test_a_wrong_size_is_refused_in_words_and_blames_no_file(size, tmp_path):
    path = tmp_path / "cat.png"
    write_png(RGB, path)
    for item in (path, path.read_bytes(), Image.fromarray(RGB), RGB):
        with pytest.raises(ConfigurationError) as caught:
            read(item, size=size)
        assert str(caught.value) == f"size={size!r} is not accepted. Accepted: (height, width), whole numbers from 1."
    with pytest.raises(ConfigurationError, match=r"^size=.* is not accepted\."):
        resize(RGB, size)


def test_a_size_may_be_a_list():
    expected = np.asarray(Image.fromarray(RGB).resize((3, 4), Image.Resampling.BILINEAR))
    for item in (encoded(RGB), RGB):
        np.testing.assert_array_equal(read(item, size=[4, 3]), expected)


SHAPES = "Accepted: uint8 array (H, W) or (H, W, C)."
UINT8 = "Accepted: dtype uint8, values 0 to 255."


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (
            3,
            f"the image is a int. {SHAPES.replace('uint8', 'a path, the bytes of an image file, a PIL image, or a uint8')}",
        ),
        (np.zeros((2, 2, 2, 3), np.uint8), f"the array has shape (2, 2, 2, 3). {SHAPES}"),
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


def test_a_picture_in_a_page_is_as_short_as_it_goes():
    """A photo is a JPEG, a drawing a PNG; both are what Pillow reads back."""
    across = np.linspace(0, 255, 80)
    grain = np.random.default_rng(0).normal(0, 8, (60, 80, 3))
    photo = (across[None, :, None] + grain).clip(0, 255).astype(np.uint8)
    drawing = np.where(np.indices((60, 80)).sum(axis=0) % 20 < 10, 0, 255).astype(np.uint8)[..., None]
    for image, kind, most in ((photo, "jpeg", 8), (drawing, "png", 0)):
        head, text = data_uri(image, 80).split(",")
        assert head == f"data:image/{kind};base64"
        with Image.open(io.BytesIO(base64.b64decode(text))) as shown:
            assert shown.format == kind.upper()
            pixels = np.asarray(shown).reshape(image.shape).astype(int)
        assert np.abs(pixels - image).mean() <= most
