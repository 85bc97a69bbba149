"""One change of the recipe at a time: what each choice is worth in test accuracy, and what it costs in processor time.

    python benchmarks/recipes.py --data FOLDER [--seeds 3] [--images 5000] [--epochs 8] [--image-size 128]
        [--architecture small_cnn] [--changes NAME ...]

FOLDER holds train/ and test/ with class sub-folders, such as CIFAR-10 as JPEG files. The first IMAGES of a shuffle are
learnt from; as many test images are measured on, which no choice looks at.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from imgcls import Dataset, ImageClassifier

CHANGES = {
    "as it is": {},
    "schedule one_cycle": {"schedule": "one_cycle"},
    "schedule linear": {"schedule": "linear"},
    "schedule constant": {"schedule": "constant"},
    "optimizer sgd": {"optimizer": "sgd"},
    "optimizer adam": {"optimizer": "adam"},
    "optimizer muon": {"optimizer": "muon"},
    "weight decay 0": {"weight_decay": 0.0},
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "mixup": {"mixing": "mixup"},
    "cutmix": {"mixing": "cutmix"},
    "average 0.99": {"average": 0.99},
    "clip norm 1": {"clip_norm": 1.0},
    "focal loss": {"loss": "focal"},
    "progressive resizing": {"progressive_resizing": True},
    "no augmentation": {"augmentation": None},
    "augmentation strong": {"augmentation": "strong"},
}


def main() -> None:
    """Run every change with every seed, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--architecture", default="small_cnn")
    parser.add_argument("--image-size", type=int, default=None, help="pixels; else what imgcls chooses")
    parser.add_argument("--changes", nargs="+", choices=CHANGES, default=list(CHANGES), help="beside those as they are")
    arguments = parser.parse_args()
    size = arguments.image_size or "auto"
    changes = {name: CHANGES[name] for name in dict.fromkeys(["as it is", *arguments.changes])}
    whole = Dataset.from_folder(arguments.data)
    order = np.random.default_rng(0).permutation
    train, test = (
        part[np.sort(order(len(part))[: arguments.images])] for part in (whole.subset("train"), whole.subset("test"))
    )
    scores: dict[str, list[float]] = {name: [] for name in changes}
    costs: dict[str, list[float]] = {name: [] for name in changes}
    for seed in range(arguments.seeds):  # seed by seed, so that a table of fewer seeds is whole
        for name, change in changes.items():
            begin = time.process_time()
            classifier = ImageClassifier(arguments.architecture, image_size=size, epochs=arguments.epochs, seed=seed)
            classifier.set_params(**change)
            classifier.fit(train, verbose=0)
            costs[name].append(time.process_time() - begin)
            scores[name].append(100 * classifier.score(test))
            print(f"seed {seed}  {name}: {scores[name][-1]:.1f} % in {costs[name][-1]:.0f} s", flush=True)
    print(f"\n| change | accuracy, mean of {arguments.seeds} | lowest-highest | against as it is | times the work |")
    print("|---|---|---|---|---|")
    for name, found in scores.items():
        gain = statistics.mean(one - other for one, other in zip(found, scores["as it is"], strict=True))
        work = statistics.median(one / other for one, other in zip(costs[name], costs["as it is"], strict=True))
        row = f"{statistics.mean(found):.1f} % | {min(found):.1f}-{max(found):.1f} | {gain:+.1f} | {work:.2f}"
        print(f"| {name} | {row} |")


if __name__ == "__main__":
    main()
