"""Our augmentation against Keras' layers, and its share of a training step, in one run.

    python benchmarks/augmentation.py [--rounds 15]

Batches of 32 uint8 images of 224x224x3, cast to float32 and augmented in a compiled graph, as in the training step:

- `standard` against the same seven Keras layers in a row, with the same amounts;
- `strong` against `keras.layers.RandAugment` as it comes;
- `mixup` and `cutmix` against `keras.layers.MixUp` and `keras.layers.CutMix`, with the same alphas.

Then whole training steps of `small_cnn` on 32x32x3 images, without and with augmentation; a share is the time that
augmentation adds to a step, divided by the whole: by the clock, and in time of the processors, which other work on the
machine does not lengthen. Calls run A B A B; a round is the mean of some of them; ratios and shares are taken round by
round; the first round warms up and is not counted.
"""

import argparse
import itertools
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from imgcls import architectures, trainer, transforms
from imgcls._backend import TrainingStep

SIDE, BATCH, CLASSES, RANGE = 224, 32, 10, (0, 255)


def seven_layers() -> Callable[[Any], Any]:
    """Make the seven layers; a pair of factors is a range around 1 for contrast, and 0.5 keeps the saturation."""
    row = [
        layers.RandomFlip("horizontal", seed=1),
        layers.RandomRotation(10 / 360, seed=2),
        layers.RandomZoom(0.15, seed=3),
        layers.RandomTranslation(0.1, 0.1, seed=4),
        layers.RandomContrast((0.2, 0.2), value_range=RANGE, seed=5),
        layers.RandomBrightness(0.1, value_range=RANGE, seed=6),
        layers.RandomSaturation((0.4, 0.6), value_range=RANGE, seed=7),
    ]

    def run(images: Any) -> Any:
        for layer in row:
            images = layer(images, training=True)
        return images

    return run


def in_training(layer: Any) -> Callable[..., Any]:
    """Call a layer as in training."""
    return lambda *given: layer(*given, training=True)


def mix_of_keras(layer: Any) -> Callable[..., Any]:
    """Call a layer of Keras that mixes."""
    return lambda images, targets, _: layer({"images": images, "labels": targets}, training=True)


def compiled(augment: Callable[..., Any], *rest: Any) -> Callable[[Any], object]:
    """Compile an augmentation of uint8 images, called with float32 images and `rest`."""
    signature = [tf.TensorSpec((None, SIDE, SIDE, 3), tf.uint8)]
    run = tf.function(lambda images: augment(tf.cast(images, tf.float32), *rest), input_signature=signature)
    return run.get_concrete_function()


def in_turn(
    named: dict[str, Callable[[], object]], *, rounds: int, calls: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, np.ndarray]:
    """Measure all in turn, call by call; return the mean milliseconds of a call in each round."""
    seconds = np.zeros((rounds + 1, len(named)))
    for each in seconds:
        for _ in range(calls):
            for index, work in enumerate(named.values()):
                start = clock()
                work()
                each[index] += clock() - start
    return dict(zip(named, 1e3 * seconds[1:].T / calls, strict=True))  # the first round warms up


def row(name: str, values: np.ndarray) -> None:
    """Print one line of the table."""
    print(f"| {name} | {len(values)} | {np.median(values):.3g} | {values.min():.3g} | {values.max():.3g} |")


def against_keras(rounds: int) -> None:
    """Measure batches at 224."""
    random = np.random.default_rng(0)
    images = tf.constant(random.integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8))
    targets = tf.constant(np.eye(CLASSES, dtype=np.float32)[random.integers(0, CLASSES, BATCH)])
    mixed = (targets, tf.ones(BATCH))
    sides = {
        "seven Keras layers": compiled(seven_layers()),
        "standard": compiled(in_training(transforms.augmentation("standard"))),
        "RandAugment": compiled(in_training(layers.RandAugment(value_range=RANGE, seed=1))),
        "strong": compiled(in_training(transforms.augmentation("strong"))),
        "Keras MixUp": compiled(mix_of_keras(layers.MixUp(0.2, seed=1)), *mixed),
        "mixup": compiled(in_training(transforms.mixing("mixup")), *mixed),
        "Keras CutMix": compiled(mix_of_keras(layers.CutMix(1.0, seed=1)), *mixed),
        "cutmix": compiled(in_training(transforms.mixing("cutmix")), *mixed),
    }
    found = in_turn({name: partial(run, images) for name, run in sides.items()}, rounds=rounds, calls=3)
    print(f"{BATCH} images of {SIDE}x{SIDE}x3, {os.cpu_count()} cores; ms a batch\n")
    print("| | n | median | min | max |\n|---|---|---|---|---|")
    for name, values in found.items():
        row(name, values)
    names = list(found)
    for theirs, ours in zip(names[::2], names[1::2], strict=True):
        row(f"ratio {theirs} / {ours}", found[theirs] / found[ours])


def share_of_a_step(rounds: int, batch: int, clock: Callable[[], float], side: int = 32) -> None:
    """Measure whole training steps."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    targets = np.eye(CLASSES, dtype=np.float32)[random.integers(0, CLASSES, batch)]
    weights = np.ones(batch, np.float32)
    goal = trainer.objective(num_classes=CLASSES, multi_label=False)

    def step(policy: str | None) -> Callable[[], object]:
        model = architectures.build("small_cnn", input_shape=(side, side, 3), num_classes=CLASSES)
        augmentation, optimizer = transforms.augmentation(policy), keras.optimizers.AdamW(1e-3)
        run = TrainingStep(model, optimizer, goal, augmentation=augmentation, one_label=True, targets=goal.spec())

        def work() -> None:
            run(images, targets, weights)
            run.means()  # waits for the step

        return work

    steps = {str(name): step(name) for name in (None, "light", "standard", "strong")}
    found = in_turn(steps, rounds=rounds, calls=30, clock=clock)
    plain = found.pop("None")
    print(f"\nsmall_cnn, batch {batch}, {side}x{side}x3; ms a step by {clock.__name__}, and shares of it in %\n")
    print("| | n | median | min | max |\n|---|---|---|---|---|")
    row("step without augmentation", plain)
    for name, values in found.items():
        row(f"step with {name}", values)
        row(f"share of {name}", 100 * (1 - plain / values))


def main() -> None:
    """Measure all in turn and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    against_keras(arguments.rounds)
    for batch, clock in itertools.product((32, 64), (time.perf_counter, time.process_time)):
        share_of_a_step(arguments.rounds, batch, clock)


if __name__ == "__main__":
    main()
