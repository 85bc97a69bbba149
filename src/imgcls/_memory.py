"""Memory: what the machine has, what a container allows, and what is free of both."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_NO_LIMIT = 2**60  # control groups of version 1 have a number near 2**63 where there is none
_UNKNOWN = 4 * 2**30


class _Names(NamedTuple):
    limit: str
    used: str
    reclaimable: str  # of what is used, files that were read: the system takes them back before it kills


_NAMES = {  # by the name of the controller in /proc/self/cgroup
    "": _Names("memory.max", "memory.current", "inactive_file"),
    "memory": _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


class _Group(NamedTuple):
    limit: int
    used: int


def total(root: Path = Path("/")) -> int | None:
    """Return the bytes of memory that the machine has; None where the system does not say.

    Args:
        root: Of the folders proc and sys.

    Examples:
        >>> from imgcls import _memory
        >>> total = _memory.total()
        >>> total is None or total >= _memory.available()
        True
    """
    return _of_machine(root, "MemTotal") or _by_sysconf()


def limit(root: Path = Path("/")) -> int | None:
    """Return the lowest limit of the control groups that this process is in, in bytes; None where there is none."""
    return min((group.limit for group in _groups(root)), default=None)


def free(root: Path = Path("/")) -> int | None:
    """Return the bytes that can be taken without swapping; None where the system does not say, as outside of Linux.

    It is what Linux calls available, or less where a container has a limit.
    """
    most = _of_machine(root, "MemAvailable")
    if most is None:
        return None
    return max(0, min([most, *(group.limit - group.used for group in _groups(root))]))


def available(root: Path = Path("/")) -> int:
    """Return the bytes of memory that may be counted on.

    Those that are `free`, where that is known; else half of the memory, or 4 GiB where the system says nothing at all.
    """
    known = free(root)
    if known is not None:
        return known
    whole = _by_sysconf()
    return _UNKNOWN if whole is None else whole // 2


def _of_machine(root: Path, name: str) -> int | None:
    try:
        lines = dict(line.split(":") for line in (root / "proc/meminfo").read_text(encoding="ascii").splitlines())
        return int(lines[name].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _by_sysconf() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def _groups(root: Path) -> Iterator[_Group]:
    """Yield the control groups with a limit that this process is in, parents included."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controller, path = line.split(":", 2)
        if controller not in _NAMES:
            continue
        names, top = _NAMES[controller], root / "sys/fs/cgroup" / controller
        group = top / path.lstrip("/")
        for folder in (group, *(one for one in group.parents if one.is_relative_to(top))):
            most = _number(folder / names.limit)
            if most is not None and most < _NO_LIMIT:
                used = (_number(folder / names.used) or 0) - _statistic(folder, names.reclaimable)
                yield _Group(most, max(0, used))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # absent, or "max"
        return None


def _statistic(folder: Path, name: str) -> int:
    try:
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0)
    except (OSError, ValueError, IndexError):
        return 0
