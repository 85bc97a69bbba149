"""A model that answers: compiled, in parts where memory runs out, and with all digits where machines are compared."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgcls._backend._tensorflow import OutOfMemory
from imgcls._runtimes import Run
from imgcls.errors import TrainingError

_ONE_AT_A_TIME = threading.RLock()  # else, of two, the first to go would switch it on for the other


def compiled(model: Any) -> Run:
    """Compile inference: a function from `uint8 (n, H, W, C)` to the model's outputs `float32 (n, ...)`."""

    def infer(images: Any) -> Any:
        return model(tf.cast(images, tf.float32), training=False)

    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)]
    run = tf.function(infer, input_signature=signature, autograph=False, jit_compile=False).get_concrete_function()
    return in_parts(lambda images: np.asarray(run(tf.constant(images)), np.float32))


def in_parts(run: Run) -> Run:
    """Return what goes on in parts, one after the other, where more images do not fit into memory at once.

    What has not fitted is not tried again: TensorFlow takes ten seconds to give up.

    Args:
        run: From `uint8 (n, H, W, C)` to `float32 (n, ...)`.

    Returns:
        The same, which raises `TrainingError` where one image alone does not fit. Threads may call it at once.
    """
    most = math.inf  # images that go through together

    def fitting(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        nonlocal most
        while True:
            tried = min(most, len(images))  # another thread may halve it meanwhile
            try:
                if len(images) <= tried:
                    return run(images)
                return np.concatenate([run(part) for part in np.array_split(images, math.ceil(len(images) / tried))])
            except OutOfMemory as error:
                if tried <= 1:
                    message = (
                        f"one image of {images.shape[1]} x {images.shape[2]} pixels does not fit into the memory of "
                        "the device. Free it from other programs, compute on the CPU (CUDA_VISIBLE_DEVICES=-1), or "
                        "train with a smaller image_size or architecture."
                    )
                    raise TrainingError(message) from error
                most = min(most, math.ceil(tried / 2))

    return fitting


def in_both_modes(model: Any, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return the outputs in training mode and in use; None where no layer has running statistics to tell them apart.

    The model is as before: statistics and random numbers are put back.
    """
    kept = (keras.layers.BatchNormalization,)
    if not any(isinstance(layer, kept) and layer.trainable for layer in model._flatten_layers()):  # noqa: SLF001 - Keras offers no public walk through nested models
        return None
    before = [np.array(variable.numpy()) for variable in model.non_trainable_variables]
    pixels = tf.cast(images, tf.float32)
    try:
        learning = np.asarray(model(pixels, training=True), np.float32)
    finally:  # also where memory has run out in the middle
        for variable, value in zip(model.non_trainable_variables, before, strict=True):
            variable.assign(value)
    return learning, np.asarray(model(pixels, training=False), np.float32)


@contextmanager
def in_full_float32() -> Iterator[None]:
    """Let GPUs compute with all digits of float32 meanwhile, as processors do: for what another machine compares with.

    From NVIDIA's Ampere on, TensorFlow leaves 10 of 23 binary digits to what it multiplies (TensorFloat-32), unless it
    is told otherwise. That goes for the whole process: other threads compute so too, until this is over.

    Examples:
        >>> import tensorflow as tf
        >>> from imgcls import _backend
        >>> with _backend.in_full_float32():
        ...     tf.config.experimental.tensor_float_32_execution_enabled()
        False
        >>> tf.config.experimental.tensor_float_32_execution_enabled()
        True
    """
    with _ONE_AT_A_TIME:
        before = tf.config.experimental.tensor_float_32_execution_enabled()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(before)
