"""Folders, file lists, tables and arrays: what is there, and refusals in words."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgcls._checks import did_you_mean, some
from imgcls.datasets import _images
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError

if TYPE_CHECKING:
    import pandas as pd

_PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_LOOSE = "an image outside the class folders"
_UNREAD = frozenset({".heic", ".heif", ".avif", ".jp2", ".jxl", ".mpo", ".svg", ".raw", ".dng", ".cr2", ".nef", ".ico"})
_LAYOUT = "Put images into one sub-folder for each class: folder/cat/1.jpg, folder/dog/2.jpg."


@dataclass
class Found:
    """What a walk through a folder found."""

    paths: list[Path] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    parts: list[str] | None = None
    classes: list[str] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)


def walk(folder: Path, classes: Sequence[str] | None) -> Found:
    """List the images below `folder` with class sub-folders, or with parts that hold class sub-folders."""
    check_folder(folder)
    found = Found()
    seen: list[str] = []
    children = _visible_folders(folder, folder, found)
    divided = _is_divided(children)
    if divided:
        found.parts = []
    for top in children if divided else [folder]:
        for class_folder in _visible_folders(top, folder, found) if divided else children:
            seen.append(class_folder.name)
            if classes is not None and class_folder.name not in classes:
                found.ignored[_relative(class_folder, folder)] = "not one of the classes asked for"
                continue
            images = list(image_files(class_folder, folder, found.ignored))
            if not images:
                found.ignored[_relative(class_folder, folder)] = "a folder without images"
            found.paths += images
            found.labels += [class_folder.name] * len(images)
            found.ids += [_relative(path, folder) for path in images]
            if found.parts is not None:
                found.parts += [_PART_NAMES[top.name.lower()]] * len(images)
    if not found.paths and classes is None:
        _refuse_empty(folder, children, found)
    found.classes = list(classes) if classes is not None else sorted(set(found.labels))
    missing = [name for name in found.classes if name not in found.labels]
    if missing:
        message = f"{str(folder)!r} has no images of {some(missing)}.{did_you_mean(missing[0], seen)}"
        raise DataError(message)
    return found


def _is_divided(children: list[Path]) -> bool:
    """Say whether the folders are parts: all are named so. One alone may be a class, unless it holds folders."""
    if not children or any(child.name.lower() not in _PART_NAMES for child in children):
        return False
    return len(children) > 1 or any(path.is_dir() for path in children[0].iterdir())


def image_files(folder: Path, root: Path, ignored: dict[str, str]) -> Iterator[Path]:
    """Yield the image files below `folder` in sorted order; note everything else in `ignored`."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__MACOSX":
            ignored[_relative(path, root)] = "hidden"
        elif path.is_dir():
            if path.is_symlink():  # it may lead back up
                ignored[_relative(path, root)] = "a link to a folder"
            else:
                yield from image_files(path, root, ignored)
        elif path.suffix.lower() in _images.SUFFIXES:
            yield path
        else:
            ignored[_relative(path, root)] = _why_ignored(path)


def _why_ignored(path: Path) -> str:
    foreign = path.suffix.lower() in _UNREAD
    return "an image format that imgcls does not read: convert it to JPEG or PNG" if foreign else "not an image file"


def check_exists(path: Path, what: str) -> None:
    """Refuse a path that does not exist, with the nearest name beside it."""
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


def existing(paths: Any, *, root: str | Path | None = None) -> list[Path]:
    """Return `paths` (relative to `root`) as Path objects; refuse an empty list and files that do not exist."""
    if isinstance(paths, str | Path):
        message = f"paths={str(paths)!r} is one path. Accepted: a list of paths; for a folder use Dataset.from_folder."
        raise ConfigurationError(message)
    files = [Path(path) if root is None else Path(root) / path for path in paths]
    if not files:
        message = "the list of files is empty. Give at least one image file."
        raise EmptyDatasetError(message)
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
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


def check_columns(frame: "pd.DataFrame", columns: Iterable[str]) -> None:
    """Refuse a frame that lacks one of `columns`, or has no rows."""
    has = [str(column) for column in frame.columns]
    for column in columns:
        if column not in has:
            message = f"there is no column {column!r}.{did_you_mean(column, has)} The columns are {', '.join(has)}."
            raise ConfigurationError(message)
    if not len(frame):
        message = "the table has no rows. Give at least one image."
        raise EmptyDatasetError(message)


def read_csv(path: Path) -> "pd.DataFrame":
    """Read a CSV file as text, so that a class "007" stays one; only an empty cell is missing."""
    import pandas as pd

    if not path.is_file():
        message = f"CSV file {str(path)!r} does not exist. Check the path and the working directory."
        raise DataError(message)
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        message = f"{str(path)!r} cannot be read as CSV: {error}. Accepted: UTF-8 text with a header line."
        raise DataError(message) from error


def check_arrays(images: Any) -> Any:
    """Check images in memory: one uint8 array (N, H, W[, C]), or a list of images of any size."""
    if not isinstance(images, np.ndarray):
        items = list(images)
        if len({np.shape(item) for item in items if isinstance(item, np.ndarray)}) != 1:
            return items
        images = np.stack(items)
    if images.ndim not in {3, 4} or (images.ndim == 4 and images.shape[3] not in {1, 3, 4}):
        message = f"images have shape {images.shape}. Accepted: (N, H, W) or (N, H, W, C) with C = 1, 3 or 4."
        raise DataError(message)
    if images.dtype != np.uint8:
        return _as_uint8(images)
    return images


def _as_uint8(images: NDArray[Any]) -> NDArray[np.uint8]:
    whole = images.dtype.kind in "iu" and (not images.size or (images.min() >= 0 and images.max() <= 255))
    if whole:  # nothing is lost
        return images.astype(np.uint8)
    raise DataError(_images.wrong_dtype(images, "the array of images"))


def _visible_folders(folder: Path, root: Path, found: Found) -> list[Path]:
    folders = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__MACOSX":
            found.ignored[_relative(path, root)] = "hidden"
        elif path.is_dir():
            folders.append(path)
        else:
            is_image = path.suffix.lower() in _images.SUFFIXES
            found.ignored[_relative(path, root)] = _LOOSE if is_image else _why_ignored(path)
    return folders


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _refuse_empty(folder: Path, children: list[Path], found: Found) -> None:
    loose = sum(reason == _LOOSE for reason in found.ignored.values())
    if loose:
        message = f"the {loose:,} images of {str(folder)!r} lie outside class sub-folders. {_LAYOUT}"
        raise DataError(message)
    if children:
        message = (
            f"there is no image in {str(folder)!r} nor in its {len(children)} sub-folders. "
            f"Accepted: {', '.join(sorted(_images.SUFFIXES))}. {_LAYOUT}"
        )
        raise EmptyDatasetError(message)
    message = f"folder {str(folder)!r} is empty. {_LAYOUT}"
    raise EmptyDatasetError(message)
