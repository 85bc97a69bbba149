"""What an answer costs beyond the bare compiled call.

    python benchmarks/prediction.py [--rounds 7]

Four questions, the sides of each in turn (A B A B), after both have run once:

- one image in memory: `classifier.predict(image)` against the bare compiled call and against `keras.Model.predict`;
- 10,000 such predictions: how much the memory of the process grows;
- many images in memory: `classifier.predict_proba(images)` against the bare compiled call in batches of the same size;
- the same on MobileNetV2 at 224 pixels, with the engine that "auto" chooses for so many, against TensorFlow.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from imgcls import Dataset, ImageClassifier, _backend, architectures

BATCH = 32


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """Return the median time of a call."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return median(taken)


def in_turn(rounds: int, times: int, **sides: Callable[[], object]) -> dict[str, list[float]]:
    """Time several ways to do the same, in turn."""
    for side in sides.values():
        side()
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            found[name].append(seconds(side, times))
    return found


def row(what: str, values: Sequence[float], digits: int = 2) -> None:
    """Print a line of the table."""
    numbers = [f"{value:,.{digits}f}" for value in (median(values), min(values), max(values))]
    print(f"| {what} | {' | '.join(numbers)} | {len(values)} |", flush=True)


def resident() -> float:
    """Return the memory that this process holds now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def classifier_of(architecture: str, side: int) -> ImageClassifier:
    """Return a classifier of photos, trained for as short as it goes: what it answers does not matter."""
    images = np.random.default_rng(0).integers(0, 256, (32, side, side, 3), np.uint8)
    data = Dataset.from_arrays(images, ["cat", "dog"] * 16)
    classifier = ImageClassifier(architecture, image_size=side, weights=None, epochs=1, batch_size=32)
    return classifier.fit(data, verbose=0)


def batches(run: Callable[[np.ndarray], np.ndarray], images: np.ndarray, size: int = BATCH) -> Callable[[], object]:
    """Return the bare compiled call for many images."""
    return lambda: np.concatenate([run(images[at : at + size]) for at in range(0, len(images), size)])


def single(rounds: int) -> None:
    """One image in memory, and many one by one."""
    classifier = classifier_of("small_cnn", 32)
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    bare, model = _backend.engine(classifier.model_, "tensorflow"), classifier.model_
    found = in_turn(
        rounds,
        50,
        bare=lambda: bare(image[None]),
        ours=lambda: classifier.predict(image),
        keras=lambda: model.predict(image[None], verbose=0),
    )
    row("small_cnn, one image: bare compiled call, ms", [1e3 * value for value in found["bare"]])
    row("`classifier.predict`, ms", [1e3 * value for value in found["ours"]])
    row("`keras.Model.predict`, ms", [1e3 * value for value in found["keras"]])
    beyond = [1e3 * (ours - bare) for ours, bare in zip(found["ours"], found["bare"], strict=True)]
    row("beyond the bare call, ms (wanted 0.5)", beyond)
    row("times as fast as Keras (wanted 20)", [k / o for k, o in zip(found["keras"], found["ours"], strict=True)], 1)
    for _ in range(500):
        classifier.predict(image)
    before = resident()
    for _ in range(10_000):
        classifier.predict(image)
    row("10,000 predictions: growth of memory, MB (wanted 5)", [resident() - before])
    images = np.random.default_rng(1).integers(0, 256, (4096, 32, 32, 3), np.uint8)
    found = in_turn(
        rounds,
        1,
        **{f"bare {size}": batches(bare, images, size) for size in (BATCH, 4 * BATCH)},
        ours=lambda: classifier.predict_proba(images),
    )
    for size in (BATCH, 4 * BATCH):
        ratio = [b / o for b, o in zip(found[f"bare {size}"], found["ours"], strict=True)]
        row(f"4,096 images: times the bare call's throughput in batches of {size} (wanted 1.0)", ratio)


def many(rounds: int, count: int) -> None:
    """Photos enough to pay for a conversion."""
    classifier = classifier_of("mobilenet_v2", 224)
    images = np.random.default_rng(1).integers(0, 256, (count, 224, 224, 3), np.uint8)
    bare = _backend.engine(classifier.model_, "tensorflow")
    work = architectures.measure(classifier.model_).multiply_adds * count
    print(f"\nauto for {count} images: {'another engine' if _backend.pays('auto', work) else 'TensorFlow'}\n")
    found = in_turn(rounds, 1, bare=batches(bare, images), ours=lambda: classifier.predict_proba(images))
    row("MobileNetV2 at 224 pixels: bare call, images/s", [count / value for value in found["bare"]], 0)
    row("`classifier.predict_proba`, images/s", [count / value for value in found["ours"]], 0)
    row("ratio (wanted 2)", [b / o for b, o in zip(found["bare"], found["ours"], strict=True)])


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=1024, help="of the last question")
    arguments = parser.parse_args()
    print("| what | median | min | max | n |\n|---|---|---|---|---|")
    single(arguments.rounds)
    many(arguments.rounds, arguments.images)


if __name__ == "__main__":
    main()
