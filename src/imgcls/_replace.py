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
        with suppress(OSError):  # there was none, or the file system has no modes
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        yield temporary
        temporary.replace(path)
    finally:
        with suppress(OSError):  # it was renamed, or never made
            temporary.unlink()
