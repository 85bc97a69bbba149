"""Images and labels of the leaderboard's tasks as arrays, read as one would without imgcls: NumPy, Pillow."""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read(name: str, path: str) -> tuple[Part, Part]:
    """Return (images `uint8 (N, H, W, C)`, labels) to train and to test on; of the digits, every fourth is a test."""
    if name == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = (digits.images * 255 / 16).round().astype(np.uint8)[..., None]
        test = np.arange(len(images)) % 4 == 0
        return (images[~test], digits.target[~test]), (images[test], digits.target[test])
    if name == "mnist":
        with np.load(path) as arrays:
            train, test = (
                (arrays[f"x_{part}"][..., None], arrays[f"y_{part}"].astype(np.int64)) for part in ("train", "test")
            )
        return train, test
    return _folder(Path(path, "train")), _folder(Path(path, "test"))


def _folder(folder: Path) -> Part:
    from PIL import Image

    images, labels = [], []
    for code, place in enumerate(sorted(folder.iterdir())):
        for file in sorted(place.iterdir()):
            with Image.open(file) as image:
                images.append(np.asarray(image.convert("RGB")))
            labels.append(code)
    return np.stack(images), np.array(labels)


def arguments(about: str) -> Any:
    """Parse what `leaderboard.py` tells a script."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("digits", "mnist", "cifar10"))
    parser.add_argument("--path", default="", help="mnist.npz, or the folder with train/ and test/")
    parser.add_argument("--save", required=True, help="the file of the model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", type=json.loads, default={}, help="what the script's fit takes, as JSON")
    return parser.parse_args()


@contextmanager
def timed(marks: dict[str, float], name: str) -> Iterator[None]:
    """Note seconds by the clock and in processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    yield
    marks[name] = time.perf_counter() - wall
    marks[f"{name}_processor"] = time.process_time() - processor


def report(marks: dict[str, float], accuracy: Callable[[], float]) -> None:
    """Print one line of JSON; the model has just been saved, and its accuracy is measured after that."""
    marks |= {"saved": time.time(), "processor": time.process_time()}
    print(json.dumps({**marks, "accuracy": accuracy()}))
