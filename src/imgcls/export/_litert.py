"""LiteRT: one `.tflite` file for phones and small machines."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls._runtimes import Run
from imgcls.export._facts import Facts, add_members, member
from imgcls.export._source import Source, Wanted


def write(source: Source, path: Path, wanted: Wanted) -> None:
    """Write a model for one image at a time, with facts and class names as the associated files of its format.

    The batch is fixed at one: phones need that for their GPUs, and a larger one can be asked for all the same. With any
    number, sizes would be computed in between, and EfficientNet falls apart into 17 pieces for LiteRT's fast kernels.
    """
    import tensorflow as tf

    from imgcls import _backend

    with TemporaryDirectory(prefix="imgcls-") as folder, _backend.quiet():
        serve = source.function(batch=1)
        # Through a folder: a graph that is handed over directly loses the names of what it takes and gives.
        tf.saved_model.save(tf.Module(), folder, signatures={"serving_default": serve})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if wanted.quantize is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if wanted.quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if wanted.quantize == "int8":
            # Pixels come in as they are and probabilities go out as float32; all between is int8, weights by channel.
            converter.representative_dataset = lambda: _one_by_one(wanted.representative)
        path.write_bytes(converter.convert())
    add_members(path, source.facts)  # behind the model: a reader of either does not see the other


def read(path: Path) -> tuple[Facts, Run]:
    """Open a file."""
    run = _run(path.read_bytes())
    return member(path), run


def _one_by_one(images: Any) -> Iterator[dict[str, NDArray[np.uint8]]]:
    return ({"images": image[None]} for image in images)


def _run(model: bytes) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=os.cpu_count() or 1)
    (takes,), (gives,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.allocate_tensors()
    lock = threading.Lock()  # one interpreter serves one thread at a time, and takes all cores
    state = {"count": 1, "batches": True}

    def resize(count: int) -> None:
        if count != state["count"]:
            interpreter.resize_tensor_input(takes["index"], (count, *takes["shape"][1:]))
            interpreter.allocate_tensors()
            state["count"] = count

    def forward(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        interpreter.set_tensor(takes["index"], np.ascontiguousarray(images))
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(gives["index"]))

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with lock:
            if state["batches"]:
                try:
                    resize(len(images))
                    return forward(images)
                except RuntimeError:  # of a layer in which a shape is written down, such as Reshape
                    state["batches"] = False
            resize(1)
            return np.concatenate([forward(image[None]) for image in images])

    return run
