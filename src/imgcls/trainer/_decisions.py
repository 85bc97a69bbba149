"""Choices that go by the clock, made once for a run: a run that goes on must not choose anew, nor must each worker."""

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from imgcls import _backend
from imgcls._flush import flush
from imgcls.errors import CheckpointError
from imgcls.trainer._checkpoint import patiently

_FILE = "decided.json"


@final
class Decisions:
    """Keeps what was chosen by the clock beside the checkpoints of a run.

    Which backbone wins and how deep fine-tuning goes depend on how long things take, and the second time features are
    there already. What another run would choose is kept beside it: a folder may be given to the wrong one by mistake,
    which is refused later.

    Args:
        folder: That of the checkpoints; None keeps nothing.

    Examples:
        >>> from imgcls.trainer._decisions import Decisions
        >>> Decisions("runs/a").once("depth", {"images": 100}, lambda: 0.5)
        0.5
        >>> Decisions("runs/a").once("depth", {"images": 100}, lambda: 1.0)  # the machine is quicker now
        0.5
        >>> Decisions("runs/a").once("depth", {"images": 200}, lambda: 1.0)  # another run
        1.0
        >>> Decisions("runs/a").once("depth", {"images": 100}, lambda: 1.0)  # and the first one again
        0.5
    """

    def __init__(self, folder: str | Path | None) -> None:
        self._path = None if folder is None else Path(folder) / _FILE

    def once(
        self,
        name: str,
        about: Mapping[str, Any],
        decide: Callable[[], Any],
        *,
        lasting: Callable[[Any], bool] = lambda _: True,
        place: _backend.Placement | None = None,
    ) -> Any:
        """Return what was decided before; or decide, and keep it.

        Args:
            name: What is decided.
            about: All that it is decided by, but for the clock and the machine. Where it differs, the decision is of
                another run.
            decide: Gives what JSON can hold.
            lasting: Says of a decision whether it is kept. Any other is made anew the next time.
            place: Which worker this is, and the others: the first one decides, and tells all. None for one alone.

        Raises:
            CheckpointError: The folder cannot be read, or written to.
            TrainingError: Another worker is lost.
        """
        if place is None:
            return self._once(name, about, decide, lasting)
        return place.told(self._once(name, about, decide, lasting) if place.worker == 0 else None)

    def _once(
        self, name: str, about: Mapping[str, Any], decide: Callable[[], Any], lasting: Callable[[Any], bool]
    ) -> Any:
        if self._path is None:
            return decide()
        digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()
        known = _read(self._path)
        for entry in known.get(name, []):
            if entry["about"] == digest and lasting(entry["value"]):  # once, all were kept
                return entry["value"]
        value = decide()
        if lasting(value):
            known.setdefault(name, []).append({"about": digest, "value": value})
            _write(self._path, known)
        return value


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what was decided, by name; for each run an entry, with a hash of what it was decided by."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):  # not there, or damaged: it is decided again
        return {}
    except OSError as error:
        message = f"checkpoint={str(path.parent)!r} cannot be read: {error}. Give another folder."
        raise CheckpointError(message) from error
    if not isinstance(found, dict):
        return {}
    known = {name: one if isinstance(one, list) else [one] for name, one in found.items()}  # there was one, at first
    entries = [entry for one in known.values() for entry in one]
    whole = all(isinstance(entry, dict) and {"about", "value"} <= set(entry) for entry in entries)
    return known if whole else {}


def _write(path: Path, known: Mapping[str, Any]) -> None:
    partial = path.with_name(f"{_FILE}.{uuid.uuid4().hex}")  # processes may write at once
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(known), encoding="utf-8")
        flush(partial)
        patiently(partial.replace, path)
    except OSError as error:
        with suppress(OSError):  # it may not be there, or not let itself be removed
            partial.unlink()
        message = f"checkpoint={str(path.parent)!r} cannot be written to: {error}. Give another folder."
        raise CheckpointError(message) from error
