"""Checkpoints: all that a run needs to go on, written so that no crash leaves half of it.

A folder holds one sub-folder for each checkpoint, with a number that only grows:

    checkpoint-000007/
        arrays.safetensors    every variable by name
        state.json            where training stands, its history, and which run it is
        manifest.json         the sha256 of both

It is written under a temporary name, flushed to disk file by file, and renamed; then the folder that holds it is
flushed. So a name that begins with "checkpoint-" is whole, unless a disk has lost or altered bytes since, which the
manifest shows: it is skipped, and removed later. One that cannot be read now, or that another version wrote, is refused
and stays. The last two are kept, and the best of those that have a score. Beside them lies what was chosen by the clock
(`_decisions.py`). Nothing else in the folder is ever touched.
"""

import hashlib
import json
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, final

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from imgcls import _warnings
from imgcls._flush import flush
from imgcls._lock import held
from imgcls.errors import CheckpointError, TrainingWarning

FORMAT = 3
_LAST = 2  # kept, beside the best: the older one is for when the newer one is damaged
_NAME = re.compile(r"checkpoint-(\d{6,})")
_SHOWN = 80  # signs of a setting, where two runs differ
_LISTED = 12  # differences between two runs
_PARTIAL = "partial-checkpoint"
_WAITS: tuple[float, ...] = (0.01, 0.04, 0.15, 0.3, 0.5) if os.name == "nt" else ()  # seconds, from one try to the next


class _DamagedError(Exception):
    """The bytes of a checkpoint are not those that were written."""


@final
@dataclass(frozen=True, slots=True)
class State:
    """Where a run stands.

    Attributes:
        facts: What JSON can hold.
        arrays: Variables by name.
        score: Of these very weights, lower is better; None where nobody has measured them.
    """

    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    score: float | None = None


class Disk:
    """The operations that a checkpoint is written with, one by one: what can fail, or be the last before a crash."""

    def make(self, folder: Path) -> None:
        """Make a folder and those above it."""
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, path: Path, data: bytes) -> None:
        """Write a file and flush it to disk."""
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def flush(self, folder: Path) -> None:
        """Make names in a folder last through a power cut."""
        flush(folder)

    def rename(self, old: Path, new: Path) -> None:
        """Give a folder its name, in one step."""
        patiently(old.rename, new)

    def remove(self, folder: Path) -> None:
        """Remove a folder of ours."""
        patiently(shutil.rmtree, folder)


@final
class Checkpoints:
    """The checkpoints of one run in one folder.

    Args:
        folder: Made when the first checkpoint is written.
        run: Which run this is: settings, model and data, as JSON can hold them. A folder of another run is refused.
        say: Called with lines about what was resumed, skipped or could not be written.
        disk: The operations to write with.
        writes: Whether this process writes; of several workers one does, and the others read.
        start: Which weights the model has now; where a run began with others, that is said, and it goes on.

    Attributes:
        trouble: Why the last one could not be written, or None.

    Raises:
        CheckpointError: The folder is a file, or another process writes to it.
    """

    def __init__(
        self,
        folder: str | Path,
        run: Mapping[str, Any],
        *,
        say: Callable[[str], None],
        disk: Disk | None = None,
        writes: bool = True,
        start: str = "",
    ) -> None:
        self.folder, self._start = Path(folder), start
        self.trouble: str | None = None
        self._run, self._say, self._disk = json.loads(json.dumps(run)), say, disk or Disk()
        self._writes, self._damaged = writes, set[Path]()
        self._lock: IO[bytes] | None = None
        if self.folder.exists() and not self.folder.is_dir():
            message = (
                f"checkpoint={str(folder)!r} is a file. Accepted: a folder, which is made where it does not exist."
            )
            raise CheckpointError(message)
        if not writes:
            return
        try:
            self._disk.make(self.folder)
            self._lock = held(self.folder / ".lock")
        except BlockingIOError as error:
            message = f"another process trains into {str(folder)!r}. Wait for it, or give another folder."
            raise CheckpointError(message) from error
        except OSError as error:
            message = f"checkpoint={str(folder)!r} cannot be written to: {error}. Give another folder."
            raise CheckpointError(message) from error

    def newest(self) -> State | None:
        """Return the newest checkpoint that is whole; None where there is none.

        Raises:
            CheckpointError: It is of another run, and the message says what differs; or it cannot be read now, or
                another version wrote it.
        """
        try:
            existing = self._existing()
        except OSError as error:
            message = f"checkpoint={str(self.folder)!r} cannot be read: {error}. Give another folder."
            raise CheckpointError(message) from error
        for path in reversed(existing):
            try:
                state = _read(path)
            except _DamagedError as error:
                self._damaged.add(path)
                self._say(f"{path} is damaged ({error}) and is skipped")
                continue
            self._check_run(state.facts.pop("run"), path)
            begun = state.facts.pop("start", self._start)
            if begun != self._start:
                self._say(
                    f"{self.folder} holds a run that began with other weights than this model has now: it goes on "
                    "with its own. To start from those of this model, give another folder"
                )
                self._start = begun
            return state
        if existing:
            words = (
                f"no checkpoint in {self.folder} is whole: training starts from the beginning, and its first one takes "
                "their place. To keep them, stop and give another folder"
            )
            self._say(words)
            _warnings.warn(f"{words}.", TrainingWarning)
        return None

    def save(self, state: State) -> None:
        """Write a checkpoint, and remove those that are no longer needed; or say in `trouble` why not.

        After a failure the last good ones are there, and the next call tries anew.
        """
        if not self._writes:
            return
        partial = self.folder / _PARTIAL
        try:
            if self.trouble is not None:  # a whole one may be there by then, and nothing was removed after it
                self._remove_unneeded(self._existing())
            existing = self._existing()
            final_name = self.folder / f"checkpoint-{1 + max(map(_number, self._named()), default=0):06d}"
            if partial.exists():  # of a process that was killed, or of a failure
                self._disk.remove(partial)
            self._disk.make(partial)
            for name, data in _files(state, self._run, self._start).items():
                self._disk.write(partial / name, data)
            self._disk.flush(partial)
            self._disk.rename(partial, final_name)
            self._disk.flush(self.folder)
        except OSError as error:
            self.trouble = str(error)
            with suppress(OSError):
                shutil.rmtree(partial)
            return
        self.trouble = None
        self._remove_unneeded([*existing, final_name])

    def close(self) -> None:
        """Let another process train into the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    # --- inside --------------------------------------------------------------------------------------------------

    def _existing(self) -> list[Path]:
        return sorted((self.folder / one.name for one in self._named() if one.is_dir()), key=_number)

    def _named(self) -> list[os.DirEntry[str]]:
        """Return what has the name of a checkpoint: also files of others, over which no checkpoint can be written."""
        try:
            with os.scandir(self.folder) as entries:
                return [one for one in entries if _NAME.fullmatch(one.name)]
        except FileNotFoundError:  # the worker that writes has not made it yet
            return []

    def _remove_unneeded(self, existing: list[Path]) -> None:
        for path in self._unneeded(existing):
            with suppress(OSError):  # what cannot be removed now is tried again after the next one
                self._disk.remove(path)
                self._damaged.discard(path)

    def _unneeded(self, existing: list[Path]) -> Iterator[Path]:
        whole = [path for path in existing if path not in self._damaged]
        try:
            scores = {path: _score(path) for path in whole}
        except OSError:  # nobody can say which one is the best: all are kept until after the next one
            return
        best = min(scores, key=lambda path: (scores[path], -existing.index(path)), default=None)
        yield from (path for path in existing if path not in whole[-_LAST:] and path != best)

    def _check_run(self, run: Any, path: Path) -> None:
        if run == self._run:
            return
        pairs = list(_differences("", run if isinstance(run, dict) else {}, self._run))
        listed = "".join(
            f"\n- {name}: {_shown(old, new)} then, {_shown(new, old)} now" for name, old, new in pairs[:_LISTED]
        )
        listed += f"\n- and {len(pairs) - _LISTED} more" if len(pairs) > _LISTED else ""
        message = (
            f"{str(path.parent)!r} holds another run:{listed}\nTo go on with it, give what it was started with; "
            "to start anew, give another folder."
        )
        raise CheckpointError(message)


def patiently(do: Callable[..., object], *arguments: Path) -> None:
    """Do something to what was just written.

    On Windows it is refused while another program, such as a virus scanner, looks at it. That takes a moment: it is
    tried again for a second.

    Raises:
        OSError: It cannot be done.
    """
    for seconds in _WAITS:
        try:
            do(*arguments)
        except PermissionError:
            time.sleep(seconds)
        else:
            return
    do(*arguments)


def _number(one: Path | os.DirEntry[str]) -> int:
    return int(one.name.rsplit("-", 1)[1])


def _files(state: State, run: Mapping[str, Any], start: str) -> dict[str, bytes]:
    """Return the contents of the files of a checkpoint, the manifest last."""
    arrays = {name: np.asarray(array, order="C") for name, array in state.arrays.items()}
    # Of dtypes that are not NumPy's own, such as bfloat16, the bits: safetensors writes them, and cannot read them.
    foreign = {name: array.dtype.name for name, array in arrays.items() if array.dtype.kind == "V"}
    arrays |= {name: arrays[name].view(f"u{arrays[name].itemsize}") for name in foreign}
    facts = {
        "format": FORMAT,
        "run": run,
        "start": start,
        "score": state.score,
        "facts": state.facts,
        "dtypes": foreign,
    }
    files = {"arrays.safetensors": safetensors.numpy.save(arrays), "state.json": json.dumps(facts).encode()}
    return {**files, "manifest.json": _manifest(files)}


def _manifest(files: Mapping[str, bytes]) -> bytes:
    return json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}).encode()


def _read(path: Path) -> State:
    """Return what a checkpoint holds.

    Raises:
        _DamagedError: Its bytes are not those that were written.
        CheckpointError: It cannot be read now, or another version wrote it.
    """
    try:
        files = {name: (path / name).read_bytes() for name in ("arrays.safetensors", "state.json")}
        whole = (path / "manifest.json").read_bytes() == _manifest(files)
    except FileNotFoundError as error:
        message = f"it has no {Path(error.filename).name}"
        raise _DamagedError(message) from error
    except OSError as error:
        message = (
            f"{str(path)!r} cannot be read: {error}. Start again when it can be; or remove it, so that the checkpoint "
            "before it counts; or give another folder."
        )
        raise CheckpointError(message) from error
    if not whole:
        message = "its bytes are not those that were written"
        raise _DamagedError(message)
    state = json.loads(files["state.json"])
    if state["format"] != FORMAT:
        message = (
            f"{str(path)!r} has format {state['format']!r}, and this imgcls reads {FORMAT}. Go on with the imgcls that "
            "wrote it, or give another folder."
        )
        raise CheckpointError(message)
    arrays = safetensors.numpy.load(files["arrays.safetensors"])
    arrays |= {name: arrays[name].view(np.dtype(dtype)) for name, dtype in state.get("dtypes", {}).items()}
    return State({**state["facts"], "run": state["run"], "start": state.get("start", "")}, arrays, state["score"])


def _score(path: Path) -> float:
    """Return how bad a checkpoint is; infinity where nothing was measured, or it is damaged.

    Raises:
        OSError: It cannot be read now.
    """
    try:
        score = json.loads((path / "state.json").read_bytes())["score"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return math.inf
    return score if isinstance(score, int | float) and score == score else math.inf  # noqa: PLR0124 - NaN differs


def _differences(name: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield what differs between two values, with the names of the dictionaries that lead to it."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from _differences(f"{name} {key}".strip(), old.get(key), new.get(key))
    elif old != new:
        yield name, old, new


def _shown(value: Any, beside: Any) -> str:
    """Return a value as text; of a long one, where it begins to differ from the other."""
    text, other = str(value), str(beside)
    if len(text) <= _SHOWN:
        return text
    shared = min(len(text), len(other))
    alike = next((at for at in range(shared) if text[at] != other[at]), shared)
    begin = max(0, alike - _SHOWN // 4)
    part = text[begin : begin + _SHOWN]
    return f"{'...' * (begin > 0)}{part}{'...' * (begin + len(part) < len(text))}"
