"""Folders, files, tables and arrays: what is found, what is ignored, what is refused."""

import csv
import errno
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imgcls import images
from imgcls.datasets import Dataset, _folders, as_dataset, is_one_image, write_png
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
LAYOUT = "Put images into one sub-folder for each class: folder/cat/1.jpg, folder/dog/2.jpg."
ENDINGS = ", ".join(sorted(images.SUFFIXES))


def plant(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(PIXELS, root / name)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Work in an empty folder, so that messages hold relative paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_of_classes(photos):
    data = Dataset.from_folder(photos)
    assert data.classes == ("cat", "dog")
    assert data.ids == tuple(f"cat/{i}.jpg" for i in range(8)) + tuple(f"dog/{i}.png" for i in range(8))
    assert data.labels.tolist() == [0] * 8 + [1] * 8
    assert data.parts is None
    assert data[9].image.shape == (21, 26, 3)


def test_hidden_and_other_files_are_ignored_and_listed(here):
    plant(here, "d/cat/1.png", "d/cat/deeper/2.png", "d/cat/.hidden.png", "d/.git/3.png", "d/__MACOSX/4.png", "d/5.png")
    Path("d/cat/notes.txt").write_text("x")
    Path("d/readme.md").write_text("x")
    Path("d/empty").mkdir()
    data = Dataset.from_folder("d")
    assert data.ids == ("cat/1.png", "cat/deeper/2.png")
    assert dict(data.ignored) == {
        ".git": "hidden",
        "5.png": "an image outside the class folders",
        "__MACOSX": "hidden",
        "cat/.hidden.png": "hidden",
        "cat/notes.txt": "not an image file",
        "empty": "a folder without images",
        "readme.md": "not an image file",
    }


def test_a_folder_of_the_system_is_left_out_and_another_that_cannot_be_opened_is_refused_in_words(here, monkeypatch):
    """As beside class folders on a disk of its own. The tests may run as root, who opens everything."""
    scandir = os.scandir

    def refused(path="."):
        if Path(path).name in {"lost+found", "closed"}:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    plant(here, "d/cat/1.png", "d/dog/2.png", "d/lost+found/3.png", "d/dog/System Volume Information/4.png")
    left_out = {"lost+found": "hidden", "dog/System Volume Information": "hidden"}
    for data in (Dataset.from_folder("d"), as_dataset("d", labelled=False)):
        assert [Path(data.source(place)).name for place in range(len(data))] == ["1.png", "2.png"]
        assert dict(data.ignored) == left_out
    plant(here, "d/closed/5.png")
    for read in (Dataset.from_folder, Dataset.from_files):
        with pytest.raises(DataError) as caught:
            read("d")
        assert str(caught.value) == (
            f"folder {str(Path('d/closed'))!r} cannot be opened: Permission denied. Allow yourself to read it, or move it elsewhere. Of class folders, those that classes=[...] names are opened, and no others."
        )
    data = Dataset.from_folder("d", classes=["dog", "cat"])
    assert data.counts() == {"dog": 1, "cat": 1}
    assert dict(data.ignored) == left_out | {"closed": "not one of the classes asked for"}


def test_a_link_back_up_is_not_followed(here):
    plant(here, "d/cat/1.png")
    Path("d/cat/loop").symlink_to(here / "d", target_is_directory=True)
    assert Dataset.from_folder("d").ids == ("cat/1.png",)


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("train", "test"), ["train", "test"]),
        (("Training", "valid", "testing"), ["train", "validation", "test"]),
        (("train", "val", "test"), ["train", "validation", "test"]),
    ],
)
def test_a_divided_folder(here, names, parts):
    plant(here, *(f"d/{name}/{label}/1.png" for name in names for label in ("cat", "dog")))
    data = Dataset.from_folder("d")
    assert data.classes == ("cat", "dog")
    assert data.divided
    split = data.split()
    assert len(split) == len(parts)
    for part, name in zip(split, parts, strict=True):
        assert data[[data.ids.index(one) for one in part.ids]].parts.tolist() == [name] * 2
        assert part.parts is None  # a part is not divided any more
        assert part.labels.tolist() == [0, 1]
    assert data.subset("test").ids == (f"{names[-1]}/cat/1.png", f"{names[-1]}/dog/1.png")
    with pytest.raises(ConfigurationError) as caught:
        data.subset("tset")
    assert str(caught.value) == f"there is no part 'tset'. Accepted: {', '.join(sorted(parts))}."


DIVIDED = [f"d/{part}/{label}/1.png" for part in ("train", "val", "test") for label in ("cat", "dog")]


def test_a_divided_folder_beside_others_without_images(here):
    plant(here, *DIVIDED)
    Path("d/annotations").mkdir()
    Path("d/annotations/x.json").write_text("{}")
    data = Dataset.from_folder("d")
    assert data.divided
    assert data.counts() == {"cat": 3, "dog": 3}
    assert dict(data.ignored) == {
        "annotations": "a folder without images",
        "annotations/x.json": "not an image file",
    }


@pytest.mark.parametrize("part", ["train", "Validation"])
def test_one_part_beside_a_folder_with_the_same_classes_is_refused_unless_the_classes_are_named(here, part):
    plant(here, *(f"d/{folder}/{kind}/{folder}.png" for folder in (part, "dev") for kind in ("cat", "dog")))
    with pytest.raises(DataError, match=f"'d' is divided into '{part}', and beside that there are images in 'dev'"):
        Dataset.from_folder("d")
    assert Dataset.from_folder("d", classes=["cat", "dog"]).counts() == {"cat": 1, "dog": 1}
    assert Dataset.from_folder("d", classes=["dev", part]).counts() == {"dev": 2, part: 2}


@pytest.mark.parametrize(
    ("more", "parts", "named"),
    [
        (["d/test1/3.png"], "'train'", "'test1'"),  # without labels, as from Kaggle
        (["d/test/3.png", "d/sample/4.png"], "'test', 'train'", "'sample'"),
        (["d/images/deep/3.png", "d/test1/4.png"], "'train'", "'images', 'test1'"),
        (["d/bus/3.png", "d/car/4.png"], "'train'", "'bus', 'car'"),  # which may be classes, if seldom
    ],
)
def test_one_part_beside_a_flat_folder_is_refused_unless_the_classes_are_named(here, more, parts, named):
    plant(here, "d/train/cat/1.png", "d/train/dog/2.png", *more)
    with pytest.raises(DataError) as caught:
        Dataset.from_folder("d")
    assert str(caught.value) == (
        f"'d' is divided into {parts}, and beside that there are images in {named}. Accepted: train, training, val, valid, validation, test, testing. Move or rename what is none of them, or name the classes in Python: Dataset.from_folder(..., classes=[...])."
    )
    assert Dataset.from_folder("d", classes=["cat", "dog"]).counts() == {"cat": 1, "dog": 1}
    flat = [name.split("/")[1] for name in more]
    assert Dataset.from_folder("d", classes=["train", *flat]).counts() == {"train": 2, **dict.fromkeys(flat, 1)}


def test_one_class_that_is_called_like_a_part_and_has_folders_of_its_own_as_the_others_have_is_a_class(here):
    plant(here, "d/train/steam/1.png", "d/train/diesel/2.png", "d/bus/red/3.png", "d/car/small/4.png")
    assert Dataset.from_folder("d").counts() == {"bus": 1, "car": 1, "train": 2}


@pytest.mark.parametrize(
    ("loose", "is_class"), [(["preview.jpg"], False), (["a.png", "b.png"], True), (["a.png", "b.png", "c.png"], True)]
)
def test_one_part_with_fewer_loose_images_than_in_its_folders_beside_a_flat_folder_is_refused(here, loose, is_class):
    plant(here, "d/train/cat/1.png", "d/train/dog/2.png", "d/test1/3.png", *(f"d/train/{name}" for name in loose))
    if is_class:
        assert Dataset.from_folder("d").counts() == {"test1": 1, "train": 2 + len(loose)}
        return
    with pytest.raises(DataError, match=r"^'d' is divided into 'train', and beside that there are images in 'test1'\."):
        Dataset.from_folder("d")
    assert Dataset.from_folder("d", classes=["cat", "dog"]).counts() == {"cat": 1, "dog": 1}
    assert Dataset.from_folder("d", classes=["test1", "train"]).counts() == {"test1": 1, "train": 2 + len(loose)}


def test_one_part_with_a_loose_image_beside_a_folder_with_the_same_classes_is_refused(here):
    plant(here, "d/train/cat/1.png", "d/train/2.png", "d/dev/cat/3.png")
    with pytest.raises(DataError, match=r"^'d' is divided into 'train', and beside that there are images in 'dev'\."):
        Dataset.from_folder("d")


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["d/dev/cat/1.png", "d/dev/dog/1.png"], "'dev'"),
        (["d/chest/train/cat/1.png", "d/chest/test/cat/1.png"], "'chest'"),  # nested in itself, as from Kaggle
        (["d/extra/1.png", "d/more/deep/1.png"], "'extra', 'more'"),
    ],
)
def test_a_divided_folder_beside_others_with_images_is_refused_in_words(here, more, named):
    plant(here, *DIVIDED, *more)
    with pytest.raises(DataError) as caught:
        Dataset.from_folder("d")
    assert str(caught.value) == (
        f"'d' is divided into 'test', 'train', 'val', and beside that there are images in {named}. Accepted: train, training, val, valid, validation, test, testing. Move or rename what is none of them, or name the classes in Python: Dataset.from_folder(..., classes=[...])."
    )
    data = Dataset.from_folder("d", classes=["dog", "cat"])
    assert data.counts() == {"dog": 3, "cat": 3}
    assert data.divided
    assert set(data.ignored.values()) == {"a folder beside the parts"}
    names = ["train", "test", more[0].split("/")[1]]
    undivided = Dataset.from_folder("d", classes=names)
    assert undivided.classes == tuple(names)
    assert not undivided.divided


@pytest.mark.parametrize(
    "names",
    [
        ("train/1.png", "test/1.png", "bus/1.png"),
        ("train/old/1.png", "train/1.png", "bus/1.png"),  # one alone that holds folders
        ("train/1.png",),
    ],
)
def test_classes_may_be_called_as_parts_are(here, names):
    plant(here, *(f"d/{name}" for name in names))
    Path("d/notes").mkdir()
    data = Dataset.from_folder("d")
    assert not data.divided
    assert data.classes == tuple(sorted({name.split("/")[0] for name in names}))


def test_links_to_folders_are_followed_everywhere(here):
    plant(here, *(f"away/{label}/{i}.png" for label in ("c", "d") for i in range(3)), "d/fish/1.png")
    Path("d/cat").symlink_to(here / "away/c", target_is_directory=True)
    Path("d/dog").symlink_to("../away/d", target_is_directory=True)
    names = ("cat/0.png", "cat/1.png", "cat/2.png", "dog/0.png", "dog/1.png", "dog/2.png", "fish/1.png")
    assert Dataset.from_folder("d").ids == names
    assert Dataset.from_folder("d").counts() == {"cat": 3, "dog": 3, "fish": 1}
    assert Dataset.from_files("d").ids == names
    unlabelled = as_dataset("d", labelled=False)
    assert unlabelled.ids == tuple(f"d/{name}" for name in names)
    assert not unlabelled.ignored
    assert (unlabelled[0].image == PIXELS).all()
    Path("link").symlink_to("d", target_is_directory=True)  # the folder itself may be one
    assert Dataset.from_folder("link").ids == names


def test_no_image_is_read_twice_and_no_walk_is_endless(here):
    plant(here, "d/cat/1.png", "d/dog/2.png", "away/deep/3.png", "away/4.png", "d/.store/x/5.png")
    for link, target in {
        "d/cat/up": here / "d",
        "d/cat/same": here / "d/cat",
        "d/cat/over": here,
        "d/a_dog": here / "d/dog",  # before the folder itself
        "d/dog/out": here / "away",
        "away/back": here / "d/cat",
        "away/deep/round": here / "away",
        "d/fish": here / "away/deep",  # walked already, as dog/out/deep
        "d/kept": here / "d/.store/x",  # what is hidden is not read by itself
        "d/cat/circle": "circle",
    }.items():
        Path(link).symlink_to(target)
    up, again = "a link that leads back up", "a folder that is read under another name"
    ignored = {
        "a_dog": again,
        "cat/up": up,
        "cat/same": up,
        "cat/over": up,
        "cat/circle": "not an image file",
        "dog/out/back": again,
        "dog/out/deep/round": up,
        "fish": again,
        ".store": "hidden",
    }
    for data in (Dataset.from_folder("d"), Dataset.from_files("d")):
        assert data.ids == ("cat/1.png", "dog/2.png", "dog/out/4.png", "dog/out/deep/3.png", "kept/5.png")
        assert dict(data.ignored) == ignored


def test_a_part_may_be_a_link(here):
    plant(here, "d/train/cat/1.png", "d/train/dog/2.png", "away/cat/3.png", "away/dog/4.png")
    Path("d/test").symlink_to(here / "away", target_is_directory=True)
    data = Dataset.from_folder("d")
    assert data.subset("test").ids == ("test/cat/3.png", "test/dog/4.png")
    Path("d/val").symlink_to(here / "d/test", target_is_directory=True)  # the same images once more
    again = Dataset.from_folder("d")
    assert again.ids == data.ids
    assert dict(again.ignored) == {
        f"val/{label}": "a folder that is read under another name" for label in ("cat", "dog")
    }


def test_classes_choose_folders_and_their_order(photos):
    data = Dataset.from_folder(photos, classes=["dog", "cat"])
    assert data.classes == ("dog", "cat")
    assert data.labels.tolist() == [1] * 8 + [0] * 8
    dogs = Dataset.from_folder(photos, classes=["dog"])
    assert dogs.counts() == {"dog": 8}
    assert dict(dogs.ignored) == {"cat": "not one of the classes asked for"}
    for classes in (["dogs"], ["cat", "dogs"]):
        with pytest.raises(DataError) as caught:
            Dataset.from_folder(photos, classes=classes)
        assert str(caught.value) == f"{str(photos)!r} has no images of 'dogs'. Did you mean 'dog'?"


@pytest.mark.parametrize(
    ("images", "folders", "kind", "words"),
    [
        ([], ["d"], EmptyDatasetError, f"folder 'd' is empty. {LAYOUT}"),
        (
            [],
            ["d/a/deep", "d/b"],
            EmptyDatasetError,
            f"there is no image in 'd' nor in its 2 sub-folders. Accepted: {ENDINGS}. {LAYOUT}",
        ),
        (["d/1.png", "d/2.png"], [], DataError, f"the 2 images of 'd' lie outside class sub-folders. {LAYOUT}"),
        (
            ["d/train/1.png", "d/test/2.png"],
            [],
            DataError,
            f"the 2 images of 'd' lie outside class sub-folders. {LAYOUT}",
        ),
        (
            ["dd/cat/1.png"],
            [],
            DataError,
            "folder 'd' does not exist. Did you mean 'dd'? Check the path and the working directory.",
        ),
        (["d"], [], DataError, f"'d' is a file. Accepted: a folder. {LAYOUT}"),
    ],
    ids=["empty", "folders of nothing", "loose", "loose parts", "missing", "a file"],
)
def test_a_folder_without_classes_is_refused_in_words(here, images, folders, kind, words):
    for folder in folders:
        Path(folder).mkdir(parents=True)
    plant(here, *images)
    with pytest.raises(kind) as caught:
        Dataset.from_folder("d")
    assert str(caught.value) == words


# --- files and tables ------------------------------------------------------------------------------------------------


def test_files_with_labels_from_a_list_a_function_or_nowhere(here):
    plant(here, "cat/1.png", "dog/2.png")
    names = ["cat/1.png", Path("dog/2.png")]
    for paths, labels in ((names, ["cat", "dog"]), (iter(names), lambda path: path.parent.name)):
        data = Dataset.from_files(paths, labels)
        assert data.ids == ("cat/1.png", "dog/2.png")
        assert [sample.label for sample in data] == ["cat", "dog"]
    assert Dataset.from_files(names).labels is None


def test_files_of_a_folder_or_pattern_with_labels_in_their_names(here):
    plant(here, "all/cat_p1_1.png", "all/dog_p1_2.png", "all/deep/cat_p2_3.png", "all/notes.txt")
    named = {"labels": r"(?P<label>[a-z]+)_(p\d)", "groups": re.compile(r"_(p\d)_")}
    data = Dataset.from_files("all", **named)
    assert data.ids == ("cat_p1_1.png", "deep/cat_p2_3.png", "dog_p1_2.png")
    assert [sample.label for sample in data] == ["cat", "cat", "dog"]
    assert data.groups.tolist() == ["p1", "p2", "p1"]
    assert dict(data.ignored) == {"notes.txt": "not an image file"}
    assert data.source(0) == Path("all/cat_p1_1.png")
    for flat in ("all/*.png", sorted(here.glob("all/*.png"))):  # the same names, whatever the way there
        assert Dataset.from_files(flat, labels="^([a-z]+)").counts() == {"cat": 1, "dog": 1}
    assert Dataset.from_folder("all", groups=lambda path: path.stem[-1]).groups.tolist() == ["3"]


def test_a_group_without_a_name_is_not_taken_from_a_group_that_has_another(here):
    plant(here, "all/17_cat_a.png", "all/23_dog_b.png")
    for labels, groups in (
        (r"(?P<group>\d+)_([a-z]+)", r"(?P<group>\d+)_([a-z]+)"),
        (r"(?P<group>\d+)_([a-z]+)_(\w)", r"(\d+)_(?P<label>[a-z]+)"),
        (r"(?P<group>\d+)_(?P<label>[a-z]+)_(\w)", r"(?P<label>x)?(\d+)"),
    ):
        data = Dataset.from_files("all", labels, groups=groups)
        assert [sample.label for sample in data] == ["cat", "dog"]
        assert data.groups.tolist() == ["17", "23"]


@pytest.mark.parametrize(
    ("labels", "kind", "words"),
    [
        (
            r"(\d)_",
            DataError,
            r"label='(\\d)_' matches nothing in 1 of 1 names: 'cat/1.png'. Mend the pattern or leave these files out.",
        ),
        (
            r"(?P<lable>\w)",
            ConfigurationError,
            "label='(?P<lable>\\\\w)' has no group that says what the label is. It names 'lable'. Put it in parentheses, such as r'([a-z]+)_[0-9]+', or call it (?P<label>...).",
        ),
        (
            r"cat",
            ConfigurationError,
            "label='cat' has no group that says what the label is. Put it in parentheses, such as r'([a-z]+)_[0-9]+', or call it (?P<label>...).",
        ),
        (
            "(",
            ConfigurationError,
            "label='(' is no regular expression: missing ), unterminated subpattern at position 0. Example: r'([a-z]+)_[0-9]+'.",
        ),
    ],
)
def test_a_wrong_pattern_is_refused_in_words(here, labels, kind, words):
    plant(here, "cat/1.png")
    with pytest.raises(kind) as caught:
        Dataset.from_files(["cat/1.png"], labels)
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("paths", "kind", "words"),
    [
        (
            "cat/1.png",
            ConfigurationError,
            "paths='cat/1.png' is one path. Accepted: a list of paths, a folder, or a pattern such as 'new/*.jpg'.",
        ),
        ([], EmptyDatasetError, "the list of files is empty. Give at least one image file."),
        (
            ["cat/1.png", *"vwxyz"],
            DataError,
            "5 of 6 files do not exist in the working directory: 'v', 'w', 'x' and 2 more. Check the paths.",
        ),
    ],
)
def test_wrong_files_are_refused_in_words(here, paths, kind, words):
    plant(here, "cat/1.png")
    with pytest.raises(kind) as caught:
        Dataset.from_files(paths)
    assert str(caught.value) == words


@pytest.mark.parametrize("strange", [None, float("nan"), pd.NA, 7, b"cat/1.png"])
def test_a_path_that_is_none_is_refused_with_its_position(here, strange):
    plant(here, "1.png")
    with pytest.raises(DataError) as caught:
        Dataset.from_files(["1.png", Path("1.png"), strange, strange], ["a", "b", "a", "b"])
    assert str(caught.value) == (
        f"2 of 4 paths name no file, first at position 2: {strange!r}. Accepted: text or pathlib.Path. Fill in the path or leave it out; Dataset.from_arrays takes images in memory."
    )


URI = "data:image/png;base64," + "iVBORw0KGgo" * 900


@pytest.mark.parametrize("text", [URI, URI[:200], URI + "*", "x" * 5000])
@pytest.mark.parametrize(
    "take",
    [
        as_dataset,
        lambda text: as_dataset(text, labelled=False),
        lambda text: as_dataset([text], labelled=False),
        is_one_image,
        Dataset.from_files,
        lambda text: Dataset.from_files(["1.png", text]),
        Dataset.from_folder,
        Dataset.from_csv,
    ],
)
def test_a_text_that_is_no_path_is_refused_in_short(here, take, text):
    plant(here, "1.png")
    with pytest.raises(DataError) as caught:
        take(text)
    assert str(caught.value) == (
        f"{text[:59]!r}"[:-1]
        + f"..., {len(text):,} letters, is no path. Accepted: the path of a file or folder, or a pattern. Give an image itself as bytes, such as base64.b64decode(text.partition(',')[2])."
    )


@pytest.mark.parametrize(
    "text",
    [URI[:22] + "iVBORw0KGgo" * 4000, "x" * 5000, "x" * 300],
    ids=["uri", "longer than a path", "longer than a name"],
)
@pytest.mark.parametrize("take", [as_dataset, is_one_image, Dataset.from_files, lambda text: as_dataset([text])])
def test_a_text_that_is_no_path_is_refused_in_short_on_windows_too(here, take, text, monkeypatch):
    """There the system says of one that is too long that it does not exist, and Python that it is too long to ask."""
    real = os.stat

    def stat(path, *arguments, **options):
        if len(str(path)) > 32_767:
            raise ValueError("stat: path too long for Windows")
        if len(str(path)) > 260:
            error = FileNotFoundError(errno.ENOENT, "The filename or extension is too long")
            error.winerror = 206
            raise error
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(
        DataError, match=rf"^{re.escape(repr(text[:59])[:-1])}\.\.\., {len(text):,} letters, is no path\."
    ):
        take(text)


def test_a_frame_with_groups_and_a_root(here):
    plant(here, "r/1.png", "r/2.png")
    frame = pd.DataFrame({"file": ["1.png", "2.png"], "kind": [7, 3], "patient": ["p", "q"]}, index=[5, 5])
    data = Dataset.from_frame(frame, image="file", label="kind", group="patient", root="r")
    assert data.classes == (3, 7)
    assert data.labels.tolist() == [1, 0]
    assert data.groups.tolist() == ["p", "q"]
    assert data.ids == ("1.png", "2.png")
    assert data[0].label == 7


def test_an_image_without_a_group_is_a_group_of_its_own(here):
    plant(here, "1.png", "2.png", "3.png", "4.png")
    for empty in (None, float("nan"), pd.NA, pd.NaT):
        columns = {
            "image": [f"{n}.png" for n in range(1, 5)],
            "label": list("abab"),
            "patient": ["p", None, empty, "p"],
        }
        frame = pd.DataFrame(columns, dtype=object)
        assert Dataset.from_frame(frame, group="patient").groups.tolist() == [
            "p",
            "no group: 2.png",
            "no group: 3.png",
            "p",
        ]
        frame["label"] = pd.Series(["red|round", empty, "red", "round"], dtype=object)
        assert Dataset.from_frame(frame, delimiter="|").labels.tolist() == [[1, 1], [0, 0], [1, 0], [0, 1]]


def test_a_frame_of_several_labels(here):
    plant(here, "1.png", "2.png")
    frame = pd.DataFrame({"image": ["1.png", "2.png"], "red": [1, 0], "blue": [0, 1]})
    data = Dataset.from_frame(frame, label=["red", "blue"])
    assert data.multi_label
    assert data.classes == ("red", "blue")
    assert data[1].label == ("blue",)


def test_a_column_of_lists_is_several_labels(here):
    plant(here, "1.png", "2.png", "3.png")
    images = {"image": ["1.png", "1.png", "2.png", "3.png", "3.png"]}
    long = pd.DataFrame(images | {"label": ["red", "round", "round", "big", "red"]})  # as of Open Images
    wide = long.groupby("image")["label"].agg(list).reset_index()
    data = Dataset.from_frame(wide)
    assert (data.ids, data.classes) == (("1.png", "2.png", "3.png"), ("big", "red", "round"))
    assert [sample.label for sample in data] == [("red", "round"), ("round",), ("big", "red")]
    again = Dataset.from_frame(data.to_frame(), image="id")
    assert (again.ids, again.classes, again.labels.tolist()) == (data.ids, data.classes, data.labels.tolist())
    ordered = Dataset.from_frame(wide, classes=["round", "red", "big"])
    assert ordered.labels.tolist() == [[1, 1, 0], [1, 0, 0], [0, 1, 1]]
    for known in (wide, data.to_frame().rename(columns={"id": "image"})):
        assert as_dataset(known).labels.tolist() == as_dataset(known, labelled=False).labels.tolist()


def test_classes_order_columns_of_labels(here):
    plant(here, "1.png", "2.png")
    frame = pd.DataFrame({"image": ["1.png", "2.png"], "red": [1, 0], "blue": [1, 1]})
    frame.to_csv("labels.csv", index=False)
    for classes in (["blue", "red"], np.array(["blue", "red"])):
        for data in (
            Dataset.from_frame(frame, label=["red", "blue"], classes=classes),
            Dataset.from_csv("labels.csv", label=["red", "blue"], classes=classes),
        ):
            assert data.classes == ("blue", "red")
            assert [sample.label for sample in data] == [("blue", "red"), ("blue",)]
    for classes in (["blue", "green"], ["blue"], ["blue", "red", "green"]):
        with pytest.raises(ConfigurationError) as caught:
            Dataset.from_frame(frame, label=["red", "blue"], classes=classes)
        named = ", ".join(map(repr, classes))
        assert str(caught.value) == (
            f"classes= names {named}, and the columns of labels are 'red', 'blue'. Accepted: the same names in the order "
            "that you want, or None for the order of the columns."
        )


def test_a_cell_of_one_name_each_is_several_labels_too(here):
    plant(here, "1.png", "2.png", "3.png")
    frame = pd.DataFrame({"image": ["1.png", "2.png", "3.png"], "label": ["odd", "prime", "odd"]})
    data = Dataset.from_frame(frame, delimiter="|")
    assert (data.classes, data.labels.tolist()) == (("odd", "prime"), [[1, 0], [0, 1], [1, 0]])


def test_columns_without_a_header_are_called_by_their_numbers_or_the_same_in_text(here):
    plant(here, "1.png", "2.png")
    (here / "bare.csv").write_text("1.png,cat,p,train,1,0\n2.png,dog,q,test,1,1\n")
    frame = pd.read_csv("bare.csv", header=None)
    with pytest.raises(ConfigurationError, match=r"^there is no column 'image'\. The columns are 0, 1, 2, 3, 4, 5\."):
        Dataset.from_frame(frame)
    for called in (int, str, np.int64):
        columns = {name: called(number) for number, name in enumerate(("image", "label", "group", "part"))}
        data = Dataset.from_frame(frame, **columns)
        assert data.ids == ("1.png", "2.png")
        assert [sample.label for sample in data] == ["cat", "dog"]
        assert (data.groups.tolist(), data.parts.tolist()) == (["p", "q"], ["train", "test"])
        several = Dataset.from_frame(frame, image=called(0), label=[called(4), called(5)])
        assert (several.classes, several.labels.tolist()) == (("4", "5"), [[1, 0], [1, 1]])
    assert Dataset.from_frame(frame, image=0, label=1, group=0).groups.tolist() == ["1.png", "2.png"]  # 0 is a column
    with pytest.raises(ConfigurationError, match=r"^there is no column '7'\. .* Say which with image= and label="):
        Dataset.from_frame(frame, image=7, label=1)


def test_a_delimiter_beside_several_columns_of_labels_is_refused(here):
    plant(here, "1.png")
    frame = pd.DataFrame({"image": ["1.png"], "red": [1], "blue": [0]})
    with pytest.raises(ConfigurationError) as caught:
        Dataset.from_frame(frame, label=["red", "blue"], delimiter="|")
    assert str(caught.value) == (
        "delimiter='|' divides the cells of one column, and label= names 'red', 'blue', whose cells are 0 or 1. Leave it "
        "out, or name the one column that holds several labels in a cell."
    )


def test_folders_called_by_numbers_keep_their_names(here):
    for number in range(12):
        plant(here, f"numbers/{number}/{number}.png")
    for classes in (None, [str(number) for number in range(12)]):
        data = Dataset.from_folder("numbers", classes=classes)
        assert all(sample.id == f"{sample.label}/{sample.label}.png" for sample in data)


@pytest.mark.parametrize("kind", [list, np.array, pd.Series])
def test_folders_called_by_numbers_may_be_asked_for_by_numbers(here, kind):
    plant(here, *(f"numbers/{number}/{number}.png" for number in range(12)))
    plant(here, *(f"divided/{part}/{number}/{number}.png" for part in ("train", "test") for number in range(12)))
    for folder in ("numbers", "divided"):
        data = Dataset.from_folder(folder, classes=kind([10, 2, 0]))
        assert data.classes == ("10", "2", "0")
        assert sorted({(one.label, Path(one.id).stem) for one in data}) == [("0", "0"), ("10", "10"), ("2", "2")]
        with pytest.raises(DataError) as caught:
            Dataset.from_folder(folder, classes=kind([2, 12]))
        assert str(caught.value) == f"'{folder}' has no images of '12'. Did you mean '2'?"


def test_a_table_with_parts_and_several_labels_in_a_cell(here):
    plant(here, "1.png", "2.png", "3.png")
    Path("labels.csv").write_text("image,label,split\n1.png,red|round,train\n2.png,,VAL\n3.png, round ,Testing\n")
    data = Dataset.from_csv("labels.csv", part="split", delimiter="|")
    assert data.parts.tolist() == ["train", "validation", "test"]
    assert data.classes == ("red", "round")
    assert data.labels.tolist() == [[1, 1], [0, 0], [0, 1]]
    with pytest.raises(DataError) as caught:
        Dataset.from_csv("labels.csv", part="label", delimiter="|")
    assert str(caught.value) == (
        "column 'label' says 'nan', 'red|round', 'round'. "
        "Accepted: train, training, val, valid, validation, test, testing. "
        "Rename what is none of them, or leave it out."
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"group": "patients"}, "'patients'. Did you mean 'patient'? The columns are image, label, patient. Say which with group=."),
        ({"part": "fold"}, "'fold'. The columns are image, label, patient. Say which with part=."),
        (
            {"label": "name", "group": "patients"},
            "'name'. The columns are image, label, patient. Say which with image= and label=, or --image and --label in a shell.",
        ),
    ],
)  # a row a case # fmt: skip
def test_a_missing_column_is_named_with_its_argument(here, given, words):
    plant(here, "1.png")
    frame = pd.DataFrame({"image": ["1.png"], "label": ["a"], "patient": ["p"]})
    with pytest.raises(ConfigurationError) as caught:
        Dataset.from_frame(frame, **given)
    assert str(caught.value) == f"there is no column {words}"


def test_in_csv_only_an_empty_cell_is_missing(here):
    plant(here, "d/1.png", "d/2.png", "d/3.png")
    Path("d/labels.csv").write_text("image,label\n1.png,NA\n2.png,None\n3.png,nan\n")
    assert Dataset.from_csv("d/labels.csv").classes == ("NA", "None", "nan")


@pytest.mark.parametrize(
    "text",
    [
        "image,label\n1.png,cat,\n2.png,dog,\n",
        "image,label\n1.png,cat,\n2.png,dog\n",
        "image,label,\n1.png,cat,\n2.png,dog,\n",
        "image,label,note\n1.png,cat\n2.png,dog\n",
        'label,image\n"cat",1.png,\r\n"dog",2.png,\r\n',
    ],
)
def test_a_comma_too_many_or_too_few_at_the_end_of_rows_shifts_no_column(here, text):
    plant(here, "1.png", "2.png")
    Path("labels.csv").write_text(text, newline="")
    with Path("labels.csv").open(newline="") as file:
        truth = [(row["image"], row["label"]) for row in csv.DictReader(file)]
    assert truth == [("1.png", "cat"), ("2.png", "dog")]
    assert [(one.id, one.label) for one in Dataset.from_csv("labels.csv")] == truth
    Path("new.csv").write_text("image\n1.png,\n2.png,\n")
    assert as_dataset("new.csv", labelled=False).ids == ("1.png", "2.png")


SURPLUS = "'labels.csv' has rows with more fields than its header line. Accepted: a header line that names each of them. Name all columns, and put what holds a comma in quotes."

CSV = {
    "image,label\n1.png,cat\n1.png,\n": "1 of 2 labels are missing or no label, first at position 1: nan. "
    "Accepted: names or whole numbers. Label these images or leave them out.",
    "image,label\n1.png,cat\n,dog\n": "1 of 2 rows name no image in column 'image', first at position 1. "
    "Fill in the path or leave the row out.",
    "image,label\n2.png,cat\n": "1 of 1 files do not exist in '.': '2.png'. Check the paths.",
    "image,lable\n1.png,cat\n": "there is no column 'label'. Did you mean 'lable'? The columns are image, lable. Say which with image= and label=, or --image and --label in a shell.",
    "image,label\n": "the table has no rows. Give at least one image.",
    "": "'labels.csv' cannot be read as CSV: No columns to parse from file. Accepted: UTF-8 text with a header line.",
    "image,label\n1.png,cat,tabby\n": SURPLUS,
    "image,label\na,1.png,cat\n": SURPLUS,  # a name with a comma, or names of rows as R's write.table has them
    "image,label\n1.png,cat,,\n": SURPLUS,
    "image,label\n1.png,cat,\n1.png,cat,tabby\n": SURPLUS,
    "image;label;weight\n1.png;cat;0,5\n": "'labels.csv' has ';' between its columns. Accepted: commas. Save it with those, or give "
    "Dataset.from_frame what pandas.read_csv('labels.csv', sep=';', dtype=str) reads.",
}


@pytest.mark.parametrize("text", CSV)
def test_a_wrong_table_is_refused_in_words(here, text):
    plant(here, "1.png")
    Path("labels.csv").write_text(text)
    with pytest.raises((DataError, ConfigurationError)) as caught:
        Dataset.from_csv("labels.csv")
    assert str(caught.value) == CSV[text]


def test_a_missing_csv_file_is_refused_in_words():
    with pytest.raises(DataError) as caught:
        Dataset.from_csv("no.csv")
    assert str(caught.value) == "CSV file 'no.csv' does not exist. Check the path and the working directory."


# --- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 4, 4, 1), (2, 4, 4, 3), (2, 4, 4, 4)])
@pytest.mark.parametrize("kind", [np.uint8, np.int64, list])
def test_arrays_of_whole_numbers(shape, kind):
    images = np.full(shape, 255, np.uint8)
    given = list(images) if kind is list else images.astype(kind)
    image = Dataset.from_arrays(given, ["a", "b"])[1].image
    assert image.shape == (4, 4, 1 if len(shape) == 3 or shape[3] == 1 else 3)
    assert (image == 255).all()


def test_arrays_of_different_sizes():
    data = Dataset.from_arrays([np.zeros((2, 3), np.uint8), PIXELS], ids=["a", "b"])
    assert [sample.image.shape for sample in data] == [(2, 3, 1), (4, 4, 3)]


def test_arrays_beside_bytes_paths_and_pil_images(here):
    plant(here, "1.png")
    for other in (Path("1.png"), Path("1.png").read_bytes(), Image.fromarray(PIXELS)):
        for given in ([other, PIXELS], [PIXELS, PIXELS, other]):
            assert all((sample.image == PIXELS).all() for sample in Dataset.from_arrays(given))


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (
            np.zeros((2, 4), np.uint8),
            None,
            "images have shape (2, 4). Accepted: (N, H, W) or (N, H, W, C).",
        ),
        (
            np.zeros((2, 3, 9, 9), np.uint8),
            None,
            "images have shape (2, 3, 9, 9), channels first. Accepted: channels last, (N, H, W, C): images.transpose(0, 2, 3, 1).",
        ),
        (
            np.full((2, 4, 4), 0.5),
            None,
            (
                "the array of images has dtype float64 and values from 0.5 to 0.5. Accepted: dtype uint8, values 0 to "
                "255. Convert: (images * 255).round().astype('uint8')."
            ),
        ),
        (
            np.full((2, 4, 4), 256),
            None,
            "the array of images has dtype int64 and values from 256 to 256. Accepted: dtype uint8, values 0 to 255.",
        ),
        (
            np.zeros((2, 4, 4), np.uint8),
            ["a"],
            "there are 2 images and 1 labels. Give one label for each image.",
        ),
        ([], None, "there are no images. Give at least one."),
    ],
)
def test_wrong_arrays_are_refused_in_words(images, labels, words):
    with pytest.raises(DataError) as caught:
        Dataset.from_arrays(images, labels)
    assert str(caught.value) == words


@pytest.mark.parametrize("named", [False, True])
def test_very_many_class_folders_are_told_apart(tmp_path, monkeypatch, named):
    names = [f"{code:05d}" for code in range(30_000)]

    class Tree:
        def __init__(self, root, ignored):
            pass

        def folders(self, below):
            return [] if below else names

        def images(self, below, place=""):
            yield f"{below}/1.png"

    monkeypatch.setattr(_folders, "_Tree", Tree)
    found = _folders.walk(tmp_path, names if named else None)
    assert found.classes == names
    assert found.codes == list(range(30_000))
