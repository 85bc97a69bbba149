"""What `check` finds, what it leaves alone, and how the report says it."""

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from imgcls import Dataset
from imgcls.datasets import _check
from imgcls.datasets._check import check
from imgcls.datasets._findings import KINDS
from imgcls.errors import ConfigurationError, DataError

ROOT = Path(__file__).resolve().parents[2]


def textured(seed, side=96):
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(30, 226, (8, 8, 3), dtype=np.uint8))
    fine = random.normal(0, 12, (side, side, 3))
    return Image.fromarray((np.asarray(small.resize((side, side), 3)) + fine).clip(0, 255).astype(np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Twelve good photos of two classes."""
    for index in range(24):
        path = tmp_path / "data" / ("cat", "dog")[index % 2] / f"{index:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        textured(index).save(path)
    return tmp_path / "data"


def found(folder, **options):
    return check(Dataset.from_folder(folder), verbose=0, **options)


def codes(report):
    return [one.code for one in report]


def test_nothing_is_found_in_good_data(folder):
    report = found(folder)
    assert not report
    assert report.exit_code == len(report) == 0
    assert str(report) == "24 images in 2 classes: nothing found\n\ncat  12\ndog  12"
    assert report.to_frame().empty


# --- one code after the other --------------------------------------------------------------------------------------


def add(folder, image, name="new.png", kind="cat"):
    image.save(folder / kind / name)
    return f"{kind}/{name}"


LOOKS = {
    "IMG030": lambda image: image.point(lambda value: value // 5),
    "IMG031": lambda image: image.filter(ImageFilter.GaussianBlur(4)),
    "IMG032": lambda image: image.resize((400, 400)),
    "IMG033": lambda image: image.point(lambda value: min(255, 220 + value // 6)),
    "IMG034": lambda image: Image.new("RGB", image.size, (10, 120, 60)),
    "IMG035": lambda image: image.resize((192, 60)),
}


@pytest.mark.parametrize("code", LOOKS)
def test_odd_looks(folder, code):
    name = add(folder, LOOKS[code](textured(100)))
    report = found(folder)
    assert report.ids(code) == (name,)
    assert report.exit_code == 0


def test_night_photos_are_not_dark_among_night_photos(folder):
    for path in folder.rglob("*.png"):
        Image.open(path).point(lambda value: value // 9).save(path)
    assert "IMG030" not in codes(found(folder))


def test_unreadable_and_truncated(folder):
    (folder / "cat" / "text.jpg").write_text("hello")
    textured(50).save(folder / "cat" / "cut.jpg")
    (folder / "cat" / "cut.jpg").write_bytes((folder / "cat" / "cut.jpg").read_bytes()[:1500])
    report = found(folder)
    assert codes(report) == ["IMG001", "IMG002"]
    assert (report.ids("IMG001"), report.ids("IMG002")) == (("cat/text.jpg",), ("cat/cut.jpg",))
    assert report.findings[1].message.startswith("1 image is cut short. ")
    assert report.exit_code == 3


def test_copies_labels_and_leaks(folder, tmp_path):
    shutil.copy(folder / "cat" / "00.png", folder / "cat" / "copy.png")
    add(folder, textured(2).resize((94, 90)), "small.png")
    add(folder, textured(4), "clash.png", "dog")
    report = found(folder)
    assert codes(report) == ["IMG012", "IMG010", "IMG011"]
    exact, near = report.findings[1:]
    assert exact.groups == (("cat/00.png", "cat/copy.png"), ("cat/04.png", "dog/clash.png"))
    assert near.groups == (("cat/02.png", "cat/small.png"),)
    assert report.ids("IMG012") == ("cat/04.png", "dog/clash.png")
    assert exact.message == "4 images in 2 groups have equal bytes or pixels."


def test_leaks_between_parts_and_against_another_dataset(folder, tmp_path):
    for part in ("train", "test"):
        shutil.copytree(folder, tmp_path / "divided" / part)
    for path in sorted((tmp_path / "divided" / "test").rglob("*.png"))[1:]:
        textured(int(path.stem) + 500).save(path)
    report = found(tmp_path / "divided")
    assert codes(report) == ["IMG013", "IMG010"]
    assert report.findings[0].groups == (("test/cat/00.png", "train/cat/00.png"),)

    train, test = Dataset.from_folder(tmp_path / "divided").split()
    report = check(train, against=test, verbose=0)
    assert codes(report) == ["IMG013"]
    assert report.ids("IMG013") == ("train/cat/00.png",)
    assert report.findings[0].groups == (("train/cat/00.png", "test/cat/00.png (other)"),)
    assert report.findings[0].message == "1 image of this dataset is in the other one too."


def test_against_takes_whatever_holds_images(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(folder / "cat" / "02.png", other / "copy.png")
    textured(99).save(other / "new.png")
    data = Dataset.from_folder(folder)
    images = [np.asarray(Image.open(path)) for path in sorted(other.iterdir())]
    for against in (other, str(other), str(other / "*.png"), sorted(other.iterdir()), images, np.stack(images)):
        report = data.check(against=against, verbose=0)
        assert codes(report) == ["IMG013"]
        assert report.ids("IMG013") == ("cat/02.png",)
    assert report.findings[0].groups == (("cat/02.png", "0 (other)"),)
    with pytest.raises(ConfigurationError, match=r"^data is a int\. Accepted: a Dataset, a folder, "):
        data.check(against=3, verbose=0)


def test_images_of_the_other_dataset_that_cannot_be_read_are_named(folder, tmp_path):
    """What nobody has looked at may be a copy: that nothing else was found says little then."""
    other = tmp_path / "other"
    other.mkdir()
    textured(99).save(other / "new.png")
    textured(98).save(other / "cut.jpg")
    (other / "cut.jpg").write_bytes((other / "cut.jpg").read_bytes()[:1500])
    for name in ("a.jpg", "b.jpg"):
        (other / name).write_text("hello")
    unread = set()
    for path in other.iterdir():
        try:
            Image.open(io.BytesIO(path.read_bytes())).load()
        except OSError:
            unread.add(f"{path} (other)")
    report = Dataset.from_folder(folder).check(against=other, verbose=0)
    assert codes(report) == ["IMG001", "IMG002"]
    assert report.ids("IMG001") == (f"{other / 'a.jpg'} (other)", f"{other / 'b.jpg'} (other)")
    assert report.ids("IMG002") == (f"{other / 'cut.jpg'} (other)",)
    assert {*report.ids("IMG001"), *report.ids("IMG002")} == unread
    assert report.findings[0].message.startswith("2 images of the other dataset cannot be read. ")
    assert report.findings[1].message.startswith("1 image of the other dataset is cut short. ")
    assert report.exit_code == 3
    assert "b.jpg (other)" in report.to_html()
    (folder / "cat" / "own.jpg").write_text("goodbye")
    report = Dataset.from_folder(folder).check(against=other, verbose=0)
    assert codes(report) == ["IMG001", "IMG001", "IMG002"]
    assert report.findings[0].ids == ("cat/own.jpg",)
    assert report.findings[0].message.startswith("1 image cannot be read. ")


def test_clashing_labels_among_real_photos_are_all_found(shared_data, tmp_path):
    paths = sorted(shared_data.glob("clothing/*/*/*.jpg"))
    labels = [path.parent.name for path in paths]
    planted = [index * 50 for index in range(5)]
    copies = ["other" for _ in planted]
    data = Dataset([*paths, *(paths[index] for index in planted)], [*labels, *copies])
    assert set(map(int, check(data, verbose=0).ids("IMG012"))) >= {*planted, *range(len(paths), len(paths) + 5)}


def test_classes_tiny_imbalanced_and_alike():
    images = np.random.default_rng(0).integers(0, 256, (140, 8, 8), dtype=np.uint8)
    labels = ["Cat"] * 100 + ["cat "] * 31 + ["dog"] * 9
    report = check(Dataset.from_arrays(images, labels), verbose=0)
    assert codes(report) == ["IMG020", "IMG021", "IMG022"]
    assert len(report.ids("IMG020")) == 9
    assert [one.message for one in report] == [
        "1 class below 10 images: 'dog'.",
        "class 'Cat' has 100 images and class 'dog' 9.",
        "1 name written in several ways: 'Cat' and 'cat '.",
    ]


def test_plus_and_minus_are_different_names():
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    assert not check(Dataset.from_arrays(images, ["-1", "1", "C", "C++"] * 10), verbose=0)


def test_a_class_that_only_other_parts_have_is_an_error(tmp_path):
    """A folder whose name is misspelt in one part makes a class that nothing is learnt from."""
    names = ("train/cat", "train/dog", "train/owl", "test/cat", "test/dogs")
    for place, name in enumerate(names):
        (tmp_path / name).mkdir(parents=True)
        for index in range(12):
            textured(100 * place + index).save(tmp_path / name / f"{index:02d}.png")
    data = Dataset.from_folder(tmp_path)
    report = check(data, verbose=0)
    assert [(one.code, one.severity, one.message) for one in report] == [  # that no test has owls is none
        ("IMG024", "error", "1 class without an image in train: 'dogs'. Did you mean 'dog'?")
    ]
    assert report.ids("IMG024") == tuple(f"test/dogs/{index:02d}.png" for index in range(12))
    assert report.exit_code == 3
    images, labels = zip(*((sample.image, sample.label) for sample in data), strict=True)
    several = [{"cat": ["cat"], "dogs": ["pet", "dogs"]}.get(label, ["pet"]) for label in labels]
    (found,) = check(Dataset(images, several, ids=data.ids, parts=data.parts), verbose=0)
    assert (found.code, found.ids) == ("IMG024", report.ids("IMG024"))
    for given in (labels, several):  # not divided: nobody knows which of them are learnt from
        assert not check(Dataset(images, given, ids=data.ids), verbose=0)


def test_ignored_files_are_listed(folder):
    (folder / "cat" / "notes.txt").write_text("hello")
    report = found(folder)
    assert report.ids("IMG040") == ("cat/notes.txt",)
    assert report.findings[0].message == "1 file left out: 1 x not an image file."


def test_several_labels_an_image_and_none():
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    images[1] = images[0]
    indicator = np.tile([[1, 1, 0], [0, 1, 0]], (20, 1))
    report = check(Dataset.from_arrays(images, indicator, classes=["a", "b", "c"]), verbose=0)
    assert codes(report) == ["IMG012", "IMG010", "IMG020", "IMG021"]
    assert codes(check(Dataset.from_arrays(images), verbose=0)) == ["IMG010"]


def test_odd_and_broken_files_of_other_projects(shared_data):
    paths = [path for path in sorted((shared_data / "weird").rglob("*")) if path.is_file()]
    report = check(Dataset.from_files(paths), verbose=0)
    assert len(report.ids("IMG001")) > 20
    assert report.to_html()


# --- the report ----------------------------------------------------------------------------------------------------


@pytest.fixture
def report(folder):
    shutil.copy(folder / "cat" / "00.png", folder / "dog" / "=copy, of.png")
    (folder / "cat" / "text.jpg").write_text("hello")
    return found(folder)


def test_text(report):
    assert repr(report) == "DataReport(26 images in 2 classes: 2 errors, 1 warning)"
    assert "error    IMG012  same image, other label: 2 images in 1 group are copies" in str(report)
    assert "                 'cat/00.png' = 'dog/=copy, of.png'\n" in str(report)


def test_frame_has_a_row_for_each_image_and_code(report):
    frame = report.to_frame()
    assert list(frame.columns) == ["code", "severity", "title", "id", "group"]
    assert frame.groupby("code")["id"].count().to_dict() == {"IMG001": 1, "IMG010": 2, "IMG012": 2}


def test_json_and_csv(report, tmp_path):
    content = json.loads(report.save(tmp_path / "data.json").read_text(encoding="utf-8"))
    assert content["images"] == 26
    assert content["exit_code"] == 3
    assert content["findings"][1]["groups"] == [["cat/00.png", "dog/=copy, of.png"]]
    lines = report.save(tmp_path / "data.CSV").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "code,severity,title,id,group"
    assert 'IMG010,warning,exact duplicates,"dog/=copy, of.png",0' in lines


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("data.pdf", "'{}/data.pdf' ends with '.pdf'. Accepted: .html, .json, .csv."),
        ("data.htm", "'{}/data.htm' ends with '.htm'. Did you mean '.html'? Accepted: .html, .json, .csv."),
        ("no/data.html", "folder '{}/no' does not exist. Make it, or name another output."),
    ],
)
def test_other_paths_are_refused(report, tmp_path, name, message):
    with pytest.raises(ConfigurationError, match=re.escape(message.format(tmp_path))):
        report.save(tmp_path / name)


def test_a_report_is_written_whole_or_not_at_all(report, tmp_path, monkeypatch):
    (tmp_path / "data.json").write_text("old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(DataError, match=r"data\.json' cannot be written: disk full\. "):
        report.save(tmp_path / "data.json")
    assert (tmp_path / "data.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["data.json"]


def test_every_code_is_documented():
    text = (ROOT / "docs" / "reference" / "findings.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (IMG\d+)$", text, re.MULTILINE) == list(KINDS)
    for code, kind in KINDS.items():
        section = text.split(f"## {code}\n")[1].split("\n## ")[0]
        assert section.strip().startswith(f"**{kind.title.capitalize()}** ({kind.severity})."), code


def test_one_class_is_an_error():
    report = check(Dataset.from_arrays(textured_arrays(12), ["cat"] * 12), verbose=0)
    assert [(one.code, one.message) for one in report] == [("IMG023", "all images are of class 'cat'.")]
    assert report.exit_code == 3


def textured_arrays(count):
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8), dtype=np.uint8)


class Unsearched(tuple):
    """Classes that nobody may look through: for each of very many, that takes time with the square of their number."""

    __slots__ = ()

    def index(self, *_):
        raise AssertionError

    def __contains__(self, _):
        raise AssertionError


def test_very_many_classes_of_one_image_are_counted_without_a_look_through_all_for_each():
    data = Dataset.from_arrays(np.zeros((40_000, 1, 1), np.uint8), np.arange(40_000))
    data.classes = Unsearched(data.classes)
    found = {one.code: one for one in _check._classes(data)}
    assert found["IMG020"].message.startswith("40,000 classes below ")
    assert len(found["IMG020"].ids) == 40_000
