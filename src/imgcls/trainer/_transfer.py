"""Transfer learning: features once, a head that is solved, and then the whole network, if that helps.

First the head, then all (LP-FT): Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution, ICLR 2022, arXiv 2202.10054.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, architectures
from imgcls._progress import ProgressReport
from imgcls.datasets import Dataset
from imgcls.errors import TrainingError
from imgcls.trainer._decisions import Decisions
from imgcls.trainer._embed import Embedded, embed_until
from imgcls.trainer._history import History
from imgcls.trainer._identity import fingerprint, shape_of
from imgcls.trainer._keep import failed, hits, settled
from imgcls.trainer._metrics import keras_metrics, measured
from imgcls.trainer._objective import Objective, objective
from imgcls.trainer._pace import budget_seconds
from imgcls.trainer._probe import Probe, solve
from imgcls.trainer._recipe import Choice, class_weights
from imgcls.trainer._speed import speed
from imgcls.trainer._train import check_training, train
from imgcls.trainer._trainable import checked_labels, sample_weights

_BATCH = 32
_SHARES = (1.0, 0.5, 0.25)  # of the layers
_BACKWARD = 2.5  # what gradients and updates of all layers cost, in passes forward
_TRACED = (2.0, 8.0)  # what compiling costs, in starts of the pass forward: itself, and for gradients of all layers
_LEAST_EPOCHS = 2


@final
@dataclass(frozen=True, slots=True)
class Transfer:
    """What `transfer` has learnt, beside the weights of the model.

    Attributes:
        history: Of fine-tuning, where that was kept; else one row for the head.
        choices: "penalty", "engine" and, where it was open, "fine_tune", each with its reason.
        embedded: The features of the training images, as the pretrained backbone gives them.
        held_out: `float32 (n, K)`: probabilities of each embedded image from a head that has not seen it.
        weights: `float32 (n,)`: what each of them weighed. Those with 0 count for nothing, and no head has seen them.
        validation: The features of the validation images, or None where there are none.
        validated: `float32 (m, K)`: what the solved head makes of them.
        tuned: Whether the backbone was fine-tuned, and that was kept: then features and probabilities are others now.

    Examples:
        >>> from imgcls import Dataset, architectures, trainer
        >>> digits = Dataset.builtin("digits")[:100]
        >>> model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10, fine_tune=False)
        >>> learnt = trainer.transfer(model, digits, fine_tune=False, engine="tensorflow", verbose=0)
        >>> learnt.embedded.features.shape, learnt.held_out.shape, learnt.tuned
        ((100, 64), (100, 10), False)
        >>> sorted(learnt.choices)
        ['engine', 'penalty']
    """

    history: History
    choices: dict[str, Choice]
    embedded: Embedded
    held_out: NDArray[np.float32]
    weights: NDArray[np.float32]
    validation: Embedded | None = None
    validated: NDArray[np.float32] | None = None
    tuned: bool = False


def transfer(
    model: Any,
    data: Dataset,
    *,
    trained: Any = None,
    validation_data: Dataset | None = None,
    fine_tune: Any = "auto",
    loss: Any = "auto",
    engine: str = "auto",
    budget: Any = None,
    spent: float = 0.0,
    class_weight: Any = None,
    sample_weight: Any = None,
    metrics: Sequence[Any] = (),
    checkpoint: str | Path | None = None,
    seed: int = 0,
    on_error: str = "skip",
    verbose: Any = "auto",
    **settings: Any,
) -> Transfer:
    """Solve the head of a model whose backbone is pretrained, and fine-tune the backbone where that helps.

    Args:
        model: A model that `architectures.build` made, with a backbone that is not trainable. It is changed in place.
        data: The training images.
        trained: The same network with the same weights, as it is fine-tuned, where that is another model than what is
            used and measured: in another precision, or without mirror images. It is changed too. None for `model`.
        validation_data: Images that decide whether fine-tuning is kept.
        fine_tune: False for the head alone; True to train the backbone too, and keep that; "auto" to keep it
            where it is better on the validation images by more than chance explains. As much of the network is trained
            as what is left of the budget allows. What fails when it was only tried leaves the solved head.
        loss: A cross-entropy, or "auto".
        engine: What computes the features, as in `embed`.
        budget: Seconds, or words such as "10min": fine-tuning ends in time. The head is solved from all images: where
            their features take longer, that is said.
        spent: Seconds of the budget that are gone already.
        class_weight: As for `train`.
        sample_weight: As for `train`.
        metrics: As for `train`; of the solved head too.
        checkpoint: As for `train`; of fine-tuning. Features have their own place.
        seed: Of the parts that are held out, and of fine-tuning.
        on_error: As for `train`.
        verbose: As for `train`.
        **settings: Of fine-tuning: further arguments of `train`.

    Returns:
        A `Transfer`. After Ctrl-C while it fine-tunes it is returned too, its history `interrupted`.

    Raises:
        ConfigurationError: Arguments are not accepted, those of fine-tuning too: before any image is embedded.
        CheckpointError: The folder of `checkpoint` holds another run; that is known once the head is solved.
        TrainingError: Fine-tuning that was asked for fails, or that of several workers.

    Examples:
        >>> from imgcls import Dataset, architectures, trainer
        >>> digits = Dataset.builtin("digits")[:200]
        >>> model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10, fine_tune=False)
        >>> learnt = trainer.transfer(model, digits, fine_tune=False, engine="tensorflow", verbose=0)
        >>> learnt.history["held_out_accuracy"][0] > 0.8  # on random features; guessing has 0.1
        True
    """
    began, seconds = time.monotonic() - spent, budget_seconds(budget)
    trained = model if trained is None else trained
    validation_data = checked_labels(data, validation_data)
    goal = objective(loss, num_classes=len(data.classes), multi_label=data.multi_label)
    measures = keras_metrics(metrics, goal, validated=validation_data is not None)
    weigh, own_weights = (
        partial(class_weights, class_weight, classes=data.classes),
        sample_weights(sample_weight, len(data)),
    )
    weigh(labels=np.asarray(data.labels))
    if fine_tune is not False:  # what is refused is refused now, and not after all images were embedded
        check_training(
            trained,
            data,
            validation_data=validation_data,
            loss=loss,
            class_weight=class_weight,
            sample_weight=sample_weight,
            metrics=metrics,
            seed=seed,
            on_error=on_error,
            **settings,
        )
    if settings.get("deterministic"):
        _backend.make_deterministic()
    with ProgressReport(verbose) as report:
        if fine_tune is False and checkpoint is not None:
            report.say(
                f"no checkpoints are written to {str(checkpoint)!r}: a solved head has no steps to go on from, and "
                "features that are in the cache are not computed again"
            )
        features = architectures.cut(model)
        ends = None if seconds is None else began + seconds
        found = partial(embed_until, ends, features, on_error=on_error, report=report)
        embedded = found(data, engine=engine)
        again = engine if embedded.by is None else embedded.by.run
        validation = None if validation_data is None else found(validation_data, engine=again)
        report.say(f"{len(embedded.positions):,} images embedded by {embedded.engine}: {embedded.reason}")
        probe, targets, weights = _probed(embedded, data, goal, weigh, own_weights, seed=seed)
        for one in (model, trained):
            one.get_layer("head").set_weights([probe.kernel, probe.bias])
        history, outputs, right = _measured(probe, goal, embedded, targets, validation, validation_data, measures)
        history.quarantined = embedded.quarantined | ({} if validation is None else validation.quarantined)
        history.seconds = time.monotonic() - began
        report.say(f"head  {history.last()}  after {history.seconds:.0f} s")
    held_out = architectures.probabilities(probe.outputs, len(data.classes))
    validated = None if outputs is None else architectures.probabilities(outputs, len(data.classes))
    choices = {
        "engine": Choice(embedded.engine, embedded.reason),
        "penalty": Choice(
            float(np.median(probe.penalties)), f"the lowest loss on images held out, in {probe.folds} parts by turns"
        ),
    }
    solved = Transfer(history, choices, embedded, held_out, weights, validation, validated)
    if fine_tune is False:
        return solved
    place = _backend.joined(settings.get("devices", "auto"))  # what goes by the clock, the first of all workers decides
    before = model.get_weights()
    try:
        share, after, refusal = _allowed(
            model,
            trained,
            data,
            validation,
            fine_tune=fine_tune,
            seconds=seconds,
            spent=time.monotonic() - began,
            batch_size=settings.get("batch_size", _BATCH),
            checkpoint=checkpoint,
            place=place,
        )
        if refusal:
            choices["fine_tune"] = Choice(False, refusal)
            return solved
        tuned, trouble = _tried(
            trained,
            data,
            share=share,
            must=fine_tune is True or place.workers > 1,  # others may be in the middle of a step
            validation_data=validation_data,
            loss=loss,
            budget=budget,
            spent=time.monotonic() - began,
            after=after,
            class_weight=class_weight,
            sample_weight=sample_weight,
            metrics=metrics,
            checkpoint=checkpoint,
            seed=seed,
            on_error=on_error,
            verbose=verbose,
            **settings,
        )
    except KeyboardInterrupt:  # the loop notes it by itself: this one came before it, while it got ready
        history.interrupted, tuned, trouble = True, None, "interrupted before it was done"
    if tuned is None:
        choices["fine_tune"] = Choice(False, failed(model, trained, before, trouble, solved=history, verbose=verbose))
        return solved
    keep, reason = settled(
        model,
        trained,
        before,
        right,
        None if validation is None or validation_data is None else validation_data[validation.positions],
        goal,
        tuned=tuned,
        fine_tune=fine_tune,
        place=place,
        verbose=verbose,
    )
    history.interrupted = tuned.interrupted
    choices["fine_tune"] = Choice(keep, reason)
    return Transfer(tuned if keep else history, choices, embedded, held_out, weights, validation, validated, tuned=keep)


def _probed(
    embedded: Embedded,
    data: Dataset,
    goal: Objective,
    weigh: Callable[..., NDArray[np.float32]],
    own_weights: NDArray[np.float32],
    *,
    seed: int,
) -> tuple[Probe, NDArray[Any], NDArray[np.float32]]:
    """Return the head solved from the features, the labels it was solved for, and what each of the images weighed."""
    targets = np.asarray(data.labels)[embedded.positions]
    weights = weigh(labels=targets) * own_weights[embedded.positions]  # balanced over the images that can be read
    groups = None if data.groups is None else np.asarray(data.groups)[embedded.positions].tolist()
    probe = solve(
        embedded.features,
        targets,
        head=goal.head,
        num_classes=len(data.classes),
        weights=weights,
        groups=groups,
        seed=seed,
    )
    return probe, targets, weights


def _tried(model: Any, data: Dataset, *, share: float, must: bool, **settings: Any) -> tuple[History | None, str]:
    """Fine-tune; return the history, or None and what went wrong where that is no error.

    Args:
        model: What is trained.
        data: The training images.
        share: Of the backbone's layers.
        must: Whether it is an error.
        **settings: Further arguments of `train`.
    """
    architectures.unfreeze(model, share)
    try:
        return train(model, data, **settings), ""
    except TrainingError as error:
        if must:
            raise
        return None, f"it was tried, and failed: {error}"


def _allowed(
    model: Any,
    trained: Any,
    data: Dataset,
    validation: Embedded | None,
    *,
    fine_tune: Any,
    seconds: float | None,
    spent: float,
    batch_size: int,
    checkpoint: str | Path | None,
    place: _backend.Placement,
) -> tuple[float, float, str]:
    """Return what `_depth` does, once for a run; without a budget all layers may learn."""
    if fine_tune == "auto" and validation is None:
        return 0.0, 0.0, "without validation data nobody could say whether it helps"
    if seconds is None:
        return 1.0, 0.0, ""
    validated = 0 if validation is None else len(validation.positions)
    sizes = {"images": fingerprint(data), "validation": validated, "batch_size": batch_size}
    decide = partial(_depth, model, trained, len(data), validated, seconds - spent, batch_size=batch_size)
    share, after, refusal = Decisions(checkpoint).once(
        "depth",
        {**sizes, "model": shape_of(trained), "budget": seconds},
        decide,
        lasting=lambda decided: decided[0] > 0,  # a refusal leaves nothing to go on with: there may be time another day
        place=place,
    )
    return share, after, refusal


def _depth(
    model: Any, trained: Any, count: int, validated: int, left: float, *, batch_size: int
) -> tuple[float, float, str]:
    """Return how much of the backbone can be fine-tuned in the seconds that are left, or why nothing can.

    Compiling, the least number of epochs, a validation after each and the comparison at the end have to fit.

    Args:
        model: What is compared at the end.
        trained: What is trained, and validated after each epoch.
        count: How many training images there are.
        validated: How many validation images there are.
        left: Seconds.
        batch_size: Of training.

    Returns:
        The share of the layers, the seconds to keep for the comparison, and the reason where the share is 0.
    """
    learning = speed(trained, batch_size)
    used = learning if trained is model else speed(model, batch_size)
    after = used.starting + used.image * validated if validated else 0.0

    def needed(share: float) -> float:
        compiling = learning.starting * (_TRACED[0] + _TRACED[1] * share)
        epoch = learning.image * (count * (1 + _BACKWARD * share) + validated)
        return compiling + _LEAST_EPOCHS * epoch + after

    for share in _SHARES:
        if needed(share) <= left:
            return share, after, ""
    refusal = (
        f"{max(left, 0):.0f} s of the budget are left, and compiling, {_LEAST_EPOCHS} epochs of the upper quarter and "
        f"their validation take some {needed(_SHARES[-1]):.0f} s"
    )
    return 0.0, after, refusal


def _measured(
    probe: Probe,
    goal: Objective,
    embedded: Embedded,
    targets: NDArray[Any],
    validation: Embedded | None,
    validation_data: Dataset | None,
    metrics: Sequence[Any],
) -> tuple[History, NDArray[np.float32] | None, NDArray[Any] | None]:
    """Return the figures of the head, its outputs for the validation images, and which of them are right.

    No label is smoothed: the head was solved for labels as they are, however the loss of fine-tuning smooths them.
    """
    goal = goal.plain

    def figures(outputs: NDArray[np.float32], labels: NDArray[Any]) -> tuple[float, float]:
        wanted = goal.targets(labels)
        return float(goal(wanted, outputs, np.ones(len(outputs), np.float32))), goal.accuracy(wanted, outputs)

    head = architectures.Head(probe.kernel, probe.bias, goal.head)
    row = dict(zip(("loss", "accuracy"), figures(head(embedded.features), targets), strict=True))
    row |= dict(zip(("held_out_loss", "held_out_accuracy"), figures(probe.outputs, targets), strict=True))
    found = right = None
    if validation is not None and validation_data is not None:
        labels = np.asarray(validation_data.labels)[validation.positions]
        found = head(validation.features)
        row |= dict(zip(("val_loss", "val_accuracy"), figures(found, labels), strict=True))
        row |= measured(metrics, goal, goal.targets(labels), found)
        right = hits(found, goal, labels)
    history = History()
    history.append(row)
    return history, found, right
