"""A held file: nobody else holds it, a drive without locks is taken as it is, and the dead hold nothing."""

import errno
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from imgcls._lock import held

fcntl = pytest.importorskip("fcntl", reason="needs the locks of Unix")

HOLD = """
import sys
from pathlib import Path
from imgcls._lock import held
file = held(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_file_is_held_once_until_it_is_closed(tmp_path):
    path = tmp_path / "table"
    with held(path) as file:
        file.write(b"mine")
        file.flush()
        with pytest.raises(BlockingIOError) as caught:
            held(path)
        assert (caught.value.strerror, caught.value.filename) == ("it is held already", str(path))
        with held(tmp_path / "other"):
            pass
    with held(path) as file:
        file.seek(0)
        assert file.read() == b"mine"
        file.write(b", and more")
    assert path.read_bytes() == b"mine, and more"


def test_another_process_holds_it_until_it_is_killed(tmp_path):
    path = tmp_path / "table"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError):
            held(path)
        child.send_signal(signal.SIGKILL)
        child.wait()
    held(path).close()


def test_a_process_that_was_forked_holds_nothing(tmp_path):
    """Such as one of a pool, which lives on when the table is closed."""
    path, (begun, begin), (over, end) = tmp_path / "table", os.pipe(), os.pipe()
    with held(path) as file:
        child = os.fork()
        if not child:
            os.close(end)
            os.write(begin, b".")
            os.read(over, 1)  # until the parent is done
            file.write(b"of the child")
            file.close()
            os._exit(0)
        os.read(begun, 1)
        file.write(b"of the parent")
    try:
        held(path).close()
    finally:
        os.close(end)
        os.waitpid(child, 0)
        for one in (begun, begin, over):
            os.close(one)
    assert path.read_bytes() == b"of the parent"


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_drive_without_locks_is_taken_as_it_is(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with held(tmp_path / "table"), held(tmp_path / "table"):
        pass


@pytest.mark.parametrize("again", [False, True], ids=["removed", "made anew"])
def test_a_file_that_was_removed_meanwhile_is_not_held(tmp_path, monkeypatch, again):
    """Between opening and locking, whoever held it has ended and removed it: what is locked is no file of that name."""
    path, flock = tmp_path / "table", fcntl.flock

    def late(*given):
        path.unlink()
        if again:
            path.touch()
        flock(*given)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(BlockingIOError):
        held(path)


def test_what_cannot_be_opened_is_told(tmp_path):
    with pytest.raises(IsADirectoryError):
        held(tmp_path)
    with pytest.raises(FileNotFoundError):
        held(tmp_path / "nowhere" / "table")


class Windows:
    """Locks of bytes, as `msvcrt.locking` gives them: from where a file stands on."""

    LK_NBLCK = 2

    def __init__(self, code=errno.EACCES):
        self.locked, self.code = set(), code

    def locking(self, handle, mode, count):
        assert (mode, count) == (self.LK_NBLCK, 1)
        byte = os.fstat(handle).st_ino, os.lseek(handle, 0, os.SEEK_CUR)
        if byte in self.locked or self.code != errno.EACCES:
            raise OSError(self.code, os.strerror(self.code))
        self.locked.add(byte)


def test_windows_locks_a_byte_behind_what_is_read(tmp_path, monkeypatch):
    windows, path = Windows(), tmp_path / "table"
    monkeypatch.setitem(sys.modules, "msvcrt", windows)
    monkeypatch.setattr("imgcls._lock.sys", SimpleNamespace(platform="win32"))
    path.write_bytes(b"rows")
    with held(path) as file:
        assert file.tell() == os.lseek(file.fileno(), 0, os.SEEK_CUR) == 4
        file.write(b" and more")
        with pytest.raises(BlockingIOError, match="it is held already"):
            held(path)
    assert path.read_bytes() == b"rows and more"
    ((_, byte),) = windows.locked
    assert byte > 2**30
    monkeypatch.setitem(sys.modules, "msvcrt", Windows(errno.EINVAL))  # a drive without locks
    with held(path), held(path):
        pass
