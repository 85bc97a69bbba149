"""Our `read(size=)` against bare Pillow and against tf.data, and a 12-megapixel JPEG against its full decode.

    python benchmarks/decode.py [--rounds 11] [--threads 2] [--photos FOLDER]

Three questions, each answered by ratios of rates taken in turn within one run, so that both meet the same moods of
the machine; the first round of each warms up and is not counted:

1. 500 x 375 JPEGs to 224 x 224: `read(path, size=)` against `Image.open(path).convert("RGB").resize(...)` and
   `np.asarray`, the same threads. What the rules of the one decoder cost.
2. The same files against tf.data: `tf.io.decode_jpeg` and `tf.image.resize(antialias=True)`, mapped with AUTOTUNE.
3. 4000 x 3000 JPEGs to 224 x 224: `read(path, size=)` against Pillow's full decode and resize, and against
   `resize(read(path), size)`, one thread; and again with grain, as a camera's sensor leaves it: the finer the
   detail, the more of the time goes into reading the codes of coefficients, which no smaller decoding saves.

With --photos the JPEGs are made of photographs, enlarged to the sizes above; else of smooth random pictures.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from PIL import Image

from imgcls.datasets import read, resize

SIDE = 224
SMALL, LARGE = (500, 375), (4000, 3000)  # (width, height)


def pictures(photos: Path | None, count: int) -> Iterator[Image.Image]:
    """Yield photographs, or smooth random pictures where there are none."""
    generator = np.random.default_rng(0)
    paths = sorted(photos.rglob("*.jpg"))[:count] if photos else []
    for index in range(count):
        if paths:
            with Image.open(paths[index % len(paths)]) as image:
                yield image.convert("RGB")
        else:
            yield Image.fromarray(generator.integers(0, 256, (28, 37, 3), dtype=np.uint8))


def written(folder: Path, photos: Path | None, count: int, size: tuple[int, int], grain: int = 0) -> list[str]:
    """Write JPEGs of one size and return their paths; `grain` is the largest change of a pixel's brightness."""
    generator = np.random.default_rng(1)
    paths = []
    for index, image in enumerate(pictures(photos, count)):
        path = folder / f"{size[0]}-{grain}-{index}.jpg"
        pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
        pixels += generator.integers(-grain, grain + 1, (*pixels.shape[:2], 1), dtype=np.int16)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        paths.append(str(path))
    return paths


def ours(path: str) -> np.ndarray:
    """Read by the one decoder."""
    return read(path, size=(SIDE, SIDE))


def whole(path: str) -> np.ndarray:
    """Read by the one decoder, without a smaller decoding."""
    return resize(read(path), (SIDE, SIDE))


def bare(path: str) -> np.ndarray:
    """Read by Pillow, without a rule."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def by_tensorflow(paths: list[str], threads: int) -> Callable[[], None]:
    """Return one pass of tf.data over the files."""

    def decode(path: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.cast(tf.image.resize(image, (SIDE, SIDE), antialias=True), tf.uint8)

    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    data = tf.data.Dataset.from_tensor_slices(paths).map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    data = data.with_options(options)

    def run() -> None:
        for _ in data:
            pass

    return run


def in_turn(runs: list[Callable[[], object]], rounds: int) -> np.ndarray:
    """Return seconds (rounds, runs); the order changes with every round, and one round before is not counted."""
    seconds = np.zeros((rounds + 1, len(runs)))
    for one in range(rounds + 1):
        for index in range(len(runs))[:: -1 if one % 2 else 1]:
            start = time.perf_counter()
            runs[index]()
            seconds[one, index] = time.perf_counter() - start
    return seconds[1:]


def row(name: str, ratios: np.ndarray, rates: tuple[float, float], needed: float) -> str:
    """Return a line of the table."""
    low, high = np.percentile(ratios, [25, 75])
    return (
        f"| {name} | {rates[0]:.0f} | {rates[1]:.0f} | {np.median(ratios):.2f} | {low:.2f}-{high:.2f} "
        f"| {len(ratios)} | {needed} |"
    )


def main() -> None:
    """Measure the three questions and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--photos", type=Path, default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.threads) as pool:
        small = written(Path(folder), arguments.photos, 200, SMALL)
        large = written(Path(folder), arguments.photos, 8, LARGE)
        grainy = written(Path(folder), arguments.photos, 8, LARGE, grain=6)

        def over(function: Callable[[str], np.ndarray]) -> Callable[[], object]:
            return lambda: list(pool.map(function, small))

        def alone(function: Callable[[str], np.ndarray], paths: list[str]) -> Callable[[], object]:
            return lambda: [function(path) for path in paths]

        pixels = np.abs(np.stack([ours(path) for path in large]).astype(int) - [whole(path) for path in large])
        few = in_turn([over(ours), over(bare), by_tensorflow(small, arguments.threads)], arguments.rounds)
        many, grain = (
            in_turn([alone(function, paths) for function in (ours, bare, whole)], arguments.rounds)
            for paths in (large, grainy)
        )
        sets = (small, large, grainy)
        sizes = [sum(Path(path).stat().st_size for path in paths) / len(paths) / 1000 for paths in sets]

    made_of = "photographs, enlarged" if arguments.photos else "smooth random pictures"
    print(
        f"{made_of}; {len(small)} JPEGs of {SMALL[0]} x {SMALL[1]} ({sizes[0]:.0f} kB), "
        f"{len(large)} of {LARGE[0]} x {LARGE[1]} ({sizes[1]:.0f} kB, with grain {sizes[2]:.0f} kB), quality 90; "
        f"{arguments.threads} threads, {os.cpu_count()} cores\n"
    )
    print("| imgcls against | imgcls, images/s | other, images/s | ratio, median | quartiles | n | needed |")
    print("|---|---|---|---|---|---|---|")
    for name, seconds, count, other, needed in (
        ("Pillow, 500 x 375", few, len(small), 1, 0.95),
        ("tf.data, 500 x 375", few, len(small), 2, 1.3),
        ("Pillow, 4000 x 3000", many, len(large), 1, 4),
        ("itself decoding in full, 4000 x 3000", many, len(large), 2, 4),
        ("Pillow, 4000 x 3000 with grain", grain, len(large), 1, 4),
        ("itself decoding in full, with grain", grain, len(large), 2, 4),
    ):
        rates = tuple(count / np.median(seconds[:, index]) for index in (0, other))
        print(row(name, seconds[:, other] / seconds[:, 0], rates, needed))
    print(f"\nA smaller decoding moves a pixel by {pixels.mean():.2f} on average, {pixels.max()} at most, of 255.")


if __name__ == "__main__":
    main()
