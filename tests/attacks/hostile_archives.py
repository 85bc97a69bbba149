"""Hostile archives and manifests: names, links, bombs, records that contradict each other, other files."""

import pickle
import struct
import zipfile

import forging
from hostile import hostile

ENTRY, HEADER, LAST = b"PK\1\2", b"PK\3\4", b"PK\5\6"


def with_members(pairs, **options):
    return forging.sealed(forging.zipped(pairs, **options))


def spliced(data, place, replacement):
    return forging.sealed(data[:place] + replacement + data[place + len(replacement) :])


# --- members ---------------------------------------------------------------------------------------------------------


@hostile("../../evil.json", "/etc/passwd", "C:\\evil", "Classifier.json", "classifier.json/", "clässifier.json", "")
def a_member_named_otherwise(good, name):
    members = forging.members_of(good)
    return with_members((name if one == "classifier.json" else one, data) for one, data in members.items())


@hostile("code.py", "../evil", "/etc/evil", "keras.json.py", "model.pkl", "weights.h5", "a" * 300)
def one_member_more(good, name):
    return forging.forged({**forging.members_of(good), name: b"import os; os.system('true')"})


@hostile("classifier.json", "weights.safetensors")
def one_member_less(good, name):
    return forging.forged({one: data for one, data in forging.members_of(good).items() if one != name})


@hostile()
def a_name_with_a_nul(good):
    return forging.sealed(good.replace(b"classifier.json", b"classifier.js\0n"))


@hostile()
def a_link_in_the_archive(good):
    return with_members(forging.members_of(good).items(), external_attr=0o120777 << 16)


@hostile()
def a_member_twice(good):
    return with_members([*forging.members_of(good).items(), ("classifier.json", b"{}")])


@hostile()
def a_bomb(good):
    """30 MB of blanks, in 30 KB, in the place of the description."""
    members = {**forging.members_of(good), "classifier.json": b" " * 30_000_000}
    return with_members(members.items(), compress_type=zipfile.ZIP_DEFLATED)


@hostile()
def a_bomb_within(good):
    inner = forging.zipped([("weights.safetensors", b"\0" * 10**7)], compress_type=zipfile.ZIP_DEFLATED)
    return forging.changed(good, weights_safetensors=inner)


# --- records ---------------------------------------------------------------------------------------------------------


@hostile(
    *((4, "<H", 63), (6, "<H", 1), (6, "<H", 8), (6, "<H", 0x800), (8, "<H", 8), (8, "<H", 99), (10, "<H", 1)),
    *((14, "<L", 0), (18, "<L", 2**32 - 1), (22, "<L", 2**32 - 1), (18, "<L", 0), (26, "<H", 0), (26, "<H", 65_535)),
    *((28, "<H", 20), (28, "<H", 65_535), (0, "<L", 0)),
)
def a_field_of_a_header(good, field):
    """Version, flags (encrypted, sizes behind, UTF-8), method, time, checksum, sizes (zip64's too), lengths."""
    place, kind, value = field
    return spliced(good, good.rindex(HEADER) + place, struct.pack(kind, value))


@hostile(
    *((4, "<H", 20), (6, "<H", 63), (8, "<H", 1), (10, "<H", 8), (16, "<L", 0), (20, "<L", 0), (24, "<L", 2**32 - 1)),
    *((28, "<H", 1), (30, "<H", 9), (32, "<H", 9), (34, "<H", 1), (38, "<L", 0o120777 << 16), (42, "<L", 0)),
    (46, "<L", 0),
)
def a_field_of_the_directory(good, field):
    """The same of the last entry: it then says something else than the header does."""
    place, kind, value = field
    return spliced(good, good.rindex(ENTRY) + place, struct.pack(kind, value))


@hostile(
    *((4, "<H", 1), (6, "<H", 1), (8, "<H", 2), (10, "<H", 65_535), (12, "<L", 0), (16, "<L", 2**32 - 1), (20, "<H", 0))
)
def a_field_of_the_last_record(good, field):
    """Disks, counts, where the directory is, the length of the comment."""
    place, kind, value = field
    return spliced(good, good.rindex(LAST) + place, struct.pack(kind, value))


@hostile()
def two_entries_for_one_place(good):
    """Overlapping members: the directory says of the last that it lies where the first does."""
    return spliced(good, good.rindex(ENTRY) + 42, struct.pack("<L", 0))


@hostile()
def zip64_records(good):
    place = good.rindex(LAST)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 3, 3, 200, place)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, place, 1)
    return forging.sealed(good[:place] + record + locator + good[place:])


@hostile(b"#!/bin/sh\ntrue\n", b"MZ", b"PK\3\4", b"\0")
def something_before_it(good, prefix):
    return forging.sealed(prefix + good)


@hostile()
def something_between_members(good):
    place = good.rindex(HEADER)
    return forging.sealed(good[:place] + b"import os" + good[place:])


@hostile()
def something_before_the_directory(good):
    place = good.index(ENTRY)
    return forging.sealed(good[:place] + b"import os" + good[place:])


@hostile()
def another_bundle_behind_it(good):
    return good + good


@hostile()
def no_member_at_all(_):
    return forging.sealed(b"PK\3\4 manifest.json" + struct.pack("<4s4H2LH", LAST, 0, 0, 0, 0, 0, 0, 64) + b"0" * 64)


# --- manifests -------------------------------------------------------------------------------------------------------


@hostile(
    *(b"", b"{}", b"[]", b"null", b'{"format": 1}', b'{"format": 2}', b'{"format": 1e999}', b'{"format": true}'),
    *(b'{"format": 1, "format": 1}', b'{"format": ' + b"1" * 10_000 + b"}", b'{"format": 1, "sha256": []}'),
    *(b'{"format": [1], "sha256": {}}', b'{"format": 1, "sha256": {"classifier.json": null}}', b"[" * 100_000),
    b" " * 20_000_000,
)
def a_manifest(good, text):
    return with_members({**forging.members_of(good), "manifest.json": text}.items())


# --- other files -----------------------------------------------------------------------------------------------------


@hostile(b"", b"P", b"PK\3\4", b"PK\3\4manifest.json", b"\x89HDF\r\n", b"\x93NUMPY", b"GIF89a", b"0" * 64)
def another_file(_, data):
    return data


@hostile()
def a_pickle(_):
    return pickle.dumps(print)


@hostile()
def a_keras_file(_):
    return forging.zipped([("metadata.json", b"{}"), ("config.json", b'{"class_name": "Lambda"}')])
