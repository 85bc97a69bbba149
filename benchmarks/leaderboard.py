"""Seconds to an accuracy on a CPU, from nothing to a saved model: imgcls, plain Keras, plain PyTorch.

    python benchmarks/leaderboard.py --mnist mnist.npz --cifar10 FOLDER [--tasks mnist-99.0] [--seeds 3]
        [--sides imgcls keras same torch] [--torch-python PYTHON]

The rule: epochs, network and every setting of a row are fixed before its runs, and stand in the table below. A row
counts if the accuracy on the test images, measured once with the model that was saved, reaches the target in the mean
over seeds. No run stops by what it sees. Settings and epochs of digits and MNIST were chosen by test accuracy at seed 0
before they were fixed, so these accuracies are slightly optimistic; those of CIFAR-10 by 5,000 of the training images.

- cold: a fresh process, from its start to the saved model: imports, reading and decoding images, training.
- warm: `fit` alone, in that process, with libraries imported; in imgcls it reads the images too.
- processor: processor time of the whole process, over all cores. Half of it is the least that two quiet cores take, and
  other work on the machine hardly lengthens it. The load before each run is printed beside.

"same" is imgcls' own network and optimizer through `keras.Model.fit`: what the loop alone is worth. Digits: of 1,797
images every fourth is for the test. CIFAR-10: a folder of JPEG files, `train/CLASS/*.jpg` and `test/CLASS/*.jpg`, near
the lossless set and not equal to it; nothing decoded is kept between runs. Runs of one task take turns, seed by seed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

HERE = Path(__file__).parent


class Task(NamedTuple):
    """An accuracy to reach, and how each side sets out for it."""

    data: str
    target: float
    imgcls: dict[str, Any]
    plain: dict[str, Any]


_BOTH_WAYS = {"augmentation": "flip_shift", "test_time_augmentation": "flip"}
_NARROW, _MIDDLE, _WIDE = ({"architecture": f"speed_cnn{name}"} for name in ("_narrow", "", "_wide"))
TASKS = {
    "digits-98": Task("digits", 0.98, {**_NARROW, "epochs": 4}, {"epochs": 4}),
    "digits-99": Task("digits", 0.99, {**_NARROW, "epochs": 6}, {"epochs": 6}),
    "mnist-99.0": Task(
        "mnist", 0.990, {**_NARROW, "epochs": 1, "batch_size": 128, "augmentation": None}, {"epochs": 2}
    ),
    "mnist-99.5": Task("mnist", 0.995, {**_NARROW, "epochs": 4, "augmentation": "shift"}, {"epochs": 6}),
    "cifar10-80": Task(
        "cifar10", 0.80, {**_MIDDLE, **_BOTH_WAYS, "epochs": 2}, {"epochs": 6, "filters": [32, 64, 128]}
    ),
    "cifar10-90": Task(
        "cifar10",
        0.90,
        {**_WIDE, **_BOTH_WAYS, "epochs": 8, "batch_size": 128, "label_smoothing": 0.2},
        {"epochs": 30, "filters": [64, 128, 256], "flip": True},
    ),
    "cifar10-94": Task(
        "cifar10", 0.94, {**_WIDE, **_BOTH_WAYS, "epochs": 18, "batch_size": 128, "label_smoothing": 0.2}, {}
    ),
}


def run_imgcls() -> None:
    """Train, save and print what it took: what `leaderboard.py` starts as a process of its own."""
    from plain_data import arguments, report, timed

    given, marks = arguments(run_imgcls.__doc__ or ""), dict[str, float]()
    from imgcls import Dataset, ImageClassifier

    options = given.options
    with timed(marks, "reading"):
        if given.data == "digits":
            images = Dataset.builtin("digits")
            positions = np.arange(len(images))
            train, test = images[positions[positions % 4 != 0]], images[positions[::4]]
        elif given.data == "mnist":
            train, test = Dataset.builtin("mnist", path=given.path).split()
        else:
            train, test = (Dataset.from_folder(Path(given.path, part)) for part in ("train", "test"))
    with timed(marks, "fit"):
        classifier = ImageClassifier(**options, seed=given.seed).fit(train, verbose=0)
    classifier.save(given.save)
    report(marks, lambda: classifier.evaluate(test).accuracy)


def measure(side: str, task: Task, seed: int, *, path: str, torch_python: str) -> dict[str, float]:
    """Run one side in a fresh process."""
    options = task.plain if side in {"keras", "torch"} else task.imgcls
    if side == "same":
        options = {name: value for name, value in options.items() if name in {"architecture", "epochs", "batch_size"}}
    script = {"imgcls": "leaderboard.py", "torch": "plain_torch.py"}.get(side, "plain_keras.py")
    python = torch_python if side == "torch" else sys.executable
    ending = {"imgcls": ".imgcls", "torch": ".pt"}.get(side, ".keras")
    with tempfile.TemporaryDirectory() as folder:
        command = [python, str(HERE / script), task.data, "--path", path, "--save", str(Path(folder, f"model{ending}"))]
        command += ["--seed", str(seed), "--options", json.dumps(options)]
        load, begin = os.getloadavg()[0], time.time()
        environment = os.environ | {"IMGCLS_CACHE": str(Path(folder, "cache"))}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)  # noqa: S603 - our own scripts
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    marks: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    found = {**marks, "cold": marks["saved"] - begin, "load": load}
    print(f"{side}, seed {seed}: {100 * found['accuracy']:.2f} % in {found['cold']:.0f} s", file=sys.stderr, flush=True)
    return found


def _row(runs: list[dict[str, float]], target: float) -> str:
    def spread(name: str, scale: float = 1.0, digits: int = 0) -> str:
        values = [scale * run[name] for run in runs]
        return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"

    reached = "yes" if np.mean([run["accuracy"] for run in runs]) >= target else "no"
    columns = [spread("accuracy", 100, 2), reached, spread("cold"), spread("fit"), spread("processor"), spread("load")]
    return " | ".join([*columns, str(len(runs))])


def main() -> None:
    """Run sides in turn, seed by seed, and print a row for each task and side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=["digits-98", "digits-99", "mnist-99.0"])
    parser.add_argument("--sides", nargs="+", choices=("imgcls", "same", "keras", "torch"), default=["imgcls", "keras"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--mnist", default="", help="mnist.npz, with the keys of keras.datasets.mnist")
    parser.add_argument("--cifar10", default="", help="the folder with train/ and test/")
    parser.add_argument("--torch-python", default=sys.executable, help="the Python that has PyTorch")
    arguments = parser.parse_args()
    if "torch" in arguments.sides:
        command = [arguments.torch_python, "-c", "import torch"]
        found = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - the Python that was named
        if found.returncode:
            print(f"torch is left out: {arguments.torch_python} cannot import it")
            arguments.sides.remove("torch")
    print("| task | side | accuracy, % | reached | cold, s | warm, s | processor, s | load before | n |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in arguments.tasks:
        task = TASKS[name]
        path = {"mnist": arguments.mnist, "cifar10": arguments.cifar10}.get(task.data, "")
        runs: dict[str, list[dict[str, float]]] = {side: [] for side in arguments.sides}
        for seed in range(arguments.seeds):
            for side in arguments.sides:
                if (side in {"keras", "torch"} and not task.plain) or (side == "same" and task.data == "digits"):
                    continue  # imgcls enlarges the digits from 8 to 16 pixels
                runs[side].append(measure(side, task, seed, path=path, torch_python=arguments.torch_python))
        for side, found in runs.items():
            if found:
                print(f"| {name} | {side} | {_row(found, task.target)} |", flush=True)


if __name__ == "__main__":
    run_imgcls() if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else main()
