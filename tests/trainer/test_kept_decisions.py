"""What was chosen by the clock is chosen once, so that a run goes on although the clock says something else now."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from imgcls import CheckpointError
from imgcls.trainer._decisions import Decisions


def fail():
    raise AssertionError("was decided already")


def test_a_decision_is_made_once_for_one_question(tmp_path):
    folder = tmp_path / "runs" / "a"
    assert Decisions(folder).once("depth", {"images": 3}, lambda: [0.5, "why"]) == [0.5, "why"]
    assert Decisions(folder).once("architecture", {"images": 3}, lambda: "small_cnn") == "small_cnn"
    assert Decisions(folder).once("depth", {"images": 3}, fail) == [0.5, "why"]
    assert Decisions(folder).once("architecture", {"images": 3}, fail) == "small_cnn"
    assert Decisions(folder).once("depth", {"images": 4}, lambda: [1.0, ""]) == [1.0, ""]
    assert Decisions(folder).once("depth", {"images": 4}, fail) == [1.0, ""]
    assert [path.name for path in folder.iterdir()] == ["decided.json"]


def test_workers_that_write_at_once_leave_a_whole_file(tmp_path):
    def decide(worker):
        return [Decisions(tmp_path).once(f"{worker} {turn}", {}, lambda: worker) for turn in range(20)]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(decide, range(8))) == [[worker] * 20 for worker in range(8)]
    assert [path.name for path in tmp_path.iterdir()] == ["decided.json"]
    assert json.loads((tmp_path / "decided.json").read_bytes())


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answers = iter([1, 2])
    assert [Decisions(None).once("depth", {}, lambda: next(answers)) for _ in range(2)] == [1, 2]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damaged", [b"", b"{", b"[1]", b'{"depth": 3}', b'{"depth": {}}', b"\xff"])
def test_what_is_damaged_is_decided_anew(tmp_path, damaged):
    (tmp_path / "decided.json").write_bytes(damaged)
    assert Decisions(tmp_path).once("depth", {}, lambda: 1) == 1
    assert Decisions(tmp_path).once("depth", {}, fail) == 1


@pytest.mark.skipif(os.name == "nt", reason="a file in the way has other words on Windows")
def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"cannot be written to: .* Give another folder\.$"):
        Decisions(tmp_path / "file" / "runs").once("depth", {}, lambda: 1)
