"""The plan: everything that is decided before training, each "auto" with its reason."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, final

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls import _backend, architectures, transforms
from imgcls._progress import ProgressReport
from imgcls._warnings import warn
from imgcls.datasets import Dataset
from imgcls.errors import ConfigurationError, DataWarning, UnreadableImageError
from imgcls.trainer._callbacks import plateau, stops_early
from imgcls.trainer._decisions import Decisions
from imgcls.trainer._identity import fingerprint
from imgcls.trainer._objective import Objective, objective
from imgcls.trainer._pace import budget_seconds
from imgcls.trainer._recipe import (
    Choice,
    choose_head,
    choose_precision,
    choose_schedule,
    fine_tuning,
    recipe,
    without_steps,
)
from imgcls.trainer._tournament import tournament

_PASSED_ON = (
    *("mixing", "progressive_resizing", "weight_decay", "clip_norm", "average", "loss", "label_smoothing"),
    *("budget", "micro_batches", "devices", "class_weight", "seed", "deterministic", "jit_compile"),
)
_SAMPLE = 256  # images looked at to choose a size and to measure mean and deviation


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """What will be built and how it will be trained.

    Attributes:
        architecture: A name, a `keras.Model` or a function.
        weights: What the backbone starts from.
        blueprint: The other arguments of `architectures.build`: plain data, enough to build the graph again.
        settings: Arguments of `train`.
        choices: Each "auto" with its value and reason.
        solved: Whether the head is solved on fixed features, by `transfer`, to which `settings` then belong.
        sample: Training images `uint8 (n, H, W, C)` that the first layer is set from; None where it is learnt.
        training: Arguments of `architectures.build` that hold while the model is trained, and not for what is used and
            saved: in what precision it computes, and no mirror images.

    Examples:
        >>> from imgcls import Dataset, ImageClassifier, architectures, trainer
        >>> arguments = ImageClassifier("small_cnn", image_size=8, test_time_augmentation="flip").get_params()
        >>> planned = trainer.plan(arguments, Dataset.builtin("digits"), None)
        >>> planned.blueprint["input_shape"], planned.solved
        ((8, 8, 1), False)
        >>> model = planned.build()
        >>> used = planned.delivered(model)  # the same weights, and mirror images too
        >>> [architectures.BOTH_WAYS in [layer.name for layer in one.layers] for one in (model, used)]
        [False, True]
    """

    architecture: Any
    weights: Any
    blueprint: dict[str, Any]
    settings: dict[str, Any]
    choices: dict[str, Choice] = field(default_factory=dict)
    solved: bool = False
    sample: NDArray[np.uint8] | None = None
    training: dict[str, Any] = field(default_factory=dict)

    def build(self) -> Any:
        """Build the model that is trained."""
        model = architectures.build(self.architecture, **(self.blueprint | self.training), weights=self.weights)
        if self.sample is not None:
            architectures.whiten(model, self.sample)
        return model

    def delivered(self, model: Any) -> Any:
        """Return a trained model as it will be used and saved, with the same weights."""
        if self.blueprint == self.blueprint | self.training:
            return model
        delivered = architectures.build(self.architecture, **self.blueprint)
        architectures.set_weights(delivered, model.get_weights())
        return delivered


def choose_devices(devices: Any = "auto") -> Choice:
    """Choose what trains; where TF_CONFIG names several workers, join them.

    TensorFlow joins workers only before it has computed anything in a process. `ImageClassifier.fit` does so by itself;
    call this at the beginning of a script that makes Keras models, layers or optimizers of its own.

    Args:
        devices: As in `train`.

    Returns:
        Names of devices or workers, and the reason.

    Raises:
        ConfigurationError: Devices are not there, TF_CONFIG cannot be read, or TensorFlow has computed something.
        TrainingError: Not all workers came.

    Examples:
        >>> from imgcls import trainer
        >>> trainer.choose_devices("cpu")
        Choice(value=['CPU:0'], reason='asked for')
    """
    placement = _backend.placement(devices)
    return Choice(placement.devices, placement.reason)


def plan(
    arguments: Mapping[str, Any],
    training: Dataset,
    validation: Dataset | None,
    *,
    callbacks: Any = None,
    checkpoint: str | Path | None = None,
    report: ProgressReport | None = None,
) -> Plan:
    """Decide what the hyper-parameters of `ImageClassifier` leave to us.

    Args:
        arguments: The hyper-parameters by name.
        training: The images to learn from.
        validation: The images to validate on, or None.
        callbacks: Keras callbacks. A list, or one alone.
        checkpoint: As in `train`. What a tournament has chosen is kept there too.
        report: Shows how far a tournament of backbones is; open. None for silence.

    Returns:
        A `Plan`.

    Raises:
        ConfigurationError: Two arguments do not go together.

    Examples:
        >>> from imgcls import Dataset, ImageClassifier, trainer
        >>> digits = Dataset.builtin("digits")
        >>> planned = trainer.plan(ImageClassifier("small_cnn", batch_size=50).get_params(), digits, None)
        >>> planned.settings["batch_size"], "batch_size" in planned.choices  # what was given is no choice
        (50, False)
        >>> for name in ("image_size", "epochs", "augmentation"):
        ...     print(name, "=", planned.choices[name].value)
        image_size = 16
        epochs = 40
        augmentation = light
    """
    if arguments["deterministic"]:
        _backend.make_deterministic()  # before the first feature, for whatever learns by this plan
    choices: dict[str, Choice] = {}
    decisions = Decisions(checkpoint)

    def pick(name: str, automatic: Callable[[], tuple[Any, str]]) -> Any:
        """Return an argument, or where it is "auto" the automatic value, noted with its reason."""
        value = arguments[name]
        if isinstance(value, str) and value == "auto":
            choices[name] = Choice(*automatic())
            return choices[name].value
        return value

    pick("devices", lambda: choose_devices(arguments["devices"]))  # before all: see choose_devices
    side, channels = _usual(training, arguments["color"])
    grayscale = arguments["color"] == "grayscale" and channels == 3
    kind = pick(
        "architecture",
        lambda: _choose_architecture(arguments, training, (side, channels), decisions, report or ProgressReport(0)),
    )
    row = architectures.describe(kind) if isinstance(kind, str) else None
    size = pick("image_size", lambda: _own_size(kind) or architectures.choose_image_size(row, side))
    height, width = (int(one) for one in (size if isinstance(size, tuple | list) else (size, size)))
    weights = pick("weights", lambda: architectures.choose_weights(row))
    weights = _at_hand(weights, row, min(height, width)) if "architecture" in choices else weights
    goal = objective(
        arguments["loss"],
        num_classes=len(training.classes),
        multi_label=training.multi_label,
        label_smoothing=arguments["label_smoothing"],
        one_hot=arguments["mixing"] is not None,
    )
    fine_tune, solved = _stages(arguments, choices, weights, row, goal, callbacks=bool(callbacks))
    brings_scaling = row is not None and row.builder is not None
    quick = row is not None and row.quick
    blueprint = {
        "input_shape": (height, width, channels),
        "num_classes": goal.outputs,
        "head": goal.head,
        "pooling": arguments["pooling"],
        "dropout": arguments["dropout"],
        "fine_tune": fine_tune is True and not solved,
        "grayscale": grayscale,
        "test_time_augmentation": arguments["test_time_augmentation"],
        "precision": "float32",
        "seed": arguments["seed"],
    }
    precision = pick("precision", lambda: _choose_precision(arguments["devices"], row, decisions))
    if row is None and precision != "float32":
        message = f"precision={precision!r} goes with a named architecture. Give your own model a dtype policy instead."
        raise ConfigurationError(message)
    if brings_scaling and arguments["normalization"] != "auto":
        given = arguments["normalization"]
        message = f"normalization={given!r} does not go with {kind!r}, which brings its own. Leave it out."
        raise ConfigurationError(message)
    looked_at = partial(_looked_at, training, size=(height, width), channels=channels)
    sample = np.stack(list(looked_at())) if quick and weights is None else None
    if not brings_scaling:
        blueprint |= _mean_and_std(
            pick("normalization", lambda: _choose_normalization(kind)),
            looked_at() if sample is None else sample,
            grayscale=grayscale,
        )
    automatic = recipe(
        images=len(training),
        image_size=(height, width),
        frozen=fine_tune is False,
        validated=validation is not None,
        epochs=arguments["epochs"],
        budget=arguments["budget"],
        quick=quick,
        color=channels == 3,
        pretrained=solved,
        stops=stops_early(callbacks),
        plateau=plateau(arguments["schedule"], callbacks),
        optimizer=arguments["optimizer"],
    )
    settings = {
        name: pick(name, partial(automatic.__getitem__, name))
        for name in ("optimizer", "learning_rate", "batch_size", "epochs", "patience")
    }
    gentle = fine_tuning(settings["optimizer"]) if solved and isinstance(settings["optimizer"], str) else {}
    if gentle and "learning_rate" in choices:
        choices["learning_rate"] = gentle["learning_rate"]
        settings["learning_rate"] = gentle["learning_rate"].value
    settings["schedule"] = pick("schedule", lambda: choose_schedule(settings["optimizer"], arguments["learning_rate"]))
    policy = pick(
        "augmentation",
        lambda: (
            automatic.get("augmentation")
            or transforms.choose_augmentation(channels=channels, image_size=(height, width), frozen=fine_tune is False)
        ),
    )
    settings |= {
        "augmentation": transforms.augmentation(policy, seed=arguments["seed"]),
        "alternating_flip": transforms.alternates(policy),
        **{name: arguments[name] for name in _PASSED_ON},
    }
    if solved and fine_tune is False:
        choices = {name: choice for name, choice in choices.items() if name not in settings} | {
            "head": without_steps(choices["head"], arguments)
        }
    if solved:
        settings |= {name: value for name, value in gentle.items() if settings.get(name) is None}
        settings |= {"fine_tune": fine_tune, "engine": arguments["engine"]}
    return Plan(
        kind,
        weights,
        blueprint,
        settings,
        choices,
        solved=solved,
        sample=sample,
        training={"test_time_augmentation": None, "precision": precision},
    )


def _choose_architecture(
    arguments: Mapping[str, Any],
    training: Dataset,
    usual: tuple[int, int],
    decisions: Decisions,
    report: ProgressReport,
) -> tuple[Any, str]:
    """Choose among the backbones that are at hand, where the images are large enough for one.

    Args:
        arguments: The hyper-parameters by name.
        training: The images to learn from.
        usual: Their median side and number of channels.
        decisions: What was chosen in this run before.
        report: Shows how far the tournament is.

    Returns:
        The architecture and the reason.
    """
    size, (side, channels) = arguments["image_size"], usual
    if size == "auto":
        side, _ = architectures.choose_image_size(None, side)
    else:
        side = min(size) if isinstance(size, tuple | list) else size
    if side <= architectures.SMALL_SIDE:
        return architectures.choose_architecture(side)
    why = _no_tournament(arguments)
    if why is not None:
        return architectures.choose_architecture(side, why=why)
    given: dict[str, Any] = {
        "channels": channels,
        "budget": budget_seconds(arguments["budget"]),
        "seed": arguments["seed"],
    }

    def decide() -> tuple[Any, str]:  # by the clock, and by the weights that this machine has now
        if names := architectures.installed():
            return tournament(names, training, **given, report=report)
        name, reason = architectures.choose_architecture(side)
        return name, f"{reason}: name a network that has some, such as mobilenet_v2, and they are fetched"

    place = _backend.joined(arguments["devices"])
    about = {"images": fingerprint(training), **given}
    name, reason = decisions.once("architecture", about, decide, place=place)
    return name, reason


def _no_tournament(arguments: Mapping[str, Any]) -> str | None:
    """Say why no pretrained networks compete, whatever lies in the folder of Keras; None where they may."""
    weights = arguments["weights"]
    if weights is None:
        return "weights=None asks for random ones"
    if weights not in {"auto", "imagenet"}:
        return f"weights={str(weights)!r} does not say of which network it is: name that, if it is another"
    if arguments["color"] == "grayscale":
        return "pretrained networks do not compete where color='grayscale': name one, such as mobilenet_v2"
    return None


def _at_hand(weights: Any, row: architectures.Architecture | None, side: int) -> Any:
    """Return what a network starts from that was chosen for weights at hand: those of the nearest size, no download."""
    file = architectures.weights_at_hand(row.name, side) if row is not None and weights == "imagenet" else None
    return file or weights


def _choose_precision(devices: Any, row: architectures.Architecture | None, decisions: Decisions) -> tuple[Any, str]:
    """Choose in what a named backbone computes while it trains: a run that goes on on another device keeps what it had.

    Args:
        devices: What trains, as it was given.
        row: The architecture; None for one of the user's own.
        decisions: What was chosen in this run before.

    Returns:
        The precision and the reason.
    """
    if row is None:
        return choose_precision(named=False, quicker=None)
    asked = [devices] if isinstance(devices, str) else devices
    on_gpus = _backend.devices()["GPUs"] and not any(str(one).lower().startswith("cpu") for one in asked)

    def choose() -> Choice:
        if on_gpus:
            return choose_precision(named=True, quicker="GPU" if _backend.gpus_with_bfloat16() else None)
        gains = row.bfloat16 and _backend.processor_with_bfloat16()
        return choose_precision(named=True, quicker="processor" if gains else None)

    value, reason = decisions.once("precision", {"architecture": row.name}, choose, place=_backend.joined(devices))
    return value, reason


def _stages(
    arguments: Mapping[str, Any],
    choices: dict[str, Choice],
    weights: Any,
    row: architectures.Architecture | None,
    goal: Objective,
    *,
    callbacks: bool,
) -> tuple[Any, bool]:
    """Return what is fine-tuned (True, False, or "auto" for what helps), and whether the head is solved first."""
    fine_tune = arguments["fine_tune"]
    fixed = row is not None and (weights is not None or fine_tune is False)
    if not fixed:
        if fine_tune == "auto":
            choices["fine_tune"] = Choice(*architectures.choose_fine_tune(weights, own=row is None))
        return fine_tune if fine_tune != "auto" else choices["fine_tune"].value, False
    choices["head"] = choose_head(
        arguments,
        fine_tune=fine_tune,
        cross_entropy=goal.is_cross_entropy,
        smoothing=goal.label_smoothing,
        callbacks=callbacks,
    )
    solved = choices["head"].value == "solved"
    if fine_tune == "auto" and not solved:
        choices["fine_tune"] = Choice(*architectures.choose_fine_tune(weights))
    elif fine_tune == "auto" and arguments["budget"] is None:
        reason = "the head on pretrained features is solved in seconds; give a budget to see whether more helps"
        choices["fine_tune"] = Choice(False, reason)
    else:
        return fine_tune, solved
    return choices["fine_tune"].value, solved


def _own_size(kind: Any) -> tuple[tuple[int, int], str] | None:
    """Return the input size of a `keras.Model` that has one, with the reason; else None."""
    shape = getattr(kind, "input_shape", ()) if getattr(kind, "built", False) else ()
    sides = shape[1:3] if isinstance(shape, tuple) else ()  # of several inputs it is a list
    return (sides, "your model was built for it") if len(sides) == 2 and None not in sides else None


def _choose_normalization(kind: Any) -> tuple[str | None, str]:
    """Return the normalization for an architecture that brings none, and the reason."""
    inputs = getattr(kind, "inputs", None)  # of a keras.Model that is built
    if inputs and keras.backend.is_int_dtype(inputs[0].dtype):
        return None, f"your model takes {inputs[0].dtype}: pixels 0-255 as they are"
    return "standard", "mean 0 and deviation 1 over the training images"


def _mean_and_std(name: str | None, images: Iterable[NDArray[np.uint8]], *, grayscale: bool) -> dict[str, list[float]]:
    mean, std = ([0.0], [1.0]) if name is None else transforms.normalization(name, images, grayscale=grayscale)
    return {"mean": mean, "std": std}


def _usual(dataset: Dataset, color: Any) -> tuple[int, int]:
    """Return the median of the shorter sides, and the number of channels that all images are read with.

    Raises:
        ConfigurationError: Gray is asked for, and there is no colour.
    """
    asked = None if isinstance(color, str) else int(color)
    shapes = [image.shape for image in _looked_at(dataset, channels=asked)]
    held = {shape[2] for shape in shapes}
    channels = asked or (held.pop() if len(held) == 1 and color != "rgb" else 3)
    if color == "grayscale" and channels not in {1, 3}:
        message = f"color='grayscale' goes with gray and RGB images, and these have {channels} bands. Leave it out."
        raise ConfigurationError(message)
    if color == "auto":
        _warn_of_transparency(dataset)
    return int(np.median([min(shape[:2]) for shape in shapes])), channels


def _looked_at(dataset: Dataset, **how: Any) -> Iterator[NDArray[np.uint8]]:
    """Yield at most `_SAMPLE` images that can be read, evenly spread, one by one.

    Args:
        dataset: The images.
        how: Arguments of `Dataset.read`.

    Raises:
        UnreadableImageError: None of them can be read.
    """
    positions = np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), _SAMPLE)).astype(int)).tolist()
    refused = list[UnreadableImageError]()
    for position in positions:
        try:
            yield dataset.read(position, **how)
        except UnreadableImageError as error:  # `train` reads every image and names all of these at once
            refused.append(error)
    if len(refused) == len(positions):
        raise refused[0]


def _warn_of_transparency(dataset: Dataset) -> None:
    """Say that the fourth channel of arrays, which may be depth or infrared, is taken for transparency."""
    first = dataset.source(0)
    if isinstance(first, np.ndarray) and first.ndim == 3 and first.shape[2] == 4:
        message = (
            "the fourth channel of these arrays is taken for transparency, and put on white. color=4 keeps it as it "
            "is, such as depth or infrared; color='rgb' says that it is transparency."
        )
        warn(message, DataWarning)
