"""Folders, file lists and arrays: what is there, and refusals in words."""

import errno
import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls._checks import did_you_mean, some
from imgcls.datasets._parts import SPELLINGS
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError
from imgcls.images import SUFFIXES, wrong_dtype

_LOOSE = "an image outside the class folders"
_EMPTY = "a folder without images"
_BESIDE = "a folder beside the parts"
_AGAIN = "a folder that is read under another name"
_SHOWN = 60  # letters of what is no path
_LONGEST = 4096  # letters of a path, on any system
_TOO_LONG_FOR_WINDOWS = 206  # its own number of that error
_OF_SYSTEMS = frozenset({"__MACOSX", "lost+found", "System Volume Information", "$RECYCLE.BIN"})  # made by no user
_UNREAD = frozenset({".heic", ".heif", ".jp2", ".jxl", ".svg", ".raw", ".dng", ".cr2", ".nef", ".ico"})
_LAYOUT = "Put images into one sub-folder for each class: folder/cat/1.jpg, folder/dog/2.jpg."


@final
class Files(Sequence[Path]):
    """Files below one folder: paths are put together when asked for, since a million of them would fill memory."""

    def __init__(self, root: str | Path, names: Sequence[str]) -> None:
        self._root, self._names = str(root), names

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: Any) -> Any:
        return Path(self._root, self._names[index])


@final
class Joined(Sequence[Any]):
    """Images of several sources one after another, each fetched from its own when asked for.

    Args:
        parts: What holds images, and which of its positions are taken. What is joined already is taken apart: thousands
            may be joined, one by one.
    """

    def __init__(self, parts: Iterable[tuple[Any, NDArray[np.int64]]]) -> None:
        self.sources: list[Any] = []
        which: list[NDArray[np.int64]] = []
        places: list[NDArray[np.int64]] = []
        for images, at in parts:
            before = len(self.sources)
            if isinstance(images, Joined):
                self.sources += images.sources
                which.append(before + images.which[at])
                places.append(images.places[at])
            else:
                self.sources.append(images)
                which.append(np.full(len(at), before))
                places.append(at)
        self.which: NDArray[np.int64] = np.concatenate(which)
        self.places: NDArray[np.int64] = np.concatenate(places)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: Any) -> Any:
        return self.sources[self.which[index]][self.places[index]]


@dataclass
class Found:
    """What a walk through a folder found: names relative to it, and a code into `folders` for each."""

    ids: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    parts: list[str] | None = None
    classes: list[str] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)


def walk(folder: Path, classes: Sequence[Any] | None) -> Found:
    """List the images below `folder` with class sub-folders, or with parts that hold class sub-folders."""
    check_folder(folder)
    found = Found()
    counts: dict[str, int] = {}
    places: dict[str, int] = {}  # of the names in `counts`
    tree = _Tree(folder, found.ignored)
    classes = None if classes is None else [str(name) for name in classes]  # folders are called by text
    wanted = None if classes is None else set(classes)
    children = tree.folders("")
    parts = _parts_among(folder, children, classes)
    if parts:
        found.parts = []
        _note_beside(folder, children, parts, found.ignored)
    for top in parts or [""]:
        for path in tree.folders(top) if parts else children:
            name = path.rpartition("/")[2]
            images = 0
            counts.setdefault(name, 0)
            places.setdefault(name, len(places))
            if wanted is not None and name not in wanted:
                found.ignored[path] = "not one of the classes asked for"
                continue
            code = places[name]
            for image in tree.images(path):
                found.ids.append(image)
                found.codes.append(code)
                images += 1
            counts[name] += images
            if not images:
                found.ignored.setdefault(path, _EMPTY)
            if found.parts is not None:
                found.parts += [SPELLINGS[top.lower()]] * images
    if not found.ids and classes is None:
        _refuse_empty(folder, children, found)
    found.classes = list(classes) if classes is not None else sorted(name for name in counts if counts[name])
    missing = [name for name in found.classes if not counts.get(name)]
    if missing:
        message = f"{str(folder)!r} has no images of {some(missing)}.{did_you_mean(missing[0], list(counts))}"
        raise DataError(message)
    position = {name: code for code, name in enumerate(found.classes)}
    code_of = [position.get(name, -1) for name in counts]
    found.codes = [code_of[code] for code in found.codes]
    return found


def _parts_among(folder: Path, children: list[str], classes: Sequence[str] | None) -> list[str]:
    """Return those of the folders `children` that are parts, or none where the folders are classes.

    They are parts if all that hold images are named so. One alone may be a class, unless it holds folders. Where such
    with folders stand beside a folder of another name, nobody can say; `classes` do. One alone may still be a class.
    """
    named = [child for child in children if child.lower() in SPELLINGS]
    divided = {SPELLINGS[child.lower()] for child in named if _Tree(folder, {}).folders(child)}
    if len(named) == len(children):
        return named if divided or len(named) > 1 else []
    if not divided or any(name in children for name in classes or ()):
        return []
    beside = [child for child in children if child not in named and any(_Tree(folder, {}).images(child))]
    if not beside:
        return named
    if len(divided) < 2 and _is_class(folder, named, beside):
        return []
    if classes is None:
        message = (
            f"{str(folder)!r} is divided into {some(named)}, and beside that there are images in {some(beside)}. "
            f"Accepted: {', '.join(SPELLINGS)}. Move or rename what is none of them, or name the classes in Python: "
            "Dataset.from_folder(..., classes=[...])."
        )
        raise DataError(message)
    return named


def _is_class(folder: Path, named: list[str], beside: list[str]) -> bool:
    """Say whether the one that holds folders, among those `named` like parts, is a class as those `beside` it are.

    It is if no folder has the same name in both, as in train/cat and dev/cat, and it looks like a class: at least as
    many images lie in it itself as in its folders, or each one beside it holds folders too. A flat one beside train/cat
    and train/dog is a test set without labels far more often than a class.
    """
    own, others = ([_folders_in(folder, child) for child in children] for children in (named, beside))
    apart = {name for names in own for name in names}.isdisjoint(name for names in others for name in names)
    return apart and (all(others) or any(_is_mostly_loose(folder, child) for child in named))


def _folders_in(folder: Path, child: str) -> set[str]:
    return {path.rpartition("/")[2] for path in _Tree(folder, {}).folders(child)}


def _is_mostly_loose(folder: Path, child: str) -> bool:
    """Say whether the folder `child` holds folders, and itself no fewer images than they do."""
    ignored: dict[str, str] = {}
    tree = _Tree(folder, ignored)
    folders = tree.folders(child)
    loose = list(ignored.values()).count(_LOOSE)
    inside = itertools.chain.from_iterable(tree.images(path) for path in folders)
    return bool(folders and loose) and len(list(itertools.islice(inside, loose + 1))) <= loose


def _note_beside(folder: Path, children: list[str], parts: list[str], ignored: dict[str, str]) -> None:
    for child in children:
        if child not in parts:
            ignored[child] = _BESIDE if any(_Tree(folder, ignored).images(child)) else _EMPTY


class _Tree:
    """What lies below a folder, each folder once.

    A link to a folder is followed, unless it leads back up, or to a folder that is walked under another name. What is
    left out is noted in `ignored`. Names are relative to `root`, with "/" between.
    """

    def __init__(self, root: Path, ignored: dict[str, str]) -> None:
        self._root, self._ignored = root, ignored
        self._top = os.path.realpath(root)
        self._walked: set[str] = set()

    def folders(self, below: str) -> list[str]:
        """Return the folders in the folder `below`, sorted."""
        folders = []
        for name, entry in _entries(self._root, below):
            if _is_hidden(entry.name):
                self._ignored[name] = "hidden"
            elif _is_folder(entry):
                folders.append(name)
            else:
                is_image = Path(entry.name).suffix.lower() in SUFFIXES
                self._ignored[name] = _LOOSE if is_image else _why_ignored(entry.name)
        return folders

    def images(self, below: str, place: str = "") -> Iterator[str]:
        """Yield the images anywhere below the folder `below`, sorted; `place` is its real path, where that is known."""
        place = place or os.path.realpath(self._root / below)
        if reason := self._why_not_walked(below, place):
            self._ignored[below] = reason
            return
        self._walked.add(place)
        for name, entry in _entries(self._root, below):
            if _is_hidden(entry.name):
                self._ignored[name] = "hidden"
            elif _is_folder(entry):
                inner = "" if entry.is_symlink() else os.path.join(place, entry.name)  # noqa: PTH118 - as often as folders
                yield from self.images(name, inner)
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122 - a million times
                yield name
            else:
                self._ignored[name] = _why_ignored(entry.name)

    def _why_not_walked(self, below: str, place: str) -> str:
        path = os.path.normpath(os.path.join(self._top, below))  # noqa: PTH118 - the same
        if place == path:  # no link on the way
            return ""
        real, top = Path(place), Path(self._top)
        if top.is_relative_to(real) or Path(path).parent.resolve().is_relative_to(real):
            return "a link that leads back up"
        own = real.is_relative_to(top) and not any(_is_hidden(part) for part in real.relative_to(top).parts)
        return _AGAIN if own or place in self._walked else ""


def _entries(root: Path, below: str) -> list[tuple[str, "os.DirEntry[str]"]]:
    """List what is in the folder `below` of `root`, sorted, with names relative to `root`."""
    try:
        with os.scandir(root / below) as entries:
            return sorted((f"{below}/{entry.name}" if below else entry.name, entry) for entry in entries)
    except OSError as error:
        message = (
            f"folder {str(root / below)!r} cannot be opened: {error.strerror}. Allow yourself to read it, or move it "
            "elsewhere. Of class folders, those that classes=[...] names are opened, and no others."
        )
        raise DataError(message) from error


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _OF_SYSTEMS


def _why_ignored(name: str) -> str:
    foreign = Path(name).suffix.lower() in _UNREAD
    return "an image format that imgcls does not read: convert it to JPEG or PNG" if foreign else "not an image file"


def check_path(path: str | Path) -> None:
    """Refuse text that no file can be called, such as an image written as base64, and show only its beginning."""
    text = str(path)
    if len(text) <= _LONGEST:  # of a longer one, systems say different things
        try:
            os.stat(path)  # noqa: PTH116 - what it says of the text is wanted, which Path hides or not by its version
        except OSError as error:
            too_long = error.errno == errno.ENAMETOOLONG or getattr(error, "winerror", None) == _TOO_LONG_FOR_WINDOWS
            if not too_long and not text.startswith("data:"):
                return
        except ValueError:  # a null character: a path of nothing, as others are
            return
        else:
            return
    message = (
        f"{_shortened(text)}, {len(text):,} letters, is no path. Accepted: the path of a file or folder, or a "
        "pattern. Give an image itself as bytes, such as base64.b64decode(text.partition(',')[2])."
    )
    raise DataError(message)


def _shortened(item: Any) -> str:
    words = repr(item)
    return words if len(words) <= _SHOWN else f"{words[:_SHOWN]}..."


def check_exists(path: Path, what: str) -> None:
    """Refuse a path that does not exist, with the nearest name beside it."""
    check_path(path)
    if not path.exists():
        near = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, near)
        message = f"{what} {str(path)!r} does not exist.{hint} Check the path and the working directory."
        raise DataError(message)


def check_folder(folder: Path) -> None:
    """Refuse a path that is not a folder."""
    check_exists(folder, "folder")
    if not folder.is_dir():
        message = f"{str(folder)!r} is a file. Accepted: a folder. {_LAYOUT}"
        raise DataError(message)


def is_glob(path: str | Path) -> bool:
    """Say whether `path` is a pattern such as "new/*.jpg" and not the name of something that exists."""
    check_path(path)
    return glob.has_magic(str(path)) and not Path(path).exists()


def matching(pattern: str | Path) -> list[str]:
    """Return the files that match a pattern, sorted; refuse when there are none."""
    files = [file for file in sorted(glob.glob(str(pattern), recursive=True)) if Path(file).is_file()]
    if not files:
        message = f"no file matches {str(pattern)!r}. Check the pattern and the working directory."
        raise EmptyDatasetError(message)
    return files


def below(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the images anywhere below `folder`, relative to it, and what was ignored with the reason."""
    ignored: dict[str, str] = {}
    names = list(_Tree(folder, ignored).images(""))
    if not names:
        message = f"there is no image in {str(folder)!r}. Accepted: {', '.join(sorted(SUFFIXES))}."
        raise EmptyDatasetError(message)
    return names, ignored


def files_of(paths: Any) -> tuple[Sequence[Path], list[str], dict[str, str]]:
    """Return the files of a folder, of a pattern or of a list, their names, and what was ignored."""
    if isinstance(paths, str | Path):
        check_path(paths)
    if isinstance(paths, str | Path) and Path(paths).is_dir():
        names, ignored = below(Path(paths))
        return Files(paths, names), names, ignored
    if isinstance(paths, str | Path):
        listed: Any = matching(paths) if is_glob(paths) else paths
    else:
        listed = list(paths)  # `Path.glob` can be walked once
    return existing(listed), [str(path) for path in listed], {}


def called(sources: Iterable[Any], names: Iterable[str]) -> Iterator[Path]:
    """Yield the file of each image, for `from_names`; of one in memory, its name as a path."""
    for source, name in zip(sources, names, strict=True):
        yield Path(source if isinstance(source, str | Path) else name)


def from_names(argument: str, given: Any, names: Sequence[str], paths: Iterable[Path]) -> Any:
    """Return one value for each file: what is given, or what a pattern or a function makes of its name.

    A pattern (text or `re.compile`) is searched in the file's own name, without folders; its group called `argument`,
    or else its first group without a name, is the value: another name is of another argument.
    """
    if callable(given):
        return [given(path) for path in paths]
    if not isinstance(given, str | re.Pattern):
        return given
    try:
        pattern = re.compile(given)
    except re.error as error:
        message = f"{argument}={given!r} is no regular expression: {error}. Example: r'([a-z]+)_[0-9]+'."
        raise ConfigurationError(message) from error
    named = list(pattern.groupindex)
    unnamed = [group for group in range(1, pattern.groups + 1) if group not in pattern.groupindex.values()]
    if argument not in named and not unnamed:
        hint = f" It names {some(named)}." if named else ""
        message = (
            f"{argument}={pattern.pattern!r} has no group that says what the {argument} is.{hint} "
            f"Put it in parentheses, such as r'([a-z]+)_[0-9]+', or call it (?P<{argument}>...)."
        )
        raise ConfigurationError(message)
    group: str | int = argument if argument in named else unnamed[0]
    found = [pattern.search(path.name) for path in paths]
    missing = [name for name, match in zip(names, found, strict=True) if match is None or match[group] is None]
    if missing:
        message = (
            f"{argument}={pattern.pattern!r} matches nothing in {len(missing):,} of {len(names):,} names: "
            f"{some(missing)}. Mend the pattern or leave these files out."
        )
        raise DataError(message)
    return [match[group] for match in found if match is not None]


def existing(paths: Any, *, root: str | Path | None = None) -> list[Path]:
    """Return `paths` (relative to `root`) as Path objects; refuse an empty list and files that do not exist."""
    if isinstance(paths, str | Path):
        message = (
            f"paths={str(paths)!r} is one path. Accepted: a list of paths, a folder, or a pattern such as 'new/*.jpg'."
        )
        raise ConfigurationError(message)
    given = list(paths)
    strange = [position for position, path in enumerate(given) if not isinstance(path, str | os.PathLike)]
    if strange:
        message = (
            f"{len(strange):,} of {len(given):,} paths name no file, first at position {strange[0]}: "
            f"{_shortened(given[strange[0]])}. Accepted: text or pathlib.Path. Fill in the path or leave it out; "
            "Dataset.from_arrays takes images in memory."
        )
        raise DataError(message)
    files = [Path(path) if root is None else Path(root, path) for path in given]
    if not files:
        message = "the list of files is empty. Give at least one image file."
        raise EmptyDatasetError(message)
    missing = [str(path) for path in files if not os.path.isfile(path)]  # noqa: PTH113 - no text is too long for it
    if missing:
        for path in missing:
            check_path(path)
        place = "the working directory" if root is None else repr(str(root))
        message = f"{len(missing):,} of {len(files):,} files do not exist in {place}: {some(missing)}. Check the paths."
        raise DataError(message)
    return files


def check_arrays(images: Any) -> Any:
    """Check images in memory: one uint8 array (N, H, W[, C]), or a list of images of any size."""
    if not isinstance(images, np.ndarray):
        items = list(images)
        shapes = {item.shape if isinstance(item, np.ndarray) else None for item in items}
        if len(shapes) != 1 or None in shapes:  # of several sizes, or files, bytes and PIL images among them
            return items
        images = np.stack(items)
    if images.ndim not in {3, 4}:
        message = f"images have shape {images.shape}. Accepted: (N, H, W) or (N, H, W, C)."
        raise DataError(message)
    if images.ndim == 4 and images.shape[1] in {1, 3, 4} and images.shape[3] > images.shape[1]:
        fix = "images.transpose(0, 2, 3, 1)"
        message = f"images have shape {images.shape}, channels first. Accepted: channels last, (N, H, W, C): {fix}."
        raise DataError(message)
    if images.dtype != np.uint8:
        return _as_uint8(images)
    return images


def _as_uint8(images: NDArray[Any]) -> NDArray[np.uint8]:
    whole = images.dtype.kind in "iu" and (not images.size or (images.min() >= 0 and images.max() <= 255))
    if whole:  # nothing is lost
        return images.astype(np.uint8)
    raise DataError(wrong_dtype(images, "the array of images"))


def _refuse_empty(folder: Path, children: list[str], found: Found) -> None:
    loose = sum(reason == _LOOSE for reason in found.ignored.values())
    if loose:
        message = f"the {loose:,} images of {str(folder)!r} lie outside class sub-folders. {_LAYOUT}"
        raise DataError(message)
    if children:
        message = (
            f"there is no image in {str(folder)!r} nor in its {len(children)} sub-folders. "
            f"Accepted: {', '.join(sorted(SUFFIXES))}. {_LAYOUT}"
        )
        raise EmptyDatasetError(message)
    message = f"folder {str(folder)!r} is empty. {_LAYOUT}"
    raise EmptyDatasetError(message)
