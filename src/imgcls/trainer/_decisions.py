"""Choices that go by the clock, made once for a run: a run that goes on must not choose anew."""

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

from imgcls._flush import flush
from imgcls.errors import CheckpointError

_FILE = "decided.json"


@final
class Decisions:
    """Keeps what was chosen by the clock beside the checkpoints of a run.

    Which backbone wins and how deep fine-tuning goes depend on how long things take, and the second time features are
    there already.

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
    """

    def __init__(self, folder: str | Path | None) -> None:
        self._path = None if folder is None else Path(folder) / _FILE

    def once(self, name: str, about: Mapping[str, Any], decide: Callable[[], Any]) -> Any:
        """Return what was decided before; or decide, and keep it.

        Args:
            name: What is decided.
            about: All that it is decided by, but for the clock. Where it differs, the decision is of another run.
            decide: Gives what JSON can hold.

        Raises:
            CheckpointError: The folder cannot be written to.
        """
        if self._path is None:
            return decide()
        digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()
        known = self._read()
        if known.get(name, {}).get("about") != digest:
            known[name] = {"about": digest, "value": decide()}
            self._write(known)
        return known[name]["value"]

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_bytes()) if self._path is not None else {}
        except (OSError, ValueError):  # not there, or damaged: it is decided again
            return {}
        whole = isinstance(found, dict) and all(isinstance(one, dict) and "value" in one for one in found.values())
        return found if whole else {}

    def _write(self, known: dict[str, Any]) -> None:
        if self._path is None:
            return
        partial = self._path.with_name(f"{_FILE}.{uuid.uuid4().hex}")  # workers may write at once
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(known), encoding="utf-8")
            flush(partial)
            partial.replace(self._path)
        except OSError as error:
            message = f"checkpoint={str(self._path.parent)!r} cannot be written to: {error}. Give another folder."
            raise CheckpointError(message) from error
