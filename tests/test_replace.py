"""A file that takes its place once it is whole."""

import stat
import sys

import pytest

from imgcls._replace import replacing


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no file that is read-only")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_who_may_read_the_old_file_may_read_the_new_one_and_its_writer_may_write_it(tmp_path, mode):
    path = tmp_path / "report.txt"
    path.write_text("old")
    path.chmod(mode)
    with replacing(path) as whole:
        assert mode_of(whole) == mode | stat.S_IWUSR
        whole.write_text("new")
    assert (path.read_text(), mode_of(path), list(tmp_path.iterdir())) == ("new", mode, [path])


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "report.txt"
    path.write_text("old")
    lent = replacing(path)
    lent.__enter__().write_text("ne")
    with pytest.raises(ZeroDivisionError):
        lent.gen.throw(ZeroDivisionError())
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])


def test_two_that_write_at_once_do_not_meet(tmp_path):
    path = tmp_path / "report.txt"
    with replacing(path) as first:
        first.write_text("first")
        with replacing(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert (path.read_text(), list(tmp_path.iterdir())) == ("first", [path])
