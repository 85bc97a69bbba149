"""Files of answers: stopped at any byte, continued, never mixed."""

import csv
import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from imgcls import ConfigurationError, DataError, Prediction, Predictions, UnreadableImageError
from imgcls.predictions import Answers

CLASSES = ["cat", "dog"]
SUFFIXES = ("csv", "jsonl", "parquet")


def prediction(name, cat=0.25):
    likeliest = "cat" if cat >= 0.5 else "dog"
    return Prediction(likeliest, max(cat, 1 - cat), {"cat": cat, "dog": 1 - cat}, name)


def refusal(name):
    error = UnreadableImageError(f'{name} is empty, it says, with a "quote"')
    error.id = name
    return error


def written(path):
    """Read ids, labels and probabilities of cats back by libraries of others."""
    if path.suffix.lower() == ".parquet":
        import pandas as pd

        rows = pd.read_parquet(path).to_dict("records")
        return [(row["id"], row["label"], row["cat"]) for row in rows if not isinstance(row["error"], str)]
    if path.suffix.lower() == ".csv":
        with path.open(newline="", errors="surrogateescape") as file:
            return [(row["id"], row["label"], float(row["cat"])) for row in csv.DictReader(file) if not row["error"]]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [(row["id"], row["label"], row["probabilities"]["cat"]) for row in rows if "error" not in row]


NAMES = ["a.jpg", "folder/b, with comma.jpg", "line\nbreak.jpg", 'quote".jpg', "c.jpg"]


@pytest.mark.parametrize("suffix", [*SUFFIXES, "CSV", "Parquet"])
def test_a_rerun_goes_on_and_ends_the_same(tmp_path, suffix):
    whole, halves = tmp_path / f"whole.{suffix}", tmp_path / f"halves.{suffix}"
    rows = [prediction(name, index / 8) for index, name in enumerate(NAMES)]
    with Answers(whole, CLASSES, model="3f") as answers:
        answers.add([*rows, refusal("bad.jpg")])
    with Answers(halves, CLASSES, model="3f") as answers:
        answers.add(rows[:2])
    with Answers(halves, CLASSES, model="3f") as answers:
        assert answers.ids == set(NAMES[:2])
        assert (answers.refused, answers.unreadable) == (0, 0)
        answers.add([*rows[2:], refusal("bad.jpg")])
        assert (answers.refused, answers.unreadable) == (1, 1)
    with Answers(halves, CLASSES, model="3f") as answers:
        assert (answers.refused, answers.unreadable) == (0, 1)
        answers.add([refusal("worse.jpg")])
        assert (answers.refused, answers.unreadable) == (1, 2)
    with Answers(whole, CLASSES, model="3f") as answers:
        answers.add([refusal("worse.jpg")])
    assert written(halves) == written(whole) == [(row.id, row.label, row.probabilities["cat"]) for row in rows]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([whole.name, halves.name])


def _without_errors(path):
    """Take the rows of errors out of a table, as its owner does."""
    if path.suffix == ".parquet":
        from pyarrow import compute, parquet

        table = parquet.read_table(path)
        parquet.write_table(table.filter(compute.is_null(table["error"])), path)
    else:
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if "it says" not in line))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_image_whose_row_was_taken_out_is_asked_again(tmp_path, suffix):
    path = tmp_path / f"answers.{suffix}"
    with Answers(path, CLASSES, model="3f") as answers:
        answers.add([prediction("a.jpg"), refusal("b.jpg"), prediction("c.jpg")])
    _without_errors(path)
    with Answers(path, CLASSES, model="3f") as answers:
        assert (answers.ids, answers.unreadable) == ({"a.jpg", "c.jpg"}, 0)
        answers.add([prediction("b.jpg")])
    assert [name for name, _, _ in written(path)] == ["a.jpg", "c.jpg", "b.jpg"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_stopped_at_any_byte_it_goes_on(tmp_path, suffix):
    path = tmp_path / f"answers.{suffix}"
    rows = [prediction(name) for name in NAMES]
    with Answers(path, CLASSES, model="3f") as answers:
        answers.add([*rows, refusal("bad.jpg")])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with Answers(path, CLASSES, model="3f") as answers:
            done = answers.ids.copy()
            answers.add(row for row in [*rows, refusal("bad.jpg")] if row.id not in done)
        assert path.read_bytes() == whole, length


def test_a_parquet_file_that_was_stopped_goes_on_from_its_lines(tmp_path):
    path = tmp_path / "answers.parquet"
    with pytest.raises(KeyboardInterrupt):
        _stopped(Answers(path, CLASSES))
    assert not path.exists()
    with Answers(path, CLASSES) as answers:
        assert answers.ids == {"a.jpg"}
        answers.add([prediction("b.jpg")])
    assert [name for name, _, _ in written(path)] == ["a.jpg", "b.jpg"]
    assert list(tmp_path.iterdir()) == [path]


def test_the_lines_of_a_parquet_file_that_was_stopped_are_refused_by_their_name(tmp_path):
    path, lines = tmp_path / "answers.parquet", tmp_path / ".answers.parquet.jsonl"
    with pytest.raises(KeyboardInterrupt):
        _stopped(Answers(path, CLASSES, model="3f"))
    with pytest.raises(DataError) as caught:
        Answers(path, CLASSES, model="4a")
    assert str(caught.value) == (
        f"{str(lines)!r} exists and holds no answers that these could be added to: its rows are of model '3f', and this is '4a'. Name another file, or remove it."
    )
    lines.unlink()
    with Answers(path, CLASSES, model="4a") as answers:
        assert answers.ids == set()


@pytest.mark.parametrize(
    "rows",
    [[prediction("z.jpg")], [prediction("a.jpg", 0.75)], [prediction("a.jpg"), prediction("b.jpg")]],
    ids=["another image", "another answer", "more"],
)
def test_a_finished_parquet_file_is_not_replaced_by_older_lines(tmp_path, rows):
    path, lines = tmp_path / "answers.parquet", tmp_path / ".answers.parquet.jsonl"
    with pytest.raises(KeyboardInterrupt):
        _stopped(Answers(path, CLASSES))
    with Answers(tmp_path / "newer.parquet", CLASSES) as answers:
        answers.add(rows)
    answers.path.rename(path)
    before = path.read_bytes(), lines.read_bytes()
    with pytest.raises(DataError) as caught:
        Answers(path, CLASSES)
    assert str(caught.value) == (
        f"{str(path)!r} and {str(lines)!r}, where a run that was stopped has left its rows, hold different answers. Remove the one that you do not need, or name another file."
    )
    assert (path.read_bytes(), lines.read_bytes()) == before
    lines.unlink()
    with Answers(path, CLASSES) as answers:
        assert answers.ids == {row.id for row in rows}


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed once it was made"])
def test_a_parquet_file_that_was_added_to_goes_on_from_its_lines(tmp_path, killed):
    path, lines, names = tmp_path / "answers.parquet", tmp_path / ".answers.parquet.jsonl", [*NAMES, "bad.jpg"]
    rows = [*(prediction(name, 0.1) for name in NAMES), refusal("bad.jpg")]  # 0.1 is another number in float32
    answers = Answers(path, CLASSES, model="3f")
    answers.add(rows)
    if killed:
        kept = lines.read_bytes()
        answers.close()
        lines.write_bytes(kept)
    else:
        answers.close()
        with pytest.raises(KeyboardInterrupt):
            _stopped(Answers(path, CLASSES, model="3f"), "new.jpg")
        names.append("new.jpg")
    with Answers(path, CLASSES, model="3f") as answers:
        assert answers.ids == set(names)
        answers.add([prediction("last.jpg")])
    assert [name for name, _, _ in written(path)] == [name for name in [*names, "last.jpg"] if name != "bad.jpg"]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_answers_of_another_model_or_of_other_classes_are_refused(tmp_path, suffix):
    path = tmp_path / f"answers.{suffix}"
    with Answers(path, CLASSES, model="3f") as answers:
        answers.add([prediction("a.jpg")])
    before = path.read_bytes()
    with pytest.raises(
        DataError, match=r"its rows are of model '3f', and this is '4a'\. Name another file, or remove it"
    ):
        Answers(path, CLASSES, model="4a")
    with pytest.raises(DataError, match="its columns are others"):
        Answers(path, ["cat", "owl"], model="3f")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_a_file_of_something_else_is_refused_and_stays(tmp_path):
    for name, text in {"a.csv": "date,price\n1,2\n", "a.jsonl": "hello\n", "b.jsonl": '{"id": 3}\n[]\n'}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match="holds no answers that these could be added to"):
            Answers(tmp_path / name, CLASSES)
        assert (tmp_path / name).read_text() == text


def test_what_cannot_be_written_is_refused_before_the_work(tmp_path):
    with pytest.raises(ConfigurationError, match=r"Accepted: \.csv, \.jsonl, \.parquet"):
        Answers(tmp_path / "answers.xlsx", CLASSES)
    with pytest.raises(ConfigurationError, match=r"does not exist\. Make it"):
        Answers(tmp_path / "nowhere" / "answers.csv", CLASSES)
    with pytest.raises(ConfigurationError, match="class 'id' has the name of another column"):
        Answers(tmp_path / "answers.parquet", ["id", "dog"])
    with pytest.raises(DataError, match=r"cannot be written.*Free the place"):
        Answers(_folder(tmp_path / "answers.csv"), CLASSES)


def _stopped(answers, name="a.jpg"):
    with answers:
        answers.add([prediction(name)])
        raise KeyboardInterrupt


def _folder(path):
    path.mkdir()
    return path


def test_parquet_without_pyarrow_names_the_line_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("imgcls.predictions._answers.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r'pip install "imgcls\[parquet\]"'):
        Answers(tmp_path / "answers.parquet", CLASSES)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_predictions_are_saved_whole_or_not_at_all(tmp_path, suffix):
    path = tmp_path / f"answers.{suffix}"
    path.write_text("old")
    given = np.array([[0.75, 0.25], [0.125, 0.875]], np.float32)
    predictions = Predictions(given, classes=CLASSES, ids=["a", "b"], sets=np.array([[True, True], [False, True]]))
    assert predictions.save(path) == path
    assert written(path) == [("a", "cat", 0.75), ("b", "dog", 0.125)]
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ConfigurationError, match=r"'.*answers\.txt' has no ending"):
        predictions.save(tmp_path / "answers.txt")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_table_that_is_written_anew_may_be_read_by_those_who_might_before(tmp_path, suffix):
    path = tmp_path / f"patients.{suffix}"
    Predictions(np.array([[0.75, 0.25]], np.float32), classes=CLASSES, ids=["a"]).save(path)
    path.chmod(0o600)
    with Answers(path, CLASSES) as answers:
        answers.add([Prediction("dog", 0.875, {"cat": 0.125, "dog": 0.875}, "b")])
        holding = [one for one in tmp_path.iterdir() if one.stat().st_size]
        assert {stat.S_IMODE(one.stat().st_mode) for one in holding} == {0o600}  # lines beside it too
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    Predictions(np.array([[0.25, 0.75]], np.float32), classes=CLASSES, ids=["c"]).save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [row[0] for row in written(path)] == ["c"]
    assert list(tmp_path.iterdir()) == [path]


def test_on_windows_too_no_lock_is_left(tmp_path, monkeypatch):
    """There a file that is open cannot be removed."""
    remove, descriptors = Path.unlink, Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs Linux' list of open files")

    def unlink(path, **options):
        if path.exists() and any(one.exists() and one.samefile(path) for one in descriptors.iterdir()):
            raise PermissionError(errno.EACCES, "it is open", str(path))
        remove(path, **options)

    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr("imgcls.predictions._answers.os", SimpleNamespace(name="nt"))
    path = tmp_path / "answers.parquet"
    Predictions(np.array([[0.75, 0.25]], np.float32), classes=CLASSES, ids=["a"]).save(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def full_at():
    """Return what lets the system refuse files of more bytes than a number, as a full disk does."""
    resource = pytest.importorskip("resource", reason="needs the limits of Unix")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def cannot_be_written(path, number):
    return f"{str(path)!r} cannot be written: {os.strerror(number)}. Free the place, or write somewhere else."


def _added_until_full(answers, rows, full_at):
    answers.add(rows[:2])
    full_at(max(file.stat().st_size for file in answers.path.parent.iterdir()) + 10)
    answers.add(rows[2:])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_told_in_words_and_a_rerun_goes_on(tmp_path, suffix, full_at):
    path, rows = tmp_path / f"answers.{suffix}", [prediction(name) for name in "abcdef"]
    with pytest.raises(DataError) as caught, Answers(path, CLASSES) as answers:
        _added_until_full(answers, rows, full_at)
    assert str(caught.value) == cannot_be_written(path, errno.EFBIG)
    full_at(2**30)
    with Answers(path, CLASSES) as answers:
        assert answers.ids == {"a", "b"}
        answers.add(rows[2:])
    assert [name for name, _, _ in written(path)] == list("abcdef")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_that_is_full_from_the_beginning_is_told_in_words(tmp_path, suffix, full_at):
    path = tmp_path / f"answers.{suffix}"
    full_at(10)
    with pytest.raises(DataError) as caught, Answers(path, CLASSES) as answers:
        answers.add([prediction("a")])
    assert str(caught.value) == cannot_be_written(path, errno.EFBIG)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_predictions_that_cannot_be_saved_are_refused_by_the_name_that_was_given(tmp_path, suffix, full_at):
    predictions = Predictions(np.array([[0.75, 0.25]]), classes=CLASSES, ids=["a"])
    folder, long, file = _folder(tmp_path / f"f.{suffix}"), tmp_path / f"{'a' * 246}.{suffix}", tmp_path / f"a.{suffix}"
    for path, number in ((folder, errno.EISDIR), (long, errno.ENAMETOOLONG), (file, errno.EFBIG)):
        if number == errno.EFBIG:
            full_at(10)
        with pytest.raises(DataError) as caught:
            predictions.save(path)
        assert str(caught.value) == cannot_be_written(path, number)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_answers_are_an_empty_table(tmp_path, suffix):
    import pandas as pd

    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "jsonl": lambda path: path.read_text()}[suffix]
    path = tmp_path / f"answers.{suffix}"
    none = Predictions(np.array([[0.9, 0.1]]), classes=CLASSES, ids=["a"])[[]]
    frames = [read(none.save(path))]
    path.unlink()
    for _ in range(2):  # and no answers more
        with Answers(path, CLASSES) as answers:
            answers.add([])
        frames.append(read(path))
    assert [path.name for path in tmp_path.iterdir()] == [path.name]
    for frame in frames:
        assert not len(frame)
        if suffix != "jsonl":
            assert list(frame.columns) == ["id", "label", "probability", "cat", "dog", "error"]
    with Answers(path, CLASSES) as answers:
        answers.add([prediction("a.jpg")])
    assert written(path) == [("a.jpg", "dog", 0.25)]


@pytest.mark.parametrize("multi_label", [False, True])
def test_parquet_holds_names_that_are_no_utf8_as_escapes(tmp_path, multi_label):
    from pyarrow import parquet

    path, classes, ids = tmp_path / "answers.parquet", ["ros\udce9", "tea"], ["ros\udce9/1.jpg", "tea/2.jpg"]
    given = np.array([[0.75, 0.25], [0.125, 0.875]], np.float32)
    sets = None if multi_label else np.array([[True, False], [True, True]])
    predictions = Predictions(given, classes=classes, ids=ids, multi_label=multi_label, sets=sets)
    rows = parquet.read_table(predictions.save(path)).to_pylist()
    said = {} if multi_label else {"answer": r"ros\udce9"}
    numbers = {"probability": 0.75, r"ros\udce9": 0.75, "tea": 0.25, "error": None}
    assert rows[0] == {"id": r"ros\udce9/1.jpg", "label": r"ros\udce9", **said, **numbers}
    assert multi_label or rows[1]["answer"] == r"tea|ros\udce9"
    assert list(tmp_path.iterdir()) == [path]
    with Answers(path, classes, abstaining=not multi_label) as answers:
        assert answers.ids == set(ids)  # which are left out then
        answers.add([refusal("th\udce9.jpg")])
    last = parquet.read_table(path).to_pylist()[-1]
    assert (last["id"], last["error"]) == (r"th\udce9.jpg", r'th\udce9.jpg is empty, it says, with a "quote"')


def test_several_labels_and_abstentions(tmp_path):
    both = Predictions(np.array([[0.9, 0.8], [0.1, 0.2]]), classes=CLASSES, ids=["a", "b"], multi_label=True)
    assert [row["label"] for row in map(json.loads, both.save(tmp_path / "a.jsonl").read_text().splitlines())] == [
        ["cat", "dog"],
        [],
    ]
    with both.save(tmp_path / "a.csv").open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == ["cat|dog", ""]
    sets, unknown = np.array([[True, True], [True, False]]), np.array([False, True])
    given = np.array([[0.9, 0.1], [0.6, 0.4]])
    decided = Predictions(given, classes=CLASSES, ids=["a", "b"], sets=sets, unknown=unknown)
    with decided.save(tmp_path / "b.csv").open(newline="") as file:
        assert [row["answer"] for row in csv.DictReader(file)] == ["cat|dog", "unknown"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("note.csv", "a line of mine without an end"),
        ("array.jsonl", "[1, 2, 3]"),
        ("half.csv", "id,label,probability,cat,dog,err"),
        ("half.jsonl", '{"id": "a.jpg", "lab'),
    ],
)
def test_half_a_line_is_ours_or_stays(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    if name.startswith("half"):
        with Answers(path, CLASSES) as answers:
            answers.add([prediction("a.jpg")])
        assert [one for one, _, _ in written(path)] == ["a.jpg"]
    else:
        with pytest.raises(DataError, match="holds no answers that these could be added to"):
            Answers(path, CLASSES)
        assert path.read_text() == text


def test_a_row_of_something_else_takes_none_of_those_after_it_away(tmp_path):
    path = tmp_path / "answers.csv"
    with Answers(path, CLASSES) as answers:
        answers.add([prediction(name) for name in "xyz"])
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], "\n", *lines[2:]]))
    before = path.read_text()
    with pytest.raises(DataError, match="has other columns"):
        Answers(path, CLASSES)
    assert path.read_text() == before


def test_a_file_that_is_no_parquet_stays(tmp_path):
    path = tmp_path / "answers.parquet"
    path.write_bytes(b"no parquet")
    with pytest.raises(DataError, match="it is no Parquet file"):
        Answers(path, CLASSES)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"no parquet"]


def test_tables_with_and_without_abstaining_are_not_mixed(tmp_path):
    for name in ("a.csv", "a.jsonl"):
        with Answers(tmp_path / name, CLASSES) as answers:
            answers.add([prediction("a.jpg")])
        with pytest.raises(DataError, match="its columns are others"):
            Answers(tmp_path / name, CLASSES, abstaining=True)


def being_written(path):
    return f"{str(path)!r} is being written already, by another process or by answers that were not closed. Wait until it is done, or name another file."


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_that_is_being_written_is_refused_to_others(tmp_path, suffix):
    path = tmp_path / f"answers.{suffix}"
    first = Answers(path, CLASSES)
    first.add([prediction("a.jpg")])
    with pytest.raises(DataError) as caught:
        Answers(path, CLASSES)
    assert str(caught.value) == being_written(path)
    first.add([prediction("b.jpg")])
    first.close()
    with Answers(path, CLASSES) as second:
        second.add([prediction("c.jpg")])
        first.close()  # once more: the file is another's now
        with pytest.raises(DataError):
            Answers(path, CLASSES)
        second.add([prediction("d.jpg")])
    assert [name for name, _, _ in written(path)] == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert list(tmp_path.iterdir()) == [path]


WRITE = """
import os, random, signal, sys, time
from imgcls import DataError, Prediction
from imgcls.predictions import Answers

path, number = sys.argv[1], int(sys.argv[2])
mine, begun = [f"{number}-{index}.jpg" for index in range(60)], time.monotonic()
while mine:
    assert time.monotonic() < begun + 60
    try:
        with Answers(path, ["cat", "dog"]) as answers:
            mine = [name for name in mine if name not in answers.ids]
            for name in mine[:20]:
                answers.add([Prediction("cat", 0.75, {"cat": 0.75, "dog": 0.25}, name)])
                if number == 0 and name.endswith("-30.jpg"):
                    os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(0.0005)
    except DataError as error:
        if "is being written already" not in str(error):
            raise
    time.sleep(random.random() / 100)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_processes_that_take_turns_lose_no_row_and_write_none_twice(tmp_path, suffix):
    """Four at once; one is killed amid its rows, and is begun anew by nobody."""
    path = tmp_path / f"answers.{suffix}"
    command = [sys.executable, "-c", WRITE, str(path)]
    children = [subprocess.Popen([*command, str(number)], stderr=subprocess.PIPE) for number in range(4)]
    told = [child.communicate()[1].decode() for child in children]
    assert [child.returncode for child in children] == [-9, 0, 0, 0], told
    with Answers(path, CLASSES) as answers:  # what the killed one has left in lines becomes Parquet too
        assert len(answers.ids) == 31 + 3 * 60
    names = [name for name, _, _ in written(path)]
    expected = [f"0-{index}.jpg" for index in range(31)]
    expected += [f"{number}-{index}.jpg" for number in range(1, 4) for index in range(60)]
    assert sorted(names) == sorted(expected)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_two_that_save_at_once_do_not_hinder_each_other(tmp_path, monkeypatch, suffix):
    path, add, given = tmp_path / f"answers.{suffix}", Answers.add, np.array([[0.75, 0.25]])
    first, second = (Predictions(given, classes=CLASSES, ids=[name]) for name in ("first.jpg", "second.jpg"))
    between = []

    def meanwhile(self, answers):
        monkeypatch.setattr(Answers, "add", add)
        between.extend(written(second.save(path)))
        add(self, answers)

    monkeypatch.setattr(Answers, "add", meanwhile)
    assert written(first.save(path)) == [("first.jpg", "cat", 0.75)]
    assert between == [("second.jpg", "cat", 0.75)]
    assert list(tmp_path.iterdir()) == [path]


# --- digits ---------------------------------------------------------------------------------------------------------


def float32s():
    """Return probabilities of every size, as float32 has them: by their bits, and close to 0 and to 1."""
    bits = np.random.default_rng(0).integers(0, np.float32(1).view(np.uint32), 2_000, dtype=np.uint32)
    few = np.float32([0, 1, 4e-7, 0.9, 1e-45, 0.0100000005, 0.123456789])
    return np.concatenate([few, 1 - few, np.nextafter(np.float32(1), few), bits.view(np.float32)])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_holds_each_float32_as_it_was(tmp_path, suffix):
    import pandas as pd

    cats = float32s()
    assert cats.dtype == np.float32
    given = np.stack([cats, 1 - cats], axis=1)
    ids = [f"{index}.jpg" for index in range(len(cats))]
    path = Predictions(given, classes=CLASSES, ids=ids).save(tmp_path / f"answers.{suffix}")
    assert [np.float32(cat) for _, _, cat in written(path)] == cats.tolist()
    if suffix != "jsonl":
        found = {"csv": pd.read_csv, "parquet": pd.read_parquet}[suffix](path)
        np.testing.assert_array_equal(found[CLASSES].to_numpy(np.float32), given)
        np.testing.assert_array_equal(found["probability"].to_numpy(np.float32), given.max(axis=1))


def test_digits_are_no_more_than_a_float32_takes(tmp_path):
    given = np.float32([[0.9, 0.1], [4e-7, 1 - 4e-7], [1 - 2**-24, 2**-24]])
    made = Predictions(given, classes=CLASSES, ids=["a", "b", "c"])
    lines = made.save(tmp_path / "answers.csv").read_text().splitlines()[1:]
    assert lines == [
        "a,cat,0.9,0.9,0.1,",
        "b,dog,0.9999996,4e-07,0.9999996,",
        "c,cat,0.99999994,0.99999994,5.9604645e-08,",
    ]
    rows = [json.loads(line) for line in made.save(tmp_path / "answers.jsonl").read_text().splitlines()]
    assert rows[1]["probabilities"] == {"dog": 0.9999996, "cat": 4e-07}


def test_rare_probabilities_are_ranked_and_scored_as_in_memory(tmp_path):
    """What was rounded to six decimals became 0: ties for a ranking, and for the log loss infinity."""
    from sklearn.metrics import log_loss, roc_auc_score

    rare = np.float32([1e-7, 2e-7, 3e-7, 4e-7])
    given, truth = np.stack([rare, 1 - rare], axis=1), [0, 0, 1, 1]  # whether it is a cat
    Predictions(given, classes=CLASSES, ids=list("abcd")).save(tmp_path / "answers.csv")
    found = np.array([cat for _, _, cat in written(tmp_path / "answers.csv")])
    assert roc_auc_score(truth, found) == 1
    assert log_loss(truth, found) == pytest.approx(log_loss(truth, rare.astype(np.float64)))
    assert log_loss(truth, found) == pytest.approx(-np.log([3e-7, 4e-7]).sum() / 4, rel=1e-6)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_table_with_six_decimals_of_an_older_version_goes_on(tmp_path, suffix):
    path = tmp_path / f"answers.{suffix}"
    path.write_text(
        {
            "csv": "id,label,probability,cat,dog,error\na.jpg,dog,1.0,0.0,1.0,\n",
            "jsonl": '{"id": "a.jpg", "label": "dog", "probability": 1.0, "probabilities": {"dog": 1.0, "cat": 0.0}}\n',
        }[suffix]
    )
    for name in ("b.jpg", "c.jpg"):
        with Answers(path, CLASSES) as answers:
            answers.add([prediction(name, 4e-7)])
    assert written(path) == [("a.jpg", "dog", 0.0), ("b.jpg", "dog", 4e-7), ("c.jpg", "dog", 4e-7)]
