"""The arguments of `train`: what they stand for, once nothing of them is refused."""

from dataclasses import dataclass
from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, _checks, transforms
from imgcls.datasets import ON_ERROR, Dataset
from imgcls.errors import ConfigurationError
from imgcls.trainer._metrics import keras_metrics
from imgcls.trainer._objective import Objective, objective
from imgcls.trainer._pace import budget_seconds
from imgcls.trainer._recipe import class_weights
from imgcls.trainer._resizing import Resizing
from imgcls.trainer._schedules import SCHEDULES
from imgcls.trainer._steps import checked_steps
from imgcls.trainer._trainable import check_outputs, checked_labels, not_trainable, sample_weights
from imgcls.transforms._mixing import try_mixing


@final
@dataclass(frozen=True, slots=True)
class Checked:
    """What arguments of `train` stand for, once nothing of them is refused."""

    seconds: float | None  # of the budget
    placement: _backend.Placement
    validation_data: Dataset | None  # coded by the classes that are learnt
    alternating_flip: bool
    augmentation: Any
    mixer: Any
    goal: Objective
    measures: list[Any]
    resizing: Resizing | None
    own_weights: NDArray[np.float32]  # of the images
    schedule: str
    engine: Any
    callbacks: list[Any]


def checked_arguments(
    model: Any,
    data: Dataset,
    *,
    validation_data: Dataset | None,
    optimizer: Any,
    learning_rate: Any,
    schedule: str,
    first_layer_rate: float,
    weight_decay: Any,
    clip_norm: float | None,
    average: float | None,
    loss: Any,
    label_smoothing: float,
    epochs: int,
    budget: Any,
    batch_size: int,
    micro_batches: int,
    devices: Any,
    augmentation: Any,
    alternating_flip: bool,
    mixing: Any,
    progressive_resizing: bool,
    class_weight: Any,
    sample_weight: Any,
    patience: int | None,
    metrics: Any,
    callbacks: Any,
    seed: int,
    deterministic: bool,
    jit_compile: bool,
    on_error: str,
    **_others: Any,
) -> Checked:
    """Check arguments, all as for `train`, before any image is read; the folder of a checkpoint is not looked into.

    Raises:
        ConfigurationError: Arguments are not accepted.
        DataError: Labels do not fit the model.
    """
    _checks.refuse(
        [
            _checks.not_whole("epochs", epochs),
            _checks.not_whole("batch_size", batch_size),
            _checks.not_whole("micro_batches", micro_batches),
            _checks.not_whole("patience", patience, names=("None",)),
            _checks.not_whole("seed", seed, least=0),
            _checks.unknown_name("schedule", schedule, ("auto", *SCHEDULES, "plateau")),
            _checks.not_share("first_layer_rate", first_layer_rate),
            _checks.unknown_name("deterministic", deterministic, (True, False)),
            _checks.unknown_name("jit_compile", jit_compile, (True, False)),
            _checks.unknown_name("alternating_flip", alternating_flip, (True, False)),
            _checks.unknown_name("progressive_resizing", progressive_resizing, (True, False)),
            _checks.unknown_name("on_error", on_error, ON_ERROR),
            "patience needs validation_data. Give it, or patience=None." if patience and not validation_data else None,
            not_trainable(model),
        ]
    )
    seconds, placement = budget_seconds(budget), _backend.placement(devices)
    validation_data = checked_labels(data, validation_data)
    layer, mixer, goal = checked_layers(
        model, data, augmentation=augmentation, mixing=mixing, loss=loss, label_smoothing=label_smoothing, seed=seed
    )
    measures = keras_metrics(metrics, goal, validated=validation_data is not None)
    resizing = Resizing(model.input_shape[1:3]) if progressive_resizing else None
    if resizing is not None:
        resizing.check(model)
    own_weights = sample_weights(sample_weight, len(data))
    class_weights(class_weight, np.asarray(data.labels), data.classes)
    with placement.scope():
        schedule, engine, callbacks = checked_steps(
            measures,
            optimizer=optimizer,
            learning_rate=learning_rate,
            schedule=schedule,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            average=average,
            callbacks=callbacks,
        )
    return Checked(
        seconds,
        placement,
        validation_data,
        alternating_flip or transforms.alternates(augmentation),
        layer,
        mixer,
        goal,
        measures,
        resizing,
        own_weights,
        schedule,
        engine,
        callbacks,
    )


def checked_layers(
    model: Any, data: Dataset, *, augmentation: Any, mixing: Any, loss: Any, label_smoothing: float, seed: int
) -> tuple[Any, Any, Objective]:
    """Return what makes images others, what mixes them, and what is learnt from them, all tried; arguments of `train`.

    Raises:
        ConfigurationError: One is not accepted, or does not go with the model.
        DataError: Labels do not fit the model.
    """
    layer, mixer = transforms.augmentation(augmentation, seed=seed), transforms.mixing(mixing, seed=seed + 2)
    goal = objective(
        loss,
        num_classes=len(data.classes),
        multi_label=data.multi_label,
        label_smoothing=label_smoothing,
        one_hot=mixer is not None,
    )
    check_outputs(model, goal, data)
    _try_augmentation(layer, tuple(model.input_shape[1:]))
    try_mixing(mixer, image_shape=model.input_shape[1:], outputs=goal.outputs)
    return layer, mixer, goal


def _try_augmentation(layer: Any, image_shape: tuple[int, ...]) -> None:
    """Refuse a layer that makes images of another shape (H, W, C): the model would not take them, in the first step.

    It is called with a tensor without values, so that no random number is drawn.
    """
    if layer is None:
        return
    try:
        shape = tuple(layer(keras.KerasTensor((None, *image_shape), "float32"), training=True).shape)
    except Exception as error:
        raise ConfigurationError(_cannot_augment(layer, image_shape, str(error))) from error
    unknown_or_same = (side in {None, wanted} for side, wanted in zip(shape[1:], image_shape, strict=False))
    if len(shape) != 1 + len(image_shape) or not all(unknown_or_same):
        raise ConfigurationError(_cannot_augment(layer, image_shape, f"it returns images of {shape[1:]}"))


def _cannot_augment(layer: Any, image_shape: tuple[int, ...], why: str) -> str:
    return (
        f"augmentation={type(layer).__name__} cannot be used for images of {image_shape}: {why.rstrip('.')}. Accepted: "
        "a name, None, or a layer from images (N, H, W, C), float32 and 0-255, to images of the same shape. One that "
        f"changes the size goes into a keras.Sequential with keras.layers.Resizing{image_shape[:2]} behind it."
    )
