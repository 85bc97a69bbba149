"""From a folder of photos to an evaluated, saved model: a solved head against the textbook script.

    python benchmarks/transfer.py FOLDER --weights FILE.h5 [--sides imgcls fast keras] [--rounds 3]
        [--torch-python PYTHON]

FOLDER has `train/CLASS/*` and `val/CLASS/*`; the file holds weights of MobileNetV2 at full width, without top. Each run
is a fresh process with an empty cache, and the sides take turns:

- imgcls: `ImageClassifier("mobilenet_v2")` on TensorFlow alone.
- fast: the same with `engine="openvino"`, where that is installed.
- keras: what https://keras.io/guides/transfer_learning/ teaches: flips and rotations, the backbone frozen, dropout, a
  Dense head, Adam; 10 epochs.
- keras_tuned: the same, then 3 epochs of the whole network at a rate of 1e-5.
- torch: `plain_torch_transfer.py`, the way of fastai's `fine_tune(4)`; PYTHON is the one that has PyTorch and h5py.

cold is the time from the start of the process to the saved model with its test accuracy; processor is its processor
time over all cores, half of which two quiet cores take at least. At the end the answers of the sides are compared on
the same test images: McNemar's exact test.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

SIDES = ("imgcls", "fast", "keras", "keras_tuned", "torch")
HERE = Path(__file__)


def run_imgcls(folder: Path, weights: str, model: Path, *, engine: str, seed: int) -> dict[str, Any]:
    """Solve the head on features that are computed once."""
    from imgcls import Dataset, ImageClassifier

    train, test = (Dataset.from_folder(folder / part) for part in ("train", "val"))
    classifier = ImageClassifier("mobilenet_v2", weights=weights, engine=engine, seed=seed).fit(train, verbose=0)
    evaluation = classifier.evaluate(test)
    classifier.save(model.with_suffix(".imgcls"))
    return {"right": (evaluation.y_true == evaluation.y_pred).tolist(), "ids": list(test.ids)}


def run_keras(folder: Path, weights: str, model: Path, *, tuned: bool, seed: int) -> dict[str, Any]:
    """Train a head through the frozen backbone, epoch by epoch."""
    import keras

    keras.utils.set_random_seed(seed)
    options: dict[str, Any] = {"image_size": (224, 224), "batch_size": 32}
    train = keras.utils.image_dataset_from_directory(folder / "train", seed=seed, verbose=False, **options)
    test = keras.utils.image_dataset_from_directory(folder / "val", shuffle=False, verbose=False, **options)
    paths, num_classes = test.file_paths, len(train.class_names)
    backbone = keras.applications.MobileNetV2(include_top=False, weights=weights, input_shape=(224, 224, 3))
    backbone.trainable = False
    inputs = keras.Input((224, 224, 3))
    x = keras.layers.RandomRotation(0.1)(keras.layers.RandomFlip("horizontal")(inputs))
    x = backbone(keras.layers.Rescaling(1 / 127.5, -1)(x), training=False)
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x))
    network = keras.Model(inputs, keras.layers.Dense(num_classes, "softmax")(x))
    for epochs, rate in [(10, 1e-3), *([(3, 1e-5)] if tuned else [])]:
        backbone.trainable = rate < 1e-3
        network.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", jit_compile=False)
        network.fit(train.prefetch(2), epochs=epochs, verbose=0)
    truth = np.concatenate([labels.numpy() for _, labels in test])
    right = network.predict(test, verbose=0).argmax(axis=1) == truth
    network.save(model.with_suffix(".keras"))
    return {"right": right.tolist(), "ids": [Path(path).relative_to(folder / "val").as_posix() for path in paths]}


def run(side: str, folder: Path, weights: str, seed: int) -> None:
    """Do one run in this process, and print what it gave."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["IMGCLS_CACHE"] = str(Path(place, "cache"))
        model = Path(place, "model")
        if side.startswith("keras"):
            found = run_keras(folder, weights, model, tuned=side == "keras_tuned", seed=seed)
        else:
            engine = "openvino" if side == "fast" else "tensorflow"
            found = run_imgcls(folder, weights, model, engine=engine, seed=seed)
        found |= {"end": time.time(), "processor": time.process_time()}
    print(json.dumps(found))


def measure(side: str, seed: int, given: Any) -> dict[str, Any]:
    """Run one side in a fresh process."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, str(HERE), str(given.folder), "--weights", given.weights, "--run", side, str(seed)]
        if side == "torch":
            command = [given.torch_python, str(HERE.with_name("plain_torch_transfer.py")), *command[2:5]]
            command += ["--save", str(Path(place, "model.pt")), "--seed", str(seed)]
        load, begin = os.getloadavg()[0], time.time()
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own scripts
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "cold": found["end"] - begin, "load": load}


def compare(one: dict[str, bool], other: dict[str, bool]) -> str:
    """Word McNemar's exact test of two sides on the same images."""
    from scipy.stats import binomtest

    first = sum(one[name] and not other[name] for name in one)
    second = sum(other[name] and not one[name] for name in one)
    p = binomtest(first, first + second).pvalue if first + second else 1.0
    return f"{first} images right here only, {second} there only: p = {p:.2f}"


def main() -> None:
    """Run the sides in turn and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=["imgcls", "keras"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch-python", default=sys.executable, help="the Python that has PyTorch")
    parser.add_argument("--run", nargs=2, metavar=("SIDE", "SEED"), help="do one run in this process")
    given = parser.parse_args()
    if given.run:
        run(given.run[0], given.folder, given.weights, int(given.run[1]))
        return
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in given.sides}
    for seed in range(given.rounds):
        for side in given.sides:
            runs[side].append(measure(side, seed, given))
    columns = ("accuracy, %", "cold, s", "processor, s", "cold against imgcls", "times as fast as keras", "load before")
    print(f"| side | {' | '.join(columns)} | n |")
    print("|---|---|---|---|---|---|---|---|")
    base, textbook = runs.get("imgcls", []), runs.get("keras", [])
    for side, found in runs.items():
        cells = []
        for values, digits in (
            ([100 * np.mean(one["right"]) for one in found], 1),
            ([one["cold"] for one in found], 0),
            ([one["processor"] for one in found], 0),
            ([one["cold"] / other["cold"] for one, other in zip(found, base, strict=False)], 2),
            ([other["cold"] / one["cold"] for one, other in zip(found, textbook, strict=False)], 1),
            ([one["load"] for one in found], 1),
        ):
            cells.append(
                f"{np.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})" if values else ""
            )
        print(f"| {side} | {' | '.join(cells)} | {len(found)} |")
    answers = {side: dict(zip(found[0]["ids"], found[0]["right"], strict=True)) for side, found in runs.items()}
    for side in given.sides:
        if side != "imgcls" and base:
            print(f"imgcls against {side}, seed 0: {compare(answers['imgcls'], answers[side])}")


if __name__ == "__main__":
    main()
