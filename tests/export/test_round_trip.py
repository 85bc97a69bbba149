"""Every format, run by its own library on the same pixels, gives what Keras gives."""

import ast
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from by_hand import Made, lively, run_by_hand

from imgcls.export import FORMATS, Certificate, ExportedModel, Facts, _saved_model

ENDINGS = {"saved_model": "", "onnx": ".onnx", "litert": ".tflite", "openvino": ".xml", "keras": ".keras"}
CASES = {
    "one sigmoid": lambda: lively(classes=("no", "yes"), outputs=1, head="sigmoid"),
    "multi-label": lambda: lively(head="sigmoid"),
    "grayscale": lambda: lively(channels=1),
    "colour to gray inside": lambda: lively(grayscale=True),
    "five bands": lambda: lively(channels=5),
    "integer classes": lambda: lively(classes=(3, 1, 2)),
    "flip": lambda: lively(test_time_augmentation="flip"),
    "whitened": lambda: lively("speed_cnn_narrow"),
}


def path_of(folder, name):
    return folder / f"model{ENDINGS[name]}"


def assert_round_trip(made, path):
    certificate = made.to(path, measured=(made.pixels[8:], None))
    found = run_by_hand(path, made.pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, made.truth, rtol=0, atol=1e-5)
    assert certificate.verdict == "passed"
    assert (certificate.images, certificate.agreement) == (40, 1.0)
    assert certificate.largest_difference == pytest.approx(np.abs(found - made.truth).max(), abs=1e-5)
    model = ExportedModel.open(path, trust=True)
    assert model.facts == made.facts
    assert model.classes == list(made.facts.classes)
    np.testing.assert_allclose(model.predictor.run(made.pixels[:11]), made.truth[:11], rtol=0, atol=1e-5)
    assert model.verify()


@pytest.mark.parametrize("name", FORMATS)
def test_a_classifier_goes_through_every_format(made, tmp_path, name):
    assert made.truth.max(axis=0).min() > 0.5  # each class is somewhere the likeliest
    assert_round_trip(made, path_of(tmp_path, name))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    "name", ["onnx", *(pytest.param(name, marks=pytest.mark.slow) for name in FORMATS if name != "onnx")]
)
def test_other_classifiers_do_too(case, tmp_path, name):
    assert_round_trip(CASES[case](), path_of(tmp_path, name))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_global_policy_rounds_neither_of_two_probabilities(tmp_path, policy):
    import keras

    made, before = CASES["one sigmoid"](), keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        assert_round_trip(made, tmp_path / "model.keras")
    finally:
        keras.config.set_dtype_policy(before)


def test_a_shape_that_is_written_down_is_run_one_by_one(tmp_path):
    """LiteRT's file holds a batch of one; of most networks it takes more, of this one it does not."""
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Reshape((4, 192)), keras.layers.Dense(3), keras.layers.Reshape((12,))]
    model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Rescaling(1 / 255), *layers])
    model.add(keras.layers.Dense(3, activation="softmax"))
    made = Made(model, Facts("your own", ("a", "b", "c"), (16, 16, 3), model.count_params()))
    for name in ("litert", "onnx"):
        assert_round_trip(made, path_of(tmp_path, name))


# --- what travels inside, read without imgcls -----------------------------------------------------------------------


def test_onnx_holds_classes_where_others_look(made, tmp_path):
    import onnx

    made.to(tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    notes = {one.key: one.value for one in model.metadata_props}
    assert ast.literal_eval(notes["names"]) == {0: "ant", 1: "bee", 2: "cat"}
    assert json.loads(notes["imgcls"])["classes"] == ["ant", "bee", "cat"]
    assert [one.name for one in model.graph.input] == ["images"]
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8


def test_litert_and_keras_hold_classes_as_files(made, tmp_path):
    for name in ("model.tflite", "model.keras"):
        made.to(tmp_path / name)
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert archive.read("labels.txt") == b"ant\nbee\ncat\n"
            assert json.loads(archive.read("imgcls.json"))["input_shape"] == [16, 16, 3]


def test_openvino_holds_classes_as_its_model_api_reads_them(tmp_path):
    import openvino

    lively(classes=("night sky", "day", "dusk")).to(tmp_path / "model.xml")
    model = openvino.Core().read_model(tmp_path / "model.xml")
    assert model.get_rt_info(["model_info", "labels"]).astype(str).split() == ["night_sky", "day", "dusk"]


def test_a_saved_model_holds_classes_among_its_assets(made, tmp_path):
    made.to(tmp_path / "model")
    extra = tmp_path / "model" / "assets.extra"
    assert (extra / "labels.txt").read_text() == "ant\nbee\ncat\n"
    assert Certificate.from_json((tmp_path / "model" / "certificate.json").read_text()).facts == made.facts


WITHOUT_IMGCLS = """
import json, sys
import keras, numpy as np

pixels = np.load("pixels.npy")
found = [np.asarray(keras.saving.load_model(path)(pixels, training=False)).tolist() for path in sys.argv[1:]]
print(json.dumps([found, "imgcls" in sys.modules]))
"""


@pytest.mark.slow
def test_keras_files_open_in_a_process_that_never_imports_imgcls(tmp_path):
    from imgcls import trainer

    cases = {
        "speed.keras": lively("speed_cnn_narrow", side=32),
        "gray.keras": lively("mobilenet_025", side=32, grayscale=True, test_time_augmentation="flip"),
        "caffe.keras": lively("vgg16", side=32),
    }
    cases["speed.keras"].model.compile(trainer.Muon(0.05), "categorical_crossentropy")  # as `fit` leaves it
    for name, made in cases.items():
        made.to(tmp_path / name)
    np.save(tmp_path / "pixels.npy", made.pixels)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_IMGCLS, *cases],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found, with_imgcls = json.loads(done.stdout)
    assert not with_imgcls
    for made, one in zip(cases.values(), found, strict=True):
        assert made.truth.max(axis=0).min() > 0.4  # answers differ
        np.testing.assert_allclose(one, made.truth, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", FORMATS)
def test_facts_may_be_long(made, tmp_path, name):
    """Longer than a MiB, as those of tens of thousands of classes are."""
    facts = replace(made.facts, license="free for all " * 150_000)
    made.to(path_of(tmp_path, name), facts=facts)
    assert ExportedModel.open(path_of(tmp_path, name), trust=True).facts == facts


# --- digits ----------------------------------------------------------------------------------------------------------


def test_what_is_compared_is_computed_in_full_float32(made, tmp_path, monkeypatch):
    """On newer GPUs TensorFlow computes in TensorFloat-32; a processor that verifies the file has no such thing."""
    import tensorflow as tf

    from imgcls import _backend

    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    noted = {True: set(), False: set()}  # how many images were run with it, and without

    def noting(make):
        def makes(model):
            run = make(model)

            def runs(images):
                noted[enabled()].add((make.__name__, len(images)))
                return run(images)

            return runs

        return makes

    for make in (_backend.by_tensorflow, _backend.compiled):  # which run the original and the file
        monkeypatch.setattr(_backend, make.__name__, noting(make))
    made.to(tmp_path / "model.keras", measured=(made.pixels[8:], None))
    assert noted[False] == {("by_tensorflow", 8), ("by_tensorflow", 32), ("compiled", 8), ("compiled", 32)}
    assert noted[True] == {("by_tensorflow", 8), ("by_tensorflow", 1), ("compiled", 1)}  # for whose they are; timed
    model = ExportedModel.open(tmp_path / "model.keras", trust=True)
    noted[False].clear()
    assert model.verify()
    assert noted[False] == {("compiled", 8)}
    model.predict_proba(made.pixels[:5])
    assert ("compiled", 5) in noted[True]
    assert enabled()


# --- sizes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["saved_model", "onnx", "openvino"])
def test_images_of_any_size_are_resized_inside_as_pillow_does(made, tmp_path, name):
    from PIL import Image

    from imgcls import images

    path = path_of(tmp_path, name)
    certificate = made.to(path, any_size=True)
    assert certificate.any_size
    assert 0 < certificate.resize_difference < 0.1
    pictures = images.drawn(8, (51, 40, 3))
    small = [np.asarray(Image.fromarray(one).resize((16, 16), Image.Resampling.BILINEAR)) for one in pictures]
    expected = np.asarray(made.model(np.stack(small).astype(np.float32), training=False))
    found = run_by_hand(path, pictures)
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.1)
    assert np.abs(found - expected).mean() < 0.01
    wrong = np.asarray(made.model(pictures[:, 1::3, 1::2][:, :16, :16].astype(np.float32), training=False))
    assert np.abs(wrong - expected).mean() > 0.1  # what such a figure means
    np.testing.assert_allclose(run_by_hand(path, made.pixels), made.truth, rtol=0, atol=1e-5)  # of its own size: exact


@pytest.mark.parametrize(("few", "holds"), [(0, True), (10**9, False)], ids=["large", "small"])
def test_large_saved_models_hold_variables_and_small_ones_constants(made, tmp_path, monkeypatch, few, holds):
    import tensorflow as tf

    monkeypatch.setattr(_saved_model, "_FEW", few)
    assert_round_trip(made, tmp_path / "model")
    made.to(tmp_path / "any", any_size=True)
    for name in ("model", "any"):
        loaded = tf.saved_model.load(str(tmp_path / name))
        assert [bool(one.variables) for one in loaded.signatures.values()] == [holds, holds]
    assert (tmp_path / "model" / "variables" / "variables.data-00000-of-00001").stat().st_size > 80_000 * holds


def test_a_saved_model_reads_files(made, tmp_path):
    import io

    import tensorflow as tf
    from PIL import Image

    from imgcls import images

    made.to(tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    for kind, most in (("PNG", 0.1), ("JPEG", 0.1)):
        files, small = [], []
        for picture in images.drawn(8, (37, 50, 3)):
            file = io.BytesIO()
            Image.fromarray(picture).save(file, kind, quality=95)
            files.append(file.getvalue())
            pixels = Image.open(file).resize((16, 16), Image.Resampling.BILINEAR)
            small.append(np.asarray(pixels))
        found = loaded.signatures["bytes"](images=tf.constant(files))["probabilities"]
        expected = np.asarray(made.model(np.stack(small).astype(np.float32), training=False))
        np.testing.assert_allclose(found, expected, rtol=0, atol=most)
        assert np.abs(found - expected).mean() < 0.01
