"""The loop. `keras.Model.fit` keeps no data position and runs on one machine; this one is ours, and short."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, _checks
from imgcls._progress import ProgressReport
from imgcls.datasets import ON_ERROR, Batches, Dataset
from imgcls.errors import ConfigurationError, DataError
from imgcls.trainer._history import History
from imgcls.trainer._objective import Objective, objective
from imgcls.trainer._optimizers import is_schedule
from imgcls.trainer._optimizers import optimizer as named_optimizer
from imgcls.trainer._recipe import class_weights


def train(
    model: Any,
    data: Dataset,
    *,
    validation_data: Dataset | None = None,
    optimizer: Any = "adamw",
    learning_rate: Any = "auto",
    loss: Any = "auto",
    epochs: int = 10,
    batch_size: int = 32,
    augmentation: Any = None,
    class_weight: Any = None,
    sample_weight: Any = None,
    patience: int | None = None,
    callbacks: Sequence[Any] = (),
    seed: int = 0,
    on_error: str = "skip",
    verbose: Any = "auto",
) -> History:
    """Train a Keras model in place.

    Args:
        model: A `keras.Model` from pixels 0-255 `(N, H, W, C)` to probabilities `(N, K)`.
        data: The training images; they are resized to the model's input.
        validation_data: Images to measure every epoch on; never trained on.
        optimizer: "adam", "adamw", "sgd", "rmsprop", or a Keras optimizer.
        learning_rate: A number, a Keras schedule, or "auto": warm-up, then a cosine to zero.
        loss: "auto" for the cross-entropy that fits the labels; or any Keras loss or its name.
        epochs: How often every image is seen.
        batch_size: Images in a step, at most.
        augmentation: A `keras.Layer` from float32 images 0-255 to the same; it runs in the training step only.
        class_weight: None, "balanced", or {class: weight}.
        sample_weight: N weights, which multiply those of the classes.
        patience: Stop after so many epochs without a lower `val_loss`, and keep the weights of the best epoch; None
            trains to the end and keeps the last.
        callbacks: Keras callbacks.
        seed: Another seed, another order of images.
        on_error: "skip" leaves out images that cannot be read, names them and goes on with the rest, as if they were
            not there; `History.quarantined` has the reasons. "raise" refuses them.
        verbose: 0 for nothing, 1 for a live bar, 2 for one line an epoch, "auto" for what the place can show.

    Returns:
        The `History`. After Ctrl-C it is returned too, with `interrupted` set, and the model keeps what it has learnt.

    Raises:
        ConfigurationError: Arguments are not accepted; the message lists all of them.
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
    _checks.refuse(
        [
            _checks.not_whole("epochs", epochs),
            _checks.not_whole("batch_size", batch_size),
            _checks.not_whole("patience", patience, names=("None",)),
            _checks.not_whole("seed", seed, least=0),
            _checks.unknown_name("on_error", on_error, ON_ERROR),
            "patience needs validation_data. Give it, or patience=None." if patience and not validation_data else None,
        ]
    )
    _check_callbacks(callbacks, learning_rate if isinstance(optimizer, str) else None)
    _check_labels(data, validation_data)
    goal = objective(loss, num_classes=len(data.classes), multi_label=data.multi_label)
    _check_outputs(model, goal, data)
    weigh = partial(class_weights, class_weight, classes=data.classes)
    make_engine = partial(named_optimizer, optimizer, learning_rate)
    own_weights = _sample_weights(sample_weight, len(data))
    weigh(labels=np.asarray(data.labels))  # what is refused is refused now, and not after all images were read
    make_engine(steps=1)

    with ProgressReport(verbose) as progress:
        read = partial(_batches, model, batch_size=batch_size, on_error=on_error, progress=progress)
        training = read(data, what="training")
        validation = validation_data and read(validation_data, what="validation")
        labels = np.asarray(training.dataset.labels)
        weights = weigh(labels=labels) * own_weights[training.used]
        engine = make_engine(steps=epochs * len(training))
        model.compile(optimizer=engine, loss=goal.loss, jit_compile=False)  # callbacks look for model.optimizer
        stopping = [] if patience is None else [_early_stopping(patience)]
        watchers = keras.callbacks.CallbackList(
            [*callbacks, *stopping], model=model, epochs=epochs, steps=len(training), verbose=0
        )
        step = _backend.TrainingStep(
            model, engine, goal, augmentation=augmentation, one_label=goal.head == "softmax", targets=goal.spec()
        )
        measure = _validator(model, validation, goal) if validation else dict
        targets = goal.targets(labels)
        per_batch = any(_watches_batches(callback) for callback in callbacks)  # else no step waits for its means

        def run_epoch(epoch: int) -> dict[str, float]:
            watchers.on_epoch_begin(epoch)
            progress.begin(f"epoch {epoch + 1}/{epochs}", len(training))
            for index, batch in enumerate(training.shuffled(seed=seed, epoch=epoch)):
                if index == len(training) - 1:
                    rate = float(engine.learning_rate)  # of the last step; a schedule moves on after it
                if not len(batch.positions):  # its files have all gone bad since training began
                    continue
                if per_batch:
                    watchers.on_train_batch_begin(index)
                step(batch.images, targets[batch.positions], weights[batch.positions])
                if per_batch:
                    watchers.on_train_batch_end(index, step.means())
                progress.done(index + 1)
            row = {**step.means(reset=True), **measure(), "learning_rate": rate}
            watchers.on_epoch_end(epoch, row)
            return row

        model.stop_training = False
        watchers.on_train_begin()
        history = _run_epochs(run_epoch, epochs, model, progress)
        watchers.on_train_end()
    history.quarantined = training.quarantined | (validation.quarantined if validation else {})
    if stopping and history.epochs:
        history.best_epoch = int(np.argmin(history["val_loss"])) + 1
    return history


def _run_epochs(run: Callable[[int], dict[str, float]], epochs: int, model: Any, progress: ProgressReport) -> History:
    """Run epochs up to the last one, or until a callback or Ctrl-C stops them."""
    history, start = History(), time.perf_counter()
    try:
        while history.epochs < epochs and not model.stop_training:
            history.append(run(history.epochs))
            history.seconds = time.perf_counter() - start
            progress.say(f"epoch {history.epochs}/{epochs}  {history.last()}  after {history.seconds:.0f} s")
    except KeyboardInterrupt:
        history.interrupted = True
        progress.say(f"interrupted after {history.epochs} epochs; the model keeps what it has learnt")
    return history


def infer(run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], batches: Batches) -> NDArray[np.float32]:
    """Return a compiled model's outputs for all images, in the order of the dataset."""
    return _outputs(run, batches)[0]


def _outputs(
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], batches: Batches
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return outputs and the positions of their images: all, but for those in quarantine."""
    done = [(run(images), positions) for images, positions in batches.in_order() if len(positions)]
    return np.concatenate([outputs for outputs, _ in done]), np.concatenate([positions for _, positions in done])


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


def _validator(model: Any, batches: Batches, goal: Objective) -> Callable[[], dict[str, float]]:
    run, labels = _backend.compiled(model), batches.dataset.labels
    targets = goal.targets(np.asarray(labels))

    def measure() -> dict[str, float]:
        outputs, positions = _outputs(run, batches)
        loss = goal(targets[positions], outputs, np.ones(len(outputs), np.float32))
        return {"val_loss": float(loss), "val_accuracy": goal.accuracy(targets[positions], outputs)}

    return measure


def _check_labels(data: Dataset, validation_data: Dataset | None) -> None:
    if data.labels is None or (validation_data is not None and validation_data.labels is None):
        message = "data without labels cannot be trained on. Give labels."
        raise DataError(message)


def _check_outputs(model: Any, goal: Objective, data: Dataset) -> None:
    if model.output_shape[1:] != (goal.outputs,):
        message = (
            f"the model has {model.output_shape[1:]} outputs and {len(data.classes)} classes need {(goal.outputs,)}."
        )
        raise ConfigurationError(message)


def _check_callbacks(callbacks: Sequence[Any], learning_rate: Any) -> None:
    wrong = [one for one in callbacks if not isinstance(one, keras.callbacks.Callback)]
    if wrong:
        message = f"callbacks holds {wrong[0]!r}. Accepted: a list of Keras callbacks, such as [EarlyStopping()]."
        raise ConfigurationError(message)
    movers = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
    moving = [type(one).__name__ for one in callbacks if isinstance(one, movers)]
    if moving and (learning_rate == "auto" or is_schedule(learning_rate)):
        message = (
            f"{moving[0]} changes a constant rate, and learning_rate follows a schedule. Give a number, such as 0.001."
        )
        raise ConfigurationError(message)


def _watches_batches(callback: Any) -> bool:
    """Say whether a callback looks at batches; `LambdaCallback` keeps its functions on the instance."""
    names = ("on_batch_begin", "on_train_batch_begin", "on_batch_end", "on_train_batch_end")
    plain = keras.callbacks.Callback
    return any(getattr(type(callback), name) is not getattr(plain, name) or name in vars(callback) for name in names)


def _early_stopping(patience: int) -> Any:
    return keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience, restore_best_weights=True)


def _sample_weights(weights: Any, count: int) -> NDArray[np.float32]:
    if weights is None:
        return np.ones(count, np.float32)
    array = np.asarray(weights, np.float32)
    if array.shape != (count,) or not np.isfinite(array).all() or (array < 0).any():
        message = (
            f"sample_weight has shape {array.shape}. Accepted: {count:,} finite numbers of at least 0, one an image."
        )
        raise ConfigurationError(message)
    return array
