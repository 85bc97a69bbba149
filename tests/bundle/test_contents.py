"""What goes in comes out, in the bytes that other programs write, and whole or not at all."""

import errno
import json
import os
import stat
import subprocess
import sys

import forging
import numpy as np
import pytest
import safetensors.numpy

from imgcls import bundle
from imgcls.errors import BundleError

# --- round trip ------------------------------------------------------------------------------------------------------


def test_what_goes_in_comes_out(here):
    config = {"class_name": "Functional", "config": {"layers": []}}
    own = forging.description(architecture=None, parameters={}, card="# Card\n\nWords: Kätzchen.", keras=config)
    more = [*forging.weights(), np.ones((2, 2), np.float16), np.arange(6, dtype=np.int64).reshape(2, 3).T]
    path = bundle.save(here / "a.imgcls", own, more, forging.named())
    contents = bundle.load(str(path))
    assert contents.description == own
    assert len(contents.weights) == len(more)
    for array, truth in [
        *zip(contents.weights, more, strict=True),
        *((contents.named[n], a) for n, a in forging.named().items()),
    ]:
        assert (array.dtype, array.shape) == (truth.dtype, truth.shape)
        np.testing.assert_array_equal(array, truth)
    assert set(contents.named) == set(forging.named())
    assert all(array.flags.aligned and not array.flags.writeable for array in contents.weights)


def test_more_weights_than_four_digits_keep_their_order():
    many = [np.array([index], np.int32) for index in range(10_050)]
    weights = bundle.load(bundle.save("a.imgcls", forging.description(), many, forging.GOLDEN)).weights
    assert [int(array[0]) for array in weights] == list(range(10_050))


def test_other_programs_write_and_read_the_same_bytes(full, here):
    """Python's zipfile and the safetensors library are the independent truth: byte for byte."""
    assert bundle.save("b.imgcls", *bundle.load("a.imgcls")).read_bytes() == full
    members = forging.members_of(full)
    assert list(members) == ["manifest.json", "classifier.json", "card.md", "weights.safetensors"]
    assert forging.forged(members) == full
    assert safetensors.numpy.save(forging.arrays_of(full)) == members["weights.safetensors"]
    assert json.loads(members["classifier.json"]) == forging.description()
    assert sorted(os.listdir(here)) == ["a.imgcls", "b.imgcls"]  # noqa: PTH208 - names are wanted


def test_arrays_that_another_program_did_not_align_are_read(tiny):
    text = forging.members_of(tiny)["classifier.json"].rstrip() + b" "
    shifted = [forging.changed(tiny, classifier_json=text + b" " * blanks) for blanks in range(8)]
    for data in shifted:
        with open("a.imgcls", "wb") as file:  # noqa: PTH123 - short
            file.write(data)
        for array, truth in zip(bundle.load("a.imgcls").weights, forging.weights(), strict=True):
            np.testing.assert_array_equal(array, truth)


def test_opening_starts_neither_keras_nor_scikit_learn(tiny):
    heavy = "{'keras', 'tensorflow', 'sklearn', 'matplotlib', 'pandas', 'safetensors'}"
    code = f"import sys; from imgcls import bundle; bundle.load('a.imgcls'); print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_link_to_a_bundle_is_followed(tiny, here):
    (here / "link").symlink_to("a.imgcls")
    assert bundle.load("link").description == forging.description()


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()], ids=["full", "Ctrl-C"])
def test_an_interrupted_write_leaves_the_old_file_whole(tiny, here, monkeypatch, step, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(*((os, "fsync", fail) if step == "fsync" else (type(here), "replace", fail)))
    with pytest.raises((BundleError, KeyboardInterrupt)) as caught:
        bundle.save("a.imgcls", forging.description(license=None), forging.weights(), forging.GOLDEN)
    if isinstance(error, OSError):
        assert str(caught.value) == (
            "'a.imgcls' cannot be written: No space left on device. Free the place, or save somewhere else."
        )
    assert (here / "a.imgcls").read_bytes() == tiny
    assert [path.name for path in here.iterdir()] == ["a.imgcls"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
@pytest.mark.parametrize(
    ("before", "umask", "after"), [(None, 0o077, 0o600), (None, 0o002, 0o664), (0o600, 0o022, 0o600), (0o640, 0, 0o640)]
)
def test_who_may_read_a_bundle_is_as_before_or_as_the_umask_says(tiny, here, before, umask, after):
    path = here / "a.imgcls"
    path.unlink() if before is None else path.chmod(before)
    usual = os.umask(umask)
    try:
        bundle.save(path, forging.description(license="MIT"), forging.weights(), forging.GOLDEN)
    finally:
        os.umask(usual)
    assert bundle.load(path).description["license"] == "MIT"
    assert stat.S_IMODE(path.stat().st_mode) == after


def test_two_that_write_the_same_file_at_once_spoil_neither(here, monkeypatch):
    """Two threads of one process, or two containers on one volume, in which both are process 1."""
    flush = os.fsync

    def meanwhile(descriptor):
        monkeypatch.setattr(os, "fsync", flush)
        bundle.save("a.imgcls", forging.description(license="MIT"), forging.weights(), forging.GOLDEN)
        assert bundle.load("a.imgcls").description["license"] == "MIT"
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    bundle.save("a.imgcls", forging.description(license="Apache-2.0"), forging.weights(), forging.GOLDEN)
    assert bundle.load("a.imgcls").description["license"] == "Apache-2.0"  # the last that is renamed stays
    assert [path.name for path in here.iterdir()] == ["a.imgcls"]


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        ("", {}, "'.' is a folder. Name a file, such as 'model.imgcls'."),
        ("..", {}, "'..' is a folder. Name a file, such as 'model.imgcls'."),
        ("no/a.imgcls", {}, "folder 'no' does not exist. Make it, or save somewhere else."),
        ("b.imgcls", {"license": float("nan")}, "the classifier cannot be saved: Out of range float values are not JSON compliant"),
        ("b.imgcls", {"license": {1, 2}}, "the classifier cannot be saved: Object of type set is not JSON serializable."),
        ("b.imgcls", {"license": 3}, "the classifier cannot be saved: license is 3; accepted: null, or text of at most 100,000 characters without control characters."),
        ("b.imgcls", {"card": "\x1b"}, "the classifier cannot be saved: its model card holds control characters."),
    ],
)  # a row a case # fmt: skip
def test_what_cannot_be_written_is_refused_in_words(here, path, change, words):
    with pytest.raises(BundleError) as caught:
        bundle.save(path, forging.description(**change), forging.weights(), forging.GOLDEN)
    assert str(caught.value).startswith(words)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("path", [f"{'a' * 245}.imgcls", f"{'a' * 300}.imgcls", f"{'a' * 300}/b.imgcls"])
def test_a_name_that_is_too_long_is_refused_in_words(here, path):
    """Even where only the temporary file beside it has one that is."""
    with pytest.raises(BundleError) as caught:
        bundle.save(path, forging.description(), forging.weights(), forging.GOLDEN)
    words = os.strerror(errno.ENAMETOOLONG)
    assert str(caught.value) == f"{path!r} cannot be written: {words}. Free the place, or save somewhere else."
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.array([np.nan], np.float32), "the classifier cannot be saved: the weight '0000' holds NaN or infinity; accepted: finite numbers."),
        (np.zeros((0, 3), np.float32), "the classifier cannot be saved: the array '0000' is float32 (0, 3). Accepted: at least one number, of dtype uint64, "),
        (np.zeros(2, np.complex64), "the classifier cannot be saved: the weight '0000' is complex64; accepted: float32, int32."),
    ],
)  # a row a case # fmt: skip
def test_weights_that_cannot_be_written_are_refused_in_words(here, weight, words):
    with pytest.raises(BundleError) as caught:
        bundle.save("b.imgcls", forging.description(), [weight], forging.GOLDEN)
    assert str(caught.value).startswith(words)


def test_more_than_an_archive_holds_is_refused_in_words(here, monkeypatch):
    monkeypatch.setattr("imgcls.bundle._archive.MOST_BYTES", 2000)
    with pytest.raises(BundleError, match=r"^a bundle holds at most 2,000 bytes, and this one would have 2,\d+\.$"):
        bundle.save("b.imgcls", forging.description(), forging.weights(), forging.GOLDEN)
    assert list(here.iterdir()) == []


def test_writing_and_reading_take_little_more_memory_than_the_weights(here):
    """In a process of its own: 200 MB of weights, at most once in memory beside themselves."""
    code = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import forging, numpy as np
from imgcls import bundle
def peak():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))) / 1024
weights = [np.zeros((50, 1_000_000), np.float32)]
weights[0][:] = 1
golden = {name: array for name, array in forging.named().items() if name.startswith("golden/")}
before = peak()
bundle.save("a.imgcls", forging.description(), weights, golden)
saved = peak() - before
del weights
contents = bundle.load("a.imgcls")
assert contents.weights[0][7, 7] == 1
print(saved, peak() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, forging.CORPUS.parent], capture_output=True, text=True, check=True
    )
    saved, loaded = map(float, done.stdout.split())
    assert saved < 20
    assert loaded < 40
