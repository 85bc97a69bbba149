"""A `.keras` file: the model itself, for programs that speak Keras. Keras runs it."""

import zipfile
from pathlib import Path

from imgcls._runtimes import Run
from imgcls.export._facts import LABELS, MEMBER, MOST_BYTES
from imgcls.export._source import Source, Wanted


def write(source: Source, path: Path, _: Wanted) -> None:
    """Write the model, with facts as two more members of its archive, which Keras passes over."""
    source.model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MEMBER, source.facts.to_json())
        archive.writestr(LABELS, source.facts.labels())


def read(path: Path) -> tuple[str | bytes | None, Run]:
    """Open a file. Keras' safe mode refuses some of what could run code, and not all."""
    with zipfile.ZipFile(path) as archive:
        facts = archive.open(MEMBER).read(MOST_BYTES) if MEMBER in archive.namelist() else None
    import keras

    from imgcls import _backend
    from imgcls.architectures import build  # noqa: F401 - Keras finds our own layers once this room is open

    return facts, _backend.compiled(keras.saving.load_model(path, compile=False, safe_mode=True))
