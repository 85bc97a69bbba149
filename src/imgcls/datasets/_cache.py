"""Where imgcls keeps what it can compute again: one folder, which you may delete at any time."""

import os
import shutil
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_OPTIONAL = {  # modules that read what Pillow does not, and the packages that they come in
    "tifffile": "tifffile",
    "imagecodecs": "imagecodecs",
    "pydicom": "pydicom",
    "gdcm": "python-gdcm",  # this and those below decompress for pydicom
    "jpeg_ls": "pyjpegls",
    "libjpeg": "pylibjpeg-libjpeg",
    "openjpeg": "pylibjpeg-openjpeg",
    "rle": "pylibjpeg-rle",
}


def folder() -> Path | None:
    """Return the folder for what can be computed again, not yet made; None where `IMGCLS_CACHE=off`.

    `IMGCLS_CACHE` names another one. Default: the place that the system keeps for caches, such as `~/.cache/imgcls`;
    None for a user without a home folder, such as one that a container knows by number alone.
    """
    given = os.environ.get("IMGCLS_CACHE", "")
    if given.lower() == "off":
        return None
    try:
        return Path(given).expanduser() if given else _of_the_system()
    except RuntimeError:  # there is no home folder
        return None


def _of_the_system() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "imgcls" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "imgcls"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imgcls"


@cache
def optional_decoders() -> tuple[str, ...]:
    """Name what is installed of the packages that some files need to be read, with their versions.

    What is kept of such a file is true only where they are: without them it is refused.
    """
    return tuple(f"{module} {_version(package)}" for module, package in _OPTIONAL.items() if find_spec(module))


def _version(package: str) -> str:
    from importlib import metadata  # takes long, for what is seldom asked

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # a module that was installed in another way
        return ""


def free_disk(path: Path) -> int:
    """Return the bytes free on the disk that `path` is on, or will be; 0 where the system does not say."""
    existing = next((one for one in (path, *path.absolute().parents) if one.exists()), None)
    try:
        return 0 if existing is None else shutil.disk_usage(existing).free
    except OSError:
        return 0


def shown(path: Path) -> str:
    """Return a path as people write it: `~` for their own folder."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (RuntimeError, ValueError):  # they have none, or it lies elsewhere
        return str(path)
