"""A folder of images: its classes and parts, and what is ignored, each with the reason."""

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgcls._checks import did_you_mean, some
from imgcls.datasets._parts import SPELLINGS
from imgcls.datasets._paths import LAYOUT, check_folder
from imgcls.errors import DataError, EmptyDatasetError
from imgcls.images import SUFFIXES

_LOOSE = "an image outside the class folders"
_EMPTY = "a folder without images"
_BESIDE = "a folder beside the parts"
_AGAIN = "a folder that is read under another name"
_OF_SYSTEMS = frozenset({"__MACOSX", "lost+found", "System Volume Information", "$RECYCLE.BIN"})  # made by no user
_UNREAD = frozenset({".heic", ".heif", ".jp2", ".jxl", ".svg", ".raw", ".dng", ".cr2", ".nef", ".ico"})


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


def below(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the images anywhere below `folder`, relative to it, and what was ignored with the reason."""
    ignored: dict[str, str] = {}
    names = list(_Tree(folder, ignored).images(""))
    if not names:
        message = f"there is no image in {str(folder)!r}. Accepted: {', '.join(sorted(SUFFIXES))}."
        raise EmptyDatasetError(message)
    return names, ignored


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


def _refuse_empty(folder: Path, children: list[str], found: Found) -> None:
    loose = sum(reason == _LOOSE for reason in found.ignored.values())
    if loose:
        message = f"the {loose:,} images of {str(folder)!r} lie outside class sub-folders. {LAYOUT}"
        raise DataError(message)
    if children:
        message = (
            f"there is no image in {str(folder)!r} nor in its {len(children)} sub-folders. "
            f"Accepted: {', '.join(sorted(SUFFIXES))}. {LAYOUT}"
        )
        raise EmptyDatasetError(message)
    message = f"folder {str(folder)!r} is empty. {LAYOUT}"
    raise EmptyDatasetError(message)
