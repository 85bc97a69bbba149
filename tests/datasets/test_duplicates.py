"""Copies: planted among real photos, found; and nothing else taken for one."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from imgcls import Dataset
from imgcls.datasets import _duplicates
from imgcls.datasets._duplicates import candidate_pairs, clusters


def textured(seed, height=150, width=200):
    """Return a picture with large and small structure, unlike any other."""
    random = np.random.default_rng(seed)
    image = np.zeros((height, width, 3))
    for cells, weight in ((4, 110), (9, 60), (30, 25)):
        noise = random.normal(0, 1, (cells, cells, 3)).clip(-2.5, 2.5)
        layer = Image.fromarray(((noise + 2.5) * 51).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
        image += (np.asarray(layer, float) / 127.5 - 1) * weight
    return Image.fromarray((image + 128).clip(0, 255).astype(np.uint8))


def encoded(image, kind="JPEG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def groups(dataset, **options):
    numbers = clusters(dataset, **options).cluster
    return [np.flatnonzero(numbers == number).tolist() for number in range(numbers.max() + 1)]


# --- exact ---------------------------------------------------------------------------------------------------------


def test_equal_bytes_and_equal_pixels_are_exact():
    one, other = textured(1), textured(2)
    data = Dataset([encoded(one, "PNG"), encoded(one, "BMP"), encoded(other, "PNG"), encoded(one, "PNG")])
    assert groups(data, near=False) == [[0, 1, 3], [2]]


def test_of_near_copies_only_a_jpeg_and_another_format_are_decoded_in_full_and_once(tmp_path, monkeypatch):
    """As two bursts: each frame is a near copy of others of its size, and the scan has seen all but JPEGs whole."""
    (tmp_path / "photos").mkdir()
    random = np.random.default_rng(0)
    for scene, ending in enumerate(("jpg", "png")):
        frame = np.asarray(textured(scene, 450, 600)).astype(np.int16)
        for index in range(4):
            clouds = np.kron(random.integers(-5, 6, (6, 8, 3)), np.ones((75, 75, 1), np.int16))
            pixels = (frame + clouds).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / f"{scene} {index}.{ending}", quality=92)
    with Image.open(tmp_path / "photos" / "0 1.jpg") as decoded:
        decoded.save(tmp_path / "photos" / "0 same.png")
    data = Dataset.from_files(tmp_path / "photos")
    names = [Path(name).name for name in data.ids]
    monkeypatch.setenv("IMGCLS_CACHE", str(tmp_path / "cache"))
    seen, read = [], Dataset.read
    monkeypatch.setattr(
        Dataset, "read", lambda self, index: seen.append(Path(self.ids[index]).name) or read(self, index)
    )
    equal = [[names[place] for place in group] for group in groups(data, near=False) if len(group) > 1]
    assert equal == [["0 1.jpg", "0 same.png"]]
    assert {"0 1.jpg", "0 same.png"} <= set(seen) <= {name for name in names if name.startswith("0")}
    assert len(seen) == len(set(seen))
    del seen[:]
    assert len(groups(data)) == 2  # with near copies, the scenes
    assert not seen  # what was decoded once is known
    with Image.open(tmp_path / "photos" / "0 same.png") as image:
        image.putpixel((3, 3), tuple(255 - value for value in image.getpixel((3, 3))))
        image.save(tmp_path / "photos" / "0 same.png")
    assert all(len(group) == 1 for group in groups(data, near=False))
    assert seen == ["0 same.png"]


def test_one_pixel_makes_a_near_copy():
    pixels = np.asarray(textured(1)).copy()
    changed = pixels.copy()
    changed[3, 3] ^= 1
    data = Dataset([encoded(Image.fromarray(pixels), "PNG"), encoded(Image.fromarray(changed), "BMP")])
    assert groups(data, near=False) == [[0], [1]]
    assert groups(data) == [[0, 1]]


def test_shape_counts_for_arrays():
    images = [np.zeros((8, 4), np.uint8), np.zeros((4, 8), np.uint8), np.zeros((8, 4, 1), np.uint8)]
    assert groups(Dataset(images)) == [[0, 2], [1]]


def test_small_and_blank_images_match_exactly_only():
    small = textured(1).resize((47, 47))
    blank = Image.new("RGB", (200, 200), "white")
    nearly = blank.copy()
    nearly.putpixel((5, 5), (0, 0, 0))
    soft = small.filter(ImageFilter.GaussianBlur(0.5))
    assert groups(Dataset([small, soft, blank, nearly, small, blank])) == [[0, 4], [1], [2, 5], [3]]


@pytest.mark.slow
def test_seventy_thousand_small_arrays():
    images = np.random.default_rng(0).integers(0, 256, (70_000, 28, 28), dtype=np.uint8)
    images[60_000] = images[7]
    numbers = clusters(Dataset(images), near=False).cluster  # comparing all with all would take hours
    assert numbers[60_000] == numbers[7]
    assert numbers.max() == 69_998


def test_what_cannot_be_read_is_alone(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("the same text")
    assert groups(Dataset.from_files([tmp_path / "a.png", tmp_path / "b.png"])) == [[0], [1]]


# --- near ----------------------------------------------------------------------------------------------------------

EDITS = {
    "encoded again": lambda image: encoded(image, quality=40),
    "smaller": lambda image: encoded(image.resize((image.width * 2 // 5, image.height * 2 // 5)), quality=90),
    "larger": lambda image: encoded(image.resize((image.width * 3 // 2, image.height * 3 // 2)), "PNG"),
    "mirrored": lambda image: encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), quality=85),
    "all": lambda image: encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((130, 100)), quality=50),
}


@pytest.mark.parametrize("edit", EDITS)
def test_near_copies(edit):
    originals = [textured(seed) for seed in range(6)]
    data = Dataset([encoded(image, "PNG") for image in originals] + [EDITS[edit](image) for image in originals])
    assert groups(data) == [[index, index + 6] for index in range(6)]


def test_the_original_is_the_largest():
    image = textured(1)
    files = [EDITS["smaller"](image), encoded(image, quality=95), EDITS["encoded again"](image)]
    found = clusters(Dataset(files))
    assert found.cluster.tolist() == [0, 0, 0]
    assert found.size.dtype == np.int64
    assert found.size.argmax() == 1
    assert found.size[2] > found.size[0]


def test_a_thousand_frames_of_one_scene_are_one_cluster():
    frame = np.asarray(textured(1)).astype(np.int16)
    random = np.random.default_rng(0)
    frames = [(frame + random.integers(-3, 4, frame.shape)).clip(0, 255).astype(np.uint8) for _ in range(300)]
    assert len(groups(Dataset(frames))) == 1


def test_planted_copies_among_real_photos(request):
    real = True
    try:
        shared = request.getfixturevalue("shared_data")
    except pytest.skip.Exception:
        real = False
        originals = [encoded(textured(seed), quality=92) for seed in range(1000)]
    else:
        paths = [*sorted(shared.glob("flowers224/*/*/*.jpg"))[::2], *sorted(shared.glob("clothing/*/*/*.jpg"))]
        originals = [path.read_bytes() for path in paths[:1000]]
    before = clusters(Dataset(originals)).cluster
    random = np.random.default_rng(0)
    chosen = random.choice(len(originals), 105, replace=False)
    exact = [originals[index] for index in chosen[:50]]
    near = []
    for index in chosen[50:]:
        image = Image.open(io.BytesIO(originals[index])).convert("RGB")
        scale = random.uniform(0.4, 1.5)
        image = image.resize((max(48, round(image.width * scale)), max(48, round(image.height * scale))))
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image
        near.append(encoded(image, quality=int(random.integers(40, 96))))
    cluster = clusters(Dataset([*originals, *exact, *near])).cluster
    same = cluster[chosen] == cluster[len(originals) :]
    assert same[:50].all()
    assert same[50:].mean() >= 0.95
    merged = before.max() - cluster[: len(originals)].max()
    assert merged <= 0.005 * len(originals)
    assert len(originals) - 1 - before.max() <= (5 if real else 0)  # the flowers hold a few copies of their own


# --- search --------------------------------------------------------------------------------------------------------


def planted(count, pairs, bits, seed=0):
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, count, dtype=np.uint64)
    first, second = random.permutation(count)[: 2 * pairs].reshape(2, pairs)
    flips = np.zeros((pairs, 64), np.uint8)
    for row in flips:
        row[random.choice(64, bits, replace=False)] = 1
    hashes[second] = hashes[first] ^ np.packbits(flips, axis=1).view(np.uint64)[:, 0]
    return hashes, {(min(pair), max(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)}


def test_candidates_equal_those_of_comparing_all_with_all():
    hashes, _ = planted(800, 200, 6)
    distance = np.bitwise_count(hashes[:, None] ^ hashes)
    every = {(i, j) for i, j in zip(*np.nonzero(distance <= 10), strict=True) if i < j}
    found = candidate_pairs(hashes)
    straight = ~found.mirrored
    got = set(zip(found.first[straight].tolist(), found.second[straight].tolist(), strict=True))
    assert got <= every
    assert len(got) >= 0.99 * len(every)


@pytest.mark.parametrize(("bits", "recall"), [(4, 0.99), (6, 0.95), (8, 0.9)])
def test_search_among_a_hundred_thousand(bits, recall):
    hashes, pairs = planted(100_000, 500, bits)
    found = candidate_pairs(hashes)
    assert len(pairs & set(zip(found.first.tolist(), found.second.tolist(), strict=True))) >= recall * len(pairs)


@pytest.mark.slow
def test_search_among_a_million_finds_them_in_flat_memory():
    hashes, pairs = planted(1_000_000, 1000, 6)
    tracemalloc.start()
    found = candidate_pairs(hashes)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(pairs & set(zip(found.first.tolist(), found.second.tolist(), strict=True))) >= 950
    assert peak < 300e6


@pytest.mark.parametrize("hashes", [[], [5], [5, 5 ^ 2**63]])
def test_search_among_few(hashes):
    found = candidate_pairs(np.array(hashes, np.uint64))
    assert len(found.first) == max(0, len(hashes) - 1)


def test_disjoint_sets():
    sets = _duplicates._Sets(5)
    sets.join([4, 2])
    sets.join([2, 1])
    assert sets.numbers().tolist() == [0, 1, 1, 2, 1]
