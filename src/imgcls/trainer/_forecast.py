"""The forecast: what a run would do, how long it would take and what to expect of it, before it is begun."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, final

import keras
import numpy as np
from numpy.typing import NDArray

from imgcls import architectures
from imgcls._progress import ProgressReport
from imgcls.datasets import Dataset
from imgcls.trainer._embed import Embedded, embed
from imgcls.trainer._objective import objective
from imgcls.trainer._pace import budget_seconds
from imgcls.trainer._plan import Plan, plan
from imgcls.trainer._probe import solve
from imgcls.trainer._recipe import Choice
from imgcls.trainer._resizing import Resizing
from imgcls.trainer._train import train

_FIRST = 32  # images that the speed is measured on
_LEAST = 40  # images below which there is no curve
_STEPS = 6
_SURE = 1.96  # standard errors


class ClassForecast(NamedTuple):
    """What twice as many images of one class would bring.

    Examples:
        >>> from imgcls.trainer import ClassForecast
        >>> rose = ClassForecast("rose", images=40, recall=0.6, gain=0.021)
        >>> tulip = ClassForecast("tulip", images=90, recall=0.9, gain=0.004)
        >>> max(rose, tulip, key=lambda one: one.gain).name  # the class to photograph next
        'rose'
    """

    name: str
    images: int
    recall: float  # of images held out, from 0 to 1
    gain: float  # of the accuracy over all classes, from 0 to 1


@final
@dataclass(frozen=True, slots=True)
class Forecast:
    """What to expect of a run. Prints as a page of text.

    Attributes:
        images: How many there are.
        choices: What would be chosen, and why.
        seconds: How long training would take.
        memory: What decoded images, features and weights would fill, in bytes, beside the libraries.
        fine_tune: Whether what is left of a budget would go into fine-tuning, to be kept where it helps. Of fine-tuning
            that was asked for, `seconds` has the time.
        looked_at: How many images were measured.
        curve: The number of images, and the accuracy on images held out that a head has which has seen so many.
        expected: The accuracy to expect with all images, from and to; None where only training could tell.
        doubled: The same with twice as many images.
        classes: Classes by what twice as many images of them would bring, the most first.

    Examples:
        >>> from imgcls.trainer import Choice, ClassForecast, Forecast
        >>> found = Forecast(
        ...     images=200,
        ...     choices={"image_size": Choice(224, "mobilenet_v2 was designed for it")},
        ...     seconds=41.0,
        ...     memory=38_000_000,
        ...     fine_tune=False,
        ...     looked_at=200,
        ...     curve={50: 0.71, 100: 0.8, 200: 0.86},
        ...     expected=(0.81, 0.91),
        ...     classes=(ClassForecast("rose", images=40, recall=0.6, gain=0.021),),
        ... )
        >>> print(found)
        image_size = 224: mobilenet_v2 was designed for it
        <BLANKLINE>
        training on 200 images takes some 41 s on this machine, and 38 MB beside the libraries
        with     50 images  71.0% right of those held out
        with    100 images  80.0% right of those held out
        with    200 images  86.0% right of those held out
        to expect with all 200: 81% to 91%
        twice as many of 'rose' (40 now, 60% recognised) would bring some 2.1 points
    """

    images: int
    choices: Mapping[str, Choice]
    seconds: float
    memory: int
    fine_tune: bool
    looked_at: int
    curve: Mapping[int, float] = field(default_factory=dict)
    expected: tuple[float, float] | None = None
    doubled: tuple[float, float] | None = None
    classes: tuple[ClassForecast, ...] = ()

    def to_json(self) -> str:
        """Return everything as JSON."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        facts["choices"] = {name: [str(choice.value), choice.reason] for name, choice in self.choices.items()}
        facts["classes"] = [one._asdict() for one in self.classes]
        return json.dumps(facts)

    def __str__(self) -> str:
        lines = [f"{name} = {choice.value}: {choice.reason}" for name, choice in self.choices.items()]
        effort = f"{_minutes(self.seconds)} on this machine, and {self.memory / 1e6:,.0f} MB beside the libraries"
        lines += ["", f"training on {self.images:,} images takes some {effort}"]
        if self.fine_tune:
            lines.append("what is left of the budget goes into fine-tuning, which is kept if it helps")
        if self.expected is None:
            return "\n".join([*lines, "what accuracy it reaches, only training can tell"])
        lines += [
            f"with {count:>6,} images {accuracy:6.1%} right of those held out" for count, accuracy in self.curve.items()
        ]
        lines.append(f"to expect with all {self.images:,}: {_range(self.expected)}")
        if self.doubled is not None:
            lines.append(f"with twice as many: {_range(self.doubled)}")
        for one in self.classes[:3]:
            lines.append(
                f"twice as many of {one.name!r} ({one.images:,} now, {one.recall:.0%} recognised) would bring some "
                f"{100 * one.gain:.1f} points"
            )
        return "\n".join(lines)


def forecast(
    arguments: Mapping[str, Any],
    data: Dataset,
    *,
    validation_data: Dataset | None = None,
    seconds: float = 20.0,
    report: ProgressReport | None = None,
) -> Forecast:
    """Measure this machine and these images for some seconds, and say what training would be like.

    Where a head would be solved on fixed features, some images are embedded and heads are solved on a quarter, a half
    and all of them. Errors fall as a power of the number of images (Hestness et al., Deep Learning Scaling is
    Predictable, Empirically, arXiv 1712.00409); the power is taken from these three. Otherwise some steps are timed,
    and so they are where fine-tuning is asked for.

    Args:
        arguments: The hyper-parameters of `ImageClassifier`.
        data: The training images.
        validation_data: What would be validated on.
        seconds: How long it may look, beside what starting costs.
        report: Shows how far it is; open. None for silence.

    Returns:
        A `Forecast`.

    Examples:
        >>> from imgcls import Dataset, ImageClassifier, trainer
        >>> arguments = ImageClassifier("small_cnn", image_size=8, epochs=10).get_params()
        >>> found = trainer.forecast(arguments, Dataset.builtin("digits"))
        >>> found.images, found.expected, 0 < found.seconds < 600
        (1797, None, True)
    """
    report = ProgressReport(0) if report is None else report
    planned = plan(arguments, data, validation_data, report=report)
    # Not by turns of the classes: a part has to be mixed as the whole is, or its accuracy is that of another mixture.
    order = np.random.default_rng(arguments["seed"]).permutation(len(data))
    look = _look_at_features if planned.solved else _look_at_steps
    return look(planned, data, order, seconds, report, validated=validation_data is not None)


def _look_at_features(
    planned: Plan,
    data: Dataset,
    order: NDArray[np.int64],
    seconds: float,
    report: ProgressReport,
    *,
    validated: bool,
) -> Forecast:
    model = planned.build()
    features = architectures.cut(planned.delivered(model))
    looked, found, pace, new = _embed_for(features, data, order, seconds, report)
    chosen = data[order[:looked]]
    goal = objective(num_classes=len(data.classes), multi_label=data.multi_label)
    labels = np.asarray(chosen.labels)[found.positions]
    groups = None if chosen.groups is None else chosen.groups[found.positions]
    curve, outputs, solving = dict[int, float](), None, 0.0
    for part in (4, 2, 1) if len(labels) >= _LEAST else (1,):
        size, begin = len(labels) // part, time.perf_counter()
        probe = solve(
            found.features[:size],
            labels[:size],
            head=goal.head,
            num_classes=len(data.classes),
            groups=None if groups is None else groups[:size],
        )
        outputs, solving = probe.outputs, time.perf_counter() - begin
        curve[size] = goal.accuracy(goal.targets(labels[:size]), outputs)
    weights = sum(4 * math.prod(weight.shape) for weight in model.weights)
    power = _power(curve)
    expected, doubled = (_expected(curve, power, factor * len(data)) for factor in (1, 2))
    by_class = () if data.multi_label or outputs is None else _by_class(data, labels, outputs, power)
    duration = pace * max(new, 1e-3 * len(data)) + len(data) * solving / max(len(labels), 1)
    memory = weights + 4 * len(data) * found.features.shape[1]
    tuned = planned.settings["fine_tune"]
    if tuned is True:
        architectures.unfreeze(model, 1.0)
        duration += _seconds_of_steps(planned, model, data, order, report)
        memory += 2 * weights + len(data) * math.prod(planned.blueprint["input_shape"])
    return Forecast(
        len(data),
        planned.choices,
        _within(planned, duration),
        memory,
        tuned == "auto" and validated,  # "auto" is left open for a budget alone
        len(labels),
        curve,
        expected,
        doubled,
        by_class,
    )


def _embed_for(
    features: Any, data: Dataset, order: NDArray[np.int64], seconds: float, report: ProgressReport
) -> tuple[int, Embedded, float, float]:
    """Embed as many images as can be computed in some seconds; those with known features come on top.

    Args:
        features: The network.
        data: The images.
        order: Of these positions, the first ones are embedded.
        seconds: How long images may be computed, beside the first few.
        report: Shows how far it is.

    Returns:
        How many images were looked at, what was found, the seconds for an image that is computed, and how many of all
        images would have had to be.
    """
    read = partial(embed, features, report=report)
    few, begin = data[order[:_FIRST]], time.perf_counter()
    found = read(few)
    looked, before, new = len(few), 0, float(found.computed)
    timed = found.computed
    if timed < len(found.positions):  # images whose features are known do not tell the speed
        begin = time.perf_counter()
        timed = read(few, cache=False).computed
    pace = (time.perf_counter() - begin) / timed
    left, start = int(seconds / max(pace, 1e-6)) - found.computed, time.perf_counter()
    while looked < len(data) and left > 0 and time.perf_counter() - start < seconds:
        before, looked, begin = looked, min(looked + left, len(data)), time.perf_counter()
        found = read(data[order[:looked]])
        if found.computed:
            pace = min(pace, (time.perf_counter() - begin) / found.computed)
        left = left - found.computed if left - found.computed >= _FIRST else 0  # fewer are not worth another start
        new += found.computed
    share = min(found.computed / (looked - before), 1.0)  # of the images that were looked at last
    return looked, found, pace, min(new + share * (len(data) - looked), len(data))


def _look_at_steps(
    planned: Plan,
    data: Dataset,
    order: NDArray[np.int64],
    seconds: float,
    report: ProgressReport,
    *,
    validated: bool,
) -> Forecast:
    del seconds, validated  # two short epochs are enough
    model = planned.build()
    weights = sum(4 * math.prod(weight.shape) for weight in model.weights)
    return Forecast(
        len(data),
        planned.choices,
        _within(planned, _seconds_of_steps(planned, model, data, order, report)),
        3 * weights + len(data) * math.prod(planned.blueprint["input_shape"]),
        False,
        min(len(data), _STEPS * planned.settings["batch_size"]),
    )


def _seconds_of_steps(
    planned: Plan, model: Any, data: Dataset, order: NDArray[np.int64], report: ProgressReport
) -> float:
    """Train on some images for two epochs, the first of which has what starting costs, and return what all would take.

    The model is another one then.
    """
    settings = {name: value for name, value in planned.settings.items() if name not in {"fine_tune", "engine"}}
    some = data[np.sort(order[: _STEPS * settings["batch_size"]])]
    marks = [time.perf_counter()]
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: marks.append(time.perf_counter()))
    report.say("timing some steps of training")
    plain = {"patience": None, "budget": None, "schedule": "auto", "progressive_resizing": False}
    history = train(model, some, callbacks=[watch], verbose=0, **(settings | plain | {"epochs": 2}))
    if history.interrupted:  # `train` keeps what was learnt, and here nothing is
        raise KeyboardInterrupt
    start, pace = marks[1] - marks[0], (marks[2] - marks[1]) / len(some)
    if settings["progressive_resizing"]:
        pace *= Resizing(planned.blueprint["input_shape"][:2]).work
    return float(start + settings["epochs"] * len(data) * pace)


def _within(planned: Plan, seconds: float) -> float:
    """Return seconds as a budget lets them be."""
    budget = budget_seconds(planned.settings["budget"])
    return seconds if budget is None else min(seconds, budget)


def _power(curve: Mapping[int, float]) -> float:
    """Return b of error = a * n^-b through the points of a curve, by least squares of logarithms; from 0 to 1."""
    if len(curve) < 2:
        return 0.0
    counts = np.log(list(curve))
    errors = np.log(np.maximum(1 - np.array(list(curve.values())), 0.5 / np.array(list(curve))))
    return float(np.clip(-np.polyfit(counts, errors, 1)[0], 0.0, 1.0))


def _expected(curve: Mapping[int, float], power: float, count: int) -> tuple[float, float]:
    """Return the accuracy with `count` images, less and plus the error with which that of the last point is known."""
    size, accuracy = list(curve.items())[-1]
    error = max(1 - accuracy, 0.5 / size)
    there = 1 - error * (count / size) ** -power
    noise = _SURE * math.sqrt(error * (1 - error) / size)
    return max(there - noise, 0.0), min(there + noise, 1.0)


def _by_class(
    data: Dataset, labels: NDArray[Any], outputs: NDArray[np.float32], power: float
) -> tuple[ClassForecast, ...]:
    answers, counts = outputs.argmax(axis=1), np.bincount(np.asarray(data.labels), minlength=len(data.classes))
    found = []
    for code, name in enumerate(data.classes):
        of_it = labels == code
        if of_it.any():
            recall = float((answers[of_it] == code).mean())
            gain = counts[code] / counts.sum() * (1 - recall) * (1 - 2**-power)
            found.append(ClassForecast(str(name), int(counts[code]), recall, float(gain)))
    return tuple(sorted(found, key=lambda one: -one.gain))


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _range(pair: tuple[float, float]) -> str:
    return f"{pair[0]:.0%} to {pair[1]:.0%}"
