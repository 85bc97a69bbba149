"""Flushing: of a folder, a drive may say that it cannot; any other refusal is heard."""

import errno
import os

import pytest

from imgcls._flush import flush


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_drive_that_cannot_flush_folders_is_taken_as_it_is(tmp_path, monkeypatch, code):
    asked = []

    def refuse(handle):
        asked.append(handle)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    flush(tmp_path)
    assert len(asked) == 1
    with pytest.raises(OSError, match=r"."):  # a file that does not last is a loss
        flush(_written(tmp_path))


def test_a_broken_disk_is_heard(tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    for path in (tmp_path, _written(tmp_path)):
        with pytest.raises(OSError, match="Input/output error"):
            flush(path)


def _written(folder):
    path = folder / "file"
    path.write_bytes(b"x")
    return path
