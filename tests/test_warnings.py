"""A warning names the line of whoever called us, however deep inside we found the reason."""

import inspect
import subprocess
import sys

import pytest

from imgcls import Dataset, DataWarning, _warnings
from imgcls.datasets import Batches, leave_out_unreadable


def here():
    return inspect.currentframe().f_back.f_lineno


@pytest.fixture
def data(photos):
    (photos / "cat" / "0.jpg").write_bytes(b"")
    return Dataset.from_folder(photos)


def pointed(caught):
    return [(one.filename, one.lineno) for one in caught]


def test_the_caller_itself():
    with pytest.warns(DataWarning, match="^look$") as caught:
        _warnings.warn("look", DataWarning)
    assert pointed(caught) == [(__file__, here() - 1)]


def test_the_caller_of_a_function_and_of_a_generator(data):
    with pytest.warns(DataWarning) as caught:
        leave_out_unreadable(data, say=[].append)
    assert pointed(caught) == [(__file__, here() - 1)]
    options = {"image_size": (8, 8), "channels": 3, "batch_size": 4, "on_error": "skip", "say": [].append}
    made = Batches(data, keep="stream", **options)
    with pytest.warns(DataWarning) as caught:
        list(made.in_order())
    assert pointed(caught) == [(__file__, here() - 1)]


def test_a_fresh_script(data, tmp_path, photos):
    script = tmp_path / "mine.py"
    lines = ("from imgcls import Dataset, datasets", "data = Dataset.from_folder('photos')", "", "datasets.{}")
    script.write_text("\n".join(lines).format("leave_out_unreadable(data, say=[].append)\n"))
    done = subprocess.run([sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr.startswith(f"{script}:4: DataWarning: 1 of 16 images (6.2%) cannot be read and are left out.")


def test_without_a_caller_outside_it_is_given_all_the_same(monkeypatch):
    monkeypatch.setattr(_warnings, "_PACKAGE", "/")
    with pytest.warns(DataWarning, match="^look$"):
        _warnings.warn("look", DataWarning)
