"""Defaults that train well untouched. Each automatic choice is a value with its reason."""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks
from imgcls._warnings import warn
from imgcls.errors import ConfigurationError, DataWarning
from imgcls.trainer._optimizers import is_schedule, usual_peak

_BUDGET_EPOCHS = 4
_PIXELS_SEEN = 240_000 * 32 * 32  # about two minutes of small_cnn on two CPU cores


class Choice(NamedTuple):
    """A value that was chosen, and why.

    Attributes:
        value: What was chosen.
        reason: Why, in words.

    Examples:
        >>> from imgcls import trainer
        >>> choices = trainer.recipe(images=300, image_size=(32, 32), frozen=False, validated=True)
        >>> choices["patience"]
        Choice(value=10, reason='a quarter of the epochs, at least 3, without a better val_loss')
        >>> value, reason = choices["epochs"]
        >>> print(f"{value}: {reason}")
        40: enough to see some 240,000 images of 32 x 32 pixels, within 5 to 40
    """

    value: Any
    reason: str


# Measured, with one seed. CIFAR-10, two passes with speed_cnn in batches of 128: Muon 78.0 % right, SGD 76.1 %. MNIST,
# one pass with speed_cnn_narrow: Muon 99.3 %, SGD 99.3 %, AdamW 98.9 %.
_OF_STEPS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("optimizer", "learning_rate", "schedule", "weight_decay", "epochs"), ("auto",)),
    **dict.fromkeys(("mixing", "clip_norm", "average"), (None,)),
    "augmentation": ("auto", None),
    "label_smoothing": (0.0,),
    "progressive_resizing": (False,),
    "micro_batches": (1,),
}
_ABOUT_STEPS: dict[str, tuple[Any, ...]] = {  # these ask for none: they say how steps are done
    **dict.fromkeys(("batch_size", "devices"), ("auto",)),
    "patience": ("auto", None),
    "jit_compile": (False,),
}
_MUON = Choice("muon", "learns most in the few passes that this architecture is made for")
_SHIFT = Choice("shift", "whole pixels blur nothing, and few passes leave little time to memorise images")
_FLIP_SHIFT = Choice("flip_shift", f"{_SHIFT.reason}; colour images keep their class when flipped")


def recipe(
    *,
    images: int,
    image_size: tuple[int, int],
    frozen: bool,
    validated: bool,
    epochs: Any = "auto",
    budget: Any = None,
    quick: bool = False,
    color: bool = False,
    pretrained: bool = False,
    stops: bool = False,
    plateau: int = 0,
    optimizer: Any = "auto",
) -> dict[str, Choice]:
    """Choose batch size, epochs, optimizer and patience.

    Args:
        images: N, the number of training images.
        image_size: (height, width) in pixels.
        frozen: Whether only the head is trained.
        validated: Whether there are validation data.
        epochs: A number that is given already, or "auto".
        budget: A limit of time that is given, or None.
        quick: Whether the architecture was made to learn in few passes.
        color: Whether the images have colours.
        pretrained: Whether weights are good already.
        stops: Whether a callback of the user's own stops training early.
        plateau: After how many epochs without a better val_loss the rate falls; 0 where it does not go by that.
        optimizer: A name, a Keras optimizer, or "auto".

    Returns:
        A `Choice` for each of "batch_size", "epochs", "optimizer", "learning_rate" and "patience"; for a quick
        architecture one for "augmentation" too.

    Examples:
        >>> from imgcls import trainer
        >>> trainer.recipe(images=60_000, image_size=(28, 28), frozen=False, validated=False)["batch_size"].value
        64
    """
    batch_size = 64 if images >= 8_000 else 32 if images >= 500 else 16
    if frozen:
        length = Choice(10, "a head on fixed features is learnt within 10 epochs")
    else:
        wanted = round(_PIXELS_SEEN / (image_size[0] * image_size[1] * images))
        length = Choice(
            int(np.clip(wanted, 5, 40)), "enough to see some 240,000 images of 32 x 32 pixels, within 5 to 40"
        )
    if budget is not None:
        length = Choice(
            _BUDGET_EPOCHS * length.value, f"at most; {_BUDGET_EPOCHS} times those of a run without budget={budget!r}"
        )
    planned = length.value if isinstance(epochs, str) else epochs
    patience = Choice(None, "there are no validation data")
    if stops:
        patience = Choice(None, "your own EarlyStopping decides when to stop, and which weights are kept")
    elif validated:
        least = max(3, 2 * plateau)
        reason = f"a quarter of the epochs, at least {least}, without a better val_loss"
        reason += f": the rate falls after {plateau}" if plateau else ""
        patience = Choice(max(least, planned // 4), reason)
    own_rate = None if isinstance(optimizer, str) else "your own optimizer brings its own"
    return {
        "batch_size": Choice(batch_size, f"{images:,} training images leave enough steps an epoch"),
        "epochs": length,
        "optimizer": Choice("adamw", "robust to the learning rate"),
        "learning_rate": Choice("auto", own_rate or "the usual peak of the optimizer: none to tune"),
        "patience": patience,
        **(
            {"optimizer": _MUON, "augmentation": _FLIP_SHIFT if color else _SHIFT}
            if quick and not frozen and not pretrained
            else {}
        ),
    }


def choose_head(
    arguments: Mapping[str, Any], *, fine_tune: Any, cross_entropy: bool, smoothing: float = 0.0, callbacks: bool
) -> Choice:
    """Choose how the head on a pretrained backbone is learnt: "solved" exactly, or "trained" step by step.

    Args:
        arguments: The hyper-parameters of `ImageClassifier`.
        fine_tune: Whether all is trained afterwards: then settings of steps are meant for that.
        cross_entropy: Whether the loss is Keras' own one, which is what can be solved.
        smoothing: The label smoothing of the objective, by argument or by what the loss brings along.
        callbacks: Whether there are Keras callbacks.

    Examples:
        >>> from imgcls import ImageClassifier
        >>> from imgcls.trainer._recipe import choose_head
        >>> arguments = ImageClassifier("mobilenet_v2", epochs=3).get_params()
        >>> choose_head(arguments, fine_tune=False, cross_entropy=True, callbacks=False)
        Choice(value='trained', reason='epochs=3 asks for steps')
    """
    asked = [f"{name}={arguments[name]!r}" for name, unset in _OF_STEPS.items() if arguments[name] not in unset]
    if smoothing and not arguments["label_smoothing"]:
        asked.append(f"the label_smoothing={smoothing!r} of your loss")
    if callbacks:
        asked.append("callbacks=...")
    if not cross_entropy:
        return Choice("trained", f"loss={arguments['loss']!r} is no cross-entropy of Keras, which could be solved")
    if asked and fine_tune is not True:
        return Choice("trained", f"{', '.join(asked)} {'ask' if len(asked) > 1 else 'asks'} for steps")
    return Choice("solved", "the features are fixed: computed once, the best head for them is found in seconds")


def without_steps(head: Choice, arguments: Mapping[str, Any]) -> Choice:
    """Return the choice of a head that is only solved, with what was given and counts for nothing then in the reason.

    Args:
        head: As `choose_head` returns it.
        arguments: The hyper-parameters of `ImageClassifier`.

    Examples:
        >>> from imgcls import ImageClassifier
        >>> from imgcls.trainer._recipe import Choice, without_steps
        >>> arguments = ImageClassifier("mobilenet_v2", patience=5).get_params()
        >>> without_steps(Choice("solved", "the features are fixed"), arguments).reason
        'the features are fixed; no steps are taken, so patience=5 counts for nothing'
    """
    given = [f"{name}={arguments[name]!r}" for name, unset in _ABOUT_STEPS.items() if arguments[name] not in unset]
    if not given:
        return head
    verb = "count" if len(given) > 1 else "counts"
    return head._replace(reason=f"{head.reason}; no steps are taken, so {', '.join(given)} {verb} for nothing")


def fine_tuning(optimizer: str) -> dict[str, Any]:
    """Return what fine-tuning asks of `train`, with a `Choice` for the learning rate.

    Examples:
        >>> from imgcls.trainer._recipe import fine_tuning
        >>> fine_tuning("adamw")["learning_rate"].value
        0.0001
    """
    reason = "a thirtieth of the usual peak: pretrained weights need to change little"
    return {
        "learning_rate": Choice(usual_peak(optimizer) / 30, reason),
        "first_layer_rate": 0.1,
        "average": 0.98,  # over the last fifty steps or so
    }


def choose_precision(*, named: bool, quicker: str | None) -> Choice:
    """Choose in what the backbone computes while it trains.

    Args:
        named: Whether it is one of the table.
        quicker: The device that is quicker with bfloat16, if it is: "GPU" or "processor".

    Examples:
        >>> from imgcls.trainer._recipe import choose_precision
        >>> choose_precision(named=True, quicker=None).value
        'float32'
    """
    if not named:
        return Choice("float32", "your own model says itself in what it computes")
    if quicker:
        reason = f"this {quicker} is quicker with it; weights stay float32, and so does what is saved"
        return Choice("mixed_bfloat16", reason)
    return Choice("float32", "no device in use is known to train this network quicker in bfloat16")


def choose_schedule(optimizer: Any, learning_rate: Any) -> Choice:
    """Choose how the learning rate moves; "auto" stands for what moves it already.

    Examples:
        >>> from imgcls.trainer._recipe import choose_schedule
        >>> choose_schedule("adamw", "auto").value, choose_schedule("adamw", 0.01).value
        ('cosine', 'constant')
    """
    if not isinstance(optimizer, str) or is_schedule(learning_rate):
        return Choice("auto", "your own optimizer or schedule moves the rate")
    if not isinstance(learning_rate, str):
        return Choice("constant", "the rate is given as a number")
    return Choice("cosine", "up to the peak over a tenth of training, then a cosine to 0")


def class_weights(class_weight: Any, labels: NDArray[Any], classes: tuple[Any, ...]) -> NDArray[np.float32]:
    """Return the weight of each image.

    Args:
        class_weight: None; "balanced", as in scikit-learn: N / (K * count of the class); or {class: weight}, where a
            class left out weighs 1. One that no image is of, as in a part of the data, is passed over with a
            `DataWarning`.
        labels: `int64 (N,)` codes.
        classes: K classes.

    Returns:
        `float32 (N,)`.

    Raises:
        ConfigurationError: A name is like that of a class that has no weight, a weight is negative, infinite or no
            number, all are 0, or images have several labels.

    Examples:
        >>> import numpy as np
        >>> from imgcls import trainer
        >>> trainer.class_weights("balanced", np.array([0, 0, 0, 1]), ("cat", "dog")).round(2).tolist()
        [0.6700000166893005, 0.6700000166893005, 0.6700000166893005, 2.0]
    """
    if class_weight is None:
        return np.ones(len(labels), np.float32)
    if labels.ndim == 2:
        message = "class_weight needs one label an image, and these images have several. Use sample_weight."
        raise ConfigurationError(message)
    if isinstance(class_weight, str) and class_weight == "balanced":
        counts = np.bincount(labels, minlength=len(classes))
        weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    elif isinstance(class_weight, Mapping):
        unknown = [name for name in class_weight if name not in classes]
        hint = next(filter(None, (_misspelt(name, classes, class_weight) for name in unknown)), "")
        if hint or not all(map(_is_weight, class_weight.values())):
            message = (
                f"class_weight={dict(class_weight)!r} names an unknown class or a weight that is no number of at "
                f"least 0.{hint} Accepted: {{class: weight}} with classes among {_checks.some(classes, most=10)}."
            )
            raise ConfigurationError(message)
        if unknown:
            message = (
                f"class_weight names {_checks.some(unknown)}, and no image here is of such a class: that is passed "
                f"over. The classes are {_checks.some(classes, most=10)}."
            )
            warn(message, DataWarning)
        weights = np.array([class_weight.get(name, 1.0) for name in classes])
    else:
        message = f"class_weight={class_weight!r} is not accepted. Accepted: None, 'balanced' or {{class: weight}}."
        raise ConfigurationError(message)
    found = np.asarray(weights[labels], np.float32)
    if len(found) and not found.any():
        message = f"class_weight={class_weight!r} is 0 for every image. Accepted: at least one class above 0."
        raise ConfigurationError(message)
    return found


def named_weights(class_weight: Any, classes: tuple[Any, ...]) -> str:
    """Return class weights that `class_weights` takes as text, the same in any order and for 12 and 12.0.

    Examples:
        >>> from imgcls.trainer._recipe import named_weights
        >>> named_weights({"dog": 12, "cat": 0.5}, ("ant", "cat", "dog"))
        "{'ant': 1.0, 'cat': 0.5, 'dog': 12.0}"
        >>> named_weights("balanced", ("ant", "cat", "dog")), named_weights(None, ("ant", "cat", "dog"))
        ('balanced', 'None')
    """
    if not isinstance(class_weight, Mapping):
        return str(class_weight)
    return str({name: float(class_weight.get(name, 1.0)) for name in classes})


def _misspelt(name: Any, classes: tuple[Any, ...], named: Mapping[Any, Any]) -> str:
    """Ask whether a name that is none of the classes means one of them which has no weight yet; "" where none is near.

    Numbers are near where they are the same in another type: 3 and "3". Names that differ in a number alone, such as
    "grade 1" and "grade 3", are those of two classes.
    """
    without = [str(one) for one in classes if one not in named]
    others = [one for one in without if one == str(name) or re.sub(r"\d+", "", one) != re.sub(r"\d+", "", str(name))]
    return _checks.did_you_mean(str(name), others) if isinstance(name, str) or str(name) in others else ""


def _is_weight(value: Any) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and 0 <= float(value) < math.inf
