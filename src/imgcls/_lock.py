"""A file that one process holds: whoever else asks for it is told so."""

import errno
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO
from weakref import WeakSet

_HELD: WeakSet[IO[bytes]] = WeakSet()
_FAR = 2**31 - 2  # the byte that Windows locks, which it then keeps others from reading too: behind what they read


def held(path: Path) -> IO[bytes]:
    """Open a file to read and to add to, made where it does not exist, which nobody else holds until it is closed.

    A process lets go when it ends, however it ends; those that it has forked hold nothing. Some mounted drives know no
    locks: there the file is opened as it is.

    Raises:
        BlockingIOError: Another process holds it, or this one does already.
        OSError: It cannot be opened.

    Examples:
        >>> from pathlib import Path
        >>> from imgcls._lock import held
        >>> with held(Path("answers.txt")):
        ...     try:
        ...         held(Path("answers.txt"))
        ...     except BlockingIOError as error:
        ...         print(error.strerror)
        it is held already
    """
    with ExitStack() as undo:
        file = undo.enter_context(path.open("a+b"))
        if _locks(file.fileno(), path) and not _is_at(path, file.fileno()):
            raise _refusal(path)  # whoever held it has removed it since it was opened here
        undo.pop_all()
    _HELD.add(file)
    return file


def _hold_nothing() -> None:
    """In a process that was forked, let go of what its parent holds, which would else be held as long as it lives."""
    for file in [one for one in _HELD if not one.closed]:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, file.fileno(), inheritable=False)  # its number stays taken: the file closes it one day
        os.close(nothing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_hold_nothing)


def _locks(handle: int, path: Path) -> bool:
    """Lock an open file, and return whether its drive knows locks."""
    if sys.platform == "win32":
        import msvcrt

        position = os.lseek(handle, 0, os.SEEK_CUR)
        os.lseek(handle, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise _refusal(path) from error
        except OSError:
            return False
        finally:
            os.lseek(handle, position, os.SEEK_SET)
    else:
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _refusal(path) from error
        except OSError:
            return False
    return True


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _refusal(path: Path) -> BlockingIOError:
    return BlockingIOError(errno.EAGAIN, "it is held already", str(path))
