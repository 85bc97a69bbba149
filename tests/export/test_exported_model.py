"""Exports opened again: without TensorFlow, and never in spite of damage."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from by_hand import lively

from imgcls import ExportError
from imgcls.export import Certificate, ExportedModel, _formats

DATA = ("model.onnx", "model.tflite", "model.xml")  # formats that are data


def copied(kept, folder, name, *, certificate=True):
    """Copy one export with its certificate, to be damaged."""
    for path in kept.glob(f"{name.split('.')[0]}.*"):
        mine = path.name.startswith(name) or (name.endswith(".xml") and path.suffix == ".bin")
        if mine and (certificate or path.suffix != ".json"):
            shutil.copy(path, folder)
    return folder / name


# --- using ---------------------------------------------------------------------------------------------------------

FRESH = """
import json, sys
import numpy as np
from imgcls.export import ExportedModel

model = ExportedModel.open(sys.argv[1])
same = bool(model.verify())
one = model.predict(sys.argv[2])
many = model.predict_proba(np.load(sys.argv[3]))
heavy = [name for name in ("tensorflow", "keras", "onnx", "tf2onnx") if name in sys.modules]
print(json.dumps([same, one.label, one.probabilities, many.tolist(), heavy]))
"""


@pytest.mark.parametrize("name", DATA)
def test_data_is_run_without_tensorflow_in_another_process(made, kept, tmp_path, name):
    from PIL import Image

    from imgcls import images

    picture = images.drawn(3, (50, 41, 3))[2]
    Image.fromarray(picture).save(tmp_path / "picture.png")
    np.save(tmp_path / "pixels.npy", made.pixels)
    places = {variable: str(tmp_path / "home") for variable in ("HOME", "XDG_CACHE_HOME", "KERAS_HOME")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FRESH, kept / name, tmp_path / "picture.png", tmp_path / "pixels.npy"],
        env=os.environ | places,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    same, label, probabilities, many, heavy = json.loads(done.stdout)
    assert (same, heavy) == (True, [])
    np.testing.assert_allclose(many, made.truth, rtol=0, atol=1e-5)
    small = np.asarray(Image.fromarray(picture).resize((16, 16), Image.Resampling.BILINEAR), np.float32)
    expected = np.asarray(made.model(small[None], training=False))[0]
    assert label == made.facts.classes[expected.argmax()]
    assert [probabilities[one] for one in made.facts.classes] == pytest.approx(expected.tolist(), abs=1e-5)
    assert not (tmp_path / "home").exists()  # neither library has left its name there


def test_labels_are_the_classes_whatever_they_are(tmp_path):
    lively(classes=(3, 1, 2)).to(tmp_path / "model.onnx")
    model = ExportedModel.open(tmp_path / "model.onnx")
    assert model.classes == [3, 1, 2]
    pixels = lively(classes=(3, 1, 2)).pixels
    assert set(model.predict(pixels).labels.tolist()) == {1, 2, 3}
    assert repr(model) == f"ExportedModel('{tmp_path / 'model.onnx'}', onnx, 3 classes)"


def test_several_labels_are_several_labels(tmp_path):
    made = lively(head="sigmoid")
    made.to(tmp_path / "model.onnx")
    found = ExportedModel.open(tmp_path / "model.onnx").predict(made.pixels)
    np.testing.assert_array_equal(found.labels, made.truth >= 0.5)


@pytest.mark.parametrize("name", DATA)
def test_threads_may_share_one(made, kept, name):
    model = ExportedModel.open(kept / name)
    parts = [slice(index % 30, index % 30 + 1 + index % 5) for index in range(60)]
    with ThreadPoolExecutor(4) as pool:
        for part, found in zip(
            parts, pool.map(lambda part: model.predictor.run(made.pixels[part]), parts), strict=True
        ):
            np.testing.assert_allclose(found, made.truth[part], rtol=0, atol=1e-5)


def test_weights_that_are_written_over_are_not_those_of_a_model_in_use(made, kept, tmp_path):
    """It holds no file open either: under Windows such a one can be neither replaced nor renamed."""
    path = copied(kept, tmp_path, "model.xml")
    model = ExportedModel.open(path)
    weights = path.with_suffix(".bin")
    with weights.open("r+b") as file:
        file.write(bytes(weights.stat().st_size))
    np.testing.assert_allclose(model.predict_proba(made.pixels), made.truth, rtol=0, atol=1e-5)
    maps = Path("/proc/self/maps")
    assert not maps.exists() or str(weights) not in maps.read_text()


@pytest.mark.parametrize("certificate", [True, False])
def test_a_table_names_the_model_that_answers_whatever_lies_there_since(made, kept, tmp_path, certificate):
    path = copied(kept, tmp_path, "model.onnx", certificate=certificate)
    model = ExportedModel.open(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(b"another model")
    model.predict_to(tmp_path / "answers.jsonl", made.pixels[:3], verbose=0)
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert {row["model"] for row in rows} == {hashlib.sha256(digest.encode()).hexdigest()[:12]}


# --- verifying -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATA)
def test_verify_says_how_far_answers_are(kept, name):
    found = ExportedModel.open(kept / name).verify()
    assert (bool(found), found.images, found.agreeing) == (True, 8, 8)
    assert found.difference <= 1e-6


def test_verify_is_false_where_answers_are_others(kept, tmp_path):
    """A certificate whose hash fits and whose probabilities do not: of a machine that computes otherwise."""
    path = copied(kept, tmp_path, "model.onnx")
    place = tmp_path / "model.onnx.certificate.json"
    value = json.loads(place.read_text())
    certificate = Certificate.from_json(place.read_text())
    given = certificate.golden.given.copy()
    given[0] = given[0][::-1] * 0.9
    import base64

    value["golden"]["given"] = base64.b64encode(given.astype("<f4").tobytes()).decode()
    place.write_text(json.dumps(value))
    found = ExportedModel.open(path).verify()
    assert not found
    assert found.difference > 0.05


def test_without_its_certificate_data_predicts_and_is_not_verified(made, kept, tmp_path):
    path = copied(kept, tmp_path, "model.onnx", certificate=False)
    model = ExportedModel.open(path)
    assert model.certificate is None
    np.testing.assert_allclose(model.predict_proba(made.pixels), made.truth, rtol=0, atol=1e-5)
    with pytest.raises(ExportError) as refusal:
        model.verify()
    assert str(refusal.value) == (
        f"'{path}' has no certificate: '{path}.certificate.json' is missing. Copy it from where the model was exported, or export again."
    )


def test_an_export_may_be_renamed_with_its_certificate(kept, tmp_path):
    for name in ("model.onnx", "model.xml"):
        copied(kept, tmp_path, name)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("model", "flowers")))
    assert ExportedModel.open(tmp_path / "flowers.onnx").verify()
    assert ExportedModel.open(tmp_path / "flowers.xml").verify()


def test_a_certificate_that_says_other_classes_is_refused(kept, tmp_path):
    path = copied(kept, tmp_path, "model.onnx")
    place = tmp_path / "model.onnx.certificate.json"
    value = json.loads(place.read_text())
    value["facts"]["classes"] = ["ant", "cat", "bee"]
    place.write_text(json.dumps(value))
    with pytest.raises(ExportError, match="is not the file that its certificate is for"):
        ExportedModel.open(path).verify()


# --- damage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATA)
def test_one_other_bit_is_refused_before_it_is_parsed(kept, tmp_path, monkeypatch, name):
    path = copied(kept, tmp_path, name)
    file = path.with_suffix(".bin") if name.endswith(".xml") else path
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    row = _formats._ENDINGS[path.suffix]
    monkeypatch.setitem(_formats._ENDINGS, path.suffix, row._replace(read=lambda path: pytest.fail("it was parsed")))
    with pytest.raises(ExportError) as refusal:
        ExportedModel.open(path)
    assert str(refusal.value) == (
        f"'{path}' is not the file that its certificate is for: it is truncated, damaged, altered or another. Get both again, or export again."
    )


def test_a_certificate_of_another_export_is_refused(kept, tmp_path):
    path = copied(kept, tmp_path, "model.onnx")
    shutil.copy(kept / "model.tflite.certificate.json", tmp_path / "model.onnx.certificate.json")
    with pytest.raises(ExportError, match="is not the file that its certificate is for"):
        ExportedModel.open(path)
    (tmp_path / "model.onnx.certificate.json").write_text("{}")
    with pytest.raises(ExportError, match="the certificate cannot be read: it is no certificate of version 1"):
        ExportedModel.open(path)


def test_a_file_that_changes_after_it_was_opened_is_not_verified(kept, tmp_path):
    path = copied(kept, tmp_path, "model.onnx")
    model = ExportedModel.open(path)
    with path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ExportError, match="is not the file that its certificate is for"):
        model.verify()


@pytest.mark.parametrize("name", DATA)
def test_files_that_are_cut_off_are_refused_without_a_certificate_too(kept, tmp_path, name):
    path = copied(kept, tmp_path, name, certificate=False)
    whole = path.read_bytes()
    for length in (0, 1, 8, 100, len(whole) // 2, len(whole) - 50):
        path.write_bytes(whole[:length])
        with pytest.raises(
            ExportError, match=r"^'.*' cannot be opened as \w+: .*\. Get the file again, or export again\.$"
        ):
            ExportedModel.open(path)


@pytest.mark.parametrize("name", DATA)
def test_a_file_of_another_kind_is_refused(kept, tmp_path, name):
    path = tmp_path / name
    others = [kept / other for other in DATA if other != name]
    for data in (*(other.read_bytes() for other in others), b"PK\3\4", b"<net/>", b"\x80\x04.", os.urandom(2_000)):
        path.write_bytes(data)
        with pytest.raises(ExportError, match="cannot be opened as"):
            ExportedModel.open(path)


def test_a_model_of_another_program_is_refused(kept, tmp_path):
    import onnx

    model = onnx.load(kept / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ExportError) as refusal:
        ExportedModel.open(tmp_path / "model.onnx")
    assert str(refusal.value) == (
        f"'{tmp_path / 'model.onnx'}' cannot be opened as ONNX: it does not say its classes: another program made it. Accepted: what ImageClassifier.export wrote. Get the file again, or export again."
    )


def test_classes_that_are_not_as_many_as_probabilities_are_refused(kept, tmp_path):
    import onnx

    model = onnx.load(kept / "model.onnx")
    notes = {one.key: one.value for one in model.metadata_props}
    facts = json.loads(notes["imgcls"]) | {"classes": ["ant", "bee"]}
    onnx.helper.set_model_props(model, notes | {"imgcls": json.dumps(facts)})
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ExportError, match=r"it gives \(3,\) for an image, and has 2 classes"):
        ExportedModel.open(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", DATA)
def test_data_is_opened_where_nothing_can_be_written(kept, tmp_path, monkeypatch, name):
    """As in a container that is read-only, where Python finds no folder for temporary files."""
    path = copied(kept, tmp_path, name)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError):
        tempfile.mkdtemp()
    assert ExportedModel.open(path).verify()


def outside(value, location):
    """Turn a tensor into one that says its numbers are in another file."""
    count = len(value.raw_data)
    value.ClearField("raw_data")
    value.data_location = value.EXTERNAL
    for key, said in (("location", location), ("offset", 0), ("length", count)):
        value.external_data.add(key=key, value=str(said))


def hidden_in_a_constant(graph):
    """Move a weight from the graph's list into a node, and return it."""
    from onnx import helper

    weight = graph.initializer.pop()
    graph.node.insert(0, helper.make_node("Constant", [], [weight.name], value=weight))
    return graph.node[0].attribute[0].t


@pytest.mark.parametrize("found", [lambda graph: graph.initializer[-1], hidden_in_a_constant], ids=["weight", "node"])
@pytest.mark.parametrize("location", ["secret", "below/secret", "../here/secret", "../secret", "{folder}/secret"])
def test_an_onnx_file_reads_no_other_file(kept, tmp_path, monkeypatch, location, found):
    """ONNX may keep weights in other files, and a hostile one could name any: where it lies, and where we stand."""
    import onnx

    model = onnx.load(kept / "model.onnx")
    weight = found(model.graph)
    numbers = weight.raw_data
    assert numbers
    outside(weight, location.format(folder=tmp_path))
    (tmp_path / "here" / "below").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "here", tmp_path / "here" / "below"):
        (folder / "secret").write_bytes(numbers)  # with which it would answer as before
    onnx.save(model, tmp_path / "here" / "model.onnx")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ExportError, match="cannot be opened as ONNX"):
        ExportedModel.open("model.onnx")


@pytest.mark.parametrize("offset", [2**64 - 96, 2**63, 10**9])
def test_a_litert_file_reads_nothing_outside_of_itself(kept, tmp_path, offset):
    """Without the check LiteRT takes the first for bytes before the file's, and answers by them."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf((kept / "model.tflite").read_bytes())
    buffer = max((one for one in model.buffers if one.data is not None), key=lambda one: len(one.data))
    buffer.offset, buffer.size, buffer.data = offset, len(buffer.data), None
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    with zipfile.ZipFile(kept / "model.tflite") as archive:
        facts = archive.read("imgcls.json")
    path = tmp_path / "model.tflite"
    path.write_bytes(builder.Output())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("imgcls.json", facts)
    with pytest.raises(ExportError, match="cannot be opened as LiteRT: numbers of it are said to lie outside"):
        ExportedModel.open(path)


def test_paths_that_are_no_exports_are_worded(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photo.jpg").write_bytes(b"")
    for name, words in (
        ("none.onnx", "does not exist. Check the path and the working directory."),
        ("photos", "is a folder, and no SavedModel. Accepted: what ImageClassifier.export wrote."),
        ("photo.jpg", "ends with is of no format that imgcls exports."),
    ):
        with pytest.raises(ExportError) as refusal:
            ExportedModel.open(tmp_path / name)
        assert words in str(refusal.value)


# --- programs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "title"), [("model.keras", "a .keras file"), ("model", "a SavedModel")])
def test_programs_are_opened_on_trust_alone(made, tmp_path, name, title):
    made.to(tmp_path / name)
    with pytest.raises(ExportError) as refusal:
        ExportedModel.open(tmp_path / name)
    assert str(refusal.value) == (
        f"'{tmp_path / name}' is {title}: a program, which can read, write and run what it likes. If you made it, or trust who did as you would with a program: ExportedModel.open(path, trust=True), or --trust in a shell."
    )
    assert ExportedModel.open(tmp_path / name, trust=True).verify()


def test_a_program_needs_its_certificate(made, tmp_path):
    made.to(tmp_path / "model.keras")
    (tmp_path / "model.keras.certificate.json").unlink()
    with pytest.raises(ExportError, match="has no certificate"):
        ExportedModel.open(tmp_path / "model.keras", trust=True)


def test_a_keras_file_of_another_program_is_not_even_opened(made, tmp_path, monkeypatch):
    import keras

    made.to(tmp_path / "model.keras")
    foreign = tmp_path / "foreign.keras"
    made.model.save(foreign)
    place = tmp_path / "foreign.keras.certificate.json"
    value = json.loads((tmp_path / "model.keras.certificate.json").read_text())
    value["sha256"] = {"foreign.keras": hashlib.sha256(foreign.read_bytes()).hexdigest()}
    place.write_text(json.dumps(value))
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(ExportError, match="another program made it"):
        ExportedModel.open(foreign, trust=True)


def test_a_file_more_in_a_saved_model_is_refused(made, tmp_path):
    made.to(tmp_path / "model")
    (tmp_path / "model" / "assets.extra" / "more").write_bytes(b"")
    with pytest.raises(ExportError, match="is not the file that its certificate is for"):
        ExportedModel.open(tmp_path / "model", trust=True)


def test_an_archive_that_unfolds_without_end_is_not_unfolded(kept, tmp_path):
    path = copied(kept, tmp_path, "model.tflite", certificate=False)
    model = path.read_bytes()
    path.write_bytes(model[: model.rindex(b"PK\3\4", 0, model.index(b"labels.txt"))])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("imgcls.json", bytes(300_000_000))
    with pytest.raises(ExportError, match="cannot be opened as LiteRT"):
        ExportedModel.open(path)
