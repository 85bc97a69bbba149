"""A `.keras` file: the model itself, for programs that speak Keras. Keras runs it."""

from pathlib import Path

from imgcls._runtimes import Run
from imgcls.export._facts import Facts, add_members, member
from imgcls.export._source import Source, Wanted


def write(source: Source, path: Path, _: Wanted) -> None:
    """Write the model, with facts as two more members of its archive, which Keras passes over.

    It names no class of imgcls, and not what it was trained with: who opens it may have neither.
    """
    from imgcls.architectures import portable

    portable(source.model).save(path)
    add_members(path, source.facts)


def read(path: Path) -> tuple[Facts, Run]:
    """Open a file. Keras' safe mode refuses some of what could run code, and not all."""
    facts = member(path)  # first of all: a file of another program is not opened
    import keras

    from imgcls import _backend
    from imgcls.architectures import build  # noqa: F401 - Keras finds our own layers once this room is open

    return facts, _backend.compiled(keras.saving.load_model(path, compile=False, safe_mode=True))
