"""The page: complete in itself, escaped, and a file for those who may read it."""

import errno
import os
import re
import stat
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from imgcls import Dataset
from imgcls.datasets._check import check
from imgcls.errors import DataError
from imgcls.report import data_page, write

HOSTILE = "<img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def text(tmp_path):
    for index, kind in enumerate(("rose", HOSTILE.replace("/", ""))):
        (tmp_path / kind).mkdir()
        for number in range(15 + 6 * index):
            Image.new("RGB", (50 + number, 300), (90, 20, 30)).save(tmp_path / kind / f"{HOSTILE}{number:02d}.png")
    (tmp_path / "rose" / "text.jpg").write_text("hello")
    return check(Dataset.from_folder(tmp_path), verbose=0).to_html()


def test_names_of_files_and_classes_are_escaped(text):
    assert HOSTILE not in text
    page = Page(text)
    assert not page.open
    assert any(HOSTILE in word for word in page.words)
    assert not [attributes for _, attributes in page.elements if "onerror" in attributes]
    assert not [tag for tag, _ in page.elements if tag == "script"]


def test_nothing_is_fetched(text):
    sources = [attributes["src"] for tag, attributes in Page(text).elements if tag == "img"]
    assert sources
    assert all(source.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for source in sources)
    assert "http" not in text.replace("http-equiv", "")
    assert not re.search(r"url\(|@import|<link", text)


def test_a_finding_shows_a_dozen_pictures_and_counts_the_rest(text):
    section = text.split('id="img034"')[1].split("</section>")[0]
    assert section.count("<img ") == 12
    assert "and 24 more" in section


def test_what_cannot_be_read_has_no_picture(text):
    assert "no picture" in text.split('id="img001"')[1].split("</section>")[0]


def test_light_dark_and_narrow(text):
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_empty_report_says_so():
    page = data_page(title="t", images=3, severities={"error": 0}, counts={}, findings=[])
    assert "Nothing was found" in page
    assert not Page(page).open


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
@pytest.mark.parametrize(
    ("before", "umask", "after"), [(None, 0o077, 0o600), (None, 0o002, 0o664), (0o640, 0o022, 0o640)]
)
def test_who_may_read_a_report_is_as_before_or_as_the_umask_says(tmp_path, before, umask, after):
    path = tmp_path / "report.html"
    if before is not None:
        path.write_text("old")
        path.chmod(before)
    usual = os.umask(umask)
    try:
        write(path, "new")
    finally:
        os.umask(usual)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == after
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_is_written_where_the_file_system_has_no_modes(tmp_path, monkeypatch):
    """As on a share of Windows, where the kernel refuses `chmod`."""

    def refused(*_, **__):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr(Path, "chmod", refused)
    write(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_system_refuses_of_a_report_is_told_of_the_file_that_was_asked_for(tmp_path, monkeypatch):
    """As on Windows, where a file that Excel has open cannot be replaced."""

    def refused(self, target):
        raise PermissionError(errno.EACCES, "Permission denied", str(self), None, str(target))

    path = tmp_path / "report.csv"
    path.write_text("old")
    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(DataError) as refusal:
        write(path, "new")
    assert str(refusal.value) == (
        f"{str(path)!r} cannot be written: Permission denied. Close the program that has it open, such as "
        "a spreadsheet, or free the place, or write somewhere else."
    )
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
