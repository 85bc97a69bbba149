"""What a classifier promises beyond its answers, measured on images that nothing was learnt or set by.

    python benchmarks/trust.py digits [--splits 5]
    python benchmarks/trust.py FOLDER --weights FILE.h5 [--other FOLDER] [--splits 5]

FOLDER has a folder for each class, or parts with such folders, which are put together; the file holds weights of
MobileNetV2 at full width, without top; the other folder holds images of other things. In each split a random 60 % of
the images are learnt from, 20 % are held out (`validation_data`), and 20 % are new. Printed are the means over splits,
and the lowest and the highest in brackets:

- before and after the temperature: log loss and calibration error on the new images.
- sets: the share that holds the truth where 90 % were promised; their mean size; the least share of one class.
- unsure: the share that is answered where 5 % of wrong answers are accepted, and the share of these that is wrong.
- unknown: which share is called so, of the new images, of other images, and of a class that was left out.
"""

import argparse
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from imgcls import Dataset, Evaluation, ImageClassifier, architectures

_FIGURES = ("accuracy", "log_loss", "calibration_error")
# A recipe for learning 300 images by heart.
BY_HEART: dict[str, Any] = {"augmentation": None, "dropout": 0.0, "weight_decay": 0.0, "patience": None, "epochs": 150}
Found = dict[str, list[float]]


def promises(classifier: ImageClassifier, new: Dataset, others: dict[str, Any], found: Found) -> None:
    """Measure one fitted classifier on new images."""
    predictions = classifier.predict(new, abstain=["set", "unknown"])
    truth, sets = np.asarray(new.labels), predictions.sets
    after = Evaluation(truth, predictions.probabilities, classes=new.classes)
    before = untempered(classifier).evaluate(new)
    found["temperature"].append(classifier.temperature_)
    for name in _FIGURES:
        found[f"{name}, before"].append(before[name])
        found[f"{name}, after"].append(after[name])
    held = sets[np.arange(len(new)), truth]
    found["sets: hold the truth"].append(held.mean())
    found["sets: mean size"].append(sets.sum(axis=1).mean())
    found["sets: empty"].append((sets.sum(axis=1) == 0).mean())
    found["sets: hold the truth, worst class"].append(min(held[truth == code].mean() for code in np.unique(truth)))
    sure = predictions.probabilities.max(axis=1) >= classifier.held_out_.select(0.05).threshold
    found["unsure: answered"].append(sure.mean())
    if sure.any():
        found["unsure: of these wrong"].append((~after.right[sure]).mean())
    found["unknown: new"].append(predictions.unknown.mean())
    for name, images in others.items():
        found[f"unknown: {name}"].append(classifier.predict(images, abstain="unknown").unknown.mean())


def untempered(classifier: ImageClassifier) -> ImageClassifier:
    """Return a copy whose scores are not divided by the temperature."""
    with tempfile.TemporaryDirectory() as place:
        copy = ImageClassifier.load(classifier.save(Path(place, "copy.imgcls")))
    architectures.temper(copy.model_, 1 / classifier.temperature_)
    return copy


def apart(data: Dataset, seed: int) -> tuple[Dataset, Dataset, Dataset]:
    """Divide at random, copies together."""
    learnt, held_out, new = data.split((0.6, 0.2, 0.2), seed=seed)
    return learnt, held_out, new


def without(data: Dataset, code: int) -> tuple[Dataset, Dataset]:
    """Return the images of all classes but one, and of that one."""
    labels = np.asarray(data.labels)
    kept = data[labels != code]
    return kept.align([name for name in data.classes if name != data.classes[code]]), data[labels == code]


def noisy(data: Dataset, seed: int) -> Dataset:
    """Return images under heavy noise, as of a bad camera: whoever learns them by heart is too sure."""
    images = np.stack([data.read(position) for position in range(len(data))])
    images = images + np.random.default_rng(seed).normal(0, 120, images.shape)
    return Dataset.from_arrays(images.clip(0, 255).astype(np.uint8), np.asarray(data.labels), classes=data.classes)


def digits(splits: int) -> dict[str, Found]:
    """Measure small networks that are trained from random numbers."""
    data, random = Dataset.builtin("digits"), np.random.default_rng(0)
    noise = random.integers(0, 256, (300, 8, 8, 1)).astype(np.uint8)
    found: dict[str, Found] = {
        name: defaultdict(list) for name in ("digits", "digits, learnt by heart", "digits but 8")
    }
    for seed in range(splits):
        learnt, held_out, new = apart(data, seed)
        usual = ImageClassifier("small_cnn", seed=seed).fit(learnt, validation_data=held_out, verbose=0)
        promises(usual, new, {"noise": noise}, found["digits"])
        learnt, held_out, new = apart(noisy(data, seed), seed)
        few = learnt[np.sort(np.random.default_rng(seed).permutation(len(learnt))[:300])].align(data.classes)
        fitted = ImageClassifier("small_cnn", image_size=16, seed=seed, **BY_HEART)
        promises(fitted.fit(few, validation_data=held_out, verbose=0), new, {}, found["digits, learnt by heart"])
        rest, eights = without(data, 8)
        learnt, held_out, new = apart(rest, seed)
        others = ImageClassifier("small_cnn", seed=seed).fit(learnt, validation_data=held_out, verbose=0)
        promises(others, new, {"the class left out": eights}, found["digits but 8"])
    return found


def photos(folder: Path, weights: str, other: Path | None, splits: int) -> dict[str, Found]:
    """Measure heads that are solved on features of a pretrained network."""
    data = together(folder)
    others = {} if other is None else {other.name: together(other)}
    left_out = len(data.classes) - 1
    found: dict[str, Found] = {name: defaultdict(list) for name in (folder.name, f"without {data.classes[left_out]}")}
    for seed in range(splits):
        learnt, held_out, new = apart(data, seed)
        classifier = ImageClassifier("mobilenet_v2", weights=weights, seed=seed)
        promises(classifier.fit(learnt, validation_data=held_out, verbose=0), new, others, found[folder.name])
        rest, missing = without(data, left_out)
        learnt, held_out, new = apart(rest, seed)
        classifier = ImageClassifier("mobilenet_v2", weights=weights, seed=seed)
        classifier.fit(learnt, validation_data=held_out, verbose=0)
        promises(classifier, new, {"the class left out": missing}, list(found.values())[1])
    return found


def together(folder: Path) -> Dataset:
    """Return all images below a folder, whatever part they are in."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    return Dataset.from_files(paths, [path.parent.name for path in paths])


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--weights")
    parser.add_argument("--other", type=Path)
    parser.add_argument("--splits", type=int, default=5)
    options = parser.parse_args()
    if options.folder == "digits":
        found = digits(options.splits)
    else:
        found = photos(Path(options.folder), options.weights, options.other, options.splits)
    for name, figures in found.items():
        print(f"\n{name}, {options.splits} splits")
        for figure, values in figures.items():
            print(f"  {figure:<36} {np.mean(values):.3f}  ({np.min(values):.3f}-{np.max(values):.3f})", flush=True)


if __name__ == "__main__":
    main()
