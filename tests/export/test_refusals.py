"""What is refused, in which words, and that nothing is left behind."""

import shutil

import numpy as np
import pytest
from by_hand import lively

from imgcls import ConfigurationError, ExportError, images
from imgcls._thresholds import Thresholds
from imgcls.export import (
    Certificate,
    ExportedModel,
    _export,
    _formats,
    _measure,
    _onnx,
    _place,
    _saved_model,
    stratified,
)


def everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def other_answers(monkeypatch):
    """Let ONNX Runtime differ by a number, for some pictures."""

    def set_(difference, every=1):
        read = _onnx.read

        def reads(path):
            facts, run = read(path)

            def differs(pixels):
                found = run(pixels)
                found[::every, 0] += difference
                return found

            return facts, differs

        row = _formats._TABLE["onnx"]._replace(read=reads)
        monkeypatch.setitem(_formats._TABLE, "onnx", row)
        monkeypatch.setitem(_formats._ENDINGS, ".onnx", row)

    return set_


@pytest.fixture
def timed(monkeypatch):
    """Set what the clock says."""

    def set_(**milliseconds):
        monkeypatch.setattr(_measure, "medians", lambda ways, image: ({way: milliseconds[way] for way in ways}, 7))

    return set_


# --- answers -------------------------------------------------------------------------------------------------------


def test_another_probability_is_refused_and_nothing_is_left(made, tmp_path, other_answers):
    other_answers(0.002, every=40)
    with pytest.raises(ExportError) as refusal:
        made.to(tmp_path / "model.onnx")
    assert str(refusal.value) == (
        "the export as ONNX is refused: a probability differs by 2.0e-03, and 1.0e-03 is accepted. Nothing was written. Another format may do; please report it, for this is a fault."
    )
    assert everything(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_reads_files_otherwise_than_imgcls_is_refused(made, tmp_path, monkeypatch):
    """Such as one that decodes colours in another order."""
    monkeypatch.setattr(_saved_model, "_resize", lambda pixels, size: pixels[..., ::-1])
    with pytest.raises(ExportError, match=r"what is read from files differs by .* of a probability, and 0\.001 is acc"):
        made.to(tmp_path / "model")
    assert everything(tmp_path) == {}


def test_what_is_accepted_is_certified(made, tmp_path, other_answers):
    other_answers(0.0009)
    assert made.to(tmp_path / "model.onnx").largest_difference == pytest.approx(9e-4, rel=0.02)


def test_what_is_not_a_number_is_refused(made, tmp_path, other_answers):
    other_answers(np.nan)
    with pytest.raises(ExportError, match=r"it gives the same answer for 0.00% of 8 images; a probability"):
        made.to(tmp_path / "model.onnx")


def test_force_does_not_keep_a_fault(made, tmp_path, other_answers):
    other_answers(0.9, every=3)
    with pytest.raises(ExportError, match="is refused"):
        made.to(tmp_path / "model.onnx", force=True)


@pytest.mark.parametrize("name", ["model.onnx", "model"])
def test_an_older_export_stays_where_a_new_one_is_refused(made, tmp_path, monkeypatch, name):
    made.to(tmp_path / name)
    before = everything(tmp_path)
    monkeypatch.setattr(_export, "_apart", lambda *_: ["it does not agree"])
    with pytest.raises(ExportError, match="it does not agree"):
        made.to(tmp_path / name)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["model.onnx", "model.xml", "model"])
def test_a_new_export_replaces_an_older_one_whole(made, tmp_path, name):
    lively(classes=("x", "y")).to(tmp_path / name)
    names = set(everything(tmp_path))
    made.to(tmp_path / name)
    assert set(everything(tmp_path)) == names
    assert ExportedModel.open(tmp_path / name, trust=True).verify()


def test_a_disk_that_is_full_leaves_the_older_folder(made, tmp_path, monkeypatch):
    from pathlib import Path

    made.to(tmp_path / "model")
    before = everything(tmp_path)
    rename = Path.rename

    def renames(self, target):
        if self.name == "model" and self.parent != tmp_path:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", renames)
    with pytest.raises(ExportError, match=r"'model' cannot be put in its place: .*No space left on device"):
        made.to(tmp_path / "model")
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["model.onnx", "model.tflite", "model.keras", "model.xml"])
def test_where_the_power_goes_between_two_names_the_place_can_be_exported_to(made, tmp_path, monkeypatch, name):
    """A model is never there without its certificate, by which the place is known for ours."""
    from pathlib import Path

    renamed, replace = [], Path.replace

    def replaces(self, target):
        renamed.extend([target] if target.parent == tmp_path else [])
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replaces)
        made.to(tmp_path / name)
    assert set(renamed) == {one for one in tmp_path.iterdir() if one.is_file()}
    for count in range(1, len(renamed)):
        folder = tmp_path / str(count)
        folder.mkdir()
        for one in renamed[:count]:
            shutil.copy(one, folder)
        with pytest.raises(ExportError):  # nothing half is opened
            ExportedModel.open(folder / name, trust=True)
        _place.check_place(folder / name, _formats.by_ending(folder / name))  # nothing is in the way


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("model.onnx", "model.onnx.certificate.json"),
        ("model.onnx", "model.onnx"),
        ("model.xml", "model.xml"),
        ("model.xml", "model.bin"),
    ],
)
@pytest.mark.parametrize("error", [PermissionError(13, "it is in use"), KeyboardInterrupt()])
def test_a_file_that_cannot_be_replaced_leaves_the_older_export_whole(made, tmp_path, monkeypatch, name, held, error):
    """As on Windows, where a program has it open."""
    from pathlib import Path

    replace = Path.replace

    def replaces(self, target):
        if target == tmp_path / held:
            raise error
        return replace(self, target)

    lively(classes=("x", "y")).to(tmp_path / name)
    before = everything(tmp_path)
    monkeypatch.setattr(Path, "replace", replaces)
    with pytest.raises((ExportError, KeyboardInterrupt)):
        made.to(tmp_path / name)
    assert everything(tmp_path) == before
    for one in tmp_path.iterdir():
        one.unlink()
    with pytest.raises((ExportError, KeyboardInterrupt)):
        made.to(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_the_system_refuses_is_told_in_words(made, tmp_path, monkeypatch):
    name = "a" * 250 + ".onnx"
    with pytest.raises(
        ExportError, match=r"a\.onnx' cannot be written: .*\. Free the place, or export somewhere else\.$"
    ):
        made.to(tmp_path / name)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(_formats._ENDINGS, ".onnx", _formats._TABLE["onnx"]._replace(write=full))
    with pytest.raises(ExportError) as refusal:
        made.to(tmp_path / "model.onnx")
    assert str(refusal.value) == (
        f"'{tmp_path / 'model.onnx'}' cannot be written: [Errno 28] No space left on device. Free the place, or export somewhere else."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_converter_that_fails_is_worded(made, tmp_path, monkeypatch):
    def fails(*_):
        message = "no such operation\nand a trace of it"
        raise RuntimeError(message)

    monkeypatch.setitem(_formats._ENDINGS, ".onnx", _formats._TABLE["onnx"]._replace(write=fails))
    with pytest.raises(ExportError) as refusal:
        made.to(tmp_path / "model.onnx")
    assert str(refusal.value) == (
        "ONNX cannot hold this model: no such operation. Nothing was written; another format may hold it."
    )
    assert list(tmp_path.iterdir()) == []


def test_golden_images_of_another_model_are_refused(made, tmp_path):
    with pytest.raises(ExportError) as refusal:
        made.to(tmp_path / "model.onnx", golden=(made.golden, made.truth[8:16]))
    assert str(refusal.value) == (
        "the model does not give the probabilities of the golden images: they are another model's."
    )


def test_facts_of_another_model_are_refused(made, tmp_path):
    with pytest.raises(ExportError) as refusal:
        made.to(tmp_path / "model.onnx", facts=lively(classes=("x", "y")).facts)
    assert str(refusal.value) == (
        "the model takes (16, 16, 3) and gives (3,), and (16, 16, 3) to (2,) was said. Its facts are of another model."
    )


def test_a_resize_that_changes_much_is_refused_unless_forced(made, tmp_path, monkeypatch):
    monkeypatch.setattr(_export, "_resize_difference", lambda *_: 0.2)
    with pytest.raises(ExportError) as refusal:
        made.to(tmp_path / "model.onnx", any_size=True)
    words = "images that it resizes itself change a probability by 2.0e-01, and 0.1 is accepted"
    assert str(refusal.value) == (
        f"the export as ONNX is refused: {words}. Nothing was written. Export without any_size, or keep it with force=True."
    )
    assert made.to(tmp_path / "model.onnx", any_size=True, force=True).verdict == f"forced: {words}"


def test_a_resize_that_is_not_antialiased_is_found(tmp_path, monkeypatch):
    """The figure that decides tells a wrong resize from a right one."""
    from imgcls.export._source import Source

    made = lively(side=24)
    source = Source.of(made.model, made.facts)

    def nearest(pixels):
        rows, columns = (np.arange(24) * side // 24 for side in pixels.shape[1:3])
        return source.run(np.ascontiguousarray(pixels[:, rows][:, :, columns]))

    assert _export._resize_difference(nearest, source) > 0.1


# --- places and names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wanted", "words"),
    [
        (
            "model.pt",
            {},
            "what '{path}' ends with is of no format that imgcls exports. Accepted: .onnx (onnx), .tflite (litert), .xml (openvino), .keras (keras), or a folder (saved_model).",
        ),
        ("model", {"form": "onxx"}, "format='onxx' is not known. Did you mean 'onnx'? Accepted: saved_model, onnx, litert, openvino, keras."),
        ("model.tflite", {"form": "onnx"}, "'{path}' does not go with format='onnx'. Accepted: a file that ends with .onnx."),
        ("model.onnx", {"form": "saved_model"}, "'{path}' does not go with format='saved_model'. Accepted: the name of a folder."),
        ("model.KERAS", {}, "'{path}' ends with .KERAS, and keras takes small letters alone. Accepted: '{accepted}.keras'."),
        ("model.Xml", {"form": "openvino"}, "'{path}' ends with .Xml, and openvino takes small letters alone. Accepted: '{accepted}.xml'."),
        ("model.onnx", {"quantize": "int8"}, "quantize='int8' is for format='litert' alone. Leave it out, or name the file .tflite."),
        ("model.tflite", {"quantize": "int4"}, "quantize='int4' is not known. Did you mean 'int8'? Accepted: None, float16, int8."),
        (
            "model.tflite",
            {"quantize": "int8"},
            "quantize='int8' sets its ranges by images, and there are none. Give some hundred, of all classes: representative=... .",
        ),
        (
            "model.tflite",
            {"any_size": True},
            "any_size=True is for the formats saved_model, onnx, openvino: LiteRT has no resize. Leave it out.",
        ),
    ],
)  # a row a case # fmt: skip
def test_arguments_are_checked_before_any_work(made, tmp_path, name, wanted, words):
    with pytest.raises(ConfigurationError) as refusal:
        made.to(tmp_path / name, **wanted)
    assert str(refusal.value) == words.format(path=tmp_path / name, accepted=tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "title", "mine"),
    [
        ("photos", "a SavedModel", ["photos/mine.jpg"]),
        ("model", "a SavedModel", ["model"]),
        ("model.onnx", "ONNX", ["model.onnx"]),
        ("model.onnx", "ONNX", ["model.onnx/mine.txt"]),
        ("model.keras", "a .keras file", ["model.keras"]),
        ("model.xml", "OpenVINO", ["model.xml", "model.bin"]),
        ("model.xml", "OpenVINO", ["model.bin"]),
    ],
)
def test_places_that_are_taken_are_left_alone(made, tmp_path, name, title, mine):
    for one in mine:
        (tmp_path / one).parent.mkdir(exist_ok=True)
        (tmp_path / one).write_bytes(b"mine")
    with pytest.raises(ExportError) as refusal:
        made.to(tmp_path / name)
    assert str(refusal.value) == (
        f"'{tmp_path / mine[0].split('/')[0]}' exists, and no certificate says that it is an earlier export as {title}. "
        "Move it away, or export under another name."
    )
    assert everything(tmp_path) == dict.fromkeys(mine, b"mine")


@pytest.mark.parametrize("name", ["model.ONNX", "model.TFLite"])
def test_what_is_read_by_us_may_end_in_capitals(made, tmp_path, name):
    made.to(tmp_path / name)
    assert ExportedModel.open(tmp_path / name).verify()


def test_a_folder_that_holds_a_file_of_yours_is_left_alone(made, tmp_path):
    made.to(tmp_path / "model")
    mine = tmp_path / "model" / "assets.extra" / "notes.txt"
    mine.write_text("mine")
    before = everything(tmp_path)
    with pytest.raises(ExportError) as refusal:
        made.to(tmp_path / "model")
    assert str(refusal.value) == (
        f"'{mine}' exists, and no certificate says that it is an earlier export as a SavedModel. "
        "Move it away, or export under another name."
    )
    assert everything(tmp_path) == before
    mine.unlink()
    for left in (".DS_Store", "._saved_model.pb", "variables/._variables.index"):  # by a Mac: shown, copied, unpacked
        (tmp_path / "model" / left).write_text("of its Finder")
    assert ExportedModel.open(tmp_path / "model", trust=True).verify()
    made.to(tmp_path / "model")
    assert set(everything(tmp_path)) == set(before) - {mine.relative_to(tmp_path).as_posix()}


def test_a_place_is_somewhere(made, tmp_path):
    with pytest.raises(ExportError, match=r"folder '.*nowhere' does not exist. Make it, or export somewhere else."):
        made.to(tmp_path / "nowhere" / "model.onnx")


@pytest.mark.parametrize(
    ("name", "lacking", "words"),
    [
        ("model.onnx", {"tf2onnx"}, 'ONNX needs tf2onnx. Install it: pip install "imgcls[onnx]".'),
        ("model.onnx", {"onnx", "tf2onnx"}, 'ONNX needs onnx and tf2onnx. Install it: pip install "imgcls[onnx]".'),
        ("model.tflite", {"ai_edge_litert"}, 'LiteRT needs ai-edge-litert. Install it: pip install "imgcls[litert]".'),
        ("model.xml", {"openvino"}, 'OpenVINO needs openvino. Install it: pip install "imgcls[fast]".'),
    ],
)
def test_what_is_not_installed_is_named_with_the_line_that_installs_it(
    made, kept, tmp_path, monkeypatch, name, lacking, words
):
    monkeypatch.setattr(_formats, "find_spec", lambda module: None if module in lacking else module)
    with pytest.raises(ExportError) as refusal:
        made.to(tmp_path / name)
    assert str(refusal.value) == words
    if "tf2onnx" in lacking:  # which writes alone
        assert ExportedModel.open(kept / name).verify()
    else:
        with pytest.raises(ExportError) as refusal:
            ExportedModel.open(kept / name)
        assert str(refusal.value) == words


# --- quantised -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def learnt():
    """A classifier that has learnt digits, and digits that it has not seen."""
    from by_hand import Made

    from imgcls import Dataset, ImageClassifier
    from imgcls.export import Facts

    seen, new = Dataset.builtin("digits").split((0.8, 0.2))
    classifier = ImageClassifier("small_cnn", image_size=8, epochs=6, augmentation=None).fit(seen, verbose=0)
    facts = Facts("small_cnn", tuple(classifier.classes_.tolist()), (8, 8, 1), classifier.model_.count_params())
    some = seen[stratified(np.asarray(seen.labels), 50)]
    representative, measured = (
        np.stack([part.read(index, size=(8, 8), channels=1) for index in range(len(part))]) for part in (some, new)
    )
    data = {"representative": representative, "measured": (measured, np.asarray(new.labels))}
    return Made(classifier.model_, facts), data


def test_int8_is_certified_by_its_accuracy(learnt, tmp_path, timed):
    made, data = learnt
    timed(export=1.0, original=3.0, float32=2.0)
    whole = made.to(tmp_path / "float32.tflite", measured=data["measured"])
    certificate = made.to(tmp_path / "model.tflite", quantize="int8", **data)
    assert certificate.verdict == "passed"
    assert certificate.size < whole.size / 2
    pixels, labels = data["measured"]
    before = np.asarray(made.model(pixels.astype(np.float32), training=False)).argmax(axis=1)
    assert certificate.accuracy_before == pytest.approx((before == labels).mean())
    assert certificate.accuracy_before - certificate.accuracy_after <= 0.01
    assert 1e-3 < certificate.largest_difference < 0.5  # it is not float32 under another name
    assert certificate.milliseconds == {"export": 1.0, "original": 3.0, "float32": 2.0}
    model = ExportedModel.open(tmp_path / "model.tflite")
    assert (model.predict_proba(pixels).argmax(axis=1) == labels).mean() == pytest.approx(certificate.accuracy_after)
    assert model.verify()


@pytest.mark.slow
def test_int8_takes_pixels_and_gives_floats_and_is_int8_by_channel_inside(learnt, tmp_path, timed):
    from ai_edge_litert.interpreter import Interpreter

    made, data = learnt
    timed(export=1.0, original=3.0, float32=2.0)
    made.to(tmp_path / "model.tflite", quantize="int8", **data)
    interpreter = Interpreter(model_path=str(tmp_path / "model.tflite"))
    assert interpreter.get_input_details()[0]["dtype"] is np.uint8
    assert interpreter.get_output_details()[0]["dtype"] is np.float32
    kernels = [one for one in interpreter.get_tensor_details() if one["dtype"] is np.int8 and len(one["shape"]) == 4]
    by_channel = [one for one in kernels if len(one["quantization_parameters"]["scales"]) == one["shape"][0] > 1]
    assert len(by_channel) == 3  # convolutions


@pytest.mark.slow
def test_int8_that_is_slower_is_refused_unless_forced(learnt, tmp_path, timed):
    made, data = learnt
    timed(export=3.0, original=3.0, float32=2.0)
    with pytest.raises(ExportError) as refusal:
        made.to(tmp_path / "model.tflite", quantize="int8", **data)
    assert str(refusal.value) == (
        "the export as LiteRT is refused: one image takes 3 ms, and 2 ms in float32, on this machine. Nothing was written. Export with quantize='float16', or keep it with force=True."
    )
    assert list(tmp_path.iterdir()) == []
    certificate = made.to(tmp_path / "model.tflite", quantize="int8", force=True, **data)
    assert certificate.verdict == "forced: one image takes 3 ms, and 2 ms in float32, on this machine"
    assert (
        Certificate.from_json((tmp_path / "model.tflite.certificate.json").read_text()).verdict == certificate.verdict
    )


@pytest.mark.slow
def test_int8_that_is_a_point_worse_is_refused(learnt, tmp_path, timed):
    """Ranges that are set by black pictures cut off everything."""
    made, data = learnt
    timed(export=1.0, original=3.0, float32=2.0)
    black = {**data, "representative": np.zeros((10, 8, 8, 1), np.uint8)}
    with pytest.raises(ExportError, match=r"its accuracy is 0\.\d{4}, and the original's 0\.9\d{3}; 0\.01 less is acc"):
        made.to(tmp_path / "model.tflite", quantize="int8", **black)
    unlabelled = {**black, "measured": (data["measured"][0], None)}
    with pytest.raises(
        ExportError, match=r"it gives the same answer for \d+\.\d\d% of 397 images, and 99% is accepted"
    ):
        made.to(tmp_path / "model.tflite", quantize="int8", **unlabelled)


def test_float16_halves_the_file(learnt, tmp_path):
    made, data = learnt
    whole = made.to(tmp_path / "float32.tflite")
    half = made.to(tmp_path / "model.tflite", quantize="float16", measured=data["measured"])
    assert half.size < 0.65 * whole.size
    assert 0 < half.largest_difference < 0.05
    assert abs(half.accuracy_before - half.accuracy_after) <= 0.01


# --- measuring -----------------------------------------------------------------------------------------------------


def compared(expected, given, labels=None, *, numbers=None, multi_label=False, tie=0.0):
    expected, given = (np.array(one, np.float32) for one in (expected, given))
    thresholds = Thresholds.of(numbers, range(expected.shape[1]), multi_label=multi_label)
    return _measure.compare(
        expected, given, None if labels is None else np.array(labels), thresholds=thresholds, tie=tie
    )


def test_answers_are_compared_and_ties_may_change_places():
    expected = [[0.6, 0.4], [0.5004, 0.4996], [0.2, 0.8]]
    given = [[0.6, 0.4], [0.4999, 0.5001], [0.2, 0.8]]
    assert compared(expected, given).agreement == pytest.approx(2 / 3)
    assert compared(expected, given, tie=0.001).agreement == 1
    found = compared(expected, given, labels=[1, 1])  # of the last two
    assert (found.images, found.accuracy_before, found.accuracy_after) == (3, 0.5, 1.0)
    assert found.largest_difference == pytest.approx(0.0005, rel=1e-3)
    assert compared(expected, given).accuracy_before is None


def test_where_the_original_gives_no_number_nothing_is_compared():
    expected, given = [[0.6, 0.4], [np.nan, np.nan], [0.2, 0.8]], [[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]]
    found = compared(expected, given, labels=[0, 1])  # of the last two
    assert found == _measure.Comparison(2, 1.0, 0.0, 1.0, 1.0)
    assert compared(expected[:2], given[:2], labels=[0]) == _measure.Comparison(1, 1.0, 0.0, None, None)
    lost = compared(given, expected)  # a number that the export does not give is a fault
    assert (lost.images, lost.agreement, lost.largest_difference) == (3, pytest.approx(2 / 3), 1.0)


def test_several_labels_agree_if_all_do():
    expected, given = [[0.6, 0.7], [0.4, 0.501], [0.1, 0.9]], [[0.6, 0.7], [0.4, 0.499], [0.6, 0.9]]
    assert compared(expected, given, multi_label=True).agreement == pytest.approx(1 / 3)
    assert compared(expected, given, multi_label=True, tie=0.01).agreement == pytest.approx(2 / 3)
    found = compared(expected, given, multi_label=True, labels=[[1, 1], [0, 1], [0, 1]])
    assert (found.accuracy_before, found.accuracy_after) == pytest.approx((1.0, 1 / 3))


def test_what_thresholds_say_is_compared_and_those_near_may_be_crossed():
    """Sick from 0.02 on: of the likeliest class nothing has changed."""
    expected, given = [[0.9, 0.1], [0.97, 0.03], [0.985, 0.015]], [[0.9, 0.1], [0.99, 0.01], [0.975, 0.025]]
    assert compared(expected, given).agreement == 1
    sick = {"numbers": [None, 0.02]}
    found = compared(expected, given, **sick, labels=[1, 1, 0])
    assert (found.agreement, found.accuracy_before, found.accuracy_after) == pytest.approx((1 / 3, 1, 1 / 3))
    assert compared(expected, given, **sick, tie=0.011).agreement == pytest.approx(2 / 3)
    assert compared(expected, given, **sick, tie=0.021).agreement == 1
    well = {"numbers": [0.98, None]}
    assert compared(expected, given, **well).agreement == pytest.approx(1 / 3)
    assert compared(expected, given, **well, tie=0.011).agreement == pytest.approx(2 / 3)


def test_a_threshold_of_one_half_is_the_likeliest_class():
    random = np.random.default_rng(0)
    expected = random.random(1_000)
    given = expected + random.normal(0, 0.05, 1_000)
    pairs = [np.stack([1 - one, one], axis=1) for one in (expected, given)]
    for tie in (0.0, 0.02):
        plain, half = (compared(*pairs, numbers=numbers, tie=tie).agreement for numbers in (None, [None, 0.5]))
        assert half == plain < 1


def test_of_several_labels_each_is_compared_by_its_own_threshold():
    expected, given = [[0.25, 0.6], [0.15, 0.4]], [[0.19, 0.6], [0.21, 0.4]]
    assert compared(expected, given, multi_label=True).agreement == 1
    own = {"numbers": [0.2, None], "multi_label": True}
    found = compared(expected, given, **own, labels=[[1, 1], [0, 0]])
    assert (found.agreement, found.accuracy_before, found.accuracy_after) == (0, 1, 0)
    assert compared(expected, given, **own, tie=0.051).agreement == 1


def test_ways_are_timed_in_turn():
    order = []
    ways = {name: lambda image, name=name: order.append(name) for name in ("one", "two")}
    milliseconds, runs = _measure.medians(ways, images.drawn(1, (4, 4, 1)))
    assert set(milliseconds) == {"one", "two"}
    assert order[4:] == ["one", "two"] * runs
    assert runs == 50


def test_images_may_come_in_parts(made, tmp_path):
    parts = (made.pixels[start : start + 7] for start in range(8, 40, 7))
    labels = made.truth[8:].argmax(axis=1)
    certificate = made.to(tmp_path / "model.onnx", measured=(parts, labels))
    assert (certificate.images, certificate.accuracy_before, certificate.accuracy_after) == (40, 1.0, 1.0)


# --- choosing ------------------------------------------------------------------------------------------------------


def test_all_classes_are_chosen_alike():
    labels = np.repeat([0, 1, 2], [500, 40, 3])
    np.testing.assert_array_equal(np.bincount(labels[stratified(labels, 60)]), [29, 28, 3])
    chosen = stratified(labels, 60)
    assert len(set(chosen.tolist())) == 60
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(stratified(labels, 60), chosen)
    assert (stratified(labels, 60, seed=1) != chosen).any()
    np.testing.assert_array_equal(stratified(labels, 1_000), np.arange(543))


def test_an_image_of_several_labels_stands_for_the_rarest():
    labels = np.zeros((100, 2), int)
    labels[:, 0] = 1
    labels[:5, 1] = 1
    assert np.isin(np.arange(5), stratified(labels, 10)).all()
