"""A file that takes its place once it is whole."""

import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend an empty file beside `path`, of this writer alone, which takes its place at the end, or goes.

    So a reader never meets half a file, and two writers do not meet each other. Its name has the same ending. Who may
    read it is as before, where a file is replaced, and else as the umask says.

    Raises:
        OSError: The system refuses it, such as on a full disk, or on Windows where another program has the file open.

    Examples:
        >>> from pathlib import Path
        >>> from imgcls._replace import replacing
        >>> with replacing(Path("report.txt")) as whole:
        ...     _ = whole.write_text("all of it")
        >>> Path("report.txt").read_text()
        'all of it'
    """
    temporary = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        temporary.touch(exist_ok=False)
        permit_as(path, temporary, also=stat.S_IWUSR)  # who may not read it meets no half of it either
        yield temporary
        permit_as(path, temporary)
        temporary.replace(path)
    finally:
        with suppress(OSError):  # it was renamed, or never made
            temporary.chmod(stat.S_IRUSR | stat.S_IWUSR)  # Windows removes no file that is read-only
            temporary.unlink()


def permit_as(before: Path, after: Path, *, also: int = 0) -> None:
    """Give the file `after` the permissions of the file `before`, where there is one, and `also` these."""
    with suppress(OSError):  # there is none, or the file system has no permissions
        after.chmod(stat.S_IMODE(before.stat().st_mode) | also)
