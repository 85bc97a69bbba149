"""Whether fine-tuning is kept: only where it is better on the validation images by more than chance explains."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, architectures
from imgcls._progress import ProgressReport
from imgcls.datasets import Batches, Dataset
from imgcls.inference import outputs
from imgcls.trainer._history import History
from imgcls.trainer._interrupts import Interrupts
from imgcls.trainer._objective import Objective

_SURE = 1.96  # standard errors


def settled(
    model: Any,
    trained: Any,
    before: list[NDArray[Any]],
    right: NDArray[Any] | None,
    data: Dataset | None,
    goal: Objective,
    *,
    tuned: History,
    fine_tune: Any,
    place: _backend.Placement,
    verbose: Any,
) -> tuple[bool, str]:
    """Decide whether fine-tuning is kept, and why, and leave what is kept in the model, whatever is pressed meanwhile.

    Ctrl-C ends the comparison: what nobody has compared is kept where that was asked for.

    Args:
        model: What is used; it gets the weights that are kept.
        trained: What was fine-tuned.
        before: The weights with the solved head.
        right: Which of the validation images the solved head is right of, or None without any.
        data: Those images, or None.
        goal: The objective.
        tuned: The history of fine-tuning; Ctrl-C is noted in it.
        fine_tune: As it was asked for.
        place: Which worker this is, and the others.
        verbose: Of the report.
    """
    keep, reason = True, "asked for"
    with ProgressReport(verbose) as report, Interrupts(terminate=False) as interrupts:
        interrupts.patient = True
        if trained is not model:
            architectures.set_weights(model, trained.get_weights())
        if right is not None and data is not None:
            keep, reason = fine_tune is True, "interrupted before it was compared with the solved head"
            if not (tuned.interrupted and keep):
                if tuned.interrupted:
                    report.say("comparing with the solved head now; Ctrl-C once more keeps that head")
                with interrupts.giving_way():
                    better, reason = compare(right, _right(model, data, goal, report, interrupts))
                    keep = keep or better
        keep, reason = place.told([keep, reason])  # workers measure with rounding of their own
        report.say(f"fine-tuning is {'kept' if keep else 'not kept'}: {reason}")
        if not keep:
            _put_back(model, trained, before)
    tuned.interrupted = tuned.interrupted or interrupts.asked is not None
    return keep, reason


def failed(model: Any, trained: Any, before: list[NDArray[Any]], reason: str, *, solved: History, verbose: Any) -> str:
    """Leave the solved head in the model where fine-tuning was tried and has ended too early; say why, and return it.

    Args:
        model: What is used.
        trained: What was fine-tuned.
        before: The weights with the solved head.
        reason: What has ended it.
        solved: The history of the head; Ctrl-C that is pressed meanwhile is noted in it.
        verbose: Of the report.
    """
    with ProgressReport(verbose) as report, Interrupts(terminate=False) as interrupts:
        interrupts.patient = True
        _put_back(model, trained, before)
        report.say(f"fine-tuning is not kept: {reason}")
    solved.interrupted = solved.interrupted or interrupts.asked is not None
    return reason


def compare(before: NDArray[Any], after: NDArray[Any]) -> tuple[bool, str]:
    """Say whether one classifier is better than another on the same images, by more than chance explains.

    The difference of accuracies is compared with 1.96 standard errors of the mean of the differences, image by image.

    Args:
        before: Whether each image was right, `(N,)`, or the share of its labels.
        after: The same of the other classifier.

    Returns:
        Whether it is, and both accuracies in words.

    Examples:
        >>> import numpy as np
        >>> from imgcls.trainer._keep import compare
        >>> compare(np.repeat([True, False], [80, 20]), np.ones(100, bool))
        (True, '100.0 % right of 100 validation images, 80.0 % before: 20.0 points more, of which chance explains 7.9')
    """
    change = np.asarray(after, float) - np.asarray(before, float)
    count, gain = len(change), float(change.mean())
    noise = _SURE * float(change.std(ddof=1)) / count**0.5 if count > 1 else 1.0
    direction = "more" if gain >= 0 else "less"
    words = (
        f"{100 * np.mean(after):.1f} % right of {count:,} validation images, {100 * np.mean(before):.1f} % before: "
        f"{100 * abs(gain):.1f} points {direction}, of which chance explains {100 * noise:.1f}"
    )
    return gain > noise, words


def hits(outputs: NDArray[np.float32], goal: Objective, labels: NDArray[Any]) -> NDArray[Any]:
    """Return for each image whether it is right, or which share of its labels."""
    if goal.head == "softmax":
        return np.asarray(outputs.argmax(axis=1) == labels)
    return np.asarray(((outputs >= 0.5) == (goal.targets(labels) >= 0.5)).mean(axis=1))


def _put_back(model: Any, trained: Any, before: list[NDArray[Any]]) -> None:
    """Give a model its solved head again, on a backbone that is fixed."""
    trained.get_layer("backbone").trainable = False
    architectures.set_weights(model, before)


def _right(model: Any, data: Dataset, goal: Objective, report: ProgressReport, interrupts: Interrupts) -> NDArray[Any]:
    """Return which images a model is right of, or which share of their labels.

    Raises:
        KeyboardInterrupt: Ctrl-C was noted.
    """

    def look_up(count: int) -> None:
        report.done(count)
        if interrupts.asked is not None:
            raise KeyboardInterrupt

    height, width, channels = model.input_shape[1:]
    report.begin("comparing with the solved head", len(data))
    batches = Batches(data, image_size=(height, width), channels=channels, batch_size=32)
    return hits(outputs(_backend.compiled(model), batches, look_up)[0], goal, np.asarray(data.labels))
