"""TIFF files that Pillow reads wrongly, or not at all: the truth is the array that went in, by NumPy's arithmetic."""

import io
import struct
import sys

import numpy as np
import pytest
from orientations import UPRIGHT
from PIL import Image

from imgcls.errors import UnreadableImageError
from imgcls.images import glance, is_truncated, read

RANDOM = np.random.default_rng(2)
BYTES = RANDOM.integers(0, 256, (33, 35, 4), dtype=np.uint8)
WORDS = RANDOM.integers(0, 65536, (33, 35, 4)).astype(np.uint16)
WORDS[0, :2, 0] = 0, 65535


def written(pixels, planar="contig", **options):
    """Write `(H, W, C)` by tifffile, several bands together or one after another."""
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'imgcls[tiff]'")
    stored = np.moveaxis(pixels, -1, 0) if planar == "separate" else pixels
    if pixels.shape[2] == 1:
        stored, planar = pixels[..., 0], None
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.ascontiguousarray(stored), planarconfig=planar, **options)
    return buffer.getvalue()


def packed(pixels, bits, *, order="<", photometric=1, entries=()):
    """Write `(H, W[, C])` by hand, its numbers packed without gaps, each row from a byte of its own."""
    rows = []
    for row in pixels.reshape(len(pixels), -1):
        digits = "".join(format(int(number), f"0{bits}b") for number in row)
        digits += "0" * (-len(digits) % 8)
        rows.append(int(digits, 2).to_bytes(len(digits) // 8, "big"))
    data = b"".join(rows)
    height, width, samples = (*pixels.shape, 1)[:3]
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 277: samples, 278: height, 279: len(data)}
    tags |= {273: 8 + 2 + 12 * (len(tags) + 1 + len(entries)) + 4} | dict(entries)
    table = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, len(tags))
    return head + table + struct.pack(f"{order}I", 0) + data


def on_white(colours, alpha):
    share = alpha[..., None] / 255
    return share * colours + 255 * (1 - share)


def agrees(data, expected, rounding=0):
    image = read(data)
    assert image.shape == expected.shape
    assert np.abs(image.astype(float) - expected).max() <= rounding
    seen, size = glance(data, 96, "it")  # the data check
    np.testing.assert_array_equal(seen, image)
    assert size == image.shape[:2]


# --- bands one after another -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"rowsperstrip": 5}], ids=["", "tiles", "strips"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_sixteen_bits_of_colour_however_they_are_stored(planar, options, order, compression):
    pixels = WORDS[..., :3]
    data = written(pixels, planar, photometric="rgb", byteorder=order, compression=compression, **options)
    agrees(data, pixels // 257, rounding=1)  # the high byte, or a 257th


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("kind", ["assocalpha", "unassalpha"])
@pytest.mark.parametrize("bands", [2, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_alpha_is_composited_on_white_however_it_is_stored(bits, bands, kind, planar, compression):
    pixels = BYTES[..., :bands].astype(np.uint8 if bits == 8 else np.uint16) * (1 if bits == 8 else 257)
    expected = on_white(BYTES[..., : bands - 1].astype(float), BYTES[..., bands - 1])
    if kind == "assocalpha":
        pixels[..., :-1] = np.rint(pixels[..., :-1] * (BYTES[..., bands - 1, None] / 255))
    photometric = "rgb" if bands == 4 else "minisblack"
    data = written(pixels, planar, photometric=photometric, extrasamples=[kind], compression=compression)
    agrees(data, expected, rounding=2)
    assert read(data, channels=bands).shape == (33, 35, bands)
    assert read(data, size=(5, 6), channels=1).shape == (5, 6, 1)
    if kind == "unassalpha":
        np.testing.assert_array_equal(read(data, channels=bands), BYTES[..., :bands])


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_a_pil_image_of_colours_times_alpha(mode):
    bands = len(mode)
    stored = BYTES[..., :bands].copy()
    alpha = stored[..., -1]
    stored[..., :-1] = np.rint(stored[..., :-1] * (alpha[..., None] / 255))
    image = Image.frombytes(mode, (35, 33), stored.tobytes())
    expected = stored[..., :-1] + 255.0 - alpha[..., None]
    assert np.abs(read(image) - expected).max() <= 2
    assert read(image).shape == (33, 35, bands - 1)


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_what_pillow_reads_right_needs_no_tifffile(compression, monkeypatch):
    files = {
        photometric: written(BYTES[..., :bands], "separate", photometric=photometric, compression=compression)
        for photometric, bands in (("rgb", 3), ("separated", 4))
    }
    monkeypatch.setitem(sys.modules, "tifffile", None)
    agrees(files["rgb"], BYTES[..., :3])
    agrees(files["separated"], (255.0 - BYTES[..., :3]) * (255 - BYTES[..., 3:].astype(int)) / 255, rounding=1)


def test_colours_that_nobody_sorts_are_refused_in_words():
    for photometric, name, bands in (("separated", "SEPARATED", 4), ("ycbcr", "YCBCR", 3)):
        pixels = WORDS if bands == 4 else BYTES[..., :3]
        with pytest.raises(UnreadableImageError) as caught:
            read(written(pixels, "separate", photometric=photometric))
        cause = f"its colours are {name}, in a form that is not read. Save it as RGB or gray"
        assert f"cannot be read as an image: {cause}. Accepted: " in str(caught.value)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_is_applied_whoever_reads(orientation):
    upright, tag = UPRIGHT[orientation], [(274, 3, 1, orientation, True)]
    for pixels, options in (
        (WORDS[..., :3], {"photometric": "rgb", "planar": "separate"}),
        (WORDS[..., :1], {"photometric": "miniswhite", "byteorder": "<"}),
        (WORDS[..., :1], {"photometric": "miniswhite", "byteorder": ">"}),
    ):
        inverted = options["photometric"] == "miniswhite"
        agrees(written(pixels, extratags=tag, **options), upright((65535 - pixels if inverted else pixels) // 257))


# --- where white is zero, and other depths ---------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_gray_where_white_is_zero_is_inverted(dtype, order, compression):
    gray = {np.uint8: BYTES, np.uint16: WORDS, np.float32: (BYTES / 255).astype(np.float32)}[dtype][..., :1]
    expected = {np.uint8: 255 - BYTES, np.uint16: (65535 - WORDS) // 257, np.float32: 255 - BYTES}[dtype][..., :1]
    data = written(gray, photometric="miniswhite", byteorder=order, compression=compression)
    agrees(data, expected)
    if dtype == np.uint16 and order == "<":
        with Image.open(io.BytesIO(data)) as image:
            np.testing.assert_array_equal(read(image), expected)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [2, 4, 10, 12, 14, 16])
def test_the_largest_number_of_every_depth_is_white_or_black(bits, photometric, order):
    pytest.importorskip("imagecodecs", reason="needs imagecodecs: pip install 'imgcls[tiff]'")
    highest = 2**bits - 1
    numbers = RANDOM.integers(0, highest + 1, (9, 7))
    numbers[0, :2] = 0, highest
    expected = (numbers if photometric else highest - numbers) * 255 // highest
    assert {expected[0, 0], expected[0, 1]} == {0, 255}
    if bits == 16:
        data = written(numbers.astype(np.uint16)[..., None], photometric=photometric, byteorder=order)
    else:
        data = packed(numbers, bits, order=order, photometric=photometric)
    agrees(data, expected[..., None])


@pytest.mark.parametrize("bits", [4, 12])
def test_colour_of_other_depths(bits):
    pytest.importorskip("imagecodecs", reason="needs imagecodecs: pip install 'imgcls[tiff]'")
    numbers = RANDOM.integers(0, 2**bits, (9, 7, 3))
    agrees(packed(numbers, bits, photometric=2), numbers * 255 // (2**bits - 1))


def test_packed_numbers_without_imagecodecs_are_refused_with_the_line_that_installs_it(monkeypatch):
    pytest.importorskip("tifffile", reason="needs tifffile: pip install 'imgcls[tiff]'")
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(UnreadableImageError) as caught:
        read(packed(np.zeros((4, 4), int), 12, order=">"))
    words = 'its depth, 12 bits, needs imagecodecs. Install it: pip install "imgcls[tiff]"'
    assert str(caught.value).startswith(f"'the bytes' cannot be read as an image: {words}. Accepted: ")


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", [np.int8, np.int16])
def test_signed_numbers_are_refused_whoever_reads(dtype, order, compression, monkeypatch):
    """Heights above the sea, for instance: half of the range would be lost, and what lies below be white."""
    for low in (-100, 0):
        heights = RANDOM.integers(low, 128, (9, 7, 1)).astype(dtype)
        data = written(heights, photometric="minisblack", byteorder=order, compression=compression)
        with monkeypatch.context() as patch, Image.open(io.BytesIO(data)) as image:
            patch.setitem(sys.modules, "tifffile", None)
            for item in (data, image):
                with pytest.raises(UnreadableImageError) as caught:
                    read(item)
                cause = f"its pixels are {dtype.__name__}. Read are uint8, uint16, and floating point from 0 to 1"
                assert f"cannot be read as an image: {cause}. Accepted: " in str(caught.value)


# --- LAB -------------------------------------------------------------------------------------------------------------


def test_lab_is_read_as_colour_and_as_gray():
    """Without colour, L* alone says how light a pixel is: CIE 15, and the curve of sRGB."""
    stored = np.zeros((16, 16, 3), np.uint8)
    stored[..., 0] = np.arange(256).reshape(16, 16)
    f = (stored[..., 0] / 2.55 + 16) / 116
    light = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))
    gray = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light) * 255
    data = written(stored, photometric="cielab")
    agrees(data, np.dstack([gray] * 3), rounding=3)
    assert np.abs(read(data, channels=1)[..., 0] - gray).max() <= 3
    colours = written(RANDOM.integers(0, 256, (16, 16, 3), dtype=np.uint8), photometric="cielab")
    with Image.open(io.BytesIO(colours)) as image:
        rgb = np.asarray(image.convert("RGB"))
        assert np.abs(read(image, channels=1)[..., 0] - rgb @ [0.299, 0.587, 0.114]).max() <= 1
    agrees(colours, rgb)


# --- strips and tiles that are left out ------------------------------------------------------------------------------


def left_out(data, index, *, lengths=True):
    """Return a TIFF without one of its strips or tiles: at byte 0, and of no bytes, as GDAL's SPARSE_OK writes it."""
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'imgcls[tiff]'")
    data = bytearray(data)
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        kind = "Tile" if "TileOffsets" in tiff.pages[0].tags else "Strip"
        for name in (f"{kind}Offsets", f"{kind}ByteCounts")[: 1 + lengths]:
            tag = tiff.pages[0].tags[name]
            width = {3: 2, 4: 4}[int(tag.dtype)]
            at = tag.valueoffset + index * width
            data[at : at + width] = bytes(width)
    return bytes(data)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bands", [1, 2, 3])
@pytest.mark.parametrize("missing", [0, 200])
def test_what_a_sparse_file_leaves_out_is_what_it_says(missing, bands, order, compression):
    options = {
        "photometric": "rgb" if bands == 3 else "minisblack",
        "byteorder": order,
        "compression": compression,
        "extratags": [(42113, "s", 0, str(missing), True)] if missing else [],  # GDAL_NODATA
    }
    for where, places in (({"tile": (16, 16)}, np.s_[:16, 16:32]), ({"rowsperstrip": 16}, np.s_[16:32])):
        expected = BYTES[..., :bands].copy()
        data = left_out(written(expected, **options, **where), 1)
        expected[places] = missing
        agrees(data, expected)


@pytest.mark.parametrize("bands", [1, 2, 3])
def test_a_file_without_pixels_or_with_some_at_byte_zero_is_refused(bands, monkeypatch):
    whole = written(BYTES[..., :bands], photometric="rgb" if bands == 3 else "minisblack")
    for data, cause in (
        (left_out(whole, 0), "it holds no pixels: each of its strips or tiles is left out"),
        (left_out(whole, 0, lengths=False), "it is damaged (a strip or tile is said to lie at byte 0)"),
    ):
        with pytest.raises(UnreadableImageError) as caught:
            read(data)
        assert f"cannot be read as an image: {cause}. Accepted: " in str(caught.value)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "tifffile", None)
            with pytest.raises(UnreadableImageError, match=r"needs tifffile\. Install it: pip install"):
                read(data)


def test_a_file_cut_short_is_never_half_an_image():
    for data in (
        written(WORDS[..., :3], "separate", photometric="rgb"),
        written(BYTES[..., :2], "separate", photometric="minisblack", extrasamples=["unassalpha"]),
        written(WORDS[..., :1], photometric="miniswhite", byteorder=">"),
    ):
        for missing in (1, 2, len(data) // 3, len(data) // 2):
            with pytest.raises(UnreadableImageError) as caught:
                read(data[:-missing])
            assert is_truncated(caught.value)


def test_a_text_that_is_no_name_is_shown_in_part():
    text = "data:image/png;base64," + "iVBORw0KGgo" * 900
    with pytest.raises(UnreadableImageError) as caught:
        read(text)
    assert str(caught.value).startswith(
        f"{text[:60] + '...'!r} cannot be read as an image: File name too long. Accepted: "
    )
