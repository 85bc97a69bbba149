"""Reports as files: endings that are refused before work is done, and a file that is whole or not there."""

import os
from collections.abc import Collection
from pathlib import Path

from imgcls._checks import did_you_mean
from imgcls._replace import replacing
from imgcls.errors import ConfigurationError, DataError


def check_path(path: Path, endings: Collection[str] = (), *, example: str) -> None:
    """Refuse a path that cannot be written to, before any work is done for it.

    Args:
        path: Where to.
        endings: Those that are accepted, such as ".html"; none for any.
        example: A name of such a file.

    Raises:
        ConfigurationError: The ending is another one, the path is a folder, or its folder does not exist or cannot be
            written to.
    """
    if path.is_dir():
        message = f"{str(path)!r} is a folder. Accepted: the name of a file, such as {str(path / example)!r}."
        raise ConfigurationError(message)
    if endings and path.suffix.lower() not in endings:
        near = did_you_mean(path.suffix, endings)
        message = f"{str(path)!r} ends with {path.suffix!r}.{near} Accepted: {', '.join(endings)}."
        raise ConfigurationError(message)
    if not path.parent.is_dir():
        if path.parent.exists():
            message = f"{str(path.parent)!r} is a file, not a folder to write into. Name another output."
        else:
            message = f"folder {str(path.parent)!r} does not exist. Make it, or name another output."
        raise ConfigurationError(message)
    if not os.access(path.parent, os.W_OK):
        message = f"folder {str(path.parent)!r} cannot be written to. Name another output."
        raise ConfigurationError(message)


def write(path: Path, text: str) -> None:
    """Write a report, so that a reader never meets half of it.

    Raises:
        DataError: The system refuses it, such as on a full disk, or on Windows where another program has the file open.
    """
    try:
        with replacing(path) as whole:
            whole.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        message = (
            f"{str(path)!r} cannot be written: {error.strerror or error}. Close the program that has it open, such as "
            "a spreadsheet, or free the place, or write somewhere else."
        )
        raise DataError(message) from error
