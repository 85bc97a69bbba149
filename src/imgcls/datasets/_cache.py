"""Where imgcls keeps what it can compute again: one folder, which you may delete at any time."""

import os
import sys
from pathlib import Path


def folder() -> Path | None:
    """Return the folder for what can be computed again, not yet made; None where `IMGCLS_CACHE=off`.

    `IMGCLS_CACHE` names another one. Default: the place that the system keeps for caches, such as `~/.cache/imgcls`.
    """
    given = os.environ.get("IMGCLS_CACHE", "")
    if given.lower() == "off":
        return None
    if given:
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "imgcls" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "imgcls"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "imgcls"
