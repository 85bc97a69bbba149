"""The CUDA libraries that TensorFlow needs: which can be opened, and why others cannot.

TensorFlow says no more than "Cannot dlopen some GPU libraries". Its log names each, where it is asked to; where it did
not come so far, they are opened here, from where pip put them and from where the system looks.
"""

import ctypes
import re
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_OPENED = re.compile(r"Successfully opened dynamic library (\S+)")
_REFUSED = re.compile(
    r"Could not load dynamic library '([^']+)'; dlerror: (.*?)(?:; LD_LIBRARY_PATH: .*)?$", re.MULTILINE
)
_ABSENT = re.compile(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file")


def pip_folders() -> list[Path]:
    """Return the folders into which pip puts the libraries of NVIDIA: site-packages/nvidia/*/lib."""
    try:
        spec = find_spec("nvidia")
    except (ImportError, ValueError):
        return []
    places = spec.submodule_search_locations if spec else None
    return sorted(folder for place in places or () for folder in Path(place).glob("*/lib"))


def libraries(
    needed: Iterable[str],
    log: str = "",
    *,
    folders: Iterable[Path] = (),
    load: Callable[[str], Any] = ctypes.CDLL,
) -> dict[str, Any]:
    """Say of each library whether it can be opened.

    Args:
        needed: File names, such as "libcudnn.so.9".
        log: What TensorFlow wrote when it looked for GPUs, with TF_CPP_VMODULE=dso_loader=1.
        folders: Where pip put libraries.
        load: What opens a library, by its path or its name.

    Returns:
        For each name a dict:

        - opens: Whether TensorFlow can open it.
        - trouble: Why not, in the system's words, or None.
        - missing: The name of what is missing, which may be another library that it needs, or None.
        - folder: The folder of pip's from which it does open, where TensorFlow has not looked; or None.
    """
    opened, refused = set(_OPENED.findall(log)), dict(_REFUSED.findall(log))
    places = list(folders)
    return {name: _library(name, name in opened, refused.get(name), places, load) for name in needed}


def _library(
    name: str, opened: bool, refused: str | None, folders: list[Path], load: Callable[[str], Any]
) -> dict[str, Any]:
    if opened:
        return _state(name, None, None)
    folder = next((folder for folder in folders if (folder / name).exists()), None)
    trouble = None if folder is None else _trouble(str(folder / name), load)
    if folder is not None and trouble is None:  # without TensorFlow's word, it will find it: it looks in pip's folders
        return _state(name, refused, str(folder) if refused else None)
    return _state(name, refused or trouble or _trouble(name, load), None)


def _state(name: str, trouble: str | None, folder: str | None) -> dict[str, Any]:
    absent = _ABSENT.search(trouble or "")
    missing = None if trouble is None or folder else absent[1] if absent else name
    return {"opens": trouble is None, "trouble": trouble, "missing": missing, "folder": folder}


def _trouble(name: str, load: Callable[[str], Any]) -> str | None:
    try:
        load(name)
    except OSError as error:
        return str(error)
    return None
