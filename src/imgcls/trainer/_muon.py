"""Muon: momentum, orthogonalised. Keras has one too, which leaves every convolution to AdamW; this one does not."""

import math
from typing import Any, final

import keras
from keras import ops

_QUINTIC = (3.4445, -4.7750, 2.0315)  # steepest at 0, so that small singular values grow fastest
_PIXEL_CHANNELS = 4


@final
@keras.saving.register_keras_serializable(package="imgcls")
class Muon(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras publishes no types
    """Muon for hidden kernels, convolutions included; AdamW for all the rest.

    A hidden kernel is updated by its Nesterov momentum, of which all singular values are first brought near 1 by five
    Newton-Schulz steps: directions that gradients rarely point in are learnt as fast as the others. A convolution
    kernel `(h, w, in, out)` counts as the matrix `(h * w * in, out)`.

    Left to AdamW, as its authors advise: the first convolution, the head, and everything that is no matrix. The first
    is told by its at most 4 input channels, which holds behind a frozen first layer too, and covers depthwise
    convolutions, whose filters see one channel each. The head is the last kernel.

    Sources: Jordan et al., Muon, 2024, https://kellerjordan.github.io/posts/muon/, and KellerJordan/Muon on GitHub,
    from where the constants are; its use on images in KellerJordan/cifar10-airbench, `airbench94_muon.py`.

    Args:
        learning_rate: A number or a Keras schedule: how far each singular direction of a hidden kernel moves in a step.
            The default of its authors is 0.02.
        momentum: The share of the past that a step keeps.
        adam_ratio: The learning rate of AdamW's part, divided by `learning_rate`.
        steps: The number of Newton-Schulz steps.
        **options: What every Keras optimizer takes: `weight_decay`, `global_clipnorm`, `use_ema`, ...

    Examples:
        >>> import keras
        >>> from imgcls.trainer import Muon
        >>> model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
        >>> model.compile(Muon(0.05, weight_decay=0.01), "mse")
        >>> config = model.optimizer.get_config()
        >>> config["momentum"], config["weight_decay"], Muon.from_config(config).steps
        (0.95, 0.01, 5)
    """

    def __init__(
        self,
        learning_rate: Any = 0.05,
        *,
        momentum: float = 0.95,
        adam_ratio: float = 0.1,
        steps: int = 5,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, **options)
        self.momentum, self.adam_ratio, self.steps = momentum, adam_ratio, steps

    def build(self, variables: list[Any]) -> None:
        """Create a momentum for each variable, and a second moment for each of AdamW's."""
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")
        hidden = _hidden_kernels(variables)
        self._velocities = [
            None if index in hidden else self.add_variable_from_reference(variable, "velocity")
            for index, variable in enumerate(variables)
        ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        rate, gradient = ops.cast(learning_rate, variable.dtype), ops.cast(gradient, variable.dtype)
        if velocity is None:
            self.assign(momentum, self.momentum * momentum + gradient)
            self.assign_sub(variable, rate * self._orthogonal(gradient + self.momentum * momentum))
        else:
            self._adam_step(gradient, variable, rate * self.adam_ratio, momentum, velocity)

    def _orthogonal(self, update: Any) -> Any:
        """Orthogonalise an update of a kernel, and enlarge it where it has more outputs than inputs."""
        *_, outputs = update.shape
        inputs = math.prod(update.shape) // outputs
        matrix = orthogonalized(ops.reshape(update, (inputs, outputs)), steps=self.steps)
        return ops.reshape(matrix * math.sqrt(max(1.0, outputs / inputs)), update.shape)

    def _adam_step(self, gradient: Any, variable: Any, rate: Any, momentum: Any, velocity: Any) -> None:
        """Update by AdamW with the constants of the authors of Muon; weight decay has been applied by Keras."""
        beta_1, beta_2, epsilon = 0.9, 0.95, 1e-10
        step = ops.cast(self.iterations + 1, variable.dtype)
        self.assign(momentum, beta_1 * momentum + (1 - beta_1) * gradient)
        self.assign(velocity, beta_2 * velocity + (1 - beta_2) * ops.square(gradient))
        mean = momentum / (1 - ops.power(beta_1, step))
        deviation = ops.sqrt(velocity / (1 - ops.power(beta_2, step)))
        self.assign_sub(variable, rate * mean / (deviation + epsilon))

    def get_config(self) -> dict[str, Any]:
        """Return what it takes to build this optimizer again."""
        own = {"momentum": self.momentum, "adam_ratio": self.adam_ratio, "steps": self.steps}
        return {**super().get_config(), **own}


def orthogonalized(matrix: Any, *, steps: int = 5) -> Any:
    """Bring the singular values of a matrix near 1, within about 0.65 and 1.2, and keep its singular vectors.

    Each step applies the polynomial 3.4445 x - 4.7750 x^3 + 2.0315 x^5 to all singular values, by products of matrices
    alone. In float32; the authors take bfloat16, which gains on GPUs only.

    Args:
        matrix: `float32 (m, n)`.
        steps: The number of steps. Values that start below about 1/700 of the Frobenius norm need more than 5.

    Returns:
        `float32 (m, n)`.

    Examples:
        >>> import numpy as np
        >>> from imgcls.trainer._muon import orthogonalized
        >>> values = np.linalg.svd(orthogonalized(np.diag([3.0, 1.0, 0.1]).astype("float32")), compute_uv=False)
        >>> bool(0.6 < values.min() <= values.max() < 1.3)
        True
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    x = ops.convert_to_tensor(matrix) if wide else ops.transpose(matrix)  # the smaller side makes the smaller products
    x = x / (ops.norm(x) + 1e-7)
    a, b, c = _QUINTIC
    for _ in range(steps):
        square = ops.matmul(x, ops.transpose(x))
        x = a * x + ops.matmul(b * square + c * ops.matmul(square, square), x)
    return x if wide else ops.transpose(x)


def _hidden_kernels(variables: list[Any]) -> set[int]:
    """Return the positions of kernels that are not the head, and whose filters see more than pixels or one channel."""
    kernels = [index for index, variable in enumerate(variables) if variable.name in {"kernel", "pointwise_kernel"}]
    return {index for index in kernels[:-1] if _is_wide(variables[index].shape)}


def _is_wide(shape: tuple[int, ...]) -> bool:
    *_, inputs, outputs = shape
    return len(shape) == 2 or (inputs > _PIXEL_CHANNELS and outputs > 1)
