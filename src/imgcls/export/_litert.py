"""LiteRT: one `.tflite` file for phones and small machines."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

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
        # Through a folder: a graph that is handed over directly loses the names of what it takes and gives. And with
        # variables in it: with constants the converter took nine times the memory.
        tf.saved_model.save(source.module(), folder, signatures={"serving_default": serve})
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
    model = path.read_bytes()
    _check_places(model)
    run = _Runner(model)
    return member(path), run


def _check_places(model: bytes) -> None:
    """Refuse a model whose weights lie outside of its file: LiteRT adds such numbers, which wrap, and reads there."""
    from ai_edge_litert import schema_py_generated as schema

    described = schema.Model.GetRootAs(model)
    buffers = map(described.Buffers, range(described.BuffersLength()))
    graphs = map(described.Subgraphs, range(described.SubgraphsLength()))
    operators = (graph.Operators(index) for graph in graphs for index in range(graph.OperatorsLength()))
    ends = [
        *(one.Offset() + one.Size() for one in buffers),
        *(one.LargeCustomOptionsOffset() + one.LargeCustomOptionsSize() for one in operators),
    ]
    if max(ends, default=0) > len(model):
        message = "numbers of it are said to lie outside of the file"
        raise ValueError(message)


def _one_by_one(images: Any) -> Iterator[dict[str, NDArray[np.uint8]]]:
    return ({"images": image[None]} for image in images)


@final
class _Runner:
    """Runs a `.tflite` model on any number of images, for any number of threads, one after the other.

    32 images together took a third (EfficientNetB0) to nine tenths (MobileNetV2) of the time of 32 alone.
    """

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_content=model, num_threads=os.cpu_count() or 1)
        (self._takes,), (self._gives,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._count = 0  # images that memory is laid out for
        self._in_batches = True
        self._lock = threading.Lock()

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities `float32 (n, K)` of images `uint8 (n, H, W, C)`."""
        with self._lock:
            if self._in_batches:
                try:
                    return self._forward(images)
                except RuntimeError:  # of a layer in which a shape is written down, such as Reshape
                    self._in_batches = False
            return np.concatenate([self._forward(image[None]) for image in images])

    def _forward(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(images) != self._count:
            self._count = 0
            self._interpreter.resize_tensor_input(self._takes["index"], (len(images), *self._takes["shape"][1:]))
            self._interpreter.allocate_tensors()
            self._count = len(images)
        self._interpreter.set_tensor(self._takes["index"], np.ascontiguousarray(images))
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._gives["index"]))
