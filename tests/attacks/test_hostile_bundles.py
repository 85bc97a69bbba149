"""Hostile bundles: refused with BundleError, under a limit of memory and a hook on whatever a process can do.

A child process loads a good bundle a few times, so that TensorFlow has started and every import is done. Then its memory
is limited to what it has and `ROOM` more, and from there on, while `ImageClassifier.load` runs, an audit hook lets
nothing through but three events: `id()`, a guarded attribute, and opening the one file for reading. Whatever else
happens — an import, `exec`, `compile`, a socket, a process, another file, a pickle, a folder — is counted and fails.

What loads is counted apart: a bit that is flipped in a weight, or in the text of a reason, and sealed again with right
hashes, is another good bundle. It must then be a classifier that answers.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "attacks")]

import forging  # noqa: E402 - found by the line above, in the child too
import hostile  # noqa: E402 - the same
import hostile_archives  # noqa: E402, F401 - the same; it fills the dictionary
import hostile_contents  # noqa: E402, F401 - the same

GOOD = max(forging.CORPUS.glob("*.imgcls"))
# Of a good load, beside opening its file: names of objects, attributes by name, and where in our code a graph was drawn.
HARMLESS = frozenset({"builtins.id", "object.__getattr__", "sys._getframe"})
ROOM = 400 * 2**20  # bytes of memory beside those that a good load has taken
SECONDS = 10.0  # of the processor, for one bundle


class Watch:
    """An audit hook that can be switched on. It refuses what it does not know, and keeps count."""

    def __init__(self, allowed):
        self.on, self.tripped, self._allowed = False, [], os.fspath(allowed)
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        if not self.on or event in HARMLESS:
            return
        if (
            event == "open"
            and arguments[0] == self._allowed
            and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        ):
            return
        self.on = False  # whoever words the next line may need more
        self.tripped.append(f"{event} {str(arguments)[:200]}")
        self.on = True
        message = f"the audit hook refuses {event}"
        raise PermissionError(message)


def bundles_of(kind, good, count):
    """Give pairs of a name and hostile bytes; among the named ones, the good one, which must load."""
    if kind == "named":
        yield "the good one", good
        yield from ((name, make(good)) for name, make in hostile.HOSTILE.items())
        return
    many = {
        "truncated": lambda: hostile.truncated(good, count),
        "flipped": lambda: hostile.flipped(good, count, seed=count),
        "resealed": lambda: hostile.flipped_and_resealed(good, count, seed=count),
    }
    yield from ((f"{kind} {index}", data) for index, data in enumerate(many[kind]()))


def attack(*tasks):
    """Load hostile bundles; the child's whole work. What is printed last is its reports, one a task."""
    import resource

    from imgcls import ImageClassifier

    path, good = Path("mutant.imgcls"), GOOD.read_bytes()
    path.write_bytes(good)
    for _ in range(3):
        assert ImageClassifier.load(path).verify()
    watch = Watch(path)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))
    reports = []
    for task in tasks:
        kind, _, count = task.partition(":")
        report = {"refused": {}, "loaded": [], "wrong": [], "slowest": 0.0}
        for name, data in bundles_of(kind, good, int(count)):
            path.write_bytes(data)
            load(path, name, watch, report)
        reports.append(report | {"tripped": watch.tripped})
    sys.stdout.write(json.dumps(reports))


def load(path, name, watch, report):
    """Load one bundle under the watch, and note what becomes of it."""
    import numpy as np

    from imgcls import BundleError, ImageClassifier

    start, loaded = time.process_time(), None
    try:
        watch.on = True
        loaded = ImageClassifier.load(path)
    except BundleError as error:
        report["refused"][name] = str(error)
    except BaseException as error:  # noqa: BLE001 - whatever comes is a finding
        report["wrong"].append(f"{name}: {type(error).__name__}: {error}")
    finally:
        watch.on = False
    report["slowest"] = max(report["slowest"], time.process_time() - start)
    if loaded is None:
        return
    report["loaded"].append(name)
    images = loaded._kept.golden.images
    answers = loaded.predict_proba(images)
    if answers.shape != (len(images), 10) or answers.dtype != np.float32:
        report["wrong"].append(f"{name}: loaded, and does not answer")


def in_a_child(tmp_path, *tasks):
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, __file__, *tasks],
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        timeout=3600,
        check=False,
    )
    kept = f"the last one is {tmp_path / 'mutant.imgcls'}"
    assert done.returncode == 0, f"{kept}\n{done.stderr[-3000:].decode(errors='replace')}"
    reports = json.loads(done.stdout)
    for report in reports:
        assert report["wrong"] == []
        assert report["tripped"] == []
        assert report["slowest"] < SECONDS
    return reports


@pytest.mark.slow
def test_hostile_bundles_are_refused_for_what_they_are_and_flipped_bits_too(tmp_path):
    kinds = [kind for each in hostile.KINDS.values() for kind in each]
    assert len(kinds) == len(set(kinds)) >= 40
    named, resealed = in_a_child(tmp_path, "named:0", "resealed:150")
    assert named["loaded"] == ["the good one"]
    assert set(named["refused"]) == set(hostile.HOSTILE)
    damaged = {name for name, words in named["refused"].items() if "is not as it was saved" in words}
    assert damaged == {"another_bundle_behind_it", "another_file_3"}  # all others have a right seal
    for name, words in named["refused"].items():
        if re.sub(r"_\d+$", "", name) in hostile.KINDS["hostile_contents"]:
            assert re.search("sealed but not a bundle|does not describe a class|an architecture of your own", words), (
                name
            )
    assert len(resealed["refused"]) > 75
    assert resealed["loaded"]


@pytest.mark.slow
def test_truncated_at_every_64th_byte(tmp_path):
    (report,) = in_a_child(tmp_path, "truncated:64")
    assert report["loaded"] == []
    good = GOOD.read_bytes()
    cuts = len(range(0, len(good), 64)), len(range(0, len(forging.members_of(good)["weights.safetensors"]), 64))
    assert len(report["refused"]) == 2 * cuts[0] + cuts[1]


@pytest.mark.slow
def test_thousands_of_flipped_bits(tmp_path):
    (report,) = in_a_child(tmp_path, "flipped:5000")
    assert report["loaded"] == []
    assert len(report["refused"]) == 5000


@pytest.mark.slow
def test_bits_flipped_and_sealed_again(tmp_path):
    """What still loads is compiled and has answered once, which takes a third of a second each."""
    (report,) = in_a_child(tmp_path, "resealed:600")
    assert len(report["refused"]) > 300
    assert len(report["loaded"]) > 12


def test_the_hook_sees_what_it_should(tmp_path):
    """The watch itself is tested: each of these is refused while it is on, and counted."""
    code = """
import os, socket, subprocess, sys
sys.path.insert(0, sys.argv[1])
from test_hostile_bundles import Watch
watch, caught = Watch("only"), 0
open("only", "w").close()
deeds = [lambda: exec("1"), lambda: compile("1", "", "eval"), lambda: __import__("wave"), lambda: open("/etc/passwd"),
         lambda: socket.socket(), lambda: subprocess.Popen(["true"]), lambda: open("only", "w"), lambda: os.listdir("."),
         lambda: os.system("true"), lambda: os.remove("only")]
for deed in deeds:
    watch.on = True
    try:
        deed()
    except PermissionError:
        caught += 1
    watch.on = False
watch.on = True
open("only").close()
watch.on = False
assert caught == len(watch.tripped) == len(deeds), watch.tripped
"""
    subprocess.run([sys.executable, "-c", code, Path(__file__).parent], cwd=tmp_path, check=True)


# --- what is no file -------------------------------------------------------------------------------------------------


def test_special_files_and_holes_are_refused(tmp_path, monkeypatch):
    from imgcls import BundleError, bundle

    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("nowhere").symlink_to("gone")
    Path("circle").symlink_to("circle")
    Path("zero").symlink_to("/dev/zero")
    with open("hole", "wb") as file:  # noqa: PTH123 - 5 GiB that take no disk
        file.write(GOOD.read_bytes()[:100])
        file.truncate(5 * 2**30)
    for name in ("pipe", "nowhere", "circle", "zero", "hole", "/dev/zero", "."):
        with pytest.raises(BundleError):
            bundle.load(name)


if __name__ == "__main__":
    attack(*sys.argv[1:])
