"""Our training loop against `keras.Model.fit`: same model, data, batch size, optimizer and loss, in one run.

    python benchmarks/train_loop.py [--rounds 15] [--batch-size 32]
    python benchmarks/train_loop.py --architecture mobilenet_v2 --side 224 --images 128

`fit` gets its best case: uint8 arrays in memory, XLA off (on a CPU it is slower with XLA), no validation, nothing
printed. Both train the same network, all of it, without augmentation, one epoch a round, in turn, and both report loss
and accuracy of the epoch. The first round of each compiles and is not counted.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from imgcls import Dataset, architectures, trainer

CLASSES = 10


def fresh_model(name: str, side: int) -> keras.Model:
    """Build the same model with the same initial weights."""
    return architectures.build(name, input_shape=(side, side, 3), num_classes=CLASSES)


def main() -> None:
    """Measure both in turn and print images a second and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--architecture", default="small_cnn")
    parser.add_argument("--side", type=int, default=32, help="of the images, in pixels")
    parser.add_argument("--images", type=int, default=6400, help="in an epoch")
    arguments = parser.parse_args()
    name, side, count = arguments.architecture, arguments.side, arguments.images
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    labels = generator.integers(0, CLASSES, count)
    one_hot = np.eye(CLASSES, dtype=np.float32)[labels]
    data = Dataset.from_arrays(images, labels)

    theirs = fresh_model(name, side)
    theirs.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    ours = fresh_model(name, side)
    epochs = arguments.rounds + 1
    marks: list[float] = []

    def run_theirs() -> float:
        start = time.perf_counter()
        theirs.fit(images, one_hot, batch_size=arguments.batch_size, epochs=1, verbose=0)
        return time.perf_counter() - start

    class Alternate(keras.callbacks.Callback):
        """Runs an epoch of `fit` between two epochs of ours, so that both meet the same moods of the machine."""

        # It stands between epochs, not between batches: our loop is measured as it runs without callbacks.

        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            del epoch, logs
            marks.append(run_theirs())
            marks.append(-time.perf_counter())

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            del epoch, logs
            marks[-1] += time.perf_counter()

    trainer.train(
        ours,
        data,
        optimizer="adam",
        learning_rate=1e-3,
        epochs=epochs,
        batch_size=arguments.batch_size,
        callbacks=[Alternate()],
        verbose=0,
    )
    seconds = np.array(marks).reshape(epochs, 2)[1:]  # the first round compiles
    fit, loop = count / seconds[:, 0], count / seconds[:, 1]
    ratios = loop / fit
    print(f"{name}, {side}x{side}x3, batch {arguments.batch_size}, n = {len(ratios)} rounds, {os.cpu_count()} cores")
    for name, values, unit in (("keras fit", fit, "images/s"), ("imgcls", loop, "images/s"), ("ratio", ratios, "")):
        print(f"{name:<10} median {np.median(values):8.2f}  min {values.min():8.2f}  max {values.max():8.2f}  {unit}")


if __name__ == "__main__":
    main()
