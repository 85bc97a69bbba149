"""What the machine is: Python, platform, memory and a container's limit of it, free disk."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

_LIMITS = ("memory.max", "memory.limit_in_bytes")  # of control groups, version 2 and 1
_NO_LIMIT = 2**60  # version 1 writes a number near 2**63 where there is none


def machine(root: Path = Path("/")) -> dict[str, Any]:
    """Return what the machine is. Memory is as `root`/proc and `root`/sys say; None where the system does not."""
    from imgcls.datasets import _cache

    return {
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "memory": {"total_bytes": total_memory(root), "limit_bytes": memory_limit(root)}
        | {"available_bytes": _cache.available_memory()},
        "disks": {"working": _disk(Path.cwd()), "cache": _disk(_cache.folder())},
    }


def total_memory(root: Path) -> int | None:
    """Return the bytes of memory that the machine has."""
    try:
        lines = dict(line.split(":") for line in (root / "proc/meminfo").read_text(encoding="ascii").splitlines())
        return int(lines["MemTotal"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if root == Path("/") else None
        except (AttributeError, OSError, ValueError):  # Windows has no sysconf
            return None


def memory_limit(root: Path) -> int | None:
    """Return the lowest limit of the control groups that this process is in, in bytes, or None."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in {"", "memory"}:  # "" is version 2
            top = root / "sys/fs/cgroup" / controllers
            group = top / path.lstrip("/")
            folders = [group, *(one for one in group.parents if one.is_relative_to(top))]
            limits += [_number(folder / name) for folder in folders for name in _LIMITS]
    found = [limit for limit in limits if limit is not None and limit < _NO_LIMIT]
    return min(found, default=None)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # absent, or "max"
        return None


def _disk(folder: Path | None) -> dict[str, Any] | None:
    from imgcls.datasets import _cache

    return None if folder is None else {"path": str(folder), "free_bytes": _cache.free_disk(folder)}
