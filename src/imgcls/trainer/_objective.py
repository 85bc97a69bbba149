"""From labels and a loss to what the network must output and what it is compared with."""

from dataclasses import dataclass, replace
from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, _checks
from imgcls.errors import ConfigurationError

_OF_CODES = ("sparse", "categoricalgeneralized")  # these compare integer codes with outputs
_MEANS = ("sum_over_batch_size", "mean")
_CROSS_ENTROPIES = {
    "softmax": (
        *(keras.losses.categorical_crossentropy, keras.losses.sparse_categorical_crossentropy),
        *(keras.losses.CategoricalCrossentropy, keras.losses.SparseCategoricalCrossentropy),
    ),
    "sigmoid": (keras.losses.binary_crossentropy, keras.losses.BinaryCrossentropy),
}
_NAMES = ("auto", "categorical_crossentropy", "sparse_categorical_crossentropy", "binary_crossentropy", "focal")


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
        label_smoothing: The share of each target that is spread evenly over all classes, or for sigmoids over yes and
            no (Szegedy et al., arXiv 1512.00567, section 7).
        of_scores: Whether the loss was given as one of scores, `from_logits=True`; here it is of probabilities.

    Examples:
        >>> import numpy as np
        >>> from imgcls import trainer
        >>> goal = trainer.objective(num_classes=3, multi_label=False)
        >>> goal.reason, goal.is_cross_entropy
        ('each image has one label', True)
        >>> goal.spec()  # shape and dtype of one target
        ((3,), 'float32')
        >>> targets = goal.targets(np.array([0, 2]))
        >>> targets.tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
        >>> outputs = np.array([[0.5, 0.25, 0.25], [0.1, 0.6, 0.3]], np.float32)
        >>> goal.accuracy(targets, outputs), round(float(goal(targets, outputs, np.ones(2, np.float32))), 3)
        (0.5, 0.949)
    """

    loss: Any
    head: str
    outputs: int
    sparse: bool
    num_classes: int
    reason: str
    label_smoothing: float = 0.0
    of_scores: bool = False

    @property
    def plain(self) -> "Objective":
        """The same without label smoothing: what validation is measured by, so that runs can be compared."""
        return replace(self, label_smoothing=0.0)

    @property
    def is_cross_entropy(self) -> bool:
        """Whether the loss is Keras' own cross-entropy, in nats: guessing costs the entropy of the classes.

        A loss of the user's own is none, whatever its name: nobody knows what else it asks for.
        """
        own_kind = type(self.loss) if isinstance(self.loss, keras.losses.Loss) else self.loss
        counts_all = getattr(self.loss, "ignore_class", None) is None
        return counts_all and any(own_kind is one for one in _CROSS_ENTROPIES[self.head])

    def targets(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Turn codes `(N,)` or an indicator `(N, K)` into what the loss compares outputs with."""
        if labels.ndim == 2:
            return labels.astype(np.float32)
        if self.sparse:
            return labels.astype(np.int64)
        if self.outputs == 1:
            return labels.astype(np.float32).reshape(-1, 1)
        return np.asarray(labels[:, None] == np.arange(self.num_classes), np.float32)

    def spec(self) -> tuple[tuple[int, ...], str]:
        """Return shape and dtype of one target."""
        return ((), "int64") if self.sparse else ((self.outputs,), "float32")

    def __call__(self, targets: Any, outputs: Any, weights: Any) -> Any:
        """Return the weighted mean loss, a scalar tensor. Targets are smoothed here, after any mixing of images.

        A function that gives several numbers an image counts by their mean.
        """
        if self.label_smoothing:
            choices = self.outputs if self.head == "softmax" else 2
            targets = targets * (1 - self.label_smoothing) + self.label_smoothing / choices
        if isinstance(self.loss, keras.losses.Loss):
            return _backend.of_one_replica(self.loss(targets, outputs, sample_weight=weights))
        losses = self.loss(targets, outputs)
        if len(losses.shape) > 1:
            losses = keras.ops.mean(losses, axis=tuple(range(1, len(losses.shape))))
        return keras.ops.mean(losses * weights)

    def accuracy(self, targets: NDArray[Any], outputs: NDArray[np.float32]) -> float:
        """Return the share of images whose likeliest class is right; for sigmoids, the share of right outputs."""
        if self.head == "sigmoid":
            return float(np.mean((outputs >= 0.5) == (targets >= 0.5)))
        codes = targets if self.sparse else targets.argmax(axis=1)
        return float(np.mean(outputs.argmax(axis=1) == codes))


def objective(
    loss: Any = "auto", *, num_classes: int, multi_label: bool, label_smoothing: float = 0.0, one_hot: bool = False
) -> Objective:
    """Choose head and targets for a loss.

    Args:
        loss: "auto"; a name such as "binary_crossentropy"; "focal": the cross-entropy times (1 - p)^2, which looks less
            at what is right already (Lin et al., arXiv 1708.02002, without its alpha: `class_weight` does that); a
            `keras.losses.Loss`, its class or its settings; or a function (targets, outputs). Since heads give
            probabilities, `from_logits=True` is turned off.
        num_classes: K.
        multi_label: Whether an image may have several labels.
        label_smoothing: From 0 to below 1; what a Keras loss brings along counts too.
        one_hot: Whether targets must be vectors, because images will be mixed. Smoothing needs that too: a loss of
            integer codes is then replaced by its one-hot twin, which has the same value.

    Raises:
        ConfigurationError: The loss is not known, or does not go with the labels or with vectors.

    Examples:
        >>> from imgcls import trainer
        >>> chosen = trainer.objective(num_classes=2, multi_label=False)
        >>> chosen.head, chosen.outputs
        ('softmax', 2)
        >>> trainer.objective("binary_crossentropy", num_classes=2, multi_label=False).outputs
        1
        >>> trainer.objective(num_classes=3, multi_label=False, label_smoothing=0.1).plain.label_smoothing
        0.0
    """
    _checks.refuse([_checks.not_fraction("label_smoothing", label_smoothing)])
    kind, of_scores = _of_probabilities(_named(_default(loss, multi_label=multi_label)))
    kind, own_smoothing = _without_smoothing(kind)
    if own_smoothing and label_smoothing:
        message = f"label_smoothing={label_smoothing!r} and the {own_smoothing!r} of your loss are two. Leave one out."
        raise ConfigurationError(message)
    smoothing = label_smoothing or own_smoothing
    title = _title(kind)
    if multi_label:
        if title.startswith(("categorical", "sparse")):
            message = f"loss={loss!r} needs one label an image, and these images have several. Use loss='auto'."
            raise ConfigurationError(message)
        reason = "images may have several labels"
        return Objective(kind, "sigmoid", num_classes, False, num_classes, reason, smoothing, of_scores)
    if title.startswith("binary"):
        if num_classes != 2:
            message = (
                f"loss={loss!r} needs two classes or several labels an image, and the data have {num_classes} classes "
                "with one label an image. Use loss='auto'."
            )
            raise ConfigurationError(message)
        return Objective(kind, "sigmoid", 1, False, 2, "a binary loss was asked for", smoothing, of_scores)
    reason = "each image has one label" if isinstance(loss, str) and loss == "auto" else "this loss was asked for"
    sparse = title.startswith(_OF_CODES)
    if sparse and (one_hot or smoothing):
        kind, sparse = _one_hot_twin(kind, loss), False
        reason += ", here of one-hot targets, which mixing and smoothing need"
    return Objective(kind, "softmax", num_classes, sparse, num_classes, reason, smoothing, of_scores)


def _default(loss: Any, *, multi_label: bool) -> Any:
    """Return the Keras loss behind a name of ours; anything else as it is."""
    if isinstance(loss, str) and loss == "auto":
        return "binary_crossentropy" if multi_label else "categorical_crossentropy"
    if isinstance(loss, str) and loss == "focal":
        if multi_label:
            return keras.losses.BinaryFocalCrossentropy()
        return keras.losses.CategoricalFocalCrossentropy(alpha=1)  # Keras' 0.25 would quarter every class alike
    return loss


def _without_smoothing(loss: Any) -> tuple[Any, float]:
    """Take label smoothing out of a Keras loss, and return both: we smooth targets, whatever the loss."""
    settings = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
    smoothing = settings.get("label_smoothing", 0.0)
    return (type(loss).from_config({**settings, "label_smoothing": 0.0}) if smoothing else loss), smoothing


def _one_hot_twin(kind: Any, loss: Any) -> Any:
    """Return the loss of one-hot targets that equals one of integer codes."""
    if kind is keras.losses.sparse_categorical_crossentropy:
        return keras.losses.categorical_crossentropy
    if isinstance(kind, keras.losses.SparseCategoricalCrossentropy) and kind.ignore_class is None:
        return keras.losses.CategoricalCrossentropy(reduction=kind.reduction)
    message = f"loss={loss!r} takes integer codes, and mixing and smoothing need one-hot targets. Use loss='auto'."
    raise ConfigurationError(message)


def _title(loss: Any) -> str:
    """Return what a loss is called: a class of Keras by its own name, whatever `name=` says."""
    kind = type(loss)
    named = kind if kind.__module__.startswith("keras.") and isinstance(loss, keras.losses.Loss) else loss
    name = getattr(named, "name", None) or getattr(named, "__name__", "")
    return str(name).lower().replace(" ", "").replace("_", "")


def _named(loss: Any) -> Any:
    """Return the loss that Keras knows by a name, a class or settings; a loss or a function as it is.

    Raises:
        ConfigurationError: Keras knows none, or cannot make it, or its numbers are not a mean over images.
    """
    found = loss if callable(loss) and not isinstance(loss, type) else _known(loss)
    if isinstance(found, keras.losses.Loss) and found.reduction not in _MEANS:
        message = (
            f"loss={type(found).__name__}(reduction={found.reduction!r}) is not accepted: a batch may be divided among "
            f"devices and parts. Accepted: reduction={_MEANS[0]!r}, the mean over images."
        )
        raise ConfigurationError(message)
    return found


def _known(loss: Any) -> Any:
    try:
        found = keras.losses.get(loss)
    except ValueError:
        found = None
    except TypeError as error:  # of a class that asks for arguments, or of settings that it does not take
        why = str(error).rpartition("\n")[2].rstrip(".")
        message = (
            f"loss={loss!r} cannot be made: {why}. Accepted: a Keras loss that is made already, or the name of one, "
            f"such as {_NAMES[1]!r}."
        )
        raise ConfigurationError(message) from error
    if found is None:
        hint = _checks.did_you_mean(str(loss), _NAMES)
        message = f"loss={loss!r} is not known.{hint} Accepted: {', '.join(_NAMES)}, or any Keras loss or its name."
        raise ConfigurationError(message)
    return found


def _of_probabilities(loss: Any) -> tuple[Any, bool]:
    """Return a loss of probabilities, as heads give them, and whether it was one of scores."""
    settings = loss.get_config() if isinstance(loss, keras.losses.Loss) else {}
    of_scores = bool(settings.get("from_logits"))
    return (type(loss).from_config({**settings, "from_logits": False}) if of_scores else loss), of_scores
