"""What was chosen by the clock is chosen once, so that a run goes on although the clock says something else now."""

import errno
import hashlib
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from imgcls import CheckpointError, _backend
from imgcls.trainer import _checkpoint
from imgcls.trainer._decisions import Decisions


@pytest.fixture
def together():
    """Let workers, each a thread here, do something at once; what they add up meets at a barrier, as on the network."""

    def run(count, work):
        barrier, tables = threading.Barrier(count, timeout=30), [None] * count

        def worker(number):
            def total(table):
                tables[number] = table
                barrier.wait()
                found = sum(tables)
                barrier.wait()
                return found

            place = _backend.Placement(worker=number, workers=count)
            place.total = total
            return work(place)

        with ThreadPoolExecutor(count) as threads:
            return list(threads.map(worker, range(count)))

    return run


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


def test_what_another_run_decides_takes_nothing_from_the_first(tmp_path):
    """A folder is given to the wrong run by mistake: that one is refused later, and the right one goes on."""
    assert Decisions(tmp_path).once("depth", {"budget": 600.0}, lambda: [0.5, "why"]) == [0.5, "why"]
    assert Decisions(tmp_path).once("depth", {"budget": 300.0}, lambda: [0.25, ""]) == [0.25, ""]
    assert Decisions(tmp_path).once("depth", {"budget": 600.0}, fail) == [0.5, "why"]
    assert Decisions(tmp_path).once("depth", {"budget": 300.0}, fail) == [0.25, ""]


def test_what_does_not_last_is_decided_anew(tmp_path):
    """Also where an earlier version has kept it."""

    def ask(decide):
        return Decisions(tmp_path / "runs").once("depth", {}, decide, lasting=lambda decided: decided[0] > 0)

    assert ask(lambda: [0.0, "no time"]) == [0.0, "no time"]
    assert not (tmp_path / "runs").exists()
    Decisions(tmp_path / "runs").once("depth", {}, lambda: [0.0, "no time"])
    assert ask(lambda: [0.5, ""]) == [0.5, ""]
    assert ask(fail) == [0.5, ""]


def test_a_file_that_held_one_decision_of_a_name_is_read(tmp_path):
    about = {"images": 3}
    digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    (tmp_path / "decided.json").write_text(json.dumps({"depth": {"about": digest, "value": [0.5, "why"]}}))
    assert Decisions(tmp_path).once("depth", about, fail) == [0.5, "why"]
    assert Decisions(tmp_path).once("depth", {"images": 4}, lambda: [1.0, ""]) == [1.0, ""]
    assert Decisions(tmp_path).once("depth", about, fail) == [0.5, "why"]


def test_of_several_workers_the_first_decides_for_all(tmp_path, together):
    """The others have other clocks; none of them may choose, or write, anything else."""
    decided = []

    def ask(place):
        def decide():
            decided.append(place.worker)
            return [0.5 + place.worker, "wörds of any length " * 300]

        folder = tmp_path / "runs" if place.worker == 0 else tmp_path / "not seen by the others"
        return [Decisions(folder).once("depth", {"budget": 60}, decide, place=place) for _ in range(2)]

    found = together(3, ask)
    assert found == [[[0.5, "wörds of any length " * 300]] * 2] * 3
    assert decided == [0]
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


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


def test_what_cannot_be_read_now_is_not_decided_anew(tmp_path, monkeypatch):
    assert Decisions(tmp_path).once("depth", {}, lambda: 1) == 1
    error = PermissionError(errno.EACCES, "injected")

    def failing(path):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", failing)
        with pytest.raises(CheckpointError) as refusal:
            Decisions(tmp_path).once("depth", {}, fail)
    assert str(refusal.value) == f"checkpoint={str(tmp_path)!r} cannot be read: {error}. Give another folder."
    assert Decisions(tmp_path).once("depth", {}, fail) == 1


@pytest.mark.skipif(os.name == "nt", reason="a file in the way has other words on Windows")
def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match=r"cannot be written to: .* Give another folder\.$"):
        Decisions(tmp_path / "file" / "runs").once("depth", {}, lambda: 1)


@pytest.mark.parametrize("refusals", [1, 2])
def test_a_file_that_cannot_take_its_name_is_not_left_behind(tmp_path, monkeypatch, refusals):
    """Nor is it given up at once on Windows, where other programs look at what was just written."""
    error, replace, left = PermissionError(errno.EACCES, "injected"), Path.replace, [refusals]

    def refused(path, target):
        if left[0]:
            left[0] -= 1
            raise error
        return replace(path, target)

    monkeypatch.setattr(_checkpoint, "_WAITS", (0.0,))
    monkeypatch.setattr(Path, "replace", refused)
    if refusals == 1:
        assert Decisions(tmp_path).once("depth", {}, lambda: 1) == 1
        assert Decisions(tmp_path).once("depth", {}, fail) == 1
        return
    with pytest.raises(CheckpointError) as refusal:
        Decisions(tmp_path).once("depth", {}, lambda: 1)
    assert str(refusal.value) == f"checkpoint={str(tmp_path)!r} cannot be written to: {error}. Give another folder."
    assert list(tmp_path.iterdir()) == []
