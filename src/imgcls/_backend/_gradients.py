"""Scores of classes, and their gradients with respect to a feature map."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgcls._backend._inference import in_parts

_LEAST = np.finfo(np.float32).tiny  # so that no logarithm is infinite

Scores = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Gradients = Callable[
    [NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32]], tuple[NDArray[np.float32], NDArray[np.float32]]
]


def gradient_function(model: Any) -> Gradients:
    """Compile a function from images and classes to a feature map and the gradient of the classes' scores in it.

    The score of a class is what the last softmax or sigmoid takes in, not what it gives: where a probability is 1 in
    float32, its gradient is 0, and the logarithm's too, and there would be nothing to explain with.

    Args:
        model: From pixels 0-255 `(N, H, W, C)` to `[feature map (N, h, w, D), probabilities (N, K)]`, the second
            computed from the first.

    Returns:
        A function from `uint8 (n, H, W, C)`, classes `int32 (n,)` and classes whose score is subtracted `int32 (n,)`,
        -1 for none, to the feature map and the gradient, both `float32 (n, h, w, D)`.
    """

    def run(images: Any, targets: Any, instead_of: Any) -> tuple[Any, Any]:
        feature_map, outputs = model(tf.cast(images, tf.float32), training=False)
        scores = _scores(outputs)
        width = scores.shape[1]
        direction = tf.one_hot(targets, width) - tf.one_hot(instead_of, width)  # of -1, one_hot makes zeros
        (gradient,) = tf.gradients(tf.reduce_sum(scores * direction), feature_map)
        return tf.cast(feature_map, tf.float32), tf.cast(gradient, tf.float32)

    codes = tf.TensorSpec((None,), tf.int32)
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8), codes, codes]
    graph = tf.function(run, input_signature=signature, jit_compile=False).get_concrete_function()

    def computed(
        images: NDArray[np.uint8], targets: NDArray[np.int32], instead_of: NDArray[np.int32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        feature_map, gradient = graph(tf.constant(images), tf.constant(targets), tf.constant(instead_of))
        return feature_map.numpy(), gradient.numpy()

    return computed


def score_function(model: Any) -> tuple[Scores, bool] | None:
    """Compile a function from images to the scores of classes: what the last softmax or sigmoid takes in.

    Args:
        model: From pixels 0-255 `(N, H, W, C)` to probabilities `(N, K)`; K is 1 for one sigmoid of two classes.

    Returns:
        A function from `uint8 (n, H, W, C)` to scores `float32 (n, K)`, K from 2 on, and whether they are those of a
        softmax, so that of all classes one is true. None where neither softmax nor sigmoid is last.
    """
    exclusive: bool | None = None

    def run(images: Any) -> Any:
        nonlocal exclusive
        outputs = model(tf.cast(images, tf.float32), training=False)
        kind, scores = _before(outputs)
        exclusive = None if kind is None else kind == "Softmax" or outputs.shape[1] == 1
        return outputs if kind is None else _pairs(scores)

    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)]
    graph = tf.function(run, input_signature=signature, autograph=False, jit_compile=False).get_concrete_function()
    return None if exclusive is None else (in_parts(lambda images: graph(tf.constant(images)).numpy()), exclusive)


def _scores(outputs: Any) -> Any:
    """Return the scores `(n, K)` behind probabilities: before the activation; where none is found, their logarithm."""
    kind, scores = _before(outputs)
    if kind is not None:
        return _pairs(scores)
    outputs = tf.cast(outputs, tf.float32)
    pairs = outputs if outputs.shape[1] > 1 else tf.concat([1 - outputs, outputs], axis=1)
    return tf.math.log(tf.maximum(pairs, _LEAST))


def _before(outputs: Any) -> tuple[str | None, Any]:
    """Return "Softmax" or "Sigmoid", whichever is last, and what it takes in; None twice where neither is."""
    last = outputs
    while last.op.type in {"Identity", "Cast"}:
        last = last.op.inputs[0]
    if last.op.type not in {"Softmax", "Sigmoid"}:
        return None, None
    return last.op.type, tf.cast(last.op.inputs[0], tf.float32)


def _pairs(scores: Any) -> Any:
    """Return scores `(n, K)`: one sigmoid of two classes is a softmax of minus and plus half its score."""
    return scores if scores.shape[1] > 1 else tf.concat([-scores / 2, scores / 2], axis=1)
