"""How large a network is, and how much work: counted from its graph, without running it."""

import math
from typing import Any, NamedTuple

from keras import layers

from imgcls.architectures._graph import called_again, is_graph
from imgcls.errors import ConfigurationError


class Measure(NamedTuple):
    """What `measure` counts.

    Attributes:
        parameters: Numbers in the weights, those that are not trained included.
        multiply_adds: Multiplications, each with its addition, for one image.

    Examples:
        >>> from imgcls import architectures
        >>> small, large = (architectures.measure(architectures.small_cnn((side, side, 3))) for side in (32, 64))
        >>> small.parameters == large.parameters, large.multiply_adds / small.multiply_adds
        (True, 4.0)
    """

    parameters: int
    multiply_adds: int


def measure(model: Any) -> Measure:
    """Count the parameters of a model, and its multiply-adds for one image.

    Counted are `Conv2D`, `DepthwiseConv2D`, `SeparableConv2D` and `Dense`, also in models inside of models: what makes
    up nearly all of a convolutional network's work. Pooling, normalisation and activations are not.

    Args:
        model: A Functional or Sequential `keras.Model` with one input of known size.

    Raises:
        ConfigurationError: The size of its input is not known.

    Examples:
        >>> from imgcls import architectures
        >>> architectures.measure(architectures.small_cnn((32, 32, 3)))
        Measure(parameters=23920, multiply_adds=2801664)
    """
    shape = model.inputs[0].shape
    if None in shape[1:]:
        message = (
            f"the model takes images of any size, {shape}, and its work depends on it. Build it for one size first."
        )
        raise ConfigurationError(message)
    return Measure(model.count_params(), _multiply_adds(model, shape))


def _multiply_adds(model: Any, shape: Any) -> int:
    total = 0

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal total
        outputs = layer(*arguments, **options)
        if is_graph(layer):
            total += _multiply_adds(layer, arguments[0].shape)
        elif isinstance(layer, layers.SeparableConv2D):
            total += _work(outputs, layer.depthwise_kernel, layer.pointwise_kernel)
        elif isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
            total += _work(outputs, layer.kernel)
        return outputs

    called_again(model, call, shape)
    return total


def _work(outputs: Any, *kernels: Any) -> int:
    """Return how often every number of the kernels is multiplied: once for each place of the outputs."""
    return int(math.prod(outputs.shape[1:-1]) * sum(math.prod(kernel.shape) for kernel in kernels))
