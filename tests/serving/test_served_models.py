"""`imgcls serve` on what `save` and `export` write: a bundle explains, and an exported file needs no TensorFlow."""

import asyncio
import importlib.util
import io
import os
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image
from process import Server

from imgcls import Dataset, ImageClassifier
from imgcls.images import write_png

ROOT = Path(__file__).parents[2]
REQUIREMENTS = [
    line for line in (ROOT / "deploy" / "requirements.txt").read_text().splitlines() if not line.startswith("#")
]
WITHOUT = """
import sys
absent = set(sys.argv.pop(1).split())
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from imgcls.cli import main
main()
"""
RUNTIMES = {"onnx": "onnxruntime", "tflite": "ai-edge-litert"}
FORMATS = [
    pytest.param(
        ending,
        marks=pytest.mark.skipif(importlib.util.find_spec(name.replace("-", "_")) is None, reason=f"needs {name}"),
    )
    for ending, name in RUNTIMES.items()
]
COMMAND = ("-m", "imgcls", "serve", "--port", "0")


@pytest.fixture(scope="module")
def digits():
    return Dataset.builtin("digits")


@pytest.fixture(scope="module")
def classifier(digits):
    return ImageClassifier("small_cnn", image_size=16, epochs=3).fit(digits[:400], verbose=0)


@pytest.fixture(scope="module")
def files(digits):
    """Return the bytes of twelve PNG files."""

    def written(position):
        file = io.BytesIO()
        write_png(digits.read(position), file)
        return file.getvalue()

    return [written(position) for position in range(400, 412)]


@pytest.fixture(scope="module")
def exported(classifier, digits, tmp_path_factory):
    """Return a function from an ending to an exported file."""
    made = {}

    def export(ending):
        if ending not in made:
            made[ending] = tmp_path_factory.mktemp("exported") / f"digits.{ending}"
            classifier.export(made[ending], data=digits[400:450])
        return made[ending]

    return export


def ask(server, path, data):
    return server.ask("POST", path, data, content_type="image/png")


def absent(runtime):
    """Return the modules of all that is installed here and is not where deploy/requirements.txt is."""
    present, rest = {"imgcls"}, [*REQUIREMENTS, runtime]
    while rest:
        requirement = Requirement(rest.pop())
        name = canonicalize_name(requirement.name)
        if name not in present and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            present.add(name)
            rest += requires(name) or ()
    modules = packages_distributions().items()
    return {module for module, names in modules if not {canonicalize_name(name) for name in names} & present}


def test_what_is_deployed_is_a_part_of_what_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {*project["dependencies"], *project["optional-dependencies"]["serve"]}
    assert set(REQUIREMENTS) <= declared
    assert set(project["optional-dependencies"]["serve"]) <= set(REQUIREMENTS)


def check_answers(server, classifier, files, tolerance):
    for file in files:
        told, said = ask(server, "/predict", file).told, classifier.predict(file)
        assert told["label"] == said.label
        for name, value in said.probabilities.items():
            assert told["probabilities"][name] == pytest.approx(value, abs=tolerance)


@pytest.mark.parametrize("ending", FORMATS)
def test_an_exported_file_answers_as_the_classifier_and_needs_none_of_its_libraries(
    ending, exported, classifier, files
):
    missing = absent(RUNTIMES[ending])
    assert {"tensorflow", "keras", "sklearn", "scipy", "matplotlib", "pandas", "safetensors"} <= missing
    with Server("-c", WITHOUT, " ".join(missing), *COMMAND[2:], exported(ending)) as server:
        assert server.name == f"digits.{ending}"
        check_answers(server, classifier, files, 1e-3)
        assert ask(server, "/explain", files[0]).status == 404
        assert server.ask("GET", "/").status == 200
        maps = Path(f"/proc/{server.process.pid}/maps")
        if maps.exists():
            assert "/tensorflow/" not in maps.read_text()


@pytest.mark.slow  # TensorFlow takes seconds to start
def test_a_bundle_answers_and_explains(classifier, files, tmp_path):
    bundle = classifier.save(tmp_path / "digits.imgcls")
    with Server(*COMMAND, bundle) as server:
        check_answers(server, classifier, files, 2e-6)
        explained = ask(server, "/explain", files[0])
        assert explained.told["label"] == classifier.predict(files[0]).label
        assert explained.told["model"] == "digits.imgcls"
        assert ask(server, "/explain", b"no image").status == 422
        server.process.send_signal(signal.SIGTERM)
        assert server.ended()[0] == -signal.SIGTERM


def test_the_picture_of_an_explanation_is_hot_where_the_explanation_is(classifier, digits):
    import base64

    from imgcls.serving import _heat

    file = io.BytesIO()
    Image.fromarray(digits.read(400)[..., 0]).resize((80, 60)).save(file, format="PNG")
    label, heat = _heat.heat(classifier.explain, classifier.predictor.read(file.getvalue()))
    picture = _heat.picture(file.getvalue(), "a digit", heat)
    found = classifier.explain(file.getvalue())
    assert label == found.label
    with Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))) as drawn:
        assert drawn.size == (80, 60)
        pixels = np.asarray(drawn.convert("RGB")).astype(int)
    colourful = pixels.max(axis=2) - pixels.min(axis=2)  # of a gray photo, only heat has a colour
    hot, cold = (found.heat >= np.quantile(found.heat, 0.9), found.heat <= np.quantile(found.heat, 0.1))
    assert colourful[hot].mean() > 3 * colourful[cold].mean() > 0


def test_a_model_without_a_feature_map_is_explained_by_occlusion():
    from imgcls.errors import ConfigurationError
    from imgcls.serving import _heat

    asked = []

    def explain(pixels, method="grad_cam"):
        asked.append(method)
        if method == "grad_cam":
            raise ConfigurationError("no feature map")
        return type("", (), {"label": 3, "heat": pixels[..., 0] / np.float32(255)})

    label, heat = _heat.heat(explain, np.full((4, 4, 1), 51, np.uint8))
    assert (label, asked, heat.tolist()) == (3, ["grad_cam", "occlusion"], [[np.float32(0.2)] * 4] * 4)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.onnx", "'missing.onnx' does not exist."),
        ("empty.onnx", "'empty.onnx'"),
        (
            "photo.jpg",
            "'photo.jpg' is no model. Accepted: a bundle, or a file that `imgcls export` wrote. The model comes first.",
        ),
        ("broken.imgcls", "'broken.imgcls'"),
    ],
)
def test_what_is_no_model_is_refused_in_words(name, said, tmp_path):
    if name != "missing.onnx":
        (tmp_path / name).write_bytes(b"PK\x03\x04manifest.json" if name.endswith("imgcls") else b"")
    done = subprocess.run(
        [sys.executable, *COMMAND, name], check=False, capture_output=True, text=True, cwd=tmp_path, timeout=60
    )
    assert done.returncode == 1
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("imgcls: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert "Traceback" not in done.stderr


def test_a_taken_port_and_ctrl_c_on_the_command_line(exported):
    path = exported("onnx")
    with Server(*COMMAND, path) as server:
        command = [sys.executable, *COMMAND[:3], "--port", str(server.port), path]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert done.stderr.startswith(f"imgcls: --host 127.0.0.1, --port {server.port} cannot be listened at: ")
        server.process.send_signal(signal.SIGINT)
        assert server.ended() == (130, "")


@pytest.mark.slow  # several starts, each with compiled modules, as pip leaves them
@pytest.mark.parametrize("ending", FORMATS)
def test_the_first_answer_comes_within_a_second_of_the_start(ending, exported, files, tmp_path):
    """A second of the processor: by the clock it is as much on an idle machine, and any number on a busy one."""
    path = exported(ending)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import serving as benchmark

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path)
    seconds = []
    for _ in range(6):  # the first compiles
        port = benchmark.free_port()
        command = [sys.executable, *COMMAND[:3], "--port", str(port), path]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            asyncio.run(benchmark.first_answer(port, files[0]))
        finally:
            process.kill()
            used = os.wait4(process.pid, 0)[2]
            process.wait()
        seconds.append(used.ru_utime + used.ru_stime)
    assert min(seconds) <= 1, seconds
