"""What only a fresh process can show: the demo, the same bits after reloading, silence."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from imgcls import Dataset, ImageClassifier
from imgcls.datasets import write_png

RELOAD = """
import sys
import numpy as np
from imgcls import Dataset, ImageClassifier
for path, answer in zip(sys.argv[1::2], sys.argv[2::2]):
    np.save(answer, ImageClassifier.load(path).predict_proba(Dataset.builtin("digits")[:50]))
"""


@pytest.mark.parametrize("architecture", ["small_cnn", pytest.param("mobilenet_v2_035", marks=pytest.mark.slow)])
def test_probabilities_are_identical_bit_for_bit_after_reloading(architecture, tmp_path):
    digits = Dataset.builtin("digits")
    classifier = ImageClassifier(architecture, weights=None, image_size=32, epochs=1).fit(digits[:200], verbose=0)
    path = classifier.save(tmp_path / "model.imgcls")
    subprocess.run([sys.executable, "-c", RELOAD, path, tmp_path / "answer.npy"], check=True, capture_output=True)
    np.testing.assert_array_equal(np.load(tmp_path / "answer.npy"), classifier.predict_proba(digits[:50]))


@pytest.mark.slow
def test_demo_trains_from_a_folder_and_leaves_its_pictures(tmp_path):
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "imgcls", "demo", "-o", tmp_path / "out", "--json"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    summary = json.loads(done.stdout)
    assert summary["accuracy"] >= 0.97
    assert summary["seconds"] <= time.perf_counter() - start
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"images", "digits.imgcls", "curves.png", "confusion.png", "predictions.png", "new-image.png"}
    assert len(list((tmp_path / "out" / "images").glob("*/*.png"))) == 1797
    lines = done.stderr.splitlines()
    assert lines[0].startswith("wrote 1,797 PNG files in 10 class folders to ")
    assert not [line for line in lines if "cuda" in line.lower() or "absl" in line]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_leaves_with_130_a_model_and_no_traceback(tmp_path):
    for sample in Dataset.builtin("digits")[:200]:
        (tmp_path / sample.label).mkdir(exist_ok=True)
        write_png(sample.image, tmp_path / sample.label / f"{sample.id}.png")
    model = tmp_path / "model.imgcls"
    command = [sys.executable, "-m", "imgcls", "train", tmp_path, "-o", model, "--epochs", "500", "--verbose", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.split()[0] == "2/500":
            process.send_signal(signal.SIGINT)
            break
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "Traceback" not in "".join(seen) + rest
    assert "the model keeps what it has learnt" in rest
    assert ImageClassifier.load(model).history_.interrupted


@pytest.mark.slow
def test_mnist_with_default_settings_reaches_99_percent(shared_data):
    mnist = Dataset.builtin("mnist", path=shared_data / "mnist" / "mnist.npz")
    classifier = ImageClassifier("small_cnn").fit(mnist, verbose=0)
    assert classifier.evaluate(mnist).accuracy >= 0.990


@pytest.mark.slow
@pytest.mark.parametrize(("name", "accuracy"), [("clothing", 0.70), ("flowers224", 0.80)])
def test_photos_train_evaluate_and_predict_from_their_folders(shared_data, name, accuracy, tmp_path):
    weights = shared_data / "weights" / "mobilenet_v2_1.0_224_from_coral_int8_no_top.h5"
    classifier = ImageClassifier("mobilenet_v2", weights=weights, epochs=4).fit(shared_data / name, verbose=0)
    assert classifier.evaluate(shared_data / name).accuracy >= accuracy
    photo = min(Path(shared_data / name).rglob("*.jpg"))
    assert classifier.predict(photo).label in classifier.classes_
    path = classifier.save(tmp_path / "photos.imgcls")
    np.testing.assert_array_equal(ImageClassifier.load(path).predict_proba([photo]), classifier.predict_proba([photo]))
