"""LiteRT: one `.tflite` file for phones and small machines."""

import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls._runtimes import Run
from imgcls.export._facts import LABELS, MEMBER, MOST_BYTES
from imgcls.export._source import Source, Wanted


def write(source: Source, path: Path, wanted: Wanted) -> None:
    """Write a model for one image at a time, with facts and class names as the associated files of its format.

    The batch is fixed at one. With any number, the sizes of tensors are computed among the convolutions, and EfficientNet
    fell apart into 17 pieces between which LiteRT's fast kernels cannot reach, and into as many that no phone's GPU
    takes.
    """
    import tensorflow as tf

    from imgcls import _backend

    with TemporaryDirectory(prefix="imgcls-") as folder, _backend.quiet():
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        serve = source.function(batch=1)
        # Through a folder: a graph that is handed over directly loses the names of what it takes and gives.
        tf.saved_model.save(tf.Module(), folder, signatures={"serving_default": serve}, options=options)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if wanted.quantize is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if wanted.quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if wanted.quantize == "int8":
            # Pixels come in as they are and probabilities go out as float32; all between is int8, weights by channel.
            converter.representative_dataset = lambda: _one_by_one(wanted.representative)
        path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as archive:  # behind the model: a reader of either does not see the other
        archive.writestr(MEMBER, source.facts.to_json())
        archive.writestr(LABELS, source.facts.labels())


def read(path: Path) -> tuple[str | bytes | None, Run]:
    """Open a file."""
    facts = None
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            facts = archive.open(MEMBER).read(MOST_BYTES) if MEMBER in archive.namelist() else None
    return facts, _run(path.read_bytes())


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
