"""The certificate: readable, strict, and honest about what it was not told."""

import base64
import hashlib
import json
import zlib

import numpy as np
import pytest

from imgcls import ConfigurationError, ExportError
from imgcls.export import Certificate, Facts


@pytest.fixture(scope="module")
def certified(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("certified") / "model.onnx"
    labels = made.truth[8:].argmax(axis=1)
    labels[:8] = (labels[:8] + 1) % 3
    return path, made.to(path, measured=(made.pixels[8:], labels))


def test_it_is_written_beside_the_file(certified):
    path, certificate = certified
    assert sorted(one.name for one in path.parent.iterdir()) == ["model.onnx", "model.onnx.certificate.json"]
    text = path.with_name("model.onnx.certificate.json").read_text(encoding="utf-8")
    assert text == certificate.to_json()
    assert Certificate.from_json(text).to_json() == text


def test_another_program_can_read_it(certified, made):
    path, _ = certified
    value = json.loads(path.with_name("model.onnx.certificate.json").read_text())
    assert value["sha256"] == {"model.onnx": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert value["size"] == path.stat().st_size
    assert (value["accuracy_before"], value["accuracy_after"]) == (0.75, 0.75)
    golden = value["golden"]
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(golden["pixels"])), np.uint8).reshape(golden["shape"])
    np.testing.assert_array_equal(pixels, made.golden)
    expected = np.frombuffer(base64.b64decode(golden["expected"]), "<f4").reshape(8, 3)
    np.testing.assert_array_equal(expected, made.truth[:8])


def test_it_prints_as_a_table(certified, made, tmp_path):
    lines = str(certified[1]).splitlines()
    assert lines[0] == "onnx: passed"
    assert lines[2:4] == ["  images             40, of which 8 golden", "  same answer        100.00%"]
    assert "  accuracy           0.7500 before, 0.7500 after" in lines
    unlabelled = made.to(tmp_path / "model.onnx")
    assert "  accuracy           not known: the images have no labels" in str(unlabelled).splitlines()


def changed(text, **parts):
    value = json.loads(text)
    for name, part in parts.items():
        if part is None:
            del value[name]
        else:
            value[name] = part
    return json.dumps(value)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"certificate": 2}, "it is no certificate of version 1"),
        ({"verdict": None}, "its parts are not "),
        ({"code": "import os"}, "its parts are not "),
        ({"size": "7"}, "size is '7'"),
        ({"agreement": "all"}, "agreement is 'all'"),
        ({"sha256": []}, r"sha256 is \[\]"),
        ({"sha256": {"model.onnx": 7}}, r"sha256\['model.onnx'\] is 7"),
        ({"milliseconds": {"export": "fast"}}, r"milliseconds\['export'\] is 'fast'"),
        ({"facts": {}}, "its format is None"),
        ({"golden": {}}, "its golden images are not described"),
    ],
)
def test_it_is_read_strictly(certified, parts, words):
    with pytest.raises(ExportError, match=rf"^the certificate cannot be read: .*{words}.*\. Export the model again\.$"):
        Certificate.from_json(changed(certified[1].to_json(), **parts))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "null", '{"certificate": 1, "certificate": 1}', '{"size": NaN}', "[" * 5_000, b"\xff\xfe", b"\0" * 99],
)  # a row a case # fmt: skip
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(ExportError, match="the certificate cannot be read"):
        Certificate.from_json(text)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"shape": [8, 16, 16, 1]}, "and the model takes"),
        ({"shape": [-8, 16, 16, 3]}, "and the model takes"),
        ({"shape": [10**9, 16, 16, 3]}, "at most 67,108,864 are read"),
        ({"shape": [7, 16, 16, 3]}, "have not the size that it says"),
        ({"shape": 8}, "non-iterable"),
        ({"pixels": "###"}, "cannot be read"),
        ({"pixels": base64.b64encode(b"no deflate").decode()}, "Error -3"),
        ({"pixels": base64.b64encode(zlib.compress(bytes(10**8))).decode()}, "have not the size that it says"),
        ({"given": base64.b64encode(np.full(24, np.nan, "<f4").tobytes()).decode()}, "are not numbers"),
        ({"given": ""}, "have not the size that it says"),
        ({"given": 7}, "cannot be read"),
    ],
)
def test_golden_images_are_unpacked_within_bounds(certified, parts, words):
    value = json.loads(certified[1].to_json())
    value["golden"] |= parts
    with pytest.raises(ExportError, match=words):
        Certificate.from_json(json.dumps(value))


# --- facts ---------------------------------------------------------------------------------------------------------

FACTS = Facts("small_cnn", ("ant", "bée", 3), (16, 16, 3), 24_000, license="CC0-1.0")


def test_facts_survive_json():
    assert Facts.from_json(FACTS.to_json()) == FACTS
    assert Facts.from_json(FACTS.to_json().encode()) == FACTS


def test_labels_are_one_a_line():
    assert Facts("a", ("two\nlines", "x", 3), (1, 1, 1), 1).labels() == "two lines\nx\n3\n"


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"format": 2}, "its format is 2, and this imgcls reads 1. Install a newer one."),
        ({"classes": None}, "classes and input_shape have to be lists."),
        ({"classes": "ant"}, "classes and input_shape have to be lists."),
        ({"classes": ["a", "a"]}, "classes=('a', 'a') is not accepted. Accepted: different strings or whole numbers."),
        ({"classes": []}, "classes=() is not accepted."),
        ({"classes": ["a", True]}, "Accepted: different strings or whole numbers."),
        ({"classes": ["a", ["b"]]}, "Accepted: different strings or whole numbers."),
        (
            {"input_shape": [16, 16]},
            "input_shape=(16, 16) is not accepted. Accepted: whole numbers above 0 for height, width and channels, together at most 67,108,864.",
        ),
        ({"input_shape": [16, 0, 3]}, "input_shape=(16, 0, 3) is not accepted."),
        ({"input_shape": [100_000, 100_000, 3]}, "input_shape=(100000, 100000, 3) is not accepted."),
        ({"parameters": "many"}, "parameters='many' is not accepted. Accepted: int."),
        ({"multi_label": 1}, "multi_label=1 is not accepted. Accepted: bool."),
        ({"license": 1}, "license=1 is not accepted. Accepted: words, or None."),
        ({"architecture": None}, "architecture"),
        ({"code": "import os"}, "code"),
    ],
)
def test_facts_are_read_strictly(parts, words):
    with pytest.raises(ExportError) as refusal:
        Facts.from_json(changed(FACTS.to_json(), **parts))
    assert words in str(refusal.value)
    assert str(refusal.value).startswith("what the file says of itself is not what imgcls writes: ")


def test_facts_that_are_wrong_cannot_be_made():
    with pytest.raises(ConfigurationError, match="2 arguments are wrong"):
        Facts("small_cnn", ("a", "a"), (16, 16), 24_000)
