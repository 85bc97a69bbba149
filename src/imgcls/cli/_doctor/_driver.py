"""The NVIDIA GPUs that the machine has, and the driver that makes them work."""

import ctypes
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

_QUERY = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap", "--format=csv,noheader,nounits")
_NVIDIA, _DISPLAY = "0x10de", "0x03"  # PCI: the vendor, and the class of what can draw or compute
_CUDA_LIBRARY = "libcuda.so.1"

Load = Callable[[str], Any]


def run(command: tuple[str, ...]) -> str:
    """Return what a command prints, "" where it cannot be run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - a fixed command
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def driver(
    *, run: Callable[[tuple[str, ...]], str] = run, load: Load = ctypes.CDLL, root: Path = Path("/")
) -> dict[str, Any]:
    """Say which GPUs and which driver there are.

    Returns:
        cards: How many GPUs of NVIDIA the PCI bus has, with a driver or without.
        version: The driver's, such as "550.54.14", or None.
        cuda: The newest CUDA that the driver runs, such as "12.4", or None where it cannot be loaded.
        gpus: What `nvidia-smi` says of each: name, memory_bytes, capability.
        trouble: Why libcuda.so.1, the driver's library, cannot be loaded, or None.
    """
    gpus, version = _by_nvidia_smi(run(_QUERY))
    cuda, trouble = _newest_cuda(load)
    return {
        "cards": _cards(root),
        "version": version or _by_kernel(root),
        "cuda": cuda,
        "gpus": gpus,
        "trouble": trouble,
    }


def _by_nvidia_smi(text: str) -> tuple[list[dict[str, Any]], str | None]:
    gpus, version = [], None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 4:
            version = cells[1]
            memory = int(cells[2]) * 2**20 if cells[2].isdecimal() else None
            gpus.append({"name": cells[0], "memory_bytes": memory, "capability": cells[3]})
    return gpus, version


def _by_kernel(root: Path) -> str | None:
    try:
        text = (root / "proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"Kernel Module.*?(\d+\.\d+[.\d]*)", text)
    return found[1] if found else None


def _newest_cuda(load: Load) -> tuple[str | None, str | None]:
    try:
        library = load(_CUDA_LIBRARY)
    except OSError as error:
        return None, str(error)
    number = ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(number)) or not number.value:
        return None, f"{_CUDA_LIBRARY} does not answer"
    return f"{number.value // 1000}.{number.value % 1000 // 10}", None


def _cards(root: Path) -> int:
    cards = 0
    for device in (root / "sys/bus/pci/devices").glob("*"):
        try:
            vendor, kind = ((device / name).read_text(encoding="ascii").strip() for name in ("vendor", "class"))
        except OSError:
            continue
        cards += vendor == _NVIDIA and kind.startswith(_DISPLAY)
    return cards
