"""Planted shortcuts are found, clean data are left alone, and the figures are those of SciPy and scikit-learn."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from imgcls import Dataset
from imgcls.datasets import _beside, _blind, _shortcuts
from imgcls.datasets._check import check
from imgcls.datasets._shortcuts import Shortcut, shortcuts
from imgcls.errors import ConfigurationError
from imgcls.images import made_with

KINDS = ["size", "file size", "mean colour", "border", "camera", "file name", "thumbnail"]


def pictures(count, seed, side=64):
    """Return random content, alike in all classes."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC)) for one in small])


def exif(**told):
    made = Image.Exif()
    for name, value in told.items():
        made[{"make": 271, "model": 272, "software": 305}[name]] = value
    return made


def framed(image, width=3):
    image = image.copy()
    image[:width] = image[-width:] = image[:, :width] = image[:, -width:] = (220, 30, 30)
    return image


def save(folder, images, labels, *, quality=90, name="{:04d}", size=(64, 64), camera="Canon"):
    """Write JPEG files; each option may be a function of the label."""
    paths = []
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        own = {
            key: value(label) if callable(value) else value
            for key, value in {"quality": quality, "name": name, "size": size, "camera": camera}.items()
        }
        path = folder / str(index % 7) / f"{own['name'].format(index)}.jpg"  # folders tell nothing
        path.parent.mkdir(exist_ok=True, parents=True)
        pixels = Image.fromarray(image).resize(own["size"])
        pixels.save(path, quality=own["quality"], exif=exif(make=own["camera"], model="model"))
        paths.append(path)
    return Dataset(paths, [f"class {label}" for label in labels])


def found(dataset, **options):
    return [row.kind for row in shortcuts(dataset, **options) if row.found]


def row(dataset, kind):
    return next(one for one in shortcuts(dataset) if one.kind == kind)


# --- planted -------------------------------------------------------------------------------------------------------

PLANTED = {
    "size": {"size": lambda label: (64, 64) if label else (80, 60)},
    "file size": {"quality": lambda label: 95 if label else 40},
    "camera": {"camera": lambda label: "Canon" if label else "Nikon"},
    "file name": {"name": lambda label: "IMG_{:04d}" if label else "DSC_{:04d}"},
}


@pytest.mark.parametrize("kind", PLANTED)
def test_each_planted_kind_is_found_and_named(tmp_path, kind):
    data = save(tmp_path, pictures(120, 0), np.arange(120) % 2, **PLANTED[kind])
    rows = {one.kind: one for one in shortcuts(data)}
    assert list(rows) == KINDS
    assert rows[kind].found
    assert rows[kind].accuracy > 0.98
    assert 0.9 < rows[kind].lower < rows[kind].accuracy <= rows[kind].upper
    assert rows[kind].chance == 0.5
    assert rows[kind].p_value < 1e-10
    assert {one.kind for one in rows.values() if one.found} <= {kind, "file size"}  # other sizes take other bytes
    assert f"IMG050  shortcut: {rows[kind]}" in str(check(data, verbose=0))


@pytest.mark.parametrize("side", [16, 28, 64, 224])
def test_a_coloured_border_in_one_class_is_found_and_blamed_on_the_border_alone(side):
    labels = np.arange(200) % 2
    images = pictures(200, 1, side)
    images[1::2] = [framed(image, max(1, side // 25)) for image in images[1::2]]
    assert found(Dataset.from_arrays(images, labels)) == ["border"]


def test_one_of_ten_classes(tmp_path):
    labels = np.arange(400) % 10
    images = [framed(image) if label == 3 else image for image, label in zip(pictures(400, 2), labels, strict=True)]
    bordered = row(Dataset.from_arrays(np.stack(images), labels), "border")
    assert bordered.found
    assert bordered.accuracy == pytest.approx(0.2, abs=0.05)  # 1 for its class, 1/9 for the others
    assert bordered.detail.startswith("100% of 3 are recognised and 0% of the others taken for it; its ")
    assert re.search(r"; its (mean|spread of) (red|green|blue) at the (top|bottom|left|right) is ", bordered.detail)


def test_two_sources_of_five_classes_each_are_found_although_no_class_is_told(tmp_path):
    data = save(
        tmp_path, pictures(600, 3, 16), np.arange(600) % 10, camera=lambda label: "Canon" if label < 5 else "Nikon"
    )
    camera = row(data, "camera")
    assert camera.found
    assert camera.accuracy == pytest.approx(0.2, abs=0.03)


def test_a_rare_class_is_told_too():
    labels = (np.arange(400) >= 380).astype(int)
    images = [framed(image) if label else image for image, label in zip(pictures(400, 4), labels, strict=True)]
    bordered = row(Dataset.from_arrays(np.stack(images), labels), "border")
    assert bordered.found
    assert bordered.accuracy > 0.9


def test_words(tmp_path):
    labels = np.arange(60) % 2
    data = save(tmp_path, pictures(60, 5), labels, **PLANTED["size"], **PLANTED["camera"], **PLANTED["file name"])
    rows = {one.kind: one for one in shortcuts(data)}
    told = "100% of 'class 0' are recognised and 0% of the others taken for it; "
    assert str(rows["size"]) == (
        f"size tells 100% right, guessing 50%: {told}its images are 80 x 60, most others 64 x 64"
    )
    assert rows["camera"].detail.startswith(told)
    assert re.search(r"100% of its images have make 'Nikon' in EXIF, 0% of the others$", rows["camera"].detail) or (
        rows["camera"].detail.endswith("0% of its images have make 'Canon' in EXIF, 100% of the others")
    )
    assert re.search(r"its images have '(img|dsc)' in the name, \d+% of the others$", rows["file name"].detail)
    (finding,) = check(data, verbose=0).findings
    assert (finding.code, finding.severity, finding.title) == ("IMG050", "warning", "shortcut")
    assert finding.message == f"{'. '.join(str(one) for one in _by_accuracy(rows))}."


def _by_accuracy(rows):
    return sorted((one for one in rows.values() if one.found), key=lambda one: -one.accuracy)


# --- what is left alone ----------------------------------------------------------------------------------------------


def clean(folder, seed, count=80):
    """Return files of random content, sizes, qualities, cameras and names, none of which knows the class."""
    random = np.random.default_rng(seed)
    num_classes = int(random.integers(2, 6))
    labels = random.integers(0, num_classes, count)
    draws = {
        "quality": lambda _: int(random.choice([60, 75, 95])),
        "name": lambda _: str(random.choice(["IMG_{:04d}", "DSC_{:04d}", "201905{:02d}_x", "{}"])),
        "size": lambda _: tuple(int(side) for side in random.choice([32, 48, 64, 80], 2)),
        "camera": lambda _: str(random.choice(["Canon", "Nikon", "Sony"])),
    }
    return save(folder, pictures(count, seed, 48), labels, **draws)


def accused(folder, seeds):
    return [seed for seed in seeds if found(clean(folder / str(seed), seed), seed=seed)]


def test_clean_data_are_not_accused(tmp_path):
    assert accused(tmp_path, range(10)) == []


@pytest.mark.slow
def test_clean_data_are_accused_at_most_5_times_of_100(tmp_path):
    assert len(accused(tmp_path, range(100, 200))) <= 5


def test_p_values_keep_their_promise_even_without_the_margin():
    sure = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        labels, half = random.permutation(np.arange(60) % 3), np.repeat([0, 1], 30)
        hits = _blind.judge(random.normal(size=(60, 4)), labels, half, _blind.deal(labels, half, seed=seed))
        sure += min(hits.p_values.min() * 3, hits.p_together) * 2 <= 0.05
    assert sure <= stats.binom.ppf(0.999, 200, 0.05)


def test_solid_colours_are_blamed_on_colour_and_not_on_the_border():
    random = np.random.default_rng(0)
    colors = np.array([(235, 225, 120), (200, 40, 60)])[np.arange(60) % 2][:, None, None]
    images = (colors + random.normal(0, 25, (60, 32, 32, 3))).clip(0, 255).astype(np.uint8)
    assert found(Dataset.from_arrays(images, np.arange(60) % 2)) == ["mean colour"]


def test_content_that_fills_the_image_to_its_edge_is_no_border():
    """Ink that reaches the edge in one class only, and as far inside: 32 x 32 pictures of broad and narrow bars."""
    random = np.random.default_rng(0)
    images = random.integers(0, 60, (200, 32, 32, 1)).astype(np.uint8)
    images[::2, :, 12:20] += 150
    bars = row(Dataset.from_arrays(images, np.arange(200) % 2), "border")
    assert bars.p_value < 1e-9
    assert not bars.found
    assert bars.detail.startswith("what lies deeper tells nearly as much; ")


def test_the_smallest_images_have_no_border():
    digits = row(Dataset.builtin("digits"), "border")
    assert np.isnan(digits.accuracy)
    assert digits.detail == "such small images have no border: content fills them"


@pytest.mark.parametrize("name", ["flowers224", "clothing"])
def test_real_photos_are_not_accused(shared_data, name):
    assert found(Dataset.from_folder(shared_data / name)) == []


def test_file_names_that_repeat_the_label_or_count_say_nothing_of_images(tmp_path):
    labels = np.arange(80) % 2
    data = save(tmp_path, pictures(80, 6), labels, name=lambda label: f"Class-{label}_" + "{}")
    assert row(data, "file name").detail == "no word or long number is common to some names and not to others"
    for classes in (("OK", "NG"), ("A", "B"), ("A1", "B2")):
        files = save(tmp_path / classes[0], pictures(80, 6), labels, name=lambda label, of=classes: of[label] + "_{}")
        data = Dataset([files.source(index) for index in range(80)], np.array(classes)[labels])
        assert row(data, "file name").detail == "no word or long number is common to some names and not to others"
    count = iter(range(80))
    data = save(tmp_path / "b", pictures(80, 6), labels, name=lambda label: f"{next(count) + 5000 * label:05d}x{{}}")
    assert not row(data, "file name").found


def test_copies_and_groups_are_no_further_evidence():
    images = pictures(8, 7)
    labels = np.array([0, 1] * 4)
    images[1::2] = [framed(image) for image in images[1::2]]
    many = np.repeat(images, 20, axis=0)
    copies = Dataset.from_arrays(many, np.repeat(labels, 20))
    untested = "it cannot be tested with 8 images, without copies and others of their group, in 2 classes of two or more. 20 images in 2 classes are enough"
    assert row(copies, "border").detail == untested
    images = [framed(image) if place % 2 else image for place, image in enumerate(pictures(160, 7))]
    patients = np.arange(160) % 8  # of whom every second was photographed at the other place
    assert row(Dataset(images, [0, 1] * 80, groups=patients), "border").detail == untested
    assert found(Dataset(images, [0, 1] * 80, groups=np.arange(160) // 4)) == ["border"]


# --- what cannot be tested -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (None, "it cannot be tested without labels"),
        (["a"] * 30, "with 0 images, .* in 0 classes"),
        (["a"] * 29 + ["b"], "with 0 images, .* in 0 classes"),
        (list(map(str, range(30))), "with 0 images, .* in 0 classes"),
        (["a", "b"] * 8 + list(map(str, range(14))), "with 16 images, .* in 2 classes"),
        (np.zeros((30, 3), np.uint8), "in 0 classes"),
    ],
)
def test_too_little_is_told_in_words(labels, why):
    options = {"classes": ["a", "b", "c"]} if isinstance(labels, np.ndarray) else {}
    data = Dataset.from_arrays(pictures(30, 8, 16), labels, **options)
    for one in shortcuts(data):
        assert re.search(why, one.detail)
        assert str(one) == f"{one.kind}: {one.detail}"
        assert np.isnan(one.accuracy)
        assert (one.lower, one.upper, one.p_value, one.found) == (0.0, 1.0, 1.0, False)
    assert "IMG050" not in [one.code for one in check(data, verbose=0)]


def test_unreadable_files_are_left_out(tmp_path):
    data = save(tmp_path, pictures(60, 9), np.arange(60) % 2, **PLANTED["size"])
    for place in range(4):
        data.source(place).write_bytes(b"nothing")
    assert row(data, "size").accuracy == 1.0


def test_many_bands_gray_and_pil_images():
    random = np.random.default_rng(0)
    for bands in (1, 5):
        assert (
            found(Dataset.from_arrays(random.integers(0, 256, (40, 20, 20, bands), dtype=np.uint8), [0, 1] * 20)) == []
        )
    assert (
        row(Dataset([Image.fromarray(one) for one in pictures(40, 1)], [0, 1] * 20), "file size").detail
        == "the images are not files"
    )


def test_several_labels_an_image_are_told_one_by_one_from_the_rest():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (240, 3))
    images = [framed(image) if label[1] else image for image, label in zip(pictures(240, 10), labels, strict=True)]
    bordered = row(Dataset.from_arrays(np.stack(images), labels, classes=["sky", "sea", "sun"]), "border")
    assert bordered.found
    assert bordered.chance == 0.5
    assert bordered.accuracy == pytest.approx((1 + 0.5 + 0.5) / 3, abs=0.05)
    assert "of 'sea' are recognised" in bordered.detail
    assert found(Dataset.from_arrays(pictures(240, 10), labels, classes=["sky", "sea", "sun"])) == []


def test_a_sample_of_many_has_as_many_of_each_class_as_there_are(monkeypatch):
    monkeypatch.setattr(_shortcuts, "MOST", 40)
    labels = np.repeat([0, 1, 2], [200, 30, 10])
    data = Dataset.from_arrays(pictures(240, 11, 12), labels)
    sample = _shortcuts._sample(data, np.ones(240, [("readable", bool)]), np.arange(240), 0)
    assert np.bincount(sample.labels).tolist() == [15, 15, 10]
    assert sorted(set(sample.places)) == sorted(sample.places)
    for half in (0, 1):
        assert set(np.bincount(sample.labels[sample.half == half])) <= {5, 7, 8}


def test_the_same_seed_gives_the_same_rows():
    data = Dataset.builtin("digits")[:300]
    assert [str(one) for one in shortcuts(data, seed=3)] == [str(one) for one in shortcuts(data, seed=3)]
    assert shortcuts(data, seed=3)[2] != shortcuts(data, seed=4)[2]  # mean colour
    with pytest.raises(
        ConfigurationError, match=r"^seed=-1 is not accepted\. Accepted: a whole number of at least 0\.$"
    ):
        shortcuts(data, seed=-1)


def test_a_shortcut_is_frozen():
    with pytest.raises(AttributeError):
        Shortcut("size", 1, 1, 1, 1, 1, found=True, detail="").found = False


# --- figures against other libraries -------------------------------------------------------------------------------


def test_tail_is_fishers_exact_test():
    random = np.random.default_rng(0)
    for _ in range(50):
        guess, truth = random.random((2, 37, 4)) < random.random((2, 1, 4))
        for column, p_value in enumerate(_blind.tail(guess, truth)):
            table = [
                [(one & other).sum() for other in (truth[:, column], ~truth[:, column])]
                for one in (guess[:, column], ~guess[:, column])
            ]
            assert p_value == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue, rel=1e-9)


def test_dealt_labels_agree_with_the_hypergeometric_distribution():
    random = np.random.default_rng(0)
    truth, guess = (np.eye(2, dtype=bool)[random.permutation(np.arange(40) % 2)] for _ in range(2))
    deals = np.stack([random.permutation(truth.argmax(axis=1)) for _ in range(20_000)]).astype(np.int32)
    hits = int((guess & truth)[:, 0].sum())  # with equal halves, the balanced accuracy grows with these
    exact = stats.hypergeom.sf(hits - 1, 40, 20, 20)
    assert _blind._p_of_deals(deals, guess, truth) == pytest.approx(exact, abs=5 * np.sqrt(0.25 / 20_000))


def test_accuracy_is_scikit_learns_and_reaches_what_bayes_rule_can():
    random = np.random.default_rng(0)
    labels = np.arange(8_000) % 2
    features = random.normal(2.0 * labels, 1.0)[:, None]
    half = np.arange(8_000) // 2 % 2
    guess = np.zeros(8_000, int)
    for part in (0, 1):
        guess[half == part] = _blind.predict(features, labels, half == part)
    hits = _blind.judge(features, labels, half)
    assert hits.accuracy == pytest.approx(balanced_accuracy_score(labels, guess), abs=1e-12)
    assert hits.accuracy == pytest.approx(stats.norm.cdf(1.0), abs=0.015)  # binning costs a little


def test_unknown_values_are_a_bin_of_their_own():
    labels = np.arange(80) % 2
    features = np.where(labels, np.nan, 1.0)[:, None]
    assert _blind.judge(features, labels, np.repeat([0, 1], 40)).accuracy == 1.0


def test_the_most_telling_column_is_mann_and_whitneys():
    random = np.random.default_rng(0)
    values, own = random.integers(0, 9, 80).astype(float), random.random(80) < 0.3
    expected = stats.mannwhitneyu(values[own], values[~own]).statistic / (own.sum() * (~own).sum())
    assert _shortcuts._above(values, own) == pytest.approx(expected)


# --- file names and cameras ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "words"),
    [
        ("IMG_0042", {"'img'", "a short number"}),
        ("007", {"a short number"}),
        ("000012345", {"a short number"}),
        ("20190301-x", {"a number of 8 digits", "a number of 8 digits from 2019 on", "'x'"}),
        ("ÉTÉ 3", {"'été'", "a short number"}),
        ("", set()),
    ],
)
def test_words_of_a_file_name(stem, words):
    assert set(_beside._words(stem)) == words


def encoded(kind, **options):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "MPO"])
def test_camera_is_read_from_bytes_and_files(tmp_path, kind):
    data = encoded(kind, exif=exif(make="Canon", model="EOS\0 ", software="  "))
    (tmp_path / "photo").write_bytes(data)
    assert (
        made_with(data)
        == made_with(tmp_path / "photo")
        == made_with(str(tmp_path / "photo"))
        == {"make": "Canon", "model": "EOS"}
    )


@pytest.mark.parametrize(
    "item",
    [
        b"",
        b"no image",
        encoded("JPEG"),
        encoded("PNG"),
        encoded("JPEG", exif=exif(make="x"))[:60],
        "nowhere.jpg",
        np.zeros((2, 2)),
        None,
    ],
)
def test_what_names_no_camera_says_nothing(item):
    assert made_with(item) == {}


def test_a_camera_is_read_without_decoding_pixels(monkeypatch):
    data = encoded("JPEG", exif=exif(make="Canon"))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("pixels were decoded"))
    assert made_with(data) == {"make": "Canon"}
