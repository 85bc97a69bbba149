"""Hostile bundles, each made from a good one by somebody who knows the format. A dictionary of names and makers."""

import io
import json
import pickle
import random
import struct
import zipfile

import forging
import numpy as np

HOSTILE = {}


def hostile(make):
    """Register a maker: from the bytes of a good bundle to those of a bad one."""
    HOSTILE[make.__name__] = make
    return make


def family(name, make, cases):
    """Register a maker for each of several cases: `make(good, case)`."""
    for index, case in enumerate(cases):
        HOSTILE[f"{name}_{index}"] = lambda good, case=case: make(good, case)


def spliced(data, place, replacement):
    return data[:place] + replacement + data[place + len(replacement) :]


# --- archives --------------------------------------------------------------------------------------------------------

NAMES = [
    *("../../evil.json", "/etc/passwd", "C:\\evil", "Classifier.json", "classifier.json/"),
    *("clässifier.json", "classifier.pkl", "__init__.py", "", "a" * 300),
]
family(
    "a_member_named_otherwise",
    lambda good, name: forging.sealed(
        forging.zipped((name if one == "classifier.json" else one, data) for one, data in members(good).items())
    ),
    NAMES,
)
family(
    "one_member_more",
    lambda good, name: forging.forged({**members(good), name: b"import os; os.system('true')"}),
    ["code.py", "../evil", "keras.json.py", "model.pkl", "weights.h5"],
)
family(
    "one_member_less",
    lambda good, name: forging.forged({one: data for one, data in members(good).items() if one != name}),
    forging.MEMBERS[1:],
)


def members(good):
    return forging.members_of(good)


@hostile
def a_name_with_a_nul(good):
    return forging.sealed(good.replace(b"classifier.json", b"classifier.js\0n"))


@hostile
def a_link_in_the_archive(good):
    return forging.sealed(forging.zipped(members(good).items(), external_attr=0o120777 << 16))


@hostile
def a_member_twice(good):
    pairs = [*members(good).items(), ("classifier.json", b"{}")]
    return forging.sealed(forging.zipped(pairs))


@hostile
def a_bomb(good):
    """100 MB of blanks, in 100 KB, in the place of the description."""
    return forging.sealed(
        forging.zipped(({**members(good), "classifier.json": b" " * 10**8}).items(), compress_type=zipfile.ZIP_DEFLATED)
    )


@hostile
def a_bomb_within_a_bomb(good):
    inner = forging.zipped([("weights.safetensors", b"\0" * 10**7)], compress_type=zipfile.ZIP_DEFLATED)
    return forging.changed(good, weights_safetensors=inner)


# Of the first local header: needed version, flags (encrypted, sizes behind, UTF-8), method, time, checksum, sizes (zip64
# among them), lengths of the name and of the extra field.
HEADER = [
    *((4, "<H", 63), (6, "<H", 1), (6, "<H", 8), (6, "<H", 0x800), (8, "<H", 8), (8, "<H", 99), (10, "<H", 1)),
    *((14, "<L", 0), (18, "<L", 2**32 - 1), (22, "<L", 2**32 - 1), (18, "<L", 0), (26, "<H", 0), (26, "<H", 2**16 - 1)),
    *((28, "<H", 20), (28, "<H", 2**16 - 1), (0, "<L", 0)),
]
family(
    "a_field_of_a_header",
    lambda good, case: forging.sealed(spliced(good, good.rindex(b"PK\3\4") + case[0], struct.pack(*case[1:]))),
    HEADER,
)
# Of the last entry of the directory, which then says something else than the header does.
DIRECTORY = [
    *((4, "<H", 20), (6, "<H", 63), (8, "<H", 1), (10, "<H", 8), (16, "<L", 0), (20, "<L", 0), (24, "<L", 2**32 - 1)),
    *(
        (28, "<H", 1),
        (30, "<H", 9),
        (32, "<H", 9),
        (34, "<H", 1),
        (38, "<L", 0o120777 << 16),
        (42, "<L", 0),
        (46, "<L", 0),
    ),
]
family(
    "a_field_of_the_directory",
    lambda good, case: forging.sealed(spliced(good, good.rindex(b"PK\1\2") + case[0], struct.pack(*case[1:]))),
    DIRECTORY,
)
# Of the last record: disks, counts, where the directory is, the comment's length.
LAST = [
    (4, "<H", 1),
    (6, "<H", 1),
    (8, "<H", 2),
    (10, "<H", 2**16 - 1),
    (12, "<L", 0),
    (16, "<L", 2**32 - 1),
    (20, "<H", 0),
]
family(
    "a_field_of_the_last_record",
    lambda good, case: forging.sealed(spliced(good, good.rindex(b"PK\5\6") + case[0], struct.pack(*case[1:]))),
    LAST,
)


@hostile
def two_entries_for_one_place(good):
    """Overlapping members: the directory says of the last member that it lies where the first does."""
    place = good.index(b"PK\1\2")
    return forging.sealed(spliced(good, good.rindex(b"PK\1\2") + 42, good[place + 42 : place + 46]))


@hostile
def zip64_records(good):
    place = good.rindex(b"PK\5\6")
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 3, 3, 200, place)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, place, 1)
    return forging.sealed(good[:place] + record + locator + good[place:])


@hostile
def a_program_before_it(good):
    return forging.sealed(b"#!/bin/sh\ntrue\n" + good)


@hostile
def another_bundle_behind_it(good):
    return good + good


@hostile
def something_between_members(good):
    place = good.rindex(b"PK\3\4")
    return forging.sealed(good[:place] + b"import os" + good[place:])


@hostile
def no_member_at_all(good):
    empty = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, 0, 0, 64)
    return forging.sealed(b"PK\3\4 manifest.json" + empty + b"0" * 64)


family(
    "another_file",
    lambda _, data: data,
    [b"", b"P", b"PK\3\4", b"PK\3\4manifest.json", b"\x89HDF\r\n", b"\x93NUMPY", b"GIF89a", b"0" * 64],
)


@hostile
def a_pickle(_):
    return pickle.dumps(print)


@hostile
def a_keras_file(_):
    return forging.zipped([("metadata.json", b"{}"), ("config.json", b'{"class_name": "Lambda"}')])


# --- manifests -------------------------------------------------------------------------------------------------------

MANIFESTS = [
    *(
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"format": 1}',
        b'{"format": 2}',
        b'{"format": 1e999}',
        b'{"format": 1, "format": 1}',
    ),
    *(b'{"format": ' + b"1" * 10_000 + b"}", b'{"format": 1, "sha256": []}', b'{"format": [1], "sha256": {}}'),
    *(b'{"format": 1, "sha256": {"classifier.json": null}}', b"[" * 100_000, b" " * 20_000_000),
]
family(
    "a_manifest",
    lambda good, text: forging.sealed(forging.zipped(({**members(good), "manifest.json": text}).items())),
    MANIFESTS,
)

# --- JSON ------------------------------------------------------------------------------------------------------------

TEXTS = [
    *(
        b"",
        b"\0",
        b"null",
        b"[]",
        b'"',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
        b"{" * 100_000,
        b"[" * 3_000_000,
        b'{"a":' * 500_000,
    ),
    *(
        b'"' * 3_000_000,
        b'"\\' * 2_000_000,
        b"{" + b'"a":1,' * 1_000_000 + b'"a":1}',
        b"[" + b"{}," * 5_000_000 + b"{}]",
    ),
    b'{"classes": [' + b'"a",' * 10_000_000 + b'"a"]}',
    b"import os\nos.system('true')\n",
]
family("a_text_for_a_description", lambda good, text: forging.changed(good, classifier_json=text), TEXTS)


def replaced(good, case):
    """Replace a part of the description's text: what a Python dictionary cannot hold can stand there."""
    text = members(good)["classifier.json"]
    before, after = case
    assert before in text
    return forging.changed(good, classifier_json=text.replace(before, after, 1))


family(
    "a_value_of_a_description",
    replaced,
    [
        (b'"temperature": ', b'"temperature": NaN, "temperature": '),
        *(
            (b'"dropout": 0.2', b'"dropout": ' + number)
            for number in (b"NaN", b"-Infinity", b"1e999", b"0." + b"1" * 9_999)
        ),
        *(
            (b'"seed": 0', b'"seed": ' + number)
            for number in (b"9" * 10_000, b"-1", b"0.0", b"1e3", b"true", b"18446744073709551616")
        ),
        (b'"num_classes": 10', b'"num_classes": ' + b"1" * 20),
        (b'"golden": "drawn"', b'"golden": "drawn", "golden": "given"'),
        (b'"license": "Apache-2.0"', b'"license": "\\ud800"'),
        (b'"license": "Apache-2.0"', b'"license": "\\u001b]0;title\\u0007"'),
        (b'"license": "Apache-2.0"', b'"license": {"__class__": "os.system"}'),
        (b'"license": "Apache-2.0"', b'"license": "\xff"'),
    ],
)


def updated(good, case):
    """Change the description at a place: ("blueprint", "pooling") to a value."""
    path, value = case

    def change(whole):
        holder = whole
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value

    return forging.described(good, change)


LAMBDA = {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAA", "defaults": None, "closure": None}}
MODULES = [
    "os",
    "os.system",
    "subprocess:Popen",
    "__import__",
    "keras.applications.ResNet50",
    "imgcls.cli",
    "../small_cnn",
    "SMALL_CNN",
    "",
]
UPDATES = [
    *((("architecture",), name) for name in (*MODULES, LAMBDA, ["small_cnn"], 1, None)),
    *((("parameters", "architecture"), name) for name in (*MODULES, "resnet50")),
    *((("blueprint", key), value) for key, value in {"weights": "/etc/passwd", "custom_objects": LAMBDA, "__class__": "x", "name": "x"}.items()),
    *((("blueprint", "input_shape"), shape) for shape in ([8192, 8192, 1], [8, 8], [8, 8, 1024], [0, 8, 1], [-8, 8, 1], [2**40] * 3, [1, 1, 1], None)),
    *((("blueprint", "num_classes"), count) for count in (100_000, 10**9, 1, 0, 11)),
    *((("blueprint", key), value) for key, value in {"pooling": "os", "head": "relu", "precision": "float16", "mean": [0] * 2_000, "std": [0.0]}.items()),
    (("blueprint", "grayscale"), True),
    *((("parameters", key), value) for key, value in {"__init__": 1, "model_": 1, "optimizer": LAMBDA, "weights": "/dev/zero", "engine": "os", "seed": -1}.items()),
    *((("classes",), names) for names in ([], ["a"] * 10, [None] * 10, ["\x1b[2J"] * 10, [["a"]] * 10, ["a", 1], [f"{n}" for n in range(90_000)], ["x" * 10_000] * 10)),
    *((("temperature",), value) for value in (0, -1, 1e300, "1", None, [1.0])),
    *((("choices", key), value) for key, value in {"__class__": [1, "x"], "a": [LAMBDA, "x"], "b": [1], "c": "os", "d": [[[[1]]], "x"]}.items()),
    *((("history", key), value) for key, value in {"columns": {"loss": ["a"]}, "seconds": -1, "code": "x", "best_epoch": 0, "advice": [1]}.items()),
    *((("evaluation", key), value) for key, value in {"figures": [LAMBDA], "per_class": [], "images": 0}.items()),
    (("data", "training"), {"images": 1, "sha256": "x"}),
    (("golden",), "/etc/passwd"),
    (("thresholds",), [0.5]),
    (("environment", "imgcls"), "\x1b[31m"),
    (("__class__",), "os.system"),
    (("keras",), {"class_name": "Lambda"}),
]  # fmt: skip
family("an_update", updated, UPDATES)
LARGE = [*("os", "keras", "builtins"), "convnext_xlarge", "nasnet_large", "vgg19", "efficientnet_b7", "speed_cnn"]


def renamed(good, name):
    return updated(updated(good, (("architecture",), name)), (("parameters", "architecture"), name))


family("a_network_that_the_file_does_not_hold", renamed, LARGE)


@hostile
def a_head_that_the_file_does_not_hold(good):
    return updated(
        updated(good, (("blueprint", "pooling"), "flatten")), (("blueprint", "input_shape"), [4096, 4096, 1])
    )


@hostile
def a_flattened_map_with_golden_images_of_its_size(good):
    def change(arrays):
        arrays["golden/images"] = np.zeros((1, 2048, 2048, 1), np.uint8)
        arrays["golden/probabilities"] = arrays["golden/probabilities"][:1]

    large = updated(
        updated(good, (("blueprint", "pooling"), "flatten")), (("blueprint", "input_shape"), [2048, 2048, 1])
    )
    return forging.rearranged(large, change)


CONFIGS = [
    {"module": "os", "class_name": "system", "config": {"command": "true"}, "registered_name": None},
    {"module": "keras.layers", "class_name": "Lambda", "config": {"function": LAMBDA}, "registered_name": None},
    {"module": "builtins", "class_name": "exec", "config": "1", "registered_name": "exec"},
]


def configured(good, config):
    text = json.loads(members(good)["classifier.json"]) | {"architecture": None}
    del text["parameters"]["architecture"]
    order = {"classifier.json": json.dumps(text).encode(), "keras.json": json.dumps(config).encode()}
    return forging.forged({**order, "weights.safetensors": members(good)["weights.safetensors"]})


family("a_config_that_names_code", configured, CONFIGS)
family(
    "a_config_beside_a_name",
    lambda good, config: forging.forged(
        {
            name: members(good).get(name) or json.dumps(config).encode()
            for name in ("classifier.json", "keras.json", "weights.safetensors")
        }
    ),
    CONFIGS[:1],
)
family(
    "a_card",
    lambda good, data: forging.changed(good, card_md=data),
    [b"\xff", b"\x1b]8;;http://x\x07", b" " * 2_000_000],
)


# --- arrays ----------------------------------------------------------------------------------------------------------

ENTRIES = [
    *({"dtype": dtype} for dtype in ("F64", "X9", "O", "BF16", "C64", "F32\0", None, 4, ["F32"])),
    *({"shape": shape} for shape in ([2**63, 2], [2**32, 2**32], [-1, -144], [1] * 64, [3, 3, 1], [144.0], ["144"], None, {}, [0], [True, 144])),
    *({"data_offsets": ends} for ends in ([0, 0], [576, 0], [0, 2**63], [-576, 0], [1, 577], [0], [0, 576, 576], [0.0, 576.0], None, [4, 580])),
    {"code": "os.system"},
]  # fmt: skip
family(
    "an_entry_of_a_header",
    lambda good, entry: forging.reheaded(good, lambda header: header["0000"].update(entry)),
    ENTRIES,
)
HEADERS = [
    b"",
    b"{}",
    b"null",
    b"[]",
    b"\xff",
    b"{" * 100_000,
    b'{"0000": ' * 50_000,
    b" " * 17_000_000,
    b'{"__metadata__": {"a": "b"}}',
]
family("a_header", lambda good, text: forging.with_header(good, text, forging.header_of(good)[1]), HEADERS)
family(
    "the_length_of_a_header",
    lambda good, length: forging.changed(
        good, weights_safetensors=struct.pack("<Q", length) + members(good)["weights.safetensors"][8:]
    ),
    [0, 1, 2**31, 2**63, 2**64 - 1],
)


@hostile
def two_arrays_in_one_place(good):
    header, numbers = forging.header_of(good)
    header["0004"]["data_offsets"] = header["0003"]["data_offsets"]
    header["0004"]["shape"] = header["0003"]["shape"]
    return forging.with_header(good, header, numbers)


@hostile
def an_array_twice(good):
    header, numbers = forging.header_of(good)
    text = json.dumps(header)
    return forging.with_header(
        good, text[:-1].encode() + b', "0000": ' + json.dumps(header["0000"]).encode() + b"}", numbers
    )


@hostile
def a_million_arrays(good):
    entries = ",".join(f'"{n:06d}":{{"dtype":"U8","shape":[1],"data_offsets":[{n},{n + 1}]}}' for n in range(200_000))
    return forging.with_header(good, f"{{{entries}}}".encode(), b"\0" * 200_000)


family(
    "bytes_after_the_arrays",
    lambda good, more: forging.changed(good, weights_safetensors=members(good)["weights.safetensors"] + more),
    [b"\0", b"PK\5\6" * 99],
)


def put(good, case):
    name, make = case
    return forging.rearranged(good, lambda arrays: arrays.update({name: make(arrays.get(name))}))


def holding(number):
    def make(array):
        array = array.copy()
        array.reshape(-1)[0] = number
        return array

    return make


PUT = [
    *((name, holding(number)) for name in ("0000", "held_out/probabilities", "familiarity/energies") for number in (np.nan, np.inf, -np.inf)),
    *(("0000", lambda array, dtype=dtype: array.astype(dtype)) for dtype in (np.float64, np.float16, np.int32, np.int64, np.uint8)),
    *(("0000", change) for change in (np.transpose, np.ravel, lambda array: array[:2].copy())),
    *((name, lambda array: np.zeros((3, 3), np.float32)) for name in ("0099", "00017", "evil/code", "../evil", "weights", "familiarity/known")),
    *(("golden/images", change) for change in (lambda array: array[:, :4].copy(), lambda array: array.astype(np.float32), lambda array: np.concatenate([array] * 3))),
    *(("golden/probabilities", change) for change in (lambda array: array * 9, lambda array: array[:, :3].copy(), lambda array: array[:1])),
    *(("held_out/labels", change) for change in (lambda array: array + 99, lambda array: array - 9, lambda array: array.astype(np.float32), lambda array: array[:3])),
    ("held_out/probabilities", lambda array: array * 0 + 0.7),
    ("familiarity/distances", lambda array: array[::-1].copy()),
    ("training/contents", lambda array: np.zeros((200_000, 16), np.uint8)),
    ("training/hashes", lambda array: np.zeros(3, np.uint64)),
    ("training/mosaics", lambda array: np.zeros((3, 16, 16, 3), np.uint8)),
]  # fmt: skip
family("an_array", put, PUT)
family(
    "without_an_array",
    lambda good, name: forging.rearranged(good, lambda arrays: arrays.pop(name)),
    [
        "0000",
        "0016",
        "golden/images",
        "golden/probabilities",
        "held_out/labels",
        "familiarity/known",
        "training/pixels",
    ],
)


@hostile
def pickles_for_weights(good):
    return forging.changed(good, weights_safetensors=pickle.dumps({"0000": np.zeros(3)}))


@hostile
def numpy_objects_for_weights(good):
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.array([print], dtype=object), allow_pickle=True)
    return forging.changed(good, weights_safetensors=buffer.getvalue())


# --- many ------------------------------------------------------------------------------------------------------------


def truncated(good, step, *, resealed):
    """Give the bundle cut at every `step`-th byte; sealed again, or its last member cut and everything set right."""
    for length in range(0, len(good), step):
        yield good[:length]
        if resealed:
            yield forging.sealed(good[:length] + b"0" * 64)
    if resealed:
        whole = members(good)["weights.safetensors"]
        for length in range(0, len(whole), step):
            yield forging.changed(good, weights_safetensors=whole[:length])


def flipped(good, count, seed, *, resealed):
    """Give the bundle with bits flipped: anywhere; or in a member, text more often than numbers, and all set right."""
    dice = random.Random(seed)
    whole = members(good)
    for _ in range(count):
        if not resealed:
            altered = bytearray(good)
            altered[dice.randrange(len(good))] ^= 1 << dice.randrange(8)
            yield bytes(altered)
            continue
        name = dice.choice(
            ("classifier.json", "classifier.json", "weights.safetensors", "weights.safetensors", "archive")
        )
        altered = bytearray(good if name == "archive" else whole[name])
        ends = {"archive": len(good) - 64, "weights.safetensors": dice.choice((2_000, len(altered)))}
        for _ in range(dice.choice((1, 1, 2, 8))):
            altered[dice.randrange(ends.get(name, len(altered)))] ^= 1 << dice.randrange(8)
        yield forging.sealed(bytes(altered)) if name == "archive" else forging.forged({**whole, name: bytes(altered)})
