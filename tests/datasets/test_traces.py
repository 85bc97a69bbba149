"""Traces: images are found again by what little is kept of them, and cannot be seen in it."""

import hashlib
import sqlite3

import numpy as np
import pytest
from PIL import Image
from test_duplicates import encoded, textured

from imgcls import Dataset
from imgcls.datasets import Traces, copies_in
from imgcls.datasets import _traces as module

EDITS = {
    "the same file": lambda image: encoded(image, "PNG"),
    "the same pixels": lambda image: encoded(image, "BMP"),
    "encoded again": lambda image: encoded(image, quality=60),
    "smaller": lambda image: encoded(image.resize((100, 75)), quality=90),
    "larger": lambda image: encoded(image.resize((300, 225)), "PNG"),
    "mirrored": lambda image: encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), quality=85),
}


@pytest.fixture(scope="module")
def traces():
    return Traces.of(Dataset([encoded(textured(seed), "PNG") for seed in range(12)]))


@pytest.mark.parametrize("edit", EDITS)
def test_copies_are_found_and_nothing_else(traces, edit):
    others = [EDITS[edit](textured(seed)) for seed in (3, 50, 7, 51, 52)]
    assert traces.copies_in(Dataset(others)).tolist() == [0, 2]


def test_small_and_blank_images_match_exactly_only():
    small, blank = textured(1).resize((47, 47)), Image.new("RGB", (200, 200), "white")
    known = Traces.of(Dataset([encoded(small, "PNG"), encoded(blank, "PNG")]))
    assert len(known.hashes) == 0
    nearly = blank.copy()
    nearly.putpixel((5, 5), (0, 0, 0))
    others = [encoded(small, "BMP"), encoded(small, quality=95), encoded(nearly, "PNG"), encoded(blank, "BMP")]
    assert known.copies_in(Dataset(others)).tolist() == [0, 3]


def test_what_cannot_be_read_leaves_nothing(traces):
    known = Traces.of(Dataset([b"no image", encoded(textured(1), "PNG")]))
    assert (known.images, len(known.contents)) == (2, 1)
    assert traces.copies_in(Dataset([b"no image", encoded(textured(1), "PNG")])).tolist() == [1]


def test_the_hash_follows_from_the_contents_alone():
    """Computed by hand: BLAKE2b of each array's shape and bytes, sorted, one after the other."""
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 9, 3), dtype=np.uint8)
    digests = sorted(hashlib.blake2b(b"(8, 9, 3)" + one.tobytes(), digest_size=16).digest() for one in images)
    expected = hashlib.sha256(b"".join(digests)).hexdigest()
    assert Traces.of(Dataset.from_arrays(images)).sha256 == expected
    assert Traces.of(Dataset.from_arrays(images[[4, 2, 2, 0, 1, 3]])).sha256 == expected
    assert Traces.of(Dataset.from_arrays(images[:4])).sha256 != expected


def test_the_short_way_for_small_arrays_finds_what_a_scan_finds(monkeypatch):
    images = [*np.random.default_rng(0).integers(0, 256, (50, 20, 30), dtype=np.uint8), np.zeros((5, 5), np.float32)]
    dataset = Dataset([*images, images[3]])
    short = Traces.of(dataset)
    monkeypatch.setattr(module, "_is_small_array", lambda _: False)
    long = Traces.of(dataset)
    assert short.images == long.images == 52
    for name in ("contents", "pixels", "hashes", "mosaics"):
        np.testing.assert_array_equal(getattr(short, name), getattr(long, name))
    assert short.contents.shape == (50, 16)


def test_a_mosaic_is_the_mean_of_its_cells(traces):
    picture = np.asarray(textured(0).resize((96, 96), Image.Resampling.BOX), float)
    cells = picture.reshape(4, 24, 4, 24, 3).mean(axis=(1, 3))
    assert np.abs(traces.mosaics.astype(float) - cells).mean(axis=(1, 2, 3)).min() < 2


def test_many_files_that_nobody_has_looked_at_are_left_alone(tmp_path, monkeypatch):
    for seed in range(4):
        (tmp_path / f"{seed}.png").write_bytes(encoded(textured(seed), "PNG"))
    dataset = Dataset(sorted(tmp_path.glob("*.png")))
    monkeypatch.setattr(module, "_MOST_FILES", 3)
    assert Traces.of(dataset) is None
    monkeypatch.undo()
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    assert Traces.of(dataset) is None
    dataset.check(verbose=0)  # looks, and keeps what it sees
    assert len(Traces.of(dataset).contents) == 4
    monkeypatch.setattr(module, "MOST", 3)
    assert Traces.of(dataset) is None


@pytest.mark.parametrize("place", ["off", "file", "locked"])
def test_without_a_cache_on_disk_what_this_process_has_looked_at_is_known(tmp_path, monkeypatch, place):
    """Else a bundle would hold no traces, and nobody would hear that test images were learnt from."""

    def locked(*_, **__):
        raise sqlite3.OperationalError("database is locked")

    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("IMGCLS_CACHE", "off" if place == "off" else str(tmp_path / place))
    if place == "locked":
        monkeypatch.setattr(sqlite3, "connect", locked)
    monkeypatch.setattr(module, "_MOST_FILES", 3)
    for seed in range(4):
        (tmp_path / f"{seed}.png").write_bytes(encoded(textured(seed), "PNG"))
    files = sorted(tmp_path.glob("*.png"))
    assert Traces.of(Dataset(files)) is None
    Dataset(files).split((0.5, 0.5), verbose=0)
    truth = sorted(hashlib.blake2b(file.read_bytes(), digest_size=16).digest() for file in files)
    assert [row.tobytes() for row in Traces.of(Dataset(files)).contents] == truth


def test_as_good_as_with_the_images_at_hand(shared_data):
    """On real photos: what `copies_in` finds by thumbnails, traces find but for one in twenty; and nothing more."""
    paths = sorted(shared_data.glob("flowers224/*/*/*.jpg"))[:400]
    random = np.random.default_rng(0)
    edited = []
    for path in paths[:150]:
        image = Image.open(path).convert("RGB")
        scale = random.uniform(0.4, 1.5)
        image = image.resize((max(48, round(image.width * scale)), max(48, round(image.height * scale))))
        edited.append(encoded(image, quality=int(random.integers(40, 96))))
    known, others = Dataset(paths[:150]), Dataset([*edited, *paths[150:]])
    found = Traces.of(known).copies_in(others)
    truth = copies_in(known, others)
    assert (found < 150).sum() >= 0.92 * 150
    assert set(found[found >= 150]) <= set(truth[truth >= 150])
