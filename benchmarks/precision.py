"""Training steps in mixed_bfloat16 against float32: which networks gain on this processor.

    python benchmarks/precision.py [--rounds 7] [--networks small_cnn:32:64 mobilenet_v2:224:16]

A network is named with the side of its images and the batch size. Both precisions train the same network from the same
weights, all of it, through `keras.Model.fit` with XLA off, so that nothing but the precision differs. They take turns,
some steps a round; the first round of each compiles and is not counted.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from imgcls import architectures

CLASSES, SECONDS = 10, 2.0  # the least that a round in float32 takes
NETWORKS = (
    "small_cnn:32:64",
    "small_resnet:32:64",
    "speed_cnn_narrow:28:64",
    "speed_cnn:32:64",
    "speed_cnn_wide:32:128",
    "mobilenet_v2:224:16",
    "resnet50:224:8",
    "resnet50_v2:224:8",
    "vgg16:224:4",
    "inception_v3:299:4",
    "densenet121:224:8",
)


def compiled(name: str, side: int, precision: str) -> keras.Model:
    """Build a network that computes in a precision."""
    keras.utils.set_random_seed(0)
    model = architectures.build(name, input_shape=(side, side, 3), num_classes=CLASSES, precision=precision)
    model.compile(keras.optimizers.AdamW(1e-3), "categorical_crossentropy", jit_compile=False)
    return model


def seconds(model: keras.Model, images: np.ndarray, targets: np.ndarray, batch_size: int) -> tuple[float, float]:
    """Train an epoch: its seconds by the clock, and of processor time."""
    clock, processor = time.perf_counter(), time.process_time()
    model.fit(images, targets, batch_size=batch_size, epochs=1, verbose=0)
    return time.perf_counter() - clock, time.process_time() - processor


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, metavar="NAME:SIDE:BATCH")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    print("| network | float32, ms a step | mixed_bfloat16, ms a step | ratio | ratio of processor time | n |")
    print("|---|---|---|---|---|---|")
    for network in arguments.networks:
        name, side, batch = network.split(":")
        models = [compiled(name, int(side), precision) for precision in ("float32", "mixed_bfloat16")]
        steps = 2
        images = generator.integers(0, 256, (steps * int(batch), int(side), int(side), 3), dtype=np.uint8)
        targets = np.eye(CLASSES, dtype=np.float32)[generator.integers(0, CLASSES, len(images))]
        for model in models:
            seconds(model, images, targets, int(batch))
        often = max(1, round(SECONDS / seconds(models[0], images, targets, int(batch))[0]))
        images, targets, steps = np.tile(images, (often, 1, 1, 1)), np.tile(targets, (often, 1)), often * steps
        took = np.array(
            [[seconds(model, images, targets, int(batch)) for model in models] for _ in range(arguments.rounds)]
        )
        ratios, (each, _) = took[:, 1] / took[:, 0], 1000 * np.median(took, axis=0).T / steps
        spread = [f"{np.median(one):.2f} ({one.min():.2f}-{one.max():.2f})" for one in ratios.T]
        print(f"| {network} | {each[0]:.1f} | {each[1]:.1f} | {' | '.join(spread)} | {len(ratios)} |", flush=True)


if __name__ == "__main__":
    main()
