"""What figures of a million predictions cost.

    python benchmarks/evaluation.py [--rounds 3]

1,000,000 predictions of 100 classes (400 MB of probabilities), drawn at random: every figure with its interval, and
those of each class, in a fresh process; the peak of its memory beyond that of the predictions. Beside it scikit-learn's
`classification_report`, `log_loss` and `roc_auc_score` (one class against the rest) without any interval, in the same
process, on a tenth of the predictions, times ten.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

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


def main() -> None:
    """Run it in fresh processes, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(figures()))
        return
    command = [sys.executable, __file__, "--once"]
    runs = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603 - this file
        for _ in range(arguments.rounds)
    ]
    print("| what | median | min | max |\n|---|---|---|---|")
    for name in runs[0]:
        values = [run[name] for run in runs]
        print(f"| {name} | {np.median(values):.1f} | {min(values):.1f} | {max(values):.1f} |")


if __name__ == "__main__":
    main()
