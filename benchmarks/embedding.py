"""Embedding: images a second of every engine and of `model.predict`, and what the cache saves.

    python benchmarks/embedding.py FOLDER --weights FILE.h5 [--architecture mobilenet_v2] [--side 224] [--rounds 7]

Engines, and Keras' own `predict`, run the same batches in turn, in one process; the order is reversed from round to
round. The ratio is that of medians to `_backend.compiled`, which is TensorFlow without constants folded. Processor time
counts all threads: on a machine that does something else meanwhile, it is the fairer figure.

Then every image of the folder is embedded in fresh processes, with an empty cache and with a full one: "import" is
imgcls with TensorFlow, "whole" the process from its start to its end.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

BATCH = 32


def build(arguments: argparse.Namespace) -> object:
    """Return the backbone, from pixels to features."""
    from imgcls import architectures

    shape = (arguments.side, arguments.side, 3)
    model = architectures.build(
        arguments.architecture, input_shape=shape, num_classes=2, weights=arguments.weights or None
    )
    return architectures.cut(model)


def runners(model: object, images: np.ndarray) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return all that is installed, warm."""
    from imgcls import ConfigurationError, _backend

    found = {"compiled": _backend.compiled(model)}
    for name in ("tensorflow", "openvino", "onnxruntime"):
        try:
            run = _backend.engine(model, name, work=1e15)
        except ConfigurationError as error:
            print(error)
            continue
        begin = time.perf_counter()
        run(images)
        print(f"{name}: first batch and conversion {time.perf_counter() - begin:.2f} s; {run.reason}")
        if run.name == name:
            found[name] = run
    found["predict"] = lambda batch: model.predict(batch, batch_size=BATCH, verbose=0)
    for run in found.values():
        run(images)
    return found


def engines(arguments: argparse.Namespace) -> None:
    """Measure inference alone."""
    model = build(arguments)
    for size in (BATCH, 1):
        images = np.random.default_rng(0).integers(0, 256, (size, *model.input_shape[1:]), dtype=np.uint8)
        found = runners(model, images)
        repeats = max(1, 32 // size)
        clock: dict[str, list[float]] = {name: [] for name in found}
        work: dict[str, list[float]] = {name: [] for name in found}
        for index in range(arguments.rounds):
            for name in list(found)[:: 1 if index % 2 else -1]:
                begin, spent = time.perf_counter(), time.process_time()
                for _ in range(repeats):
                    found[name](images)
                clock[name].append((time.perf_counter() - begin) / (repeats * size))
                work[name].append((time.process_time() - spent) / (repeats * size))
        print(
            f"\nbatches of {size}\n\n| | n | images/s | min | max | times as fast | ms of processor an image | ratio |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for name in found:
            speed, spent = 1 / np.array(clock[name]), np.median(work[name])
            print(
                f"| {name} | {len(speed)} | {np.median(speed):.1f} | {speed.min():.1f} | {speed.max():.1f} "
                f"| {np.median(clock['compiled']) / np.median(clock[name]):.2f} | {1e3 * spent:.2f} "
                f"| {spent / np.median(work['compiled']):.2f} |"
            )


def once(arguments: argparse.Namespace) -> None:
    """Embed the folder in this process and print what it took."""
    begin = time.perf_counter()
    from imgcls import Dataset
    from imgcls.trainer._embed import embed

    imported, model = time.perf_counter(), build(arguments)
    built = time.perf_counter()
    embedded = embed(model, Dataset.from_folder(arguments.folder), engine=arguments.once)
    seconds = {"import": imported - begin, "build": built - imported, "embed": time.perf_counter() - built}
    print(
        json.dumps({**seconds, "images": len(embedded.features), "computed": embedded.computed, "by": embedded.engine})
    )


def passes(arguments: argparse.Namespace) -> None:
    """Measure first and cached pass of each engine in fresh processes."""
    print("\n| asked for | pass | used | computed | import s | build s | embed s | images/s | whole s |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.engines.split(","):
            shutil.rmtree(scratch, ignore_errors=True)
            for which in ("first", "cached"):
                begin = time.perf_counter()
                done = subprocess.run(  # noqa: S603 - ourselves
                    [sys.executable, __file__, *sys.argv[1:], "--once", name],
                    env={**os.environ, "IMGCLS_CACHE": scratch},
                    check=True,
                    capture_output=True,
                    text=True,
                )
                whole, taken = time.perf_counter() - begin, json.loads(done.stdout.splitlines()[-1])
                times = " | ".join(f"{taken[part]:.2f}" for part in ("import", "build", "embed"))
                speed = taken["images"] / taken["embed"]
                print(
                    f"| {name} | {which} | {taken['by']} | {taken['computed']} | {times} | {speed:.0f} | {whole:.2f} |"
                )


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="images, a folder for each class")
    parser.add_argument("--weights", default="", help="an .h5 file of the architecture; random weights without it")
    parser.add_argument("--architecture", default="mobilenet_v2")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--engines", default="tensorflow,auto,openvino,onnxruntime", help='for the passes; "" for none')
    parser.add_argument("--once", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        once(arguments)
        return
    engines(arguments)
    if arguments.engines:
        passes(arguments)


if __name__ == "__main__":
    main()
