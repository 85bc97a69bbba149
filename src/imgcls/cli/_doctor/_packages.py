"""Which packages imgcls needs and which are installed: what the metadata of distributions say, not a list of ours."""

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING, Any, NamedTuple

from imgcls.errors import ConfigurationError

if TYPE_CHECKING:
    from packaging.requirements import Requirement


class Distribution(NamedTuple):
    """What the metadata of an installed distribution say: its version, requirements and extras."""

    version: str
    requires: list[str]
    extras: list[str]


Find = Callable[[str], Distribution | None]


def installed(name: str) -> Distribution | None:
    """Return the metadata of an installed distribution, None where there is none."""
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return None
    return Distribution(found.version, found.requires or [], found.metadata.get_all("Provides-Extra") or [])


def packages(find: Find = installed) -> dict[str, Any]:
    """Say of each package that imgcls needs which version is installed, and which is needed.

    Returns:
        For each name `{"installed": "3.15.1", "needed": ">=3.15.1", "state": "good"}`. State is "good", "too old" or
        "missing"; "too old" is any version that is not among those needed.
    """
    return _states(_wanted("imgcls", "", find), find)


def extras(find: Find = installed) -> dict[str, Any]:
    """Say of each extra of imgcls whether its packages are installed.

    Returns:
        For each name `{"state": "good", "packages": {...}, "install": 'pip install "imgcls[onnx]"'}`, packages as in
        `packages`. State is "good", "absent" where none is installed, else "incomplete".
    """
    imgcls, core = find("imgcls"), packages(find)
    return {} if imgcls is None else {name: _extra(name, core, find) for name in sorted(imgcls.extras)}


def _extra(name: str, core: dict[str, Any], find: Find) -> dict[str, Any]:
    states = _states(_wanted("imgcls", name, find), find)
    alone = {one["state"] for package, one in states.items() if package not in core}
    good = all(one["state"] == "good" for one in states.values())
    state = "good" if good else "absent" if alone == {"missing"} else "incomplete"
    return {"state": state, "packages": states, "install": f'pip install "imgcls[{name}]"'}


def _wanted(name: str, extra: str, find: Find) -> Iterator["Requirement"]:
    """Yield what a distribution requires: itself, or with an extra what that adds, and what the extras of those add."""
    try:
        from packaging.requirements import Requirement
    except ModuleNotFoundError:  # a container that only serves has neither TensorFlow nor what comes with it
        message = "doctor needs packaging, which comes with TensorFlow. Install it: pip install packaging"
        raise ConfigurationError(message) from None
    found = find(name)
    for text in found.requires if found else ():
        one = Requirement(text)
        here = one.marker is None or one.marker.evaluate({"extra": extra})
        if not here or (extra and (one.marker is None or one.marker.evaluate({"extra": ""}))):
            continue
        yield one
        for more in sorted(one.extras):
            yield from _wanted(one.name, more, find)


def _states(requirements: Iterable["Requirement"], find: Find) -> dict[str, Any]:
    states = {}
    for one in requirements:
        found = find(one.name)
        state = "missing" if found is None else "good"
        if found is not None and not one.specifier.contains(found.version, prereleases=True):
            state = "too old"
        installed = None if found is None else found.version
        states[one.name] = {"installed": installed, "needed": str(one.specifier) or "any", "state": state}
    return states
