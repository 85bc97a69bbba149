"""What the machine is: Python, platform, memory and a container's limit of it, free disk."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

from imgcls import _memory


def machine() -> dict[str, Any]:
    """Return what the machine is; None where the system does not say."""
    from imgcls.datasets import _cache

    return {
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "memory": {
            "total_bytes": _memory.total(),
            "limit_bytes": _memory.limit(),
            "available_bytes": _memory.free(),
        },
        "disks": {"working": _disk(Path.cwd()), "cache": _disk(_cache.folder())},
    }


def _disk(folder: Path | None) -> dict[str, Any] | None:
    from imgcls.datasets import _cache

    return None if folder is None else {"path": str(folder), "free_bytes": _cache.free_disk(folder)}
