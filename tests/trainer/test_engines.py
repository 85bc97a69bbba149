"""Inference engines: chosen where they pay, believed where they agree, and TensorFlow otherwise."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from keras import layers

from imgcls import ConfigurationError, _backend, _runtimes
from imgcls._backend import _engines

IMAGES = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
TITLES = {"openvino": "OpenVINO", "onnxruntime": "ONNX Runtime"}


def installed(name):
    way = next(way for way in _engines._WAYS if way.name == name)
    return pytest.param(
        name, marks=pytest.mark.skipif(not _engines._is_installed(way), reason=f"needs imgcls[{way.extra}]")
    )


LIBRARIES = [installed("openvino"), installed("onnxruntime")]


@pytest.fixture(scope="module")
def model():
    """Return a network of what backbones are made of, with statistics as if it were trained."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    for stride in (2, 1):
        x = layers.Conv2D(8, 3, strides=stride, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU(max_value=6)(x)
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU(max_value=6)(x)
    made = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    random = np.random.default_rng(0)
    made.set_weights([array + random.uniform(0, 0.3, array.shape) for array in made.get_weights()])
    return made


@pytest.fixture(scope="module")
def truth(model):
    return np.asarray(model(IMAGES.astype(np.float32), training=False))


@pytest.fixture
def ways(monkeypatch):
    """Replace the ways by those that a test gives as (name, make); all of them pay."""

    def replace(*given):
        made = [_engines._Way(name, TITLES.get(name, "TensorFlow"), make, (), "fast", least=0) for name, make in given]
        monkeypatch.setattr(_engines, "_WAYS", tuple(made))

    return replace


def close(outputs, truth):
    """Sums of float32 in another order: some 1e-6 of the largest feature in four layers, here with room."""
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, truth, rtol=0, atol=1e-5 * np.abs(truth).max(initial=0))


@pytest.mark.parametrize("name", ["auto", "tensorflow", *LIBRARIES])
def test_engines_give_the_models_outputs_for_batches_of_any_size(model, truth, name):
    run = _backend.engine(model, name, work=1e15)
    for _ in range(2):
        for part in (slice(0, 5), slice(5, 7), slice(0, 1), slice(0, 7), slice(0, 0)):
            close(run(IMAGES[part]), truth[part])
    if name != "auto":
        assert run.name == name


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_that_was_asked_for_computes_from_the_first_image_on(model, name):
    run = _backend.engine(model, name)
    assert (run.name, run.reason) == ("tensorflow", f"{TITLES[name]} has to agree with TensorFlow first")
    first = run(IMAGES)
    assert (run.name, run.reason) == (name, f"{TITLES[name]} agrees with TensorFlow and is quicker on processors")
    np.testing.assert_array_equal(run(IMAGES), first)


@pytest.mark.parametrize("name", LIBRARIES)
def test_constants_are_made_without_what_another_tensorflow_may_lack(model, truth, name, monkeypatch):
    from tensorflow.python.framework import convert_to_constants

    calls, inside = [], convert_to_constants._replace_variables_by_constants

    def changed(**arguments):  # for us; what TensorFlow makes known calls it as it is
        calls.append(1)
        if len(calls) == 1:
            raise TypeError
        return inside(**arguments)

    monkeypatch.setattr(convert_to_constants, "_replace_variables_by_constants", changed)
    run = _backend.engine(model, name)
    close(run(IMAGES), truth)
    assert (run.name, len(calls)) == (name, 2)


@pytest.mark.parametrize("name", [installed("openvino")])
@pytest.mark.parametrize("images", [0.5, 1, 3, 100])
def test_passes_of_few_images_give_the_same_bits(model, name, images, monkeypatch):
    whole = _backend.engine(model, name)(IMAGES)
    monkeypatch.setattr(_runtimes, "_PIXELS_AT_ONCE", int(images * 32 * 32))
    np.testing.assert_array_equal(_backend.engine(model, name)(IMAGES), whole)


@pytest.mark.parametrize("name", ["tensorflow", *LIBRARIES])
def test_threads_may_share_an_engine(model, truth, name):
    run = _backend.engine(model, name, work=1e15)
    parts = [slice(index % 5, index % 5 + 1 + index % 3) for index in range(60)]
    with ThreadPoolExecutor(4) as pool:
        for part, outputs in zip(parts, pool.map(lambda part: run(IMAGES[part]), parts), strict=True):
            close(outputs, truth[part])
    assert run.name == name


@pytest.mark.parametrize("name", ["tensorflow", *LIBRARIES])
def test_outputs_are_the_callers_own(model, truth, name):
    run = _backend.engine(model, name, work=1e15)
    run(IMAGES)
    first = run(IMAGES)
    run(IMAGES[::-1])
    close(first, truth)


def test_images_need_not_lie_in_one_piece(model, truth):
    wide = np.repeat(IMAGES, 2, axis=2)[:, :, ::2]
    assert not wide.flags.c_contiguous
    for name in ["auto"] + [name for name in TITLES if find_spec(name)]:
        run = _backend.engine(model, name, work=1e15)
        for _ in range(2):
            close(run(wide), truth)


# --- falling back --------------------------------------------------------------------------------------------------


def test_another_answer_is_refused_and_said(model, truth, ways):
    ways(("openvino", lambda graph: lambda images: truth[: len(images)] + 0.01 * truth.max()))
    lines = []
    run = _backend.engine(model, "openvino", say=lines.append)
    for _ in range(2):
        close(run(IMAGES), truth)
    assert run.name == "tensorflow"
    assert run.reason == "OpenVINO differs from TensorFlow by 0.01 of the largest output; 0.001 is accepted"
    assert lines == [f"{run.reason}: another computes"]


def test_what_is_not_a_number_does_not_agree(model, truth, ways):
    ways(("openvino", lambda graph: lambda images: truth[: len(images)] * np.nan))
    run = _backend.engine(model, "openvino")
    run(IMAGES)
    assert run.reason == "OpenVINO differs from TensorFlow by nan of the largest output; 0.001 is accepted"
    close(run(IMAGES), truth)


def test_a_failed_conversion_leaves_the_next_library_and_tensorflow(model, truth, ways):
    def refuse(graph):
        message = "no such operation\nand a trace of it"
        raise RuntimeError(message)

    def agree(graph):
        return lambda images: truth[: len(images)]

    lines = []
    ways(("openvino", refuse), ("onnxruntime", agree), ("tensorflow", agree))
    run = _backend.engine(model, say=lines.append)
    close(run(IMAGES), truth)
    assert run.name == "onnxruntime"
    assert run.reason == "ONNX Runtime agrees with TensorFlow and is quicker on processors"
    assert lines == ["OpenVINO cannot run this model (no such operation): another computes"]
    ways(("openvino", refuse))
    run = _backend.engine(model, "openvino")
    for _ in range(2):
        close(run(IMAGES), truth)
    assert (run.name, run.reason) == ("tensorflow", "OpenVINO cannot run this model (no such operation)")


# --- choosing ------------------------------------------------------------------------------------------------------


@pytest.fixture
def converted(monkeypatch):
    """Return what was converted, where a library pays from 10 multiply-adds on, and constants from 2."""
    names = []

    def make(name):
        def convert(graph):
            names.append(name)
            return _engines.by_tensorflow(graph)

        return convert

    made = (
        _engines._Way("openvino", "OpenVINO", make("openvino"), (), "fast", least=10),
        _engines._Way("tensorflow", "TensorFlow", make("frozen"), (), "", least=2),
    )
    monkeypatch.setattr(_engines, "_WAYS", made)
    return names


LITTLE = "so little work does not pay for the conversion to OpenVINO"


@pytest.mark.parametrize(
    ("name", "work", "expected", "reason"),
    [
        ("auto", 0, [], LITTLE),
        ("auto", 2, ["frozen"], LITTLE),
        ("auto", 10, ["openvino"], "OpenVINO agrees with TensorFlow and is quicker on processors"),
        ("tensorflow", 0, [], "TensorFlow was asked for"),
        ("tensorflow", 10, ["frozen"], "TensorFlow was asked for"),
        ("openvino", 0, ["openvino"], "OpenVINO agrees with TensorFlow and is quicker on processors"),
    ],
)
def test_work_decides_and_no_clock(model, truth, converted, name, work, expected, reason):
    run = _backend.engine(model, name, work=work)
    for _ in range(2):
        close(run(IMAGES), truth)
    assert converted == expected
    assert run.reason == reason
    assert run.name == ("openvino" if expected == ["openvino"] else "tensorflow")


def test_a_gpu_needs_no_other_library(model, monkeypatch, converted):
    monkeypatch.setattr(_engines, "devices", lambda: {"GPUs": ["/physical_device:GPU:0"]})
    run = _backend.engine(model, work=100)
    run(IMAGES)
    assert (run.name, run.reason, converted) == ("tensorflow", "TensorFlow has a GPU", [])


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(_engines, "find_spec", lambda name: None)


def test_without_libraries_tensorflow_says_what_to_install(model, nothing_installed):
    assert _backend.engine(model).reason == (
        'neither OpenVINO nor ONNX Runtime is installed: pip install "imgcls[fast]"'
    )
    assert _backend.engine(model, "tensorflow").reason == "TensorFlow was asked for"


@pytest.mark.parametrize(
    ("name", "lacking", "extra"),
    [("openvino", "openvino", "fast"), ("onnxruntime", "onnxruntime and onnx and tf2onnx", "onnx")],
)
def test_what_is_not_installed_is_refused_with_the_line_that_installs_it(
    model, nothing_installed, name, lacking, extra
):
    with pytest.raises(ConfigurationError) as refusal:
        _backend.engine(model, name)
    assert str(refusal.value) == (
        f"engine={name!r} needs {lacking}. Install it: pip install \"imgcls[{extra}]\". Or give engine='auto', which takes what is installed."
    )


def test_an_unknown_name_is_refused(model):
    with pytest.raises(ConfigurationError) as refusal:
        _backend.engine(model, "openvivo")
    assert str(refusal.value) == (
        "engine='openvivo' is not known. Did you mean 'openvino'? Accepted: auto, tensorflow, openvino, onnxruntime."
    )


def test_only_networks_that_gain_are_frozen_for_tensorflow(model):
    plain = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.MaxPooling2D(), layers.Flatten()])
    assert _engines._by_frozen_tensorflow(_engines.traced(plain)) is None
    assert _engines._by_frozen_tensorflow(_engines.traced(model)) is not None


# --- manners -------------------------------------------------------------------------------------------------------

QUIET = """
import os, socket, sys

def refused(*arguments, **options):
    raise AssertionError("a connection was opened")

socket.socket.connect = socket.getaddrinfo = refused
import keras, numpy as np
from keras import layers
from imgcls import _backend

model = keras.Sequential([keras.Input((16, 16, 3)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Flatten()])
images = np.zeros((3, 16, 16, 3), np.uint8)
run = _backend.engine(model, sys.argv[1])
run(images)
run(images)
print(run.name)
"""
OF_TENSORFLOW = ("absl::InitializeLog", "port.cc", "cuda")  # said before it knows its log level


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARIES)
def test_libraries_write_nothing_print_nothing_and_open_no_connection(tmp_path, name):
    """Both report to their makers unless they are told not to; what they would send lies in these folders first."""
    folders = {"HOME": "home", "TMPDIR": "scratch", "KERAS_HOME": "keras", "MPLCONFIGDIR": "matplotlib"}
    for folder in (*folders.values(), "here"):
        (tmp_path / folder).mkdir()
    places = {variable: str(tmp_path / folder) for variable, folder in folders.items()}
    silent = {"TF_CPP_MIN_LOG_LEVEL": "3", "XDG_CACHE_HOME": "", "CI": ""}  # in CI, OpenVINO would hold its tongue
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", QUIET, name],
        cwd=tmp_path / "here",
        env=os.environ | places | silent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == f"{name}\n", done.stderr
    assert not [line for line in done.stderr.splitlines() if not any(word in line for word in OF_TENSORFLOW)]
    for folder in ("home", "scratch", "here"):
        assert list((tmp_path / folder).rglob("*")) == []


INTERRUPTED = """
import signal
import numpy as np
from imgcls import _runtimes

openvino = _runtimes.openvino()
from openvino import opset13

def made():
    pixels = opset13.parameter([-1, 8, 8, 3], np.uint8)
    run = _runtimes.run_openvino(openvino.Model([opset13.convert(pixels, "f32")], [pixels]))
    run(np.zeros((1, 8, 8, 3), np.uint8))
    return run

first, second = made(), made()
del first
del second
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("name", [installed("openvino")])
def test_ctrl_c_is_heard_when_models_are_gone_in_the_order_they_came(name):
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr
