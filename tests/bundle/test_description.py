"""Strict JSON, a schema that another library reads the same way, and what a schema cannot say."""

import copy
import json
import random

import forging
import jsonschema
import pytest
from refusals import cause, refusal

from imgcls import __version__, _json
from imgcls.bundle import _schema

VERSION = "It says that imgcls 0.1.0 wrote it, and this is {}: install that one, or a newer one."


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


@pytest.mark.parametrize("count", [500, pytest.param(15_000, marks=pytest.mark.slow)])
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


@pytest.mark.parametrize("count", [60, pytest.param(1_000, marks=pytest.mark.slow)])
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
            {"thresholds": 0.5},
            "thresholds is 0.5; accepted: null, or for each class a probability from 0 to 1, or null: with several labels an image, a class is said from there on, else from one half; of two classes one has a number, and is said from there on",
        ),
        ({"thresholds": [0.5]}, "thresholds are 1 numbers, and there are 2 classes"),
        (
            {"thresholds": [0.5, 0.5]},
            "of two classes one has the threshold, and the other is said below it: 2 are given. Accepted: such as {'dog': 0.3}, or None",
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
            'license is "\\u001b[2J"; accepted: null, or text of at most 100,000 characters without control characters',
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
