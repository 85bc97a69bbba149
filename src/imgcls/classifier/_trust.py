"""What a classifier promises beyond its probabilities, learnt from images held out: temperature, sets, the unknown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Self, final

import numpy as np
from numpy.typing import NDArray

from imgcls import _checks, architectures
from imgcls._warnings import warn
from imgcls.classifier._ways import Look
from imgcls.datasets import Batches, Dataset
from imgcls.errors import ConfigurationError, DataError, DataWarning
from imgcls.inference import outputs
from imgcls.metrics import Evaluation, Familiarity, SetRule, tempered
from imgcls.metrics._calibration import scores_of, softened, temperature_of
from imgcls.metrics._sets import COVERAGE, METHODS
from imgcls.trainer import Choice, Transfer

ABSTAIN = ("set", "unsure", "unknown")
_TERMS: Mapping[str, tuple[str, Any]] = {  # what each is a part of, and what it is where nothing is given
    "coverage": ("set", COVERAGE),
    "most_error": ("unsure", 0.05),
    "set_method": ("set", METHODS[0]),
}
_STRANGE = 0.05  # familiar images that may be called unknown
_KEPT, _NUMBERS = 10_000, 25_000_000  # images held out, and their probabilities, that are kept at most: 100 MB
_ENOUGH = 100  # images held out of each class; then sets promise for each by itself, where that many can promise it
_FEWEST = 40  # images held out, of which the strangest is rarer than `_STRANGE` by both scores
_HASTY = 500  # images looked at of each kind, where there is a budget: a percent or two of ten minutes
_SOME = 200  # images held out that tell whether sets promise anything
_LEAST = 20  # images held out; from fewer, nothing is learnt

_HELD_OUT = ("held_out/labels", "held_out/probabilities")  # arrays of a bundle
_FAMILIAR = ("familiarity/known", "familiarity/distances", "familiarity/energies")

Features = NDArray[np.float32]


@final
@dataclass(frozen=True, slots=True)
class Seen:
    """What a trained model makes of images.

    Attributes:
        positions: `int64 (n,)`: which images, of those that can be read.
        probabilities: `float32 (n, K)`.
        features: `float32 (n, D)`, or None where the model has no head of its own.
    """

    positions: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    features: Features | None = None

    @classmethod
    def by(cls, look: Look, batches: Batches) -> Self:
        """Send images through a model once, but for those that cannot be read."""
        found, positions = outputs(look.run, batches)
        return cls(positions, look.probabilities(found), look.features(found))

    def among(self, chosen: NDArray[Any]) -> Self:
        """Return some of them."""
        features = None if self.features is None else self.features[chosen]
        return type(self)(self.positions[chosen], self.probabilities[chosen], features)

    def numbers_of(self, dataset: Dataset) -> Self:
        """Return those for which the model gives numbers; a warning names the others.

        Where it gives none for any, the model is wrong and no image, and all are returned.

        Args:
            dataset: What they are of.
        """
        there = np.asarray(np.isfinite(self.probabilities).all(axis=1))
        if self.features is not None:
            there &= np.isfinite(self.features).all(axis=1)
        if there.all() or not there.any():
            return self
        names = [dataset.ids[place] for place in self.positions[~there].tolist()]
        of, left_out = f"{len(there):,} images held out", "`held_out_`, and what rests on it, leaves them out"
        warn(_checks.without_numbers(names, of, left_out), DataWarning)
        return self.among(there)


class HeldOut(NamedTuple):
    """Images that the model has not learnt from.

    Attributes:
        labels: `int (n,)` or `uint8 (n, K)`.
        seen: What the model makes of them.
        known: Features `float32 (m, D)` of images that it has learnt from; None where they are of no use.
        source: Which images these are, in words.
    """

    labels: NDArray[Any]
    seen: Seen
    known: Features | None
    source: str


@final
@dataclass(frozen=True, slots=True)
class Promise:
    """What answers are held to: found once, and kept for every image of a call or of a stream.

    Attributes:
        asked: Of `ABSTAIN`.
        sets: Which classes an image may be; None where that was not asked.
        threshold: The least probability with which an image is answered.
    """

    asked: tuple[str, ...]
    sets: SetRule | None
    threshold: float

    def decide(self, probabilities: NDArray[np.float32], p_values: NDArray[np.float64] | None) -> dict[str, Any]:
        """Return probabilities, which classes are in the set of each image, and which images are not answered at all.

        Args:
            probabilities: `float32 (N, K)`.
            p_values: `float (N,)`: how often a familiar image looks as strange; None where that was not asked.
        """
        unknown = probabilities.max(axis=1) < self.threshold
        if p_values is not None:
            unknown |= p_values < _STRANGE
        sets = None if self.sets is None else self.sets.sets(probabilities, never_empty=True)
        return {"probabilities": probabilities, "sets": sets, "unknown": unknown}


def promised(abstain: Any, *, coverage: Any, most_error: Any, set_method: Any) -> list[Any]:
    """Return what answers are held to, in one spelling: what is not given has its default.

    Examples:
        >>> import numpy as np
        >>> from imgcls.classifier._trust import promised
        >>> promised(["unknown", "set"], coverage=np.float64(0.8), most_error=None, set_method=None)
        [['set', 'unknown'], 0.8, 0.05, 'lac']
    """
    given = [abstain] if isinstance(abstain, str) else abstain or []
    asked = [one for one in ABSTAIN if one in given]
    if not asked:
        return []
    coverage, most_error, set_method = _terms(coverage, most_error, set_method)
    return [asked[0] if len(asked) == 1 else asked, float(coverage), float(most_error), str(set_method)]


def _terms(*given: Any) -> list[Any]:
    """Return `_TERMS` as they were given, or their defaults where they were not."""
    return [usual if value is None else value for value, (_, usual) in zip(given, _TERMS.values(), strict=True)]


def _not_a_term(name: str, value: Any) -> str | None:
    """Check one of `_TERMS`."""
    return _checks.unknown_name(name, value, METHODS) if name == "set_method" else _checks.not_between(name, value)


def _idle(name: str, value: Any, asked: Sequence[str]) -> str | None:
    """Say that one of `_TERMS` is given, and what it is a part of is not asked for."""
    of = f"abstain={_TERMS[name][0]!r}"
    if _TERMS[name][0] in asked:
        return None
    return f"{name}={value!r} is of {of}, which is not asked for. Leave it out, or add {of}."


@final
@dataclass(frozen=True, slots=True)
class Trust:
    """What was learnt from images held out.

    Attributes:
        held_out: Their `Evaluation`, after the temperature; None where none were held out.
        familiarity: What images are like; None where the model has no features, or none were held out.
    """

    held_out: Evaluation | None = None
    familiarity: Familiarity | None = None

    # --- learning ------------------------------------------------------------------------------------------------

    @classmethod
    def learn(cls, model: Any, images: HeldOut, *, classes: Sequence[Any], seed: int) -> tuple[Self, Choice]:
        """Learn from images held out, and give the model its temperature, in place.

        Args:
            model: A classifier; its head is divided by the temperature.
            images: What was held out.
            classes: K classes.
            seed: Of which are kept, where there are very many.
        """
        labels, seen, known, source = images
        if len(labels) < _LEAST:
            reason = f"only {len(labels):,} {source}; from fewer than {_LEAST} nothing is learnt"
            return cls(), Choice(1.0, reason)
        if len(labels) > (most := _kept(len(classes))):
            chosen = np.sort(np.random.default_rng(seed).permutation(len(labels))[:most])
            labels, seen = labels[chosen], seen.among(chosen)
        head, multi_label = architectures.head_of(model), labels.ndim == 2
        if head is None or seen.features is None:
            given: NDArray[Any] = scores_of(seen.probabilities, multi_label=multi_label)
        else:  # more than probabilities in float32 can tell
            given = head.scores(seen.features) if multi_label else scores(head, seen.features)
        temperature = round(temperature_of(labels, given), 4)
        before = Evaluation(labels, seen.probabilities, classes=classes)
        if not architectures.temper(model, temperature):
            reason = "the model does not end with Dense scores that a temperature could divide"
            return cls(before), Choice(1.0, reason)
        found = softened(given, temperature, multi_label=multi_label).astype(np.float32)
        after = Evaluation(labels, found, classes=classes)
        words = (
            f"{len(labels):,} {source}: "
            f"log loss {before.losses.mean():.3f} before and {after.losses.mean():.3f} after, "
            f"calibration error {before.reliability().error:.3f} and {after.reliability().error:.3f}"
        )
        familiarity, head = None, architectures.head_of(model)
        if known is not None and seen.features is not None and head is not None and len(known):
            familiarity = Familiarity.learnt(known, seen.features, scores(head, seen.features), seed=seed)
        return cls(after, familiarity), Choice(temperature, words)

    # --- using ---------------------------------------------------------------------------------------------------

    def promise(
        self, abstain: Any, *, coverage: Any, most_error: Any, set_method: Any, likeliest: bool = True
    ) -> Promise:
        """Return what answers are held to, and refuse with every problem at once, also what cannot be promised.

        Args:
            abstain: Of `ABSTAIN`, one or several; None for nothing.
            coverage: The share of images whose set shall hold the truth; None for the default, as for the others.
            most_error: The share of answers that may be wrong.
            set_method: How sets are made, as `SetRule` takes it.
            likeliest: Whether the likeliest class is what is said; else thresholds decide.
        """
        asked = self._asked(abstain, coverage, most_error, set_method)
        if not likeliest and {*asked} - {"unknown"}:
            message = (
                f"abstain={abstain!r} speaks of the likeliest class, and thresholds are set. Take them away with "
                "set_thresholds(None), or ask for 'unknown' alone."
            )
            raise ConfigurationError(message)
        coverage, most_error, set_method = _terms(coverage, most_error, set_method)
        sets, threshold, held_out = None, 0.0, self.held_out
        if held_out is not None and "set" in asked:
            sets = _set_rule(held_out, coverage, set_method)
        if held_out is not None and "unsure" in asked:
            threshold = held_out.select(most_error).threshold
            if np.isinf(threshold):
                message = (
                    f"no confidence promises most_error={most_error} from {len(held_out.y_true):,} images held out: "
                    "every answer is 'unknown'. Accept more errors, or hold out more."
                )
                warn(message, DataWarning)
        return Promise(asked, sets, threshold)

    def p_values(self, model: Any, features: Features | None) -> NDArray[np.float64] | None:
        """Return for each image how often a familiar one looks at least as strange, `(N,)`."""
        head = architectures.head_of(model)
        if self.familiarity is None or features is None or head is None:
            return None
        return self.familiarity.p_values(features, scores(head, features))

    def _asked(self, abstain: Any, *given: Any) -> tuple[str, ...]:
        """Return what may stand in place of a class.

        Args:
            abstain: As for `promise`.
            *given: `_TERMS`, each None where it was not given.
        """
        several = isinstance(abstain, Sequence) and not isinstance(abstain, str)
        asked = () if abstain is None else tuple(abstain) if several else (abstain,)
        unknown = [_checks.unknown_name("abstain", one, ABSTAIN) for one in asked]
        terms = {name: value for name, value in zip(_TERMS, given, strict=True) if value is not None}
        _checks.refuse([*unknown, *(_not_a_term(name, value) for name, value in terms.items())])
        _checks.refuse([_idle(name, value, asked) for name, value in terms.items()])
        if asked and self.held_out is None:
            message = (
                f"abstain={abstain!r} rests on images held out, and this classifier has fewer than {_LEAST}. "
                "Fit it with validation_data of some hundred images."
            )
            raise DataError(message)
        if "unknown" in asked and self.familiarity is None:
            message = (
                "abstain='unknown' compares features with those of images held out, and this model does not end with "
                "Dense and one softmax or sigmoid, or was fitted without validation_data."
            )
            raise ConfigurationError(message)
        if "unknown" in asked and self.familiarity is not None and len(self.familiarity.distances) < _FEWEST:
            message = (
                f"abstain='unknown' takes at least {_FEWEST} images held out, and there are "
                f"{len(self.familiarity.distances)}: fewer cannot tell a strange image from chance."
            )
            raise DataError(message)
        if asked and self.held_out is not None and self.held_out.multi_label and set(asked) != {"unknown"}:
            message = f"abstain={abstain!r} is for one label an image. Accepted with several: None, or 'unknown'."
            raise ConfigurationError(message)
        return asked

    # --- keeping -------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as plain arrays, by name."""
        found: dict[str, NDArray[Any]] = {}
        if self.held_out is not None:
            labels = self.held_out.y_true
            labels = labels.astype(np.uint8 if labels.ndim == 2 else np.int64)
            found |= zip(_HELD_OUT, (labels, self.held_out.probabilities.astype(np.float32)), strict=True)
        if self.familiarity is not None:
            learnt = self.familiarity
            found |= zip(_FAMILIAR, (learnt.known, learnt.distances, learnt.energies), strict=True)
        return found

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], classes: Sequence[Any]) -> Self:
        """Return what `arrays` gave.

        Raises:
            ValueError: Names or shapes are others.
        """
        unknown = set(arrays) - {*_HELD_OUT, *_FAMILIAR}
        dimensions = [arrays[name].ndim for name in _FAMILIAR if name in arrays]
        if unknown or dimensions not in ([], [2, 1, 1]) or (arrays and not set(arrays).issuperset(_HELD_OUT)):
            message = f"arrays {sorted(arrays)} are not those of a classifier"
            raise ValueError(message)
        if not arrays:
            return cls()
        held_out = Evaluation(*(arrays[name] for name in _HELD_OUT), classes=classes)
        return cls(held_out, Familiarity(*(arrays[name] for name in _FAMILIAR)) if dimensions else None)


def _set_rule(held_out: Evaluation, coverage: float, method: str) -> SetRule:
    """Return how sets are made: for each class where that can be promised, else for all together.

    A warning says where every set holds every class, and why.
    """
    learnt = partial(SetRule.learnt, held_out.probabilities, held_out.y_true, coverage=coverage, method=method)
    count = len(held_out.y_true)
    rule = learnt(by_class=bool(np.bincount(held_out.y_true, minlength=len(held_out.classes)).min() >= _ENOUGH))
    if np.isinf(rule.limits).any():  # of one class there are too few for so much: it would be in every set
        rule = learnt(by_class=False)
    if np.isinf(rule.limits).any():
        message = (
            f"{count:,} images held out are too few to promise coverage={coverage}: every set holds every class. "
            "Promise less, or hold out more."
        )
        warn(message, DataWarning)
    elif rule.sets(held_out.probabilities[:: max(1, count // _SOME)]).all():
        message = (
            f"every set holds every class: smaller ones would not keep coverage={coverage}, since the probabilities "
            "hardly tell classes apart. Promise less, or train a better classifier: `held_out_` has the figures."
        )
        warn(message, DataWarning)
    return rule


def held_out(
    training: Dataset,
    validation: Dataset | None,
    learnt: Transfer | None,
    look_at: Callable[[Dataset], Seen],
    *,
    in_haste: bool,
    seed: int,
) -> HeldOut | None:
    """Return what a model may be judged by: validation images, or else training images from heads that missed them.

    Images for which the model gives no number are left out, and so are training images that weigh nothing.

    Args:
        training: What was learnt from.
        validation: What was validated on.
        learnt: What transfer learning knows, where that was the way: features need not be computed again.
        look_at: Sends images through the model.
        in_haste: Whether there is a budget, and only some hundred images should be looked at once more.
        seed: Of which images are looked at, where there are more than enough.
    """
    if learnt is not None and not learnt.tuned:
        if validation is None or learnt.validation is None or learnt.validated is None:
            seen = Seen(learnt.embedded.positions, learnt.held_out).among(learnt.weights > 0)
            source = "training images, each from a head that has not seen it"
            return HeldOut(np.asarray(training.labels)[seen.positions], seen, None, source)
        seen = Seen(learnt.validation.positions, learnt.validated, learnt.validation.features)
        known: Features | None = learnt.embedded.features
    elif validation is None:
        return None
    else:
        validation = _some(validation, _HASTY if in_haste else _kept(len(training.classes)), seed)
        seen, known = look_at(validation), None
        if seen.features is not None:
            known = look_at(_some(training, _HASTY if in_haste else Familiarity.MOST, seed)).features
    seen, known = seen.numbers_of(validation), None if known is None else known[np.isfinite(known).all(axis=1)]
    return HeldOut(np.asarray(validation.labels)[seen.positions], seen, known, "validation images")


def _kept(classes: int) -> int:
    """Return of how many images held out the probabilities are kept: fewer where each has very many.

    Examples:
        >>> from imgcls.classifier._trust import _kept
        >>> _kept(10), _kept(2_500), _kept(50_000)
        (10000, 10000, 500)
    """
    return min(_KEPT, _NUMBERS // classes)


def _some(dataset: Dataset, most: int, seed: int) -> Dataset:
    if len(dataset) <= most:
        return dataset
    chosen: Dataset = dataset[np.sort(np.random.default_rng(seed).permutation(len(dataset))[:most])]
    return chosen


def out_of_fold(training: Dataset, learnt: Transfer, classes: Sequence[Any], temperature: float) -> Evaluation:
    """Return the evaluation of training images, each from a head that has not seen it."""
    images, found = training[learnt.embedded.positions], learnt.held_out
    labels = np.asarray(images.labels)
    if not learnt.tuned:  # else the temperature is that of another model
        found = tempered(found, temperature, multi_label=labels.ndim == 2).astype(np.float32)
    return Evaluation(labels, found, classes=classes, ids=images.ids, read=images.read)


def scores(head: architectures.Head, features: Features) -> NDArray[np.float32]:
    """Return what a head makes of features, before softmax or sigmoid; of two classes, two scores."""
    found = head.scores(features)
    found = np.concatenate([-found / 2, found / 2], axis=1) if found.shape[1] == 1 else found
    return np.asarray(found, np.float32)
