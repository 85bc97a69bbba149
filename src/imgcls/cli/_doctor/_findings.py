"""From facts to findings: what is wrong, and what to do, in words. Nothing here asks the machine."""

from collections.abc import Iterator
from typing import Any, NamedTuple

# NVIDIA, "CUDA compatibility": the oldest driver that runs programs made for any CUDA of that major version.
_OLDEST_DRIVERS = {11: 450, 12: 525, 13: 580}
_INSTALL_GPU = 'pip install "imgcls[gpu]"'


class Finding(NamedTuple):
    """What is wrong and what to do; `needed` where nothing can be trained as long as it is so."""

    what: str
    fix: str
    needed: bool = False


def findings(facts: dict[str, Any]) -> list[Finding]:
    """Return what is wrong by the facts that `imgcls doctor --json` prints, the gravest first."""
    found = [*_packages(facts), *_extras(facts), *_tensorflow(facts["tensorflow"]), *_gpu(facts)]
    return sorted(found, key=lambda finding: not finding.needed)


def _packages(facts: dict[str, Any]) -> Iterator[Finding]:
    if not facts["packages"]:
        what = "imgcls is not installed in this Python: it only lies on its path, so that versions cannot be checked."
        yield Finding(what, "pip install imgcls")
    for name, one in facts["packages"].items():
        if one["state"] != "good":
            yield Finding(_lacking(name, one), f'pip install "{name}{one["needed"]}"', needed=True)


def _extras(facts: dict[str, Any]) -> Iterator[Finding]:
    for name, extra in facts["extras"].items():
        for package, one in extra["packages"].items():
            if one["state"] == "too old" and package not in facts["packages"]:
                yield Finding(f"imgcls[{name}]: {_lacking(package, one)}", extra["install"])


def _lacking(name: str, one: dict[str, Any]) -> str:
    if one["state"] == "missing":
        return f"{name} is missing; needed: {one['needed']}."
    return f"{name} {one['installed']} is installed; needed: {one['needed']}."


def _tensorflow(tensorflow: dict[str, Any]) -> Iterator[Finding]:
    if not tensorflow["starts"]:
        fix = "Do what it says. Where it says nothing clear, install it anew: pip install --force-reinstall tensorflow"
        yield Finding(f"TensorFlow does not start: {tensorflow['trouble']}", fix, needed=True)
        return
    for device, trouble in tensorflow["devices"].items():
        if trouble is not None:
            fix = (
                f"Install libraries and driver that fit each other: {_INSTALL_GPU}, and NVIDIA's newest driver. "
                "Until then train on the CPU: export CUDA_VISIBLE_DEVICES=-1"
                if device.startswith("GPU")
                else "Install TensorFlow anew: pip install --force-reinstall tensorflow"
            )
            yield Finding(f"TensorFlow does not compute on {device}: {trouble}", fix, needed=True)


def _gpu(facts: dict[str, Any]) -> Iterator[Finding]:
    """Say why TensorFlow sees no GPU, where there is one: the first reason, for the others follow from it."""
    tensorflow, driver = facts["tensorflow"], facts["driver"]
    is_there = driver["cards"] or driver["gpus"] or driver["version"]
    if not tensorflow["starts"] or not is_there or any(name.startswith("GPU") for name in tensorflow["devices"]):
        return
    hidden = facts["environment"]["CUDA_VISIBLE_DEVICES"]
    begin = "There is an NVIDIA GPU, and TensorFlow does not see it"
    built = tensorflow["cuda"]
    if not driver["version"] and driver["cuda"] is None:
        fix = "Install NVIDIA's driver for your system, restart, and look whether `nvidia-smi` lists the GPU."
        yield Finding("There is an NVIDIA GPU, and no driver for it.", fix)
    elif hidden is not None and (not hidden or hidden.startswith("-")):
        yield Finding(f"{begin}: CUDA_VISIBLE_DEVICES={hidden!r} hides it.", "Unset it: unset CUDA_VISIBLE_DEVICES")
    elif built is None:
        fix = "NVIDIA GPUs need Linux, or WSL 2 under Windows, and there: " + _INSTALL_GPU
        yield Finding(f"{begin}: this TensorFlow was built without CUDA.", fix)
    elif driver["cuda"] is None:
        fix = "Install NVIDIA's driver anew; in a container, start it with GPUs, such as `docker run --gpus all`."
        yield Finding(f"{begin}: its driver's library cannot be loaded: {driver['trouble']}.", fix)
    elif _major(driver["cuda"]) < _major(built):
        oldest = _OLDEST_DRIVERS.get(_major(built))
        fix = f"Install a newer driver of NVIDIA: {oldest} or above." if oldest else "Install NVIDIA's newest driver."
        what = f"the driver {driver['version']} runs CUDA {driver['cuda']}, and TensorFlow was built for {built}"
        yield Finding(f"{begin}: {what}.", fix)
    elif any(not one["opens"] for one in facts["libraries"].values()):
        yield from _libraries(begin, facts["libraries"])
    elif old := _too_old(driver["gpus"], tensorflow["capabilities"]):
        yield Finding(f"{begin}: {old}.", "Use a newer GPU. This one serves with the TensorFlow of its time.")
    else:
        fix = "Read what TensorFlow says: IMGCLS_TENSORFLOW_LOG=1 imgcls doctor"
        yield Finding(f"{begin}, although driver and libraries are there.", fix)


def _libraries(begin: str, libraries: dict[str, Any]) -> Iterator[Finding]:
    missing = {one["missing"]: None for one in libraries.values() if one["missing"]}
    folders = {one["folder"]: name for name, one in libraries.items() if one["folder"]}
    if missing:
        reasons = "; ".join(one["trouble"] for one in libraries.values() if one["missing"])
        yield Finding(f"{begin}: {', '.join(missing)} cannot be opened ({reasons}).", _INSTALL_GPU)
    if folders:
        names, places = ", ".join(folders.values()), ":".join(folders)
        what = f"{begin}: {names} is installed, and TensorFlow does not look where pip has put it."
        yield Finding(what, f'Tell it where: export LD_LIBRARY_PATH="{places}:$LD_LIBRARY_PATH"')


def _too_old(gpus: list[dict[str, Any]], capabilities: list[str]) -> str | None:
    """Compare "6.1" with the least of "sm_60" and "compute_90"; None where it serves or is not known."""
    built = [int(digits) for one in capabilities if (digits := one.rpartition("_")[2]).isdecimal()]
    for gpu in gpus:
        digits = gpu["capability"].replace(".", "")
        if built and digits.isdecimal() and int(digits) < min(built):
            least = f"{min(built) // 10}.{min(built) % 10}"
            words = f"{gpu['name']} has compute capability {gpu['capability']}"
            return f"{words}, and TensorFlow was built for {least} and above"
    return None


def _major(version: str) -> int:
    return int(version.partition(".")[0])
