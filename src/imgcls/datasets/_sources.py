"""What holds the images: file lists, patterns and arrays."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls._checks import some
from imgcls.datasets._folders import below
from imgcls.datasets._paths import check_path, is_glob, matching, shortened
from imgcls.errors import ConfigurationError, DataError, EmptyDatasetError
from imgcls.images import wrong_dtype


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
            f"{shortened(given[strange[0]])}. Accepted: text or pathlib.Path. Fill in the path or leave it out; "
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
