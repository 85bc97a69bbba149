"""The facts as a reader sees them: sections of rows, each with a state."""

from pathlib import Path
from typing import Any

from imgcls.cli._print import Row, Section

_NAMED = 4  # packages of an extra


def sections(facts: dict[str, Any]) -> list[Section]:
    """Return the facts as sections of a table."""
    return [
        Section("machine", _machine(facts)),
        Section("packages", [_package(name, one) for name, one in facts["packages"].items()]),
        Section("TensorFlow", _tensorflow(facts)),
        Section("extras", [_extra(name, one) for name, one in facts["extras"].items()]),
    ]


def _machine(facts: dict[str, Any]) -> list[Row]:
    memory, disks = facts["memory"], facts["disks"]
    total, free = memory["total_bytes"], memory["available_bytes"]
    words = _gib(total)
    if free is not None:
        words += f", {_gib(free)} available"
    elif total is not None:
        words += ", available: not known"
    if memory["limit_bytes"] is not None and memory["limit_bytes"] < (total or 2**63):
        words += f"; this process may take {_gib(memory['limit_bytes'])}"
    return [
        Row("imgcls", facts["imgcls"]),
        Row("Python", f"{facts['python']['version']}, {facts['python']['executable']}"),
        Row("platform", facts["platform"]),
        Row("cores", str(facts["cores"])),
        Row("memory", words),
        Row("working folder", _disk(disks["working"])),
        Row("cache", "off" if disks["cache"] is None else _disk(disks["cache"])),
    ]


def _disk(disk: dict[str, Any]) -> str:
    from imgcls.datasets import _cache

    return f"{_gib(disk['free_bytes'])} free, {_cache.shown(Path(disk['path']))}"


def _gib(count: int | None) -> str:
    return "not known" if count is None else f"{count / 2**30:,.1f} GiB"


def _package(name: str, one: dict[str, Any]) -> Row:
    if one["state"] == "missing":
        return Row(name, f"missing, needed: {one['needed']}", "bad")
    words = f"{one['installed']}, needed: {one['needed']}"
    return Row(
        name, words if one["state"] == "good" else f"too old: {words}", "good" if one["state"] == "good" else "bad"
    )


def _tensorflow(facts: dict[str, Any]) -> list[Row]:
    tensorflow, driver = facts["tensorflow"], facts["driver"]
    if not tensorflow["starts"]:
        return [Row("starts", f"no: {tensorflow['trouble']}", "bad")]
    built = f"for CUDA {tensorflow['cuda']} and cuDNN {tensorflow['cudnn']}" if tensorflow["cuda"] else "without CUDA"
    rows = [Row("version", tensorflow["version"], "good"), Row("built", built)]
    for name, trouble in tensorflow["devices"].items():
        rows.append(
            Row(name, "computes" if trouble is None else f"does not compute: {trouble}", "bad" if trouble else "good")
        )
    for index, gpu in enumerate(driver["gpus"]):
        rows.append(
            Row(f"nvidia-smi {index}", f"{gpu['name']}, {_gib(gpu['memory_bytes'])}, capability {gpu['capability']}")
        )
    cuda = f", runs CUDA up to {driver['cuda']}" if driver["cuda"] else ""
    rows.append(Row("NVIDIA driver", f"{driver['version'] or 'none'}{cuda}"))
    if driver["version"] or driver["cards"]:  # without a GPU nobody needs them
        rows += [_library(name, one) for name, one in facts["libraries"].items()]
    return rows


def _library(name: str, one: dict[str, Any]) -> Row:
    if one["opens"]:
        return Row(name, "opens", "good")
    return Row(name, f"TensorFlow does not look in {one['folder']}" if one["folder"] else str(one["trouble"]), "poor")


def _extra(name: str, extra: dict[str, Any]) -> Row:
    if extra["state"] == "good":
        return Row(name, "installed", "good")
    lacking: dict[str, list[str]] = {state: [] for state in ("missing", "too old")}
    for package, one in extra["packages"].items():
        if one["state"] != "good":
            lacking[one["state"]].append(package)
    words = "; ".join(f"{state}: {_some(names)}" for state, names in lacking.items() if names)
    if extra["state"] == "absent" and not lacking["too old"]:
        words = "not installed"
    return Row(name, f"{words}. {extra['install']}", "poor" if extra["state"] == "incomplete" else "")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
