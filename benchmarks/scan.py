"""The scan behind `Dataset.check` against decoding alone, and the search for near copies among a million hashes.

    python benchmarks/scan.py [--rounds 15] [--images 400] [--hashes 1000000]

Both work on the same 500x375 JPEG files with the same number of threads, in turn, without cache: one pass that only
decodes, then one that decodes, notes the facts and finds all copies. Photos come from ../shared/data where it is, else
pictures of smooth noise. The search has 1,000 planted pairs that differ in 6 of 64 bits; its memory is what NumPy
allocates at most while it runs, hashes not counted.
"""

import argparse
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from imgcls import Dataset
from imgcls.datasets import _duplicates, _scan

PAIRS, BITS = 1000, 6


def write_photos(folder: Path, count: int) -> list[Path]:
    """Write `count` different JPEG files of 500x375 pixels, quality 90."""
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    sources = [*sorted(shared.glob("flowers224/*/*/*.jpg")), *sorted(shared.glob("clothing/*/*/*.jpg"))]
    generator = np.random.default_rng(0)
    paths = []
    for index in range(count):
        if sources:
            image = Image.open(sources[index * len(sources) // count]).convert("RGB")
        else:
            image = Image.fromarray(generator.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        paths.append(folder / f"{index:05d}.jpg")
        image.resize((500, 375), Image.Resampling.BICUBIC).save(paths[-1], quality=90)
    return paths


def decode(data: Dataset) -> None:
    """Decode every image and keep none, in chunks of the scan's size."""
    chunk = _scan._CHUNK  # noqa: SLF001 - the same chunks as the scan's

    def some(start: int) -> None:
        for position in range(start, min(start + chunk, len(data))):
            data.read(position)

    with ThreadPoolExecutor(_scan._THREADS) as pool:  # noqa: SLF001 - the same number of threads
        list(pool.map(some, range(0, len(data), chunk)))


def seconds(work: Callable[[Dataset], object], data: Dataset) -> float:
    """Return how long `work(data)` takes."""
    start = time.perf_counter()
    work(data)
    return time.perf_counter() - start


def search(count: int) -> tuple[float, float, float]:
    """Return seconds, peak memory in MB and the share of planted pairs found."""
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2**64, count, dtype=np.uint64)
    first, second = generator.permutation(count)[: 2 * PAIRS].reshape(2, PAIRS)
    flips = np.zeros((PAIRS, 64), np.uint8)
    for row in flips:
        row[generator.choice(64, BITS, replace=False)] = 1
    hashes[second] = hashes[first] ^ np.packbits(flips, axis=1).view(np.uint64)[:, 0]
    start = time.perf_counter()
    found = _duplicates.candidate_pairs(hashes)
    took = time.perf_counter() - start
    tracemalloc.start()
    _duplicates.candidate_pairs(hashes)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    got = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    planted = zip(np.minimum(first, second).tolist(), np.maximum(first, second).tolist(), strict=True)
    return took, peak, sum(pair in got for pair in planted) / PAIRS


def main() -> None:
    """Measure in turn and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--hashes", type=int, default=1_000_000)
    arguments = parser.parse_args()
    os.environ["IMGCLS_CACHE"] = "off"
    with tempfile.TemporaryDirectory() as folder:
        data = Dataset.from_files(write_photos(Path(folder), arguments.images))
        size = np.mean([os.path.getsize(data.source(index)) for index in range(len(data))]) / 1000  # noqa: PTH202
        rounds = [(seconds(decode, data), seconds(_duplicates.clusters, data)) for _ in range(arguments.rounds + 1)]
    bare, scan = len(data) / np.array(rounds[1:]).T  # the first round warms up
    print(f"{len(data)} JPEG files, 500x375, {size:.0f} kB; n = {arguments.rounds} rounds; {os.cpu_count()} cores\n")
    print("| what | median | min | max | unit |\n|---|---:|---:|---:|---|")
    for name, values, unit in (
        ("decode alone", bare, "images/s"),
        ("scan and copies", scan, "images/s"),
        ("ratio", scan / bare, ""),
    ):
        print(f"| {name} | {np.median(values):.2f} | {values.min():.2f} | {values.max():.2f} | {unit} |")
    runs = np.array([search(arguments.hashes) for _ in range(3)]).T
    units = ("s", "MB", "of the planted pairs")
    for name, values, unit in zip(("search: time", "search: memory", "search: recall"), runs, units, strict=True):
        print(f"| {name}, {arguments.hashes:,} hashes | {np.median(values):.2f} | {values.min():.2f} | ", end="")
        print(f"{values.max():.2f} | {unit} |")


if __name__ == "__main__":
    main()
