"""The sealed file: what goes in comes out, what is wrong is refused with its place, and nothing else is opened."""

import copy
import json
import os
import pickle
import random
import re
import struct
import subprocess
import sys
import zipfile

import forging
import h5py
import jsonschema
import numpy as np
import pytest
import safetensors.numpy

from imgcls import bundle
from imgcls.bundle import _json, _schema
from imgcls.errors import BundleError, ConfigurationError, TamperedBundleError

DAMAGED = "'a.imgcls' is not as it was saved: it is truncated, damaged or altered. Get the file again."
UNKNOWN = "Accepted: a bundle written by ImageClassifier.save. imgcls opens no file that can run code."
GOLDEN = {name: array for name, array in forging.named().items() if name.startswith("golden/")}
VERSION = "It says that imgcls 0.1.0 wrote it, and this is {}: install that one, or a newer one."


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tiny(here):
    return bundle.save("a.imgcls", forging.description(), forging.weights(), GOLDEN).read_bytes()


@pytest.fixture
def full(here):
    return bundle.save("a.imgcls", forging.description(card="# Card"), forging.weights(), forging.named()).read_bytes()


def refusal(data, kind=BundleError):
    """Return the words with which these bytes are refused."""
    with open("a.imgcls", "wb") as file:  # noqa: PTH123 - thousands of times
        file.write(data)
    with pytest.raises(kind) as caught:
        bundle.load("a.imgcls")
    return str(caught.value)


def cause(data):
    """Return why a sealed file is no bundle."""
    words = re.fullmatch(
        r"'a\.imgcls' is sealed but not a bundle: (.*)\. (Get the file|It says that) .*\.", refusal(data)
    )
    return words[1]


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
    weights = bundle.load(bundle.save("a.imgcls", forging.description(), many, GOLDEN)).weights
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
    members = forging.members_of(tiny) | {"manifest.json": json.dumps({"format": number}).encode()}
    assert refusal(forging.sealed(forging.zipped(members.items()))) == (
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


# --- JSON ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"a": 1, "a": 2}', "JSON names the key 'a' twice"),
        (b'{"a": {"b": 1, "b": 2}}', "JSON names the key 'b' twice"),
        (b'{"a": NaN}', "JSON holds NaN"),
        (b'{"a": -Infinity}', "JSON holds -Infinity"),
        (b'{"a": 1e999}', "JSON holds the number 1e999, which is too long or too large for float64"),
        (
            b'{"a": 0.' + b"1" * 99 + b"}",
            f"JSON holds the number 0.{'1' * 28}, which is too long or too large for float64",
        ),
        (b'{"a": ' + b"9" * 10_000 + b"}", "JSON holds a whole number of 10,000 digits"),
        (b"[1]", "JSON holds no object"),
        (b'{"a": }', "Expecting value: line 1 column 7 (char 6)"),
        (b'{"a": "\\ud800"}', "'utf-8' codec can't encode character '\\ud800' in position 7: surrogates not allowed"),
        (b'{"a": "\xff"}', "'utf-8' codec can't decode byte 0xff in position 7: invalid start byte"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "JSON nests 65 deep, and at most 64 are read"),
        (b"[" * 300_000, "JSON nests 300,000 deep, and at most 64 are read"),
        (b'{"a": [' + b"0," * 300_000 + b"0]}", "JSON has 300,002 values, and at most 300,000 are read"),
        (b" " * (2**24 + 1), "JSON has 16,777,217 bytes, and at most 16,777,216 are read"),
    ],
    ids=lambda value: value[:40].decode(errors="replace") if isinstance(value, bytes) else "",
)
def test_json_that_is_not_strict_is_refused_in_words(tiny, text, words):
    assert cause(forging.changed(tiny, classifier_json=text)) == words


def test_brackets_and_commas_in_text_do_not_count():
    value = {"a": '[{,"\\' * 300_000}
    assert _json.read(_json.write(value)) == value


@pytest.mark.parametrize(
    "text",
    [b'"' * 2_000_001, b'\\"' * 1_000_000, b'{"a": "' + b"\\" * 2_000_001],
    ids=["quotes", "escapes", "backslashes"],
)
def test_bounds_are_found_in_a_time_that_grows_with_the_text_alone(text):
    with pytest.raises(ValueError, match=r"Expecting|Extra|Unterminated"):
        _json.read(text)


def test_other_numbers_and_characters_stay_as_they_are():
    text = b'{"a": [-9223372036854775808, 1.5e-300, "\\ud83d\\ude00", "\\u0041", 0.1, -0.0, 1E5]}'
    assert _json.read(text) == json.loads(text)


# --- the schema ------------------------------------------------------------------------------------------------------


def library():
    """Return the validator of the `jsonschema` library, for which too 3.0 is no whole number."""
    whole = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=whole)


POOL = [
    *(None, True, False, 0, 1, -1, 3.0, 0.5, -0.5, 1e300, 2**40, 10**19, "", "a", "a" * 600, "\x1b[31m", "../x"),
    *("small_cnn", "A", "0" * 64, "os.system", [], [1], [[1]], [None] * 3, {}, {"a": 1}, {"\x07": 1}, {"a": {"b": []}}),
]


def mutated(value, dice):
    """Change one place of a document: replaced, removed, repeated, renamed or added."""
    document = copy.deepcopy(value)
    places = [(document, key) for key in document]
    for holder, key in places:
        inner = holder[key]
        keys = inner if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ()
        places += [(inner, one) for one in keys]
    holder, key = dice.choice(places)
    match dice.randrange(5):
        case 0 | 1:
            holder[key] = copy.deepcopy(dice.choice(POOL))
        case 2:
            del holder[key]
        case 3:
            if isinstance(holder, list):
                holder.append(copy.deepcopy(dice.choice(POOL)))
            else:
                holder[dice.choice(("a", "weights", "path", "\x1b", "f1"))] = copy.deepcopy(dice.choice(POOL))
        case 4:
            holder[key] = [copy.deepcopy(holder[key])] * dice.randrange(4)
    return document


def agree(schema, documents):
    """Compare verdicts; return how many documents both accept."""
    ours, truth = _schema.Validator(schema), library()(schema)
    accepted = 0
    for document in documents:
        problem = ours.problem(document)
        assert (problem is None) == truth.is_valid(document), (problem, document)
        accepted += problem is None
    return accepted


def of_bundle():
    return _schema.description()._schema


@pytest.mark.parametrize("count", [2_000, pytest.param(60_000, marks=pytest.mark.slow)])
def test_the_schema_is_read_as_another_library_reads_it(count):
    dice = random.Random(count)
    jsonschema.Draft202012Validator.check_schema(of_bundle())
    documents = [
        forging.description(),
        forging.description(architecture=None, parameters={}, license=None, evaluation=None),
    ]
    for _ in range(count):
        documents.append(mutated(dice.choice(documents[-20:] + documents[:2] * 9), dice))
    accepted = agree(of_bundle(), documents)
    assert count / 20 < accepted < count / 2  # else mutations are too mild or too coarse


def any_schema(dice, depth=0):
    """Draw a schema that uses the keywords that we know."""
    low, high = sorted(dice.choices(range(4), k=2))
    kinds = ["null", "boolean", "integer", "number", "string", "array", "object"]
    inner = (lambda: any_schema(dice, depth + 1)) if depth < 2 else (lambda: {"type": dice.choice(kinds)})
    choices = {
        "type": dice.choice([dice.choice(kinds), dice.sample(kinds, 3)]),
        "enum": dice.sample([None, True, 0, 1, "a", 0.5], 3),
        "const": dice.choice([None, False, 0, 1, "a"]),
        "minimum": low,
        "maximum": high,
        "exclusiveMinimum": low,
        "maxLength": high,
        "pattern": dice.choice(["^a*$", "b", "^[^b]*$"]),
        "minItems": low,
        "maxItems": high,
        "maxProperties": high,
        "items": inner(),
        "prefixItems": [inner(), inner()],
        "properties": {"a": inner(), "b": inner()},
        "required": dice.sample(["a", "b"], dice.randrange(3)),
        "additionalProperties": dice.choice([False, inner()]),
        "propertyNames": {"maxLength": 1, "pattern": "^[ab]"},
        "anyOf": [inner(), inner(), {"$ref": "#/$defs/small"}],
    }
    schema = {key: choices[key] for key in dice.sample(list(choices), dice.randrange(1, 4))}
    return schema | (
        {"$defs": {"small": {"type": ["integer", "string"], "maximum": 2, "maxLength": 1}}} if not depth else {}
    )


def any_value(dice, depth=0):
    if depth > 2 or dice.random() < 0.5:
        return dice.choice([None, True, False, 0, 1, 2, 3, 1.0, 0.5, "", "a", "ab", "aaa", "b"])
    if dice.random() < 0.5:
        return [any_value(dice, depth + 1) for _ in range(dice.randrange(4))]
    return {key: any_value(dice, depth + 1) for key in dice.sample(["a", "b", "c", "ab"], dice.randrange(4))}


@pytest.mark.parametrize("count", [150, pytest.param(5_000, marks=pytest.mark.slow)])
def test_any_schema_is_read_as_another_library_reads_it(count):
    dice = random.Random(count)
    accepted = sum(agree(any_schema(dice), [any_value(dice) for _ in range(30)]) for _ in range(count))
    assert 0.2 < accepted / count / 30 < 0.8


def test_a_keyword_that_nobody_would_check_is_refused():
    with pytest.raises(ValueError, match=r"^the schema uses 'uniqueItems' where this validator does not know it$"):
        _schema.Validator({"items": {"uniqueItems": True}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"classes": ["a", None]},
            "classes[1] is null; accepted: a name of at most 500 characters without control characters, or a whole number",
        ),
        (
            {"classes": ["a" * 501]},
            f'classes[0] is "{"a" * 60}" and 441 characters more; accepted: a name of at most 500 characters without control characters, or a whole number',
        ),
        ({"classes": []}, "classes is a list of 0; accepted: a list of at least 1 of at most 100,000"),
        ({"classes": None}, "classes is null; accepted: a list of at least 1 of at most 100,000"),
        (
            {"classes": ["a", "a"]},
            "classes are mixed or repeated; accepted: different names, or different whole numbers",
        ),
        ({"classes": ["a", 1]}, "classes are mixed or repeated; accepted: different names, or different whole numbers"),
        (
            {"architecture": "os.system"},
            'architecture is "os.system"; accepted: the name of an architecture, or null for one of the user\'s own',
        ),
        (
            {"architecture": None},
            "architecture is None, and parameters and choices say 'small_cnn'; accepted: one and the same",
        ),
        (
            {"choices": {"architecture": ["os", "x"]}},
            "architecture is 'small_cnn', and parameters and choices say 'os'; accepted: one and the same",
        ),
        ({"multi_label": 1}, "multi_label is 1; accepted: true or false"),
        ({"temperature": 0}, "temperature is 0; accepted: a number above 0 up to 1,000,000,000.0"),
        ({"temperature": 2}, "temperature is 2; accepted: that of choices.temperature, or 1 without one"),
        ({"choices": {}}, "temperature is 1.5; accepted: that of choices.temperature, or 1 without one"),
        ({"choices": {"temperature": [1.5]}}, "choices['temperature'] is a list of 1; accepted: [value, reason]"),
        (
            {"thresholds": [0.5, 0.5]},
            "thresholds is a list of 2; accepted: null: labels are decided by the largest probability, or with several labels by one half; other thresholds are for a later format",
        ),
        ({"blueprint": {}}, "blueprint lacks 'input_shape'"),
        (
            {"payload": "x"},
            "it has the unknown key 'payload'. Accepted: imgcls, license, architecture, blueprint, classes, multi_label, temperature, thresholds, parameters, choices, history, evaluation, data, golden, environment",
        ),
        (
            {"parameters": {"image_sise": 3}},
            "parameters has the unknown key 'image_sise'. Did you mean 'image_size'? Accepted: ",
        ),
        (
            {"parameters": {"weights": "/etc/passwd"}},
            'parameters.weights is "/etc/passwd"; accepted: null, or the name of weights or of a file, without its folder',
        ),
        ({"history": []}, "history is a list of 0; accepted: an object"),
        (
            {"license": "\x1b[2J"},
            'license is "\\u001b[2J"; accepted: null, or text of at most 10,000 characters without control characters',
        ),
        (
            {"environment": {"a\x07": "1"}},
            "environment has the key 'a\\x07'; accepted: text of at most 500 characters without control characters",
        ),
        ({"golden": "photos"}, 'golden is "photos"; accepted: where the golden images come from: "drawn" or "given"'),
        (
            {"multi_label": True},
            "blueprint.num_classes is 2 with a softmax for 2 classes; accepted: one output a class, a sigmoid where an image may have several labels, or one sigmoid for two classes",
        ),
    ],
)
def test_a_description_that_is_wrong_is_refused_with_its_place(tiny, change, words):
    found = cause(forging.described(tiny, lambda value: value.update(change)))
    assert found == words or (words.endswith("Accepted: ") and found.startswith(words))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"input_shape": [0, 5, 3]}, "blueprint.input_shape[0] is 0; accepted: a whole number from 1 up to 8,192"),
        ({"input_shape": [4, 5.0, 3]}, "blueprint.input_shape[1] is 5.0; accepted: a whole number from 1 up to 8,192"),
        ({"weights": "x.h5"}, "blueprint has the unknown key 'weights'. Accepted: "),
        ({"std": [0]}, "blueprint.std[0] is 0; accepted: a number from 1e-09 up to 1,000,000,000.0"),
        ({"std": [1, 1]}, "blueprint.mean and blueprint.std are lists of 1 and 2; accepted: 1 or 3 each"),
        (
            {"grayscale": True, "input_shape": [4, 5, 1]},
            "blueprint.grayscale is true; accepted: only with three channels in blueprint.input_shape",
        ),
        ({"num_classes": 3}, "blueprint.num_classes is 3 with a softmax for 2 classes; "),
        ({"dropout": 1}, "blueprint.dropout is 1; accepted: a number from 0 to below 1"),
    ],
)
def test_a_blueprint_that_is_wrong_is_refused_with_its_place(tiny, change, words):
    assert cause(forging.described(tiny, lambda value: value["blueprint"].update(change))).startswith(words)


def test_names_that_would_fill_memory_are_refused(tiny):
    def change(value):
        value["classes"] = ["x" * 500, *map(str, range(60_000))]
        value["blueprint"]["num_classes"] = 60_001

    assert cause(forging.described(tiny, change)) == (
        "classes are too many for names so long; accepted: 16,777,216 characters, each taken as the longest"
    )


def test_a_file_of_a_newer_version_says_which(tiny):
    from imgcls import __version__

    words = refusal(forging.described(tiny, lambda value: value.update(new=1)))
    assert words.endswith(VERSION.format(__version__))
    words = refusal(forging.described(tiny, lambda value: value.update(new=1, imgcls=__version__)))
    assert words.endswith("Get the file from where it was saved.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"card_md": b"\xff"}, "'utf-8' codec can't decode"),
        ({"card_md": b"\x1b[2J"}, "its model card holds control characters"),
        ({"card_md": b" " * (2**20 + 1)}, "its model card has 1,048,577 bytes, and at most 1,048,576 are read"),
    ],
)
def test_a_card_that_is_wrong_is_refused_in_words(full, changes, words):
    assert cause(forging.changed(full, **changes)).startswith(words)


def test_a_config_beside_a_name_is_refused_in_words(tiny):
    members = forging.members_of(tiny)
    order = {name: members.get(name, b"{}") for name in ("classifier.json", "keras.json", "weights.safetensors")}
    assert (
        cause(forging.forged(order)) == "keras.json describes a model, and architecture is 'small_cnn': accepted is one"
    )


# --- arrays ----------------------------------------------------------------------------------------------------------

ENTRY = "is not described as accepted: a dtype of 'U64', 'I64', 'F64' and 9 more, at most 8 sides above 0, and a place in the file of as many bytes"


def entry(name="0000", **changes):
    return lambda header: header[name].update(changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (entry(dtype="X9"), f"the array '0000' {ENTRY}"),
        (entry(dtype=["F32"]), f"the array '0000' {ENTRY}"),
        (entry(shape=[2**40]), f"the array '0000' {ENTRY}"),
        (entry(shape=[-2, -3]), f"the array '0000' {ENTRY}"),
        (entry(shape=[2, 3, 0]), f"the array '0000' {ENTRY}"),
        (entry(shape=[2, 3.0]), f"the array '0000' {ENTRY}"),
        (entry(shape=[True, 6]), f"the array '0000' {ENTRY}"),
        (entry(shape=[1] * 8 + [6]), f"the array '0000' {ENTRY}"),
        (entry(data_offsets=[0, 2**60]), f"the array '0000' {ENTRY}"),
        (entry(data_offsets=[24, 0]), f"the array '0000' {ENTRY}"),
        (entry(data_offsets=[-24, 0]), f"the array '0000' {ENTRY}"),
        (entry(more=1), f"the array '0000' {ENTRY}"),
        (entry(data_offsets=[8, 32]), "the array '0000' begins at byte 8, and 0 is where the one before it ends"),
        (lambda header: header.update({"__metadata__": {"a": "b"}}), f"the array '__metadata__' {ENTRY}"),
        (lambda header: header.update({"0003": header["0000"]}), "the array '0003' begins at byte 0, and 24 is where the one before it ends"),
        (lambda header: header.pop("0002"), "the array 'golden/probabilities' begins at byte 28, and 24 is where the one before it ends"),
        (lambda header: header.pop("golden/images"), "its arrays end at byte 48 of 168"),
        (lambda header: header.update({"0005": header.pop("0002")}), "the weight '0002' is missing"),
        (lambda header: header.update({"../a": header.pop("0002")}), "there is no array '../a' in a bundle; accepted: weights, and golden/images, "),
    ],
)  # fmt: skip
def test_a_header_of_arrays_that_is_wrong_is_refused_in_words(tiny, change, words):
    assert cause(forging.reheaded(tiny, change)).startswith(words)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (b"", "the header of its weights is longer than they are"),
        (struct.pack("<Q", 2**60), "the header of its weights is longer than they are"),
        (struct.pack("<Q", 2) + b"{}", "the arrays 'golden/images' and 'golden/probabilities' are missing"),
        (struct.pack("<Q", 2) + b"{}" + b"\0", "its arrays end at byte 0 of 1"),
        (struct.pack("<Q", 4) + b"null", "JSON holds no object"),
        (struct.pack("<Q", 14) + b'{"a":1, "a":1}', "JSON names the key 'a' twice"),
    ],
)
def test_weights_that_are_none_are_refused_in_words(tiny, tensors, words):
    assert cause(forging.changed(tiny, weights_safetensors=tensors)) == words


def put(name, array):
    return lambda arrays: arrays.update({name: np.asarray(array)})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("0000", np.array([np.nan], np.float32)), "the weight '0000' holds NaN or infinity; accepted: finite numbers"),
        (put("0000", np.array([np.inf], np.float32)), "the weight '0000' holds NaN or infinity; accepted: finite numbers"),
        (put("0000", np.zeros(1)), "the weight '0000' is float64; accepted: float32, int32"),
        (put("golden/images", np.zeros((2, 4, 5, 3), np.float32)), "the array 'golden/images' is float32 (2, 4, 5, 3); accepted: uint8 (g, 4, 5, 3)"),
        (put("golden/images", np.zeros((2, 5, 4, 3), np.uint8)), "the array 'golden/images' is uint8 (2, 5, 4, 3); accepted: uint8 (g, 4, 5, 3)"),
        (put("golden/images", np.zeros((17, 4, 5, 3), np.uint8)), "the array 'golden/images' is uint8 (17, 4, 5, 3); accepted: uint8 (g, 4, 5, 3)"),
        (put("golden/probabilities", np.full((2, 2), 1.5, np.float32)), "the array 'golden/probabilities' holds numbers from 1.5 to 1.5; accepted: 0 to 1"),
        (put("golden/probabilities", np.full((2, 3), 0.5, np.float32)), "the array 'golden/probabilities' is float32 (2, 3); accepted: float32 (2, 2)"),
        (put("held_out/labels", np.array([0, 1, 2])), "the array 'held_out/labels' holds numbers from 0 to 2; accepted: 0 to 1"),
        (put("held_out/labels", np.array([0, -1, 1])), "the array 'held_out/labels' holds numbers from -1 to 1; accepted: 0 to 1"),
        (put("held_out/labels", np.array([0, 1])), "the array 'held_out/probabilities' is float32 (3, 2); accepted: float32 (2, 2)"),
        (put("familiarity/distances", np.array([1, 0, 2], np.float32)), "the array 'familiarity/distances' does not rise; accepted: numbers in their order"),
        (put("familiarity/known", np.full((2, 3), np.inf, np.float16)), "the array 'familiarity/known' holds NaN or infinity; accepted: finite numbers"),
        (put("training/contents", np.zeros((100_001, 16), np.uint8)), "the array 'training/contents' is uint8 (100001, 16); accepted: uint8 (n, 16)"),
        (put("other/things", np.zeros(2)), "there is no array 'other/things' in a bundle; accepted: weights, and golden/images, "),
        (lambda arrays: arrays.pop("held_out/labels"), "the arrays held_out/labels, held_out/probabilities belong together, and only held_out/probabilities is there"),
        (lambda arrays: [arrays.pop(f"held_out/{name}") for name in ("labels", "probabilities")], "the array 'familiarity/known' rests on 'held_out/labels', which is missing"),
        (lambda arrays: [arrays.pop(f"golden/{name}") for name in ("images", "probabilities")], "the arrays 'golden/images' and 'golden/probabilities' are missing"),
    ],
)  # fmt: skip
def test_arrays_that_make_no_sense_are_refused_in_words(full, change, words):
    assert words in cause(forging.rearranged(full, change))


def test_several_labels_an_image_are_an_indicator(here):
    blueprint = forging.description()["blueprint"] | {"head": "sigmoid"}
    several = forging.description(multi_label=True, blueprint=blueprint)
    labels = np.array([[0, 1], [1, 1], [0, 0]], np.uint8)
    path = bundle.save("a.imgcls", several, forging.weights(), forging.named(held_out__labels=labels))
    np.testing.assert_array_equal(bundle.load(path).named["held_out/labels"], labels)
    with pytest.raises(BundleError, match=r"'held_out/labels' is int64 \(3,\); accepted: uint8 \(h, 2\)"):
        bundle.save("a.imgcls", several, forging.weights(), forging.named())


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()], ids=["full", "Ctrl-C"])
def test_an_interrupted_write_leaves_the_old_file_whole(tiny, here, monkeypatch, step, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(*((os, "fsync", fail) if step == "fsync" else (type(here), "replace", fail)))
    with pytest.raises((BundleError, KeyboardInterrupt)) as caught:
        bundle.save("a.imgcls", forging.description(license=None), forging.weights(), GOLDEN)
    if isinstance(error, OSError):
        assert str(caught.value) == (
            "'a.imgcls' cannot be written: No space left on device. Free the place, or save somewhere else."
        )
    assert (here / "a.imgcls").read_bytes() == tiny
    assert [path.name for path in here.iterdir()] == ["a.imgcls"]


@pytest.mark.parametrize(
    ("path", "change", "words"),
    [
        ("no/a.imgcls", {}, "folder 'no' does not exist. Make it, or save somewhere else."),
        ("b.imgcls", {"license": float("nan")}, "the classifier cannot be saved: Out of range float values are not JSON compliant"),
        ("b.imgcls", {"license": {1, 2}}, "the classifier cannot be saved: Object of type set is not JSON serializable."),
        ("b.imgcls", {"license": 3}, "the classifier cannot be saved: license is 3; accepted: null, or text of at most 10,000 characters without control characters."),
        ("b.imgcls", {"card": "\x1b"}, "the classifier cannot be saved: its model card holds control characters."),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_in_words(here, path, change, words):
    with pytest.raises(BundleError) as caught:
        bundle.save(path, forging.description(**change), forging.weights(), GOLDEN)
    assert str(caught.value).startswith(words)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (np.array([np.nan], np.float32), "the classifier cannot be saved: the weight '0000' holds NaN or infinity; accepted: finite numbers."),
        (np.zeros((0, 3), np.float32), "the classifier cannot be saved: the array '0000' is float32 (0, 3). Accepted: at least one number, of dtype uint64, "),
        (np.zeros(2, np.complex64), "the classifier cannot be saved: the weight '0000' is complex64; accepted: float32, int32."),
    ],
)  # fmt: skip
def test_weights_that_cannot_be_written_are_refused_in_words(here, weight, words):
    with pytest.raises(BundleError) as caught:
        bundle.save("b.imgcls", forging.description(), [weight], GOLDEN)
    assert str(caught.value).startswith(words)


def test_more_than_an_archive_holds_is_refused_in_words(here, monkeypatch):
    monkeypatch.setattr("imgcls.bundle._archive.MOST_BYTES", 2000)
    with pytest.raises(BundleError, match=r"^a bundle holds at most 2,000 bytes, and this one would have 2,\d+\.$"):
        bundle.save("b.imgcls", forging.description(), forging.weights(), GOLDEN)
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
