"""Where an export goes: nothing is lost there, and nothing half is ever found there."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from imgcls._flush import flush
from imgcls.errors import ExportError
from imgcls.export._certificate import certificate_path, listed
from imgcls.export._formats import Format


def check_place(path: Path, row: Format) -> None:
    """Refuse a place before any work is done.

    Raises:
        ExportError: The folder above does not exist, or something stands there that has no certificate of an export: a
            file, a folder, or a file in a folder that is an export otherwise.
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
        if ours:  # but for what somebody has put into it since
            known = listed(path)
            found = [file for file in sorted(row.files(path)) if file.relative_to(path).as_posix() not in known]
            ours = not found
    if found and not ours:
        message = (
            f"{str(found[0])!r} exists, and no certificate says that it is an earlier export as {row.title}. Move it "
            "away, or export under another name."
        )
        raise ExportError(message)


def put_in_place(made: Sequence[Path], folder: Path) -> None:
    """Rename files, or one folder, from a folder on the same disk into `folder`; what had their names before goes.

    Raises:
        ExportError: They cannot be renamed; what stood there stands there again.
    """
    try:
        for one in made:
            for file in one.rglob("*") if one.is_dir() else [one]:
                flush(file)
        with ExitStack() as back:
            for one in made:
                place, before = folder / one.name, one.with_name(f"{one.name}.before")
                if place.is_dir():
                    place.rename(before)  # a folder cannot replace another that is not empty
                    back.callback(before.rename, place)
                    one.rename(place)
                    continue
                if one is not made[-1]:  # which is renamed, or is not
                    if place.exists():
                        shutil.copy2(place, before)
                    back.callback(_put_back, place, before)
                one.replace(place)
            back.pop_all()
        flush(folder)
    except OSError as error:
        message = f"{made[0].name!r} cannot be put in its place: {error}. Free the place, or export somewhere else."
        raise ExportError(message) from error


def _put_back(place: Path, before: Path) -> None:
    """Put back what stood at a place, which may be nothing."""
    if before.exists():
        before.replace(place)
    else:
        place.unlink(missing_ok=True)
