"""Facts of each image, and the cache that keeps them."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter

from imgcls import Dataset, images
from imgcls.datasets import _cache, _duplicates, _scan, _scan_cache


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "scan.sqlite"


def picture(seed=0, height=96, width=128):
    """Return a smooth random RGB picture."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (7, 9, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def facts_of(*images):
    return _scan.scan(Dataset(list(images))).facts


@pytest.fixture
def decoded(monkeypatch):
    """Count what is decoded."""
    seen = []
    glance, read = images.glance, images.read
    monkeypatch.setattr(images, "glance", lambda data, *others: seen.append(data) or glance(data, *others))
    monkeypatch.setattr(images, "read", lambda item, **options: seen.append(item) or read(item, **options))
    return seen


# --- facts ---------------------------------------------------------------------------------------------------------


def test_sizes_bytes_and_light(tmp_path):
    picture().save(tmp_path / "a.png")
    Image.new("L", (60, 50), 200).save(tmp_path / "b.png")
    color, gray = _scan.scan(Dataset.from_files([tmp_path / "a.png", tmp_path / "b.png"])).facts
    assert (color["height"], color["width"], color["channels"]) == (96, 128, 3)
    assert (gray["height"], gray["width"], gray["channels"]) == (50, 60, 1)
    assert color["bytes"] == (tmp_path / "a.png").stat().st_size
    luma = np.asarray(picture().convert("L"))
    assert color["brightness"] == pytest.approx(luma.mean(), abs=1)
    assert color["contrast"] == pytest.approx(luma.std(), abs=2)
    assert gray["brightness"] == pytest.approx(200)
    assert gray["contrast"] == gray["sharpness"] == 0


def test_thumbnail_is_the_picture_resized():
    facts = facts_of(np.asarray(picture(height=375, width=500)))
    expected = np.asarray(picture(height=375, width=500).resize((16, 16), Image.Resampling.BOX), np.int64)
    assert np.abs(facts["thumbnail"][0] - expected).mean() < 2


@pytest.mark.parametrize("seed", range(5))
def test_hash_of_the_mirror_image_follows_from_the_hash(seed):
    straight, mirrored = facts_of(picture(seed), picture(seed).transpose(Image.Transpose.FLIP_LEFT_RIGHT))["hash"]
    assert np.bitwise_count(straight ^ _scan.MIRROR ^ mirrored) <= 2
    assert np.bitwise_count(straight ^ mirrored) > 16


def test_hash_survives_size_and_compression(tmp_path):
    picture(height=300, width=400).save(tmp_path / "a.png")
    picture(height=300, width=400).resize((150, 120)).save(tmp_path / "b.jpg", quality=50)
    one, other = _scan.scan(Dataset.from_files([tmp_path / "a.png", tmp_path / "b.jpg"])).facts["hash"]
    assert np.bitwise_count(one ^ other) <= 6


def test_blur_lowers_sharpness():
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    sharp, blurred = facts_of(noise, Image.fromarray(noise).filter(ImageFilter.GaussianBlur(3)))["sharpness"]
    assert blurred < sharp / 4


def test_unreadable_truncated_and_missing_are_verdicts(tmp_path):
    paths = [tmp_path / name for name in ("good.jpg", "cut.jpg", "text.jpg", "gone.jpg")]
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for path in paths:
        noise.save(path)
    data = Dataset.from_files(paths)
    paths[1].write_bytes(paths[1].read_bytes()[:2000])
    paths[2].write_text("not an image")
    paths[3].unlink()
    facts, errors = _scan.scan(data)
    assert facts["readable"].tolist() == [True, False, False, False]
    assert facts["truncated"].tolist() == [False, True, False, False]
    assert not errors[0]
    assert all(str(path) in error for path, error in zip(paths[1:], errors[1:], strict=True))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7, 300])
def test_any_number_of_bands(channels):
    image = np.random.default_rng(0).integers(0, 256, (60, 70, channels), dtype=np.uint8)
    facts = facts_of(image)
    assert facts["readable"].all()
    assert facts["thumbnail"].any()


def test_small_images_have_no_hash_and_arrays_can_go_without_looks():
    small, large = np.full((47, 90, 3), 9, np.uint8), np.full((48, 90, 3), 9, np.uint8)
    assert facts_of(small, large)["hashed"].tolist() == [False, True]
    assert facts_of(small)["brightness"] == 9
    assert not _scan.scan(Dataset([small, large]), looks=False).facts["looked"].any()


def test_each_file_is_read_once(tmp_path, photos, decoded):
    _scan.scan(Dataset.from_folder(photos))
    assert len(decoded) == 16


# --- cache ---------------------------------------------------------------------------------------------------------


def test_second_scan_decodes_only_what_changed(photos, decoded):
    first = _scan.scan(Dataset.from_folder(photos)).facts
    del decoded[:]
    assert np.array_equal(_scan.scan(Dataset.from_folder(photos)).facts, first)
    assert not decoded
    Image.new("RGB", (50, 60)).save(photos / "cat" / "0.jpg")
    again = _scan.scan(Dataset.from_folder(photos)).facts
    assert len(decoded) == 1
    assert (again["height"][0], again["width"][0]) == (60, 50)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_file_that_is_replaced_with_its_times_kept_is_looked_at_again(tmp_path, in_place):
    """As by cp -p, rsync -t or tar: the path, the size and the time of modification stay."""
    for name, seed in (("a", 0), ("b", 1), ("c", 2)):
        picture(seed).save(tmp_path / f"{name}.ppm")
        os.utime(tmp_path / f"{name}.ppm", (1e9, 1e9))
    data = Dataset.from_files([tmp_path / f"{name}.ppm" for name in "abc"])
    assert data.check(verbose=0).ids("IMG010") == ()
    size = (tmp_path / "b.ppm").stat().st_size
    if in_place:
        (tmp_path / "b.ppm").write_bytes((tmp_path / "a.ppm").read_bytes())
        os.utime(tmp_path / "b.ppm", (1e9, 1e9))
    else:
        shutil.copy2(tmp_path / "a.ppm", tmp_path / "other.ppm")
        (tmp_path / "other.ppm").replace(tmp_path / "b.ppm")
    state = (tmp_path / "b.ppm").stat()
    assert (state.st_size, state.st_mtime) == (size, 1e9)  # else the test could not fail
    assert data.check(verbose=0).ids("IMG010") == data.ids[:2]


def test_what_cannot_be_read_is_tried_again(tmp_path, decoded):
    (tmp_path / "a.png").write_text("text")
    data = Dataset.from_files([tmp_path / "a.png"])
    errors = [_scan.scan(data).errors for _ in range(2)]
    assert len(decoded) == 2
    assert errors[0] == errors[1] != ("",)


def test_what_is_kept_of_a_file_does_not_depend_on_who_asked_first(tmp_path):
    for light in (9, 99):
        Image.new("L", (20, 20), light).save(tmp_path / f"{light}.png")
    data = Dataset.from_files([tmp_path / "9.png", tmp_path / "99.png"])
    data.split((0.5, 0.5), duplicates="exact", verbose=0)
    assert data.check(verbose=0).ids("IMG034") == data.ids  # both are blank


@pytest.fixture
def decoders():
    """Return what makes imgcls look anew which optional decoders there are, as another process would."""
    yield _cache.optional_decoders.cache_clear
    _cache.optional_decoders.cache_clear()


def test_what_an_optional_decoder_has_read_is_unreadable_where_it_is_not_installed(tmp_path, monkeypatch, decoders):
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install 'imgcls[tiff]'")
    tifffile.imwrite(tmp_path / "a.tif", np.full((60, 60), 0.5, np.float32))
    data = Dataset.from_files([tmp_path / "a.tif"])
    assert _scan.scan(data).errors == ("",)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "tifffile", None)
        decoders()
        assert "needs tifffile" in _scan.scan(data).errors[0]
    decoders()
    assert _scan.scan(data).errors == ("",)


def test_another_version_of_an_optional_decoder_starts_anew(photos, decoded, monkeypatch, decoders):
    pytest.importorskip("pydicom", reason="needs pydicom: pip install 'imgcls[dicom]'")
    for version, count in (("3.0.1", 16), ("3.0.2", 32), ("3.0.1", 32)):
        monkeypatch.setattr("importlib.metadata.version", lambda package, version=version: version)
        decoders()
        assert "pydicom " + version in _cache.optional_decoders()
        _scan.scan(Dataset.from_folder(photos))
        assert len(decoded) == count


def test_arrays_are_not_kept(own_cache, decoded):
    data = Dataset([np.zeros((50, 50, 3), np.uint8)])
    _scan.scan(data)
    _scan.scan(data)
    assert len(decoded) == 2


def test_another_version_starts_anew(photos, decoded, monkeypatch):
    _scan.scan(Dataset.from_folder(photos))
    monkeypatch.setattr(_scan_cache, "_VERSION", 999)
    _scan.scan(Dataset.from_folder(photos))
    assert len(decoded) == 32


@pytest.mark.parametrize("damage", [b"this is no database" * 100, b""])
def test_damaged_cache_is_thrown_away(photos, own_cache, decoded, damage):
    first = _scan.scan(Dataset.from_folder(photos)).facts
    own_cache.write_bytes(damage)
    assert np.array_equal(_scan.scan(Dataset.from_folder(photos)).facts, first)
    assert len(decoded) == 32
    _scan.scan(Dataset.from_folder(photos))
    assert len(decoded) == 32


def test_cache_damaged_in_the_middle(photos, own_cache):
    first = _scan.scan(Dataset.from_folder(photos)).facts
    data = bytearray(own_cache.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    own_cache.write_bytes(data)
    assert np.array_equal(_scan.scan(Dataset.from_folder(photos)).facts, first)


def test_cache_off_or_impossible_changes_nothing_but_time(photos, tmp_path, monkeypatch):
    first = _scan.scan(Dataset.from_folder(photos)).facts
    (tmp_path / "file").write_text("in the way")
    for place in ("off", str(tmp_path / "file")):
        monkeypatch.setenv("IMGCLS_CACHE", place)
        assert np.array_equal(_scan.scan(Dataset.from_folder(photos)).facts, first)


def test_without_a_disk_a_second_scan_of_the_process_decodes_only_what_changed(photos, decoded, monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", "off")
    monkeypatch.setattr(_scan_cache, "_in_memory", {})
    data = Dataset.from_folder(photos)
    first = _scan.scan(data).facts
    del decoded[:]
    assert np.array_equal(_scan.scan(data).facts, first)
    assert not decoded
    Image.new("RGB", (50, 60)).save(photos / "cat" / "0.jpg")
    again = _scan.scan(data).facts
    assert len(decoded) == 1
    assert (again["height"][0], again["width"][0]) == (60, 50)


def test_without_a_disk_memory_is_not_filled(photos, decoded, monkeypatch):
    monkeypatch.setenv("IMGCLS_CACHE", "off")
    monkeypatch.setattr(_scan_cache, "_in_memory", {})
    monkeypatch.setattr(_scan_cache, "_MOST_IN_MEMORY", 5)
    for _ in range(2):
        _scan.scan(Dataset.from_folder(photos))
    assert len(decoded) == 16 + 11


def test_nothing_is_written_beside_the_images(photos):
    before = sorted(photos.rglob("*"))
    _scan.scan(Dataset.from_folder(photos))
    assert sorted(photos.rglob("*")) == before


_WRITER = """
import sys
from imgcls.datasets._scan_cache import ScanCache
with ScanCache() as cache:
    for turn in range(int(sys.argv[1]), int(sys.argv[1]) + 200):
        cache.put({bytes([turn % 256, turn // 256, part]): b"x" * 900 for part in range(20)})
        print(turn, flush=True)
"""


def test_two_processes_and_one_that_is_killed(own_cache):
    def start(first):
        command = [sys.executable, "-c", _WRITER, str(first)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    with start(0) as one, start(1000) as killed:
        killed.stdout.readline()
        killed.kill()
        finished, _ = one.communicate(timeout=60)
    assert one.returncode == 0
    assert len(finished.splitlines()) == 200
    with _scan_cache.ScanCache() as cache:
        keys = [bytes([turn, 0, part]) for turn in range(200) for part in range(20)]
        assert len(cache.get(keys)) == 4000
        assert len(cache.get([bytes([1000 % 256, 1000 // 256, part]) for part in range(20)])) == 20


def test_interrupt_stops_soon(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    seen = []
    data = Dataset(np.zeros((5000, 8, 8), np.uint8))
    monkeypatch.setattr(_scan.ProgressReport, "done", interrupt)
    monkeypatch.setattr(Dataset, "read", lambda self, index: seen.append(index) or np.zeros((8, 8, 1), np.uint8))
    with pytest.raises(KeyboardInterrupt):
        _scan.scan(data)
    assert len(seen) < 1000


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_small_and_its_size_known(tmp_path, orientation):
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((1200, 900), Image.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "large.jpg", exif=exif)
    image, whole = images.glance((tmp_path / "large.jpg").read_bytes(), 96, "large.jpg")
    assert whole == ((900, 1200) if orientation == 1 else (1200, 900))
    assert image.shape[:2] == tuple(side // 4 for side in whole)
    facts, _ = _scan.scan(Dataset.from_files([tmp_path / "large.jpg"]))
    assert (facts["height"][0], facts["width"][0]) == whole


def test_a_jpeg_and_its_png_are_exact_copies_though_the_scan_sees_the_jpeg_smaller(tmp_path):
    random = np.random.default_rng(0)
    for index in range(6):
        picture = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((600, 450), Image.BICUBIC)
        picture.save(tmp_path / f"{index}.jpg")
        with Image.open(tmp_path / f"{index}.jpg") as decoded:
            decoded.save(tmp_path / f"{index}.png")
            decoded.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / f"{index}.tif")
    data = Dataset.from_files(tmp_path)
    found = _duplicates.clusters(data, near=False).cluster.reshape(6, 3)  # jpg, png, tif
    assert (found[:, 0] == found[:, 1]).all()
    assert len(np.unique(found)) == 12


def test_limits_hold_for_what_was_read_before(photos, monkeypatch):
    data = Dataset.from_folder(photos)
    large = [sample.image.size > 3 * 700 for sample in data]
    assert set(large) == {True, False}
    assert not any(_scan.scan(data).errors)
    monkeypatch.setenv("IMGCLS_MAX_PIXELS", "700")
    assert ["pixels are more than 700" in error for error in _scan.scan(data).errors] == large
