"""Where an export goes: nothing is lost there, and nothing half is ever found there."""

from collections.abc import Sequence
from pathlib import Path

from imgcls._flush import flush
from imgcls.errors import ExportError
from imgcls.export._certificate import certificate_path
from imgcls.export._formats import Format


def check_place(path: Path, row: Format) -> None:
    """Refuse a place before any work is done.

    Raises:
        ExportError: The folder above does not exist, or something stands there that has no certificate of an export.
    """
    if not path.parent.is_dir():
        message = f"folder {str(path.parent)!r} does not exist. Make it, or export somewhere else."
        raise ExportError(message)
    if row.ending:
        found = [file for file in row.files(path) if file.exists()]
        ours = path.is_file() and certificate_path(path).is_file()
    else:
        found = [path] if path.exists() else []
        ours = path.is_dir() and (not any(path.iterdir()) or certificate_path(path).is_file())
    if found and not ours:
        message = (
            f"{str(found[0])!r} exists, and no certificate says that it is an earlier export as {row.title}. Move it "
            "away, or export under another name."
        )
        raise ExportError(message)


def put_in_place(made: Sequence[Path], folder: Path) -> None:
    """Rename files, or one folder, from a folder on the same disk into `folder`; what had their names before goes.

    Raises:
        ExportError: They cannot be renamed; a folder that stood there stands there again.
    """
    try:
        for one in made:
            for file in one.rglob("*") if one.is_dir() else [one]:
                flush(file)
            place = folder / one.name
            if not place.is_dir():
                one.replace(place)
                continue
            before = one.with_name(f"{one.name}.before")  # a folder cannot replace another that is not empty
            place.rename(before)
            try:
                one.rename(place)
            except OSError:
                before.rename(place)
                raise
        flush(folder)
    except OSError as error:
        message = f"{made[0].name!r} cannot be put in its place: {error}. Free the place, or export somewhere else."
        raise ExportError(message) from error
