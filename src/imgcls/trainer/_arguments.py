"""The hyper-parameters of `ImageClassifier`, checked before any image is read."""

from collections.abc import Mapping
from typing import Any

from imgcls import _backend, _checks, architectures, transforms
from imgcls._progress import VERBOSE
from imgcls.trainer._optimizers import OPTIMIZERS, wrong_settings
from imgcls.trainer._pace import budget_seconds
from imgcls.trainer._schedules import SCHEDULES
from imgcls.trainer._steps import checked_schedule

_COLORS = ("auto", "rgb", "grayscale")


def check_arguments(arguments: Mapping[str, Any], verbose: Any) -> None:
    """Check the hyper-parameters of `ImageClassifier`, and refuse with every problem at once.

    Args:
        arguments: The hyper-parameters by name.
        verbose: As in `fit`.

    Raises:
        ConfigurationError: Arguments are not accepted; the message lists all of them.

    Examples:
        >>> from imgcls import ImageClassifier, trainer
        >>> trainer.check_arguments(ImageClassifier().get_params(), verbose=0)
        >>> trainer.check_arguments(ImageClassifier(epochs=0, dropout=1).get_params(), verbose=0)
        Traceback (most recent call last):
        imgcls.errors.ConfigurationError: 2 arguments are wrong:
        - dropout=1 is not accepted. Accepted: a number from 0 to below 1.
        - epochs=0 is not accepted. Accepted: a whole number of at least 1, or 'auto'.
    """

    def named(argument: str, names: tuple[Any, ...]) -> str | None:
        return _checks.unknown_name(argument, arguments[argument], names)

    def whole(argument: str, *names: str, least: int = 1) -> str | None:
        return _checks.not_whole(argument, arguments[argument], least=least, names=names)

    _checks.refuse(
        [
            _not_architecture(arguments["architecture"]),
            _not_size(arguments["image_size"]),
            named("color", _COLORS) if isinstance(arguments["color"], str) else whole("color", *_COLORS),
            named("normalization", ("auto", *transforms.NORMALIZATIONS, None)),
            named("augmentation", ("auto", *transforms.names(), None))
            if isinstance(arguments["augmentation"], str)
            else None,
            named("optimizer", ("auto", *OPTIMIZERS)) if isinstance(arguments["optimizer"], str) else None,
            named("pooling", architectures.POOLINGS),
            named("precision", ("auto", *architectures.PRECISIONS)),
            named("engine", _backend.ENGINES),
            named("test_time_augmentation", architectures.TEST_TIME_AUGMENTATIONS),
            _checks.not_fraction("dropout", arguments["dropout"]),
            *wrong_settings(
                arguments["optimizer"],
                arguments["learning_rate"],
                **{name: arguments[name] for name in ("weight_decay", "clip_norm", "average")},
            ),
            named("schedule", ("auto", *SCHEDULES, "plateau")),
            _checks.not_fraction("label_smoothing", arguments["label_smoothing"]),
            named("mixing", (*transforms.MIXINGS, None)) if isinstance(arguments["mixing"], str) else None,
            named("progressive_resizing", (True, False)),
            whole("micro_batches"),
            named("fine_tune", ("auto", True, False)),
            whole("epochs", "auto"),
            whole("batch_size", "auto"),
            whole("patience", "auto", "None"),
            whole("seed", least=0),
            named("deterministic", (True, False)),
            named("jit_compile", (True, False)),
            _checks.unknown_name("verbose", verbose, VERBOSE),
        ]
    )
    budget_seconds(arguments["budget"])
    checked_schedule(arguments["schedule"], arguments["optimizer"], arguments["learning_rate"])


def _not_architecture(value: Any) -> str | None:
    """Check that `value` is a name, or what builds a model or is one."""
    if isinstance(value, str):
        return _checks.unknown_name("architecture", value, ("auto", *architectures.names()))
    if callable(value):  # as a keras.Model is, too
        return None
    return (
        f"architecture={value!r} is not accepted. Accepted: 'auto', a name from imgcls.architectures.names(), a "
        "keras.Model, or a function (input_shape, num_classes) that returns one."
    )


def _not_size(value: Any) -> str | None:
    """Check that `value` is one side in pixels, both of them, or "auto"."""
    if (isinstance(value, str) and value == "auto") or _checks.not_size("image_size", value, side=True) is None:
        return None
    return f"image_size={value!r} is not accepted. Accepted: a whole number of at least 1, (height, width), or 'auto'."
