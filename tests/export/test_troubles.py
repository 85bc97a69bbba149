"""Networks that converters are known to trip over."""

import keras
import numpy as np
import pytest
from by_hand import Made, lively, run_by_hand
from keras import layers

from imgcls.export import FORMATS, ExportedModel, Facts, _saved_model

ENDINGS = {"saved_model": "", "onnx": ".onnx", "litert": ".tflite", "openvino": ".xml", "keras": ".keras"}


def assert_exports(made, path):
    certificate = made.to(path, measured=(made.pixels[8:], None))
    assert (certificate.verdict, certificate.agreement) == ("passed", 1.0)
    np.testing.assert_allclose(run_by_hand(path, made.pixels), made.truth, rtol=0, atol=1e-3)
    assert ExportedModel.open(path, trust=True).verify()


@pytest.fixture(scope="module")
def efficient_net():
    made = lively("efficientnet_b0", side=64)
    assert made.truth.max(axis=0).min() > 0.5  # each class is somewhere the likeliest
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_efficient_net_goes_through_every_format(efficient_net, tmp_path, name):
    """Keras' own ONNX export makes inputs of its `Normalization`'s mean and variance, and loses their values."""
    assert_exports(efficient_net, tmp_path / f"model{ENDINGS[name]}")


@pytest.mark.parametrize("name", ["onnx", "litert", "saved_model"])
def test_tensors_that_a_layer_keeps_are_no_inputs(tmp_path, name, monkeypatch):
    """The same in small: a `Normalization` that has adapted keeps tensors, which are no variables."""
    monkeypatch.setattr(_saved_model, "_FEW", 0)  # as of a large model, whose weights are variables
    keras.utils.set_random_seed(0)
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).uniform(0, 255, (99, 12, 12, 3)).astype(np.float32))
    convolution = [layers.Conv2D(8, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((12, 12, 3)), normalization, *convolution, layers.Dense(3, "softmax")])
    made = Made(model, Facts("your own", ("a", "b", "c"), (12, 12, 3), model.count_params()))
    assert_exports(made, tmp_path / f"model{ENDINGS[name]}")


@pytest.mark.parametrize("name", ["onnx", "litert", "openvino", "saved_model"])
def test_grouped_convolutions_and_gelu_are_translated(tmp_path, name):
    """ConvNeXt in small: functions compiled by XLA, and erfc(x), neither of which ONNX knows."""
    keras.utils.set_random_seed(0)
    grouped = [layers.Conv2D(8, 3, activation="gelu"), layers.Conv2D(8, 3, groups=4, activation="gelu")]
    ending = [layers.GlobalAveragePooling2D(), layers.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((12, 12, 3)), layers.Rescaling(1 / 64, -2), *grouped, *ending])
    made = Made(model, Facts("your own", ("a", "b", "c"), (12, 12, 3), model.count_params()))
    assert_exports(made, tmp_path / f"model{ENDINGS[name]}")


def test_a_pass_of_the_converter_that_fails_is_done_without(made, tmp_path, monkeypatch):
    from tf2onnx import optimizer

    calls = []

    def fails(graph, **options):
        calls.append(1)
        graph.get_nodes().clear()  # half done
        raise KeyError

    monkeypatch.setattr(optimizer, "optimize_graph", fails)
    assert_exports(made, tmp_path / "model.onnx")
    assert calls


@pytest.mark.parametrize("grouped", [False, True])
def test_the_weights_of_large_networks_are_kept_from_what_would_copy_them(tmp_path, monkeypatch, grouped):
    """A network of 1.4 GB of weights took 20 GB otherwise; grouped convolutions bring functions to inline."""
    from tf2onnx import tf_loader

    from imgcls._backend import _engines

    monkeypatch.setattr(_engines, "_HEAVY", 0)
    monkeypatch.setattr(_engines, "_WEIGHT", 512)
    seen, optimize = [], tf_loader.tf_optimize

    def noted(inside, outside, definition):
        seen.append(definition)
        return optimize(inside, outside, definition)

    monkeypatch.setattr(tf_loader, "tf_optimize", noted)
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(24, 3, activation="relu")(layers.Rescaling(1 / 255)(inputs))
    x = layers.BatchNormalization()(layers.Conv2D(24, 3, groups=4 if grouped else 1)(x))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))
    made = Made(model, Facts("your own", ("a", "b", "c"), (12, 12, 3), model.count_params()))
    assert_exports(made, tmp_path / "model.onnx")
    (definition,) = seen
    assert sum(node.op == "Placeholder" for node in definition.node) == 1 + 3  # images, and the three kernels
    assert definition.ByteSize() < 4 * model.count_params() / 2


def test_gelu_is_exact_far_from_zero(tmp_path):
    """1 - erf(x) for erfc(x) loses nothing that float32 could show."""
    from scipy import special

    from imgcls import _backend, _runtimes

    inputs = keras.Input((1, 1, 1))
    model = keras.Model(inputs, layers.Activation("gelu")(layers.Rescaling(1 / 16, -8)(inputs)))
    proto = _backend.as_onnx(_backend.defined(_backend.traced(model)))
    session = _runtimes.onnx_session(proto.SerializeToString())
    pixels = np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1)
    x = pixels.ravel() / 16 - 8.0
    expected = x * special.ndtr(x)  # GELU is x times the normal distribution function
    np.testing.assert_allclose(session.run(None, {"images": pixels})[0].ravel(), expected, rtol=0, atol=2e-6)


# --- manners -------------------------------------------------------------------------------------------------------

QUIET = """
import socket, sys, warnings

def refused(*arguments, **options):
    raise AssertionError("a connection was opened")

socket.socket.connect = socket.getaddrinfo = refused
sys.path.insert(0, sys.argv[1])
from by_hand import lively

made = lively()
for name in ("model.onnx", "model.tflite", "model.xml", "model", "model.keras"):
    made.to(name)
"""
SAID_ANYWAY = ("absl::InitializeLog", "port.cc", "cuda", "XNNPACK delegate")  # before a log level is known


@pytest.mark.slow
def test_exports_write_nothing_elsewhere_print_nothing_and_open_no_connection(tmp_path):
    import os
    import subprocess
    import sys
    from pathlib import Path

    folders = {"HOME": "home", "TMPDIR": "scratch", "KERAS_HOME": "keras", "MPLCONFIGDIR": "matplotlib"}
    for folder in (*folders.values(), "here"):
        (tmp_path / folder).mkdir()
    places = {variable: str(tmp_path / folder) for variable, folder in folders.items()}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", QUIET, str(Path(__file__).parent)],
        cwd=tmp_path / "here",
        env=os.environ | places | {"TF_CPP_MIN_LOG_LEVEL": "3", "XDG_CACHE_HOME": "", "CI": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert not [line for line in done.stderr.splitlines() if not any(word in line for word in SAID_ANYWAY)]
    for folder in ("home", "scratch"):
        assert list((tmp_path / folder).rglob("*")) == []
    assert len(list((tmp_path / "here").iterdir())) == 10
