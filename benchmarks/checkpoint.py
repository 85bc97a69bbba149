"""What checkpoints cost a run at the default frequency, and what resuming costs beyond the start of a process.

    python benchmarks/checkpoint.py [--rounds 9] [--folder runs]

For each network a checkpoint of its whole state (weights, AdamW's moments, random numbers) is taken and written, and
read and restored, ROUNDS times. One is due 30 seconds after the last, or 50 times its cost if that is longer, so that
its share of the time is cost / (cost + max(30, 50 * cost)).
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from imgcls import Dataset, architectures, trainer
from imgcls.trainer import _keeper, _loop

NETWORKS = {"small_cnn": (32, 3), "small_resnet": (64, 3), "mobilenet_v2": (96, 3), "resnet50": (64, 3)}


def main() -> None:
    """Print a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", help="On the disk that you want to measure; a temporary folder otherwise.")
    arguments = parser.parse_args()
    save, read, noted = _loop.Checkpoints.save, _loop.Checkpoints.newest, {"save": [], "resume": []}
    restore = _loop.Loop._restore  # noqa: SLF001 - what is measured is inside

    def timed(kind: str, function):  # noqa: ANN001, ANN202 - a wrapper of three methods
        def run(*given):  # noqa: ANN002, ANN202 - the same
            begin = time.perf_counter()
            result = function(*given)
            noted[kind].append(time.perf_counter() - begin)
            return result

        return run

    _loop.Checkpoints.save = timed("save", save)
    _loop.Checkpoints.newest = timed("resume", read)
    _loop.Loop._restore = timed("resume", restore)  # noqa: SLF001 - the same
    _keeper.SAVE_SECONDS = _keeper.SAVE_SHARE = 0.0  # a checkpoint at every step
    print(
        "| network | parameters | checkpoint | a write, median (min-max) | share of a run | resume, beyond the start |"
    )
    print("|---|---|---|---|---|---|")
    for name, (side, channels) in NETWORKS.items():
        images = np.random.default_rng(0).integers(0, 256, (2 * arguments.rounds, side, side, channels), np.uint8)
        data = Dataset.from_arrays(images, np.arange(len(images)) % 2, classes=["a", "b"])
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            noted["save"].clear()
            for _ in range(2):  # the second finds the run at its end, and restores it
                model = architectures.build(name, input_shape=(side, side, channels), num_classes=2)
                noted["resume"].clear()
                trainer.train(model, data, epochs=1, batch_size=2, checkpoint=folder, verbose=0)
            size = sum(path.stat().st_size for path in max(Path(folder).glob("checkpoint-*")).iterdir())
        writes = np.array(noted["save"])
        cost = np.median(writes)
        share = cost / (cost + max(30.0, 50 * cost))
        print(
            f"| {name} | {model.count_params():,} | {size / 1e6:,.1f} MB | {cost * 1e3:.0f} ms "
            f"({writes.min() * 1e3:.0f}-{writes.max() * 1e3:.0f}, n = {len(writes)}) | {share:.2%} | "
            f"{sum(noted['resume']):.2f} s |"
        )


if __name__ == "__main__":
    main()
