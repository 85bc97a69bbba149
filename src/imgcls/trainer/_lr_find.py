"""The learning-rate range test: a few steps at ever higher rates, on a model that is left as it was."""

from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any

import keras
import numpy as np

from imgcls import _backend, _checks
from imgcls._progress import ProgressReport
from imgcls.datasets import ON_ERROR, Batch, Batches, Dataset
from imgcls.errors import ConfigurationError
from imgcls.trainer._checked import checked_layers
from imgcls.trainer._finder import RULES, LearningRateCurve, diverged
from imgcls.trainer._micro_batches import halve
from imgcls.trainer._optimizers import OPTIMIZERS, copied, set_on
from imgcls.trainer._optimizers import optimizer as named_optimizer
from imgcls.trainer._recipe import class_weights
from imgcls.trainer._trainable import checked_labels, not_trainable


def lr_find(
    model: Any,
    data: Dataset,
    *,
    optimizer: Any = "adamw",
    first_layer_rate: float = 1.0,
    weight_decay: Any = "auto",
    clip_norm: float | None = None,
    loss: Any = "auto",
    label_smoothing: float = 0.0,
    batch_size: int = 32,
    micro_batches: int = 1,
    augmentation: Any = None,
    mixing: Any = None,
    class_weight: Any = None,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    rule: str = "minimum",
    seed: int = 0,
    on_error: str = "skip",
    verbose: Any = "auto",
) -> LearningRateCurve:
    """Train for a few steps at rates that rise from one to the next, and suggest a peak rate from the losses.

    The model has its weights back afterwards. One device computes: the first GPU, or else the CPU. Source: Smith, arXiv
    1506.01186, section 3.3.

    Args:
        model: A `keras.Model`, as for `train`.
        data: The training images.
        optimizer: "adam", "adamw", "sgd", "rmsprop", "muon", or a Keras optimizer: a copy of it is led through the
            rates, whatever leads its own.
        first_layer_rate: As for `train`.
        weight_decay: As for `train`.
        clip_norm: As for `train`.
        loss: As for `train`.
        label_smoothing: As for `train`.
        batch_size: As for `train`; another one has another best rate.
        micro_batches: As for `train`. Where memory runs out, it is doubled by itself.
        augmentation: As for `train`, but nothing is mirrored every other epoch.
        mixing: As for `train`.
        class_weight: As for `train`.
        lowest: The rate of the first step.
        highest: The rate of the last. The test ends before it where the loss explodes.
        steps: How many, at most.
        rule: How a rate is suggested: "minimum", a tenth of the rate of the lowest loss; "valley", lower.
        seed: Another seed, another order of images.
        on_error: As for `train`.
        verbose: As for `train`.

    Returns:
        A `LearningRateCurve`: `suggestion`, `plot()`, `to_frame()`.

    Raises:
        ConfigurationError: Arguments are not accepted; the message lists all of them.
        DataError: There are no labels.
        TrainingError: One image alone does not fit into memory.

    Examples:
        >>> from imgcls import Dataset, architectures, trainer
        >>> digits = Dataset.builtin("digits")
        >>> model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
        >>> curve = trainer.lr_find(model, digits, verbose=0)
        >>> 1e-4 < curve.suggestion < 0.1
        True
    """
    _checks.refuse(
        [
            not_trainable(model),
            None
            if isinstance(optimizer, keras.optimizers.Optimizer)
            else _checks.unknown_name("optimizer", optimizer, OPTIMIZERS),
            _checks.not_share("first_layer_rate", first_layer_rate),
            _checks.not_whole("batch_size", batch_size),
            _checks.not_whole("micro_batches", micro_batches),
            _checks.not_whole("steps", steps),
            _checks.not_positive("lowest", lowest),
            _checks.not_positive("highest", highest),
            _checks.unknown_name("rule", rule, RULES),
            _checks.not_whole("seed", seed, least=0),
            _checks.unknown_name("on_error", on_error, ON_ERROR),
        ]
    )
    seed, micro_batches = _checks.plain(seed), _checks.plain(micro_batches)
    weight_decay, clip_norm = _checks.plain(weight_decay), _checks.plain(clip_norm)
    if highest <= lowest:
        message = f"lowest={lowest!r} is not below highest={highest!r}. Give a range that rises."
        raise ConfigurationError(message)
    checked_labels(data)
    weigh = partial(class_weights, class_weight, classes=data.classes)
    weigh(labels=np.asarray(data.labels))  # what is refused is refused now, and not after all images were read
    augmentation, mixer, goal = checked_layers(
        model, data, augmentation=augmentation, mixing=mixing, loss=loss, label_smoothing=label_smoothing, seed=seed
    )
    engine = copied(named_optimizer(optimizer, weight_decay=weight_decay, clip_norm=clip_norm), float(lowest))
    engine = set_on(engine, model, named=isinstance(optimizer, str), first_layer_rate=first_layer_rate)
    rates = np.geomspace(lowest, highest, steps)
    losses: list[float] = []
    with ProgressReport(verbose) as progress:
        height, width, channels = model.input_shape[1:]
        batches = Batches(
            data,
            image_size=(height, width),
            channels=channels,
            batch_size=batch_size,
            on_error=on_error,
            what="training",
            say=progress.say,
        )
        labels = np.asarray(batches.dataset.labels)
        targets, weights = goal.targets(labels), weigh(labels=labels)
        step = _backend.TrainingStep(
            model,
            engine,
            goal,
            augmentation=augmentation,
            mixing=mixer,
            one_label=goal.head == "softmax",
            targets=goal.spec(),
            micro_batches=micro_batches,
        )
        before = step.capture()
        progress.begin("learning-rate range test", steps)
        try:
            for rate, batch in zip(rates, _endless(batches, seed), strict=False):
                given = (batch.images, targets[batch.positions], weights[batch.positions])
                while True:
                    try:
                        step(*given, rate=rate)
                        break
                    except _backend.OutOfMemory as error:
                        halve(step, model, len(batch.images), error, say=progress.say)
                losses.append(step.means(reset=True)["loss"])
                progress.done(len(losses))
                if diverged(losses):
                    break
        finally:
            step.restore(before)
    return LearningRateCurve(rates[: len(losses)], np.array(losses), rule)


def _endless(batches: Batches, seed: int) -> Iterator[Batch]:
    for epoch in count():
        yield from (batch for batch in batches.shuffled(seed=seed, epoch=epoch) if len(batch.positions))
