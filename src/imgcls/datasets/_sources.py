"""Folders, file lists, tables and arrays: what is there, and refusals in words."""

import errno
import glob
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls._checks import did_you_mean, some
from imgcls.datasets._parts import SPELLINGS
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError
from imgcls.images import SUFFIXES, wrong_dtype

if TYPE_CHECKING:
    import pandas as pd

_LOOSE = "an image outside the class folders"
_EMPTY = "a folder without images"
_BESIDE = "a folder beside the parts"
_AGAIN = "a folder that is read under another name"
_SHOWN = 60  # letters of what is no path
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

    It is if no folder has the same name in both, as in train/cat and dev/cat, and it looks like a class: it holds
    images itself, or each one beside it holds folders too. A flat one beside train/cat and train/dog is a test set
    without labels far more often than a class.
    """
    own, others = [_within(folder, child) for child in named], [_within(folder, child) for child in beside]
    apart = {name for names, _ in own for name in names}.isdisjoint(name for names, _ in others for name in names)
    return apart and (any(names and loose for names, loose in own) or all(names for names, _ in others))


def _within(folder: Path, child: str) -> tuple[set[str], bool]:
    """Return the names of the folders in the folder `child`, and whether images lie beside them."""
    ignored: dict[str, str] = {}
    names = {path.rpartition("/")[2] for path in _Tree(folder, ignored).folders(child)}
    return names, _LOOSE in ignored.values()


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
    try:
        os.stat(path)  # noqa: PTH116 - what it says of the text is wanted, which Path hides or not by its version
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG and not text.startswith("data:"):
            return
        message = (
            f"{_shortened(text)}, {len(text):,} letters, is no path. Accepted: the path of a file or folder, or a "
            "pattern. Give an image itself as bytes, such as base64.b64decode(text.partition(',')[2])."
        )
        raise DataError(message) from None
    except ValueError:  # a null character: a path of nothing, as others are
        return


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
    or else its only or first group is the value.
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
    if not pattern.groups or (named and argument not in named and len(named) == pattern.groups):
        hint = f" It names {some(named)}." if named else ""
        message = (
            f"{argument}={pattern.pattern!r} has no group that says what the {argument} is.{hint} "
            f"Put it in parentheses, such as r'([a-z]+)_[0-9]+', or call it (?P<{argument}>...)."
        )
        raise ConfigurationError(message)
    group: str | int = argument if argument in named else 1
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


def file_names(column: "pd.Series[Any]") -> list[str]:
    """Return the paths in a column as text; refuse missing ones."""
    missing = np.flatnonzero(column.isna().to_numpy())
    if missing.size:
        message = (
            f"{missing.size:,} of {len(column):,} rows name no image in column {str(column.name)!r}, "
            f"first at position {missing[0]}. Fill in the path or leave the row out."
        )
        raise DataError(message)
    return [str(name) for name in column]


def check_frame(frame: Any) -> None:
    """Refuse a table of another library than pandas, such as polars or pyarrow.

    Raises:
        ConfigurationError: It is none of pandas.
    """
    if not hasattr(frame, "isna"):
        name = f"{type(frame).__module__.partition('.')[0]}.{type(frame).__name__}"
        message = f"the table is a {name}. Accepted: a pandas frame. Convert it, such as by .to_pandas()."
        raise ConfigurationError(message)


def check_columns(frame: "pd.DataFrame", columns: Iterable[str], **others: str | None) -> None:
    """Refuse a frame that has no rows, or lacks a column.

    Args:
        frame: The table.
        columns: Those of images and labels.
        others: Further ones, by the argument that names them; None for none.
    """
    check_frame(frame)
    has = [str(column) for column in frame.columns]
    wanted = dict.fromkeys(columns, "image= and label=, or --image and --label in a shell")
    wanted |= {column: f"{argument}=" for argument, column in others.items() if column and column not in wanted}
    for column, argument in wanted.items():
        if column not in has:
            message = (
                f"there is no column {column!r}.{did_you_mean(column, has)} The columns are {', '.join(has)}. "
                f"Say which with {argument}."
            )
            raise ConfigurationError(message)
    if not len(frame):
        message = "the table has no rows. Give at least one image."
        raise EmptyDatasetError(message)


def read_csv(path: Path) -> "pd.DataFrame":
    """Read a CSV file as text, so that a class "007" stays one; only an empty cell is missing.

    Where the rows have more fields than the header, pandas would take the first column for names of rows. What is empty
    at the end of all rows is left out in place of that, and anything else is refused.
    """
    import pandas as pd

    check_path(path)
    if not path.is_file():
        message = f"CSV file {str(path)!r} does not exist. Check the path and the working directory."
        raise DataError(message)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", pd.errors.ParserWarning)
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], index_col=False)
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        message = f"{str(path)!r} cannot be read as CSV: {error}. Accepted: UTF-8 text with a header line."
        raise DataError(message) from error
    between = next((sign for sign in (";", "\t") if sign in str(frame.columns[0])), None)
    if between is not None and len(frame.columns) == 1:
        message = (
            f"{str(path)!r} has {between!r} between its columns. Accepted: commas. Save it with those, or give "
            f"Dataset.from_frame what pandas.read_csv({str(path)!r}, sep={between!r}, dtype=str) reads."
        )
        raise DataError(message)
    if any(one.category is pd.errors.ParserWarning for one in told):  # fields were left out that are not empty
        message = (
            f"{str(path)!r} has rows with more fields than its header line. Accepted: a header line that names each of "
            "them. Name all columns, and put what holds a comma in quotes."
        )
        raise DataError(message)
    return frame


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
