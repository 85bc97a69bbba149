"""One battery over every format and every trap: the rules of docs/concepts/decoding-rules.md, one by one.

What is expected is computed with NumPy from the pixels that went in, or with plain Pillow, never with our decoder.
"""

import contextlib
import io
import lzma
import os
import struct
import sys
import tracemalloc
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from orientations import UPRIGHT
from PIL import Image

from imgcls.errors import UnreadableImageError
from imgcls.images import SUFFIXES, glance, is_truncated, read

RANDOM = np.random.default_rng(1)
RGB = RANDOM.integers(0, 256, (37, 29, 3), dtype=np.uint8)
GRAY, ALPHA = RGB[..., 0], RGB[..., 1]
WIDE = RANDOM.integers(0, 65536, (37, 29)).astype(np.uint16)
ON_WHITE = ALPHA[..., None] / 255 * RGB + 255 - ALPHA[..., None]
PHOTO = np.asarray(Image.fromarray(RGB[:9, :9]).resize((48, 40), Image.Resampling.BICUBIC))


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def by_pillow(data, mode="RGB"):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode)).reshape(image.height, image.width, -1)


def png_of_words(pixels, color_type):
    """Write 16-bit PNG, which Pillow writes for grayscale only."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def interlaced_png(gray):
    """Write Adam7, which Pillow reads and does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    parts = [gray[top::down, left::right] for top, left, down, right in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part if part.size)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", gray.shape[1], gray.shape[0], 8, 0, 0, 0, 1))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def palette(**options):
    image = Image.fromarray(GRAY % 4, "P")
    image.putpalette([9, 8, 7, 10, 20, 30, 255, 0, 0, 0, 0, 255])
    return encoded(image, **options)


def exchanged(data, old, new):
    at = data.index(old)
    return data[:at] + new + data[at + len(old) :]


COLOURS = np.array([[9, 8, 7], [10, 20, 30], [255, 0, 0], [0, 0, 255]])
CMYK = np.dstack([RGB, GRAY // 3])
FROM_CMYK = (255.0 - CMYK[..., :3]) * (255 - CMYK[..., 3:].astype(int)) / 255
JPEG_CMYK = encoded(Image.fromarray(CMYK, "CMYK"), "JPEG", quality=95)
FRAMES = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
LATER = {"save_all": True, "append_images": FRAMES[1:]}
TIFFS = {
    f"tiff, {name}": (encoded(pixels, "TIFF", **options), expected, 0)
    for name, pixels, options, expected in (
        ("strips", RGB, {}, RGB),
        ("gray", GRAY, {}, GRAY[..., None]),
        ("lzw", RGB, {"compression": "tiff_lzw"}, RGB),
        ("deflate", RGB, {"compression": "tiff_adobe_deflate"}, RGB),
        ("packbits", RGB, {"compression": "packbits"}, RGB),
        ("1-bit fax", Image.fromarray(GRAY > 99), {"compression": "group4"}, np.where(GRAY > 99, 255, 0)[..., None]),
        ("16-bit", WIDE, {}, (WIDE // 257)[..., None]),
        ("several pages", FRAMES[0], LATER, RGB),
    )
}
CASES = {  # name: (file, expected pixels, how far rounding may go)
    **TIFFS,
    "png, rgb": (encoded(RGB), RGB, 0),
    "png, gray": (encoded(GRAY), GRAY[..., None], 0),
    "png, rgba on white": (encoded(np.dstack([RGB, ALPHA])), ON_WHITE, 1),
    "png, gray and alpha on white": (encoded(np.dstack([GRAY, ALPHA])), ON_WHITE[..., :1], 1),
    "png, 1-bit": (encoded(Image.fromarray(GRAY > 99)), np.where(GRAY > 99, 255, 0)[..., None], 0),
    "png, palette": (palette(), COLOURS[GRAY % 4], 0),
    "png, palette with transparency": (
        palette(transparency=2),
        np.where((GRAY % 4 == 2)[..., None], 255, COLOURS[GRAY % 4]),
        0,
    ),
    "png, gray with transparency": (
        encoded(GRAY, transparency=int(GRAY[0, 0])),
        np.where(GRAY[0, 0] == GRAY, 255, GRAY)[..., None],
        0,
    ),
    "png, 16-bit gray": (encoded(WIDE), (WIDE // 257)[..., None], 0),
    "png, 16-bit gray with transparency": (
        encoded(WIDE, transparency=int(WIDE[0, 0])),
        np.where(WIDE[0, 0] == WIDE, 255, WIDE // 257)[..., None],
        0,
    ),
    "png, 16-bit rgb": (png_of_words(np.dstack([WIDE, WIDE[::-1], WIDE]), 2), np.dstack([WIDE, WIDE[::-1], WIDE]) >> 8, 0),
    "png, interlaced": (interlaced_png(GRAY), GRAY[..., None], 0),
    "png, animated": (encoded(FRAMES[0], "PNG", **LATER), RGB, 0),
    "gif": (encoded(Image.fromarray(GRAY % 4 * 80), "GIF"), np.dstack([GRAY % 4 * 80] * 3), 0),
    "gif, animated": (encoded(Image.fromarray(GRAY), "GIF", save_all=True, append_images=[Image.fromarray(255 - GRAY)]), np.dstack([GRAY] * 3), 0),
    "webp": (encoded(RGB, "WEBP", lossless=True), RGB, 0),
    "webp, rgba on white": (encoded(np.dstack([RGB, ALPHA]), "WEBP", lossless=True, exact=True), ON_WHITE, 1),
    "webp, animated": (encoded(FRAMES[0], "WEBP", lossless=True, **LATER), RGB, 0),
    "avif": (encoded(PHOTO, "AVIF", quality=100, subsampling="4:4:4"), PHOTO, 8),
    "avif, animated": (encoded(Image.fromarray(PHOTO), "AVIF", quality=100, subsampling="4:4:4", save_all=True, append_images=[Image.fromarray(255 - PHOTO)]), PHOTO, 8),
    "bmp": (encoded(RGB, "BMP"), RGB, 0),
    "bmp, 1-bit": (encoded(Image.fromarray(GRAY > 99), "BMP"), np.where(GRAY > 99, 255, 0)[..., None], 0),
    "ppm": (encoded(RGB, "PPM"), RGB, 0),
    "pgm, 16-bit": (b"P5 29 37 65535\n" + WIDE.astype(">u2").tobytes(), (WIDE // 257)[..., None], 0),
    "jpeg": (encoded(PHOTO, "JPEG", quality=98, subsampling=0), PHOTO, 12),
    "jpeg, gray": (encoded(PHOTO[..., 0], "JPEG", quality=98), PHOTO[..., :1], 8),
    "jpeg, progressive": (encoded(PHOTO, "JPEG", quality=98, subsampling=0, progressive=True), PHOTO, 12),
    "jpeg, two pictures of a phone": (encoded(Image.fromarray(PHOTO), "MPO", quality=98, subsampling=0, save_all=True, append_images=[Image.fromarray(255 - PHOTO)]), PHOTO, 12),
    "jpeg, CMYK inverted by Adobe": (JPEG_CMYK, by_pillow(JPEG_CMYK), 0),
    "tiff, CMYK": (encoded(Image.fromarray(CMYK, "CMYK"), "TIFF"), FROM_CMYK, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_format_is_read_by_its_rule(name, tmp_path):
    data, expected, rounding = CASES[name]
    image = read(data)
    assert image.dtype == np.uint8
    assert image.shape == expected.shape
    assert np.abs(image.astype(float) - expected).max() <= rounding
    path = tmp_path / "named.jpg"  # the bytes decide, not the name
    path.write_bytes(data)
    np.testing.assert_array_equal(read(path), image)
    assert read(path, size=(11, 7), channels=1).shape == (11, 7, 1)


def test_ycck_is_inverted_as_adobe_writes_it(shared_data):
    """A CMYK JPEG by Adobe stores ink inverted; a reader that forgets shows a negative."""
    stored = Image.open(io.BytesIO(JPEG_CMYK))
    assert stored.info["adobe_transform"] in {0, 2}
    assert np.abs(read(JPEG_CMYK).astype(int) - FROM_CMYK).mean() < 25
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a malformed one
        found = [path for path in (shared_data / "weird").rglob("*.jp*g") if _mode(path) == "CMYK"]
    assert found
    for path in found:
        np.testing.assert_array_equal(read(path), by_pillow(path.read_bytes()))


def _mode(path):
    try:
        with Image.open(path) as image:
            return image.mode
    except OSError:
        return None


def test_tiff_tiles_and_big_endian_read_like_strips():
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'imgcls[tiff]'")
    pixels = RANDOM.integers(0, 256, (64, 48, 3), dtype=np.uint8)
    for options in ({"tile": (16, 16)}, {"byteorder": ">"}, {"compression": "deflate"}, {"bigtiff": True}):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, pixels, photometric="rgb", **options)
        np.testing.assert_array_equal(read(buffer.getvalue()), pixels)
    for order in "<>":
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, WIDE, photometric="minisblack", byteorder=order)
        np.testing.assert_array_equal(read(buffer.getvalue())[..., 0], WIDE // 257)


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [*UPRIGHT, 0, 9])
def test_orientation_is_applied(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(PHOTO, kind, exif=exif)
    stored = PHOTO if kind == "TIFF" else by_pillow(data)  # Pillow turns TIFF by itself
    expected = UPRIGHT.get(orientation, UPRIGHT[1])(stored)
    np.testing.assert_array_equal(read(data), expected)
    assert glance(data, 96, "photo")[1] == expected.shape[:2]


def test_png_that_tells_its_orientation_behind_its_pixels():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(PHOTO, exif=exif)
    at, end = data.index(b"eXIf") - 4, data.index(b"IEND") - 4
    length = 12 + int.from_bytes(data[at : at + 4], "big")
    data = data[:at] + data[at + length : end] + data[at : at + length] + data[end:]
    expected = np.rot90(PHOTO, -1)
    np.testing.assert_array_equal(read(data), expected)
    assert glance(data, 96, "photo")[1] == expected.shape[:2]


def test_exif_that_cannot_be_parsed_is_no_orientation():
    data = encoded(PHOTO, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, of this EXIF
        np.testing.assert_array_equal(read(data), by_pillow(data))


# --- refused -----------------------------------------------------------------------------------------------------

JPEG = encoded(PHOTO, "JPEG")
LARGE = np.array([[0, 70_000]], np.int32)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "it is empty"),
        (b"hello, I am a text", "its bytes are of no known image format"),
        (b"\0" * 500, "its bytes are of no known image format"),
        (exchanged(JPEG, b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c"), "it is a 12-bit JPEG, which imgcls does not decode"),
        (exchanged(JPEG, b"\xff\xc0\x00\x11", b"\xff\xc3\x00\x11"), "it is a lossless JPEG, which imgcls does not decode"),
        (b"\xff\xd8\xff\xf7\x00\x0b\x08\0\1\0\1\1\1\x11\0\xff\xd9", "it is a JPEG-LS file, which imgcls does not decode"),
        (encoded(LARGE, "TIFF"), "its pixels are 32-bit integers from 0 to 70000, and 0 to 65535 are read"),
        (encoded(-LARGE, "TIFF"), "its pixels are 32-bit integers from -70000 to 0, and 0 to 65535 are read"),
    ],
    ids=["empty", "text", "zeros", "12-bit JPEG", "lossless JPEG", "JPEG-LS", "32-bit", "negative"],
)  # fmt: skip
def test_what_is_not_read_is_named(data, cause, tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    for item, name in ((data, "the bytes"), (path, str(path))):
        for size in (None, (8, 8)):
            with pytest.raises(UnreadableImageError) as caught:
                read(item, size=size)
            assert str(caught.value) == (
                f"{name!r} cannot be read as an image: {cause}. Accepted: JPEG, PNG, WEBP, BMP, GIF, TIFF, PPM, AVIF. Repair or remove it."
            )


CUT = {
    "jpeg": JPEG,
    "jpeg, progressive": encoded(PHOTO, "JPEG", progressive=True),
    "png": encoded(PHOTO),
    "png, interlaced": interlaced_png(GRAY),
    "gif": encoded(Image.fromarray(PHOTO), "GIF"),
    "webp": encoded(PHOTO, "WEBP"),
    "webp, lossless": encoded(PHOTO, "WEBP", lossless=True),
    "avif": encoded(PHOTO, "AVIF"),
    "tiff": encoded(PHOTO, "TIFF"),
    "tiff, deflate": encoded(PHOTO, "TIFF", compression="tiff_adobe_deflate"),
    "bmp": encoded(PHOTO, "BMP"),
    "ppm": encoded(PHOTO, "PPM"),
}


@pytest.mark.parametrize("name", CUT)
def test_a_truncated_file_is_refused_or_read_whole(name, capfd):
    """Cut at every tenth byte: never half an image."""
    data = CUT[name]
    whole, named = read(data), 0
    for length in [*range(10, len(data), 10), len(data) - 1, len(data) - 2]:
        try:
            image = read(data[:length])
        except UnreadableImageError as error:
            named += is_truncated(error)
            with pytest.raises(UnreadableImageError):
                read(data[:length], size=(8, 8))
        else:
            np.testing.assert_array_equal(image, whole)
    assert named, "no cut was called truncated"
    capfd.readouterr()  # libtiff writes to stderr


def png(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def webp(width, height):
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + sides + b"\0" * 8


def tiff(**changes):
    """Write a TIFF of one pixel whose tags are changed."""
    tags = {256: 1, 257: 1, 258: 8, 259: 8, 262: 1, 277: 1, 322: 16, 323: 16, 324: 8, 325: 10} | {
        int(key[1:]): value for key, value in changes.items()
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + b"\0" * 64


BOMBS = {
    "png": png(50_000, 50_000),
    "bmp": b"BM" + struct.pack("<IIIIIIHHIIIIII", 54, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
    "gif": b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + b"\0" * 6 + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
    "gif, a frame larger than the image": (
        b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0" * 6
        + struct.pack("<BHHHHB", 44, 0, 0, 65_535, 65_535, 0) + b"\2\2D\1\0;"
    ),
    "webp": webp(16_383, 16_383),
    "ppm": b"P6 99999 99999 255\n" + b"\0" * 100,
    "ppm, plain": b"P3 99999 99999 255\n" + b"0 " * 100,
    "jpeg": exchanged(JPEG, b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 40, 48), b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff"),
    "tiff": tiff(t256=60_000, t257=60_000),
    "tiff, a tile larger than the image": tiff(t322=2**20, t323=2**20),
    "tiff, many bands": tiff(t277=65_535, t256=9_000, t257=9_000),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_its_pixels_are_allocated(name, capfd):
    resource = pytest.importorskip("resource")
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    for size in (None, (8, 8)):
        with pytest.raises(UnreadableImageError):
            read(BOMBS[name], size=size)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before < 64 * 2**20
    capfd.readouterr()


# --- extras ------------------------------------------------------------------------------------------------------


def tiff_of(pixels, **options):
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'imgcls[tiff]'")
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **{"photometric": "minisblack"} | options)
    return buffer.getvalue()


@pytest.mark.parametrize("bands", [2, 4, 5, 8])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_tiff_of_several_bands_keeps_them(bands, planar, dtype):
    stored = RANDOM.integers(0, 256, (21, 17, bands), dtype=np.uint8)
    scaled = (
        stored / np.float32(255) if dtype is np.float32 else stored.astype(dtype) * (257 if dtype is np.uint16 else 1)
    )
    pixels = scaled if planar == "contig" else np.moveaxis(scaled, -1, 0)
    data = tiff_of(pixels, planarconfig=planar, extrasamples=[0] * (bands - 1))
    np.testing.assert_array_equal(read(data), stored)
    np.testing.assert_array_equal(read(data, channels=bands), stored)
    assert read(data, size=(5, 6)).shape == (5, 6, bands)
    with pytest.raises(UnreadableImageError, match=f"it has {bands} bands where 3 were asked for"):
        read(data, channels=3)


def test_a_tiff_of_words_or_fractions_in_colour_is_read():
    words = np.dstack([WIDE, WIDE[::-1], WIDE[:, ::-1]])
    assert np.abs(read(tiff_of(words, photometric="rgb")).astype(int) - words // 257).max() <= 1
    fractions = RANDOM.random((9, 8, 3), dtype=np.float32)
    np.testing.assert_array_equal(
        read(tiff_of(fractions, photometric="rgb")), np.rint(fractions * 255).astype(np.uint8)
    )
    assert read(tiff_of(fractions[..., 0]), channels=3).shape == (9, 8, 3)


@pytest.mark.parametrize(
    ("pixels", "cause"),
    [
        (np.array([[0, 1.5]], np.float32), "its pixels are floating-point numbers from 0 to 1.5. Read are 0 to 1: scale them first"),
        (np.array([[0, np.nan]], np.float32), "its pixels are floating-point numbers from nan to nan. Read are 0 to 1: scale them first"),
        (np.zeros((4, 4, 2), np.int16), "its pixels are int16. Read are uint8, uint16, and floating point from 0 to 1"),
        (np.zeros((4, 4), np.complex64), "its pixels are complex64. Read are uint8, uint16, and floating point from 0 to 1"),
    ],
    ids=["range", "NaN", "int16", "complex"],
)  # fmt: skip
def test_a_tiff_without_one_right_scale_is_refused_in_words(pixels, cause):
    data = tiff_of(pixels, **({"planarconfig": "contig"} if pixels.ndim == 3 else {}))
    with pytest.raises(UnreadableImageError) as caught:
        read(data)
    assert f"cannot be read as an image: {cause}. Accepted" in str(caught.value)


def dicom(pixels, *, syntax="1.2.840.10008.1.2.1", **attributes):
    pydicom = pytest.importorskip("pydicom", reason="needs pydicom: pip install 'imgcls[dicom]'")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import SecondaryCaptureImageStorage

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    bits = pixels.dtype.itemsize * 8
    dataset.Rows, dataset.Columns = pixels.shape[-2:] if pixels.shape[-1] != 3 else pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.shape[-1] == 3 else 1
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PhotometricInterpretation = "RGB" if dataset.SamplesPerPixel == 3 else "MONOCHROME2"
    for key, value in attributes.items():
        setattr(dataset, key, value)
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def test_dicom_is_scaled_by_its_stated_rule(tmp_path):
    scaled = np.rint(WIDE * (255 / 65535)).astype(np.uint8)[..., None]
    np.testing.assert_array_equal(read(dicom(WIDE)), scaled)
    np.testing.assert_array_equal(read(dicom(WIDE, PhotometricInterpretation="MONOCHROME1")), 255 - scaled)
    np.testing.assert_array_equal(read(dicom(GRAY)), GRAY[..., None])
    np.testing.assert_array_equal(read(dicom(RGB)), RGB)
    np.testing.assert_array_equal(read(dicom(np.stack([GRAY, 255 - GRAY]), NumberOfFrames=2)), GRAY[..., None])
    path = tmp_path / "scan.DCM"
    path.write_bytes(dicom(RGB))
    np.testing.assert_array_equal(read(path), RGB)
    assert read(path, size=(4, 5), channels=1).shape == (4, 5, 1)
    with pytest.raises(UnreadableImageError, match="it is DICOM without an image"):
        read(b"hello", name="image 'scan.dcm'")


@pytest.mark.parametrize("name", ["scan.dcm", "O'Brien.dcm", "O'Brien's \"first\".DICOM", "ü.Dcm"])
def test_dicom_without_its_mark_is_known_by_the_name_of_its_bytes(name):
    bare = dicom(GRAY)[132:]  # without preamble and mark
    np.testing.assert_array_equal(read(bare, name=f"image {name!r}"), GRAY[..., None])
    with pytest.raises(UnreadableImageError, match="its bytes are of no known image format"):
        read(bare, name=f"image {name + 'x'!r}")


def test_dicom_goes_through_rescale_line_and_first_window():
    hounsfield = np.arange(-1200, 1200, 4, dtype=np.int16).reshape(20, 30)
    data = dicom(
        (hounsfield + 1024).astype(np.int16),
        RescaleSlope=1,
        RescaleIntercept=-1024,
        WindowCenter=[40, -600],
        WindowWidth=[400, 1500],
    )
    expected = ((hounsfield - 39.5) / 399 + 0.5).clip(0, 1) * 255  # DICOM PS3.3, C.11.2.1.2.1
    assert np.abs(read(data)[..., 0] - expected).max() <= 0.51


def items(**attributes):
    """Return a DICOM sequence of one item."""
    dataset = pytest.importorskip("pydicom", reason="needs pydicom: pip install 'imgcls[dicom]'").Dataset()
    for key, value in attributes.items():
        setattr(dataset, key, value)
    return [dataset]


def table_of(entries, kind, descriptor, signed=False):
    """Return a sequence of one look-up table: how many entries, the value of the first, the bits of each."""
    sequence = items()
    sequence[0].add_new("LUTDescriptor", "SS" if signed else "US", descriptor)
    sequence[0].add_new("LUTData", kind, entries)
    return sequence


def test_an_enhanced_dicom_is_shown_as_its_first_frame_says():
    """Enhanced CT and MR say it frame by frame, or once for all frames: DICOM PS3.3, A.38 and C.7.6.16.2."""
    stored = np.arange(0, 1200, 2, dtype=np.int16).reshape(20, 30)
    hounsfield = 2.0 * stored - 1000
    expected = ((hounsfield - 39.5) / 399 + 0.5).clip(0, 1) * 255  # DICOM PS3.3, C.11.2.1.2.1
    line = {"PixelValueTransformationSequence": items(RescaleSlope=2, RescaleIntercept=-1000, RescaleType="HU")}
    window = {"FrameVOILUTSequence": items(WindowCenter=40, WindowWidth=400)}
    later = {"FrameVOILUTSequence": items(WindowCenter=-600, WindowWidth=1500)}
    for shared, per_frame in (
        (items(**line, **window), items() + items()),
        (items(), items(**line, **window) + items(**line, **later)),
        (items(**line), items(**window) + items(**later)),
        (items(**line, **later), items(**window) + items(**later)),  # what is nearer
    ):
        groups = {"SharedFunctionalGroupsSequence": shared, "PerFrameFunctionalGroupsSequence": per_frame}
        for itself in ({}, {"WindowCenter": 0, "WindowWidth": 1, "RescaleSlope": 1, "RescaleIntercept": 0}):
            image = read(dicom(np.stack([stored, stored[::-1]]), NumberOfFrames=2, **groups, **itself))
            assert np.abs(image[..., 0] - expected).max() <= 0.51


def test_a_frame_may_bring_a_table_of_its_own():
    stored = np.arange(64, dtype=np.uint8).reshape(8, 8)
    table = table_of((255 - np.arange(64)).tolist(), "US", [64, 0, 8])
    data = dicom(
        stored,
        WindowCenter=32,
        WindowWidth=64,
        SharedFunctionalGroupsSequence=items(FrameVOILUTSequence=items(VOILUTSequence=table)),
    )
    np.testing.assert_array_equal(read(data)[..., 0], 255 - stored)


@pytest.mark.parametrize("form", ["words", "words in bytes", "bytes"])
def test_a_dicom_table_of_bytes_is_one_ramp_and_comes_before_the_window(form):
    """Entries of 8 bits are stored in 8 bits, or as some programs do in 16: DICOM PS3.3, C.11.2.1.1."""
    stored = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    ramp = np.arange(4096) // 16
    entries, kind = {
        "words": (ramp.tolist(), "US"),
        "words in bytes": (ramp.astype("<u2").tobytes(), "OW"),
        "bytes": (ramp.astype(np.uint8).tobytes(), "OW"),
    }[form]
    data = dicom(
        stored,
        BitsStored=12,
        HighBit=11,
        WindowCenter=100,
        WindowWidth=50,
        VOILUTSequence=table_of(entries, kind, [4096, 0, 8]),
    )
    np.testing.assert_array_equal(read(data)[..., 0], ramp.reshape(64, 64))


def test_a_dicom_table_begins_where_it_says_and_holds_its_ends():
    stored = np.arange(-2048, 2048, dtype=np.int16).reshape(64, 64)
    entries = np.arange(2000) * 2
    expected = np.rint(entries[(stored + 1000).clip(0, 1999)] * (255 / 4095))
    table = table_of(entries.astype("<u2").tobytes(), "OW", [2000, -1000, 12], signed=True)
    np.testing.assert_array_equal(read(dicom(stored, VOILUTSequence=table))[..., 0], expected)
    table = table_of(entries.astype(">u2").tobytes(), "OW", [2000, -1000, 12], signed=True)
    data = dicom(stored.byteswap(), syntax="1.2.840.10008.1.2.2", VOILUTSequence=table)
    np.testing.assert_array_equal(read(data)[..., 0], expected)


def test_a_modality_table_of_every_number_is_looked_up_from_its_first():
    stored = np.linspace(-32768, 32767, 600).astype(np.int16).reshape(20, 30)
    table = table_of(np.arange(65536).astype("<u2").tobytes(), "OW", [0, -32768, 16], signed=True)  # 0 stands for 65536
    table[0].ModalityLUTType = "US"
    data = dicom(stored, ModalityLUTSequence=table)
    np.testing.assert_array_equal(read(data)[..., 0], np.rint((stored + 32768.0) * (255 / 65535)))


def test_dicom_refusals_name_the_cause(tmp_path):
    path = tmp_path / "a.dcm"
    for data, cause in (
        (b"hello", "it is DICOM without an image, or no DICOM at all"),
        (dicom(GRAY)[:-200], "it is truncated"),
        (dicom(GRAY, Rows=60_000, Columns=60_000), "60000 x 60000 pixels are more than 89,478,485"),
    ):
        path.write_bytes(data)
        with pytest.raises(UnreadableImageError) as caught:
            read(path)
        assert f"{str(path)!r} cannot be read as an image: {cause}" in str(caught.value)


def test_a_deflated_dicom_is_read_and_one_that_would_fill_the_memory_refused(monkeypatch):
    deflated = "1.2.840.10008.1.2.1.99"
    np.testing.assert_array_equal(read(dicom(GRAY, syntax=deflated)), GRAY[..., None])
    padded = dicom(GRAY, syntax=deflated, TextValue="a" * 2_000_000)
    assert len(padded) < 20_000
    np.testing.assert_array_equal(read(padded), GRAY[..., None])
    monkeypatch.setenv("IMGCLS_MAX_PIXELS", "100000")
    with pytest.raises(UnreadableImageError, match=r"it unfolds to more than 665,536 bytes; the environment variable"):
        read(padded)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "lzma", "zstd"])
@pytest.mark.parametrize("predictor", [False, True])
def test_a_compressed_tiff_of_several_bands_is_read_whole_or_refused(compression, predictor):
    stored = RANDOM.integers(0, 40, (21, 17, 5), dtype=np.uint8)
    data = tiff_of(stored, planarconfig="contig", extrasamples=[0] * 4, compression=compression, predictor=predictor)
    np.testing.assert_array_equal(read(data), stored)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, about tags that are cut
        for length in range(8, len(data), len(data) // 10):
            with pytest.raises(UnreadableImageError):
                read(data[:length])


def recoded(data, compression, payload=None):
    """Return a TIFF that claims another compression, and holds `payload` in place of its pixels."""
    data = bytearray(data)
    with pytest.importorskip("tifffile", reason="needs tifffile: pip install 'imgcls[tiff]'").TiffFile(
        io.BytesIO(data)
    ) as tiff:
        tags = tiff.pages[0].tags
        struct.pack_into("<H", data, tags["Compression"].valueoffset, compression)
        if payload is not None:
            struct.pack_into("<I", data, tags["StripOffsets"].valueoffset, len(data))
            kind = "<H" if tags["StripByteCounts"].dtype == 3 else "<I"
            struct.pack_into(kind, data, tags["StripByteCounts"].valueoffset, len(payload))
    return bytes(data) + (payload or b"")


BANDS = RANDOM.integers(0, 256, (64, 64, 5), dtype=np.uint8)


@pytest.mark.parametrize(("code", "name"), [(7, "JPEG"), (34712, "JPEG2000"), (34887, "LERC"), (50001, "WEBP")])
def test_a_compression_that_sets_its_own_size_is_refused_by_name(code, name):
    with pytest.raises(UnreadableImageError) as caught:
        read(recoded(tiff_of(BANDS, planarconfig="contig"), code))
    assert str(caught.value).startswith(
        f"'the bytes' cannot be read as an image: its compression is {name}. Read are none, LZW, deflate, PackBits, LZMA, Zstandard. "
    )


@pytest.mark.parametrize(("code", "name", "compress"), [(8, "deflate", zlib.compress), (34925, "LZMA", lzma.compress)])
def test_a_strip_unfolds_to_no_more_than_its_image(code, name, compress):
    data = recoded(tiff_of(BANDS, planarconfig="contig"), code, compress(bytes(64 * 2**20)))
    assert len(data) < 2**17 + BANDS.nbytes
    tracemalloc.start()  # NumPy's and Python's memory: what a decoder without a limit fills
    with contextlib.suppress(UnreadableImageError):  # imagecodecs refuses the one and cuts off the other
        read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_a_compressed_tiff_without_its_decoder_is_refused_with_the_line_that_installs_it(monkeypatch):
    data = tiff_of(BANDS, planarconfig="contig", compression="lzw")
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(UnreadableImageError) as caught:
        read(data)
    assert str(caught.value).startswith(
        "'the bytes' cannot be read as an image: its compression, LZW, needs imagecodecs. "
        'Install it: pip install "imgcls[tiff]". Accepted: '
    )
    assert read(tiff_of(BANDS, planarconfig="contig")).shape == (64, 64, 5)


@pytest.mark.parametrize(("library", "extra"), [("pydicom", "dicom"), ("tifffile", "tiff")])
def test_without_its_library_a_file_is_refused_with_the_line_that_installs_it(library, extra, monkeypatch):
    data = dicom(GRAY) if extra == "dicom" else tiff_of(GRAY.astype(np.float32))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UnreadableImageError) as caught:
        read(data)
    assert f'needs {library}. Install it: pip install "imgcls[{extra}]"' in str(caught.value)


def test_the_libraries_of_the_extras_are_silent(capfd, caplog, shared_data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for folder in ("dicom", "geotiff"):
            for path in sorted((shared_data / folder).iterdir()):
                if path.suffix in {".dcm", ".tif"} and path.name != "corrupt.tif":  # libtiff itself writes of that one
                    _verdict(path)
    assert capfd.readouterr().err == ""


# --- every odd file that we have ---------------------------------------------------------------------------------


def _verdict(path, **options):
    try:
        image = read(path, **options)
    except UnreadableImageError as error:
        assert str(error).startswith(repr(str(path)))  # noqa: PT017 - both outcomes are right
        return None
    assert image.dtype == np.uint8
    assert image.ndim == 3
    return image


@pytest.mark.parametrize(
    ("folder", "files", "read_ones"), [("weird", 300, 300), ("dicom", 100, 60), ("geotiff", 15, 10)]
)
def test_odd_files_are_read_or_refused_and_nothing_else(folder, files, read_ones, shared_data, capfd):
    """Pillow, libjpeg-turbo, sharp, pydicom and rasterio keep these files because something once failed on them."""
    found = [path for path in sorted((shared_data / folder).rglob("*")) if path.is_file()]
    assert len(found) >= files
    count = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own, about tags
        for path in found:
            image, small = _verdict(path), _verdict(path, size=(32, 32))
            assert (image is None) == (small is None), path
            if image is not None:
                count += 1
                np.testing.assert_array_equal(_verdict(path), image)
                assert small.shape == (32, 32, image.shape[2])
    assert count >= read_ones
    capfd.readouterr()  # libtiff writes to stderr


def test_every_suffix_is_one_that_a_user_might_meet():
    assert {".jpg", ".png", ".webp", ".avif", ".tif", ".dcm", ".mpo"} <= SUFFIXES
    assert all(suffix == os.path.splitext("a" + suffix)[1].lower() == Path("a" + suffix).suffix for suffix in SUFFIXES)  # noqa: PTH122
