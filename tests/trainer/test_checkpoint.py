"""Checkpoints: whole or absent, whatever fails and wherever the power is cut."""

import errno
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from imgcls import CheckpointError, TrainingWarning
from imgcls.trainer import _checkpoint, _keeper
from imgcls.trainer._checkpoint import Checkpoints, Disk, State
from imgcls.trainer._keeper import VARIABLE, Keeper, NotANumberError

RUN = {"seed": 0, "data": "90 images"}


def state(number, score=None):
    arrays = {"weights": np.full((40, 3), number, np.float32), "seed": np.array([number, 2**31], np.uint32)}
    return State({"epoch": number, "history": {"loss": [0.1 * number]}}, arrays, score)


OPEN = []


@pytest.fixture(autouse=True)
def let_go():
    """Close what a test has opened and left: its lock is a file."""
    yield
    while OPEN:
        OPEN.pop().close()


def opened(folder, run=RUN, disk=None, said=None):
    OPEN.append(Checkpoints(folder, run, say=(said if said is not None else []).append, disk=disk))
    return OPEN[-1]


def numbers(folder):
    return sorted(int(path.name[-6:]) for path in folder.glob("checkpoint-*"))


def newest(folder, said=None):
    """Return which state a new process finds, having checked that it is whole."""
    checkpoints = opened(folder, said=said)
    try:
        found = checkpoints.newest()
    finally:
        checkpoints.close()
    if found is None:
        return None
    number = found.facts["epoch"]
    truth = state(number)
    assert found.facts == truth.facts
    assert set(found.arrays) == set(truth.arrays)
    for name, array in truth.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype
    return number


def test_the_newest_is_found_in_a_folder_that_is_made(tmp_path):
    folder = tmp_path / "runs" / "a"
    checkpoints = opened(folder)
    assert checkpoints.newest() is None
    for number in (1, 2, 3):
        checkpoints.save(state(number))
    checkpoints.close()
    assert newest(folder) == 3


def test_the_last_two_and_the_best_are_kept(tmp_path):
    checkpoints = opened(tmp_path)
    for number, score in enumerate([0.9, 0.2, 0.5, 0.4, 0.6, None], start=1):
        checkpoints.save(state(number, score))
    assert numbers(tmp_path) == [2, 5, 6]
    checkpoints.save(state(7, 0.1))
    assert numbers(tmp_path) == [6, 7]


def test_files_of_others_are_never_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "checkpoint-old").mkdir()
    checkpoints = opened(tmp_path)
    for number in range(1, 6):
        checkpoints.save(state(number))
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    assert (tmp_path / "checkpoint-old").is_dir()


@pytest.mark.parametrize("number", [0, 3, 4000])
def test_a_file_with_the_name_of_a_checkpoint_is_none_and_the_others_are_removed(tmp_path, number):
    stray, said = tmp_path / f"checkpoint-{number:06d}", []
    checkpoints = opened(tmp_path, said=said)
    for count in range(1, 8):
        checkpoints.save(state(count))
        if count == 2:
            stray.write_text("not ours")
    assert checkpoints.trouble is None
    assert stray.read_text() == "not ours"
    last = max(2, number) + 5
    assert numbers(tmp_path) == sorted([number, last - 1, last])
    checkpoints.close()
    assert newest(tmp_path, said) == 7
    assert said == []


def test_one_that_cannot_be_removed_keeps_no_others(tmp_path):
    class Stuck(Disk):
        def remove(self, folder):
            if folder.name == "checkpoint-000001":
                raise PermissionError(errno.EACCES, "injected")
            super().remove(folder)

    checkpoints = opened(tmp_path, disk=Stuck())
    for count in range(1, 8):
        checkpoints.save(state(count))
    assert checkpoints.trouble is None
    assert numbers(tmp_path) == [1, 6, 7]


@pytest.mark.parametrize("name", ["arrays.safetensors", "state.json", "manifest.json"])
def test_a_flipped_byte_anywhere_is_found_and_skipped(tmp_path, name):
    checkpoints = opened(tmp_path / "runs")
    for number in (1, 2):
        checkpoints.save(state(number))
    checkpoints.close()
    path = tmp_path / "runs" / "checkpoint-000002" / name
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for place in {0, len(whole) - 1, *random.integers(0, len(whole), 40).tolist()}:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << random.integers(8))]) + whole[place + 1 :])
        said = []
        assert newest(tmp_path / "runs", said) == 1
        assert len(said) == 1
        assert "checkpoint-000002 is damaged" in said[0]
    path.write_bytes(whole)
    assert newest(tmp_path / "runs") == 2


@pytest.mark.parametrize("name", ["arrays.safetensors", "state.json", "manifest.json"])
def test_a_missing_or_cut_file_is_skipped_and_later_removed(tmp_path, name):
    checkpoints = opened(tmp_path)
    for number in (1, 2):
        checkpoints.save(state(number))
    checkpoints.close()
    path = tmp_path / "checkpoint-000002" / name
    path.write_bytes(path.read_bytes()[:-9])
    assert newest(tmp_path) == 1
    path.unlink()
    said = []
    again = opened(tmp_path, said=said)
    assert again.newest().facts["epoch"] == 1
    again.save(state(3))
    assert numbers(tmp_path) == [1, 3]  # the damaged one is not one of the two
    again.close()
    assert newest(tmp_path) == 3


def test_where_none_is_whole_training_starts_anew_and_that_is_a_warning(tmp_path):
    """`say` is silent with `verbose=0`, and the run is lost."""
    checkpoints = opened(tmp_path)
    checkpoints.save(state(1))
    checkpoints.close()
    (tmp_path / "checkpoint-000001" / "state.json").write_bytes(b"")
    said = []
    again = opened(tmp_path, said=said)
    with pytest.warns(TrainingWarning) as caught:
        assert again.newest() is None
    words = (
        f"no checkpoint in {tmp_path} is whole: training starts from the beginning, and its first one takes their "
        "place. To keep them, stop and give another folder"
    )
    assert [str(one.message) for one in caught] == [f"{words}."]
    assert said[1:] == [words]
    again.save(state(2))
    again.close()
    assert numbers(tmp_path) == [2]
    assert newest(tmp_path) == 2


def test_dtypes_that_numpy_does_not_know_come_back_bit_by_bit(tmp_path):
    bits = np.array([0x3F80, 0xC000, 0x7F80, 0x0001], np.uint16)  # 1, -2, infinity and the least above 0
    half = bits.view(np.dtype("bfloat16"))
    assert half[:2].tolist() == [1, -2]
    checkpoints = opened(tmp_path)
    checkpoints.save(State({}, {"many": half.reshape(2, 2), "one": half[1:2].reshape(()), "plain": bits}))
    found = checkpoints.newest().arrays
    checkpoints.close()
    assert {name: (array.dtype.name, array.shape) for name, array in found.items()} == {
        "many": ("bfloat16", (2, 2)),
        "one": ("bfloat16", ()),
        "plain": ("uint16", (4,)),
    }
    np.testing.assert_array_equal(found["many"].view(np.uint16).ravel(), bits)
    assert found["one"] == -2


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
def test_a_weight_that_is_no_number_is_seen_in_any_precision(dtype):
    def noted(value):
        weights = np.array([1, value], np.dtype(dtype))
        arrays = {f"{VARIABLE}00000": weights, "of a callback": np.array([np.nan])}
        return Keeper(None, state(1)).note(lambda: State({}, arrays))

    assert noted(2).facts == {}
    with pytest.raises(NotANumberError):
        noted(np.nan)


def test_what_was_infinite_when_training_began_may_stay_so_and_nothing_else():
    """Such as a mask of -inf; at its other places, and in other weights, a number is asked for."""
    names = [f"{VARIABLE}{index:05d}" for index in range(2)]

    def states(*pairs):
        return [State({}, dict(zip(names, map(np.array, pair), strict=True))) for pair in pairs]

    begun, good, *bad = states(
        ([0.0, -np.inf], [1.0, 1.0]),
        ([5.0, -np.inf], [2.0, 1.0]),
        ([np.nan, -np.inf], [2.0, 1.0]),
        ([5.0, -np.inf], [2.0, np.inf]),
    )
    keeper = Keeper(None, begun)
    assert keeper.note(lambda: good) is good
    for one in bad:
        with pytest.raises(NotANumberError):
            keeper.note(lambda one=one: one)
    assert keeper.good is good


# --- what cannot be read, and is not damaged ----------------------------------------------------------------------


def failing_reads(monkeypatch, name, number):
    """Let reading a file fail, as a network or the rights of another user let it fail."""
    read = Path.read_bytes

    def failing(path):
        if name in path.parts:
            raise OSError(number, os.strerror(number), str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", failing)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("name", ["arrays.safetensors", "manifest.json"])
def test_what_cannot_be_read_now_is_refused_and_stays(tmp_path, monkeypatch, name, number):
    checkpoints = opened(tmp_path)
    for count in (1, 2):
        checkpoints.save(state(count))
    checkpoints.close()
    failing_reads(monkeypatch, name, number)
    again, path = opened(tmp_path), tmp_path / "checkpoint-000002"
    with pytest.raises(CheckpointError) as refusal:
        again.newest()
    again.close()
    assert str(refusal.value) == (
        f"{str(path)!r} cannot be read: {OSError(number, os.strerror(number), str(path / name))}. Start again when it "
        "can be; or remove it, so that the checkpoint before it counts; or give another folder."
    )
    monkeypatch.undo()
    assert newest(tmp_path) == 2
    assert numbers(tmp_path) == [1, 2]


def test_a_folder_that_cannot_be_listed_is_refused_and_later_stops_checkpoints_alone(tmp_path, monkeypatch):
    def failing(folder):
        raise OSError(errno.EIO, "injected", str(folder))

    checkpoints = opened(tmp_path)
    checkpoints.save(state(1))
    with monkeypatch.context() as patched:
        patched.setattr(_checkpoint.os, "scandir", failing)
        with pytest.raises(CheckpointError) as refusal:
            checkpoints.newest()
        checkpoints.save(state(2))
    checkpoints.close()
    injected = OSError(errno.EIO, "injected", str(tmp_path))
    assert str(refusal.value) == f"checkpoint={str(tmp_path)!r} cannot be read: {injected}. Give another folder."
    assert checkpoints.trouble == str(injected)
    assert newest(tmp_path) == 1


@pytest.mark.parametrize("number", [1, 4])
def test_what_another_version_wrote_is_refused_and_stays(tmp_path, monkeypatch, number):
    """Also where it is of another run: nobody can say."""
    monkeypatch.setattr(_checkpoint, "FORMAT", number)
    checkpoints = opened(tmp_path)
    checkpoints.save(state(1))
    checkpoints.close()
    monkeypatch.undo()
    again = opened(tmp_path, {"seed": 1})
    with pytest.raises(CheckpointError) as refusal:
        again.newest()
    again.close()
    assert str(refusal.value) == (
        f"{str(tmp_path / 'checkpoint-000001')!r} has format {number}, and this imgcls reads 3. Go on with the imgcls "
        "that wrote it, or give another folder."
    )
    assert numbers(tmp_path) == [1]


def test_the_best_stays_while_nobody_can_read_which_one_it_is(tmp_path, monkeypatch):
    checkpoints = opened(tmp_path)
    for count, score in ((1, 0.1), (2, 0.5)):
        checkpoints.save(state(count, score))
    with monkeypatch.context() as patched:
        failing_reads(patched, "checkpoint-000001", errno.EIO)
        checkpoints.save(state(3, 0.4))
    assert numbers(tmp_path) == [1, 2, 3]
    checkpoints.save(state(4, 0.3))
    assert numbers(tmp_path) == [1, 3, 4]


# --- crashes and failures ----------------------------------------------------------------------------------------


def test_checkpoints_do_not_pile_up_where_the_folder_cannot_be_flushed(tmp_path):
    """Each is whole then, and in its place; only that it would outlast a power cut is not known."""

    class Restless(Disk):
        def flush(self, folder):
            if folder == tmp_path:
                raise OSError(errno.EIO, "injected")
            super().flush(folder)

    checkpoints = opened(tmp_path, disk=Restless())
    for count in range(1, 9):
        checkpoints.save(state(count))
        assert "injected" in checkpoints.trouble
        assert len(numbers(tmp_path)) <= 4
    assert numbers(tmp_path)[-2:] == [7, 8]


class Recorder(Disk):
    """Notes every operation, and does it."""

    def __init__(self):
        self.done = []

    def __getattribute__(self, name):
        if name not in {"make", "write", "flush", "rename", "remove"}:
            return super().__getattribute__(name)

        def noted(*arguments):
            self.done.append((name, arguments))
            return getattr(Disk, name)(self, *arguments)

        return noted


def recorded(folder):
    """Return the operations that write a second and third checkpoint, and the folder before them."""
    checkpoints = opened(folder)
    checkpoints.save(state(1, 0.5))
    checkpoints.save(state(2, 0.4))
    checkpoints.close()
    before = folder.with_name("before")
    shutil.copytree(folder, before)
    disk = Recorder()
    checkpoints = opened(folder, disk=disk)
    disk.done.clear()
    checkpoints.save(state(3, 0.3))
    checkpoints.close()
    return disk.done, before


def replayed(operations, source, target, *, cut=None):
    """Do operations again in another folder; of the last, only the first `cut` bytes."""
    disk = Disk()
    for place, (name, arguments) in enumerate(operations):
        paths = [target / one.relative_to(source) if isinstance(one, Path) else one for one in arguments]
        if name == "write" and cut is not None and place == len(operations) - 1:
            paths[1] = paths[1][:cut]
        getattr(disk, name)(*paths)


def test_every_prefix_of_what_is_written_loads_as_the_old_or_the_new_state(tmp_path):
    operations, before = recorded(tmp_path / "runs")
    names = [name for name, _ in operations]
    assert names == ["make", "write", "write", "write", "flush", "rename", "flush", "remove"]
    for count in range(len(operations) + 1):
        cuts = [None]
        if count and operations[count - 1][0] == "write":
            length = len(operations[count - 1][1][1])
            cuts += [0, 1, length // 2, length - 1]
        for cut in cuts:
            folder = tmp_path / f"replay-{count}-{cut}"
            shutil.copytree(before, folder)
            replayed(operations[:count], tmp_path / "runs", folder, cut=cut)
            assert newest(folder) == (3 if count > names.index("rename") else 2)
            again = opened(folder)  # and the run goes on from there, over what the crash has left
            again.newest()
            again.save(state(4, 0.2))
            again.close()
            assert newest(folder) == 4
            assert not (folder / "partial-checkpoint").exists()


def test_a_removal_that_is_cut_short_leaves_what_is_skipped(tmp_path):
    checkpoints = opened(tmp_path)
    for number in (1, 2, 3):
        checkpoints.save(state(number))
    checkpoints.close()
    shutil.copytree(tmp_path / "checkpoint-000003", tmp_path / "checkpoint-000001")
    for name in ("arrays.safetensors", "manifest.json"):
        (tmp_path / "checkpoint-000001" / name).unlink()
    assert newest(tmp_path) == 3


class Failing(Disk):
    """Fails at one operation, with one error."""

    def __init__(self, place, number):
        self.place, self.number, self.count = place, number, -1

    def __getattribute__(self, name):
        if name not in {"make", "write", "flush", "rename", "remove"}:
            return super().__getattribute__(name)

        def failing(*arguments):
            self.count += 1
            if self.count == self.place:
                if name == "write":  # a full disk takes the first bytes
                    arguments[0].write_bytes(arguments[1][:100])
                raise OSError(self.number, "injected")
            return getattr(Disk, name)(self, *arguments)

        return failing


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("place", range(8))
def test_a_failure_at_any_operation_keeps_the_last_good_checkpoint_and_says_why_and_the_next_one_is_written(
    tmp_path, place, number
):
    folder = tmp_path / "runs"
    _, before = recorded(folder)
    disk = Failing(place=99, number=number)
    checkpoints = opened(before, disk=disk)
    disk.count, disk.place = -1, place
    checkpoints.save(state(3, 0.3))
    renamed, removing = place > 5, place == 7
    assert (checkpoints.trouble is None) == removing  # what cannot be removed is no trouble
    assert removing or "injected" in checkpoints.trouble
    assert not (before / "partial-checkpoint").exists()
    shutil.copytree(before, tmp_path / "ended here")
    assert newest(tmp_path / "ended here") == (3 if renamed else 2)
    checkpoints.save(state(4, 0.2))
    checkpoints.close()
    assert checkpoints.trouble is None
    assert newest(before) == 4
    assert numbers(before) == ([3, 4] if renamed else [2, 3])


@pytest.mark.parametrize("refusals", [2, 3])
@pytest.mark.parametrize("name", ["rename", "remove"])
def test_what_another_program_looks_at_for_a_moment_is_tried_again(tmp_path, monkeypatch, name, refusals):
    """As a virus scanner on Windows does with what was just written."""
    where = {"rename": (Path, "rename"), "remove": (shutil, "rmtree")}[name]
    whole, left = getattr(*where), [refusals]

    def refused(path, *target):
        if left[0]:
            left[0] -= 1
            raise PermissionError(errno.EACCES, "injected", str(path))
        whole(path, *target)

    checkpoints = opened(tmp_path)
    for count in (1, 2):
        checkpoints.save(state(count))
    with monkeypatch.context() as patched:
        patched.setattr(_checkpoint, "_WAITS", (0.0, 0.0))
        patched.setattr(*where, refused)
        checkpoints.save(state(3))
    assert left == [0]
    assert (checkpoints.trouble is None) == (name == "remove" or refusals == 2)
    assert numbers(tmp_path) == {("remove", 3): [1, 2, 3], ("rename", 3): [1, 2]}.get((name, refusals), [2, 3])
    checkpoints.close()
    assert newest(tmp_path) == (2 if (name, refusals) == ("rename", 3) else 3)


def test_a_state_is_noted_as_often_as_costs_two_percent_also_where_that_takes_less_than_windows_tells(monkeypatch):
    """10 ms once in half a second. `time.monotonic` moves in steps of 15.6 ms there."""
    clock = [100.0]
    clocks = {"perf_counter": lambda: clock[0], "monotonic": lambda: clock[0] // 0.015625 * 0.015625}
    monkeypatch.setattr(_keeper, "time", SimpleNamespace(**clocks))

    def capture():
        clock[0] += 0.01
        return state(2)

    keeper = Keeper(None, state(1))
    assert keeper.note_is_cheap
    keeper.note(capture)
    for passed, cheap in ((0.0, False), (0.49, False), (0.02, True)):
        clock[0] += passed
        assert keeper.note_is_cheap == cheap


# --- whose folder it is ------------------------------------------------------------------------------------------


def test_another_run_is_refused_with_what_differs(tmp_path):
    checkpoints = opened(tmp_path / "runs")
    checkpoints.save(state(1))
    checkpoints.close()
    other = opened(tmp_path / "runs", {"seed": 1, "data": "90 images", "epochs": 3})
    with pytest.raises(CheckpointError) as refusal:
        other.newest()
    assert str(refusal.value) == (
        f"{str(tmp_path / 'runs')!r} holds another run:\n- seed: 0 then, 1 now\n- epochs: None then, 3 now\n"
        "To go on with it, give what it was started with; to start anew, give another folder."
    )


def test_of_settings_within_settings_those_are_named_that_differ(tmp_path):
    layers = {f"{index} Dense": {"units": index, "use_bias": True} for index in range(20)}
    checkpoints = opened(tmp_path, {"layer": layers, "seed": 0})
    checkpoints.save(state(1))
    checkpoints.close()

    def lines(run):
        other = opened(tmp_path, run)
        with pytest.raises(CheckpointError) as refusal:
            other.newest()
        other.close()
        return str(refusal.value).splitlines()[1:-1]

    one = {**layers, "3 Dense": {"units": 4, "use_bias": True}}
    assert lines({"layer": one, "seed": 1}) == ["- layer 3 Dense units: 3 then, 4 now", "- seed: 0 then, 1 now"]
    many = lines({"layer": {}, "seed": 0})
    assert many[0] == "- layer 0 Dense: {'units': 0, 'use_bias': True} then, None now"
    assert many[12:] == ["- and 8 more"]


def test_of_settings_of_which_one_continues_the_other_the_end_is_shown(tmp_path):
    checkpoints = opened(tmp_path / "runs", {"data": "x" * 100})
    checkpoints.save(state(1))
    checkpoints.close()
    with pytest.raises(CheckpointError) as refusal:
        opened(tmp_path / "runs", {"data": "x" * 100 + " more"}).newest()
    assert str(refusal.value).splitlines()[1] == f"- data: ...{'x' * 20} then, ...{'x' * 20} more now"


def test_of_long_settings_the_place_is_shown_where_they_differ(tmp_path):
    settings = f"RandomAugment {{{'policy, ' * 30}"
    checkpoints = opened(tmp_path / "runs", {"augmentation": settings + '"seed": 0}'})
    checkpoints.save(state(1))
    checkpoints.close()
    other = opened(tmp_path / "runs", {"augmentation": settings + '"seed": 1}' + "x" * 90})
    with pytest.raises(CheckpointError) as refusal:
        other.newest()
    shown = str(refusal.value).splitlines()[1]
    same = '...cy, policy, "seed": '
    assert shown == f"- augmentation: {same}0}} then, {same}1}}{'x' * 58}... now"


def test_a_folder_serves_one_process_at_a_time(tmp_path):
    first = opened(tmp_path)
    with pytest.raises(CheckpointError) as refusal:
        opened(tmp_path)
    assert str(refusal.value) == (
        f"another process trains into {str(tmp_path)!r}. Wait for it, or give another folder."
    )
    first.close()
    opened(tmp_path).close()


def test_one_worker_writes_and_the_others_read(tmp_path):
    folder = tmp_path / "runs"
    reader = Checkpoints(folder, RUN, say=print, writes=False)
    assert reader.newest() is None
    reader.save(state(1))
    assert not folder.exists()
    writer = opened(folder)
    writer.save(state(2))
    assert reader.newest().facts["epoch"] == 2
    reader.save(state(3))
    assert numbers(folder) == [1]
    reader.close()
    writer.close()


def test_a_file_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(CheckpointError) as refusal:
        opened(tmp_path / "run")
    assert str(refusal.value) == (
        f"checkpoint={str(tmp_path / 'run')!r} is a file. Accepted: a folder, which is made where it does not exist."
    )


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot be written to: .* Give another folder\.$"):
        opened(tmp_path / "file" / "runs")
