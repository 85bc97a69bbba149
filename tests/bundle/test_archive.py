"""The outer layer: damage, other files, and archives that are sealed but not as imgcls writes them."""

import errno
import json
import os
import pickle
import zipfile

import forging
import h5py
import numpy as np
import pytest
from refusals import cause, refusal

from imgcls import bundle
from imgcls._version import __version__
from imgcls.errors import BundleError, ConfigurationError, TamperedBundleError

DAMAGED = "'a.imgcls' is not as it was saved: it is truncated, damaged or altered. Get the file again."
UNKNOWN = "Accepted: a bundle written by ImageClassifier.save. imgcls opens no file that can run code."


# --- damage ----------------------------------------------------------------------------------------------------------


def test_every_flipped_byte_is_found(tiny):
    for position in range(len(tiny)):
        refusal(bytes([*tiny[:position], tiny[position] ^ 1, *tiny[position + 1 :]]))
    assert refusal(tiny[:300] + b"x" + tiny[301:], TamperedBundleError) == DAMAGED


def test_every_seventh_truncation_is_found(tiny):
    for length in range(0, len(tiny), 7):
        refusal(tiny[:length])
    assert refusal(tiny[:-1], TamperedBundleError) == DAMAGED
    assert refusal(tiny + b"\n", TamperedBundleError) == DAMAGED


# --- other files -----------------------------------------------------------------------------------------------------


def hdf5():
    with h5py.File("model.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with open("model.h5", "rb") as file:  # noqa: PTH123 - one line
        return file.read()


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: forging.sealed(forging.zipped([("metadata.json", b"{}")])), "a .keras file or another zip archive"),
        (hdf5, "an HDF5 file"),
        (lambda: pickle.dumps({"a": 1}), "a pickle"),
        (lambda: b"hello", "no bundle"),
        (lambda: b"", "no bundle"),
    ],
    ids=["keras", "hdf5", "pickle", "text", "empty"],
)
def test_a_file_of_another_kind_is_refused_in_words(make, kind):
    assert refusal(make()) == f"'a.imgcls' is {kind}. {UNKNOWN}"


def test_what_is_no_file_is_refused_in_words(here):
    with pytest.raises(BundleError) as caught:
        bundle.load("no.imgcls")
    assert str(caught.value) == "bundle 'no.imgcls' does not exist. Check the path and the working directory."
    with pytest.raises(BundleError) as caught:
        bundle.load(".")
    assert str(caught.value) == (
        "'.' is a folder. Accepted: a bundle written by ImageClassifier.save. The model comes first."
    )
    with pytest.raises(BundleError) as caught:
        bundle.load("a" * 300)
    words = os.strerror(errno.ENAMETOOLONG)
    assert str(caught.value) == f"{'a' * 300!r} cannot be read: {words}. Check the path and its permissions."
    os.mkfifo("pipe")  # opening it would wait for a writer
    with pytest.raises(BundleError, match="does not exist"):
        bundle.load("pipe")


def test_the_environment_says_how_large_a_bundle_may_be(tiny, monkeypatch):
    monkeypatch.setenv("IMGCLS_MAX_BUNDLE_BYTES", "1000")
    assert refusal(tiny) == (
        f"'a.imgcls' has {len(tiny):,} bytes, and at most 1,000 are read. If you trust it, let the environment "
        "variable IMGCLS_MAX_BUNDLE_BYTES allow more (up to 4,294,967,295)."
    )
    monkeypatch.setenv("IMGCLS_MAX_BUNDLE_BYTES", "1 GB")
    with pytest.raises(ConfigurationError) as caught:
        bundle.load("a.imgcls")
    assert str(caught.value) == (
        "the environment variable IMGCLS_MAX_BUNDLE_BYTES is '1 GB'. Accepted: a whole number from 1, such as "
        "4294967295. Correct or unset it."
    )


# --- the archive -----------------------------------------------------------------------------------------------------

ORDER = "manifest.json, classifier.json, [card.md], [keras.json], weights.safetensors, in this order"


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda members: members | {"extra.py": b"x"}, "manifest.json, classifier.json, weights.safetensors, extra.py"),
        (lambda members: dict(list(members.items())[:2]), "manifest.json, classifier.json"),
        (
            lambda members: {
                name: members[name] for name in ("manifest.json", "weights.safetensors", "classifier.json")
            },
            "manifest.json, weights.safetensors, classifier.json",
        ),
    ],
    ids=["one more", "one less", "another order"],
)
def test_other_members_are_refused_in_words(tiny, change, names):
    members = change(forging.members_of(tiny))
    assert cause(forging.forged(members)) == f"its members are {names}; accepted: {ORDER}"


@pytest.mark.parametrize(
    "options",
    [
        {"compress_type": zipfile.ZIP_DEFLATED},
        {"date_time": (1999, 1, 1, 0, 0, 0)},
        {"extra": b"\1\0\2\0ab"},
        {"extract_version": 63},
    ],
    ids=["compressed", "dated", "extra field", "newer zip"],
)
def test_records_of_another_form_are_refused_in_words(tiny, options):
    data = forging.sealed(forging.zipped(forging.members_of(tiny).items(), **options))
    assert cause(data) == "the record of its member 1, 'manifest.json', is not one that imgcls writes"


@pytest.mark.parametrize("options", [{"comment": b"a"}, {"external_attr": 0o120777 << 16}, {"create_system": 0}])
def test_a_directory_that_says_otherwise_is_refused_in_words(tiny, options):
    data = forging.sealed(forging.zipped(forging.members_of(tiny).items(), **options))
    assert cause(data) == "its zip directory does not say what its members say"


@pytest.mark.parametrize("record", [b"PK\3\4", b"PK\1\2", b"PK\5\6"], ids=["header", "directory", "last"])
def test_no_byte_of_a_record_can_be_another(tiny, record):
    """Flags of encryption, sizes, names, comments, disks: whatever the field, there is one right value."""
    place, size = tiny.rindex(record), {b"PK\3\4": 30, b"PK\1\2": 46, b"PK\5\6": 22}[record]
    for position in range(place, place + size):
        altered = bytearray(tiny)
        altered[position] ^= 1
        assert cause(forging.sealed(bytes(altered)))


@pytest.mark.parametrize("number", [2, 0, "1", None, True, 1.0])
def test_another_format_is_refused_in_words(tiny, number):
    """By the version that wrote it, whatever else is new in the file."""
    members = forging.members_of(tiny) | {"manifest.json": json.dumps({"format": number}).encode()}
    for later in (members, members | {"more.json": b"{}"}, dict(list(members.items())[:2])):
        assert refusal(forging.sealed(forging.zipped(later.items()))) == (
            f"'a.imgcls' has bundle format {str(number)!r} and this imgcls reads format 1. It says that imgcls 0.1.0 "
            f"wrote it, and this is {__version__}: install that one, or a newer one."
        )
    for text in (b"{", b"{}", b'{"imgcls": 5}', json.dumps({"imgcls": __version__}).encode()):
        assert refusal(forging.sealed(forging.zipped((members | {"classifier.json": text}).items()))) == (
            f"'a.imgcls' has bundle format {str(number)!r} and this imgcls reads format 1. "
            "Install the imgcls that wrote it, or a newer one."
        )


@pytest.mark.parametrize("change", [{"sha256": None}, {"sha256": {}}, {"more": 1}])
def test_parts_that_the_manifest_does_not_list_are_refused_in_words(tiny, change):
    members = forging.members_of(tiny)
    manifest = json.loads(members["manifest.json"]) | change
    data = forging.sealed(forging.zipped((members | {"manifest.json": json.dumps(manifest).encode()}).items()))
    assert refusal(data, TamperedBundleError) == (
        "the parts of 'a.imgcls' are not those that its manifest lists. Get the file again."
    )
