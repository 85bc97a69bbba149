"""`train`: everything is checked first, then images are read, then the loop runs."""

import inspect
import math
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from imgcls import _backend, _checks
from imgcls._progress import ProgressReport
from imgcls._warnings import warn
from imgcls.datasets import Batches, Dataset
from imgcls.errors import TrainingWarning
from imgcls.trainer._callbacks import PLATEAU, early_stopping, reduce_on_plateau
from imgcls.trainer._checked import checked_arguments
from imgcls.trainer._checkpoint import Checkpoints
from imgcls.trainer._doctor import Doctor
from imgcls.trainer._history import History
from imgcls.trainer._identity import hash_of, hash_of_weights, identity, settings_of
from imgcls.trainer._loop import Loop
from imgcls.trainer._notes import named
from imgcls.trainer._optimizers import left_out_of_decay, set_on
from imgcls.trainer._pace import Pace
from imgcls.trainer._recipe import class_weights, named_weights
from imgcls.trainer._schedules import SCHEDULES
from imgcls.trainer._validation import Validation
from imgcls.transforms._state import put_back

_LED = tuple(name for name in SCHEDULES if name != "constant")  # the loop moves the rate
MIX_UNTIL = 0.85  # images are mixed up to this share of training; the rest is learnt from images as they are


_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _in_plain_numbers(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Let a function take NumPy's scalars for Python's numbers, which Keras and TensorFlow want."""

    @wraps(function)
    def called(*arguments: _Arguments.args, **settings: _Arguments.kwargs) -> _Result:
        return function(*arguments, **{name: _checks.plain(value) for name, value in settings.items()})

    return called


@_in_plain_numbers
def train(
    model: Any,
    data: Dataset,
    *,
    validation_data: Dataset | None = None,
    optimizer: Any = "adamw",
    learning_rate: Any = "auto",
    schedule: str = "auto",
    first_layer_rate: float = 1.0,
    weight_decay: Any = "auto",
    clip_norm: float | None = None,
    average: float | None = None,
    loss: Any = "auto",
    label_smoothing: float = 0.0,
    epochs: int = 10,
    budget: Any = None,
    spent: float = 0.0,
    after: float = 0.0,
    batch_size: int = 32,
    micro_batches: int = 1,
    devices: Any = "auto",
    augmentation: Any = None,
    alternating_flip: bool = False,
    mixing: Any = None,
    progressive_resizing: bool = False,
    class_weight: Any = None,
    sample_weight: Any = None,
    patience: int | None = None,
    checkpoint: str | Path | None = None,
    metrics: Any = (),
    callbacks: Any = (),
    seed: int = 0,
    deterministic: bool = False,
    jit_compile: bool = False,
    on_error: str = "skip",
    verbose: Any = "auto",
) -> History:
    """Train a Keras model in place.

    Args:
        model: A `keras.Model` from pixels 0-255 `(N, H, W, C)` to probabilities `(N, K)`, functional or sequential,
            without a `train_step` of its own.
        data: The training images; they are resized to the model's input.
        validation_data: Images to measure every epoch on; never trained on.
        optimizer: "adam", "adamw", "sgd", "rmsprop", "muon", or a Keras optimizer.
        learning_rate: A number, a Keras schedule, or "auto" for the optimizer's usual peak.
        schedule: How the rate moves: "cosine" (warm-up, then a cosine to zero), "one_cycle", "linear", "constant",
            "plateau" (divided by 5 when `val_loss`, or else the loss, stalls); "auto" for "cosine", or "constant"
            where `learning_rate` is a number.
        first_layer_rate: The learning rate of the first layer as a share of that of the last, above 0 and up to 1;
            between them it falls geometrically. Below 1, pretrained features change little.
        weight_decay: Of kernels; biases and normalisation never decay. A number from 0, or "auto".
        clip_norm: The most that the norm of all gradients together may be; None for no limit.
        average: The momentum of a moving average of the weights, such as 0.999, which is validated and kept in place
            of the last weights; None for none.
        loss: "auto" for the cross-entropy that fits the labels; "focal"; or any Keras loss or its name. The model gives
            probabilities: one that gives scores is refused where the loss says `from_logits=True`.
        label_smoothing: The share of a label that is spread over all classes, from 0 to below 1.
        epochs: How often every image is seen, at most.
        budget: Seconds, or words such as "10min": training and validation end in time, with a schedule that has reached
            its end. Reading images counts, and is not cut short. None for no limit.
        spent: Seconds of the budget that are gone already.
        after: Seconds of the budget to keep for what comes after training.
        batch_size: Images in a step, at most.
        micro_batches: In how many parts a batch goes through the model, their gradients accumulated, for models that
            need more memory than there is. Where memory runs out, it is doubled by itself.
        devices: What shares each batch: "auto" for the workers that the variable TF_CONFIG names, or else all GPUs, or
            else the CPU; "cpu" or "gpu" of this machine alone; or names, such as ["GPU:0", "GPU:1"]. On more than one,
            copies of the model are trained, and bring back what they have learnt. See
            [Several GPUs](../how-to/several-gpus.md) and [Several machines](../how-to/several-machines.md).
        augmentation: A name from `imgcls.transforms.names()`, a `keras.Layer` from float32 images 0-255 to the same, or
            None. It runs in the training step only, and has its random state back afterwards. "flip_shift" sets
            `alternating_flip`.
        alternating_flip: Mirror one half of the images, left to right, in even epochs and the other half in odd ones.
        mixing: "mixup", "cutmix", "both", a `keras.Layer` that is called as `transforms.RandomMix` is, or None: images
            are mixed with each other, and their labels too, during the first 85 % of training.
        progressive_resizing: Train on images of about half the side during the first 40 % of training, of three
            quarters up to 70 %, and in full size then: six to seven tenths of the pixels. Validation is in full size,
            and without a budget `patience` counts from there on. The model must take images of any size, as all do
            that pool their feature map.
        class_weight: None, "balanced", or {class: weight}.
        sample_weight: N weights from 0, at least one above it, which multiply those of the classes.
        patience: Stop after so many epochs without a lower `val_loss`, and keep the weights of the best epoch; None
            trains to the end and keeps the last. With the schedule "plateau", more than the 3 epochs after which that
            lowers the rate.
        checkpoint: A folder where the state is kept, every 30 seconds or when it costs less than 2 % of the time, and
            when Ctrl-C or SIGTERM stops training. Where it holds a state of this run, training goes on from there,
            exactly as if it had not stopped, whatever weights the model begins with now; see
            [Train, stop, resume](../tutorials/train-stop-resume.md).
        metrics: Keras metrics or their names, such as "AUC". They are measured on the validation images after each
            epoch and are in the history, such as `val_auc`, where callbacks find them. A list, or one alone.
        callbacks: Keras callbacks. A list, or one alone.
        seed: Another seed, another order of images.
        deterministic: Whether a GPU must give the same bits every time. It is slower then, for the rest of the process.
            A CPU does so anyway.
        jit_compile: Whether XLA compiles the model, the loss and their gradients: for GPUs, once for each size of a
            batch. On CPUs it is slower. See [Train on a GPU](../how-to/gpu.md#compile-with-xla).
        on_error: "skip" leaves out images that cannot be read, names them and goes on with the rest, as if they were
            not there; `History.quarantined` has the reasons. "raise" refuses them.
        verbose: 0 for nothing, 1 for a live bar, 2 for one line an epoch, "auto" for what the place can show.

    Returns:
        The `History`. After Ctrl-C it is returned too, with `interrupted` set, and the model keeps what it has learnt.

    Raises:
        ConfigurationError: Arguments are not accepted; the message lists all of them.
        CheckpointError: The folder holds another run, or cannot be read or written; or an optimizer or a layer cannot
            tell its settings.
        TrainingError: The loss is not a number from the start, one image alone does not fit into memory, XLA cannot
            compile the model, or another worker is lost.
        UnreadableImageError: Images cannot be read, and `on_error` is "raise" or there are no others.
        DataError: Labels do not fit the model.

    Examples:
        >>> from imgcls import Dataset, architectures, trainer
        >>> digits = Dataset.builtin("digits")
        >>> model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
        >>> history = trainer.train(model, digits, epochs=2, verbose=0)
        >>> history.epochs, history["loss"][1] < history["loss"][0]
        (2, True)
    """
    began = time.monotonic() - spent
    checked = checked_arguments(
        model,
        data,
        validation_data=validation_data,
        optimizer=optimizer,
        learning_rate=learning_rate,
        schedule=schedule,
        first_layer_rate=first_layer_rate,
        weight_decay=weight_decay,
        clip_norm=clip_norm,
        average=average,
        loss=loss,
        label_smoothing=label_smoothing,
        epochs=epochs,
        budget=budget,
        batch_size=batch_size,
        micro_batches=micro_batches,
        devices=devices,
        augmentation=augmentation,
        alternating_flip=alternating_flip,
        mixing=mixing,
        progressive_resizing=progressive_resizing,
        class_weight=class_weight,
        sample_weight=sample_weight,
        patience=patience,
        metrics=metrics,
        callbacks=callbacks,
        seed=seed,
        deterministic=deterministic,
        jit_compile=jit_compile,
        on_error=on_error,
    )
    seconds, placement = checked.seconds, checked.placement
    if deterministic:
        _backend.make_deterministic()
    validation_data, goal, resizing = checked.validation_data, checked.goal, checked.resizing
    augmentation, mixer, engine = checked.augmentation, checked.mixer, checked.engine
    alternating_flip, schedule, own_weights = checked.alternating_flip, checked.schedule, checked.own_weights
    weigh = partial(class_weights, class_weight, classes=data.classes)
    first = 0 if resizing is None or seconds is not None else resizing.full_from(epochs)  # epoch that patience looks at
    stopping = [] if patience is None else [early_stopping(patience, first=first)]
    plateau = [reduce_on_plateau(validated=validation_data is not None)] if schedule == "plateau" else []
    if plateau and patience is not None:
        _warn_of_short_patience(patience)
    watchers = named(checked.callbacks, [*stopping, *plateau])
    run = (
        {}
        if checkpoint is None and placement.workers == 1
        else identity(
            model,
            data,
            validation_data,
            {"optimizer": engine, "augmentation": augmentation, "mixing": mixer},
            {
                "no weight decay of": left_out_of_decay(engine),
                "alternating_flip": alternating_flip,
                "progressive_resizing": progressive_resizing,
                "loss": [settings_of(goal.loss), float(goal.label_smoothing)],  # also what a loss brings along
                "weights": [
                    None if sample_weight is None else hash_of(own_weights),
                    named_weights(class_weight, data.classes),
                ],
                "schedule": schedule,
                "first_layer_rate": first_layer_rate,
                "epochs": epochs,
                "budget": seconds,
                "batch_size": batch_size,
                "patience": patience,
                "seed": seed,
                "deterministic": deterministic,
                "jit_compile": jit_compile,
            },
            told=checkpoint is not None,
        )
    )

    with (
        ProgressReport(verbose if placement.worker == 0 else 0) as progress,
        put_back([augmentation, mixer]),
        placement.lent(model) as model,  # noqa: PLR1704 - below, the copy on the devices is meant
    ):
        with placement.scope():
            engine = set_on(engine, model, named=isinstance(optimizer, str), first_layer_rate=first_layer_rate)
        writes = placement.worker == 0
        checkpoints = (
            None
            if checkpoint is None
            else Checkpoints(checkpoint, run, say=progress.say, writes=writes, start=hash_of_weights(model.weights))
        )
        with nullcontext() if checkpoints is None else closing(checkpoints):
            found = None if checkpoints is None else checkpoints.newest()  # before images are read: it may be another's
            read = partial(_batches, model, batch_size=batch_size, on_error=on_error, progress=progress)
            training = read(data, what="training")
            held_out = None if validation_data is None else read(validation_data, what="validation")
            validation = (
                None if held_out is None else Validation(model, held_out, goal.plain, placement, checked.measures)
            )
            placement.check_alike({**run, "images": len(training.dataset)})
            labels = np.asarray(training.dataset.labels)
            model.compile(  # callbacks look for model.optimizer
                optimizer=engine, loss=goal.loss, jit_compile=False, auto_scale_loss=False
            )
            step = _backend.TrainingStep(
                model,
                engine,
                goal,
                augmentation=augmentation,
                mixing=mixer,
                one_label=goal.head == "softmax",
                targets=goal.spec(),
                micro_batches=micro_batches,
                jit_compile=jit_compile,
                place=placement,
            )
            targets, weights = goal.targets(labels), weigh(labels=labels) * own_weights[training.used]
            loop = Loop(
                model,
                step,
                training,
                targets=targets,
                weights=weights,
                validation=validation,
                doctor=Doctor(model, training, goal, targets, weights, validation),
                pace=Pace(
                    steps=epochs * len(training),
                    schedule=schedule,
                    peak=float(np.asarray(engine.learning_rate)) if schedule in _LED else None,
                    budget=seconds,
                    after=after,
                ),
                callbacks=watchers,
                epochs=epochs,
                seed=seed,
                alternating_flip=alternating_flip,
                mix_until=MIX_UNTIL,
                resizing=resizing,
                began=began,
                checkpoints=checkpoints,
                found=found,
                report=progress,
                placement=placement,
            )
            history = loop.run()
            history.quarantined = training.quarantined | ({} if held_out is None else held_out.quarantined)
            if stopping and history.epochs and not history.interrupted:  # else the model has the last weights
                _say_what_is_kept(history, stopping[0], epochs, first, progress)
    loop.pass_on()
    return history


def check_training(model: Any, data: Dataset, **settings: Any) -> None:
    """Check arguments of `train` as it does itself before it reads images, but for what is in the checkpoint's folder.

    Args:
        model: As for `train`.
        data: As for `train`.
        **settings: Further arguments of `train`.

    Raises:
        ConfigurationError: Arguments are not accepted.
        DataError: Labels do not fit the model.
        TypeError: `train` has no such argument.

    Examples:
        >>> from imgcls import Dataset, architectures
        >>> from imgcls.trainer._train import check_training
        >>> model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
        >>> check_training(model, Dataset.builtin("digits"), patience=3)
        Traceback (most recent call last):
        imgcls.errors.ConfigurationError: patience needs validation_data. Give it, or patience=None.
    """
    given = inspect.signature(train).bind(model, data, **settings)
    given.apply_defaults()
    checked_arguments(**{name: _checks.plain(value) for name, value in given.arguments.items()})


def _batches(
    model: Any, dataset: Dataset, *, batch_size: int, what: str, on_error: str, progress: ProgressReport
) -> Batches:
    height, width, channels = model.input_shape[1:]
    progress.begin(f"reading {what} images", len(dataset))
    return Batches(
        dataset,
        image_size=(height, width),
        channels=channels,
        batch_size=batch_size,
        on_error=on_error,
        what=what,
        on_progress=progress.done,
        say=progress.say,
    )


def _say_what_is_kept(history: History, stopping: Any, epochs: int, first: int, report: ProgressReport) -> None:
    """Note which epoch was the best, from `first` on, and say so where it was not the last. NaN is the worst of all."""
    losses = history["val_loss"]
    counted = range(min(first, history.epochs - 1), history.epochs)
    best = min(counted, key=lambda at: (math.isnan(losses[at]), losses[at]))
    history.best_epoch = best + 1
    if history.best_epoch == history.epochs:
        return
    patience = "1 epoch" if stopping.patience == 1 else f"{stopping.patience} epochs"
    early = f"{patience} without a lower val_loss: stopped after {history.epochs} of {epochs}; "
    why = "since no val_loss was a number" if math.isnan(losses[best]) else "whose val_loss was the lowest"
    words = f"the weights of epoch {history.best_epoch} are kept, {why}"
    report.say(f"{early if stopping.stopped_epoch else ''}{words}")


def _warn_of_short_patience(patience: int) -> None:
    """Say that training ends no later than a plateau lowers the rate, so that no epoch learns at the lower one."""
    if patience > PLATEAU:
        return
    message = (
        f"patience={patience} ends training before an epoch learns at a lower rate: schedule='plateau' lowers it after "
        f"{PLATEAU} epochs without a lower val_loss. Give a patience above {PLATEAU}, such as {2 * PLATEAU}, or None."
    )
    warn(message, TrainingWarning)
