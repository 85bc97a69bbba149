"""TensorFlow: everything that runs inside a graph.

XLA stays off: on CPUs it made convolutions 3 to 17 times slower (measured with TensorFlow 2.21). Functions are traced
once, when they are made, and called by their one concrete graph: many classifiers in one process, as in
cross-validation, are no "frequent retracing" that TensorFlow would warn of.
"""

from collections.abc import Callable
from typing import Any, final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


@final
class TrainingStep:
    """One optimizer step as one compiled graph: cast, augmentation, forward, loss, gradients, update, running means.

    Means are kept on the device and fetched once an epoch, so that a step never waits for Python.

    Args:
        model: A `keras.Model`.
        optimizer: A `keras.optimizers.Optimizer`.
        loss: A function (targets, outputs, weights) to a scalar.
        augmentation: A `keras.Layer` from float32 images 0-255 to the same, or None.
        one_label: Whether an output row is a distribution over classes, not a set of yes-or-no answers.
        targets: Shape and dtype of one target, such as ((10,), "float32").
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loss: Callable[[Any, Any, Any], Any],
        *,
        augmentation: Any,
        one_label: bool,
        targets: tuple[tuple[int, ...], str],
    ) -> None:
        self._model, self._optimizer, self._loss, self._augmentation = model, optimizer, loss, augmentation
        self._one_label = one_label
        optimizer.build(model.trainable_variables)
        self._sums = tf.Variable(tf.zeros(3), trainable=False)  # of loss, of hits, of images
        shape, dtype = targets
        signature = [
            tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8),
            tf.TensorSpec((None, *shape), dtype),
            tf.TensorSpec((None,), tf.float32),
        ]
        self._run = tf.function(self._step, input_signature=signature, jit_compile=False).get_concrete_function()

    def __call__(self, images: NDArray[np.uint8], targets: NDArray[Any], weights: NDArray[np.float32]) -> None:
        """Train on one batch: `uint8 (n, H, W, C)`, targets `(n, ...)`, weights `(n,)`."""
        self._run(tf.constant(images), tf.constant(targets), tf.constant(weights))

    def means(self, *, reset: bool = False) -> dict[str, float]:
        """Return the mean loss and accuracy over the images since the last reset."""
        loss, hits, images = self._sums.numpy().tolist()
        if reset:
            self._sums.assign(tf.zeros(3))
        return {"loss": loss / max(images, 1), "accuracy": hits / max(images, 1)}

    def _step(self, images: Any, targets: Any, weights: Any) -> None:
        pixels = tf.cast(images, tf.float32)
        if self._augmentation is not None:
            pixels = self._augmentation(pixels, training=True)
        with tf.GradientTape() as tape:
            outputs = self._model(pixels, training=True)
            loss = self._loss(targets, outputs, weights)
            if self._model.losses:  # regularisation that layers bring along
                loss += tf.add_n(self._model.losses)
        variables = self._model.trainable_variables
        self._optimizer.apply(tape.gradient(loss, [variable.value for variable in variables]), variables)
        count = tf.cast(tf.shape(images)[0], tf.float32)
        self._sums.assign_add(tf.stack([loss * count, _hits(targets, outputs, one_label=self._one_label), count]))


def _hits(targets: Any, outputs: Any, *, one_label: bool) -> Any:
    """Count right predictions: the likeliest class; or, for sigmoids, sum over images the share of right outputs."""
    if not one_label:
        right = tf.equal(outputs >= 0.5, targets >= 0.5)
        return tf.reduce_sum(tf.reduce_mean(tf.cast(right, tf.float32), axis=1))
    codes = targets if targets.shape.rank == 1 else tf.argmax(targets, axis=1)
    right = tf.equal(tf.argmax(outputs, axis=1), tf.cast(codes, tf.int64))
    return tf.reduce_sum(tf.cast(right, tf.float32))


def compiled(model: Any) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Compile inference: a function from `uint8 (n, H, W, C)` to the model's outputs `float32 (n, ...)`."""

    def infer(images: Any) -> Any:
        return model(tf.cast(images, tf.float32), training=False)

    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)]
    run = tf.function(infer, input_signature=signature, jit_compile=False).get_concrete_function()
    return lambda images: np.asarray(run(tf.constant(images)), np.float32)


def devices() -> dict[str, Any]:
    """Report TensorFlow's version and the devices it sees."""
    return {
        "tensorflow": tf.__version__,
        "built with CUDA": tf.test.is_built_with_cuda(),
        "GPUs": [device.name for device in tf.config.list_physical_devices("GPU")],
    }


def streamed(one_pass: Callable[[], Any], count: int, shape: tuple[int | None, ...], labels: Any = None) -> Any:
    """Return a `tf.data.Dataset` of `count` batches: uint8 images of `shape`, labels of (dtype, shape) or none."""
    images = tf.TensorSpec(shape, tf.uint8)
    signature = images if labels is None else (images, tf.TensorSpec(labels[1], labels[0]))
    made = tf.data.Dataset.from_generator(one_pass, output_signature=signature)
    return made.apply(tf.data.experimental.assert_cardinality(count)).prefetch(2)  # Keras shows and checks it
