"""The decode-once store: what the first pass costs, what later passes gain, and that memory does not grow.

    python benchmarks/decode_once.py [--images 1500] [--rounds 7] [--threads 4]

JPEG files of 500x375 are read to 224x224. Rounds run in turn: bare Pillow (open, convert, resize, into one array, by as
many threads), then a first pass into an empty store, then a pass from the store, then a stream, which decodes anew.
"rerun" is the first pass of another run: files are read and hashed, images come from the store. Files lie in the
page cache of the system; on a cold disk every side waits for it.

Memory is the growth of the peak resident set while N and 4N images are read into a new store or a stream and one epoch
goes through them, each in a fresh process that has read one batch before.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from imgcls.datasets import Batches, Dataset

WIDTH, HEIGHT, SIDE, BATCH = 500, 375, 224, 32


def write_photos(folder: Path, count: int) -> list[Path]:
    """Write JPEG files with the amount of detail that photographs have: about 50 kB each."""
    random = np.random.default_rng(0)
    paths = []
    for index in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).astype(np.int16)
        pixels += random.integers(-12, 13, pixels.shape, dtype=np.int16)
        paths.append(folder / f"{index:05d}.jpg")
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=85)
    return paths


def bare_pillow(paths: list[Path], threads: int) -> None:
    """Decode and resize with nothing around it."""
    kept = np.empty((len(paths), SIDE, SIDE, 3), np.uint8)

    def one(index: int) -> None:
        with Image.open(paths[index]) as image:
            kept[index] = np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(len(paths))))


def batches(paths: list[Path], threads: int, keep: str) -> Batches:
    """Make batches; with a store, this is the first pass."""
    data = Dataset.from_files(paths)
    return Batches(data, image_size=(SIDE, SIDE), channels=3, batch_size=BATCH, keep=keep, threads=threads)


def consume(made: Batches) -> None:
    """Go through one epoch."""
    for _ in made.shuffled(seed=0, epoch=0):
        pass


def seconds(work: Callable[[], object]) -> float:
    """Return how long it took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak() -> float:
    """Return the peak resident set in MB; `getrusage` would begin with that of the parent. Linux only."""
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def growth(folder: Path, count: int, keep: str, threads: int) -> float:
    """Return the MB by which reading `count` images and one epoch of them raised the peak of this process."""
    consume(batches(sorted(folder.glob("*.jpg"))[:BATCH], threads, "stream"))  # what any number of images needs
    before = peak()
    consume(batches(sorted(folder.glob("*.jpg"))[:count], threads, keep))
    return peak() - before


def measured_growth(folder: Path, count: int, keep: str, threads: int) -> float:
    """Measure `growth` in a fresh process."""
    shutil.rmtree(os.environ["IMGCLS_CACHE"], ignore_errors=True)
    command = [sys.executable, __file__, "--growth", str(folder), str(count), keep, "--threads", str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - ourselves


def row(name: str, values: np.ndarray, unit: str = "") -> None:
    """Print one line of the table."""
    print(f"| {name} | {len(values)} | {np.median(values):.4g} | {values.min():.4g} | {values.max():.4g} | {unit} |")


def main() -> None:
    """Measure all in turn and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--growth", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.growth:
        folder, count, keep = arguments.growth
        print(growth(Path(folder), int(count), keep, arguments.threads))
        return
    with tempfile.TemporaryDirectory() as scratch:
        cache, photos = Path(scratch, "cache"), Path(scratch, "photos")
        os.environ["IMGCLS_CACHE"] = str(cache)
        photos.mkdir()
        paths = write_photos(photos, arguments.images)
        size = sum(path.stat().st_size for path in paths) / len(paths) / 1e3
        measured = []
        for _ in range(arguments.rounds + 1):
            shutil.rmtree(cache, ignore_errors=True)
            made: list[Batches] = []
            bare = seconds(lambda: bare_pillow(paths, arguments.threads))
            first = seconds(lambda: made.append(batches(paths, arguments.threads, "store")))  # noqa: B023 - called now
            later = seconds(lambda: consume(made[0]))  # noqa: B023 - called now
            rerun = seconds(lambda: batches(paths, arguments.threads, "store"))
            stream = seconds(lambda: consume(batches(paths, arguments.threads, "stream")))
            measured.append((bare, first, later, rerun, stream))
        bare, first, later, rerun, stream = arguments.images / np.array(measured[1:]).T  # the first round warms up
        print(f"{arguments.images} JPEGs {WIDTH}x{HEIGHT} of {size:.0f} kB to {SIDE}x{SIDE},", end=" ")
        print(f"{arguments.threads} threads, {os.cpu_count()} cores\n")
        print("| | n | median | min | max | |\n|---|---|---|---|---|---|")
        row("bare Pillow", bare, "images/s")
        row("first pass", first, "images/s")
        row("later pass, from the store", later, "images/s")
        row("first pass of another run", rerun, "images/s")
        row("stream", stream, "images/s")
        row("ratio first / bare Pillow", first / bare)
        row("ratio stream / bare Pillow", stream / bare)
        row("ratio later / first", later / first)
        row("ratio another run / first", rerun / first)
        for keep in ("store", "stream"):
            for count in (arguments.images // 4, arguments.images):
                grown = [measured_growth(photos, count, keep, arguments.threads) for _ in range(3)]
                row(f"growth of the peak memory, {keep}, {count:,} images", np.array(grown), "MB")


if __name__ == "__main__":
    main()
