"""Optimizers by name. The learning rate is a plain number in them: the loop moves it, step by step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from imgcls import _checks
from imgcls.errors import ConfigurationError
from imgcls.trainer._muon import Muon


class _Row(NamedTuple):
    peak_rate: float
    weight_decay: float | None
    build: Callable[..., Any]


# Peaks: the best for small_resnet is near 2e-3 with AdamW, for small_cnn and for a CNN without normalisation near 5e-3;
# with Muon 0.05 for all three, and 0.1 is too much without normalisation (CIFAR-10, first epochs, cosine).
# Keras keeps weight decay out of gradients. The 5e-4 that the field gives SGD goes through them, and momentum 0.9 makes
# it ten times as strong: 5e-3 here.
_TABLE = {
    "adam": _Row(3e-3, None, keras.optimizers.Adam),
    "adamw": _Row(
        3e-3, 0.01, lambda weight_decay, **options: keras.optimizers.AdamW(weight_decay=weight_decay or 0.0, **options)
    ),
    "sgd": _Row(0.05, 5e-3, lambda **options: keras.optimizers.SGD(momentum=0.9, nesterov=True, **options)),
    "rmsprop": _Row(1e-3, None, keras.optimizers.RMSprop),
    "muon": _Row(0.05, 0.01, Muon),
}
OPTIMIZERS = tuple(_TABLE)
_UNDECAYED = (
    keras.layers.BatchNormalization,
    keras.layers.Embedding,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
)


def optimizer(
    name: Any,
    learning_rate: Any = "auto",
    *,
    weight_decay: Any = "auto",
    clip_norm: float | None = None,
    average: float | None = None,
) -> Any:
    """Build a Keras optimizer.

    Args:
        name: "adam", "adamw", "sgd" (Nesterov momentum 0.9), "rmsprop", "muon" (`Muon`), or a Keras optimizer, which is
            copied with its settings, those of `exclude_from_weight_decay(var_names=)` too, and without its state.
        learning_rate: A number; "auto" for a peak that suits the optimizer; or a Keras schedule.
        weight_decay: The share of each weight that is taken off at a learning rate of 1, apart from the gradient
            (Loshchilov and Hutter, arXiv 1711.05101): from 0 to below 1, None for none, or "auto". Which weights, see
            `exclude_from_weight_decay`.
        clip_norm: Shorten gradients so that the norm of all of them together is at most this; None leaves them.
        average: Keep a moving average of the weights that remembers this share of itself in each step, such as 0.999.
            It becomes the weights by the optimizer's `finalize_variable_values(model.trainable_variables)`.

    Returns:
        A `keras.optimizers.Optimizer`.

    Raises:
        ConfigurationError: The name is not known, a number is out of range, settings are given beside a Keras
            optimizer, which has its own, or that optimizer leaves variables out of weight decay that are not named.

    Examples:
        >>> from imgcls import trainer
        >>> engine = trainer.optimizer("sgd", 0.1, clip_norm=1.0)
        >>> engine.nesterov, engine.global_clipnorm
        (True, 1.0)
    """
    wrong = wrong_settings(name, learning_rate, weight_decay=weight_decay, clip_norm=clip_norm, average=average)
    if isinstance(name, keras.optimizers.Optimizer):
        if isinstance(name, keras.optimizers.MultiOptimizer):
            message = (
                "optimizer=MultiOptimizer has a learning rate for each part, and training is led by one. Give one "
                "Keras optimizer or a name; first_layer_rate= lets early layers learn more slowly."
            )
            raise ConfigurationError(message)
        _checks.refuse(wrong)
        return copied(name)
    automatic_rate, automatic_decay = _is_auto(learning_rate), _is_auto(weight_decay)
    _checks.refuse([_checks.unknown_name("optimizer", name, OPTIMIZERS), *wrong])
    row = _TABLE[name]
    if automatic_rate:
        learning_rate = row.peak_rate
    elif not is_schedule(learning_rate):
        learning_rate = float(learning_rate)  # Keras knows no NumPy scalars
    return row.build(
        learning_rate=learning_rate,
        weight_decay=row.weight_decay if automatic_decay else weight_decay or None,
        global_clipnorm=clip_norm,
        use_ema=average is not None,
        ema_momentum=average or 0.0,
    )


def wrong_settings(
    name: Any, learning_rate: Any, *, weight_decay: Any, clip_norm: Any, average: Any
) -> list[str | None]:
    """Check arguments of `optimizer`: each by itself beside a name, and that none stands beside a Keras optimizer.

    Args:
        name: As for `optimizer`, and so are the others.
        learning_rate: As there.
        weight_decay: As there.
        clip_norm: As there.
        average: As there.

    Returns:
        What is wrong in words, or None, for each of them.
    """
    if isinstance(name, keras.optimizers.Optimizer):
        given = {
            "learning_rate": learning_rate,
            "weight_decay": weight_decay,
            "clip_norm": clip_norm,
            "average": average,
        }
        return [_beside_an_object(name, given)]
    led = _is_auto(learning_rate) or is_schedule(learning_rate)
    decays_as_usual = _is_auto(weight_decay) or weight_decay is None
    return [
        None if led else _wrong_number("learning_rate", learning_rate),
        None if decays_as_usual else _checks.not_fraction("weight_decay", weight_decay),
        None if clip_norm is None else _checks.not_positive("clip_norm", clip_norm),
        None if average is None else _checks.not_fraction("average", average),
    ]


def copied(engine: Any, rate: float | None = None) -> Any:
    """Return an optimizer with the same settings and without state; what leads its rate is the same object.

    That need not be known to Keras, nor able to tell its settings: it is not copied.

    Args:
        engine: A Keras optimizer.
        rate: The learning rate of the copy, a number that can be moved; None for what leads its own.

    Examples:
        >>> import keras
        >>> from imgcls.trainer._optimizers import copied
        >>> engine = copied(keras.optimizers.SGD(0.5, momentum=0.9), 0.25)
        >>> float(engine.learning_rate), engine.momentum
        (0.25, 0.9)
    """
    if isinstance(engine, keras.optimizers.LossScaleOptimizer):
        return type(engine)(
            copied(engine.inner_optimizer, rate),
            initial_scale=engine.initial_scale,
            dynamic_growth_steps=engine.dynamic_growth_steps,
            name=engine.name,
        )
    if getattr(engine, "_exclude_from_weight_decay", None):
        message = (
            f"{type(engine).__name__} leaves variables out of weight decay that exclude_from_weight_decay(var_list=) "
            "has taken from a model, and what is trained may be a copy of it. Give var_names= instead."
        )
        raise ConfigurationError(message)
    own = engine._learning_rate  # noqa: SLF001 - a number in a variable, or what leads it, which Keras shows to nobody
    if rate is not None or is_schedule(own) or callable(own):
        told = object.__new__(type(engine))
        vars(told).update(vars(engine), _learning_rate=0.0)
        copy = type(engine).from_config({**told.get_config(), "learning_rate": own if rate is None else rate})
    else:
        copy = type(engine).from_config(engine.get_config())
    pattern = left_out_of_decay(engine)
    if pattern is not None:
        copy.exclude_from_weight_decay(var_names=[pattern])
    return copy


def left_out_of_decay(engine: Any) -> str | None:
    """Return the pattern of names that a Keras optimizer leaves out of weight decay, or None."""
    engine = getattr(engine, "inner_optimizer", engine)
    pattern = getattr(engine, "_exclude_from_weight_decay_pattern", None)
    return None if pattern is None else "|".join(sorted(pattern.pattern.split("|")))  # Keras joins names in any order


def exclude_from_weight_decay(optimizer: Any, model: Any) -> None:
    """Let weight decay act on kernels only: not on biases, scales, embeddings and parameters of normalisations.

    What is left out has one dimension, is called a bias, or belongs to a layer that normalises or embeds. Call this
    before the first step.

    Args:
        optimizer: A Keras optimizer.
        model: The `keras.Model` that it will train.

    Examples:
        >>> from imgcls import architectures, trainer
        >>> from imgcls.trainer._optimizers import exclude_from_weight_decay
        >>> model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
        >>> exclude_from_weight_decay(trainer.optimizer("adamw"), model)
    """
    layers = model._flatten_layers()  # noqa: SLF001 - Keras' only walk into layers that are made of layers
    undecayed = {id(one) for layer in layers if isinstance(layer, _UNDECAYED) for one in layer.variables}
    optimizer.exclude_from_weight_decay(
        var_list=[
            variable
            for variable in model.trainable_variables
            if len(variable.shape) <= 1 or "bias" in variable.name or id(variable) in undecayed
        ]
    )


def slow_down_by_depth(optimizer: Any, model: Any, first: float) -> None:
    """Let early layers learn more slowly than late ones: rates fall geometrically from the last layer to the first.

    Source: Howard and Ruder, Universal Language Model Fine-tuning, ACL 2018, section 3.2 (discriminative fine-tuning).

    Args:
        optimizer: A Keras optimizer, before its first step.
        model: The `keras.Model` that it will train.
        first: The rate of the first trainable variable, as a share of that of the last.

    Examples:
        >>> from imgcls import architectures, trainer
        >>> from imgcls.trainer._optimizers import slow_down_by_depth
        >>> model = architectures.build("small_cnn", input_shape=(8, 8, 1), num_classes=10)
        >>> slow_down_by_depth(trainer.optimizer("adamw"), model, 0.1)
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
    variables = model.trainable_variables
    last = max(len(variables) - 1, 1)
    key = optimizer._var_key  # noqa: SLF001 - Keras' own way to know a variable again on every replica
    shares = {key(variable): first ** (1 - index / last) for index, variable in enumerate(variables)}
    update = optimizer.update_step

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        update(gradient, variable, learning_rate * shares[key(variable)])

    optimizer.update_step = update_step


def set_on(engine: Any, model: Any, *, named: bool, first_layer_rate: float = 1.0) -> Any:
    """Return an optimizer that knows what of a model decays and how fast each layer learns."""
    if named:
        exclude_from_weight_decay(engine, model)
    if first_layer_rate != 1:
        slow_down_by_depth(engine, model, first_layer_rate)
    return _with_scaled_loss(engine, model)


def _with_scaled_loss(engine: Any, model: Any) -> Any:
    """Return an optimizer that scales the loss, as Keras does, for a model that computes in float16.

    There small gradients would be zero.
    """
    policies = {layer.compute_dtype for layer in model._flatten_layers()}  # noqa: SLF001 - Keras has no public walk
    if "float16" not in policies or isinstance(engine, keras.optimizers.LossScaleOptimizer):
        return engine
    return keras.optimizers.LossScaleOptimizer(engine)


def usual_peak(name: str) -> float:
    """Return the learning rate that "auto" stands for."""
    return _TABLE[name].peak_rate


def is_schedule(rate: Any) -> bool:
    """Say whether a learning rate is a Keras schedule."""
    return isinstance(rate, keras.optimizers.schedules.LearningRateSchedule)


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _wrong_number(argument: str, value: Any) -> str | None:
    return (
        _checks.unknown_name(argument, value, ("auto",))
        if isinstance(value, str)
        else _checks.not_positive(argument, value)
    )


def _beside_an_object(engine: Any, given: dict[str, Any]) -> str | None:
    """Say which settings stand beside a Keras optimizer, which has its own."""
    named = [f"{name}={value!r}" for name, value in given.items() if value is not None and not _is_auto(value)]
    if not named:
        return None
    verb, them = ("goes", "it") if len(named) == 1 else ("go", "them")
    return f"{', '.join(named)} {verb} with a named optimizer; {type(engine).__name__} has its own. Leave {them} out."
