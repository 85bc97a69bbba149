"""The doctor: what goes wrong while a model trains, in words, from the figures of an epoch.

Each complaint is made once. A threshold is set where the field's textbook mistakes lie far beyond it and sound runs far
below; none of them changes what is trained.
"""

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, architectures
from imgcls.datasets import Batches
from imgcls.trainer._history import History
from imgcls.trainer._objective import Objective
from imgcls.trainer._validation import Validation

_STUCK = 0.98  # of the loss of guessing, and of that of the epoch before: what falls faster is learning
_RISING = 1.5  # times the loss of guessing
_BETTER = 1.5  # times as often right as a constant answer, or wrong 1 / 1.5 times as often
_ONE_CLASS = 0.99  # of validation images
_MODES = 0.2  # of accuracy lost from training mode to use
_WAITED = 0.3  # of the time
_SHORTEST = 5.0  # seconds; a shorter epoch says nothing about waiting


@final
@dataclass(frozen=True, slots=True)
class Vitals:
    """What an epoch has shown.

    Attributes:
        classes: K names.
        losses: The training loss of each epoch so far, in nats; empty where it is no cross-entropy of one label, or
            has more in it than that.
        guessing: The loss of guessing by the shares of the classes.
        evenly: That of holding all classes for equally likely, as a network does before it has learnt.
        accuracy: The share of training images that were right in this epoch.
        commonest: The share of the class that has the most training images.
        predicted: How many validation images each class was predicted for; None where nothing is validated.
        held: How many validation images each class has.
        modes: The accuracy on one batch in training mode, and in use; None where it was not measured.
        waited: Seconds that steps waited for images.
        seconds: How long the steps took.
        scaled_twice: Whether pixels are scaled by us and by the model itself.
        misfed: The pretrained network that gets other pixels than it was trained on, and what would help; or None.
        val_loss: That of this epoch; a number where nothing is validated.
    """

    classes: tuple[Any, ...]
    losses: list[float]
    guessing: float
    evenly: float
    accuracy: float
    commonest: float
    predicted: NDArray[np.int64] | None = None
    held: NDArray[np.int64] | None = None
    modes: tuple[float, float] | None = None
    waited: float = 0.0
    seconds: float = 0.0
    scaled_twice: bool = False
    misfed: architectures.Misfed | None = None
    val_loss: float = 0.0


@final
class Doctor:
    """Looks at a training after each epoch, and complains once about each thing.

    Args:
        model: The model.
        training: Its images.
        goal: What it learns.
        targets: What the loss compares outputs with, for each training image.
        weights: What the loss multiplies the share of each image with.
        validation: What is measured every epoch, or None.

    Attributes:
        said: The names of complaints that were made.
    """

    def __init__(
        self,
        model: Any,
        training: Batches,
        goal: Objective,
        targets: NDArray[Any],
        weights: NDArray[np.float32],
        validation: Validation | None,
    ) -> None:
        self._model, self._training, self._goal, self._targets = model, training, goal, targets
        self._validation = validation
        labels, count = np.asarray(training.dataset.labels), len(training.dataset.classes)
        self._one_label = labels.ndim == 1 and goal.is_cross_entropy
        self._guessing = self._evenly = self._commonest = math.inf
        if self._one_label:
            self._guessing = guessing_loss(labels, weights, smoothing=goal.label_smoothing, classes=count)
            self._evenly = float(np.mean(weights)) * math.log(count)
            self._commonest = float(np.bincount(labels).max() / len(labels))
        self._scaled_twice = architectures.scaled_twice(model)
        self._misfed = architectures.misfed(model)  # before it has learnt
        self.said: set[str] = set()

    def look(self, history: History, *, waited: float, seconds: float, last: bool) -> list[str]:
        """Return what is new.

        Args:
            history: Of the epochs so far.
            waited: Seconds that the steps of this epoch waited for images.
            seconds: How long they took.
            last: Whether no epoch follows.
        """
        drop = history["accuracy"][-1] - history.get("val_accuracy", [1.0])[-1]
        predicted, held = self._counts()
        found = complaints(
            Vitals(
                self._training.dataset.classes,
                [] if not self._one_label or self._model.losses else history["loss"],  # regularisation is in it too
                self._guessing,
                self._evenly,
                history["accuracy"][-1],
                self._commonest,
                predicted,
                held,
                self._modes() if last or drop > _MODES else None,
                waited,
                seconds,
                self._scaled_twice,
                self._misfed,
                history.get("val_loss", [0.0])[-1],
            )
        )
        new = [words for name, words in found.items() if name not in self.said]
        self.said |= set(found)
        return new

    def _counts(self) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
        """Count the validation images of each class, as predicted and as they are."""
        validation, count = self._validation, len(self._training.dataset.classes)
        if not self._one_label or validation is None or validation.outputs is None or validation.outputs.shape[1] == 1:
            return None, None
        if not np.isfinite(validation.outputs).all():  # NaN is the answer of no class
            return None, None
        targets = validation.targets[validation.positions]
        truth = targets if targets.ndim == 1 else targets.argmax(axis=1)
        return np.bincount(validation.outputs.argmax(axis=1), minlength=count), np.bincount(truth, minlength=count)

    def _modes(self) -> tuple[float, float] | None:
        batch = self._training.batch(seed=0, epoch=0, step=0)
        try:
            outputs = _backend.in_both_modes(self._model, batch.images)
        except _backend.OutOfMemory:  # training goes in parts; there is less to say, and nothing wrong
            return None
        if outputs is None or not len(batch.positions):
            return None
        learning, using = (self._goal.accuracy(self._targets[batch.positions], one) for one in outputs)
        return learning, using


def guessing_loss(
    labels: NDArray[np.int64], weights: NDArray[Any] | None = None, *, smoothing: float = 0.0, classes: int = 0
) -> float:
    """Return the loss of who knows the shares of the classes and nothing else: their entropy, ln(K) where equal.

    Args:
        labels: Codes `(N,)`.
        weights: Of each image, `(N,)`: shares are those of the weights then, and the loss is multiplied by their mean.
        smoothing: The share of a label that is spread over all classes.
        classes: K, where it is more than the largest code says.

    Examples:
        >>> import numpy as np
        >>> from imgcls.trainer._doctor import guessing_loss
        >>> round(guessing_loss(np.array([0, 1, 2, 3])), 4)
        1.3863
        >>> round(guessing_loss(np.array([0, 0, 0, 1]), np.array([1, 1, 1, 3])), 4)  # 1.5 ln(2)
        1.0397
    """
    counts = np.bincount(labels, weights, minlength=classes)
    shares = (1 - smoothing) * counts / counts.sum() + smoothing / len(counts)
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum() * counts.sum() / len(labels))


def complaints(vitals: Vitals) -> dict[str, str]:
    """Return each complaint by its name."""
    found = {name: words(vitals) for name, words in _COMPLAINTS.items()}
    return {name: words for name, words in found.items() if words}


def _rate_too_high(vitals: Vitals) -> str:
    # Who holds rare classes for as likely as others has yet to learn that; and a network that begins with a huge loss,
    # as of pixels that nobody has scaled, learns while the loss falls and answers become right.
    if not vitals.losses or vitals.losses[-1] <= _RISING * vitals.evenly:
        return ""
    falls = len(vitals.losses) < 2 or vitals.losses[-1] < vitals.losses[-2]
    often_right = vitals.accuracy > _BETTER * vitals.commonest
    seldom_wrong = _BETTER * (1 - vitals.accuracy) < 1 - vitals.commonest  # the only way where one class is 2 in 3
    if falls and (often_right or seldom_wrong):
        return ""
    return (
        f"the loss is {vitals.losses[-1]:.3g}, worse than that of guessing ({vitals.evenly:.3g}): the learning rate "
        "is too high. Divide it by 10, or let lr_find suggest one"
    )


def _stuck(vitals: Vitals) -> str:
    epochs = len(vitals.losses)
    if epochs < 2 or not _STUCK * vitals.guessing < vitals.losses[-1] <= _RISING * vitals.evenly:
        return ""
    if vitals.losses[-1] < _STUCK * vitals.losses[-2]:
        return ""
    count = len(vitals.classes)
    equal = f"ln({count}) = " if math.isclose(vitals.guessing, math.log(count), rel_tol=0.01) else ""
    return (
        f"after {epochs} epochs the loss is still {vitals.losses[-1]:.3f}, and guessing has {equal}"
        f"{vitals.guessing:.3f}: nothing is learnt. Look whether labels belong to their images; then try another "
        "learning_rate"
    )


def _one_class(vitals: Vitals) -> str:
    if vitals.predicted is None or vitals.held is None:
        return ""
    likeliest = int(vitals.predicted.argmax())
    share = vitals.predicted[likeliest] / max(1, vitals.predicted.sum())
    truth = vitals.held[likeliest] / max(1, vitals.held.sum())
    if share < _ONE_CLASS or truth >= _ONE_CLASS:
        return ""
    return (
        f"{share:.0%} of the validation images are called {vitals.classes[likeliest]!r}, and {truth:.0%} are: the "
        "accuracy is that of a constant answer. Train longer, or with class_weight='balanced'"
    )


def _modes_disagree(vitals: Vitals) -> str:
    if vitals.modes is None or vitals.modes[0] - vitals.modes[1] <= _MODES:
        return ""
    learning, using = vitals.modes
    return (
        f"on one batch the model is right for {learning:.0%} of the images in training mode and for {using:.0%} in "
        "use: the running statistics of BatchNormalization lag behind. Give it more steps, larger batches, or freeze it"
    )


def _waits(vitals: Vitals) -> str:
    if vitals.seconds < _SHORTEST or vitals.waited <= _WAITED * vitals.seconds:
        return ""
    return (
        f"the model waited for images {vitals.waited / vitals.seconds:.0%} of the time: reading them is slower than "
        "learning from them. Free memory or disk, so that decoded images can be kept, or make the files smaller"
    )


def _scaled_twice(vitals: Vitals) -> str:
    if not vitals.scaled_twice:
        return ""
    return (
        "pixels are scaled twice: by normalization, and once more inside your own model. Give normalization=None, so "
        "that your model gets pixels 0-255"
    )


def _misfed(vitals: Vitals) -> str:
    if vitals.misfed is None or vitals.scaled_twice:  # once is enough, and shows what arrives then
        return ""
    row = vitals.misfed.network
    ways = [f"normalization={one!r}" for one in vitals.misfed.normalizations]
    ways.append(f"architecture={row.name!r}, which brings its scaling along")
    return (
        f"your model contains {row.builder} with weights that were trained on pixels {_TRAINED_ON[row.scaling]}, and "
        f"it gets others. Give {', or '.join(ways)}"
    )


def _unmeasured(vitals: Vitals) -> str:
    if math.isfinite(vitals.val_loss):
        return ""
    return (
        f"val_loss is {vitals.val_loss}, and the loss is a number: such an epoch is never the best one. Look for a "
        "division by 0 or a logarithm of 0 in layers and in a loss of your own, and for numbers too large for float16"
    )


_TRAINED_ON = {
    "tf": "from -1 to 1",
    "torch": "with the mean and deviation of ImageNet taken out",
    "caffe": "in BGR, with the mean of ImageNet taken out",
    "inside": "from 0 to 255",
}
_COMPLAINTS = {
    "scaled twice": _scaled_twice,
    "misfed": _misfed,
    "rate": _rate_too_high,
    "stuck": _stuck,
    "one class": _one_class,
    "modes": _modes_disagree,
    "waiting": _waits,
    "validation": _unmeasured,
}
