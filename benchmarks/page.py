"""The page of an evaluation of 10,000 images: how large it is, and how soon a browser has opened it.

Its images are noise, which no PNG makes smaller: no photos give a larger page. Needs Chromium for the time.

    python benchmarks/page.py
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from imgcls.metrics import Evaluation

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "integration"))
import chromium

IMAGES, RUNS = 10_000, 7


def evaluation(classes: int) -> Evaluation:
    """Return an evaluation of noise, right in about two of three."""
    random = np.random.default_rng(0)
    y_true = random.integers(0, classes, IMAGES)
    scores = random.normal(size=(IMAGES, classes))
    scores[np.arange(IMAGES), y_true] += 0.5 + np.log(classes) / 2
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)

    def read(position: int) -> NDArray[np.uint8]:
        return np.random.default_rng(position).integers(0, 256, (224, 224, 3), dtype=np.uint8)

    names = [f"class {number}" for number in range(classes)]
    return Evaluation(y_true, probabilities, classes=names, ids=[f"{i:06d}.jpg" for i in range(IMAGES)], read=read)


def opened(browser: chromium.Chromium, url: str) -> float:
    """Return the seconds until the page is whole and drawn."""
    start = time.perf_counter()
    browser.open(url)
    browser.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return time.perf_counter() - start


def main() -> None:
    """Print a line for each number of classes."""
    with tempfile.TemporaryDirectory() as folder:
        for classes in (2, 100, 1_000):
            one = evaluation(classes)
            start = time.perf_counter()
            path = one.save(Path(folder) / f"{classes}.html")
            written = time.perf_counter() - start
            line = f"{classes:,} classes, accuracy {one.accuracy:.2f}: {path.stat().st_size / 1e6:.1f} MB"
            line += f", written in {written:.1f} s"
            if chromium.found():
                with chromium.Chromium() as browser:
                    times = [opened(browser, path.as_uri()) for _ in range(RUNS)]
                line += f", opened in {median(times):.2f} s (n = {RUNS}, {min(times):.2f} to {max(times):.2f})"
            print(line)


if __name__ == "__main__":
    main()
