"""Shortcuts: what tells classes apart beside the content of the images, so that a model may learn that instead.

A finding takes two things. Chance must not explain it: p-values are multiplied by the number of kinds and classes tried
(Bonferroni), so that clean data are accused at most once in 20 times by all of them together. And it must matter: in
10,000 images a skill of 0.05 is no chance, and no danger either. The margins stand in the table of kinds.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from imgcls._checks import not_whole, refuse
from imgcls.datasets import _beside, _blind, _duplicates, _scan, _split, _turns

if TYPE_CHECKING:
    from imgcls.datasets._dataset import Dataset

LEAST = 20  # images; no habit can be told from chance in fewer
MOST = 2_000  # images looked at: more would take longer and tell the same
LEVEL = 0.05
_DEEPER = 0.25  # skill that a border has more than what lies deeper


@final
@dataclass(frozen=True, slots=True)
class Shortcut:
    """How well classes are told by one kind of thing beside the content.

    Attributes:
        kind: "size", "file size", "mean colour", "border", "camera", "file name"; or "thumbnail", which is content,
            to compare with.
        accuracy: Balanced, on images not learned from; NaN where the kind cannot be tested.
        lower: The lower end of its 95 % interval.
        upper: The upper end.
        chance: What guessing gives.
        p_value: How often clean data look like this, corrected for all kinds and classes that were tried.
        found: Whether it is unlikely by chance and large enough to matter.
        detail: Which class differs and by what, or why the kind cannot be tested.

    Examples:
        >>> import numpy as np
        >>> from imgcls import Dataset, datasets
        >>> random = np.random.default_rng(0)
        >>> photos = [random.integers(0, 256, (24, width, 3), dtype=np.uint8) for width in (24, 32) * 20]
        >>> size, *others = datasets.shortcuts(Dataset.from_arrays(photos, ["cat", "dog"] * 20))
        >>> size.kind, size.found, size.accuracy, [one.kind for one in others if one.found]
        ('size', True, 1.0, [])
        >>> print(size.detail)
        100% of 'cat' are recognised and 0% of the others taken for it; its images are 24 x 24, most others 32 x 24
    """

    kind: str
    accuracy: float
    lower: float
    upper: float
    chance: float
    p_value: float
    found: bool
    detail: str

    def __str__(self) -> str:
        if np.isnan(self.accuracy):
            return f"{self.kind}: {self.detail}"
        return f"{self.kind} tells {self.accuracy:.0%} right, guessing {self.chance:.0%}: {self.detail}"


class _Sample(NamedTuple):
    """Independent images: places `(N,)`, labels `(N,)` or `(N, K)` of `classes`, and halves `(N,)`."""

    places: NDArray[np.int64]
    labels: NDArray[np.int64]
    half: NDArray[np.int64]
    classes: tuple[Any, ...]


def shortcuts(dataset: "Dataset", *, seed: int = 0, verbose: Any = 0) -> tuple[Shortcut, ...]:
    """Try to tell the classes by what lies beside the content, one kind after the other.

    Of copies of one image, and of images of one group, one counts: the others are no further evidence. Where an image
    may have several labels, each class is told from the rest. Classes with a single image are left out.

    Args:
        dataset: The images.
        seed: Of the halves, each of which is predicted by the other.
        verbose: As in `fit`.

    Returns:
        One `Shortcut` for each kind, the same kinds always.

    Examples:
        >>> from imgcls import Dataset
        >>> rows = shortcuts(Dataset.builtin("digits"))
        >>> [row.kind for row in rows if row.found], rows[0].detail
        ([], 'all images are alike in it')
    """
    refuse([not_whole("seed", seed, least=0)])
    facts = _scan.scan(dataset, verbose=verbose).facts
    copies = _duplicates.near_copies(facts, _duplicates.exact_copies(facts, [dataset], verbose=verbose))
    return search(dataset, facts, copies, seed=seed)


def search(
    dataset: "Dataset", facts: NDArray[Any], copies: NDArray[np.int64], *, seed: int = 0
) -> tuple[Shortcut, ...]:
    """Do what `shortcuts` does, given the facts of the scan and the numbers of `near_copies`, both `(N,)`."""
    sample = _sample(dataset, facts, copies, seed)
    if isinstance(sample, str):
        return tuple(_untested(kind, sample) for kind in _beside.KINDS)
    given = _beside.material(dataset, sample.places, facts[sample.places])
    measured = {kind: row.measure(given) for kind, row in _beside.KINDS.items()}
    differing = {kind: one for kind, one in measured.items() if one is not None and (one.values != one.values[0]).any()}
    tried = sum(_beside.KINDS[kind].margin is not None for kind in differing)
    several = sample.labels.ndim == 1 and len(sample.classes) > 2
    deals = _blind.deal(sample.labels, sample.half, seed=seed) if several else None
    return tuple(
        _judged(kind, row, differing[kind], given, sample, deals, tried)
        if kind in differing
        else _untested(kind, row.missing)
        for kind, row in _beside.KINDS.items()
    )


def _judged(
    kind: str,
    row: _beside.Beside,
    columns: _beside.Columns,
    given: _beside.Material,
    sample: _Sample,
    deals: tuple[NDArray[np.int32], ...] | None,
    tried: int,
) -> Shortcut:
    hits = _blind.judge(columns.values, sample.labels, sample.half, deals)
    chance = 0.5 if sample.labels.ndim == 2 else 1 / len(sample.classes)
    skill = np.append(hits.skill, (hits.accuracy - chance) / (1 - chance))  # of each class, and of all together
    shared = tried if deals is None else 2 * tried
    p_values = np.minimum(1.0, shared * np.append(hits.p_values * len(sample.classes), hits.p_together))
    sure = p_values <= LEVEL
    matters = sure & (skill >= (np.inf if row.margin is None else row.margin))
    if row.inside is not None and matters.any():
        deeper = _blind.judge(row.inside(given).values, sample.labels, sample.half)
        matters &= skill - np.append(deeper.skill, (deeper.accuracy - chance) / (1 - chance)) >= _DEEPER
    chosen = matters if matters.any() else sure
    best = int(np.where(chosen, skill, -np.inf)[:-1].argmax()) if chosen[:-1].any() else int(hits.skill.argmax())
    detail = _in_words(kind, columns, hits, best, given, sample) if sure.any() else "not surely better than guessing"
    found = bool(matters.any())
    if sure.any() and not found:
        large = row.margin is not None and bool((sure & (skill >= row.margin)).any())
        why = "what lies deeper tells nearly as much" if large else "too little to matter"
        detail = f"{'content, to compare with' if row.margin is None else why}; {detail}"
    return Shortcut(kind, hits.accuracy, hits.lower, hits.upper, chance, float(p_values.min()), found, detail)


def _in_words(
    kind: str, columns: _beside.Columns, hits: _blind.Hits, best: int, given: _beside.Material, sample: _Sample
) -> str:
    """Say how well the class is told, and by which column it differs most."""
    own = sample.labels == best if sample.labels.ndim == 1 else sample.labels[:, best].astype(bool)
    shares = f"{hits.recognised[best]:.0%} of {sample.classes[best]!r} are recognised and {hits.mistaken[best]:.0%} of"
    told = f"{shares} the others taken for it"
    if kind == "size":
        sizes = [_usual_size(given.facts[chosen]) for chosen in (own, ~own)]
        if all(sizes) and sizes[0] != sizes[1]:
            return f"{told}; its images are {sizes[0]}, most others {sizes[1]}"
    column = int(np.abs([_above(values, own) - 0.5 for values in columns.values.T]).argmax())
    name, values = columns.names[column], columns.values[:, column]
    if columns.flags:
        return f"{told}; {values[own].mean():.0%} of its images have {name}, {values[~own].mean():.0%} of the others"
    middles = [np.median(values[chosen]) for chosen in (own, ~own)]
    return f"{told}; its {name} is {_number(middles[0])} in the median, that of the others {_number(middles[1])}"


def _usual_size(facts: NDArray[Any]) -> str:
    """Return the size that more than half of the images have, or ""."""
    sizes, counts = np.unique(facts[["width", "height"]], return_counts=True)
    width, height = sizes[counts.argmax()]
    return f"{width} x {height}" if 2 * counts.max() > len(facts) else ""


def _above(values: NDArray[np.float64], own: NDArray[np.bool_]) -> float:
    """Return how often a value of the class is above one of the others; ties count half (Mann and Whitney)."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[place]
    count = int(own.sum())
    return float((ranks[own].mean() - (count + 1) / 2) / (len(own) - count))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2g}"


def _untested(kind: str, why: str) -> Shortcut:
    return Shortcut(kind, np.nan, 0.0, 1.0, np.nan, 1.0, found=False, detail=why)


def _sample(dataset: "Dataset", facts: NDArray[Any], copies: NDArray[np.int64], seed: int) -> _Sample | str:
    """Choose independent images, as many of each class as there are up to `MOST`; or say why there are too few."""
    if dataset.labels is None:
        return "it cannot be tested without labels"
    labels = dataset.labels.astype(np.int64)
    unit, _ = _split.units(dataset.ids, dataset.groups, copies)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(facts["readable"]))
    _, first = np.unique(np.column_stack([unit, labels])[order], axis=0, return_index=True)
    order = order[np.sort(first)]
    stratum = _turns.rarest_class(labels)
    order = _turns.by_turns(stratum, order)[:MOST]
    # The first image of a unit decides its half: a group, or an image under two labels, is in one half alone.
    _, lead, member = np.unique(unit[order], return_index=True, return_inverse=True)
    half = (_turns.place_in_class(stratum[order]) % 2)[lead][member]
    single = labels.ndim == 1
    truth = labels[order][:, None] == np.arange(len(dataset.classes)) if single else labels[order].astype(bool)
    each = [truth[half == part] for part in (0, 1)]
    held = np.all([one.any(axis=0) & ~one.all(axis=0) for one in each], axis=0)  # in both halves, and not everywhere
    told = truth[:, held].any(axis=1) | (not single)
    if told.sum() < LEAST or held.sum() < (2 if single else 1):
        return (
            f"it cannot be tested with {told.sum():,} images, without copies and others of their group, in "
            f"{held.sum()} classes of two or more. {LEAST} images in 2 classes are enough"
        )
    found = truth[told][:, held]
    classes = tuple(name for name, kept in zip(dataset.classes, held, strict=True) if kept)
    return _Sample(order[told], found.argmax(axis=1) if single else found.astype(np.int64), half[told], classes)
