"""The decode-once store: found again by content, filled by several, never trusted where it is damaged."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import zlib

import numpy as np
import pytest

from imgcls import images
from imgcls.datasets import Batches, Dataset, _cache, _store
from imgcls.errors import UnreadableImageError

SIZE = (12, 10)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def data(photos):
    return Dataset.from_folder(photos)


@pytest.fixture
def decoded(monkeypatch):
    """Return a list that grows by the name of each image that is decoded from now on."""
    names, read = [], images.read

    def noted(item, **options):
        names.append(options.get("name"))
        return read(item, **options)

    monkeypatch.setattr(images, "read", noted)
    return names


def batches(data, **options):
    return Batches(data, image_size=SIZE, channels=3, batch_size=5, **{"keep": "store", **options})


def whole(made):
    return np.concatenate([images for images, _ in made.in_order()])


def the_file(cache):
    (path,) = cache.glob("images-*.sqlite")
    return path


def test_images_are_decoded_once_for_all_runs_names_and_datasets(data, cache, decoded, photos, tmp_path):
    truth = whole(batches(data))
    assert len(decoded) == 16
    assert the_file(cache).name == f"images-{images.DECODER_VERSION}-12x10x3.sqlite"
    assert not list(cache.glob("*-journal"))
    shutil.copytree(photos, tmp_path / "other")
    shutil.rmtree(photos)
    other = Dataset.from_files([tmp_path / "other" / name for name in data.ids])
    for keep in ("store", "auto"):
        np.testing.assert_array_equal(whole(batches(other, keep=keep)), truth)
    assert len(decoded) == 16


def test_a_changed_file_is_another_image(data, cache, photos):
    before = whole(batches(data))
    shutil.copy(photos / "dog/0.png", photos / "cat/0.jpg")
    after = whole(batches(data))
    np.testing.assert_array_equal(after[0], before[8])
    np.testing.assert_array_equal(after[1:], before[1:])


def test_pixels_of_an_optional_decoder_are_found_only_where_it_is_installed(photos, cache, decoded, monkeypatch):
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'imgcls[tiff]'")
    tifffile.imwrite(photos / "cat" / "half.tif", np.full((20, 20), 0.5, np.float32))
    data = Dataset.from_folder(photos)
    truth = whole(batches(data))
    assert (truth[data.ids.index("cat/half.tif")] == 128).all()  # half of 255, rounded to even
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "tifffile", None)
        _cache.optional_decoders.cache_clear()
        with pytest.raises(UnreadableImageError, match="needs tifffile"):
            whole(batches(data))
    _cache.optional_decoders.cache_clear()
    np.testing.assert_array_equal(whole(batches(data)), truth)
    assert len(decoded) == 17 + 1  # the others are found in any case


def test_dicom_is_decoded_once_and_is_not_taken_for_another_file_of_the_same_bytes(cache, decoded, photos, tmp_path):
    pydicom = pytest.importorskip("pydicom", reason="needs pydicom: pip install 'imgcls[dicom]'")
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPInstanceUID = pydicom.uid.ExplicitVRLittleEndian, "1.2.3"
    meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    scan = pydicom.dataset.FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    scan.Rows, scan.Columns, scan.SamplesPerPixel, scan.PixelRepresentation = *SIZE, 1, 0
    scan.BitsAllocated, scan.BitsStored, scan.HighBit, scan.PhotometricInterpretation = 8, 8, 7, "MONOCHROME2"
    scan.PixelData = bytes(range(120))
    (tmp_path / "scans").mkdir()
    pydicom.dcmwrite(tmp_path / "scans" / "0.dcm", scan, enforce_file_format=True)
    bare = (tmp_path / "scans" / "0.dcm").read_bytes()[132:]  # known as DICOM by the name alone
    (tmp_path / "scans" / "1.DICOM").write_bytes(bare)
    data = Dataset.from_files([tmp_path / "scans" / name for name in ("0.dcm", "1.DICOM")])
    pixels = np.arange(120, dtype=np.uint8).reshape(*SIZE, 1)
    for made in (batches(data), batches(data)):
        for seen in (whole(made), whole(made)):
            np.testing.assert_array_equal(seen, np.broadcast_to(pixels, (2, *SIZE, 3)))
    assert len(decoded) == 2
    (tmp_path / "scans" / "1.bin").write_bytes(bare)
    batches(Dataset.from_files([photos / "dog" / "0.png"]))
    shutil.copy(photos / "dog" / "0.png", tmp_path / "scans" / "2.dcm")
    for name in ("1.bin", "2.dcm"):  # their bytes are in the store, as those of other files
        with pytest.raises(UnreadableImageError):
            batches(Dataset.from_files([tmp_path / "scans" / name]))


def test_sizes_and_channels_do_not_mix(data, cache):
    for channels in (1, 3):
        made = Batches(data, image_size=SIZE, channels=channels, batch_size=5, keep="store")
        np.testing.assert_array_equal(whole(made)[3], data.read(3, size=SIZE, channels=channels))
    assert len(list(cache.iterdir())) == 2


def test_off_writes_nothing_and_what_is_not_from_a_file_is_not_stored(data, cache, monkeypatch):
    arrays = Dataset.from_arrays([data.read(index, channels=3) for index in range(16)])
    assert batches(arrays).keep == "stream"
    assert batches(arrays, keep="auto").keep == "memory"
    assert batches(data, keep="stream").keep == "stream"
    monkeypatch.setenv("IMGCLS_CACHE", "off")
    assert batches(data).keep == "stream"
    assert not cache.exists()


def truncated(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def garbled(path):
    path.write_bytes(b"not a database at all" * 1000)


def emptied(path):
    path.write_bytes(b"")


def zeroed(path):
    content = path.read_bytes()
    path.write_bytes(content[:16384] + bytes(len(content) - 16384))


def altered(path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE images SET pixels = zeroblob(360) WHERE rowid = 3")
        connection.execute("UPDATE images SET pixels = 'text' WHERE rowid = 4")
        connection.execute(
            "UPDATE images SET pixels = zeroblob(9), checksum = ? WHERE rowid = 5", (zlib.crc32(bytes(9)),)
        )
    connection.close()


DAMAGES = [truncated, garbled, emptied, zeroed, altered]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_never_believed_and_mended(data, cache, decoded, damage):
    truth = whole(batches(data))
    damage(the_file(cache))
    np.testing.assert_array_equal(whole(batches(data)), truth)
    batches(data)  # where damage was met in the middle, the next run mends the rest
    decoded.clear()
    np.testing.assert_array_equal(whole(batches(data)), truth)
    assert not decoded


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_store_damaged_under_a_running_process_costs_time_alone(data, cache, damage):
    made = batches(data)
    truth = whole(made)
    damage(the_file(cache))
    np.testing.assert_array_equal(whole(made), truth)


def test_a_full_disk_is_said_once_and_images_are_decoded_anew(data, cache, monkeypatch):
    insert = _store._insert

    def on_a_full_disk(connection, rows, most):
        connection.execute("PRAGMA max_page_count = 1")
        insert(connection, [(key, checksum, bytes(99_999)) for key, checksum, _ in rows], most)

    monkeypatch.setattr(_store, "_insert", on_a_full_disk)
    lines = []
    made = batches(data, what="training", say=lines.append)
    assert lines[1:] == [
        f"{_cache.shown(cache)} takes no more images (database or disk is full): those it lacks are decoded anew"
    ]
    np.testing.assert_array_equal(whole(made), whole(batches(data, keep="stream")))


def test_a_folder_that_cannot_be_made_is_a_cache_that_is_off(data, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "file" / "cache"))
    assert batches(data).keep == "stream"


def test_a_folder_below_the_home_folder_may_be_named_as_in_a_shell(tmp_path, monkeypatch):
    """A file of settings, such as .env, is read by no shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # of Windows
    monkeypatch.setenv("IMGCLS_CACHE", "~/mine")
    assert _cache.folder() == tmp_path / "mine"
    assert _cache.shown(tmp_path / "mine") == "~/mine"


@pytest.mark.skipif(sys.platform == "win32", reason="there a user always has a home folder")
def test_without_a_home_folder_the_cache_is_off_unless_a_folder_is_named(data, tmp_path, monkeypatch):
    """As in a container whose user is a number alone."""
    for variable in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}["nobody"])
    for given in ("", "~/mine"):
        monkeypatch.setenv("IMGCLS_CACHE", given)
        assert _cache.folder() is None
        assert batches(data).keep == "stream"
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    assert _cache.folder() == tmp_path / "cache"
    assert _cache.shown(tmp_path / "cache") == str(tmp_path / "cache")
    monkeypatch.delenv("IMGCLS_CACHE")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert _cache.folder() == tmp_path / "imgcls" / "Cache"


def test_the_oldest_make_room(tmp_path):
    store = _store.Store(tmp_path / "store", most=10)
    images = np.random.default_rng(0).integers(0, 256, (25, 4, 4, 3), dtype=np.uint8)
    names = [_store.key(bytes([index])) for index in range(25)]
    for start in range(0, 25, 5):
        store.add((names[index], images[index]) for index in range(start, start + 5))
    found = np.zeros_like(images)
    assert [store.read(name, image) for name, image in zip(names, found, strict=True)] == [False] * 15 + [True] * 10
    np.testing.assert_array_equal(found[15:], images[15:])
    store.close()


def test_more_images_than_a_store_may_hold_are_streamed(data, cache, monkeypatch):
    monkeypatch.setattr(_store, "LIMIT_BYTES", 16 * 360 - 1)
    assert batches(data).keep == "stream"
    monkeypatch.setattr(_store, "LIMIT_BYTES", 16 * 360)
    assert batches(data).keep == "store"


KILLED = """
import sys, time
import numpy as np
from pathlib import Path
from imgcls.datasets import Batches, Dataset, _store

class Slow:
    def __init__(self, connection):
        self.connection = connection
    def execute(self, statement, *values):
        if statement == "COMMIT":
            print("written, not committed", flush=True)
            time.sleep(60)
        return self.connection.execute(statement, *values)
    def __getattr__(self, name):
        return getattr(self.connection, name)

insert, chunks = _store._insert, []

def slow(connection, rows, most):
    chunks.append(rows)
    insert(Slow(connection) if len(chunks) == 2 else connection, rows, most)

_store._insert = slow
_store_chunk = __import__("imgcls.datasets._batches").datasets._batches
_store_chunk._CHUNK_IMAGES = 8
Batches(Dataset.from_folder(sys.argv[1]), image_size=(400, 400), channels=3, batch_size=5, keep="store")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_filler_leaves_whole_chunks_and_the_next_goes_on(data, cache, decoded, photos):
    process = subprocess.Popen([sys.executable, "-c", KILLED, photos], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "written, not committed\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert list(cache.glob("*-journal")), "the killed transaction should have reached the disk"
    made = Batches(data, image_size=(400, 400), channels=3, batch_size=5, keep="store")
    assert len(decoded) == 8  # the second chunk; the first was whole
    for index, image in enumerate(whole(made)):
        np.testing.assert_array_equal(image, data.read(index, size=(400, 400), channels=3))


FILL = """
import sys
import numpy as np
from imgcls.datasets import Batches, Dataset, _batches
_batches._CHUNK_IMAGES = 3
data = Dataset.from_folder(sys.argv[1])
sys.stdin.readline()  # both start at once
made = Batches(data, image_size=(64, 60), channels=3, batch_size=5, keep="store")
assert made.keep == "store" and made._store.trouble is None, made._store
for images, positions in made.in_order():
    for image, position in zip(images, positions):
        assert (image == data.read(position, size=(64, 60), channels=3)).all()
print("right")
"""


def test_two_processes_fill_one_store_at_once(data, cache, decoded, photos):
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": dict(os.environ)}
    fillers = [subprocess.Popen([sys.executable, "-c", FILL, photos], **options) for _ in range(2)]
    for filler in fillers:
        filler.stdin.write("\n")
        filler.stdin.flush()
    assert [filler.communicate(timeout=60)[0] for filler in fillers] == ["right\n"] * 2
    made = Batches(data, image_size=(64, 60), channels=3, batch_size=5, keep="store")
    assert not decoded
    np.testing.assert_array_equal(whole(made)[7], data.read(7, size=(64, 60), channels=3))


def test_free_disk_is_that_of_the_nearest_folder_there_is(tmp_path):
    assert _cache.free_disk(tmp_path / "not" / "yet") > 0


def test_paths_are_shown_as_people_write_them(monkeypatch, tmp_path):
    monkeypatch.setattr(_cache.Path, "home", lambda: tmp_path)
    assert _cache.shown(tmp_path / ".cache" / "imgcls") == "~/.cache/imgcls"
    assert _cache.shown(tmp_path.parent) == str(tmp_path.parent)
