"""Paths as they are given: what is there, and refusals in words."""

import errno
import glob
import os
from pathlib import Path
from typing import Any

from imgcls._checks import did_you_mean
from imgcls.errors import DataError, EmptyDatasetError

_SHOWN = 60  # letters of what is no path
_LONGEST = 4096  # letters of a path, on any system
_TOO_LONG_FOR_WINDOWS = 206  # its own number of that error
LAYOUT = "Put images into one sub-folder for each class: folder/cat/1.jpg, folder/dog/2.jpg."


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
        f"{shortened(text)}, {len(text):,} letters, is no path. Accepted: the path of a file or folder, or a "
        "pattern. Give an image itself as bytes, such as base64.b64decode(text.partition(',')[2])."
    )
    raise DataError(message)


def shortened(item: Any) -> str:
    """Return how Python writes an item, or its beginning."""
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
        message = f"{str(folder)!r} is a file. Accepted: a folder. {LAYOUT}"
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
