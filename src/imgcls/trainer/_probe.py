"""The probe: a head solved exactly on fixed features, by regularised logistic regression.

Sources: Kornblith et al., Do Better ImageNet Models Transfer Better?, CVPR 2019, section 3 (L2, strength chosen on
images held out); Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, section 4.4.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from sklearn import exceptions, linear_model, model_selection
from threadpoolctl import threadpool_limits

from imgcls.datasets import components
from imgcls.errors import ConfigurationError

_FOLDS = 5
_PATH = tuple(10.0 ** np.arange(0.5, -4.1, -0.5))  # penalties, from the strongest; each fit begins with the one before
_ENOUGH = 5_000  # images that the penalty is chosen on, at most
_ROUGH, _EXACT = 1e-3, 1e-5  # the largest slope of the loss that is left, while choosing and in the end
_ITERATIONS = 1_000
_NEVER = 1e-7  # the probability of a class that no image shows

Features = NDArray[np.float32]


@final
@dataclass(frozen=True, slots=True)
class Probe:
    """A head, and what each image gets from a head that has not seen it.

    Attributes:
        kernel: `float32 (D, O)`, O outputs.
        bias: `float32 (O,)`.
        penalties: The weight of half the squared norm of the kernel beside the mean loss, on features of unit variance:
            one for a softmax, one for each sigmoid.
        folds: How many parts the images were divided into.
        outputs: `float32 (N, O)`: of each image from a head that was solved without its part.

    Examples:
        >>> import numpy as np
        >>> from imgcls import trainer
        >>> random = np.random.default_rng(0)
        >>> features, labels = random.normal(size=(60, 40)).astype(np.float32), np.arange(60) % 2  # all chance
        >>> probe = trainer.solve(features, labels)
        >>> probe.kernel.shape, probe.bias.shape, probe.folds
        ((40, 2), (2,), 5)
        >>> seen = (features @ probe.kernel + probe.bias).argmax(axis=1) == labels
        >>> unseen = probe.outputs.argmax(axis=1) == labels
        >>> bool(seen.mean() > 0.7), bool(unseen.mean() < 0.6)
        (True, True)
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    penalties: tuple[float, ...]
    folds: int
    outputs: NDArray[np.float32]


def solve(
    features: Features,
    targets: NDArray[Any],
    *,
    head: str = "softmax",
    num_classes: int | None = None,
    weights: NDArray[np.float32] | None = None,
    groups: Sequence[Any] | None = None,
    seed: int = 0,
) -> Probe:
    """Solve the head of a classifier whose features are fixed.

    The penalty is the one with the lowest loss on images held out, in as many as five parts that keep classes in
    proportion and groups together.

    Args:
        features: `float32 (N, D)`.
        targets: Codes `int64 (N,)`, or an indicator `(N, K)` of several labels an image.
        head: "softmax" for O = K outputs; "sigmoid" for O = K of an indicator, and O = 1 of codes 0 and 1.
        num_classes: K; None for one more than the largest code. Classes that no image shows are never chosen.
        weights: The weight of each image, `(N,)`, from 0. Images that weigh nothing count for nothing: they only get
            outputs, from a head that has not seen their group nor their copies either.
        groups: What belongs together, one for each image; None where all are independent. Equal features always are.
            Where all images are of one group, it is divided.
        seed: Of the division into parts.

    Returns:
        The `Probe`: kernel and bias of a `Dense` layer, and an output for each image that comes from the others.

    Raises:
        ConfigurationError: No image weighs anything.

    Examples:
        >>> import numpy as np
        >>> from imgcls import trainer
        >>> features = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
        >>> probe = trainer.solve(features, (features[:, 0] > 0).astype(int))
        >>> probe.kernel.shape, float((probe.outputs.argmax(axis=1) == (features[:, 0] > 0)).mean()) > 0.8
        ((4, 2), True)
    """
    targets = np.asarray(targets)
    if head == "sigmoid":
        problems, classes = list(targets.reshape(len(targets), -1).T.astype(np.int64)), 2
    else:
        problems, classes = [targets], int(targets.max()) + 1 if num_classes is None else num_classes
    weights = np.ones(len(features), np.float32) if weights is None else weights
    shown = np.asarray(weights > 0)
    if not shown.any():
        message = "weights are 0 for every image. Accepted: at least one above 0. Leave them out to count all alike."
        raise ConfigurationError(message)
    weights = weights * (np.count_nonzero(shown) / weights.sum())
    seen = features if shown.all() else features[shown]
    center = seen.mean(axis=0)
    scale = max(float(np.sqrt(np.square(seen - center).mean())), 1e-12)
    scaled, parts = (features - center) / scale, _parts(features, targets, groups, seed, shown)
    with threadpool_limits(1, "blas"):  # products this small wait for their threads: 1.7 s of processor time, not 33
        heads = [_solved(scaled, codes, weights, parts, classes, seed) for codes in problems]
    if head == "sigmoid":
        heads = [one.of_two_as_one() for one in heads]
    kernel = np.concatenate([one.kernel for one in heads], axis=1) / scale
    bias = np.concatenate([one.bias for one in heads]) - center @ kernel
    return Probe(
        kernel.astype(np.float32),
        bias.astype(np.float32),
        tuple(one.penalty for one in heads),
        int(parts.max()) + 1,
        np.concatenate([one.outputs for one in heads], axis=1),
    )


class _Head(NamedTuple):
    kernel: NDArray[np.float64]  # (D, K)
    bias: NDArray[np.float64]  # (K,)
    penalty: float
    outputs: NDArray[np.float32]  # (N, K)

    def of_two_as_one(self) -> "_Head":
        """Return one sigmoid that equals a softmax of two."""
        first, second = slice(0, 1), slice(1, 2)
        kernel = self.kernel[:, second] - self.kernel[:, first]
        return _Head(kernel, self.bias[second] - self.bias[first], self.penalty, self.outputs[:, second])


def _solved(
    features: Features,
    codes: NDArray[Any],
    weights: NDArray[np.float32],
    parts: NDArray[np.int64],
    num_classes: int,
    seed: int,
) -> _Head:
    penalty = _choose(features, codes, weights, parts, num_classes, seed)
    outputs = np.empty((len(features), num_classes), np.float32)
    for rest, part in _rounds(parts):
        fit = _fit(features[rest], codes[rest], weights[rest], penalty, _ROUGH)
        outputs[part] = _probabilities(fit, features[part], num_classes)
    fit = _fit(features, codes, weights, penalty, _EXACT)
    return _Head(*_linear(fit, features.shape[1], num_classes), penalty, outputs)


# --- parts -----------------------------------------------------------------------------------------------------------


def _parts(
    features: Features,
    targets: NDArray[Any],
    groups: Sequence[Any] | None,
    seed: int,
    shown: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Return the part of each image, 0..P-1. Images of one group, and copies of one image, are in one part.

    Those that are shown to a head are divided. The others go with their group or their copies.
    """
    shown = np.ones(len(features), bool) if shown is None else shown
    unit = np.unique(features, axis=0, return_inverse=True)[1].reshape(-1)
    if groups is not None:
        joined = components(unit, np.unique([str(group) for group in groups], return_inverse=True)[1])
        unit = joined if len(np.unique(joined[shown])) > 1 else unit  # of one group alone, nothing could be held out
    parts = np.zeros(int(unit.max()) + 1, np.int64)  # of each unit
    parts[unit[shown]] = _divided(unit[shown], targets[shown], seed)
    return parts[unit]


def _divided(unit: NDArray[Any], targets: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """Return the part of each image, in which all of its unit are; no part is empty."""
    strata = targets if targets.ndim == 1 else np.unique(targets, axis=0, return_inverse=True)[1].reshape(-1)
    units = len(np.unique(unit))
    count = min(_FOLDS, units)
    parts = np.zeros(len(unit), np.int64)
    if units < 2:  # one image and its copies
        return parts
    drawn_by = int(seed) % 2**32  # scikit-learn takes no larger number
    if units == len(unit):
        splitter, extra = model_selection.StratifiedKFold(count, shuffle=True, random_state=drawn_by), None
    else:
        splitter, extra = model_selection.StratifiedGroupKFold(count, shuffle=True, random_state=drawn_by), unit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer images than parts: known, and dealt with
        for index, (_, part) in enumerate(splitter.split(unit, _common(strata), extra)):
            parts[part] = index
    return np.unique(parts, return_inverse=True)[1].reshape(-1)  # few groups may leave a part without images


def _common(strata: NDArray[Any]) -> NDArray[Any]:
    """Put strata of one or two images into one: scikit-learn refuses to divide if all are smaller than a part."""
    codes, counts = np.unique(strata, return_inverse=True, return_counts=True)[1:]
    codes = codes.reshape(-1)
    return np.where(counts[codes] < _FOLDS, -1, codes)


def _rounds(parts: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    for index in range(int(parts.max()) + 1):
        part = parts == index
        yield ~part if (~part).any() else part, part  # all copies of one image: there is nothing to hold out


# --- logistic regression ---------------------------------------------------------------------------------------------


def _choose(
    features: Features,
    codes: NDArray[Any],
    weights: NDArray[np.float32],
    parts: NDArray[np.int64],
    num_classes: int,
    seed: int,
) -> float:
    """Return the penalty with the lowest loss on what is held out."""
    chosen = np.flatnonzero(weights)
    if len(chosen) > _ENOUGH:
        drawn = np.random.default_rng(seed).permutation(chosen)[:_ENOUGH]
        chosen = np.union1d(drawn, chosen[~np.isin(parts[chosen], parts[drawn])])  # parts of a few images are in it
    features, codes, weights, parts = features[chosen], codes[chosen], weights[chosen], parts[chosen]
    fits: list[Any] = [None] * (int(parts.max()) + 1)
    path: dict[float, float] = {}
    for penalty in _PATH:
        loss = 0.0
        for index, (rest, part) in enumerate(_rounds(parts)):
            fits[index] = _fit(features[rest], codes[rest], weights[rest], penalty, _ROUGH, begin=fits[index])
            found = _probabilities(fits[index], features[part], num_classes)
            loss -= float(weights[part] @ np.log(np.maximum(found[np.arange(len(found)), codes[part]], _NEVER)))
        path[float(penalty)] = loss / float(weights.sum())
        if path[float(penalty)] > 1.02 * min(path.values()):
            break  # the loss has one valley along the path
    return min(path, key=lambda penalty: path[penalty])


def _fit(
    features: Features,
    codes: NDArray[Any],
    weights: NDArray[np.float32],
    penalty: float,
    tolerance: float,
    *,
    begin: Any = None,
) -> Any:
    """Fit scikit-learn's logistic regression; return the class itself where all images that weigh are of one."""
    shown = weights > 0
    if not shown.all():
        features, codes, weights = features[shown], codes[shown], weights[shown]
    if codes.min() == codes.max():
        return int(codes[0])
    regression = begin if isinstance(begin, linear_model.LogisticRegression) else None
    regression = regression or linear_model.LogisticRegression(warm_start=True, max_iter=_ITERATIONS)
    regression.set_params(C=1 / (penalty * float(weights.sum())), tol=tolerance)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)  # the best of so many iterations is taken
        return regression.fit(features, codes, sample_weight=weights)


def _probabilities(fit: Any, features: Features, num_classes: int) -> NDArray[np.float32]:
    found = np.full((len(features), num_classes), _NEVER, np.float32)
    if isinstance(fit, int):
        found[:, fit] = 1 - _NEVER
    else:
        found[:, fit.classes_] = fit.predict_proba(features)
    return found


def _linear(fit: Any, width: int, num_classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return kernel `(D, K)` and bias `(K,)`; classes that no image shows get a probability near zero."""
    kernel, bias = np.zeros((width, num_classes)), np.full(num_classes, np.log(_NEVER))
    if isinstance(fit, int):
        bias[fit] = 0.0
    elif len(fit.classes_) == 2:  # one row, of the second class against the first
        half = fit.coef_[0] / 2
        kernel[:, fit.classes_] = np.stack([-half, half], axis=1)
        bias[fit.classes_] = [-fit.intercept_[0] / 2, fit.intercept_[0] / 2]
    else:
        kernel[:, fit.classes_] = fit.coef_.T
        bias[fit.classes_] = fit.intercept_
    return kernel, bias
