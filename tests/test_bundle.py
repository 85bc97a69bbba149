"""The sealed file: what goes in comes out, and nothing else is opened."""

import io
import json
import os
import pickle
import random
import re
import struct
import zipfile

import h5py
import numpy as np
import pytest

from imgcls import bundle
from imgcls.errors import BundleError, TamperedBundleError

DESCRIPTION = {"classes": ["Kätzchen", "dog"], "size": [2, 3], "deep": {"a": None, "b": [1.5, True]}}
ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.array(3.0, np.float32),
    np.arange(6, dtype=np.int64).reshape(2, 3).T,
    np.zeros((0, 4), np.uint8),
    np.array([np.nan, np.inf], np.float16),
]
MEMBERS = ("manifest.json", "classifier.json", "weights.safetensors")
DAMAGED = "'a.imgcls' is not as it was saved: it is truncated, damaged or altered. Get the file again."
UNKNOWN = "Accepted: a bundle written by ImageClassifier.save. imgcls opens no file that can run code."


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tiny(here):
    return bundle.save("a.imgcls", {"a": 1}, [np.arange(3, dtype=np.float32)]).read_bytes()


def refusal(data, kind=BundleError):
    """Return the words with which these bytes are refused."""
    with open("a.imgcls", "wb") as file:  # noqa: PTH123 - thousands of times
        file.write(data)
    with pytest.raises(kind) as caught:
        bundle.load("a.imgcls")
    return str(caught.value)


def sealed(members, **options):
    """Return a zip with a right seal and any members: what an attacker can make."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name) if not options else name, data)
        archive.comment = b"0" * 64
    return reseal(buffer.getvalue())


def reseal(data):
    body = data[:-64]
    return body + bundle._sha256(body).encode()


def parts(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forged(data, **changes):
    """Return a bundle with other members, a manifest that fits them and a right seal."""
    members = parts(data) | {name.replace("_", "."): value for name, value in changes.items()}
    if "manifest_json" not in changes:
        hashes = {name: bundle._sha256(members[name]) for name in MEMBERS[1:]}
        members["manifest.json"] = json.dumps({"format": 1, "sha256": hashes}).encode()
    return sealed([(name, members[name]) for name in MEMBERS])


# --- round trip ------------------------------------------------------------------------------------------------------


def test_what_goes_in_comes_out(here):
    path = bundle.save(here / "a.imgcls", DESCRIPTION, ARRAYS)
    description, arrays, named = bundle.load(str(path))
    assert named == {}
    assert description == DESCRIPTION
    assert len(arrays) == len(ARRAYS)
    for array, truth in zip(arrays, ARRAYS, strict=True):
        assert (array.dtype, array.shape) == (truth.dtype, truth.shape)
        np.testing.assert_array_equal(array, truth)


def test_more_arrays_than_four_digits_keep_their_order():
    many = [np.array([index], np.int32) for index in range(10_050)]
    arrays = bundle.load(bundle.save("a.imgcls", {}, many))[1]
    assert [int(array[0]) for array in arrays] == list(range(10_050))


def test_the_same_content_gives_the_same_bytes_and_any_unzip_reads_it(here):
    first = bundle.save("a.imgcls", DESCRIPTION, ARRAYS).read_bytes()
    assert bundle.save("b.imgcls", DESCRIPTION, ARRAYS).read_bytes() == first
    with zipfile.ZipFile("a.imgcls") as archive:
        assert tuple(archive.namelist()) == MEMBERS
        assert archive.testzip() is None
        assert json.loads(archive.read("classifier.json")) == DESCRIPTION
    assert sorted(os.listdir(here)) == ["a.imgcls", "b.imgcls"]  # noqa: PTH208 - names are wanted


# --- damage ----------------------------------------------------------------------------------------------------------


def test_every_flipped_byte_is_found(tiny):
    for position in range(len(tiny)):
        refusal(bytes([*tiny[:position], tiny[position] ^ 1, *tiny[position + 1 :]]))
    assert refusal(tiny[:300] + b"x" + tiny[301:], TamperedBundleError) == DAMAGED


def test_named_arrays_come_back_and_strange_names_are_refused(here):
    known = np.arange(6, dtype=np.float16).reshape(2, 3)
    path = bundle.save(here / "a.imgcls", DESCRIPTION, ARRAYS, {"familiarity/known": known})
    _, arrays, named = bundle.load(path)
    assert len(arrays) == len(ARRAYS)
    assert list(named) == ["familiarity/known"]
    np.testing.assert_array_equal(named["familiarity/known"], known)
    with pytest.raises(BundleError) as caught:
        bundle.save(here / "b.imgcls", DESCRIPTION, ARRAYS, {"0001": known})
    assert str(caught.value) == (
        "an array is named '0001'. Accepted: two words of small letters, such as 'held_out/labels'."
    )


def test_every_seventh_truncation_is_found(tiny):
    for length in range(0, len(tiny), 7):
        refusal(tiny[:length])
    assert refusal(tiny[:-1], TamperedBundleError) == DAMAGED
    assert refusal(tiny + b"\n", TamperedBundleError) == DAMAGED


def test_damage_that_is_sealed_again_is_refused_or_harmless(tiny):
    """An attacker can seal: after the seal, too, nothing but a BundleError comes out, or what was in the file."""
    dice = random.Random(0)
    truth = bundle.load("a.imgcls")
    outcomes = {"refused": 0, "harmless": 0}
    for position in range(len(tiny) - 64):
        altered = bytearray(tiny)
        altered[position] ^= dice.randrange(1, 256)
        with open("a.imgcls", "wb") as file:  # noqa: PTH123 - thousands of times
            file.write(reseal(bytes(altered)))
        try:
            description, arrays, _ = bundle.load("a.imgcls")
        except BundleError:
            outcomes["refused"] += 1
        else:
            outcomes["harmless"] += 1
            assert description == truth[0]
            np.testing.assert_array_equal(arrays[0], truth[1][0])
    assert outcomes["refused"] >= sum(map(len, parts(tiny).values()))  # the rest is dates and the like
    assert outcomes["harmless"] > 0


# --- other files -----------------------------------------------------------------------------------------------------


def hdf5():
    with h5py.File("model.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with open("model.h5", "rb") as file:  # noqa: PTH123 - one line
        return file.read()


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: sealed([("metadata.json", b"{}"), ("config.json", b"{}")]), "a .keras file or another zip archive"),
        (hdf5, "an HDF5 file"),
        (lambda: pickle.dumps({"a": 1}), "a pickle"),
        (lambda: b"hello", "no bundle"),
        (lambda: b"", "no bundle"),
    ],
    ids=["keras", "hdf5", "pickle", "text", "empty"],
)
def test_a_file_of_another_kind_is_refused_in_words(make, kind):
    assert refusal(make()) == f"'a.imgcls' is {kind}. {UNKNOWN}"


def test_a_missing_bundle_is_refused_in_words():
    with pytest.raises(BundleError) as caught:
        bundle.load("no.imgcls")
    assert str(caught.value) == "bundle 'no.imgcls' does not exist. Check the path and the working directory."


def test_a_folder_is_no_bundle():
    with pytest.raises(BundleError) as caught:
        bundle.load(".")
    assert str(caught.value) == (
        "'.' is a folder. Accepted: a bundle written by ImageClassifier.save. The model comes first."
    )


# --- forged bundles with a right seal --------------------------------------------------------------------------------

ODD = "'a.imgcls' is sealed but not a bundle: {}. Get the file from where it was saved."
ODD_MEMBERS = ODD.format(
    "its members are not manifest.json, classifier.json, weights.safetensors, stored without compression"
)


@pytest.mark.parametrize(
    "forge",
    [
        lambda tiny: sealed([*parts(tiny).items(), ("extra.py", b"x")]),
        lambda tiny: sealed(list(parts(tiny).items())[:2]),
        lambda tiny: sealed(list(parts(tiny).items())[i] for i in (0, 2, 1)),
        lambda tiny: sealed([*list(parts(tiny).items())[:2], ("../weights.safetensors", b"")]),
        lambda tiny: sealed(parts(tiny).items(), compression=zipfile.ZIP_DEFLATED),
    ],
    ids=["one more", "one less", "another order", "a path that climbs", "compressed"],
)
def test_other_members_are_refused_in_words(tiny, forge):
    assert refusal(forge(tiny)) == ODD_MEMBERS


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (b'{"a": 1, "a": 2}', "JSON names a key twice"),
        (b'{"a": {"b": 1, "b": 2}}', "JSON names a key twice"),
        (b'{"a": NaN}', "JSON holds NaN"),
        (b'{"a": -Infinity}', "JSON holds -Infinity"),
        (b"[1]", "JSON holds no object"),
        (b'{"a": }', "Expecting value: line 1 column 7 (char 6)"),
    ],
)
@pytest.mark.parametrize("member", ["classifier_json", "manifest_json"])
def test_json_that_is_not_strict_is_refused_in_words(tiny, member, text, cause):
    assert refusal(forged(tiny, **{member: text})) == ODD.format(cause)


@pytest.mark.parametrize(
    "text", [b"\xff\xfe", b'{"a":' * 100_000, b'{"a": "\xff"}'], ids=["bytes", "deep", "not UTF-8"]
)
def test_json_that_is_no_text_or_nests_without_end_is_refused(tiny, text):
    assert refusal(forged(tiny, classifier_json=text)).startswith("'a.imgcls' is sealed but not a bundle: ")


@pytest.mark.parametrize("number", [2, 0, "1", None])
def test_another_format_is_refused_in_words(tiny, number):
    assert refusal(forged(tiny, manifest_json=json.dumps({"format": number}).encode())) == (
        f"'a.imgcls' has bundle format {number!r} and this imgcls reads format 1. "
        "Install the imgcls that wrote it, or a newer one."
    )


@pytest.mark.parametrize("hashes", [None, {}, {"classifier.json": "0", "weights.safetensors": "0"}])
def test_parts_that_the_manifest_does_not_list_are_refused_in_words(tiny, hashes):
    manifest = json.dumps({"format": 1, "sha256": hashes}).encode()
    assert refusal(forged(tiny, manifest_json=manifest), TamperedBundleError) == (
        "the parts of 'a.imgcls' are not those that its manifest lists. Get the file again."
    )


def tensors(**entries):
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * 8


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        struct.pack("<Q", 2**60),
        tensors(other={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}),
        tensors(**{"0000": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 8]}}),
        tensors(**{"0000": {"dtype": "F32", "shape": [2], "data_offsets": [0, 800]}}),
        tensors(**{"0000": {"dtype": "X9", "shape": [2], "data_offsets": [0, 8]}}),
    ],
    ids=["empty", "endless header", "another name", "huge shape", "outside the file", "unknown dtype"],
)
def test_weights_that_are_none_are_refused(tiny, weights):
    data = parts(tiny) | {"weights.safetensors": weights}
    hashes = {name: bundle._sha256(data[name]) for name in MEMBERS[1:]}
    manifest = json.dumps({"format": 1, "sha256": hashes}).encode()
    forged_bundle = sealed([("manifest.json", manifest), *((name, data[name]) for name in MEMBERS[1:])])
    assert refusal(forged_bundle).startswith("'a.imgcls' is sealed but not a bundle: ")


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()], ids=["full", "Ctrl-C"])
def test_an_interrupted_write_leaves_the_old_file_whole(tiny, here, monkeypatch, step, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(*((os, "fsync", fail) if step == "fsync" else (type(here), "replace", fail)))
    with pytest.raises((BundleError, KeyboardInterrupt)) as caught:
        bundle.save("a.imgcls", {"a": 2}, [])
    if isinstance(error, OSError):
        assert str(caught.value) == (
            "'a.imgcls' cannot be written: No space left on device. Free the place, or save somewhere else."
        )
    assert (here / "a.imgcls").read_bytes() == tiny
    assert [path.name for path in here.iterdir()] == ["a.imgcls"]


@pytest.mark.parametrize(
    ("path", "description", "words"),
    [
        ("no/a.imgcls", {}, r"folder 'no' does not exist\. Make it, or save somewhere else\."),
        ("b.imgcls", {"a": float("nan")}, r"the description cannot be written as strict JSON: Out of range float .*\."),
        ("b.imgcls", {"a": {1, 2}}, r"the description cannot be written as strict JSON: Object of type set is .*\."),
    ],
)
def test_what_cannot_be_written_is_refused_in_words(here, path, description, words):
    with pytest.raises(BundleError) as caught:
        bundle.save(path, description, [])
    assert re.fullmatch(words, str(caught.value))
    assert list(here.iterdir()) == []
