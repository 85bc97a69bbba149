"""What figures of a million predictions cost, and what the page of 10,000 images weighs.

    python benchmarks/evaluation.py [--rounds 3]

- figures: 1,000,000 predictions of 100 classes (400 MB of probabilities), drawn at random: every figure with its
  interval, and those of each class, in a fresh process; the peak of its memory beyond that of the predictions. Beside
  it scikit-learn's `classification_report`, `log_loss` and `roc_auc_score` (one class against the rest) without any
  interval, in the same process, on a tenth of the predictions, times ten.
- page: 10,000 photo-like images of 224 x 224 and 100 classes, one in five told wrong: the seconds to write the page
  (without searching leaks and shortcuts), and its size.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from imgcls import Evaluation


def predictions(count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels, and probabilities that favour them."""
    random = np.random.default_rng(0)
    y_true = random.integers(0, classes, count)
    scores = random.standard_normal((count, classes), dtype=np.float32)
    scores[np.arange(count), y_true] += 3.5
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return y_true, scores


def peak() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def figures() -> dict[str, float]:
    """Measure all figures of a million predictions."""
    y_true, probabilities = predictions(1_000_000, 100)
    before, begin, used = peak(), time.perf_counter(), time.process_time()
    evaluation = Evaluation(y_true, probabilities, classes=range(100))
    dict(evaluation), evaluation.intervals, evaluation.per_class_intervals
    found = {
        "figures, s": time.perf_counter() - begin,
        "figures, processor s": time.process_time() - used,
        "figures, MB beyond the predictions": peak() - before,
    }
    from sklearn import metrics

    y_true, probabilities = y_true[::10], probabilities[::10]
    begin = time.perf_counter()
    metrics.classification_report(y_true, probabilities.argmax(axis=1))
    metrics.log_loss(y_true, probabilities)
    metrics.roc_auc_score(y_true, probabilities, multi_class="ovr")
    return found | {"scikit-learn without intervals, s (ten times a tenth)": 10 * (time.perf_counter() - begin)}


def page() -> dict[str, float]:
    """Write the page of 10,000 images."""
    random = np.random.default_rng(0)
    y_true, probabilities = predictions(10_000, 100)
    scenes = [np.cumsum(np.cumsum(random.normal(0, 1, (224, 224, 3)), 0), 1) for _ in range(20)]
    scenes = [(255 * (one - one.min()) / np.ptp(one)).astype(np.uint8) for one in scenes]

    def read(position: int) -> np.ndarray:
        return np.roll(scenes[position % 20], position, axis=1)

    evaluation = Evaluation(y_true, probabilities, classes=[f"class {code}" for code in range(100)], read=read)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        path = evaluation.save(Path(folder, "report.html"))
        return {"page, s": time.perf_counter() - begin, "page, MB": path.stat().st_size / 1e6}


def main() -> None:
    """Run each part in a fresh process, several times, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=("figures", "page"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps({"figures": figures, "page": page}[arguments.part]()))
        return
    print("| what | median | min | max |\n|---|---|---|---|")
    for part in ("figures", "page"):
        command = [sys.executable, __file__, "--part", part]
        runs = [
            json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603 - this file
            for _ in range(arguments.rounds)
        ]
        for name in runs[0]:
            values = [run[name] for run in runs]
            print(f"| {name} | {np.median(values):.1f} | {min(values):.1f} | {max(values):.1f} |")


if __name__ == "__main__":
    main()
