"""Hostile descriptions, configs, cards and arrays, in archives where everything is right."""

import io
import json
import pickle
import struct

import forging
import numpy as np
from hostile import hostile

LAMBDA = {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAA", "defaults": None, "closure": None}}
MODULES = (
    *("os", "os.system", "subprocess:Popen", "__import__", "keras.applications.ResNet50", "imgcls.cli"),
    *("../small_cnn", "SMALL_CNN", "", "small_cnn\n"),
)

# --- JSON ------------------------------------------------------------------------------------------------------------


@hostile(
    *(b"", b"\0", b"null", b"[]", b'"', b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b"import os\nos.system('true')\n"),
    *(b"{" * 100_000, b"[" * 3_000_000, b'{"a":' * 500_000, b'"' * 3_000_000, b'"\\' * 2_000_000),
    *(b"{" + b'"a":1,' * 1_000_000 + b'"a":1}', b"[" + b"{}," * 5_000_000 + b"{}]"),
    b'{"classes": [' + b'"a",' * 10_000_000 + b'"a"]}',
)
def a_text_for_a_description(good, text):
    return forging.changed(good, classifier_json=text)


@hostile(
    (b'"temperature": ', b'"temperature": NaN, "temperature": '),
    *((b'"dropout": 0.2', b'"dropout": ' + one) for one in (b"NaN", b"-Infinity", b"1e999", b"0." + b"1" * 9_999)),
    *((b'"seed": 0', b'"seed": ' + one) for one in (b"9" * 10_000, b"-1", b"0.0", b"1e3", b"true", b"1" * 20)),
    (b'"num_classes": 10', b'"num_classes": ' + b"1" * 20),
    (b'"golden": "drawn"', b'"golden": "drawn", "golden": "given"'),
    *(
        (b'"license": "Apache-2.0"', b'"license": ' + one)
        for one in (b'"\\ud800"', b'"\\u001b]0;title\\u0007"', b'{"__class__": "os.system"}', b'"\xff"')
    ),
)
def a_value_in_a_description(good, pair):
    """What a Python dictionary cannot hold can stand in a text."""
    text = forging.members_of(good)["classifier.json"]
    assert pair[0] in text
    return forging.changed(good, classifier_json=text.replace(*pair, 1))


# --- descriptions ----------------------------------------------------------------------------------------------------


def at(*path, **values):
    """Return pairs of a place and a value: (("blueprint", "head"), "relu")."""
    return tuple(((*path, key), value) for key, each in values.items() for value in each)


def updated(good, *changes):
    def change(whole):
        for (*path, key), value in changes:
            holder = whole
            for one in path:
                holder = holder[one]
            holder[key] = value

    return forging.described(good, change)


@hostile(
    *at(architecture=(*MODULES, LAMBDA, ["small_cnn"], 1, None), golden=("/etc/passwd", None), thresholds=([0.5],)),
    *at(temperature=(0, -1, 1e300, "1", None, [1.0]), __class__=("os.system",), keras=({"class_name": "Lambda"},)),
    *at(classes=([], ["a"] * 10, [None] * 10, ["\x1b[2J"] * 10, [["a"]] * 10, ["a", 1], ["x" * 10_000] * 10)),
    *at(classes=([f"{number}" for number in range(90_000)],)),
    *at("blueprint", weights=("/etc/passwd",), custom_objects=(LAMBDA,), __class__=("x",), name=("x",)),
    *at("blueprint", input_shape=([8192, 8192, 1], [8, 8], [8, 8, 1024], [0, 8, 1], [-8, 8, 1], [2**40] * 3, None)),
    *at("blueprint", num_classes=(100_000, 10**9, 1, 0, 11), pooling=("os",), head=("relu",), precision=("float16",)),
    *at("blueprint", mean=([0] * 2_000, []), std=([0.0], [-1.0], ["1"]), grayscale=(True,), dropout=(1,)),
    *at("parameters", architecture=(*MODULES, "resnet50"), weights=("/dev/zero", "..\\x", LAMBDA), engine=("os",)),
    *at("parameters", __init__=(1,), model_=(1,), optimizer=(LAMBDA,), seed=(-1,), class_weight=({"a": "os"},)),
    *at("choices", __class__=([1, "x"],), a=([LAMBDA, "x"], [1], "os", [[[[1]]], "x"], [1, 2])),
    *at("history", columns=({"loss": ["a"]}, {"\x07": []}), seconds=(-1,), code=("x",), best_epoch=(0,), advice=([1],)),
    *at("evaluation", figures=([LAMBDA],), per_class=([],), images=(0,)),
    *at("data", training=({"images": 1, "sha256": "x"}, "os")),
    *at("environment", imgcls=("\x1b[31m", "", "../../evil")),
)
def an_update(good, change):
    return updated(good, change)


@hostile("os", "keras", "builtins", "convnext_xlarge", "nasnet_large", "vgg19", "efficientnet_b7", "speed_cnn")
def a_network_that_the_file_does_not_hold(good, name):
    return updated(good, (("architecture",), name), (("parameters", "architecture"), name))


@hostile(512, 4096)
def a_head_that_the_file_does_not_hold(good, side):
    """Flattened, an image of so many pixels would need a head of 26 million, or of 1,700 million numbers."""
    blueprint = at("blueprint", pooling=("flatten",), input_shape=([side, side, 1],))

    def change(arrays):
        arrays["golden/images"] = np.zeros((1, side, side, 1), np.uint8)
        arrays["golden/probabilities"] = arrays["golden/probabilities"][:1]

    return forging.rearranged(updated(good, *blueprint), change)


@hostile(
    {"module": "os", "class_name": "system", "config": {"command": "true"}, "registered_name": None},
    {"module": "keras.layers", "class_name": "Lambda", "config": {"function": LAMBDA}, "registered_name": None},
    {"module": "builtins", "class_name": "exec", "config": "1", "registered_name": "exec"},
)
def a_config_that_names_code(good, config):
    text = json.loads(forging.members_of(good)["classifier.json"]) | {"architecture": None}
    del text["parameters"]["architecture"]
    return with_config(good, config, text)


@hostile()
def a_config_beside_a_name(good):
    return with_config(good, {}, json.loads(forging.members_of(good)["classifier.json"]))


def with_config(good, config, text):
    members = {"classifier.json": json.dumps(text).encode(), "keras.json": json.dumps(config).encode()}
    return forging.forged(members | {"weights.safetensors": forging.members_of(good)["weights.safetensors"]})


@hostile(b"\xff", b"\x1b]8;;http://x\x07", b" " * 2_000_000)
def a_card(good, data):
    return forging.changed(good, card_md=data)


# --- headers of arrays -----------------------------------------------------------------------------------------------


@hostile(
    *({"dtype": dtype} for dtype in ("F64", "X9", "O", "BF16", "C64", "F32\0", None, 4, ["F32"])),
    *({"shape": shape} for shape in ([2**63, 2], [2**32, 2**32], [-1, -144], [1] * 64, [3, 3, 1], [0], None, {})),
    *({"shape": shape} for shape in ([144.0], ["144"], [True, 144])),
    *({"data_offsets": ends} for ends in ([0, 0], [576, 0], [0, 2**63], [-576, 0], [1, 577], [0], [4, 580], None)),
    *({"data_offsets": ends} for ends in ([0, 576, 576], [0.0, 576.0], ["0", "576"])),
    {"code": "os.system"},
)
def an_entry_of_a_header(good, change):
    return forging.reheaded(good, lambda header: header["0000"].update(change))


@hostile(
    *(b"", b"{}", b"null", b"[]", b"\xff", b"{" * 100_000, b'{"0000": ' * 50_000, b" " * 17_000_000),
    b'{"__metadata__": {"a": "b"}}',
)
def a_header(good, text):
    return forging.with_header(good, text, forging.header_of(good)[1])


@hostile(0, 1, 2**31, 2**63, 2**64 - 1)
def the_length_of_a_header(good, length):
    rest = forging.members_of(good)["weights.safetensors"][8:]
    return forging.changed(good, weights_safetensors=struct.pack("<Q", length) + rest)


@hostile()
def two_arrays_in_one_place(good):
    header, numbers = forging.header_of(good)
    header["0004"] |= {key: header["0003"][key] for key in ("data_offsets", "shape")}
    return forging.with_header(good, header, numbers)


@hostile()
def an_array_twice(good):
    header, numbers = forging.header_of(good)
    again = f', "0000": {json.dumps(header["0000"])}}}'
    return forging.with_header(good, (json.dumps(header)[:-1] + again).encode(), numbers)


@hostile(30_000, 100_000)
def very_many_arrays(good, count):
    entries = (f'"{n:06d}":{{"dtype":"U8","shape":[1],"data_offsets":[{n},{n + 1}]}}' for n in range(count))
    return forging.with_header(good, f"{{{','.join(entries)}}}".encode(), b"\0" * count)


@hostile(b"\0", b"PK\5\6" * 99)
def bytes_after_the_arrays(good, more):
    return forging.changed(good, weights_safetensors=forging.members_of(good)["weights.safetensors"] + more)


@hostile()
def a_pickle_for_weights(good):
    return forging.changed(good, weights_safetensors=pickle.dumps({"0000": np.zeros(3)}))


@hostile()
def numpy_objects_for_weights(good):
    buffer = io.BytesIO()
    np.savez(buffer, weights=np.array([print], dtype=object), allow_pickle=True)
    return forging.changed(good, weights_safetensors=buffer.getvalue())


# --- numbers ---------------------------------------------------------------------------------------------------------


def holding(number):
    def make(array):
        array = array.copy()
        array.reshape(-1)[0] = number
        return array

    return make


def as_type(dtype):
    return lambda array: array.astype(dtype)


def another(*shape):
    return lambda _: np.zeros(shape, np.float32)


@hostile(
    *(("0000", holding(number)) for number in (np.nan, np.inf, -np.inf)),
    *((name, holding(np.nan)) for name in ("held_out/probabilities", "familiarity/energies", "familiarity/known")),
    *(("0000", as_type(dtype)) for dtype in ("float64", "float16", "int32", "int64", "uint8", "bool")),
    *(("0000", change) for change in (np.transpose, np.ravel, lambda array: array[:2].copy())),
    *((name, another(3, 3)) for name in ("0099", "00017", "evil/code", "../evil", "weights", "familiarity/known")),
    *(("golden/images", change) for change in (lambda array: array[:, :4].copy(), as_type("float32"), another(1))),
    ("golden/images", lambda array: np.concatenate([array] * 3)),
    *(("golden/probabilities", change) for change in (lambda array: array * 9, lambda array: array[:, :3].copy())),
    *(("held_out/labels", change) for change in (lambda array: array + 99, lambda array: array - 9, as_type("uint8"))),
    ("held_out/labels", lambda array: array[:3]),
    ("held_out/probabilities", lambda array: array * 0 + 0.7),
    ("familiarity/distances", lambda array: array[::-1].copy()),
    ("training/contents", lambda array: np.zeros((200_000, 16), np.uint8)),
    ("training/hashes", lambda array: np.zeros(3, np.uint64)),
    ("training/mosaics", lambda array: np.zeros((3, 16, 16, 3), np.uint8)),
)
def an_array(good, case):
    name, make = case
    return forging.rearranged(good, lambda arrays: arrays.update({name: make(arrays.get(name))}))


@hostile(
    *("0000", "0016", "golden/images", "golden/probabilities", "held_out/labels", "familiarity/known"),
    "training/pixels",
)
def without_an_array(good, name):
    return forging.rearranged(good, lambda arrays: arrays.pop(name))
