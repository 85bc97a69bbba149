"""From labels and a loss to what the network must output and what it is compared with."""

from dataclasses import dataclass
from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls._checks import did_you_mean
from imgcls.errors import ConfigurationError

_NAMES = ("auto", "categorical_crossentropy", "sparse_categorical_crossentropy", "binary_crossentropy")


@final
@dataclass(frozen=True, slots=True)
class Objective:
    """A loss with the head it needs.

    Attributes:
        loss: A Keras loss.
        head: "softmax" or "sigmoid".
        outputs: The width of the head: K, or 1 for two classes by sigmoid.
        sparse: Whether targets are integer codes.
        num_classes: K.
        reason: Why this one.
    """

    loss: Any
    head: str
    outputs: int
    sparse: bool
    num_classes: int
    reason: str

    def targets(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Turn codes `(N,)` or an indicator `(N, K)` into what the loss compares outputs with."""
        if labels.ndim == 2:
            return labels.astype(np.float32)
        if self.sparse:
            return labels.astype(np.int64)
        if self.outputs == 1:
            return labels.astype(np.float32).reshape(-1, 1)
        return np.asarray(np.eye(self.num_classes)[labels], np.float32)

    def spec(self) -> tuple[tuple[int, ...], str]:
        """Return shape and dtype of one target."""
        return ((), "int64") if self.sparse else ((self.outputs,), "float32")

    def __call__(self, targets: Any, outputs: Any, weights: Any) -> Any:
        """Return the weighted mean loss, a scalar tensor."""
        if isinstance(self.loss, keras.losses.Loss):
            return self.loss(targets, outputs, sample_weight=weights)
        return keras.ops.mean(self.loss(targets, outputs) * weights)

    def accuracy(self, targets: NDArray[Any], outputs: NDArray[np.float32]) -> float:
        """Return the share of images whose likeliest class is right; for sigmoids, the share of right outputs."""
        if self.head == "sigmoid":
            return float(np.mean((outputs >= 0.5) == (targets >= 0.5)))
        codes = targets if self.sparse else targets.argmax(axis=1)
        return float(np.mean(outputs.argmax(axis=1) == codes))


def probabilities(outputs: NDArray[np.float32], num_classes: int) -> NDArray[np.float32]:
    """Turn a model's outputs into probabilities `(N, K)`: one sigmoid for two classes becomes [1 - p, p]."""
    return np.concatenate([1 - outputs, outputs], axis=1) if outputs.shape[1] < num_classes else outputs


def objective(loss: Any = "auto", *, num_classes: int, multi_label: bool) -> Objective:
    """Choose head and targets for a loss.

    Args:
        loss: "auto"; a name such as "binary_crossentropy"; a `keras.losses.Loss`; or a function (targets, outputs).
        num_classes: K.
        multi_label: Whether an image may have several labels.

    Raises:
        ConfigurationError: The loss is not known or does not go with the labels.

    Examples:
        >>> from imgcls import trainer
        >>> chosen = trainer.objective(num_classes=2, multi_label=False)
        >>> chosen.head, chosen.outputs
        ('softmax', 2)
        >>> trainer.objective("binary_crossentropy", num_classes=2, multi_label=False).outputs
        1
    """
    if multi_label:
        kind = _named("binary_crossentropy" if loss == "auto" else loss)
        if _title(loss).startswith(("categorical", "sparse")):
            message = f"loss={loss!r} needs one label an image, and these images have several. Use loss='auto'."
            raise ConfigurationError(message)
        return Objective(kind, "sigmoid", num_classes, False, num_classes, "images may have several labels")
    if isinstance(loss, str) and loss == "auto":
        kind = _named("categorical_crossentropy")
        return Objective(kind, "softmax", num_classes, False, num_classes, "each image has one label")
    kind = _named(loss)
    if _title(loss).startswith("binary"):
        if num_classes != 2:
            message = (
                f"loss={loss!r} needs two classes or several labels an image, and the data have {num_classes} classes "
                "with one label an image. Use loss='auto'."
            )
            raise ConfigurationError(message)
        return Objective(kind, "sigmoid", 1, False, 2, "a binary loss was asked for")
    sparse = _title(loss).startswith("sparse")
    return Objective(kind, "softmax", num_classes, sparse, num_classes, "this loss was asked for")


def _title(loss: Any) -> str:
    name = loss if isinstance(loss, str) else getattr(loss, "name", None) or getattr(loss, "__name__", "")
    return str(name).lower().replace(" ", "_")


def _named(loss: Any) -> Any:
    if isinstance(loss, keras.losses.Loss) and loss.get_config().get("from_logits"):
        loss = type(loss).from_config({**loss.get_config(), "from_logits": False})  # our heads give probabilities
    if callable(loss):
        return loss
    try:
        found = keras.losses.get(loss)
    except ValueError:
        found = None
    if found is None:
        hint = did_you_mean(str(loss), _NAMES)
        message = f"loss={loss!r} is not known.{hint} Accepted: {', '.join(_NAMES)}, or any Keras loss or its name."
        raise ConfigurationError(message)
    return found
